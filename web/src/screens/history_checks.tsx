/** Who has checked the history of the exchange: signed checkpoints, witnesses, the full replay, and
 *  this browser, which remembers the checkpoint that it saw last. */

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get, said } from "../api/client.ts";
import type { ProofStatus, SignedCheckpoints } from "../api/types.ts";
import { saveFile } from "../shell/save_file.ts";
import { local } from "../shell/storage.ts";
import { TableHead } from "../shell/table_head.tsx";
import { dateTime } from "../shell/time.ts";

const RELOAD_MS = 10_000;
const SIGNED = "/api/v1/checkpoints/signed";
const SEEN = "fairbook.checkpoint";

const status = signal<ProofStatus | null>(null);
const signed = signal<SignedCheckpoints | null>(null);
/** Position of the checkpoint that this browser has compared; "" if there was none. */
const compared = signal("");
const problem = signal("");
const contradiction = signal("");

const positionOf = (note: string): string => /^position (\d+)$/m.exec(note)?.[1] ?? "";

async function load(): Promise<void> {
  try {
    status.value = await get<ProofStatus>("/api/v1/proof/status");
    const newest = await get<SignedCheckpoints>(SIGNED);
    signed.value = newest;
    problem.value = "";
    await compareWithSeen(newest.notes[0]);
  } catch (error) {
    problem.value = said(error);
  }
}

/** What is signed: a signature may be written in several ways. */
const textOf = (note: string): string => note.split("\n\n")[0] ?? "";

async function compareWithSeen(newest: string | undefined): Promise<void> {
  const seen = local?.getItem(SEEN);
  if (seen && contradiction.value === "") {
    const at = positionOf(seen);
    const shown = await get<SignedCheckpoints>(`${SIGNED}?from=${at}&limit=1`);
    if (textOf(shown.notes[0] ?? "") !== textOf(seen)) {
      contradiction.value =
        `This browser has seen a signed checkpoint of position ${at} that the exchange does not ` +
        "show any more. Its history is another one now, or it is another exchange.";
      return;
    }
    compared.value = at;
  }
  if (newest !== undefined && contradiction.value === "") local?.setItem(SEEN, newest);
}

function replayedText(replayed: ProofStatus["replayed"]): string {
  if (replayed === null) return "No process executes the log again at the moment";
  const upTo = `up to position ${replayed.position}`;
  if (!replayed.confirmed) return `${upTo}, resumed, unconfirmed since ${replayed.resumedAt}`;
  return replayed.resumedAt === "0"
    ? `from the first entry ${upTo}`
    : `from the first entry ${upTo}, resumed at ${replayed.resumedAt}, which a witness confirmed`;
}

export function HistoryChecks() {
  useEffect(() => {
    void load();
    const timer = setInterval(() => void load(), RELOAD_MS);
    return () => clearInterval(timer);
  }, []);
  const note = signed.value?.notes[0];
  const witnesses = status.value?.witnesses ?? [];
  return (
    <>
      <h2 id="history">The history of the log</h2>
      <p>
        The exchange regularly signs the state of its log. Anyone who keeps such a checkpoint can
        detect every later change of the past. This browser keeps the newest one that it saw.
      </p>
      {contradiction.value !== "" && (
        <p class="verdict bad" role="alert" id="contradiction">
          {contradiction.value}
        </p>
      )}
      <p class="problem">{problem.value}</p>
      {note !== undefined && (
        <dl class="facts-table">
          <dt>Signed checkpoint</dt>
          <dd id="signed">position {positionOf(note)}</dd>
          <dt>Key that signs</dt>
          <dd>
            <code>{signed.value?.key}</code>
          </dd>
          <dt>This browser</dt>
          <dd id="seen">
            {compared.value === ""
              ? "no earlier checkpoint to compare with"
              : `has seen that of position ${compared.value}, and it is still the same`}
          </dd>
          <dt>Full replay</dt>
          <dd id="replayed">{replayedText(status.value?.replayed ?? null)}</dd>
        </dl>
      )}
      {note !== undefined && (
        <button
          type="button"
          onClick={() =>
            saveFile(`fairbook-checkpoint-${positionOf(note)}.txt`, note, "text/plain")
          }
        >
          Save the checkpoint
        </button>
      )}
      {witnesses.length === 0 ? (
        <p class="soft">
          The exchange names no witnesses. Anyone can be one: <code>fairbook watch</code>.
        </p>
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-label="Witnesses">
          <table class="wide">
            <TableHead names={["Witness", "Has confirmed up to", "At"]} />
            <tbody>
              {witnesses.map((each) => (
                <tr key={each.url}>
                  <td>{each.url}</td>
                  <td>{each.problem ?? `position ${each.position}`}</td>
                  <td>{each.seen === null ? "" : dateTime(each.seen)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  );
}
