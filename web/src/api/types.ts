/** Answers of the public API, as far as the page reads them: see /openapi.json. */

export type MarketState = "Open" | "PostOnly" | "LimitOnly" | "CancelOnly" | "Closed";
export type OrderStatus = "New" | "PartiallyFilled" | "Filled" | "Cancelled" | "Expired";
export type Permission = "read" | "trade" | "withdraw";

export interface Venue {
  readonly name: string;
  readonly version: string;
  readonly ws: string;
  readonly demo: boolean;
  readonly test: boolean;
  readonly signUp: "open" | "invitation" | "closed";
  readonly markets: Readonly<
    Record<string, { readonly makerFee: string; readonly takerFee: string }>
  >;
}

export interface Market {
  readonly symbol: string;
  readonly baseSymbol: string;
  readonly quoteSymbol: string;
  readonly orderBookState: MarketState;
  readonly filters: {
    readonly price: {
      readonly tickSize: string;
      readonly minPrice: string;
      readonly maxPrice: string | null;
    };
    readonly quantity: {
      readonly stepSize: string;
      readonly minQuantity: string;
      readonly maxQuantity: string | null;
    };
  };
}

export interface Asset {
  readonly symbol: string;
  readonly displayName: string;
  readonly tokens: readonly { readonly blockchain: string; readonly nativeDecimals: number }[];
}

export type Level = readonly [string, string];

export interface Depth {
  readonly asks: readonly Level[];
  readonly bids: readonly Level[];
  readonly lastUpdateId: string;
}

export interface Trade {
  readonly id: number;
  readonly price: string;
  readonly quantity: string;
  readonly timestamp: number;
  readonly isBuyerMaker: boolean;
}

export interface Ticker {
  readonly symbol: string;
  readonly firstPrice: string;
  readonly lastPrice: string;
  readonly priceChange: string;
  readonly priceChangePercent: string;
  readonly high: string;
  readonly low: string;
  readonly volume: string;
  readonly quoteVolume: string;
}

export interface Candle {
  readonly start: string;
  readonly open: string;
  readonly high: string;
  readonly low: string;
  readonly close: string;
  readonly volume: string;
}

export interface Order {
  readonly id: string;
  readonly clientId: number | string | null;
  readonly symbol: string;
  readonly side: "Bid" | "Ask";
  readonly orderType: "Limit" | "Market";
  readonly price?: string;
  readonly quantity: string;
  readonly quoteQuantity?: string | null;
  readonly executedQuantity: string;
  readonly executedQuoteQuantity: string;
  readonly timeInForce: string;
  readonly postOnly?: boolean;
  readonly status: OrderStatus;
  readonly createdAt: number | string;
  readonly expiryReason?: string | null;
}

export interface Fill {
  readonly tradeId: number;
  readonly orderId: string;
  readonly symbol: string;
  readonly side: "Bid" | "Ask";
  readonly price: string;
  readonly quantity: string;
  readonly fee: string;
  readonly feeSymbol: string;
  readonly isMaker: boolean;
  readonly timestamp: string;
}

export interface Balance {
  readonly available: string;
  readonly locked: string;
}

export interface Transfer {
  readonly id: number;
  readonly symbol: string;
  readonly quantity: string;
  readonly status: string;
  readonly createdAt: string;
  readonly toAddress: string | null;
}

export interface Checkpoint {
  readonly position: string;
  readonly chain: string;
  readonly eventHash: string;
  readonly engines: readonly string[];
}

/** Oldest first; each note has a position, a hash of the log and a signature. */
export interface SignedCheckpoints {
  readonly key: string;
  readonly notes: readonly string[];
}

/** What has checked the history. */
export interface ProofStatus {
  readonly witnesses: readonly {
    readonly url: string;
    readonly position: string;
    readonly seen: number | null;
    readonly problem: string | null;
  }[];
  readonly replayed: {
    readonly position: string;
    readonly resumedAt: string;
    readonly confirmed: boolean;
  } | null;
}

/** The newest proof of liabilities: what counts stands in its note. */
export interface LiabilitiesProof {
  readonly position: string;
  readonly note: string | null;
  readonly key: string | null;
}

export interface Leaf {
  readonly symbol: string;
  readonly accountId: string;
  readonly atoms: string;
  readonly salt: string;
  readonly index: number;
  readonly path: readonly {
    readonly hash: string;
    readonly atoms: string;
    readonly side: "left" | "right";
  }[];
}

export interface AccountProof {
  readonly position: string;
  readonly accountId: string;
  readonly leaves: readonly Leaf[];
}

export interface Session {
  readonly id: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly current: boolean;
}

export interface Key {
  readonly id: string;
  readonly publicKey: string | null;
  readonly label: string;
  readonly permissions: readonly Permission[];
  readonly createdAt: number;
  readonly expiresAt: number | null;
}
