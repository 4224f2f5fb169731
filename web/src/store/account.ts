/**
 * Orders, fills and balances of the session's account.
 *
 * An order comes from the answer to its request first, from the stream second; both are merged by
 * id: what is executed only grows, and an end is final. After each connection everything is asked
 * for again.
 */

import { effect, signal } from "@preact/signals";
import { get } from "../api/client.ts";
import type { Balance, Fill, Order, OrderStatus } from "../api/types.ts";
import { units } from "../money/scale.ts";
import { session } from "../session/session.ts";
import { sleep } from "../shell/sleep.ts";
import { msOf } from "../shell/time.ts";
import { notify } from "../shell/toasts.ts";
import { marketUnits, socket } from "./venue.ts";

const ENDS: ReadonlySet<OrderStatus> = new Set(["Filled", "Cancelled", "Expired"]);
const ENDED_MAX = 2_000;
const FILLS_SHOWN = 100;
const RETRY_MS = 1_000;

/** Grows by one with each order that ends. */
export const endings = signal(0);
export const openOrders = signal<ReadonlyMap<string, Order>>(new Map());
export const fills = signal<readonly Fill[]>([]);
export const balances = signal<Readonly<Record<string, Balance>>>({});

/** Ids of orders that have ended: an older message must not open them again. */
const ended = new Set<string>();
/** Orders and assets that changed while everything is asked for: the answer is older. */
const changes = new Set<Set<string>>();

interface OrderMessage {
  readonly e: "orderAccepted" | "orderFill" | "orderCancelled" | "orderExpired" | "orderModified";
  readonly s: string;
  readonly i: string;
  readonly S: "Bid" | "Ask";
  readonly o: "LIMIT" | "MARKET";
  readonly f: string;
  readonly q: string;
  readonly Q?: string;
  readonly p?: string;
  readonly X: OrderStatus;
  readonly z: string;
  readonly Z: string;
  readonly c?: number | string;
  readonly T: number;
  readonly R?: string;
  readonly t?: number;
  readonly l?: string;
  readonly L?: string;
  readonly m?: boolean;
  readonly n?: string;
  readonly N?: string;
  readonly y: boolean;
}

interface BalanceMessage {
  readonly a: string;
  readonly A: string;
  readonly L: string;
}

/** An answer, and the names of what the stream has told of meanwhile: there the answer is older. */
async function asked<T>(answer: Promise<T>): Promise<readonly [T, ReadonlySet<string>]> {
  const newer = new Set<string>();
  changes.add(newer);
  try {
    return [await answer, newer];
  } finally {
    changes.delete(newer);
  }
}

/** The order that an action answers, unless the stream has told of it meanwhile. */
export async function keepNewer(action: () => Promise<Order>): Promise<Order> {
  const [order, newer] = await asked(action());
  if (!newer.has(order.id)) mergeOrder(order);
  return openOrders.value.get(order.id) ?? order;
}

function changed(name: string): void {
  for (const each of changes) each.add(name);
}

/** Take what is newer of an order. */
export function mergeOrder(order: Order): void {
  if (ended.has(order.id)) return;
  changed(order.id);
  const known = openOrders.value.get(order.id);
  if (known !== undefined && executedLots(known) > executedLots(order)) return;
  const next = new Map(openOrders.value);
  if (ENDS.has(order.status)) {
    next.delete(order.id);
    endings.value += 1;
    if (ended.size >= ENDED_MAX) ended.delete(ended.values().next().value as string);
    ended.add(order.id);
  } else {
    next.set(order.id, order);
  }
  openOrders.value = next;
}

function executedLots(order: Order): bigint {
  const market = marketUnits.value.get(order.symbol);
  return market === undefined ? 0n : units(market.quantity, order.executedQuantity);
}

/** Ask for everything. What the stream has changed meanwhile is kept. Throws ApiError. */
export async function loadAccount(): Promise<void> {
  const asking = session.value?.token;
  const [[orders, found], newer] = await asked(
    Promise.all([
      get<readonly Order[]>("/api/v1/orders"),
      get<Readonly<Record<string, Balance>>>("/api/v1/capital"),
    ]),
  );
  if (session.value?.token !== asking) return;
  const live = orders.filter((order) => !ended.has(order.id) && !newer.has(order.id));
  const tracked = [...openOrders.value.values()].filter((order) => newer.has(order.id));
  openOrders.value = new Map([...live, ...tracked].map((order) => [order.id, order]));
  const kept = Object.entries(balances.value).filter(([asset]) => newer.has(asset));
  balances.value = { ...found, ...Object.fromEntries(kept) };
  const recorded = await get<readonly Fill[]>("/wapi/v1/history/fills", { limit: FILLS_SHOWN });
  if (session.value?.token !== asking) return;
  const known = new Set(recorded.map(fillKey));
  const streamed = fills.value.filter((fill) => !known.has(fillKey(fill)));
  fills.value = [...streamed, ...recorded]
    .sort((one, other) => msOf(other.timestamp) - msOf(one.timestamp))
    .slice(0, FILLS_SHOWN);
}

const fillKey = (fill: Fill): string => `${fill.symbol} ${fill.tradeId} ${fill.orderId}`;

function orderChanged(message: OrderMessage): void {
  const known = openOrders.value.get(message.i);
  mergeOrder({
    id: message.i,
    clientId: message.c ?? null,
    symbol: message.s,
    side: message.S,
    orderType: message.o === "LIMIT" ? "Limit" : "Market",
    ...(message.p === undefined ? {} : { price: message.p }),
    quantity: message.q,
    executedQuantity: message.z,
    executedQuoteQuantity: message.Z,
    timeInForce: message.f,
    postOnly: message.y,
    status: message.X,
    createdAt: known?.createdAt ?? Math.floor(message.T / 1_000),
  });
  if (message.e === "orderFill" && message.t !== undefined) fillCame(message);
  if (message.e === "orderExpired") {
    notify("warning", `Order ${message.i} ended: ${message.R ?? "expired"}`, "ended");
  }
}

function fillCame(message: OrderMessage): void {
  const fill: Fill = {
    tradeId: message.t!,
    orderId: message.i,
    symbol: message.s,
    side: message.S,
    price: message.L ?? "0",
    quantity: message.l ?? "0",
    fee: message.n ?? "0",
    feeSymbol: message.N ?? "",
    isMaker: message.m ?? false,
    timestamp: new Date(message.T / 1_000).toISOString().replace("Z", ""),
  };
  if (fills.value.some((known) => fillKey(known) === fillKey(fill))) return;
  fills.value = [fill, ...fills.value].slice(0, FILLS_SHOWN);
  const word = fill.side === "Bid" ? "Bought" : "Sold";
  const [base, quote] = fill.symbol.split("_");
  notify("success", `${word} ${fill.quantity} ${base} at ${fill.price} ${quote}`, "fill");
}

function balanceChanged(message: BalanceMessage): void {
  changed(message.a);
  balances.value = { ...balances.value, [message.a]: { available: message.A, locked: message.L } };
}

socket.subscribe("account.orderUpdate", (data) => orderChanged(data as OrderMessage));
socket.subscribe("account.balanceUpdate", (data) => balanceChanged(data as BalanceMessage));

/** Ask until there is an answer, or the session is another one. */
export async function reload(): Promise<void> {
  const asking = session.value?.token;
  while (asking !== undefined && session.value?.token === asking) {
    try {
      await loadAccount();
      return;
    } catch {
      await sleep(RETRY_MS);
    }
  }
}
socket.onAccountOpen(() => void reload());
socket.onRefused(() => void reload()); // Its 401 ends a session that is over.

let token: string | null = null;
effect(() => {
  const now = session.value?.token ?? null;
  socket.logIn(now);
  if (now === token) return;
  token = now;
  openOrders.value = new Map();
  fills.value = [];
  balances.value = {};
  ended.clear();
  void reload();
});
