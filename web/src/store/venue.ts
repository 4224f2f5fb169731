/** The exchange, its markets and what it announces. */

import { computed, effect, signal } from "@preact/signals";
import { get } from "../api/client.ts";
import type { Asset, Market, MarketState, Ticker, Venue } from "../api/types.ts";
import { Socket } from "../feed/socket.ts";
import { type MarketUnits, ppmOf, tickAtomsOf } from "../money/order_math.ts";
import { atomsScale, scaleOf, units } from "../money/scale.ts";

interface VenueNews {
  readonly paused: boolean;
  readonly markets: Readonly<Record<string, MarketState>>;
  readonly announcements: readonly string[];
}

export const venue = signal<Venue | null>(null);
export const markets = signal<readonly Market[]>([]);
export const assets = signal<readonly Asset[]>([]);
export const tickers = signal<Readonly<Record<string, Ticker>>>({});
export const news = signal<VenueNews>({ paused: false, markets: {}, announcements: [] });

const scheme = location.protocol === "https:" ? "wss" : "ws";
export const socket = new Socket(`${scheme}://${location.host}/ws`);
socket.subscribe("venue", (data) => {
  news.value = data as VenueNews;
});

/** Markets in whole units, by symbol. */
export const marketUnits = computed<ReadonlyMap<string, MarketUnits>>(() => {
  const decimals = new Map(
    assets.value.map((asset) => [asset.symbol, asset.tokens[0]?.nativeDecimals ?? 0]),
  );
  const fees = venue.value?.markets ?? {};
  return new Map(markets.value.map((market) => [market.symbol, unitsOf(market, decimals, fees)]));
});

export const stateOf = (symbol: string): MarketState =>
  news.value.markets[symbol] ??
  markets.value.find((market) => market.symbol === symbol)?.orderBookState ??
  "Closed";

/** The decimals of an asset. */
export const decimalsOf = (symbol: string): number =>
  assets.value.find((asset) => asset.symbol === symbol)?.tokens[0]?.nativeDecimals ?? 0;

/** Load what operators seldom change. Throws ApiError. */
export async function loadVenue(): Promise<void> {
  const [foundVenue, foundMarkets, foundAssets] = await Promise.all([
    get<Venue>("/api/v1/venue"),
    get<readonly Market[]>("/api/v1/markets"),
    get<readonly Asset[]>("/api/v1/assets"),
  ]);
  venue.value = foundVenue;
  assets.value = foundAssets;
  markets.value = foundMarkets;
}

// A fee or a market may have changed while there was no connection.
socket.onOpen(() => void loadVenue().catch(() => undefined));
effect(() => {
  const names = Object.keys(news.value.markets);
  const known = new Set(markets.peek().map((market) => market.symbol));
  if (known.size > 0 && names.some((name) => !known.has(name))) {
    loadVenue().catch(() => undefined);
  }
});

/** The last 24 hours of all markets. Throws ApiError. */
export async function loadTickers(): Promise<void> {
  const found = await get<readonly Ticker[]>("/api/v1/tickers");
  tickers.value = Object.fromEntries(found.map((each) => [each.symbol, each]));
}

function unitsOf(
  market: Market,
  decimals: ReadonlyMap<string, number>,
  fees: Venue["markets"],
): MarketUnits {
  const price = scaleOf(market.filters.price.tickSize);
  const quantity = scaleOf(market.filters.quantity.stepSize);
  const baseDecimals = decimals.get(market.baseSymbol) ?? quantity.decimals;
  const quoteDecimals = decimals.get(market.quoteSymbol) ?? price.decimals;
  const { minPrice, maxPrice } = market.filters.price;
  const { minQuantity, maxQuantity } = market.filters.quantity;
  const rates = fees[market.symbol] ?? { makerFee: "0", takerFee: "0" };
  return {
    symbol: market.symbol,
    base: market.baseSymbol,
    quote: market.quoteSymbol,
    price,
    quantity,
    baseAtoms: atomsScale(baseDecimals),
    quoteAtoms: atomsScale(quoteDecimals),
    lotAtoms: quantity.step * 10n ** BigInt(baseDecimals - quantity.decimals),
    tickAtoms: tickAtomsOf(price, quantity, quoteDecimals),
    priceMin: units(price, minPrice),
    priceMax: maxPrice === null ? null : units(price, maxPrice),
    lotsMin: units(quantity, minQuantity),
    lotsMax: maxQuantity === null ? null : units(quantity, maxQuantity),
    makerFeePpm: ppmOf(rates.makerFee),
    takerFeePpm: ppmOf(rates.takerFee),
  };
}
