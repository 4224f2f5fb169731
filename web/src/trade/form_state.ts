/** What is typed in the order form, so that the book and the balances can fill it. */

import { effect, signal } from "@preact/signals";
import type { Side } from "../money/order_math.ts";
import { symbol } from "../store/market.ts";
import type { Kind, Lifetime } from "./draft.ts";

export const side = signal<Side>("Bid");
export const kind = signal<Kind>("limit");
export const priceText = signal("");
export const amountText = signal("");
export const lifetime = signal<Lifetime>("GTC");
/** Whether the price was filled in for this market, or typed: then it is left alone. */
export const isPriceGiven = signal(false);

let market = "";

// What was typed is of one market: it is gone with the first sight of another.
effect(() => {
  if (symbol.value === "" || symbol.value === market) return;
  market = symbol.value;
  priceText.value = amountText.value = "";
  isPriceGiven.value = false;
});
