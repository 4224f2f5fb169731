/** Candles in order of time, each once: those of the history and those of the stream. */

import type { Candle } from "../api/types.ts";
import { msOf } from "../shell/time.ts";

/** The start of a candle in seconds since 1970. History and stream write it differently. */
export const startS = (candle: Candle): number => msOf(candle.start) / 1_000;

/** Both lists as one. Of the same start, `known` counts: it is of the stream. */
export function merged(found: readonly Candle[], known: readonly Candle[]): Candle[] {
  const each = new Map([...found, ...known].map((candle) => [startS(candle), candle]));
  return [...each].sort(([one], [other]) => one - other).map(([, candle]) => candle);
}

/** With a newer state of the last candle, or the next one; an older one changes nothing. */
export function updated(known: readonly Candle[], candle: Candle): readonly Candle[] {
  const last = known.at(-1);
  if (last === undefined || startS(candle) > startS(last)) return [...known, candle];
  return startS(candle) < startS(last) ? known : [...known.slice(0, -1), candle];
}
