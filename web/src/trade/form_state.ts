/** What is typed in the order form, so that the book and the balances can fill it. */

import { signal } from "@preact/signals";
import type { Side } from "../money/order_math.ts";
import type { Kind, Lifetime } from "./draft.ts";

export const side = signal<Side>("Bid");
export const kind = signal<Kind>("limit");
export const priceText = signal("");
export const amountText = signal("");
export const lifetime = signal<Lifetime>("GTC");
/** The market whose price was filled in; it is done once. */
export const filledFor = signal("");
