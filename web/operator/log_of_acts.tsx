/** The acts of operators, as the log has them. */

import { signal } from "@preact/signals";
import { Fragment } from "preact";
import { Problem, reload, Table, useReading } from "./reading.tsx";

interface LoggedAct {
  readonly position: number;
  readonly time: string;
  readonly operator: number;
  readonly name: string | null;
  readonly act: string;
  readonly outcome: string;
  readonly reason: string | null;
}

const ACTS_MAX = 1_000;

const from = signal("1");

export function LogOfActs() {
  const { found, problem } = useReading<readonly LoggedAct[]>("log", { from: from.value }, 0);
  const newestFirst = [...(found ?? [])].reverse();
  return (
    <Fragment>
      <header class="page-head">
        <h1>Log of acts</h1>
        <label class="row">
          From position
          <input
            inputMode="numeric"
            value={from.value}
            onChange={(event) => {
              from.value = event.currentTarget.value.trim() || "1";
            }}
          />
        </label>
        <button type="button" onClick={reload}>
          Load again
        </button>
      </header>
      <p class="soft">
        The newest {ACTS_MAX}, read from the log itself: from a long one that takes a while. The
        same from a shell, without a limit: <code>fairbook admin log DIR</code>
      </p>
      <Problem text={problem} />
      {found === null && problem === "" && <p class="loading">Loading…</p>}
      {found !== null && (
        <Table
          name="Acts"
          empty="No operator has acted."
          heads={["Position", "Time", "Operator", "Act", "Outcome", "Reason"]}
          rows={newestFirst.map((act) => [
            act.position,
            act.time,
            act.name ?? act.operator,
            act.act,
            act.outcome,
            act.reason ?? "(its text is missing)",
          ])}
        />
      )}
    </Fragment>
  );
}
