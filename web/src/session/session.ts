/**
 * The session of this tab: a token in sessionStorage, which ends with the tab. A new tab asks the
 * open ones for it. Nothing is written to cookies or localStorage.
 */

import { effect, signal } from "@preact/signals";

export interface SessionToken {
  readonly token: string;
  readonly email: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

type Message =
  | { readonly kind: "ask" }
  | { readonly kind: "tell"; readonly session: SessionToken }
  | { readonly kind: "end" };

const NAME = "fairbook.session";
const ANSWER_MS = 150;

export const session = signal<SessionToken | null>(stored());

const tabs = new BroadcastChannel(NAME);
let isTold = false;

function stored(): SessionToken | null {
  const text = sessionStorage.getItem(NAME);
  const found = text === null ? null : (JSON.parse(text) as SessionToken);
  return found !== null && found.expiresAt > Date.now() ? found : null;
}

tabs.onmessage = (event: MessageEvent<Message>) => {
  const message = event.data;
  if (message.kind === "ask" && session.value !== null) {
    tabs.postMessage({ kind: "tell", session: session.value });
  } else if (message.kind === "tell" && session.value === null && isAsking) {
    session.value = message.session;
  } else if (message.kind === "end" && session.value !== null) {
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
  await new Promise((done) => setTimeout(done, ANSWER_MS));
  isAsking = false;
}

effect(() => {
  const now = session.value;
  const before = sessionStorage.getItem(NAME);
  if (now === null) {
    sessionStorage.removeItem(NAME);
    if (before !== null && !isTold) tabs.postMessage({ kind: "end" });
    isTold = false;
  } else {
    sessionStorage.setItem(NAME, JSON.stringify(now));
  }
});
