/**
 * What an order costs, in whole units: ticks, lots, and atoms of base and quote.
 *
 * Rules: docs/reference/ledger-rules.md, 4 and 6. A buy reserves price x lots; the fee is taken
 * from what is received, rounded up once for the order.
 */

import { type Scale, scaleOf, units } from "./scale.ts";

/** A market in whole units. */
export interface MarketUnits {
  readonly symbol: string;
  readonly base: string;
  readonly quote: string;
  readonly price: Scale;
  readonly quantity: Scale;
  readonly baseAtoms: Scale;
  readonly quoteAtoms: Scale;
  /** Atoms of the base in a lot, and of the quote in a tick of one lot. */
  readonly lotAtoms: bigint;
  readonly tickAtoms: bigint;
  readonly priceMin: bigint;
  readonly priceMax: bigint | null;
  readonly lotsMin: bigint;
  readonly lotsMax: bigint | null;
  /** Millionths of what is received. */
  readonly makerFeePpm: bigint;
  readonly takerFeePpm: bigint;
}

export type Side = "Bid" | "Ask";

/** Ticks and lots, best first. */
export type Levels = readonly (readonly [bigint, bigint])[];

/** What an order meets in the book of this moment. */
export interface Walk {
  readonly lots: bigint;
  readonly atoms: bigint;
  readonly worst: bigint;
  readonly isWhole: boolean;
}

/** Bounds of the exchange: of a quantity, and of any amount. */
export const MAX_LOTS = 1n << 40n;
export const MAX_ATOMS = 1n << 62n;

export function tickAtomsOf(price: Scale, quantity: Scale, quoteDecimals: number): bigint {
  const decimals = price.decimals + quantity.decimals - quoteDecimals;
  const product = price.step * quantity.step;
  return decimals <= 0 ? product * 10n ** BigInt(-decimals) : product / 10n ** BigInt(decimals);
}

/** Basis points, such as "2.5", as millionths. */
export const ppmOf = (basisPoints: string): bigint => units(scaleOf("0.01"), basisPoints);

export const cost = (market: MarketUnits, ticks: bigint, lots: bigint): bigint =>
  ticks * lots * market.tickAtoms;

/** Of what an order receives as a taker and as a maker; rounded up once, as the exchange does. */
export const feeOf = (market: MarketUnits, taken: bigint, resting: bigint): bigint =>
  (taken * market.takerFeePpm + resting * market.makerFeePpm + 999_999n) / 1_000_000n;

/** The most lots of an order at this price, by the bounds of the market and of all amounts. */
export function mostLots(market: MarketUnits, ticks: bigint): bigint {
  const bounds = [
    market.lotsMax ?? MAX_LOTS,
    MAX_ATOMS / market.lotAtoms,
    MAX_ATOMS / (ticks * market.tickAtoms),
  ];
  return bounds.reduce((least, each) => (each < least ? each : least));
}

/** The most lots that an order may have, by funds and by the bounds. ticks: above zero. */
export function lotsFor(market: MarketUnits, atoms: bigint, side: Side, ticks: bigint): bigint {
  const lots = atoms / (side === "Ask" ? market.lotAtoms : ticks * market.tickAtoms);
  const most = mostLots(market, ticks);
  return lots < most ? lots : most;
}

/** A share of the funds in percent, as lots that are accepted; 0: too little for one. */
export function share(
  market: MarketUnits,
  available: bigint,
  side: Side,
  ticks: bigint,
  percent: bigint,
): bigint {
  const lots = lotsFor(market, (available * percent) / 100n, side, ticks);
  return lots >= market.lotsMin ? lots : 0n;
}

/** Meet the levels of the other side, until lots or atoms (of the quote) are used up. */
export function walk(
  market: MarketUnits,
  levels: Levels,
  wanted: { lots: bigint } | { atoms: bigint },
  isWithin: (ticks: bigint) => boolean = () => true,
): Walk {
  let lots = 0n;
  let atoms = 0n;
  let worst = 0n;
  for (const [ticks, there] of levels) {
    if (!isWithin(ticks)) break;
    const each = ticks * market.tickAtoms;
    const room = "lots" in wanted ? wanted.lots - lots : (wanted.atoms - atoms) / each;
    const taken = room < there ? room : there;
    if (taken <= 0n) return { lots, atoms, worst, isWhole: true };
    lots += taken;
    atoms += taken * each;
    worst = ticks;
    if (taken < there) return { lots, atoms, worst, isWhole: true };
  }
  const isWhole = "lots" in wanted ? lots === wanted.lots : lots > 0n && atoms === wanted.atoms;
  return { lots, atoms, worst, isWhole };
}

/** The average price of a walk, in ticks, to the nearest. */
export const average = (market: MarketUnits, each: Walk): bigint =>
  each.lots
    ? (each.atoms * 2n + each.lots * market.tickAtoms) / (each.lots * market.tickAtoms * 2n)
    : 0n;

/** How much worse the average is than the best price, in basis points, rounded up. */
export function slippageBasisPoints(market: MarketUnits, each: Walk, best: bigint): bigint {
  if (!each.lots || !best) return 0n;
  const atBest = best * each.lots * market.tickAtoms;
  const difference = each.atoms > atBest ? each.atoms - atBest : atBest - each.atoms;
  return (difference * 10_000n + atBest - 1n) / atBest;
}
