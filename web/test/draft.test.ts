import fc from "fast-check";
import { expect, test } from "vitest";
import { feeOf, type Levels, type MarketUnits, share, walk } from "../src/money/order_math.ts";
import { atomsScale, scaleOf } from "../src/money/scale.ts";
import { type Context, draftOf, type Fields } from "../src/trade/draft.ts";

const SOL: MarketUnits = {
  symbol: "SOL_USDC",
  base: "SOL",
  quote: "USDC",
  price: scaleOf("0.01"),
  quantity: scaleOf("0.01"),
  baseAtoms: atomsScale(9),
  quoteAtoms: atomsScale(6),
  lotAtoms: 10_000_000n,
  tickAtoms: 100n,
  priceMin: 1n,
  priceMax: 1_000_000n,
  lotsMin: 1n,
  lotsMax: 1_000_000n,
  makerFeePpm: 800n,
  takerFeePpm: 1_000n,
};
const ASKS: Levels = [
  [10_000n, 500n],
  [10_010n, 500n],
];
const BUY: Fields = { side: "Bid", kind: "limit", price: "100", amount: "1", lifetime: "GTC" };
const rich = (other: Levels = ASKS): Context => ({ market: SOL, other, available: 10n ** 15n });

test("a limit buy reserves price times quantity, and pays its fee from what it receives", () => {
  const draft = draftOf({ ...BUY, price: "99.5", amount: "2.5" }, rich());
  expect(draft.summary).toMatchObject({
    total: "248.75",
    fee: "0.002",
    received: "2.498",
    receivedSymbol: "SOL",
    averagePrice: null,
  });
  expect(draft.body).toEqual({
    symbol: "SOL_USDC",
    side: "Bid",
    orderType: "Limit",
    price: "99.5",
    quantity: "2.5",
    timeInForce: "GTC",
  });
});

test("a market buy is sent by quote, and shows average and slippage", () => {
  const draft = draftOf({ ...BUY, kind: "market", price: "", amount: "600.5" }, rich());
  expect(draft.body).toEqual({
    symbol: "SOL_USDC",
    side: "Bid",
    orderType: "Market",
    quoteQuantity: "600.5",
  });
  expect(draft.summary).toMatchObject({ averagePrice: "100.02", slippage: "0.02 %" });
});

test.each([
  [{ amount: "0.005" }, "must be a multiple of 0.01"],
  [{ price: "100.001" }, "must be a multiple of 0.01"],
  [{ price: "10001" }, "The highest price is 10000"],
  [{ amount: "10001" }, "The largest quantity is 10000"],
])("%j is refused under its field", (changed, why) => {
  const draft = draftOf({ ...BUY, ...changed }, rich());
  const typed = [draft.price, draft.amount].find((each) => each?.ok === false);
  expect(typed?.ok === false && typed.problem).toContain(why);
  expect(draft.body).toBeNull();
});

test("what the book or the funds do not have is said before it is sent", () => {
  const poor = draftOf(BUY, { market: SOL, other: ASKS, available: 1n });
  expect(poor.problem).toBe("Your funds do not reach");
  const crossing = draftOf({ ...BUY, lifetime: "post-only", price: "100.1" }, rich());
  expect(crossing.warning).toContain("post-only order is refused");
  const tooMuch = draftOf({ ...BUY, kind: "market", amount: "2000" }, rich());
  expect(tooMuch.warning).toContain("only 10 SOL");
  const empty = draftOf({ ...BUY, kind: "market" }, rich([]));
  expect(empty.problem).toBe("The book is empty on this side");
  const half = draftOf({ ...BUY, lifetime: "FOK", price: "100", amount: "6" }, rich());
  expect(half.warning).toContain("nothing would be done");
});

test("without a session there is nothing to send", () => {
  expect(draftOf(BUY, { market: SOL, other: ASKS, available: null }).body).toBeNull();
});

test("a share of the funds is accepted, and leaves less than a lot", () => {
  const cases = fc.record({
    available: fc.bigInt(0n, 10n ** 14n),
    ticks: fc.bigInt(1n, 1_000_000n),
    tickAtoms: fc.bigInt(1n, 10_000n),
    lotAtoms: fc.bigInt(1n, 10n ** 9n),
    percent: fc.constantFrom(25n, 50n, 75n, 100n),
    side: fc.constantFrom("Bid" as const, "Ask" as const),
  });
  fc.assert(
    fc.property(cases, ({ available, ticks, tickAtoms, lotAtoms, percent, side }) => {
      const market = { ...SOL, tickAtoms, lotAtoms };
      const lots = share(market, available, side, ticks, percent);
      const each = side === "Bid" ? ticks * tickAtoms : lotAtoms;
      const funds = (available * percent) / 100n;
      expect(lots * each).toBeLessThanOrEqual(funds);
      if (lots > 0n && lots < 1_000_000n) expect(funds - lots * each).toBeLessThan(each);
    }),
    { numRuns: 10_000 },
  );
});

test("the fee is of what is taken and of what rests, rounded up once", () => {
  const market = { ...SOL, takerFeePpm: 1_000n, makerFeePpm: 0n };
  expect(feeOf(market, 10_000_000n, 90_000_000n)).toBe(10_000n);
  expect(feeOf(market, 1n, 1n)).toBe(1n);
  expect(feeOf({ ...market, makerFeePpm: 1_000n }, 500n, 500n)).toBe(1n);
});

test("a walk never takes more than there is or than is paid", () => {
  const levels = fc.array(fc.tuple(fc.bigInt(1n, 10_000n), fc.bigInt(1n, 100n)), { maxLength: 20 });
  fc.assert(
    fc.property(levels, fc.bigInt(1n, 10n ** 9n), (found, atoms) => {
      const sorted = found.toSorted((one, other) => Number(one[0] - other[0]));
      const met = walk(SOL, sorted, { atoms });
      expect(met.atoms).toBeLessThanOrEqual(atoms);
      const all = sorted.reduce((sum, [, lots]) => sum + lots, 0n);
      expect(met.lots).toBeLessThanOrEqual(all);
    }),
    { numRuns: 2_000 },
  );
});
