/** The Trade screen. */

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { path } from "../shell/router.ts";
import { symbol } from "../store/market.ts";
import { loadTickers, markets } from "../store/venue.ts";
import { Chart } from "./chart.tsx";
import { MarketHeader } from "./market_header.tsx";
import { OrderBook } from "./order_book.tsx";
import { OrderForm } from "./order_form.tsx";
import { OrdersPanel } from "./orders_panel.tsx";
import { Tape } from "./tape.tsx";

type Tab = "chart" | "book" | "trade" | "orders";

/** Which part a narrow screen shows. */
const tab = signal<Tab>("trade");
const TABS: readonly (readonly [Tab, string])[] = [
  ["chart", "Chart"],
  ["book", "Book"],
  ["trade", "Trade"],
  ["orders", "Orders"],
];

export function Trade() {
  const named = path.value.startsWith("/trade/") ? path.value.slice("/trade/".length) : "";
  const known = markets.value.some((market) => market.symbol === named);
  const shown = known ? named : (markets.value[0]?.symbol ?? "");
  useEffect(() => {
    symbol.value = shown;
    loadTickers().catch(() => undefined);
    return () => {
      symbol.value = "";
    };
  }, [shown]);
  if (named !== "" && !known) {
    return (
      <section class="panel message">
        <h1>There is no market {named}</h1>
        <p>
          <a href="/markets">All markets</a>
        </p>
      </section>
    );
  }
  if (shown === "") {
    return (
      <section class="panel message">
        <h1>No market is listed yet</h1>
      </section>
    );
  }
  return (
    <div class="trade" data-tab={tab.value}>
      <MarketHeader />
      <div class="segments plain tabs-narrow" role="group" aria-label="Part of the screen">
        {TABS.map(([name, text]) => (
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
      <Chart />
      <OrderBook />
      <Tape />
      <OrderForm />
      <OrdersPanel />
    </div>
  );
}
