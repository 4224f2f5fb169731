/**
 * The order book of one market: a snapshot, and every change after it.
 *
 * Invariant: what `levels` shows is the exchange's book at `id`, or nothing. A gap in the ids, a
 * lost connection or a crossed book empties it until the next snapshot. Of a book with more levels
 * than a snapshot has, only those up to the snapshot's last price are known and shown; when most of
 * them are gone, another snapshot is needed.
 */

import type { Depth, Level } from "../api/types.ts";
import { type Scale, units } from "../money/scale.ts";

/** A change of the book: ids `U` to `u`. */
export interface Delta {
  readonly U: number;
  readonly u: number;
  readonly a: readonly Level[];
  readonly b: readonly Level[];
}

const WAITING_MAX = 10_000;

/** Prices of one side, best first, with their quantities. */
class BookSide {
  readonly prices: bigint[] = [];
  readonly lots = new Map<bigint, bigint>();
  /** The last price that is known; null: all are. */
  private last: bigint | null = null;
  private least = 0; // levels, or it is too thin

  constructor(private readonly isBetter: (one: bigint, other: bigint) => boolean) {}

  /** A snapshot with at most `limit` levels has been set. */
  bound(limit: number): void {
    const isCut = this.prices.length >= limit;
    this.last = isCut ? this.prices[limit - 1]! : null;
    this.least = isCut ? limit / 2 : 0;
  }

  get isTooThin(): boolean {
    return this.prices.length < this.least;
  }

  set(price: bigint, lots: bigint): void {
    if (this.last !== null && this.isBetter(this.last, price)) return;
    const known = this.lots.has(price);
    if (lots === 0n) {
      if (known) {
        this.lots.delete(price);
        this.prices.splice(this.placeOf(price), 1);
      }
      return;
    }
    this.lots.set(price, lots);
    if (!known) this.prices.splice(this.placeOf(price), 0, price);
  }

  clear(): void {
    this.prices.length = 0;
    this.lots.clear();
    this.last = null;
    this.least = 0;
  }

  /** Where a price stands, or would stand. */
  private placeOf(price: bigint): number {
    let low = 0;
    let high = this.prices.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.isBetter(this.prices[middle]!, price)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

export class Book {
  readonly bids = new BookSide((one, other) => one > other);
  readonly asks = new BookSide((one, other) => one < other);
  /** The id of the newest change; 0: there is no book. */
  id = 0;
  /** How often it was emptied, by reason: for the badge and for tests. */
  resyncs = 0;
  private waiting: Delta[] = [];

  constructor(
    private readonly price: Scale,
    private readonly quantity: Scale,
    private readonly onLost: () => void,
  ) {}

  get isLive(): boolean {
    return this.id > 0;
  }

  /** Best first, at most `count`. */
  levels(side: "bids" | "asks", count: number): [bigint, bigint][] {
    const { prices, lots } = this[side];
    return prices.slice(0, count).map((price) => [price, lots.get(price)!]);
  }

  /** Apply a change, or keep it until the snapshot is here. */
  change(delta: Delta): void {
    if (!this.isLive) {
      if (this.waiting.length < WAITING_MAX) this.waiting.push(delta);
      return;
    }
    if (delta.u <= this.id) return;
    if (delta.U > this.id + 1) {
      this.lose();
      this.waiting.push(delta);
      return;
    }
    this.apply(delta);
  }

  /**
   * Begin from a snapshot with at most `limit` levels a side. Returns false if changes after it are
   * missing: ask for another.
   */
  begin(depth: Depth, limit = Number.POSITIVE_INFINITY): boolean {
    this.bids.clear();
    this.asks.clear();
    this.id = Number(depth.lastUpdateId);
    this.set(depth.bids, depth.asks);
    this.bids.bound(limit);
    this.asks.bound(limit);
    const waiting = this.waiting;
    this.waiting = [];
    for (const delta of waiting) {
      if (delta.u <= this.id) continue;
      if (delta.U > this.id + 1) {
        this.empty();
        return false;
      }
      this.apply(delta);
      if (!this.isLive) return false;
    }
    return true;
  }

  /** Show nothing from now on. */
  empty(): void {
    this.id = 0;
    this.bids.clear();
    this.asks.clear();
    this.waiting = [];
  }

  private lose(): void {
    this.empty();
    this.resyncs += 1;
    this.onLost();
  }

  private apply(delta: Delta): void {
    this.set(delta.b, delta.a);
    this.id = delta.u;
    const bid = this.bids.prices[0];
    const ask = this.asks.prices[0];
    const isCrossed = bid !== undefined && ask !== undefined && bid >= ask;
    if (isCrossed || this.bids.isTooThin || this.asks.isTooThin) this.lose();
  }

  private set(bids: readonly Level[], asks: readonly Level[]): void {
    for (const [price, lots] of bids)
      this.bids.set(units(this.price, price), units(this.quantity, lots));
    for (const [price, lots] of asks)
      this.asks.set(units(this.price, price), units(this.quantity, lots));
  }
}

/** Sum levels into steps of `ticks`: bids down, asks up, so that no price looks better than it is. */
export function groupLevels(
  levels: readonly (readonly [bigint, bigint])[],
  side: "bids" | "asks",
  ticks: bigint,
  count: number,
): [bigint, bigint][] {
  const found: [bigint, bigint][] = [];
  for (const [price, lots] of levels) {
    const rest = price % ticks;
    const step = side === "bids" || rest === 0n ? price - rest : price - rest + ticks;
    const last = found[found.length - 1];
    if (last !== undefined && last[0] === step) last[1] += lots;
    else if (found.length === count) break;
    else found.push([step, lots]);
  }
  return found;
}
