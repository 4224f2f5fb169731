/** What shows that the exchange is right: engines that agree, and how to check it. */

import { signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get, said } from "../api/client.ts";
import type { Checkpoint } from "../api/types.ts";
import { TableHead } from "../shell/table_head.tsx";
import { news } from "../store/venue.ts";
import { HistoryChecks } from "./history_checks.tsx";
import { Liabilities } from "./liabilities.tsx";

const RELOAD_MS = 2_000;
const OLD_MS = 6_000;
const SHOWN = 20;

const found = signal<readonly Checkpoint[]>([]);
const problem = signal("");
const heardAt = signal(0);

async function load(): Promise<void> {
  try {
    const all = await get<readonly Checkpoint[]>("/api/v1/checkpoints");
    const each = new Map(all.map((checkpoint) => [checkpoint.position, checkpoint]));
    found.value = [...each.values()]
      .sort((one, other) => Number(BigInt(other.position) - BigInt(one.position)))
      .slice(0, SHOWN);
    problem.value = "";
    heardAt.value = Date.now();
  } catch (error) {
    problem.value = said(error);
  }
}

export default function Transparency() {
  const now = useSignal(Date.now());
  useEffect(() => {
    void load();
    const timer = setInterval(() => {
      now.value = Date.now();
      void load();
    }, RELOAD_MS);
    return () => clearInterval(timer);
  }, [now]);
  const newest = found.value.find((checkpoint) => checkpoint.engines.length > 1) ?? found.value[0];
  const isOld = now.value - heardAt.value > OLD_MS;
  const agrees = !isOld && newest !== undefined && newest.engines.length > 1;
  return (
    <section class="panel page">
      <h1>Transparency</h1>
      {news.value.paused ? (
        <p class="verdict bad" role="alert" id="verdict">
          Trading is paused: engines differ, or operators have paused it. Until it is explained,
          trust nothing here.
        </p>
      ) : (
        <p class={`verdict ${agrees ? "good" : "unsure"}`} role="status" id="verdict">
          {agrees
            ? `${newest.engines.length} engines agree at position ${newest.position}`
            : isOld
              ? "The exchange does not answer: nothing is known about now"
              : "No second engine has confirmed a position yet"}
        </p>
      )}
      <p class="problem">{problem.value}</p>
      {newest !== undefined && (
        <dl class="facts-table">
          <dt>Position of the log</dt>
          <dd id="position">{newest.position}</dd>
          <dt>Hash of the log up to it</dt>
          <dd>
            <code id="chain">{newest.chain}</code>
          </dd>
          <dt>Hash of all events</dt>
          <dd>
            <code>{newest.eventHash}</code>
          </dd>
          <dt>Engines that agree</dt>
          <dd>{newest.engines.join(", ")}</dd>
        </dl>
      )}
      <HistoryChecks />
      <Liabilities />
      <h2>Check it yourself</h2>
      <p>
        Every command is in a log in which each entry has the hash of the one before. Independent
        engines execute the same log and compare all events and balances. With a copy of the data
        directory, anyone can do it again:
      </p>
      <pre>{"fairbook verify DIR \\\n  --against FILE"}</pre>
      <p class="soft">FILE has checkpoints that you saved; a witness can be named instead.</p>
      <h2>Newest checkpoints</h2>
      <div class="scroll" tabIndex={0} role="region" aria-label="Newest checkpoints">
        <table class="wide">
          <TableHead names={["Position", "Hash of the log", "Engines"]} />
          <tbody>
            {found.value.map((each) => (
              <tr key={each.position}>
                <td>{each.position}</td>
                <td>
                  <code title={each.chain}>{each.chain.slice(0, 24)}…</code>
                </td>
                <td>{each.engines.join(", ")}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
