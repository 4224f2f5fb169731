/** Open orders, fills, history and balances of the account, with what can be done about them. */

import { signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get, said, send } from "../api/client.ts";
import type { Fill, Order } from "../api/types.ts";
import { grouped, units } from "../money/scale.ts";
import { session } from "../session/session.ts";
import { shownOrders } from "../shell/settings.ts";
import { TableHead } from "../shell/table_head.tsx";
import { dateTime, msOf } from "../shell/time.ts";
import { notify } from "../shell/toasts.ts";
import { balances, endings, fills, mergeOrder, openOrders } from "../store/account.ts";
import { symbol } from "../store/market.ts";
import { marketUnits } from "../store/venue.ts";
import { saveCsv } from "./csv.ts";

type Tab = "orders" | "fills" | "history" | "balances";

const tab = signal<Tab>("orders");
const CLOSED_SHOWN = 100;

const isShown = (each: { readonly symbol: string }): boolean =>
  shownOrders.value === "all" || each.symbol === symbol.value;

export function OrdersPanel() {
  const open = [...openOrders.value.values()].filter(isShown).toReversed();
  const tabs: readonly (readonly [Tab, string])[] = [
    ["orders", `Open orders (${open.length})`],
    ["fills", "Fills"],
    ["history", "History"],
    ["balances", "Balances"],
  ];
  return (
    <section class="panel orders" aria-label="Your orders and balances">
      <header class="panel-head">
        <div class="segments plain" role="group" aria-label="What is shown">
          {tabs.map(([name, text]) => (
            <button
              key={name}
              type="button"
              aria-pressed={tab.value === name}
              onClick={() => {
                tab.value = name;
              }}
            >
              {text}
            </button>
          ))}
        </div>
        <label class="check small">
          <input
            type="checkbox"
            checked={shownOrders.value === "market"}
            onChange={(event) => {
              shownOrders.value = event.currentTarget.checked ? "market" : "all";
            }}
          />
          only this market
        </label>
        <CancelAll orders={[...openOrders.value.values()]} />
      </header>
      <div class="scroll" tabIndex={0} role="region" aria-label="Rows">
        {session.value === null ? <LoggedOut /> : <Rows open={open} />}
      </div>
    </section>
  );
}

function LoggedOut() {
  return (
    <p class="empty">
      <a href="/log-in">Log in</a> or <a href="/sign-up">sign up</a> to see your orders and
      balances.
    </p>
  );
}

function Rows({ open }: { readonly open: readonly Order[] }) {
  switch (tab.value) {
    case "orders":
      return <OpenOrders orders={open} />;
    case "fills":
      return <Fills />;
    case "history":
      return <History />;
    case "balances":
      return <Balances />;
  }
}

function CancelAll({ orders }: { readonly orders: readonly Order[] }) {
  const isAsked = useSignal(false);
  if (orders.length === 0) return null;
  const cancel = async (): Promise<void> => {
    isAsked.value = false;
    for (const name of new Set(orders.map((order) => order.symbol))) {
      try {
        const gone = await send<readonly Order[]>("DELETE", "/api/v1/orders", { symbol: name });
        for (const order of gone) mergeOrder({ ...order, status: "Cancelled" });
      } catch (error) {
        notify("error", said(error), "cancel");
      }
    }
  };
  return isAsked.value ? (
    <span class="asked">
      <button type="button" class="sell" onClick={() => void cancel()}>
        Yes, cancel {orders.length}
      </button>
      <button
        type="button"
        onClick={() => {
          isAsked.value = false;
        }}
      >
        No
      </button>
    </span>
  ) : (
    <button
      type="button"
      id="cancel-all"
      onClick={() => {
        isAsked.value = true;
      }}
    >
      Cancel all ({orders.length})
    </button>
  );
}

function OpenOrders({ orders }: { readonly orders: readonly Order[] }) {
  if (orders.length === 0)
    return <p class="empty">No open orders. A limit order that rests shows up here.</p>;
  return (
    <table class="wide">
      <TableHead
        names={["Time", "Market", "Side", "Price", "Quantity", "Filled", "Actions"]}
        hidden={["Actions"]}
      />
      <tbody>
        {orders.map((order) => (
          <OpenOrder key={order.id} order={order} />
        ))}
      </tbody>
    </table>
  );
}

function OpenOrder({ order }: { readonly order: Order }) {
  const isBusy = useSignal(false);
  const edited = useSignal<{ price: string; quantity: string } | null>(null);
  const act = async (method: string, body: Readonly<Record<string, string>>): Promise<void> => {
    isBusy.value = true;
    try {
      mergeOrder(await send<Order>(method, "/api/v1/order", body));
      edited.value = null;
    } catch (error) {
      notify("error", said(error), "order");
    } finally {
      isBusy.value = false;
    }
  };
  const named = { symbol: order.symbol, orderId: order.id };
  const isBuy = order.side === "Bid";
  const input = (name: "price" | "quantity") => (
    <input
      class="inline"
      aria-label={name === "price" ? "New price" : "New quantity"}
      inputMode="decimal"
      value={edited.value?.[name] ?? ""}
      onInput={(event) => {
        if (edited.value) edited.value = { ...edited.value, [name]: event.currentTarget.value };
      }}
    />
  );
  return (
    <tr data-order={order.id}>
      <td>{dateTime(msOf(order.createdAt))}</td>
      <td>{order.symbol.replace("_", "/")}</td>
      <td class={isBuy ? "up" : "down"}>{isBuy ? "Buy" : "Sell"}</td>
      <td>{edited.value ? input("price") : grouped(order.price ?? "")}</td>
      <td>{edited.value ? input("quantity") : grouped(order.quantity)}</td>
      <td>
        <Filled order={order} />
      </td>
      <td class="actions">
        {edited.value ? (
          <>
            <button
              type="button"
              disabled={isBusy.value}
              onClick={() => void act("PATCH", { ...named, ...edited.value })}
            >
              Save
            </button>
            <button
              type="button"
              onClick={() => {
                edited.value = null;
              }}
            >
              Back
            </button>
          </>
        ) : (
          <>
            <button
              type="button"
              onClick={() => {
                edited.value = { price: order.price ?? "", quantity: order.quantity };
              }}
            >
              Amend
            </button>
            <button
              type="button"
              aria-label={`Cancel order ${order.id}`}
              disabled={isBusy.value}
              onClick={() => void act("DELETE", named)}
            >
              Cancel
            </button>
          </>
        )}
      </td>
    </tr>
  );
}

/** How much of an order is done, as text and as a bar. */
function Filled({ order }: { readonly order: Order }) {
  const market = marketUnits.value.get(order.symbol);
  if (market === undefined) return <span>{order.executedQuantity}</span>;
  const whole = units(market.quantity, order.quantity);
  const done = units(market.quantity, order.executedQuantity);
  const percent = whole ? Number((done * 100n) / whole) : 0;
  return (
    <span class="filled">
      <progress max={100} value={percent} aria-label="Filled" />
      {order.executedQuantity} ({percent} %)
    </span>
  );
}

function Fills() {
  const shown = fills.value.filter(isShown);
  return (
    <>
      <Csv name="fills" />
      {shown.length === 0 ? (
        <p class="empty">No fills yet.</p>
      ) : (
        <table class="wide">
          <TableHead names={["Time", "Market", "Side", "Price", "Quantity", "Fee", "Order"]} />
          <tbody>
            {shown.map((fill) => (
              <FillRow key={`${fill.symbol}-${fill.tradeId}-${fill.orderId}`} fill={fill} />
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}

function FillRow({ fill }: { readonly fill: Fill }) {
  const isBuy = fill.side === "Bid";
  return (
    <tr>
      <td>{dateTime(msOf(fill.timestamp))}</td>
      <td>{fill.symbol.replace("_", "/")}</td>
      <td class={isBuy ? "up" : "down"}>{isBuy ? "Buy" : "Sell"}</td>
      <td>{grouped(fill.price)}</td>
      <td>{grouped(fill.quantity)}</td>
      <td>
        {fill.fee} {fill.feeSymbol}
      </td>
      <td>{fill.orderId}</td>
    </tr>
  );
}

function History() {
  const rows = useSignal<readonly Order[] | null>(null);
  const problem = useSignal("");
  const ended = endings.value;
  useEffect(() => {
    get<readonly Order[]>("/wapi/v1/history/orders", { limit: CLOSED_SHOWN }).then(
      (found) => {
        rows.value = found;
      },
      (error: unknown) => {
        problem.value = said(error);
      },
    );
  }, [ended]);
  if (problem.value) return <p class="empty">{problem.value}</p>;
  if (rows.value === null) return <p class="empty">Loading…</p>;
  const shown = rows.value.filter(isShown);
  return (
    <>
      <Csv name="orders" />
      {shown.length === 0 ? (
        <p class="empty">No orders yet.</p>
      ) : (
        <table class="wide">
          <TableHead
            names={["Time", "Market", "Side", "Type", "Price", "Quantity", "Filled", "Status"]}
          />
          <tbody>
            {shown.map((order) => (
              <tr key={order.id}>
                <td>{dateTime(msOf(order.createdAt))}</td>
                <td>{order.symbol.replace("_", "/")}</td>
                <td class={order.side === "Bid" ? "up" : "down"}>
                  {order.side === "Bid" ? "Buy" : "Sell"}
                </td>
                <td>{order.orderType}</td>
                <td>{grouped(order.price ?? "–")}</td>
                <td>{grouped(order.quantity)}</td>
                <td>{grouped(order.executedQuantity)}</td>
                <td>
                  {order.status}
                  {order.expiryReason ? ` (${order.expiryReason})` : ""}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}

function Csv({ name }: { readonly name: "fills" | "orders" }) {
  const state = useSignal("");
  const save = async (): Promise<void> => {
    state.value = "Loading…";
    try {
      const count = await saveCsv(name, (rows) => {
        state.value = `${rows} rows…`;
      });
      state.value = `${count} rows saved`;
    } catch (error) {
      state.value = said(error);
    }
  };
  return (
    <p class="csv small">
      <button type="button" id={`csv-${name}`} onClick={() => void save()}>
        Save all as CSV
      </button>
      <span role="status">{state.value}</span>
    </p>
  );
}

function Balances() {
  const rows = Object.entries(balances.value);
  if (rows.length === 0) {
    return (
      <p class="empty">
        No balances yet. <a href="/portfolio">Get demo funds</a> first.
      </p>
    );
  }
  return (
    <table class="wide">
      <TableHead names={["Asset", "Available", "In orders"]} />
      <tbody>
        {rows.map(([asset, balance]) => (
          <tr key={asset}>
            <td>{asset}</td>
            <td>{grouped(balance.available)}</td>
            <td>{grouped(balance.locked)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
