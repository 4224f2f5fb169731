/** The command of `fairbook admin` that does the same as a button. */

import type { Given } from "./admin_api.ts";

const quoted = (text: string): string =>
  /^[\w.,:@%+/-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;

/** Its parts: joined by spaces they are the command. DIR: the data directory. */
export function commandLine(act: string, given: Given, reason: string): readonly string[] {
  const options = Object.entries({ ...given, reason: reason || "WHY" });
  const filled = options.filter(([, value]) => value !== "");
  return [
    `fairbook admin ${act} DIR`,
    ...filled.map(([name, value]) => `--${name} ${quoted(value)}`),
  ];
}
