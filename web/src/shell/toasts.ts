/** Short messages at the edge of the page: at most three; many of one kind become one. */

import { signal } from "@preact/signals";

export type Tone = "success" | "warning" | "error";

export interface Toast {
  readonly id: number;
  readonly tone: Tone;
  readonly text: string;
  readonly kind: string;
  readonly count: number;
}

const SHOWN_MAX = 3;
const SHOWN_MS = 5_000;

export const toasts = signal<readonly Toast[]>([]);

let next = 1;
const timers = new Map<number, number>();

/** kind: messages of one kind that come while one is shown are counted in it. */
export function notify(tone: Tone, text: string, kind = ""): void {
  const known = kind === "" ? undefined : toasts.value.find((toast) => toast.kind === kind);
  if (known === undefined) {
    const id = next++;
    const toast = { id, tone, text, kind, count: 1 };
    const dropped = toasts.value.slice(0, Math.max(0, toasts.value.length + 1 - SHOWN_MAX));
    for (const each of dropped) forget(each.id);
    toasts.value = [...toasts.value, toast].slice(-SHOWN_MAX);
    endLater(id);
  } else {
    const more = { ...known, tone, text, count: known.count + 1 };
    toasts.value = toasts.value.map((toast) => (toast.id === known.id ? more : toast));
    endLater(known.id);
  }
}

export function dismiss(id: number): void {
  forget(id);
  toasts.value = toasts.value.filter((toast) => toast.id !== id);
}

function forget(id: number): void {
  clearTimeout(timers.get(id));
  timers.delete(id);
}

function endLater(id: number): void {
  clearTimeout(timers.get(id));
  timers.set(
    id,
    window.setTimeout(() => dismiss(id), SHOWN_MS),
  );
}
