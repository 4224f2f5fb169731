/** The form of one act: its fields, why, and the command that does the same. */

import { signal } from "@preact/signals";
import { Fragment } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { type Act, AdminError, execute, type Field, type Given, read } from "./admin_api.ts";
import { commandLine } from "./command_line.ts";
import { reload } from "./reading.tsx";

const acts = signal<ReadonlyMap<string, Act>>(new Map());
const chosen = signal<Act | null>(null);
const given = signal<Given>({});
const reason = signal("");
const problem = signal("");
const result = signal("");
const isBusy = signal(false);

const RESULTS = {
  done: "Done",
  repeated: "It was done before: nothing happened",
  pending: "It waits for another operator to confirm it",
  proposed: "Proposed: it waits for another operator to approve it",
};

export async function loadActs(): Promise<void> {
  const found = await read<readonly Act[]>("acts");
  acts.value = new Map(found.map((act) => [act.act, act]));
}

/** A button that opens the form of an act, with what is known filled in. */
export function ActButton(props: { act: string; text: string; given?: Given }) {
  const act = acts.value.get(props.act);
  if (act === undefined) return null;
  return (
    <button
      type="button"
      title={act.help}
      onClick={() => {
        problem.value = result.value = reason.value = "";
        given.value = props.given ?? {};
        chosen.value = act;
      }}
    >
      {props.text}
    </button>
  );
}

async function submit(act: Act): Promise<void> {
  isBusy.value = true;
  problem.value = result.value = "";
  try {
    const filled = Object.fromEntries(
      Object.entries(given.value).filter(([, value]) => value !== ""),
    );
    const done = await execute(act.act, filled, reason.value);
    result.value = `${RESULTS[done.status]} (position ${done.position} of the log)`;
    reload();
  } catch (error) {
    if (!(error instanceof AdminError)) throw error;
    problem.value = error.message;
  } finally {
    isBusy.value = false;
  }
}

export function ActDialog() {
  const dialog = useRef<HTMLDialogElement>(null);
  const act = chosen.value;
  useEffect(() => {
    if (act !== null) dialog.current?.showModal();
  }, [act]);
  if (act === null) return null;
  const close = (): void => {
    chosen.value = null;
  };
  return (
    <dialog ref={dialog} onClose={close} aria-labelledby="act-name">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void submit(act);
        }}
      >
        <h2 id="act-name">{act.act}</h2>
        <p>
          {act.help}
          {act.needsTwo && ": another operator must approve it"}
        </p>
        {act.fields.map((field) => (
          <ActField key={field.name} field={field} />
        ))}
        <div class="field">
          <label for="act-reason">reason</label>
          <input
            id="act-reason"
            required
            maxLength={500}
            autoComplete="off"
            value={reason.value}
            onInput={(event) => {
              reason.value = event.currentTarget.value;
            }}
          />
          <p class="help neutral">Why: it is kept, and shown in the log of acts.</p>
        </div>
        <p class="soft small">The same from a shell:</p>
        <pre id="act-command">
          {commandLine(act.act, given.value, reason.value).map((part) => (
            <Fragment key={part}>
              <span>{part}</span>{" "}
            </Fragment>
          ))}
        </pre>
        <p class="problem" role="alert">
          {problem.value}
        </p>
        <p role="status" id="act-result">
          {result.value}
        </p>
        <div class="actions">
          <button type="submit" class="primary" disabled={isBusy.value || result.value !== ""}>
            {act.needsTwo ? "Propose" : "Do it"}
          </button>
          <button type="button" onClick={() => dialog.current?.close()}>
            Close
          </button>
        </div>
      </form>
    </dialog>
  );
}

function ActField({ field }: { field: Field }) {
  const id = `act-${field.name}`;
  const set = (value: string): void => {
    given.value = { ...given.value, [field.name]: value };
  };
  const value = given.value[field.name] ?? "";
  return (
    <div class="field">
      <label for={id}>
        {field.name}
        {field.isOptional && " (optional)"}
      </label>
      {field.choices.length > 0 ? (
        <select
          id={id}
          required={!field.isOptional}
          value={value}
          onChange={(event) => set(event.currentTarget.value)}
        >
          <option value="" />
          {field.choices.map((choice) => (
            <option key={choice} value={choice}>
              {choice}
            </option>
          ))}
        </select>
      ) : (
        <input
          id={id}
          required={!field.isOptional}
          autoComplete="off"
          value={value}
          onInput={(event) => set(event.currentTarget.value)}
        />
      )}
      {field.choices.length === 0 && <p class="help neutral">{field.help}</p>}
    </div>
  );
}
