/** The market that is shown: its book, trades and best prices. One draw a frame. */

import { effect, signal } from "@preact/signals";
import { get } from "../api/client.ts";
import type { Depth, Trade } from "../api/types.ts";
import { Book, type Delta } from "../feed/book.ts";
import { sleep } from "../shell/sleep.ts";
import { marketUnits, socket, tickers } from "./venue.ts";

const DEPTH_LIMIT = 1_000;
const TRADES_SHOWN = 60;
const RETRY_MS = 500;

export type BookState = "live" | "resyncing";

/** The symbol that is shown. */
export const symbol = signal("");
/** Grows by one with each frame in which the book has changed. */
export const bookDraw = signal(0);
export const bookState = signal<BookState>("resyncing");
export const trades = signal<readonly Trade[]>([]);
export const lastTrade = signal<Trade | null>(null);

interface TradeMessage {
  readonly p: string;
  readonly q: string;
  readonly t: number;
  readonly T: number;
  readonly m: boolean;
}

interface TickerMessage {
  readonly s: string;
  readonly o: string;
  readonly c: string;
  readonly h: string;
  readonly l: string;
  readonly v: string;
  readonly V: string;
}

let current: Book | null = null;

/** The book of the market that is shown. */
export const book = (): Book | null => current;

let isDrawing = false;
function draw(): void {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    bookDraw.value += 1;
    bookState.value = current?.isLive ? "live" : "resyncing";
  });
}

function open(name: string): () => void {
  const market = marketUnits.value.get(name);
  if (market === undefined) return () => undefined;
  let isOpen = true;
  let generation = 0; // of the connection: answers to earlier questions are old
  let isAsking = false;
  let isLoadingTrades = false;
  const each = new Book(market.price, market.quantity, () => void resync());
  current = each;
  trades.value = [];
  lastTrade.value = null;
  draw();

  async function resync(): Promise<void> {
    draw();
    if (isAsking) return;
    isAsking = true;
    while (isOpen && !each.isLive) {
      try {
        const asked = generation;
        const depth = await get<Depth>("/api/v1/depth", { symbol: name, limit: DEPTH_LIMIT });
        if (asked !== generation) continue;
        if (each.begin(depth, DEPTH_LIMIT)) break;
      } catch {
        // The socket's own state says that the exchange is away; try again.
      }
      await sleep(RETRY_MS);
    }
    isAsking = false;
    draw();
  }

  /** Load the trades before those of the stream. Their ids have no gap, else it is done again. */
  async function loadTrades(): Promise<void> {
    if (isLoadingTrades) return;
    isLoadingTrades = true;
    while (isOpen) {
      const query = { symbol: name, limit: TRADES_SHOWN };
      const found = await get<readonly Trade[]>("/api/v1/trades", query).catch(() => null);
      if (!isOpen) return;
      const recorded = found?.[0]?.id ?? 0;
      const streamed = trades.value.filter((trade) => trade.id > recorded);
      const oldest = streamed.at(-1)?.id;
      if (found !== null && (oldest === undefined || oldest === recorded + 1)) {
        trades.value = [...streamed, ...found].slice(0, TRADES_SHOWN);
        lastTrade.value = trades.value[0] ?? null;
        break;
      }
      await sleep(RETRY_MS);
    }
    isLoadingTrades = false;
  }

  const begin = (): void => {
    generation += 1;
    each.empty();
    void resync();
    void loadTrades();
  };
  const endings = [
    socket.subscribe(`depth.${name}`, (data) => {
      each.change(data as Delta);
      draw();
    }),
    socket.subscribe(`trade.${name}`, (data) => {
      const message = data as TradeMessage;
      const newest = trades.value[0]?.id ?? 0;
      if (message.t <= newest) return;
      const trade: Trade = {
        id: message.t,
        price: message.p,
        quantity: message.q,
        timestamp: Math.floor(message.T / 1_000),
        isBuyerMaker: message.m,
      };
      const isNext = message.t === newest + 1;
      trades.value = isNext ? [trade, ...trades.value].slice(0, TRADES_SHOWN) : [trade];
      lastTrade.value = trade;
      if (!isNext) void loadTrades();
    }),
    socket.subscribe(`ticker.${name}`, (data) => {
      const message = data as TickerMessage;
      const before = tickers.value[name];
      tickers.value = {
        ...tickers.value,
        [name]: {
          symbol: name,
          firstPrice: message.o,
          lastPrice: message.c,
          priceChange: before?.priceChange ?? "0",
          priceChangePercent: before?.priceChangePercent ?? "0",
          high: message.h,
          low: message.l,
          volume: message.v,
          quoteVolume: message.V,
        },
      };
    }),
    socket.onOpen(begin),
    socket.onLost(() => {
      each.empty();
      draw();
    }),
  ];
  begin();
  return () => {
    isOpen = false;
    current = null;
    for (const end of endings) end();
  };
}

effect(() => {
  const name = symbol.value;
  if (marketUnits.value.size === 0 || name === "") return;
  return open(name);
});
