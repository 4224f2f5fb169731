import fc from "fast-check";
import { expect, test } from "vitest";
import { cumulate, nearestPoint, symmetric } from "../src/feed/depth_points.ts";

const levels = fc.uniqueArray(fc.bigInt(1n, 500n), { minLength: 1, maxLength: 30 });
const lots = (ticks: bigint): bigint => (ticks * 7n) % 13n;

test("sums are those of the book, and both sides reach equally far", () => {
  fc.assert(
    fc.property(levels, levels, (below, above) => {
      const bids = below.map((each) => 1_000n - each).sort((a, b) => Number(b - a));
      const asks = above.map((each) => 1_000n + each).sort((a, b) => Number(a - b));
      const [allBids, allAsks] = [bids, asks].map((prices) =>
        cumulate(prices.map((ticks) => [ticks, lots(ticks)])),
      );
      const shown = symmetric(allBids!, allAsks!);
      const most = (side: typeof shown.bids): bigint => side.at(-1)!.ticks * 2n;
      const middle = bids[0]! + asks[0]!;
      const shortest = [middle - bids.at(-1)! * 2n, asks.at(-1)! * 2n - middle].sort((a, b) =>
        Number(a - b),
      )[0]!;
      expect(middle - most(shown.bids) <= shortest).toBe(true);
      expect(most(shown.asks) - middle <= shortest).toBe(true);
      for (const [side, prices, isAsk] of [
        [shown.bids, bids, false],
        [shown.asks, asks, true],
      ] as const) {
        for (const point of side) {
          const better = prices.filter((each) =>
            isAsk ? each <= point.ticks : each >= point.ticks,
          );
          expect(point.sum).toBe(better.map(lots).reduce((one, other) => one + other, 0n));
        }
      }
    }),
  );
});

test("the nearest price is found", () => {
  const points = cumulate([
    [10n, 1n],
    [20n, 1n],
    [30n, 1n],
  ]);
  expect(nearestPoint(points, 24n).ticks).toBe(20n);
  expect(nearestPoint(points, 99n).ticks).toBe(30n);
});
