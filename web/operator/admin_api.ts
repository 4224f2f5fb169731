/** Requests to the operators' port. The token is in memory only, and goes into a header only. */

import { signal } from "@preact/signals";

export const token = signal<string | null>(null);

/** A field of an act. `choices`: if only these can be. */
export interface Field {
  readonly name: string;
  readonly help: string;
  readonly isOptional: boolean;
  readonly choices: readonly string[];
}

export interface Act {
  readonly act: string;
  readonly help: string;
  readonly needsTwo: boolean;
  readonly fields: readonly Field[];
}

export type Given = Readonly<Record<string, string>>;

export interface Done {
  readonly act: string;
  readonly status: "done" | "repeated" | "pending" | "proposed";
  readonly position: string;
  readonly sequence: string;
}

export class AdminError extends Error {}

export async function read<T>(name: string, query: Given = {}): Promise<T> {
  const text = new URLSearchParams(query).toString();
  return ask<T>("GET", text ? `${name}?${text}` : name);
}

export async function execute(name: string, given: Given, reason: string): Promise<Done> {
  return ask<Done>("POST", name, { ...given, reason });
}

async function ask<T>(method: string, name: string, body?: unknown): Promise<T> {
  const used = token.value;
  let response: Response;
  let content: unknown;
  try {
    response = await fetch(`/admin/v1/${name}`, {
      method,
      headers: { Authorization: `Bearer ${used}`, "Content-Type": "application/json" },
      cache: "no-store",
      credentials: "omit",
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    content = await response.json();
  } catch {
    throw new AdminError(
      method === "GET"
        ? "The exchange did not answer"
        : "The exchange did not answer: whether it was done is unknown. Look at the log of acts.",
    );
  }
  if (response.ok) return content as T;
  if (response.status === 401 && token.value === used) token.value = null;
  throw new AdminError((content as { message?: string }).message ?? `Status ${response.status}`);
}
