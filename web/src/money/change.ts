/** The change of a price in percent, in whole units. */

import { type Scale, units } from "./scale.ts";

/** Millionths, rounded toward zero; null: one of the prices is not known or zero. */
export function ppmChange(
  scale: Scale,
  first: string | undefined,
  last: string | undefined,
): bigint | null {
  if (first === undefined || last === undefined) return null;
  const before = units(scale, first);
  return before === 0n ? null : ((units(scale, last) - before) * 1_000_000n) / before;
}

/** Units of 10^-decimals with a sign and two places, rounded toward zero: 12345, 4 is "+1.23". */
export function signed(count: bigint, decimals: number): string {
  const size = count < 0n ? -count : count;
  const hundredths = size / 10n ** BigInt(decimals - 2);
  const text = String(hundredths).padStart(3, "0");
  const sign = count > 0n ? "+" : count < 0n ? "−" : "";
  return `${sign}${text.slice(0, -2)}.${text.slice(-2)}`;
}
