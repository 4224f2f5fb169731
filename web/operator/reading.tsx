/** What the operators' port says, loaded when it is shown, after each act, and from time to time. */

import { signal, useSignal } from "@preact/signals";
import { type ComponentChildren, Fragment } from "preact";
import { useEffect } from "preact/hooks";
import { TableHead } from "../src/shell/table_head.tsx";
import { AdminError, type Given, read } from "./admin_api.ts";

const RELOAD_MS = 10_000;

const version = signal(0);

/** Load again what is shown. */
export function reload(): void {
  version.value += 1;
}

/** The newest answer of a reading, and what went wrong. everyMs 0: only once and after acts. */
export function useReading<T>(
  name: string,
  query: Given = {},
  everyMs: number = RELOAD_MS,
): { readonly found: T | null; readonly problem: string } {
  const found = useSignal<T | null>(null);
  const problem = useSignal("");
  const text = JSON.stringify(query);
  useEffect(() => {
    let isCurrent = true;
    const load = async (): Promise<void> => {
      try {
        const answer = await read<T>(name, JSON.parse(text) as Given);
        if (!isCurrent) return;
        found.value = answer;
        problem.value = "";
      } catch (error) {
        if (!(error instanceof AdminError)) throw error;
        if (isCurrent) problem.value = error.message;
      }
    };
    void load();
    const timer = everyMs > 0 ? setInterval(() => void load(), everyMs) : undefined;
    return () => {
      isCurrent = false;
      clearInterval(timer);
    };
  }, [name, text, everyMs, version.value, found, problem]);
  return { found: found.value, problem: problem.value };
}

type Cell = ComponentChildren;

/** A table with a name, or a sentence when it is empty. */
export function Table(props: {
  name: string;
  heads: readonly string[];
  rows: readonly (readonly Cell[])[];
  empty: string;
}) {
  if (props.rows.length === 0) return <p class="empty">{props.empty}</p>;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={props.name}>
      <table class="wide">
        <TableHead names={props.heads} />
        <tbody>
          {props.rows.map((row, at) => (
            <tr key={at}>
              {row.map((cell, column) => (
                <td key={column}>{cell}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function Problem({ text }: { text: string }) {
  return (
    <p class="problem" role="alert">
      {text}
    </p>
  );
}

/** The rows of a reading as a table. */
export function ReadingTable<T>(props: {
  reading: string;
  name: string;
  heads: readonly string[];
  empty: string;
  row: (each: T) => readonly Cell[];
}) {
  const { found, problem } = useReading<readonly T[]>(props.reading);
  return (
    <Fragment>
      <Problem text={problem} />
      <Table
        name={props.name}
        empty={props.empty}
        heads={props.heads}
        rows={(found ?? []).map(props.row)}
      />
    </Fragment>
  );
}
