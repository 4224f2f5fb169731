/** Balances with a value, the faucet, deposits and withdrawals. */

import { signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ApiError, get, said, send } from "../api/client.ts";
import type { Transfer } from "../api/types.ts";
import { atomsScale, format, grouped, readTyped, scaleOf, units } from "../money/scale.ts";
import { ofSession, session } from "../session/session.ts";
import { TableHead } from "../shell/table_head.tsx";
import { dateTime, msOf } from "../shell/time.ts";
import { balances, loadAccount } from "../store/account.ts";
import { assets, decimalsOf, loadTickers, markets, tickers, venue } from "../store/venue.ts";
import { getDemoMoney, left } from "./faucet.ts";
import { NeedsSession } from "./needs_session.tsx";

const RELOAD_MS = 5_000;

const hidesSmall = signal(false);
const transfers = ofSession<readonly (Transfer & { readonly kind: string })[]>([]);
const transfersProblem = ofSession("");
/** Of the withdrawal in the form: kept until its outcome is known, so that it is made once. */
const withdrawalId = ofSession({ id: "", request: "" });

/** The asset in which values are shown: the quote of the first market. */
const valueIn = (): string => markets.value[0]?.quoteSymbol ?? "";

/** An amount at the last price, in atoms of the value's asset; null: no market has both. */
function worthOf(symbol: string, amount: bigint): bigint | null {
  const quote = valueIn();
  if (symbol === quote) return amount;
  const price = tickers.value[`${symbol}_${quote}`]?.lastPrice;
  if (price === undefined) return null;
  const scale = scaleOf(price);
  const decimals = scale.decimals + decimalsOf(symbol) - decimalsOf(quote);
  const product = scale.step * amount;
  return decimals >= 0 ? product / 10n ** BigInt(decimals) : product * 10n ** BigInt(-decimals);
}

/** Without what is below a hundredth: values are approximate anyway. */
function twoPlaces(text: string): string {
  const [whole = "", fraction] = text.split(".");
  return fraction === undefined ? whole : `${whole}.${fraction.padEnd(2, "0").slice(0, 2)}`;
}

export default function Portfolio() {
  useEffect(() => {
    loadTickers().catch(() => undefined);
    const load = (): void => {
      if (session.value !== null) void loadTransfers();
    };
    load();
    const timer = setInterval(load, RELOAD_MS);
    return () => clearInterval(timer);
  }, []);
  if (session.value === null) return <NeedsSession title="Portfolio" />;
  const rows = assets.value.map(({ symbol }) => {
    const scale = atomsScale(decimalsOf(symbol));
    const balance = balances.value[symbol] ?? { available: "0", locked: "0" };
    const total = units(scale, balance.available) + units(scale, balance.locked);
    return { symbol, ...balance, total, text: format(scale, total), value: worthOf(symbol, total) };
  });
  const shown = rows.filter((row) => !hidesSmall.value || row.total > 0n);
  const sum = rows.reduce((all, row) => all + (row.value ?? 0n), 0n);
  const quote = atomsScale(decimalsOf(valueIn()));
  return (
    <section class="panel page">
      <header class="page-head">
        <h1>Portfolio</h1>
        <p class="big-number">
          ≈ {grouped(twoPlaces(format(quote, sum)))} {valueIn()}
        </p>
        <label class="check">
          <input
            type="checkbox"
            checked={hidesSmall.value}
            onChange={(event) => {
              hidesSmall.value = event.currentTarget.checked;
            }}
          />
          hide empty ones
        </label>
      </header>
      <div class="scroll" tabIndex={0} role="region" aria-label="Balances">
        <table class="wide big">
          <TableHead
            names={[
              "Asset",
              "Available",
              "In orders",
              "Total",
              `Value, approx. ${valueIn()}`,
              "Trade",
            ]}
          />
          <tbody>
            {shown.map((row) => (
              <tr key={row.symbol}>
                <td>{row.symbol}</td>
                <td>{grouped(row.available)}</td>
                <td>{grouped(row.locked)}</td>
                <td>{grouped(row.text)}</td>
                <td>{row.value === null ? "–" : grouped(twoPlaces(format(quote, row.value)))}</td>
                <td>
                  {markets.value
                    .filter((market) => market.baseSymbol === row.symbol)
                    .map((market) => (
                      <a key={market.symbol} href={`/trade/${market.symbol}`}>
                        {market.symbol.replace("_", "/")}
                      </a>
                    ))}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {venue.value?.demo && <Faucet />}
      <Withdraw />
      <Transfers />
    </section>
  );
}

function Faucet() {
  const found = useSignal<Readonly<Record<string, string>>>({});
  const status = useSignal("");
  useEffect(() => {
    left().then(
      (all) => {
        found.value = all;
      },
      () => undefined,
    );
  }, []);
  const rest = Object.entries(found.value).filter(([, quantity]) => /[1-9]/.test(quantity));
  const take = async (): Promise<void> => {
    try {
      await getDemoMoney();
      await loadAccount();
      found.value = await left();
      status.value = "Done";
    } catch (error) {
      status.value = said(error);
    }
  };
  return (
    <section class="block">
      <h2>Demo funds</h2>
      {rest.length === 0 ? (
        <p>You have taken all that there is for one account.</p>
      ) : (
        <p>
          You may still take{" "}
          {rest.map(([symbol, quantity]) => `${grouped(quantity)} ${symbol}`).join(", ")}.{" "}
          <button type="button" class="primary" id="demo-money" onClick={() => void take()}>
            Get demo funds
          </button>
        </p>
      )}
      <p role="status">{status.value}</p>
    </section>
  );
}

function Withdraw() {
  const symbol = useSignal(assets.value[0]?.symbol ?? "");
  const quantity = useSignal("");
  const address = useSignal("");
  const status = useSignal("");
  const isBusy = useSignal(false);
  const typed = readTyped(atomsScale(decimalsOf(symbol.value)), quantity.value, "quantity");
  const blockchain = assets.value.find((asset) => asset.symbol === symbol.value)?.tokens[0]
    ?.blockchain;
  const submit = async (): Promise<void> => {
    if (!typed.ok || isBusy.value) return;
    isBusy.value = true;
    const request = {
      symbol: symbol.value,
      quantity: typed.text,
      address: address.value,
      blockchain,
    };
    const text = JSON.stringify(request);
    if (withdrawalId.value.request !== text) withdrawalId.value = { id: newId(), request: text };
    try {
      const found = await send<Transfer>("POST", "/wapi/v1/capital/withdrawals", {
        ...request,
        clientId: withdrawalId.value.id,
      });
      withdrawalId.value = { id: "", request: "" };
      status.value = `Withdrawal ${found.id} is ${found.status}`;
      quantity.value = "";
      await loadTransfers();
    } catch (error) {
      const isUnknown = error instanceof ApiError && error.isUnknown;
      status.value = isUnknown
        ? `The outcome is unknown (${said(error)}): press again, it is made once`
        : said(error);
    } finally {
      isBusy.value = false;
    }
  };
  return (
    <section class="block">
      <h2>Withdraw</h2>
      <form
        class="inline-form"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <label>
          Asset
          <select
            value={symbol.value}
            onChange={(event) => {
              symbol.value = event.currentTarget.value;
            }}
          >
            {assets.value.map((asset) => (
              <option key={asset.symbol}>{asset.symbol}</option>
            ))}
          </select>
        </label>
        <label>
          Quantity
          <input
            inputMode="decimal"
            autoComplete="off"
            value={quantity.value}
            aria-invalid={quantity.value !== "" && !typed.ok}
            onInput={(event) => {
              quantity.value = event.currentTarget.value;
            }}
          />
        </label>
        <label>
          Address on {blockchain}
          <input
            autoComplete="off"
            spellcheck={false}
            value={address.value}
            onInput={(event) => {
              address.value = event.currentTarget.value;
            }}
          />
        </label>
        <button type="submit" disabled={!typed.ok || address.value === "" || isBusy.value}>
          Withdraw
        </button>
      </form>
      <p class="problem">{quantity.value !== "" && !typed.ok ? typed.problem : ""}</p>
      <p role="status">{status.value}</p>
    </section>
  );
}

/** Works without https, too, where there is no randomUUID. */
const newId = (): string => [...crypto.getRandomValues(new Uint32Array(4))].join("-");

function Transfers() {
  return (
    <section class="block">
      <h2>Deposits and withdrawals</h2>
      <p class="problem" role="alert">
        {transfersProblem.value}
      </p>
      {transfers.value.length === 0 ? (
        <p class="empty">{transfersProblem.value ? "" : "None yet."}</p>
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-label="Deposits and withdrawals">
          <table class="wide">
            <TableHead names={["Time", "Kind", "Asset", "Quantity", "Status"]} />
            <tbody>
              {transfers.value.map((row) => (
                <tr key={`${row.kind} ${row.id}`}>
                  <td>{dateTime(msOf(row.createdAt))}</td>
                  <td>{row.kind}</td>
                  <td>{row.symbol}</td>
                  <td>{grouped(row.quantity)}</td>
                  <td>{row.status}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

async function loadTransfers(): Promise<void> {
  const asked = ["deposits", "withdrawals"].map((name) =>
    get<readonly Transfer[]>(`/wapi/v1/capital/${name}`, { limit: 100 }),
  );
  const token = session.peek()?.token;
  let problem = "";
  const [deposits, withdrawals] = await Promise.all(asked).catch((error: unknown) => {
    problem = said(error);
    return [[], []];
  });
  if (session.peek()?.token !== token) return;
  transfersProblem.value = problem;
  if (problem !== "") return;
  transfers.value = [
    ...deposits!.map((row) => ({ ...row, kind: "Deposit" })),
    ...withdrawals!.map((row) => ({ ...row, kind: "Withdrawal" })),
  ].sort((one, other) => msOf(other.createdAt) - msOf(one.createdAt));
}
