/** A field whose words a list is searched for. */

import type { Signal } from "@preact/signals";

export function SearchField(props: {
  readonly name: string;
  readonly placeholder?: string;
  readonly of: Signal<string>;
}) {
  return (
    <input
      type="search"
      aria-label={props.name}
      placeholder={props.placeholder ?? "Search"}
      value={props.of.value}
      onInput={(event) => {
        props.of.value = event.currentTarget.value;
      }}
    />
  );
}
