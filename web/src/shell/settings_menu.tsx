/** Theme, colours and time zone, and what a page adds. */

import type { ComponentChildren } from "preact";
import { palette, theme, zone } from "./settings.ts";

export function SettingsMenu({ children }: { children?: ComponentChildren }) {
  return (
    <details class="settings">
      <summary aria-label="Settings">Settings</summary>
      <div class="pop">
        <label>
          Theme
          <select
            value={theme.value}
            onChange={(event) => {
              theme.value = event.currentTarget.value as typeof theme.value;
            }}
          >
            <option value="system">as the system</option>
            <option value="dark">dark</option>
            <option value="light">light</option>
          </select>
        </label>
        <label>
          Colours
          <select
            value={palette.value}
            onChange={(event) => {
              palette.value = event.currentTarget.value as typeof palette.value;
            }}
          >
            <option value="green-red">green and red</option>
            <option value="blue-orange">blue and orange</option>
          </select>
        </label>
        <label>
          Times
          <select
            value={zone.value}
            onChange={(event) => {
              zone.value = event.currentTarget.value as typeof zone.value;
            }}
          >
            <option value="local">of this device</option>
            <option value="utc">UTC</option>
          </select>
        </label>
        {children}
      </div>
    </details>
  );
}
