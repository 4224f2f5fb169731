/**
 * The ladder: a fixed number of rows a side around a fixed spread row. It shows the exchange's book
 * or blank rows, and is drawn at most once a frame.
 */

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { groupLevels } from "../feed/book.ts";
import type { MarketUnits } from "../money/order_math.ts";
import { format, formatFixed, type Scale, units } from "../money/scale.ts";
import { openOrders } from "../store/account.ts";
import { book, bookDraw, bookState, lastTrade, symbol } from "../store/market.ts";
import { marketUnits, socket } from "../store/venue.ts";
import { fillFromBook } from "./order_form.tsx";

const LEVELS_READ = 5_000;
const STEPS = [1n, 10n, 100n];

const step = signal(1n);
const narrow = matchMedia("(max-width: 760px)");
const ROWS_NARROW = 9;
const ROWS_MAX = 40;
const ROW_PX = 18;
const OTHER_PX = 108; // of the panel, without the rows of the two sides
/** Of each side. It depends on the height of the panel alone, so rows do not move. */
const rows = signal(ROWS_NARROW);

function fitRows(panel: HTMLElement): () => void {
  const observer = new ResizeObserver(() => {
    const fitting = Math.floor((panel.clientHeight - OTHER_PX) / (2 * ROW_PX));
    rows.value = narrow.matches ? ROWS_NARROW : Math.max(5, Math.min(fitting, ROWS_MAX));
  });
  observer.observe(panel);
  return () => observer.disconnect();
}

interface Row {
  readonly ticks: bigint | null;
  readonly lots: bigint;
  readonly sum: bigint;
  /** Average price up to here, in ticks, to the nearest. */
  readonly average: bigint;
  readonly own: bigint;
}

const EMPTY: Row = { ticks: null, lots: 0n, sum: 0n, average: 0n, own: 0n };

function rowsOf(side: "bids" | "asks", own: ReadonlyMap<bigint, bigint>): Row[] {
  const each = book();
  const levels = each?.isLive ? each.levels(side, LEVELS_READ) : [];
  let sum = 0n;
  let value = 0n;
  const found: Row[] = groupLevels(levels, side, step.value, rows.value).map(([ticks, lots]) => {
    sum += lots;
    value += ticks * lots;
    const average = (2n * value + sum) / (2n * sum);
    return { ticks, lots, sum, average, own: own.get(ticks) ?? 0n };
  });
  while (found.length < rows.value) found.push(EMPTY);
  return found;
}

/** Own open lots of this market by the price of their row. */
function ownLots(market: MarketUnits, side: "bids" | "asks"): ReadonlyMap<bigint, bigint> {
  const found = new Map<bigint, bigint>();
  for (const order of openOrders.value.values()) {
    if (order.symbol !== market.symbol || order.price === undefined) continue;
    if ((order.side === "Bid") !== (side === "bids")) continue;
    const rest =
      units(market.quantity, order.quantity) - units(market.quantity, order.executedQuantity);
    const [[ticks] = [0n]] = groupLevels(
      [[units(market.price, order.price), 1n]],
      side,
      step.value,
      1,
    );
    found.set(ticks, (found.get(ticks) ?? 0n) + rest);
  }
  return found;
}

export function OrderBook() {
  const panel = useRef<HTMLElement>(null);
  useEffect(() => (panel.current === null ? undefined : fitRows(panel.current)), []);
  bookDraw.value; // The ladder is drawn anew with each change.
  const market = marketUnits.value.get(symbol.value);
  if (market === undefined) return <section class="panel book" ref={panel} />;
  const asks = rowsOf("asks", ownLots(market, "asks"));
  const bids = rowsOf("bids", ownLots(market, "bids"));
  const most = [
    asks.at(-1)!.sum,
    bids.at(-1)!.sum,
    ...asks.map((row) => row.sum),
    ...bids.map((row) => row.sum),
  ].reduce((one, other) => (one > other ? one : other));
  const best = [book()?.levels("bids", 1)[0]?.[0], book()?.levels("asks", 1)[0]?.[0]] as const;
  return (
    <section class="panel book" aria-label="Order book" ref={panel}>
      <header class="panel-head">
        <h2>Order book</h2>
        <BookBadge />
        <select
          aria-label="Price step"
          value={String(step.value)}
          onChange={(event) => {
            step.value = BigInt(event.currentTarget.value);
          }}
        >
          {STEPS.map((each) => (
            <option key={String(each)} value={String(each)}>
              {format(market.price, each)}
            </option>
          ))}
        </select>
      </header>
      <table class="ladder">
        <thead>
          <tr>
            <th scope="col">Price {market.quote}</th>
            <th scope="col">Size {market.base}</th>
            <th scope="col">Sum</th>
          </tr>
        </thead>
        <tbody class="asks">
          {asks.toReversed().map((row, index) => (
            <LadderRow key={index} row={row} side="asks" market={market} most={most} />
          ))}
        </tbody>
        <tbody class="spread">
          <tr>
            <td colSpan={3}>
              <SpreadRow market={market} bid={best[0]} ask={best[1]} />
            </td>
          </tr>
        </tbody>
        <tbody class="bids">
          {bids.map((row, index) => (
            <LadderRow key={index} row={row} side="bids" market={market} most={most} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function BookBadge() {
  const link = socket.link.value;
  const state = link === "live" ? bookState.value : link;
  const words = {
    live: "Live",
    resyncing: "Resyncing",
    connecting: "Connecting",
    stale: "Stale",
    offline: "Offline",
  };
  return (
    <span class={`badge link-${state}`} id="book-badge" title={socket.reason.value}>
      {words[state]}
    </span>
  );
}

interface LadderRowProperties {
  readonly row: Row;
  readonly side: "bids" | "asks";
  readonly market: MarketUnits;
  readonly most: bigint;
}

function LadderRow({ row, side, market, most }: LadderRowProperties) {
  const { ticks } = row;
  const width = most > 0n ? Number((row.sum * 1_000n) / most) / 1_000 : 0;
  const size = (scale: Scale, lots: bigint): string =>
    ticks === null ? "" : formatFixed(scale, lots);
  const title =
    ticks === null
      ? ""
      : `${format(market.quantity, row.sum)} ${market.base} up to here, at ${format(market.price, row.average)} on average` +
        (row.own > 0n ? `; ${format(market.quantity, row.own)} of this row is yours` : "") +
        "; click for the price, Shift+click for all of it";
  return (
    <tr
      class={row.own > 0n ? "own" : ""}
      title={title}
      onClick={(event) => {
        if (ticks !== null) fillFromBook(ticks, side, event.shiftKey);
      }}
    >
      <td class="price">
        <span class="bar" style={{ transform: `scaleX(${width})` }} />
        <span>{ticks === null ? "" : formatFixed(market.price, ticks)}</span>
      </td>
      <td>
        {row.own > 0n && (
          <span class="mark" title={`${format(market.quantity, row.own)} of it is yours`} />
        )}
        {size(market.quantity, row.lots)}
      </td>
      <td>{size(market.quantity, row.sum)}</td>
    </tr>
  );
}

interface SpreadProperties {
  readonly market: MarketUnits;
  readonly bid: bigint | undefined;
  readonly ask: bigint | undefined;
}

function SpreadRow({ market, bid, ask }: SpreadProperties) {
  const trade = lastTrade.value;
  const spread = bid !== undefined && ask !== undefined ? format(market.price, ask - bid) : "–";
  return (
    <div class="spread-row">
      <span class={trade === null ? "last" : trade.isBuyerMaker ? "last down" : "last up"}>
        {trade === null ? "–" : formatFixed(market.price, units(market.price, trade.price))}
        {trade !== null && <span aria-hidden="true">{trade.isBuyerMaker ? " ↓" : " ↑"}</span>}
      </span>
      <span class="small">Spread {spread}</span>
    </div>
  );
}
