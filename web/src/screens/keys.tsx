/** API keys: made in this browser, shown once, with programs that use them. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get, said, send } from "../api/client.ts";
import type { Key, Permission } from "../api/types.ts";
import { ofSession, session } from "../session/session.ts";
import { saveFile } from "../shell/save_file.ts";
import { TableHead } from "../shell/table_head.tsx";
import { dateTime } from "../shell/time.ts";
import { markets, venue } from "../store/venue.ts";
import { canMakeKeys, type KeyPair, makeKeyPair } from "./key_pair.ts";
import { NeedsSession } from "./needs_session.tsx";
import { snippetsFor } from "./snippets.ts";

const PERMISSIONS: readonly (readonly [Permission, string])[] = [
  ["read", "see orders and balances"],
  ["trade", "place and cancel orders"],
  ["withdraw", "ask for withdrawals"],
];
const DAYS: readonly (readonly [number, string])[] = [
  [0, "never"],
  [30, "in 30 days"],
  [90, "in 90 days"],
  [365, "in a year"],
];
const DAY_MS = 86_400_000;

const keys = ofSession<readonly Key[]>([]);
const made = ofSession<KeyPair | null>(null);

const load = async (): Promise<void> => {
  keys.value = await get<readonly Key[]>("/auth/v1/keys");
};

export default function Keys() {
  const problem = useSignal("");
  useEffect(() => {
    made.value = null;
    if (session.value !== null) {
      load().catch((error: unknown) => {
        problem.value = said(error);
      });
    }
    return () => {
      made.value = null;
    };
  }, [problem]);
  if (session.value === null) return <NeedsSession title="API keys" />;
  return (
    <section class="panel page">
      <h1>API keys</h1>
      <p>
        A key is a pair. Its secret half is made in this browser and is never sent: the exchange
        gets the public half, and a proof that you have the other.
      </p>
      {made.value === null ? <NewKey /> : <MadeKey pair={made.value} />}
      <p class="problem" role="alert">
        {problem.value}
      </p>
      <KeyRows />
    </section>
  );
}

function NewKey() {
  const label = useSignal("");
  const chosen = useSignal<ReadonlySet<Permission>>(new Set(["read"]));
  const days = useSignal(0);
  const isBusy = useSignal(false);
  const problem = useSignal("");
  if (!canMakeKeys()) return <NoCrypto />;
  const make = async (): Promise<void> => {
    isBusy.value = true;
    problem.value = "";
    try {
      const pair = await makeKeyPair();
      await send("POST", "/auth/v1/keys", {
        publicKey: pair.publicKey,
        proof: pair.proof,
        label: label.value,
        permissions: [...chosen.value],
        ...(days.value ? { expiresAt: String(Date.now() + days.value * DAY_MS) } : {}),
      });
      made.value = pair;
      await load();
    } catch (error) {
      problem.value = said(error);
    } finally {
      isBusy.value = false;
    }
  };
  return (
    <form
      class="block"
      onSubmit={(event) => {
        event.preventDefault();
        void make();
      }}
    >
      <h2>New key</h2>
      <div class="inline-form">
        <label>
          Label
          <input
            id="key-label"
            maxLength={100}
            value={label.value}
            onInput={(event) => {
              label.value = event.currentTarget.value;
            }}
          />
        </label>
        <label>
          Ends
          <select
            value={String(days.value)}
            onChange={(event) => {
              days.value = Number(event.currentTarget.value);
            }}
          >
            {DAYS.map(([count, text]) => (
              <option key={count} value={String(count)}>
                {text}
              </option>
            ))}
          </select>
        </label>
        <fieldset>
          <legend>May</legend>
          {PERMISSIONS.map(([name, text]) => (
            <label key={name} class="check">
              <input
                type="checkbox"
                checked={chosen.value.has(name)}
                onChange={(event) => {
                  const next = new Set(chosen.value);
                  if (event.currentTarget.checked) next.add(name);
                  else next.delete(name);
                  chosen.value = next;
                }}
              />
              {text}
            </label>
          ))}
        </fieldset>
        <button
          type="submit"
          class="primary"
          id="make-key"
          disabled={isBusy.value || chosen.value.size === 0}
        >
          Make a key
        </button>
      </div>
      <p class="problem" role="alert">
        {problem.value}
      </p>
    </form>
  );
}

function NoCrypto() {
  return (
    <div class="block message" role="alert">
      <h2>This browser refuses to make keys here</h2>
      <p>
        Browsers have the cryptography for it on https addresses and on localhost only. Open this
        page by https, or forward its port to this machine:
      </p>
      <pre>
        ssh -L {location.port || "80"}:localhost:{location.port || "80"} {location.hostname}
      </pre>
      <p>
        Or make the pair on the command line: <code>fairbook keys new</code>
      </p>
    </div>
  );
}

function MadeKey({ pair }: { readonly pair: KeyPair }) {
  const symbol = markets.value[0]?.symbol ?? "SOL_USDC";
  const ws = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${venue.value?.ws ?? "/ws"}`;
  const download = (): void => {
    const content = JSON.stringify({ apiKey: pair.publicKey, apiSecret: pair.secret }, null, 2);
    saveFile("fairbook-key.json", content, "application/json");
  };
  return (
    <div class="block made">
      <h2>Your key</h2>
      <p class="warning-text">
        The secret is shown now and never again. Keep it where nothing else reads it.
      </p>
      <Copied id="api-key" name="API key" text={pair.publicKey} />
      <Copied id="api-secret" name="Secret" text={pair.secret} />
      <p>
        <button type="button" onClick={download}>
          Save as a file
        </button>{" "}
        <button
          type="button"
          class="primary"
          id="key-kept"
          onClick={() => {
            made.value = null;
          }}
        >
          I have kept it
        </button>
      </p>
      {snippetsFor(location.origin, ws, pair.publicKey, pair.secret, symbol).map((snippet) => (
        <details key={snippet.name}>
          <summary>{snippet.name}</summary>
          <CopyButton text={snippet.text} />
          <pre data-snippet={snippet.name}>{snippet.text}</pre>
        </details>
      ))}
    </div>
  );
}

function Copied({
  id,
  name,
  text,
}: {
  readonly id: string;
  readonly name: string;
  readonly text: string;
}) {
  return (
    <div class="field">
      <label for={id}>{name}</label>
      <div class="copy-row">
        <input id={id} readOnly value={text} onFocus={(event) => event.currentTarget.select()} />
        <CopyButton text={text} />
      </div>
    </div>
  );
}

function CopyButton({ text }: { readonly text: string }) {
  const isDone = useSignal(false);
  return (
    <button
      type="button"
      onClick={() => {
        navigator.clipboard.writeText(text).then(
          () => {
            isDone.value = true;
          },
          () => undefined,
        );
      }}
    >
      {isDone.value ? "Copied" : "Copy"}
    </button>
  );
}

function KeyRows() {
  const problem = useSignal("");
  const end = async (key: Key): Promise<void> => {
    try {
      await send("DELETE", `/auth/v1/keys/${key.id}`);
      await load();
    } catch (error) {
      problem.value = said(error);
    }
  };
  if (keys.value.length === 0) return <p class="empty">No keys yet.</p>;
  return (
    <>
      <div class="scroll" tabIndex={0} role="region" aria-label="Keys">
        <table class="wide">
          <TableHead
            names={["Label", "Public key", "May", "Made", "Ends", "Actions"]}
            hidden={["Actions"]}
          />
          <tbody>
            {keys.value.map((key) => (
              <tr key={key.id}>
                <td>{key.label || "–"}</td>
                <td>
                  <code title={key.publicKey ?? ""}>
                    {(key.publicKey ?? "unknown").slice(0, 12)}…
                  </code>
                </td>
                <td>{key.permissions.join(", ")}</td>
                <td>{dateTime(key.createdAt)}</td>
                <td>{key.expiresAt === null ? "never" : dateTime(key.expiresAt)}</td>
                <td>
                  <button type="button" onClick={() => void end(key)}>
                    Revoke
                  </button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="problem" role="alert">
        {problem.value}
      </p>
    </>
  );
}
