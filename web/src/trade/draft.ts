/**
 * An order as it is typed: what is wrong with it, what it would cost, and the request that it
 * becomes. What was typed is never changed.
 */

import {
  average,
  cost,
  feeOf,
  type Levels,
  type MarketUnits,
  mostLots,
  type Side,
  slippageBasisPoints,
  walk,
} from "../money/order_math.ts";
import { format, readTyped, type Typed } from "../money/scale.ts";

export type Kind = "limit" | "market";
export type Lifetime = "GTC" | "IOC" | "FOK" | "post-only";

export interface Fields {
  readonly side: Side;
  readonly kind: Kind;
  readonly price: string;
  /** Lots of the base; for a market buy an amount of the quote. */
  readonly amount: string;
  readonly lifetime: Lifetime;
}

export interface Context {
  readonly market: MarketUnits;
  /** Best first, of the side that the order would meet. */
  readonly other: Levels;
  /** Atoms of the asset that is paid with; null: nobody is logged in. */
  readonly available: bigint | null;
}

export interface Summary {
  readonly total: string;
  readonly received: string;
  readonly receivedSymbol: string;
  readonly fee: string;
  readonly averagePrice: string | null;
  readonly slippage: string | null;
}

export interface Draft {
  readonly price: Typed | null;
  readonly amount: Typed;
  /** Why it cannot be sent, beside what is wrong with one field. */
  readonly problem: string;
  readonly warning: string;
  readonly summary: Summary | null;
  readonly body: Readonly<Record<string, string | boolean>> | null;
}

export const isByQuote = (fields: Fields): boolean =>
  fields.kind === "market" && fields.side === "Bid";

export function draftOf(fields: Fields, context: Context): Draft {
  const { market } = context;
  const price = fields.kind === "limit" ? readPrice(fields.price, market) : null;
  const amount = isByQuote(fields)
    ? readTyped(market.quoteAtoms, fields.amount, "amount")
    : readLots(fields.amount, market);
  if (!amount.ok || price?.ok === false) {
    return { price, amount, problem: "", warning: "", summary: null, body: null };
  }
  const ticks = price?.ok ? price.units : 0n;
  return fields.kind === "limit"
    ? limitDraft(fields, context, price, amount, ticks, amount.units)
    : marketDraft(fields, context, amount);
}

function limitDraft(
  fields: Fields,
  context: Context,
  price: Typed | null,
  amount: Typed,
  ticks: bigint,
  lots: bigint,
): Draft {
  const { market, other, available } = context;
  const isBuy = fields.side === "Bid";
  const total = cost(market, ticks, lots);
  const base = lots * market.lotAtoms;
  const within = (each: bigint): boolean => (isBuy ? each <= ticks : each >= ticks);
  const met = walk(market, other, { lots }, within);
  const rests = met.lots < lots;
  const rest = cost(market, ticks, lots - met.lots);
  const taken = isBuy ? met.lots * market.lotAtoms : met.atoms;
  const resting = isBuy ? base - taken : rest;
  let warning = "";
  if (fields.lifetime === "post-only" && met.lots > 0n) {
    warning = "It would trade at once, so a post-only order is refused";
  } else if (fields.lifetime === "FOK" && rests) {
    warning = "The book does not have so much at this price: nothing would be done";
  } else if (fields.lifetime === "IOC" && rests) {
    const done = format(market.quantity, met.lots);
    warning = `The book has ${done} ${market.base} at this price: the rest would be dropped`;
  }
  return {
    price,
    amount,
    problem: tooMany(market, ticks, lots) || shortOf(isBuy ? total : base, context),
    warning,
    summary: summaryOf(context, fields.side, met.atoms + rest, [taken, resting], met),
    body: available === null ? null : limitBody(fields, market, price, amount),
  };
}

function marketDraft(fields: Fields, context: Context, amount: Typed & { ok: true }): Draft {
  const { market, other, available } = context;
  const isBuy = fields.side === "Bid";
  const wanted = isBuy ? { atoms: amount.units } : { lots: amount.units };
  const met = walk(market, other, wanted);
  const spent = isBuy ? amount.units : amount.units * market.lotAtoms;
  let problem = shortOf(spent, context);
  let warning = "";
  if (!problem && met.lots === 0n) {
    problem =
      other.length === 0
        ? "The book is empty on this side"
        : "Too little for the smallest quantity";
  }
  if (!problem && !met.isWhole) {
    const done = format(market.quantity, met.lots);
    warning = `The book has only ${done} ${market.base}: the rest would be dropped`;
  }
  const received = isBuy ? met.lots * market.lotAtoms : met.atoms;
  return {
    price: null,
    amount,
    problem,
    warning,
    summary: summaryOf(context, fields.side, met.atoms, [received, 0n], met),
    body:
      available === null
        ? null
        : {
            symbol: market.symbol,
            side: fields.side,
            orderType: "Market",
            [isBuy ? "quoteQuantity" : "quantity"]: amount.text,
          },
  };
}

function limitBody(
  fields: Fields,
  market: MarketUnits,
  price: Typed | null,
  amount: Typed,
): Readonly<Record<string, string | boolean>> | null {
  if (!price?.ok || !amount.ok) return null;
  return {
    symbol: market.symbol,
    side: fields.side,
    orderType: "Limit",
    price: price.text,
    quantity: amount.text,
    ...(fields.lifetime === "post-only" ? { postOnly: true } : { timeInForce: fields.lifetime }),
  };
}

function readPrice(typed: string, market: MarketUnits): Typed {
  const found = readTyped(market.price, typed, "price");
  if (!found.ok) return found;
  if (found.units < market.priceMin) {
    const least = format(market.price, market.priceMin);
    return { ok: false, problem: `The lowest price is ${least}`, nearest: [least] };
  }
  if (market.priceMax !== null && found.units > market.priceMax) {
    const most = format(market.price, market.priceMax);
    return { ok: false, problem: `The highest price is ${most}`, nearest: [most] };
  }
  return found;
}

function readLots(typed: string, market: MarketUnits): Typed {
  const found = readTyped(market.quantity, typed, "quantity");
  if (!found.ok) return found;
  if (found.units < market.lotsMin) {
    const least = format(market.quantity, market.lotsMin);
    return { ok: false, problem: `The smallest quantity is ${least}`, nearest: [least] };
  }
  if (market.lotsMax !== null && found.units > market.lotsMax) {
    const most = format(market.quantity, market.lotsMax);
    return { ok: false, problem: `The largest quantity is ${most}`, nearest: [most] };
  }
  return found;
}

function tooMany(market: MarketUnits, ticks: bigint, lots: bigint): string {
  const most = mostLots(market, ticks);
  return lots > most ? `At this price at most ${format(market.quantity, most)} can be ordered` : "";
}

function shortOf(needed: bigint, { available }: Context): string {
  return available !== null && needed > available ? "Your funds do not reach" : "";
}

/** received: atoms for what it takes from the book, and for what rests at its price. */
function summaryOf(
  { market, other }: Context,
  side: Side,
  total: bigint,
  received: readonly [bigint, bigint],
  met: ReturnType<typeof walk>,
): Summary {
  const [scale, receivedSymbol] =
    side === "Bid" ? [market.baseAtoms, market.base] : [market.quoteAtoms, market.quote];
  const charged = feeOf(market, ...received);
  const points = slippageBasisPoints(market, met, other[0]?.[0] ?? 0n);
  return {
    total: format(market.quoteAtoms, total),
    received: format(scale, received[0] + received[1] - charged),
    receivedSymbol,
    fee: format(scale, charged),
    averagePrice: met.lots ? format(market.price, average(market, met)) : null,
    slippage: met.lots ? `${format({ step: 1n, decimals: 2 }, points)} %` : null,
  };
}
