/**
 * Send an order once. Its client id is made before it is sent; if no answer comes, the same request
 * is repeated with the same id, which the exchange executes once, until the outcome is known.
 */

import { ApiError, send } from "../api/client.ts";
import type { Order } from "../api/types.ts";

const PAUSE_MS = 700;
/** Answers that say nothing about an earlier try: too many requests, or not open. */
const MEANWHILE: ReadonlySet<number> = new Set([429, 503]);

/** A number that the exchange takes as a client id: 32 bits. */
export const newClientId = (): number => crypto.getRandomValues(new Uint32Array(1))[0]!;

/** Throws ApiError for an order that was certainly not executed. onUnknown: it is being asked. */
export async function placeOnce(
  body: Readonly<Record<string, unknown>>,
  onUnknown: () => void,
): Promise<Order> {
  const request = { ...body, clientId: newClientId() };
  let isUnknown = false; // an earlier try may have been executed
  for (;;) {
    try {
      return await send<Order>("POST", "/api/v1/order", request);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      const mayRepeat = error.isUnknown || (isUnknown && MEANWHILE.has(error.status));
      if (!mayRepeat) throw error;
    }
    isUnknown = true;
    onUnknown();
    await new Promise((done) => setTimeout(done, PAUSE_MS));
  }
}
