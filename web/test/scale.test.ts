import fc from "fast-check";
import { describe, expect, test } from "vitest";
import found from "../../tests/vectors/numbers.json";
import { signed } from "../src/money/change.ts";
import {
  atomsScale,
  format,
  formatFixed,
  grouped,
  readTyped,
  scaleOf,
  UNITS_OUT,
  units,
} from "../src/money/scale.ts";

interface Vector {
  readonly step: string;
  readonly decimals: number;
  readonly text: string;
  /** Null: the exchange refuses the text. */
  readonly units: string | null;
  readonly written: string | null;
}

const vectors: readonly Vector[] = found;

describe("the vectors of api/numbers.py", () => {
  test.each(vectors)("$text in $step / 10^$decimals", (vector) => {
    const scale = { step: BigInt(vector.step), decimals: vector.decimals };
    const typed = readTyped(scale, vector.text, "price");
    if (vector.units === null) {
      const isShort = vector.text.startsWith(".") || vector.text.endsWith(".");
      if (!isShort) expect(typed.ok).toBe(false);
      expect(() => units(scale, vector.text)).toThrow();
    } else {
      expect(units(scale, vector.text)).toBe(BigInt(vector.units));
      expect(format(scale, BigInt(vector.units))).toBe(vector.written);
      expect(typed.ok).toBe(vector.units !== "0" && BigInt(vector.units) < UNITS_OUT);
    }
  });
});

test("what is written is read as the same number of units", () => {
  const scales = fc.record({
    step: fc.bigInt({ min: 1n, max: 10n ** 6n }),
    decimals: fc.integer({ min: 0, max: 12 }),
  });
  fc.assert(
    fc.property(scales, fc.bigInt({ min: 0n, max: 1n << 38n }), (scale, count) => {
      const text = format(scale, count);
      expect(units(scale, text)).toBe(count);
      expect(text).not.toMatch(/e/i);
      expect(units(scale, formatFixed(scale, count))).toBe(count);
    }),
    { numRuns: 2_000 },
  );
});

const price = scaleOf("0.05");
test.each([
  ["1e3", "exponent"],
  ["1,5", "comma"],
  ["1.234,5", "comma"],
  [" 2 ", "spaces"],
  ["2\n", "spaces"],
  ["\t2", "spaces"],
  ["٣", "digits 0 to 9"],
  ["１２", "digits 0 to 9"],
  ["0.1.2", "no number"],
  ["1".repeat(40), "At most 18 digits"],
  ["-1", "without a sign"],
  ["+1", "without a sign"],
  ["0x10", "no number"],
  ["NaN", "no number"],
  ["Infinity", "no number"],
  ["1_000", "no number"],
  ["", "Type a price"],
  ["0", "above zero"],
  ["0.00", "above zero"],
  [".", "no number"],
  ["1.2.", "no number"],
  ["$5", "no number"],
  ["5%", "no number"],
  ["1/2", "no number"],
  ["−5", "digits 0 to 9"],
])("%j is refused: %s", (typed, why) => {
  const found = readTyped(price, typed, "price");
  expect(found.ok).toBe(false);
  expect(found.ok || found.problem).toContain(why);
});

test.each([
  ["10.07", ["10.05", "10.1"]],
  ["0.01", ["0.05"]],
  ["3.999999", ["3.95", "4"]],
])("%s has the nearest valid prices %j", (typed, nearest) => {
  const found = readTyped(price, typed, "price");
  expect(found.ok ? [] : found.nearest).toEqual(nearest);
});

test.each([
  [".5", "0.5"],
  ["5.", "5"],
  ["005.50", "005.50"],
])("%s is sent as %s", (typed, text) => {
  const found = readTyped(price, typed, "price");
  expect(found.ok && found.text).toBe(text);
});

test("long numbers are grouped before the point only", () => {
  expect(grouped("1234567.123456")).toBe("1\u202f234\u202f567.123456");
  expect(grouped("999")).toBe("999");
  expect(format(atomsScale(9), 120_465_434_080_000n)).toBe("120465.43408");
  expect([signed(12_345n, 4), signed(-99n, 4), signed(0n, 4)]).toEqual(["+1.23", "−0.00", "0.00"]);
});
