/** How the page looks on this device. Kept in localStorage: nothing of it is secret. */

import { effect, type Signal, signal } from "@preact/signals";
import { local } from "./storage.ts";

export type Theme = "system" | "dark" | "light";
export type Palette = "green-red" | "blue-orange";
export type Zone = "local" | "utc";

function setting<T extends string>(name: string, values: readonly T[]): Signal<T> {
  const key = `fairbook.${name}`;
  const stored = local?.getItem(key) as T | null | undefined;
  const found = signal<T>(stored && values.includes(stored) ? stored : values[0]!);
  effect(() => local?.setItem(key, found.value));
  return found;
}

export const theme = setting<Theme>("theme", ["system", "dark", "light"]);
export const palette = setting<Palette>("palette", ["green-red", "blue-orange"]);
export const zone = setting<Zone>("zone", ["local", "utc"]);
/** Whether Ctrl+Enter sends the order from anywhere on the Trade screen. */
export const sendKey = setting<"off" | "on">("send-key", ["off", "on"]);
export const shownOrders = setting<"all" | "market">("orders", ["all", "market"]);

const systemLight = matchMedia("(prefers-color-scheme: light)");
/** The theme that is shown. */
export const isLight = signal(false);

function show(): void {
  isLight.value = theme.value === "light" || (theme.value === "system" && systemLight.matches);
  document.documentElement.dataset.theme = isLight.value ? "light" : "dark";
  document.documentElement.dataset.palette = palette.value;
}
systemLight.addEventListener("change", show);
effect(show);
