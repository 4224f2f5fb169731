/** The operators' page: what `fairbook admin` does, with buttons. */

import { signal, useSignal } from "@preact/signals";
import { type ComponentType, Fragment, render } from "preact";
import { SettingsMenu } from "../src/shell/settings_menu.tsx";
import { Accounts } from "./accounts.tsx";
import { ActDialog, loadActs } from "./act_dialog.tsx";
import { AdminError, token } from "./admin_api.ts";
import { LogOfActs } from "./log_of_acts.tsx";
import { Markets } from "./markets.tsx";
import { Operators } from "./operators.tsx";
import { Overview } from "./overview.tsx";
import { Waiting } from "./waiting.tsx";

const TABS: readonly (readonly [string, ComponentType])[] = [
  ["Overview", Overview],
  ["Markets", Markets],
  ["Accounts", Accounts],
  ["Decisions", Waiting],
  ["Operators", Operators],
  ["Log", LogOfActs],
];

const shown = signal("Overview");
const isIn = signal(false);

function Page() {
  if (token.value === null || !isIn.value) return <LogIn />;
  const Shown = TABS.find(([name]) => name === shown.value)![1];
  return (
    <Fragment>
      <header class="top">
        <span class="brand">
          <img src="/icon.svg" alt="" width="24" height="24" />
          <span>Operators</span>
        </span>
        <nav aria-label="Screens" class="open">
          {TABS.map(([name]) => (
            <button
              key={name}
              type="button"
              aria-current={shown.value === name ? "page" : undefined}
              onClick={() => {
                shown.value = name;
              }}
            >
              {name}
            </button>
          ))}
        </nav>
        <div class="top-end">
          <SettingsMenu />
          <button
            type="button"
            onClick={() => {
              token.value = null;
            }}
          >
            Forget the token
          </button>
        </div>
      </header>
      <main id="main">
        <section class="panel page operators">
          <Shown />
        </section>
      </main>
      <ActDialog />
    </Fragment>
  );
}

function LogIn() {
  const text = useSignal("");
  const problem = useSignal("");
  const submit = async (): Promise<void> => {
    token.value = text.value.trim();
    isIn.value = false;
    try {
      await loadActs();
      isIn.value = true;
      problem.value = text.value = "";
    } catch (error) {
      if (!(error instanceof AdminError)) throw error;
      token.value = null;
      problem.value = error.message;
    }
  };
  return (
    <main id="main">
      <section class="panel page narrow">
        <h1>Operators</h1>
        <p>
          Log in with the token of an operator: the first one's stands in <code>admin.json</code> of
          the data directory. It stays in this tab, and is forgotten when the tab is closed.
        </p>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void submit();
          }}
        >
          <div class="field">
            <label for="token">Token</label>
            <input
              id="token"
              type="password"
              autoComplete="off"
              value={text.value}
              onInput={(event) => {
                text.value = event.currentTarget.value;
              }}
            />
          </div>
          <button type="submit" class="primary" disabled={text.value.trim() === ""}>
            Log in
          </button>
          <p class="problem" role="alert">
            {problem.value}
          </p>
        </form>
      </section>
    </main>
  );
}

render(<Page />, document.getElementById("page")!);
