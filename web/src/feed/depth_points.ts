/** The book summed by price: what the depth chart draws. */

/** `sum`: lots at this price and all better ones. */
export interface DepthPoint {
  readonly ticks: bigint;
  readonly sum: bigint;
}

/** levels: best first. */
export function cumulate(levels: readonly (readonly [bigint, bigint])[]): readonly DepthPoint[] {
  let sum = 0n;
  return levels.map(([ticks, lots]) => {
    sum += lots;
    return { ticks, sum };
  });
}

const distance = (one: bigint, other: bigint): bigint => (one > other ? one - other : other - one);

/** Both sides to the same distance from the middle, so that their areas can be compared. */
export function symmetric(
  bids: readonly DepthPoint[],
  asks: readonly DepthPoint[],
): { readonly bids: readonly DepthPoint[]; readonly asks: readonly DepthPoint[] } {
  const [bid, ask] = [bids[0], asks[0]];
  if (bid === undefined || ask === undefined) return { bids, asks };
  const twice = bid.ticks + ask.ticks; // twice the middle
  const far = (points: readonly DepthPoint[]): bigint => distance(2n * points.at(-1)!.ticks, twice);
  const [farBid, farAsk] = [far(bids), far(asks)];
  const most = farBid < farAsk ? farBid : farAsk;
  const within = (point: DepthPoint): boolean => distance(2n * point.ticks, twice) <= most;
  return { bids: bids.filter(within), asks: asks.filter(within) };
}

/** The point whose price is nearest. points: not empty. */
export function nearestPoint(points: readonly DepthPoint[], ticks: bigint): DepthPoint {
  return points.reduce((best, point) =>
    distance(point.ticks, ticks) < distance(best.ticks, ticks) ? point : best,
  );
}
