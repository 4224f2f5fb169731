/**
 * The session of this tab: a token in sessionStorage, which ends with the tab. A new tab asks the
 * open ones for it. Nothing is written to cookies or localStorage.
 */

import { effect, type Signal, signal } from "@preact/signals";
import { sleep } from "../shell/sleep.ts";
import { ofTab } from "../shell/storage.ts";

export interface SessionToken {
  readonly token: string;
  readonly email: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

type Message =
  | { readonly kind: "ask" }
  | { readonly kind: "tell"; readonly session: SessionToken }
  | { readonly kind: "end"; readonly token: string };

const NAME = "fairbook.session";
const ANSWER_MS = 150;

export const session = signal<SessionToken | null>(stored());

/** A signal about the user of the session: it is set back when the session is another one. */
export function ofSession<T>(initial: T): Signal<T> {
  const found = signal(initial);
  effect(() => {
    session.value?.token; // Read, so that it is set back.
    found.value = initial;
  });
  return found;
}

const tabs = new BroadcastChannel(NAME);
let isTold = false;

function stored(): SessionToken | null {
  const text = ofTab?.getItem(NAME) ?? null;
  const found = text === null ? null : (JSON.parse(text) as SessionToken);
  return found !== null && found.expiresAt > Date.now() ? found : null;
}

tabs.onmessage = (event: MessageEvent<Message>) => {
  const message = event.data;
  if (message.kind === "ask" && session.value !== null) {
    tabs.postMessage({ kind: "tell", session: session.value });
  } else if (message.kind === "tell" && session.value === null && isAsking) {
    session.value = message.session;
  } else if (message.kind === "end" && session.value?.token === message.token) {
    isTold = true;
    session.value = null;
  }
};

let isAsking = false;

/** Ask other tabs for their session, if this one has none. */
export async function askOtherTabs(): Promise<void> {
  if (session.value !== null) return;
  isAsking = true;
  tabs.postMessage({ kind: "ask" });
  await sleep(ANSWER_MS);
  isAsking = false;
}

let known: SessionToken | null = null;
effect(() => {
  const now = session.value;
  if (now === null) {
    ofTab?.removeItem(NAME);
    if (known !== null && !isTold) tabs.postMessage({ kind: "end", token: known.token });
    isTold = false;
  } else {
    ofTab?.setItem(NAME, JSON.stringify(now));
  }
  known = now;
});
