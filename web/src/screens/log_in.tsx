/** Log in. A wrong password and an unknown user look the same. */

import { useSignal } from "@preact/signals";
import { ApiError, said, send } from "../api/client.ts";
import { session } from "../session/session.ts";
import { go } from "../shell/router.ts";

/** Begin a session. Throws ApiError. */
export async function logIn(email: string, password: string): Promise<void> {
  const found = await send<{ token: string; expiresAt: number }>("POST", "/auth/v1/login", {
    email,
    password,
  });
  session.value = { token: found.token, email, expiresAt: found.expiresAt };
}

export default function LogIn() {
  const email = useSignal("");
  const password = useSignal("");
  const isBusy = useSignal(false);
  const problem = useSignal("");
  const submit = async (): Promise<void> => {
    isBusy.value = true;
    problem.value = "";
    try {
      await logIn(email.value, password.value);
      go("/");
    } catch (error) {
      const isWrong = error instanceof ApiError && error.status === 401;
      problem.value = isWrong ? "The address or the password is wrong" : said(error);
    } finally {
      isBusy.value = false;
    }
  };
  return (
    <section class="panel narrow">
      <h1>Log in</h1>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <div class="field">
          <label for="email">E-mail address</label>
          <input
            id="email"
            type="email"
            autoComplete="username"
            required
            value={email.value}
            onInput={(event) => {
              email.value = event.currentTarget.value;
            }}
          />
        </div>
        <div class="field">
          <label for="password">Password</label>
          <input
            id="password"
            type="password"
            autoComplete="current-password"
            required
            value={password.value}
            onInput={(event) => {
              password.value = event.currentTarget.value;
            }}
          />
        </div>
        <button type="submit" class="primary wide" id="log-in" disabled={isBusy.value}>
          {isBusy.value ? "Logging in…" : "Log in"}
        </button>
        <p class="problem" role="alert">
          {problem.value}
        </p>
      </form>
      <p class="small">The session ends with this tab, or after 24 hours.</p>
      <p>
        No account yet? <a href="/sign-up">Sign up</a>
      </p>
    </section>
  );
}
