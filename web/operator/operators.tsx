/** Operators, their roles and tokens. */

import { Fragment } from "preact";
import { ActButton } from "./act_dialog.tsx";
import { Problem, Table, useReading } from "./reading.tsx";

interface Operator {
  readonly operator: number;
  readonly name: string;
  readonly accountId: string | null;
  readonly roles: readonly string[];
  readonly tokens: readonly string[];
}

export function Operators() {
  const { found, problem } = useReading<readonly Operator[]>("operators");
  const next = String((found ?? []).length + 1);
  return (
    <Fragment>
      <header class="page-head">
        <h1>Operators</h1>
        <ActButton act="operator" text="Add an operator" given={{ operator: next }} />
      </header>
      <Problem text={problem} />
      <Table
        name="Operators"
        empty="There is no operator."
        heads={["Number", "Name", "Own account", "Roles", "Tokens", "Acts"]}
        rows={(found ?? []).map((each) => {
          const operator = String(each.operator);
          return [
            operator,
            each.name,
            each.accountId ?? "none",
            each.roles.join(", ") || "none",
            each.tokens.map((hash) => (
              <span key={hash} class="row">
                <code title={hash}>{hash.slice(0, 16)}…</code>
                <ActButton
                  act="revoke-operator-token"
                  text="End"
                  given={{ operator, tokenHash: hash }}
                />
              </span>
            )),
            <span key="acts" class="row">
              <ActButton
                act="operator"
                text="Roles"
                given={{ operator, roles: each.roles.join(",") }}
              />
              <ActButton act="operator-token" text="Add a token" given={{ operator }} />
            </span>,
          ];
        })}
      />
    </Fragment>
  );
}
