import fc from "fast-check";
import { expect, test } from "vitest";
import { Book, type Delta, groupLevels } from "../src/feed/book.ts";
import { scaleOf } from "../src/money/scale.ts";

const TICK = scaleOf("1");
type Side = Map<number, number>;

/** A book that changes at random, and what it says of each change. */
class Exchange {
  readonly bids: Side = new Map([[100, 5]]);
  readonly asks: Side = new Map([[110, 5]]);
  id = 1;

  change(isBid: boolean, price: number, lots: number): Delta {
    const side = isBid ? this.bids : this.asks;
    if (lots === 0) side.delete(price);
    else side.set(price, lots);
    this.id += 1;
    const level: readonly [string, string] = [String(price), String(lots)];
    return { U: this.id, u: this.id, a: isBid ? [] : [level], b: isBid ? [level] : [] };
  }

  snapshot() {
    const texts = (side: Side): [string, string][] =>
      [...side].map(([price, lots]) => [String(price), String(lots)]);
    return { bids: texts(this.bids), asks: texts(this.asks), lastUpdateId: String(this.id) };
  }
}

const shown = (book: Book, side: "bids" | "asks") =>
  book.levels(side, 1_000).map(([price, lots]) => [Number(price), Number(lots)]);

function expected(exchange: Exchange, side: "bids" | "asks") {
  const sign = side === "bids" ? -1 : 1;
  return [...exchange[side]].sort((one, other) => sign * (one[0] - other[0]));
}

const changes = fc.array(
  fc.record({
    isBid: fc.boolean(),
    offset: fc.integer({ min: 0, max: 30 }),
    lots: fc.integer({ min: 0, max: 4 }),
  }),
  { minLength: 1, maxLength: 60 },
);

test("after any changes the book is the exchange's, whenever the snapshot came", () => {
  fc.assert(
    fc.property(changes, fc.nat(60), (all, at) => {
      const exchange = new Exchange();
      const book = new Book(TICK, TICK, () => expect.unreachable());
      let snapshot = exchange.snapshot();
      all.forEach((each, index) => {
        if (index === Math.min(at, all.length - 1)) snapshot = exchange.snapshot();
        const price = each.isBid ? 100 - each.offset : 110 + each.offset;
        book.change(exchange.change(each.isBid, price, each.lots));
      });
      expect(book.isLive).toBe(false);
      expect(book.begin(snapshot)).toBe(true);
      expect(book.id).toBe(exchange.id);
      expect(shown(book, "bids")).toEqual(expected(exchange, "bids"));
      expect(shown(book, "asks")).toEqual(expected(exchange, "asks"));
    }),
    { numRuns: 1_000 },
  );
});

test("a missing change empties the book until a new snapshot", () => {
  const exchange = new Exchange();
  let lost = 0;
  const book = new Book(TICK, TICK, () => {
    lost += 1;
  });
  book.begin(exchange.snapshot());
  exchange.change(true, 99, 1); // It never arrives.
  book.change(exchange.change(true, 98, 1));
  expect([book.isLive, shown(book, "bids"), lost]).toEqual([false, [], 1]);
  book.change(exchange.change(false, 111, 2));
  expect(book.begin(exchange.snapshot())).toBe(true);
  expect(shown(book, "asks")).toEqual([
    [110, 5],
    [111, 2],
  ]);
});

test("a snapshot from before a gap is not used", () => {
  const exchange = new Exchange();
  const book = new Book(TICK, TICK, () => undefined);
  const old = exchange.snapshot();
  exchange.change(true, 99, 1);
  book.change(exchange.change(true, 98, 1));
  expect(book.begin(old)).toBe(false);
  expect(book.isLive).toBe(false);
});

test("changes that are in the snapshot count once", () => {
  const exchange = new Exchange();
  const book = new Book(TICK, TICK, () => undefined);
  const first = exchange.change(true, 99, 1);
  book.begin(exchange.snapshot());
  book.change(first);
  expect(book.id).toBe(2);
});

test("a crossed book is never shown", () => {
  const exchange = new Exchange();
  let lost = 0;
  const book = new Book(TICK, TICK, () => {
    lost += 1;
  });
  book.begin(exchange.snapshot());
  book.change(exchange.change(true, 110, 1));
  expect([book.isLive, lost]).toEqual([false, 1]);
});

test("grouped sums are those of the levels, and no price looks better than it is", () => {
  const levels = fc.uniqueArray(fc.tuple(fc.bigInt(1n, 2_000n), fc.bigInt(1n, 50n)), {
    selector: ([price]) => price,
    maxLength: 60,
  });
  fc.assert(
    fc.property(levels, fc.constantFrom("bids" as const, "asks" as const), (found, side) => {
      const sign = side === "bids" ? -1 : 1;
      const sorted = found.toSorted((one, other) => sign * Number(one[0] - other[0]));
      for (const step of [1n, 10n, 100n]) {
        const groups = groupLevels(sorted, side, step, 1_000);
        const sum = (all: readonly (readonly [bigint, bigint])[]): bigint =>
          all.reduce((total, [, lots]) => total + lots, 0n);
        expect(sum(groups)).toBe(sum(sorted));
        for (const [price, lots] of groups) {
          const within = sorted.filter(([each]) =>
            side === "bids"
              ? each >= price && each < price + step
              : each <= price && each > price - step,
          );
          expect(sum(within)).toBe(lots);
          expect(price % step).toBe(0n);
        }
      }
    }),
    { numRuns: 1_000 },
  );
});

test("of a book deeper than the snapshot only the known levels are shown", () => {
  const exchange = new Exchange();
  for (let each = 1; each <= 60; each += 1) exchange.change(true, 100 - each, 5);
  for (let each = 1; each <= 60; each += 1) exchange.change(false, 110 + each, 5);
  const limit = 20;
  const lost: string[] = [];
  const book = new Book(TICK, TICK, () => lost.push("lost"));
  const cut = (): ReturnType<Exchange["snapshot"]> => {
    const { bids, asks, lastUpdateId } = exchange.snapshot();
    const best = (levels: [string, string][], sign: number): [string, string][] =>
      levels.sort((one, other) => sign * (Number(one[0]) - Number(other[0]))).slice(0, limit);
    return { bids: best(bids, -1), asks: best(asks, 1), lastUpdateId };
  };
  expect(book.begin(cut(), limit)).toBe(true);
  book.change(exchange.change(true, 50, 7)); // below the last known bid
  expect(shown(book, "bids")).toEqual(expected(exchange, "bids").slice(0, limit));
  for (let each = 0; each <= 10; each += 1) book.change(exchange.change(true, 100 - each, 0));
  expect(lost).toEqual(["lost"]);
  expect(shown(book, "bids")).toEqual([]);
  expect(book.begin(cut(), limit)).toBe(true);
  expect(shown(book, "bids")).toEqual(expected(exchange, "bids").slice(0, limit));
});
