/** Demo money: what an account may still take, and taking it. */

import { get, send } from "../api/client.ts";

/** What is left, by asset. Throws ApiError. */
export const left = (): Promise<Readonly<Record<string, string>>> => get("/api/v1/faucet");

/** Take all that is left. Throws ApiError. */
export async function getDemoMoney(): Promise<void> {
  for (const [symbol, quantity] of Object.entries(await left())) {
    if (/[1-9]/.test(quantity)) await send("POST", "/api/v1/faucet", { symbol, quantity });
  }
}
