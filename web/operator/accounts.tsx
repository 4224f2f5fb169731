/** Accounts: search, one account's balances, orders and credentials, and what can be done. */

import { effect, signal } from "@preact/signals";
import { Fragment } from "preact";
import { SearchField } from "../src/shell/search_field.tsx";
import { dateTime } from "../src/shell/time.ts";
import { ActButton } from "./act_dialog.tsx";
import { Problem, Table, useReading } from "./reading.tsx";

interface User {
  readonly accountId: string;
  readonly name: string;
  readonly email: string;
}

interface Order {
  readonly id: string;
  readonly symbol: string;
  readonly side: string;
  readonly price: string;
  readonly quantity: string;
  readonly executedQuantity: string;
}

interface Credential {
  readonly credential: string;
  readonly type: string;
  readonly permissions: readonly string[];
  readonly expiresAt: number | null;
}

interface Account {
  readonly accountId: string;
  readonly name: string | null;
  readonly email: string | null;
  readonly frozen: boolean;
  readonly feeGroup: number;
  readonly balances: Readonly<
    Record<string, { readonly available: string; readonly locked: string }>
  >;
  readonly openOrderCount: number;
  readonly openOrders: readonly Order[];
  readonly credentials: readonly Credential[];
}

const ACCOUNTS_A_PAGE = 100;

const words = signal("");
const after = signal("0");
effect(() => {
  words.value; // Other words begin with the first account.
  after.value = "0";
});
const chosen = signal<string | null>(null);

export function Accounts() {
  if (chosen.value !== null) return <OneAccount number={chosen.value} />;
  return <Search />;
}

function Search() {
  const query = { after: after.value, ...(words.value.trim() && { search: words.value.trim() }) };
  const { found, problem } = useReading<readonly User[]>("accounts", query);
  const users = found ?? [];
  return (
    <Fragment>
      <header class="page-head">
        <h1>Accounts</h1>
        <SearchField
          name="Beginning of a name or an e-mail address"
          placeholder="Name or e-mail address"
          of={words}
        />
        <ActButton act="invite" text="Invite" />
      </header>
      <Problem text={problem} />
      <Table
        name="Accounts"
        empty="No account has such a name."
        heads={["Number", "Name", "E-mail address", "Acts"]}
        rows={users.map((user) => [
          user.accountId,
          user.name,
          user.email,
          <button
            key="show"
            type="button"
            onClick={() => {
              chosen.value = user.accountId;
            }}
          >
            Show
          </button>,
        ])}
      />
      {after.value !== "0" && (
        <button
          type="button"
          onClick={() => {
            after.value = "0";
          }}
        >
          From the first
        </button>
      )}
      {users.length === ACCOUNTS_A_PAGE && (
        <button
          type="button"
          onClick={() => {
            after.value = users.at(-1)!.accountId;
          }}
        >
          Further accounts
        </button>
      )}
    </Fragment>
  );
}

function OneAccount({ number }: { number: string }) {
  const { found, problem } = useReading<Account>("account", { accountId: number });
  const given = { accountId: number };
  return (
    <Fragment>
      <header class="page-head">
        <h1>Account {number}</h1>
        <button
          type="button"
          onClick={() => {
            chosen.value = null;
          }}
        >
          All accounts
        </button>
      </header>
      <Problem text={problem} />
      {found !== null && (
        <Fragment>
          <p>
            {found.name} {found.email} · fee group {found.feeGroup}
            {found.frozen && <strong> · frozen</strong>}
          </p>
          <div class="row acts">
            <ActButton act="credit" text="Credit" given={given} />
            <ActButton act="debit" text="Debit" given={given} />
            <ActButton
              act={found.frozen ? "unfreeze" : "freeze"}
              text={found.frozen ? "End the freeze" : "Freeze"}
              given={given}
            />
            <ActButton act="cancel-orders" text="Cancel all orders" given={given} />
            <ActButton act="fee-group" text="Fee group" given={given} />
            <ActButton act="account-limit" text="Withdrawal limit" given={given} />
            <ActButton act="reset-password" text="Reset password" given={given} />
            <ActButton act="close-account" text="Close" given={given} />
          </div>
          <h2>Balances</h2>
          <Table
            name="Balances"
            empty="No money."
            heads={["Asset", "Available", "Locked"]}
            rows={Object.entries(found.balances).map(([symbol, balance]) => [
              symbol,
              balance.available,
              balance.locked,
            ])}
          />
          <h2>Open orders ({found.openOrderCount})</h2>
          <Table
            name="Open orders"
            empty="No open order."
            heads={["Order", "Market", "Side", "Price", "Quantity", "Filled"]}
            rows={found.openOrders.map((order) => [
              order.id,
              order.symbol,
              order.side,
              order.price,
              order.quantity,
              order.executedQuantity,
            ])}
          />
          <h2>Keys and sessions</h2>
          <Table
            name="Keys and sessions"
            empty="No key, and no session."
            heads={["Hash", "Kind", "May", "Ends", "Acts"]}
            rows={found.credentials.map((each) => [
              <code key="hash" title={each.credential}>
                {each.credential.slice(0, 16)}…
              </code>,
              each.type === "token" ? "session" : each.type,
              each.permissions.join(", "),
              each.expiresAt === null ? "never" : dateTime(each.expiresAt),
              <ActButton
                key="revoke"
                act="revoke"
                text="End"
                given={{ ...given, credential: each.credential }}
              />,
            ])}
          />
        </Fragment>
      )}
    </Fragment>
  );
}
