/**
 * Send an order once. Its client id is made before it is sent; if no answer comes, the same request
 * is repeated with the same id and the same session, which the exchange executes once. The exchange
 * forgets an id some minutes after its order has ended: so after a minute the order is only looked
 * up.
 */

import { ApiError, get, send } from "../api/client.ts";
import type { Order } from "../api/types.ts";
import { session } from "../session/session.ts";
import { sleep } from "../shell/sleep.ts";

const PAUSE_MS = 700;
const REPEAT_MAX_MS = 60_000;
/** Answers that say nothing about an earlier try: too many requests, or not open. */
const MEANWHILE: ReadonlySet<number> = new Set([429, 503]);

/** A number that the exchange takes as a client id: 32 bits. */
export const newClientId = (): number => crypto.getRandomValues(new Uint32Array(1))[0]!;

/**
 * Throws ApiError: for an order that was certainly not executed, or, with `isUnknown`, when it cannot
 * be found out. onUnknown: it is being asked.
 */
export async function placeOnce(
  body: Readonly<Record<string, unknown>>,
  onUnknown: () => void,
): Promise<Order> {
  const token = session.peek()?.token;
  const request = { ...body, clientId: newClientId() };
  const beganMs = Date.now();
  let isUnknown = false; // an earlier try may have been executed
  for (;;) {
    try {
      return isUnknown && Date.now() - beganMs > REPEAT_MAX_MS
        ? await lookUp(request, token)
        : await send<Order>("POST", "/api/v1/order", request, token);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      const mayRepeat = error.isUnknown || (isUnknown && MEANWHILE.has(error.status));
      if (isUnknown && error.status === 401) throw lost();
      if (!mayRepeat) throw error;
    }
    if (session.peek()?.token !== token) throw lost();
    isUnknown = true;
    onUnknown();
    await sleep(PAUSE_MS);
  }
}

/** Ask for the order by its client id, open or ended. Throws ApiError if there is none. */
async function lookUp(
  request: Readonly<Record<string, unknown>>,
  token: string | undefined,
): Promise<Order> {
  const { symbol, clientId } = request as { symbol: string; clientId: number };
  const open = await get<readonly Order[]>("/api/v1/orders", { symbol }, token);
  const ended = await get<readonly Order[]>(
    "/wapi/v1/history/orders",
    { symbol, limit: 1000 },
    token,
  );
  const found = [...open, ...ended].find((order) => order.clientId === clientId);
  if (found !== undefined) return found;
  throw new ApiError(409, "NOT_EXECUTED", "The order did not reach the exchange");
}

const lost = (): ApiError =>
  new ApiError(
    0,
    "UNKNOWN",
    "The outcome is unknown: log in to the account that sent it, and look at its orders",
  );
