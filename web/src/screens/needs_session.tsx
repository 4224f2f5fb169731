/** In place of a screen that shows an account. */

export function NeedsSession({ title }: { readonly title: string }) {
  return (
    <section class="panel narrow">
      <h1>{title}</h1>
      <p>Log in to see this.</p>
      <p>
        <a class="button primary" href="/log-in">
          Log in
        </a>{" "}
        <a class="button" href="/sign-up">
          Sign up
        </a>
      </p>
    </section>
  );
}
