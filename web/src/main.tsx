/** The start of the page. */

import { signal } from "@preact/signals";
import { render } from "preact";
import { said } from "./api/client.ts";
import { askOtherTabs } from "./session/session.ts";
import { followLinks } from "./shell/router.ts";
import { Shell } from "./shell/shell.tsx";
import "./store/account.ts";
import { exposeForTests } from "./store/for_tests.ts";
import { loadVenue } from "./store/venue.ts";

const problem = signal("");
const isReady = signal(false);

function Page() {
  if (isReady.value) return <Shell />;
  if (problem.value === "") return <p class="loading">Loading…</p>;
  return (
    <section class="panel message" role="alert">
      <h1>The exchange does not answer</h1>
      <p>{problem.value}</p>
      <button type="button" class="primary" onClick={() => void begin()}>
        Try again
      </button>
    </section>
  );
}

async function begin(): Promise<void> {
  problem.value = "";
  try {
    await Promise.all([loadVenue(), askOtherTabs()]);
    isReady.value = true;
  } catch (error) {
    problem.value = said(error);
  }
}

followLinks();
exposeForTests();
render(<Page />, document.getElementById("page")!);
void begin();
