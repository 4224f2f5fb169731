/**
 * The connection to the streams: subscriptions, login, heartbeat, and reconnecting.
 *
 * Every 2 s the page asks for something small; without any frame for 4 s the data is stale, and
 * after 10 s the connection is dropped. A pause that grows lies between two tries, unless the
 * exchange said how long to wait.
 */

import { signal } from "@preact/signals";

export type Link = "connecting" | "live" | "stale" | "offline";

type Message = {
  readonly stream?: string;
  readonly data?: unknown;
  readonly id?: number | null;
  readonly error?: { readonly code: number; readonly message: string };
  readonly result?: unknown;
};

/** Ids of requests whose answers mean something; heartbeats have higher ones. */
const LOGIN_ID = 0;
const PUBLIC_ID = 1;
const ACCOUNT_ID = 2;
const HEARTBEAT_MS = 2_000;
const STALE_MS = 4_000;
const DEAD_MS = 10_000;
const PAUSE_MS = [250, 500, 1_000, 2_000, 4_000, 8_000];

export class Socket {
  readonly link = signal<Link>("connecting");
  /** Why there is no connection, for the badge. */
  readonly reason = signal("");
  private socket: WebSocket | null = null;
  private readonly subscribers = new Map<string, Set<(data: unknown) => void>>();
  private token: string | null = null;
  private isLoggedIn = false;
  private tries = 0;
  private heardMs = 0;
  private retryTimer = 0;
  private number = ACCOUNT_ID + 1;
  private readonly opened = new Set<() => void>();
  private readonly accountOpened = new Set<() => void>();
  private readonly refused = new Set<() => void>();
  private readonly closed = new Set<() => void>();

  constructor(private readonly url: string) {
    addEventListener("online", () => this.connect());
    addEventListener("offline", () => this.drop("This device is offline"));
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.checkAlive();
    });
    setInterval(() => this.beat(), HEARTBEAT_MS);
    this.connect();
  }

  /** Get the messages of a stream until the returned function is called. */
  subscribe(stream: string, receive: (data: unknown) => void): () => void {
    const known = this.subscribers.get(stream);
    const receivers = known ?? new Set();
    receivers.add(receive);
    this.subscribers.set(stream, receivers);
    if (known === undefined && this.canSubscribe(stream)) this.ask("SUBSCRIBE", [stream]);
    return () => {
      receivers.delete(receive);
      if (receivers.size > 0) return;
      this.subscribers.delete(stream);
      if (this.canSubscribe(stream)) this.ask("UNSUBSCRIBE", [stream]);
    };
  }

  /** Called whenever a connection begins, and its public subscriptions are in force. */
  onOpen(receive: () => void): () => void {
    this.opened.add(receive);
    return () => this.opened.delete(receive);
  }

  /** Called whenever the subscriptions of the account are in force. */
  onAccountOpen(receive: () => void): void {
    this.accountOpened.add(receive);
  }

  /** Called when the exchange refuses the login of the session. */
  onRefused(receive: () => void): void {
    this.refused.add(receive);
  }

  /** Called when the connection is lost: what its messages have built is old from then on. */
  onLost(receive: () => void): () => void {
    this.closed.add(receive);
    return () => this.closed.delete(receive);
  }

  /** Log in, or end the connection of a session that has ended. */
  logIn(token: string | null): void {
    if (token === this.token) return;
    const hadToken = this.token !== null;
    this.token = token;
    if (hadToken) this.drop("");
    else this.sendLogin();
  }

  private get isOpen(): boolean {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  private canSubscribe(stream: string): boolean {
    return this.isOpen && (this.isLoggedIn || !stream.startsWith("account."));
  }

  private connect(): void {
    if (this.socket !== null) return;
    clearTimeout(this.retryTimer);
    this.link.value = "connecting";
    const socket = new WebSocket(this.url);
    this.socket = socket;
    this.heardMs = performance.now();
    socket.onopen = () => {
      this.tries = 0;
      this.isLoggedIn = false;
      const streams = [...this.subscribers.keys()].filter((name) => !name.startsWith("account."));
      this.ask("SUBSCRIBE", streams, PUBLIC_ID);
      this.sendLogin();
    };
    socket.onmessage = (event: MessageEvent<string>) => this.receive(event.data);
    socket.onclose = (event) => {
      if (this.socket === socket) this.lost(event.reason);
    };
  }

  private receive(text: string): void {
    this.heard();
    const message = JSON.parse(text) as Message;
    if (message.stream !== undefined) {
      const receivers = this.subscribers.get(message.stream);
      if (receivers !== undefined) for (const each of receivers) each(message.data);
    } else if (message.id === LOGIN_ID) {
      this.isLoggedIn = message.error === undefined;
      const streams = [...this.subscribers.keys()].filter((name) => name.startsWith("account."));
      if (this.isLoggedIn) this.ask("SUBSCRIBE", streams, ACCOUNT_ID);
      else for (const receive of this.refused) receive();
    } else if (message.id === PUBLIC_ID) {
      for (const receive of this.opened) receive();
    } else if (message.id === ACCOUNT_ID) {
      for (const receive of this.accountOpened) receive();
    }
  }

  private heard(): void {
    this.heardMs = performance.now();
    if (this.isOpen && this.link.value !== "live") {
      this.link.value = "live";
      this.reason.value = "";
    }
  }

  private beat(): void {
    if (this.isOpen) this.ask("SUBSCRIBE", ["venue"], this.number++);
    this.checkAlive();
  }

  private checkAlive(): void {
    if (this.socket === null) {
      if (document.visibilityState === "visible") this.connect();
      return;
    }
    const silentMs = performance.now() - this.heardMs;
    if (silentMs > DEAD_MS) this.drop("The exchange is silent");
    else if (silentMs > STALE_MS && this.isOpen) {
      this.link.value = "stale";
      this.reason.value = `Nothing heard for ${Math.round(silentMs / 1_000)} s`;
    }
  }

  private sendLogin(): void {
    if (this.isOpen && this.token !== null) this.ask("LOGIN", { token: this.token }, LOGIN_ID);
  }

  private ask(method: string, params: unknown, id?: number): void {
    this.socket?.send(
      JSON.stringify(id === undefined ? { method, params } : { id, method, params }),
    );
  }

  private drop(reason: string): void {
    const socket = this.socket;
    if (socket === null) return;
    this.lost(reason);
    socket.close();
  }

  private lost(reason: string): void {
    this.socket = null;
    this.isLoggedIn = false;
    this.link.value = "offline";
    this.reason.value = reason || "The connection is lost";
    for (const receive of this.closed) receive();
    const asked = /reconnect in (\d+(?:\.\d+)?) s/.exec(reason);
    const pauseMs = asked
      ? Number(asked[1]) * 1_000
      : PAUSE_MS[Math.min(this.tries, PAUSE_MS.length - 1)]!;
    this.tries += 1;
    clearTimeout(this.retryTimer);
    this.retryTimer = window.setTimeout(() => this.connect(), pauseMs * (0.75 + Math.random() / 2));
  }
}
