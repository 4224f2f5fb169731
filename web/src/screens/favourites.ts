/** Markets that are shown first on this device. */

import { effect, signal } from "@preact/signals";
import { local } from "../shell/storage.ts";

const NAME = "fairbook.favourites";

export const favourites = signal<ReadonlySet<string>>(
  new Set((local?.getItem(NAME) ?? "").split(",").filter(Boolean)),
);

export function toggleFavourite(symbol: string): void {
  const next = new Set(favourites.value);
  if (!next.delete(symbol)) next.add(symbol);
  favourites.value = next;
}

effect(() => local?.setItem(NAME, [...favourites.value].join(",")));
