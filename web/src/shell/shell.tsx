/** What surrounds every screen: header, banners, messages, and the screen of the address. */

import { signal, useSignal } from "@preact/signals";
import { type ComponentType, Fragment } from "preact";
import { useEffect, useErrorBoundary } from "preact/hooks";
import { said, send } from "../api/client.ts";
import { session } from "../session/session.ts";
import { markets, news, socket, venue } from "../store/venue.ts";
import { Trade } from "../trade/trade.tsx";
import { go, path } from "./router.ts";
import { SettingsMenu } from "./settings_menu.tsx";
import { SendKey, Shortcuts } from "./shortcuts.tsx";
import { dismiss, notify, toasts } from "./toasts.ts";

type Load = () => Promise<{ readonly default: ComponentType }>;

const SCREENS: Readonly<Record<string, Load>> = {
  "/markets": () => import("../screens/markets.tsx"),
  "/portfolio": () => import("../screens/portfolio.tsx"),
  "/keys": () => import("../screens/keys.tsx"),
  "/account": () => import("../screens/account.tsx"),
  "/transparency": () => import("../screens/transparency.tsx"),
  "/docs": () => import("../screens/docs.tsx"),
  "/sign-up": () => import("../screens/sign_up.tsx"),
  "/log-in": () => import("../screens/log_in.tsx"),
};

const LINKS: readonly (readonly [string, string])[] = [
  ["/", "Trade"],
  ["/markets", "Markets"],
  ["/portfolio", "Portfolio"],
  ["/keys", "API keys"],
  ["/transparency", "Transparency"],
  ["/docs", "API"],
];

const loaded = signal<Readonly<Record<string, ComponentType>>>({});

export function Shell() {
  return (
    <Fragment>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <Header />
      <Banners />
      <main id="main" tabIndex={-1}>
        <Guarded key={path.value} />
      </main>
      <Toasts />
      <Shortcuts />
    </Fragment>
  );
}

function Guarded() {
  const [error, reset] = useErrorBoundary();
  if (error) {
    return (
      <section class="panel message" role="alert">
        <h1>This screen failed</h1>
        <p>{String(error)}</p>
        <button type="button" class="primary" onClick={reset}>
          Try again
        </button>
      </section>
    );
  }
  return <Screen />;
}

function titleOf(screen: string): string {
  const words = LINKS.find(([link]) => link === screen)?.[1] ?? screen.slice(1).replace("-", " ");
  return `${words} · ${venue.value?.name ?? "Fairbook"}`;
}

let shown = "";

/** A screen is named by the title, and has the focus. The market's own title has its price. */
function begin(screen: string, isTrade: boolean): void {
  if (!isTrade) document.title = titleOf(screen);
  if (shown !== "" && shown !== screen && !isTrade) document.getElementById("main")?.focus();
  shown = screen;
}

function Screen() {
  const load = SCREENS[path.value];
  const failed = useSignal(false);
  const Loaded = loaded.value[path.value];
  const isTrade = path.value === "/" || path.value.startsWith("/trade/");
  useEffect(() => {
    if (load === undefined || Loaded !== undefined) return;
    const name = path.value;
    load().then(
      (module) => {
        loaded.value = { ...loaded.value, [name]: module.default };
      },
      () => {
        failed.value = true;
      },
    );
  }, [load, Loaded, failed]);
  useEffect(() => begin(path.value, isTrade), [isTrade]);
  if (isTrade) return <Trade />;
  if (load === undefined) {
    return (
      <section class="panel message">
        <h1>There is no such page</h1>
        <p>
          <a href="/">Go to trading</a>
        </p>
      </section>
    );
  }
  if (failed.value) {
    return (
      <section class="panel message" role="alert">
        <h1>The screen did not load</h1>
        <button type="button" class="primary" onClick={() => location.reload()}>
          Load again
        </button>
      </section>
    );
  }
  return Loaded === undefined ? <p class="loading">Loading…</p> : <Loaded />;
}

function Header() {
  const here = (link: string): boolean =>
    link === "/" ? path.value === "/" || path.value.startsWith("/trade/") : path.value === link;
  const isOpen = useSignal(false);
  return (
    <header class="top">
      <a class="brand" href="/" aria-label={venue.value?.name ?? "Fairbook"}>
        <img src="/icon.svg" alt="" width="24" height="24" />
        <span>{venue.value?.name ?? "Fairbook"}</span>
      </a>
      <button
        type="button"
        class="menu-button"
        aria-expanded={isOpen.value}
        aria-controls="menu"
        onClick={() => {
          isOpen.value = !isOpen.value;
        }}
      >
        Menu
      </button>
      <nav id="menu" aria-label="Screens" class={isOpen.value ? "open" : ""}>
        {LINKS.map(([link, text]) => (
          <a
            key={link}
            href={link}
            aria-current={here(link) ? "page" : undefined}
            onClick={() => {
              isOpen.value = false;
            }}
          >
            {text}
          </a>
        ))}
      </nav>
      <div class="top-end">
        <LinkBadge />
        <SettingsMenu>
          <SendKey />
        </SettingsMenu>
        <SessionLinks />
      </div>
    </header>
  );
}

const LINK_WORDS = { connecting: "Connecting", live: "Live", stale: "Stale", offline: "Offline" };

function LinkBadge() {
  const link = socket.link.value;
  return (
    <span class={`badge link-${link}`} role="status" title={socket.reason.value}>
      {LINK_WORDS[link]}
    </span>
  );
}

function SessionLinks() {
  if (session.value === null) {
    return (
      <Fragment>
        <a class="button" href="/log-in">
          Log in
        </a>
        <a class="button primary" href="/sign-up">
          Sign up
        </a>
      </Fragment>
    );
  }
  return (
    <Fragment>
      <a class="who" href="/account" title={session.value.email}>
        {session.value.email}
      </a>
      <button type="button" onClick={logOut}>
        Log out
      </button>
    </Fragment>
  );
}

async function logOut(): Promise<void> {
  try {
    await send("POST", "/auth/v1/logout");
  } catch (error) {
    if (session.value !== null) {
      notify(
        "warning",
        `Logged out here, but the exchange still knows the session: ${said(error)}`,
      );
    }
  }
  session.value = null;
  go("/");
}

function Banners() {
  const { paused, announcements } = news.value;
  const isDown = markets.value.length > 0 && socket.link.value === "offline";
  return (
    <div class="banners" aria-live="polite">
      {venue.value?.test && (
        <p class="banner warning">TEST VENUE: its clock and its faults are set by tests</p>
      )}
      {venue.value?.demo && <p class="banner demo">Demo: all money here is play money</p>}
      {paused && (
        <p class="banner warning">Trading is paused. Cancelling works; new orders are refused.</p>
      )}
      {isDown && (
        <p class="banner warning">
          No connection to the exchange: {socket.reason.value}. Prices below may be old.
        </p>
      )}
      {announcements.map((text) => (
        <p key={text} class="banner">
          {text}
        </p>
      ))}
    </div>
  );
}

const SPOKEN_EVERY_MS = 2_000;
const spoken = signal("");

/** What screen readers say: the newest message, at most every two seconds. */
function speak(): void {
  spoken.value = toasts.value.at(-1)?.text ?? "";
}

function Toasts() {
  useEffect(() => {
    const timer = setInterval(speak, SPOKEN_EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <div class="toasts">
      <p class="hidden" role="status">
        {spoken.value}
      </p>
      {toasts.value.map((toast) => (
        <div key={toast.id} class={`toast ${toast.tone}`}>
          <span>
            {toast.text}
            {toast.count > 1 && ` (${toast.count} in all)`}
          </span>
          <button type="button" aria-label="Dismiss" onClick={() => dismiss(toast.id)}>
            ×
          </button>
        </div>
      ))}
    </div>
  );
}
