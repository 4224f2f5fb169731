/** The user's password and sessions. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get, said, send } from "../api/client.ts";
import type { Session } from "../api/types.ts";
import { ofSession, session } from "../session/session.ts";
import { go } from "../shell/router.ts";
import { TableHead } from "../shell/table_head.tsx";
import { dateTime } from "../shell/time.ts";
import { NeedsSession } from "./needs_session.tsx";
import { strength } from "./sign_up.tsx";

const sessions = ofSession<readonly Session[]>([]);

const load = async (): Promise<void> => {
  sessions.value = await get<readonly Session[]>("/auth/v1/sessions");
};

export default function Account() {
  const problem = useSignal("");
  useEffect(() => {
    if (session.value === null) return;
    load().catch((error: unknown) => {
      problem.value = said(error);
    });
  }, [problem]);
  if (session.value === null) return <NeedsSession title="Account" />;
  return (
    <section class="panel page">
      <h1>Account</h1>
      <p>{session.value.email}</p>
      <p class="problem" role="alert">
        {problem.value}
      </p>
      <Password />
      <Sessions />
    </section>
  );
}

function Password() {
  const old = useSignal("");
  const next = useSignal("");
  const status = useSignal("");
  const problem = useSignal("");
  const submit = async (): Promise<void> => {
    status.value = problem.value = "";
    try {
      await send("POST", "/auth/v1/password", { oldPassword: old.value, newPassword: next.value });
      status.value = "The password is changed, and all other sessions have ended";
      old.value = next.value = "";
      await load();
    } catch (error) {
      problem.value = said(error);
    }
  };
  return (
    <form
      class="block narrow-form"
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <h2>Change the password</h2>
      <input
        class="hidden"
        type="email"
        autoComplete="username"
        readOnly
        tabIndex={-1}
        aria-hidden="true"
        value={session.value?.email ?? ""}
      />
      <div class="field">
        <label for="old-password">Present password</label>
        <input
          id="old-password"
          type="password"
          autoComplete="current-password"
          value={old.value}
          onInput={(event) => {
            old.value = event.currentTarget.value;
          }}
        />
      </div>
      <div class="field">
        <label for="new-password">New password</label>
        <input
          id="new-password"
          type="password"
          autoComplete="new-password"
          value={next.value}
          onInput={(event) => {
            next.value = event.currentTarget.value;
          }}
        />
        <p class="help neutral">{strength(next.value)}</p>
      </div>
      <button type="submit" disabled={next.value.length < 10 || old.value === ""}>
        Change it
      </button>
      <p class="problem" role="alert">
        {problem.value}
      </p>
      <p role="status">{status.value}</p>
    </form>
  );
}

function Sessions() {
  const problem = useSignal("");
  const end = async (each: Session): Promise<void> => {
    try {
      await send("DELETE", `/auth/v1/sessions/${each.id}`);
      if (each.current) {
        session.value = null;
        go("/");
      } else {
        await load();
      }
    } catch (error) {
      problem.value = said(error);
    }
  };
  const endOthers = async (): Promise<void> => {
    for (const each of sessions.value) if (!each.current) await end(each);
  };
  return (
    <section class="block">
      <h2>Sessions</h2>
      <div class="scroll" tabIndex={0} role="region" aria-label="Sessions">
        <table class="wide">
          <TableHead names={["Began", "Ends", "Which", "Actions"]} hidden={["Which", "Actions"]} />
          <tbody>
            {sessions.value.map((each) => (
              <tr key={each.id}>
                <td>{dateTime(each.createdAt)}</td>
                <td>{dateTime(each.expiresAt)}</td>
                <td>{each.current ? "this one" : ""}</td>
                <td>
                  <button type="button" onClick={() => void end(each)}>
                    End
                  </button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <button type="button" disabled={sessions.value.length < 2} onClick={() => void endOthers()}>
        End all others
      </button>
      <p class="problem" role="alert">
        {problem.value}
      </p>
    </section>
  );
}
