/** Sign up, log in at once, and get demo money where there is any. */

import { useSignal } from "@preact/signals";
import { said, send } from "../api/client.ts";
import { session } from "../session/session.ts";
import { go } from "../shell/router.ts";
import { loadAccount } from "../store/account.ts";
import { venue } from "../store/venue.ts";
import { getDemoMoney } from "./faucet.ts";
import { logIn } from "./log_in.tsx";

const LEAST = 10;

export default function SignUp() {
  const email = useSignal("");
  const password = useSignal("");
  const invitation = useSignal("");
  const isShown = useSignal(false);
  const isBusy = useSignal(false);
  const problem = useSignal("");
  const isDone = useSignal(false);
  const mode = venue.value?.signUp ?? "open";

  const submit = async (): Promise<void> => {
    isBusy.value = true;
    problem.value = "";
    try {
      await send("POST", "/auth/v1/signup", {
        email: email.value,
        password: password.value,
        ...(mode === "invitation" ? { invitation: invitation.value } : {}),
      });
      await logIn(email.value, password.value);
      if (venue.value?.demo) isDone.value = true;
      else go("/");
    } catch (error) {
      problem.value = said(error);
    } finally {
      isBusy.value = false;
    }
  };
  if (isDone.value && session.value !== null) return <DemoMoney />;
  if (mode === "closed") {
    return (
      <section class="panel narrow">
        <h1>Sign up</h1>
        <p>
          Sign-up is closed here: the operators open accounts. <a href="/log-in">Log in</a>
        </p>
      </section>
    );
  }
  return (
    <section class="panel narrow">
      <h1>Sign up</h1>
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
          <p class="help neutral">Your user name. No mail is sent.</p>
        </div>
        <div class="field">
          <label for="password">Password</label>
          <input
            id="password"
            type={(isShown.value ? "text" : "password") as "password"}
            autoComplete="new-password"
            required
            minLength={LEAST}
            maxLength={128}
            aria-describedby="password-help"
            value={password.value}
            onInput={(event) => {
              password.value = event.currentTarget.value;
            }}
          />
          <p class="help neutral" id="password-help">
            {strength(password.value)}
          </p>
        </div>
        <label class="check">
          <input
            type="checkbox"
            checked={isShown.value}
            onChange={(event) => {
              isShown.value = event.currentTarget.checked;
            }}
          />
          Show the password
        </label>
        {mode === "invitation" && (
          <div class="field">
            <label for="invitation">Invitation</label>
            <input
              id="invitation"
              required
              autoComplete="off"
              value={invitation.value}
              onInput={(event) => {
                invitation.value = event.currentTarget.value;
              }}
            />
          </div>
        )}
        <button type="submit" class="primary wide" id="sign-up" disabled={isBusy.value}>
          {isBusy.value ? "Signing up…" : "Sign up"}
        </button>
        <p class="problem" role="alert">
          {problem.value}
        </p>
      </form>
      <p>
        You have an account? <a href="/log-in">Log in</a>
      </p>
    </section>
  );
}

/** Long is what counts, not kinds of characters. */
export function strength(password: string): string {
  const length = [...password].length;
  if (length === 0) return "10 characters or more; a few words are good";
  if (length < LEAST) return `${LEAST - length} more characters`;
  if (new Set(password).size < 4) return "Too few different characters";
  return length < 14 ? "Enough; longer is better" : length < 20 ? "Good" : "Very good";
}

function DemoMoney() {
  const isBusy = useSignal(false);
  const problem = useSignal("");
  const take = async (): Promise<void> => {
    isBusy.value = true;
    try {
      await getDemoMoney();
      await loadAccount();
      go("/");
    } catch (error) {
      problem.value = said(error);
      isBusy.value = false;
    }
  };
  return (
    <section class="panel narrow">
      <h1>Welcome</h1>
      <p>This exchange runs on play money. Take some, and trade.</p>
      <button
        type="button"
        class="primary wide"
        id="demo-money"
        disabled={isBusy.value}
        onClick={() => void take()}
      >
        Get demo funds
      </button>
      <p class="problem" role="alert">
        {problem.value}
      </p>
      <p>
        <a href="/">Not now</a>
      </p>
    </section>
  );
}
