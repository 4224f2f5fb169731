/** The order form. What is typed is never changed; what is wrong is said under the field. */

import { computed } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Order } from "../api/types.ts";
import { type MarketUnits, type Side, share, walk } from "../money/order_math.ts";
import { format, grouped, readTyped, type Typed, units } from "../money/scale.ts";
import { session } from "../session/session.ts";
import { balances } from "../store/account.ts";
import { book, bookDraw, symbol } from "../store/market.ts";
import { marketUnits, news, stateOf } from "../store/venue.ts";
import { type Draft, draftOf, isByQuote, type Lifetime } from "./draft.ts";
import { amountText, isPriceGiven, kind, lifetime, priceText, side } from "./form_state.ts";
import { isBusy, status, submit } from "./submission.ts";

const PERCENTS = [25n, 50n, 75n, 100n];
const LIFETIMES: readonly (readonly [Lifetime, string])[] = [
  ["GTC", "until cancelled"],
  ["post-only", "post-only"],
  ["IOC", "immediate or cancel"],
  ["FOK", "fill or kill"],
];
const STATE_WORDS: Readonly<Record<string, string>> = {
  PostOnly: "Only post-only orders are taken",
  LimitOnly: "Only limit orders are taken",
  CancelOnly: "No orders are taken; cancelling works",
  Closed: "This market is closed",
};

const fields = computed(() => ({
  side: side.value,
  kind: kind.value,
  price: priceText.value,
  amount: amountText.value,
  lifetime: lifetime.value,
}));

function availableOf(market: MarketUnits): bigint | null {
  if (session.value === null) return null;
  const [asset, scale] =
    side.value === "Bid" ? [market.quote, market.quoteAtoms] : [market.base, market.baseAtoms];
  return units(scale, balances.value[asset]?.available ?? "0");
}

function otherSide(): [bigint, bigint][] {
  bookDraw.value; // Read, so that it is computed again with each draw.
  return book()?.levels(side.value === "Bid" ? "asks" : "bids", 10_000) ?? [];
}

export function OrderForm() {
  const market = marketUnits.value.get(symbol.value);
  useEffect(() => {
    if (market === undefined || isPriceGiven.value) return;
    const best = otherSide()[0];
    if (best === undefined) return;
    isPriceGiven.value = true;
    priceText.value = format(market.price, best[0]);
  });
  if (market === undefined) return <section class="panel form" />;
  const draft = draftOf(fields.value, {
    market,
    other: otherSide(),
    available: availableOf(market),
  });
  const state = stateOf(market.symbol);
  const isClosed = news.value.paused || state === "CancelOnly" || state === "Closed";
  const why = news.value.paused ? "Trading is paused; cancelling works" : STATE_WORDS[state];

  return (
    <form
      class="panel form"
      aria-label="Order"
      onKeyDown={(event) => {
        if (event.key === "Enter" && event.repeat) event.preventDefault();
      }}
      onSubmit={(event) => {
        event.preventDefault();
        if (draft.body === null || draft.problem || isClosed) return;
        void submit(draft.body, (order) => outcome(order, market));
      }}
    >
      <SideTabs />
      <KindTabs />
      {kind.value === "limit" && (
        <Field
          id="price"
          label={`Price in ${market.quote}`}
          value={priceText.value}
          typed={draft.price}
          onInput={(text) => {
            isPriceGiven.value = true;
            priceText.value = text;
          }}
          onStep={(steps) => stepPrice(market, steps)}
        />
      )}
      <Field
        id="amount"
        label={isByQuote(fields.value) ? `Spend in ${market.quote}` : `Quantity in ${market.base}`}
        value={amountText.value}
        typed={amountText.value === "" ? null : draft.amount}
        onInput={(text) => {
          amountText.value = text;
        }}
      />
      <Percents market={market} />
      {kind.value === "limit" && (
        <label class="row">
          <span>Lifetime</span>
          <select
            id="lifetime"
            value={lifetime.value}
            onChange={(event) => {
              lifetime.value = event.currentTarget.value as Lifetime;
            }}
          >
            {LIFETIMES.map(([value, text]) => (
              <option key={value} value={value}>
                {text}
              </option>
            ))}
          </select>
        </label>
      )}
      <SummaryRows draft={draft} market={market} />
      <p class="problem" role="alert" hidden={!draft.problem}>
        {draft.problem}
      </p>
      <p class="warning-text" hidden={!draft.warning}>
        {draft.warning}
      </p>
      <p class="warning-text" hidden={why === undefined}>
        {why}
      </p>
      {session.value === null ? (
        <a class="button primary wide" href="/log-in">
          Log in to trade
        </a>
      ) : (
        <button
          type="submit"
          id="submit"
          class={`wide ${side.value === "Bid" ? "buy" : "sell"}`}
          aria-busy={isBusy.value}
          disabled={isClosed || draft.body === null || draft.problem !== ""}
        >
          {side.value === "Bid" ? "Buy" : "Sell"} {market.base}
        </button>
      )}
      <p class="status" role="status" id="order-status">
        {status.value}
      </p>
    </form>
  );
}

function SideTabs() {
  const choose = (value: Side): void => {
    if (side.value === value) return;
    side.value = value;
    if (kind.value === "market") amountText.value = "";
  };
  return (
    <div class="segments" role="group" aria-label="Side">
      <button
        type="button"
        class="buy"
        aria-pressed={side.value === "Bid"}
        onClick={() => choose("Bid")}
      >
        Buy
      </button>
      <button
        type="button"
        class="sell"
        aria-pressed={side.value === "Ask"}
        onClick={() => choose("Ask")}
      >
        Sell
      </button>
    </div>
  );
}

function KindTabs() {
  const choose = (value: "limit" | "market"): void => {
    if (kind.value !== value && side.value === "Bid") amountText.value = "";
    kind.value = value;
  };
  return (
    <div class="segments plain" role="group" aria-label="Order type">
      <button type="button" aria-pressed={kind.value === "limit"} onClick={() => choose("limit")}>
        Limit
      </button>
      <button type="button" aria-pressed={kind.value === "market"} onClick={() => choose("market")}>
        Market
      </button>
    </div>
  );
}

interface FieldProperties {
  readonly id: string;
  readonly label: string;
  readonly value: string;
  readonly typed: Typed | null;
  readonly onInput: (text: string) => void;
  readonly onStep?: (steps: bigint) => void;
}

function Field({ id, label, value, typed, onInput, onStep }: FieldProperties) {
  const problem = typed !== null && !typed.ok ? typed.problem : "";
  const nearest = typed !== null && !typed.ok ? typed.nearest : [];
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        id={id}
        type="text"
        inputMode="decimal"
        autoComplete="off"
        spellcheck={false}
        value={value}
        aria-invalid={problem !== ""}
        aria-describedby={`${id}-help`}
        onInput={(event) => onInput(event.currentTarget.value)}
        onKeyDown={(event) => {
          const steps = event.key === "ArrowUp" ? 1n : event.key === "ArrowDown" ? -1n : 0n;
          if (onStep === undefined || steps === 0n) return;
          event.preventDefault();
          onStep(steps);
        }}
      />
      <p class="help" id={`${id}-help`}>
        {problem}
        {nearest.map((text) => (
          <button key={text} type="button" class="link" onClick={() => onInput(text)}>
            {text}
          </button>
        ))}
        {typed?.ok && typed.text !== value && `Sent as ${typed.text}`}
      </p>
    </div>
  );
}

function stepPrice(market: MarketUnits, steps: bigint): void {
  try {
    const ticks = units(market.price, priceText.value) + steps;
    if (ticks > 0n) priceText.value = format(market.price, ticks);
  } catch {
    // What is typed is no price: it stays as it is.
  }
}

function Percents({ market }: { readonly market: MarketUnits }) {
  const available = availableOf(market);
  const asset = side.value === "Bid" ? market.quote : market.base;
  const scale = side.value === "Bid" ? market.quoteAtoms : market.baseAtoms;
  const fill = (percent: bigint): void => {
    if (available === null) return;
    if (isByQuote(fields.value)) {
      amountText.value = format(market.quoteAtoms, (available * percent) / 100n);
      return;
    }
    let ticks = 1n;
    if (kind.value === "limit") {
      const typed = readTyped(market.price, priceText.value, "price");
      if (!typed.ok) return;
      ticks = typed.units;
    }
    amountText.value = format(
      market.quantity,
      share(market, available, side.value, ticks, percent),
    );
  };
  return (
    <div class="field">
      <div class="percents" role="group" aria-label="Share of the funds">
        {PERCENTS.map((percent) => (
          <button
            key={String(percent)}
            type="button"
            disabled={available === null}
            onClick={() => fill(percent)}
          >
            {String(percent)} %
          </button>
        ))}
      </div>
      {available !== null && (
        <p class="row small">
          <span>Available</span>
          <button type="button" class="link number" onClick={() => fill(100n)}>
            {grouped(format(scale, available))} {asset}
          </button>
        </p>
      )}
    </div>
  );
}

function SummaryRows({ draft, market }: { readonly draft: Draft; readonly market: MarketUnits }) {
  const found = draft.summary;
  const rows: readonly (readonly [string, string])[] = [
    ["Total", found ? `${grouped(found.total)} ${market.quote}` : "–"],
    ["Fee", found ? `${grouped(found.fee)} ${found.receivedSymbol}` : "–"],
    ["You receive", found ? `${grouped(found.received)} ${found.receivedSymbol}` : "–"],
    ["Average now", found?.averagePrice ? `${grouped(found.averagePrice)} ${market.quote}` : "–"],
    ["Slippage", found?.slippage ?? "–"],
  ];
  return (
    <dl class="summary">
      {rows.map(([name, value]) => (
        <div key={name} class="row small">
          <dt>{name}</dt>
          <dd class="number">{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function outcome(order: Order, market: MarketUnits): string {
  const done = `${order.executedQuantity} ${market.base}`;
  switch (order.status) {
    case "New":
      return `Order ${order.id} rests in the book`;
    case "PartiallyFilled":
      return `Order ${order.id}: ${done} traded, the rest is in the book`;
    case "Filled":
      return `Order ${order.id}: all traded, ${done}`;
    case "Cancelled":
      return `Order ${order.id} was cancelled after ${done}`;
    case "Expired":
      return `Order ${order.id} ended after ${done}: ${whyEnded(order)}`;
  }
}

const whyEnded = (order: Order): string =>
  order.expiryReason?.startsWith("SelfTrade")
    ? "it met an order of your own"
    : "the book had no more for it";

/** Fill the form from a row of the book: its price, and with all the quantity up to it. */
export function fillFromBook(ticks: bigint, from: "bids" | "asks", withSum: boolean): void {
  const market = marketUnits.value.get(symbol.value);
  if (market === undefined) return;
  if (isByQuote(fields.value)) amountText.value = ""; // It was an amount of the quote.
  isPriceGiven.value = true;
  kind.value = "limit";
  side.value = from === "asks" ? "Bid" : "Ask";
  priceText.value = format(market.price, ticks);
  if (!withSum) return;
  const levels = book()?.levels(from, 10_000) ?? [];
  const within = (each: bigint): boolean => (from === "asks" ? each <= ticks : each >= ticks);
  const all = walk(market, levels, { lots: 1n << 62n }, within);
  amountText.value = format(market.quantity, all.lots);
}
