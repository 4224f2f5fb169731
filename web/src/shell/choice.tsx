/** A setting that a person chooses from a list. */

import type { Signal } from "@preact/signals";

export function Choice<T extends string>(props: {
  readonly name: string;
  readonly of: Signal<T>;
  readonly texts: Readonly<Record<T, string>>;
}) {
  return (
    <label>
      {props.name}
      <select
        value={props.of.value}
        onChange={(event) => {
          props.of.value = event.currentTarget.value as T;
        }}
      >
        {Object.entries<string>(props.texts).map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}
