/** Times as a person reads them, in their own zone or UTC. */

import { zone } from "./settings.ts";

const pad = (count: number, digits = 2): string => String(count).padStart(digits, "0");

/** The exchange writes times of the history in UTC without a zone. */
export const msOf = (time: number | string): number =>
  typeof time === "number"
    ? time
    : Date.parse(/[zZ]$/.test(time) ? time : `${time.replace(" ", "T")}Z`);

export function clockTime(ms: number): string {
  const date = new Date(ms);
  return zone.value === "utc"
    ? `${pad(date.getUTCHours())}:${pad(date.getUTCMinutes())}:${pad(date.getUTCSeconds())}`
    : `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
}

export function dateTime(ms: number): string {
  const date = new Date(ms);
  const day =
    zone.value === "utc"
      ? `${date.getUTCFullYear()}-${pad(date.getUTCMonth() + 1)}-${pad(date.getUTCDate())}`
      : `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  return `${day} ${clockTime(ms)}`;
}

export const zoneName = (): string =>
  zone.value === "utc" ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone;
