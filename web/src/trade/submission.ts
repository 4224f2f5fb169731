/** The order that is on its way. It is kept outside of the form, which may be left meanwhile. */

import { signal } from "@preact/signals";
import { ApiError, said } from "../api/client.ts";
import type { Order } from "../api/types.ts";
import { notify } from "../shell/toasts.ts";
import { keepNewer, reload } from "../store/account.ts";
import { placeOnce } from "./place_order.ts";

/** A second press so soon after an answer is that of a double click. */
const SAME_AGAIN_MS = 700;

export const status = signal("");
export const isBusy = signal(false);

let last = { text: "", endedMs: Number.NEGATIVE_INFINITY };

/** Send an order, unless one is on its way or the same was sent a moment ago. */
export async function submit(
  body: Readonly<Record<string, unknown>>,
  describe: (order: Order) => string,
): Promise<void> {
  const text = JSON.stringify(body);
  if (isBusy.value) return;
  if (text === last.text && performance.now() - last.endedMs < SAME_AGAIN_MS) return;
  isBusy.value = true;
  status.value = "Sending…";
  let wasUnknown = false;
  try {
    const order = await keepNewer(() =>
      placeOnce(body, () => {
        wasUnknown = true;
        status.value = "Outcome unknown, checking…";
      }),
    );
    status.value = describe(order);
  } catch (error) {
    const isNotDone = error instanceof ApiError && error.status === 503;
    status.value = (isNotDone ? "Not done: " : "") + said(error);
    notify("error", status.value, "refused");
  } finally {
    if (wasUnknown) void reload();
    last = { text, endedMs: performance.now() };
    isBusy.value = false;
  }
}
