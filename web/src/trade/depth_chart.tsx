/** The sums of the book by price. Its pixels take Numbers, what it says is exact. */

import { useSignal } from "@preact/signals";
import { cumulate, type DepthPoint, nearestPoint, symmetric } from "../feed/depth_points.ts";
import type { MarketUnits } from "../money/order_math.ts";
import { formatFixed, grouped } from "../money/scale.ts";
import { TableHead } from "../shell/table_head.tsx";
import { book, bookDraw, symbol } from "../store/market.ts";
import { marketUnits } from "../store/venue.ts";

const LEVELS = 500;
const SIZE = 1_000; // of the drawing, in its own units

interface Sides {
  readonly bids: readonly DepthPoint[];
  readonly asks: readonly DepthPoint[];
}

function sides(): Sides {
  bookDraw.value; // Drawn anew with each change.
  const each = book();
  if (!each?.isLive) return { bids: [], asks: [] };
  return symmetric(cumulate(each.levels("bids", LEVELS)), cumulate(each.levels("asks", LEVELS)));
}

export function DepthChart({ asTable }: { asTable: boolean }) {
  const market = marketUnits.value.get(symbol.value);
  const { bids, asks } = sides();
  if (market === undefined || bids.length + asks.length === 0) {
    return <p class="empty chart-place">The book is empty</p>;
  }
  return asTable ? (
    <DepthTable market={market} bids={bids} asks={asks} />
  ) : (
    <Drawing market={market} bids={bids} asks={asks} />
  );
}

function Drawing({ market, bids, asks }: Sides & { market: MarketUnits }) {
  const cursor = useSignal<bigint | null>(null);
  const all = [...bids.toReversed(), ...asks];
  const least = all[0]!.ticks;
  const span = all.at(-1)!.ticks - least || 1n;
  const most = all.reduce((sum, point) => (point.sum > sum ? point.sum : sum), 1n);
  const x = (ticks: bigint): number => Number(((ticks - least) * BigInt(SIZE) * 10n) / span) / 10;
  const y = (sum: bigint): number => SIZE - Number((sum * BigInt(SIZE)) / most);
  const shown = cursor.value === null ? null : nearestPoint(all, cursor.value);
  const isBid = shown !== null && bids.includes(shown);
  const words =
    shown === null
      ? "Depth of the order book: move with the arrow keys"
      : `${formatFixed(market.price, shown.ticks)} ${market.quote}: ${grouped(
          formatFixed(market.quantity, shown.sum),
        )} ${market.base} ${isBid ? "bid down" : "offered up"} to here`;
  const move = (steps: number): void => {
    const from = shown === null ? bids.length : all.indexOf(shown) + steps;
    cursor.value = all[Math.max(0, Math.min(from, all.length - 1))]!.ticks;
  };
  return (
    <div
      class="chart-place depth"
      tabIndex={0}
      role="slider"
      aria-label="Depth"
      aria-valuemin={0}
      aria-valuemax={all.length - 1}
      aria-valuenow={shown === null ? bids.length : all.indexOf(shown)}
      aria-valuetext={words}
      onPointerMove={(event) => {
        const box = event.currentTarget.getBoundingClientRect();
        const part = Math.round(((event.clientX - box.left) / box.width) * SIZE);
        cursor.value = least + (span * BigInt(part)) / BigInt(SIZE);
      }}
      onPointerLeave={() => {
        cursor.value = null;
      }}
      onKeyDown={(event) => {
        const steps = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10 }[event.key];
        if (steps === undefined) return;
        event.preventDefault();
        move(steps);
      }}
    >
      <svg viewBox={`0 0 ${SIZE} ${SIZE}`} preserveAspectRatio="none" aria-hidden="true">
        <path class="depth-bids" d={outline(bids, x, y)} />
        <path class="depth-asks" d={outline(asks, x, y)} />
        {shown !== null && (
          <line x1={x(shown.ticks)} x2={x(shown.ticks)} y1={0} y2={SIZE} class="depth-cursor" />
        )}
      </svg>
      <p class="depth-words small">{words}</p>
      <p class="depth-axis small" aria-hidden="true">
        <span>{formatFixed(market.price, least)}</span>
        <span>{formatFixed(market.price, all.at(-1)!.ticks)}</span>
      </p>
    </div>
  );
}

/** A staircase from the best price outwards. */
function outline(
  points: readonly DepthPoint[],
  x: (ticks: bigint) => number,
  y: (sum: bigint) => number,
): string {
  if (points.length === 0) return "";
  let path = `M ${x(points[0]!.ticks)} ${SIZE}`;
  for (const point of points) path += ` H ${x(point.ticks)} V ${y(point.sum)}`;
  return `${path} V ${SIZE} Z`;
}

function DepthTable({ market, bids, asks }: Sides & { market: MarketUnits }) {
  const rows = Math.max(bids.length, asks.length);
  const cells = (point: DepthPoint | undefined) =>
    point === undefined
      ? ["", ""]
      : [formatFixed(market.quantity, point.sum), formatFixed(market.price, point.ticks)];
  return (
    <div class="scroll chart-place" tabIndex={0} role="region" aria-label="Depth as a table">
      <table id="depth-table">
        <TableHead names={["Bids, sum", "Bid", "Ask", "Asks, sum"]} />
        <tbody>
          {Array.from({ length: rows }, (_, at) => {
            const [bidSum, bid] = cells(bids[at]);
            const [askSum, ask] = cells(asks[at]);
            return (
              <tr key={at}>
                <td>{bidSum}</td>
                <td>{bid}</td>
                <td>{ask}</td>
                <td>{askSum}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
