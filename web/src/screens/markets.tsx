/** All markets with their last 24 hours. */

import { computed, signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get } from "../api/client.ts";
import type { Candle } from "../api/types.ts";
import { ppmChange, signed } from "../money/change.ts";
import { grouped } from "../money/scale.ts";
import { SearchField } from "../shell/search_field.tsx";
import { TableHead } from "../shell/table_head.tsx";
import { loadTickers, markets, marketUnits, stateOf, tickers } from "../store/venue.ts";
import { favourites, toggleFavourite } from "./favourites.ts";

type Order = "name" | "change" | "volume";

const LINES_MAX = 50;
const RELOAD_MS = 5_000;

const words = signal("");
const order = signal<Order>("name");
const lines = signal<Readonly<Record<string, readonly number[]>>>({});

interface Row {
  readonly symbol: string;
  readonly last: string;
  readonly change: bigint | null;
  readonly quoteVolume: string;
  readonly isFavourite: boolean;
}

const rows = computed<readonly Row[]>(() => {
  const wanted = words.value.trim().toUpperCase().replace("/", "_");
  const found = markets.value
    .filter((market) => market.symbol.includes(wanted))
    .map((market): Row => {
      const ticker = tickers.value[market.symbol];
      const scale = marketUnits.value.get(market.symbol)!.price;
      return {
        symbol: market.symbol,
        last: ticker?.lastPrice ?? "",
        change: ppmChange(scale, ticker?.firstPrice, ticker?.lastPrice),
        quoteVolume: ticker?.quoteVolume ?? "0",
        isFavourite: favourites.value.has(market.symbol),
      };
    });
  const by: Readonly<Record<Order, (one: Row, other: Row) => number>> = {
    name: (one, other) => one.symbol.localeCompare(other.symbol),
    change: (one, other) => Number((other.change ?? 0n) - (one.change ?? 0n)),
    volume: (one, other) => Number(other.quoteVolume) - Number(one.quoteVolume), // only to sort
  };
  return found.sort(
    (one, other) =>
      Number(other.isFavourite) - Number(one.isFavourite) || by[order.value](one, other),
  );
});

export default function Markets() {
  useEffect(() => {
    const load = (): void => void loadTickers().catch(() => undefined);
    load();
    void loadLines();
    const timer = setInterval(load, RELOAD_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <section class="panel page">
      <header class="page-head">
        <h1>Markets</h1>
        <SearchField name="Search markets" of={words} />
        <label class="row">
          Sort by
          <select
            value={order.value}
            onChange={(event) => {
              order.value = event.currentTarget.value as Order;
            }}
          >
            <option value="name">name</option>
            <option value="change">change</option>
            <option value="volume">volume</option>
          </select>
        </label>
      </header>
      <div class="scroll" tabIndex={0} role="region" aria-label="All markets">
        <table class="wide big">
          <TableHead
            names={["Favourite", "Market", "Last", "24 h", "Volume", "24 h line", "State"]}
            hidden={["Favourite"]}
          />
          <tbody>
            {rows.value.map((row) => (
              <MarketRow key={row.symbol} row={row} />
            ))}
          </tbody>
        </table>
      </div>
      {rows.value.length === 0 && <p class="empty">No market has this name.</p>}
    </section>
  );
}

function MarketRow({ row }: { readonly row: Row }) {
  const tone = row.change === null || row.change === 0n ? "" : row.change > 0n ? "up" : "down";
  return (
    <tr>
      <td>
        <button
          type="button"
          class="star"
          aria-pressed={row.isFavourite}
          aria-label={`Favourite ${row.symbol}`}
          onClick={() => toggleFavourite(row.symbol)}
        >
          {row.isFavourite ? "★" : "☆"}
        </button>
      </td>
      <td>
        <a href={`/trade/${row.symbol}`}>{row.symbol.replace("_", "/")}</a>
      </td>
      <td>{row.last ? grouped(row.last) : "–"}</td>
      <td class={tone}>{row.change === null ? "–" : `${signed(row.change, 4)} %`}</td>
      <td>{grouped(row.quoteVolume.split(".")[0] ?? "0")}</td>
      <td class={tone}>
        <Line closes={lines.value[row.symbol] ?? []} />
      </td>
      <td>{stateOf(row.symbol)}</td>
    </tr>
  );
}

/** Closing prices as a line. Numbers: these are pixels. */
function Line({ closes }: { readonly closes: readonly number[] }) {
  if (closes.length < 2) return null;
  const low = Math.min(...closes);
  const span = Math.max(...closes) - low || 1;
  const points = closes.map(
    (close, at) => `${(at * 100) / (closes.length - 1)},${28 - ((close - low) / span) * 26}`,
  );
  return (
    <svg class="line" viewBox="0 0 100 30" preserveAspectRatio="none" aria-hidden="true">
      <polyline points={points.join(" ")} />
    </svg>
  );
}

async function loadLines(): Promise<void> {
  const now = Math.floor(Date.now() / 1_000);
  for (const { symbol } of markets.value.slice(0, LINES_MAX)) {
    const found = await get<readonly Candle[]>("/api/v1/klines", {
      symbol,
      interval: "1h",
      startTime: now - 86_400,
      endTime: now,
    }).catch(() => []);
    lines.value = { ...lines.value, [symbol]: found.map((candle) => Number(candle.close)) };
  }
}
