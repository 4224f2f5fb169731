/** The exchange as a whole: pause, announcements, limits. */

import { Fragment } from "preact";
import { ActButton } from "./act_dialog.tsx";
import { Problem, useReading } from "./reading.tsx";

interface Exchange {
  readonly isPaused: boolean;
  readonly pauses: readonly string[];
  readonly sequence: string;
  readonly accounts: number;
  readonly limits: Readonly<Record<string, number>>;
}

export function Overview() {
  const { found, problem } = useReading<Exchange>("exchange", {}, 2_000);
  return (
    <Fragment>
      <header class="page-head">
        <h1>Overview</h1>
        {found?.pauses.includes("operator") ? (
          <ActButton act="unpause" text="End the pause" />
        ) : (
          <ActButton act="pause" text="Pause trading" />
        )}
        <ActButton act="announce" text="Announce" />
        <ActButton act="end-announcements" text="End announcements" />
      </header>
      <Problem text={problem} />
      {found !== null && (
        <Fragment>
          <p class={`verdict ${found.isPaused ? "bad" : "good"}`} role="status" id="trading">
            {found.isPaused ? `Trading is paused: ${found.pauses.join(", ")}` : "Trading is open"}
          </p>
          {found.pauses.includes("audit") && (
            <p>
              The audit has found a difference. Only <code>fairbook admin resume DIR</code> on the
              machine ends this pause.
            </p>
          )}
          <dl class="facts-table">
            <dt>Commands executed</dt>
            <dd>{found.sequence}</dd>
            <dt>Accounts</dt>
            <dd>{found.accounts}</dd>
          </dl>
          <h2>Limits</h2>
          <dl class="facts-table">
            {Object.entries(found.limits).map(([name, value]) => (
              <Fragment key={name}>
                <dt>{name}</dt>
                <dd>
                  {value}{" "}
                  <ActButton act="exchange-limit" text="Change" given={{ parameter: name }} />
                </dd>
              </Fragment>
            ))}
          </dl>
        </Fragment>
      )}
    </Fragment>
  );
}
