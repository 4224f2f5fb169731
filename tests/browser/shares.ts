/** Run by test_shares.py with Node.js: reads cases from standard input, writes lots, one a line. */

import { readFileSync } from "node:fs";
import { type MarketUnits, type Side, share } from "../../web/src/money/order_math.ts";
import { atomsScale } from "../../web/src/money/scale.ts";

interface Case {
  readonly side: Side;
  readonly available: string;
  readonly ticks: string;
  readonly percent: string;
  readonly lotAtoms: string;
  readonly tickAtoms: string;
}

const scale = atomsScale(0);

for (const line of readFileSync(0, "utf8").trim().split("\n")) {
  const each = JSON.parse(line) as Case;
  const market: MarketUnits = {
    symbol: "BASE_QUOTE",
    base: "BASE",
    quote: "QUOTE",
    price: scale,
    quantity: scale,
    baseAtoms: scale,
    quoteAtoms: scale,
    lotAtoms: BigInt(each.lotAtoms),
    tickAtoms: BigInt(each.tickAtoms),
    priceMin: 1n,
    priceMax: null,
    lotsMin: 1n,
    lotsMax: null,
    makerFeePpm: 0n,
    takerFeePpm: 0n,
  };
  const [available, ticks, percent] = [each.available, each.ticks, each.percent].map(BigInt);
  console.log(String(share(market, available!, each.side, ticks!, percent!)));
}
