/** What browser tests read: the book as it is drawn. It changes nothing. */

import { book } from "./market.ts";

interface ShownBook {
  readonly id: number;
  readonly resyncs: number;
  readonly bids: readonly string[];
  readonly asks: readonly string[];
}

export function exposeForTests(): void {
  Object.assign(window, {
    __book: (): ShownBook | null => {
      const each = book();
      if (each === null) return null;
      const texts = (side: "bids" | "asks"): string[] =>
        each.levels(side, Number.MAX_SAFE_INTEGER).map(([ticks, lots]) => `${ticks}x${lots}`);
      return { id: each.id, resyncs: each.resyncs, bids: texts("bids"), asks: texts("asks") };
    },
  });
}
