/** Keys of the whole page, and the list of them. While someone types, they are text. */

import { Fragment } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Choice } from "./choice.tsx";
import { go, path } from "./router.ts";
import { sendKey } from "./settings.ts";

const KEYS: readonly (readonly [string, string])[] = [
  ["/", "search markets"],
  ["b", "buy"],
  ["s", "sell"],
  ["↑ ↓", "in the price: one tick up or down"],
  ["Ctrl+Enter", "in the order form: send; elsewhere too, if it is switched on in the settings"],
  ["Esc", "leave a field, close a window"],
  ["?", "this list"],
];

const isTyping = (target: Element): boolean =>
  target.matches("input, select, textarea, [contenteditable]");
const isTrade = (): boolean => path.value === "/" || path.value.startsWith("/trade/");

function focusWhenThere(selector: string, framesLeft = 60): void {
  const found = document.querySelector<HTMLElement>(selector);
  if (found !== null) found.focus();
  else if (framesLeft > 0) requestAnimationFrame(() => focusWhenThere(selector, framesLeft - 1));
}

function send(target: Element): void {
  const form = document.querySelector<HTMLFormElement>("form.form");
  const isElsewhere = sendKey.value === "on" && !isTyping(target);
  if (form === null || !(form.contains(target) || isElsewhere)) return;
  document.querySelector<HTMLButtonElement>("#submit:not(:disabled)")?.click();
}

/** Returns whether the key meant something. */
function pressed(key: string): boolean {
  if (key === "/") {
    if (path.value !== "/markets") go("/markets");
    focusWhenThere("main input[type=search]");
    return true;
  }
  if (!isTrade() || (key !== "b" && key !== "s")) return false;
  document.querySelector<HTMLElement>(key === "b" ? ".form .buy" : ".form .sell")?.click();
  focusWhenThere("#amount");
  return true;
}

export function Shortcuts() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const target = event.target as HTMLElement;
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        if (!event.repeat && document.querySelector("dialog[open]") === null) send(target);
        return;
      }
      if (event.key === "Escape" && isTyping(target)) target.blur();
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(target)) return;
      if (document.querySelector("dialog[open]") !== null) return;
      if (event.key === "?") dialog.current?.showModal();
      else if (!pressed(event.key)) return;
      event.preventDefault();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby="keys-title" id="shortcuts">
      <h2 id="keys-title">Keys</h2>
      <dl class="facts-table">
        {KEYS.map(([key, text]) => [
          <dt key={key}>
            <kbd>{key}</kbd>
          </dt>,
          <dd key={`${key} text`}>{text}</dd>,
        ])}
      </dl>
      <button type="button" onClick={() => dialog.current?.close()}>
        Close
      </button>
    </dialog>
  );
}

/** The setting that lets Ctrl+Enter send from anywhere. */
export function SendKey() {
  return (
    <Fragment>
      <Choice
        name="Ctrl+Enter"
        of={sendKey}
        texts={{ off: "sends in the order form", on: "sends from anywhere" }}
      />
      <p class="small">Press ? for all keys.</p>
    </Fragment>
  );
}
