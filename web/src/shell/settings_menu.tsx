/** Theme, colours and time zone, and what a page adds. */

import type { ComponentChildren } from "preact";
import { Choice } from "./choice.tsx";
import { palette, theme, zone } from "./settings.ts";

export function SettingsMenu({ children }: { children?: ComponentChildren }) {
  return (
    <details class="settings">
      <summary aria-label="Settings">Settings</summary>
      <div class="pop">
        <Choice
          name="Theme"
          of={theme}
          texts={{ system: "as the system", dark: "dark", light: "light" }}
        />
        <Choice
          name="Colours"
          of={palette}
          texts={{ "green-red": "green and red", "blue-orange": "blue and orange" }}
        />
        <Choice name="Times" of={zone} texts={{ local: "of this device", utc: "UTC" }} />
        {children}
      </div>
    </details>
  );
}
