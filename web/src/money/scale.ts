/**
 * Decimal text to whole units and back, by the rules of api/numbers.py; both are tested with the
 * vectors in tests/vectors/numbers.json. A unit is step / 10^decimals. Nothing is rounded.
 */

export const DIGITS_MAX = 18;
/** In place of any larger number; the exchange refuses it. */
export const UNITS_OUT = (1n << 62n) + 1n;

export interface Scale {
  readonly step: bigint;
  readonly decimals: number;
}

/** What a typed text means: units and the text that is sent, or why it means nothing. */
export type Typed =
  | { readonly ok: true; readonly units: bigint; readonly text: string }
  | { readonly ok: false; readonly problem: string; readonly nearest: readonly string[] };

const GRAMMAR = /^(\d{1,18})(?:\.(\d{1,18}))?$/;

/** The scale whose unit is this decimal, such as "0.01". */
export function scaleOf(unit: string): Scale {
  const match = GRAMMAR.exec(unit);
  if (!match) throw new Error(`not a decimal: ${unit}`);
  const fraction = (match[2] ?? "").replace(/0+$/, "");
  return { step: BigInt(match[1] + fraction), decimals: fraction.length };
}

/** The scale of the atoms of an asset. */
export const atomsScale = (decimals: number): Scale => ({ step: 1n, decimals });

/** The units of a text of the exchange, which is always valid. Throws for anything else. */
export function units(scale: Scale, text: string): bigint {
  const found = exact(scale, text);
  if (found === null) throw new Error(`${text} has no whole number of units`);
  return found;
}

/** Plain notation without an exponent or trailing zeros. */
export function format(scale: Scale, count: bigint): string {
  const negative = count < 0n;
  const digits = String((negative ? -count : count) * scale.step).padStart(scale.decimals + 1, "0");
  const whole = digits.slice(0, digits.length - scale.decimals);
  const fraction = scale.decimals ? digits.slice(-scale.decimals).replace(/0+$/, "") : "";
  return (negative ? "-" : "") + (fraction ? `${whole}.${fraction}` : whole);
}

/** As `format`, with all decimals, so that columns of numbers align. */
export function formatFixed(scale: Scale, count: bigint): string {
  const text = format(scale, count);
  if (scale.decimals === 0) return text;
  const [whole, fraction = ""] = text.split(".");
  return `${whole}.${fraction.padEnd(scale.decimals, "0")}`;
}

/** With a space between groups of three digits before the point. */
export function grouped(text: string): string {
  const [whole = "", fraction] = text.split(".");
  const spaced = whole.replace(/\B(?=(\d{3})+$)/g, "\u202f");
  return fraction === undefined ? spaced : `${spaced}.${fraction}`;
}

/** Read what a person has typed. It is never changed: what cannot be sent is explained. */
export function readTyped(scale: Scale, typed: string, name: string): Typed {
  const refuse = (problem: string, nearest: readonly string[] = []): Typed => ({
    ok: false,
    problem,
    nearest,
  });
  if (typed === "") return refuse(`Type a ${name}`);
  if (typed === ".") return refuse(whyMalformed(typed));
  let text = typed.startsWith(".") ? `0${typed}` : typed;
  if (text.indexOf(".") === text.length - 1) text = text.slice(0, -1);
  const match = GRAMMAR.exec(text);
  if (!match) return refuse(whyMalformed(typed));
  const found = exact(scale, text);
  if (found === UNITS_OUT) return refuse(`The ${name} is too large`);
  if (found !== null) {
    return found > 0n ? { ok: true, units: found, text } : refuse(`The ${name} must be above zero`);
  }
  const decimals = (match[2] ?? "").length;
  const atoms = BigInt(match[1] + (match[2] ?? "")) * 10n ** BigInt(scale.decimals);
  const below = atoms / (scale.step * 10n ** BigInt(decimals));
  const nearest = [below, below + 1n]
    .filter((each) => each > 0n)
    .map((each) => format(scale, each));
  return refuse(`The ${name} must be a multiple of ${format(scale, 1n)}`, nearest);
}

function exact(scale: Scale, text: string): bigint | null {
  const match = GRAMMAR.exec(text);
  if (!match) return null;
  let fraction = match[2] ?? "";
  if (fraction.length > scale.decimals) fraction = fraction.replace(/0+$/, "");
  if (fraction.length > scale.decimals) return null;
  const count = BigInt(match[1] + fraction) * 10n ** BigInt(scale.decimals - fraction.length);
  if (count % scale.step) return null;
  const found = count / scale.step;
  return found < UNITS_OUT ? found : UNITS_OUT;
}

function whyMalformed(typed: string): string {
  if (/^\s|\s$/.test(typed)) return "Remove the spaces before or after the number";
  if (typed.includes(",")) return "Write a point for decimals, and no comma";
  if (/[eE]/.test(typed)) return "Write the number without an exponent, such as 0.00001";
  if (typed.startsWith("-") || typed.startsWith("+")) return "Write the number without a sign";
  if (/[^\x20-\x7e]/.test(typed)) return "Use the digits 0 to 9";
  if (typed.length > DIGITS_MAX) return `At most ${DIGITS_MAX} digits before and after the point`;
  return "This is no number such as 0.05";
}
