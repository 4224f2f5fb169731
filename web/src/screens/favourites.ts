/** Markets that are shown first on this device. */

import { effect, signal } from "@preact/signals";

const NAME = "fairbook.favourites";

export const favourites = signal<ReadonlySet<string>>(
  new Set((localStorage.getItem(NAME) ?? "").split(",").filter(Boolean)),
);

export function toggleFavourite(symbol: string): void {
  const next = new Set(favourites.value);
  if (!next.delete(symbol)) next.add(symbol);
  favourites.value = next;
}

effect(() => localStorage.setItem(NAME, [...favourites.value].join(",")));
