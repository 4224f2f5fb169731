/** The newest trades: side by letter and colour. It stands still while the pointer is over it. */

import { useSignal } from "@preact/signals";
import type { Trade } from "../api/types.ts";
import { formatFixed, units } from "../money/scale.ts";
import { clockTime } from "../shell/time.ts";
import { symbol, trades } from "../store/market.ts";
import { marketUnits } from "../store/venue.ts";

const SHOWN = 40;

export function Tape() {
  const held = useSignal<readonly Trade[] | null>(null);
  const market = marketUnits.value.get(symbol.value);
  const shown = (held.value ?? trades.value).slice(0, SHOWN);
  if (market === undefined) return <section class="panel tape" />;
  return (
    <section
      class="panel tape"
      aria-label="Trades"
      onPointerEnter={() => {
        held.value = trades.value;
      }}
      onPointerLeave={() => {
        held.value = null;
      }}
    >
      <header class="panel-head">
        <h2>Trades</h2>
        {held.value !== null && <span class="badge">Held</span>}
      </header>
      <div class="scroll" tabIndex={0} role="region" aria-label="Newest trades">
        <table class="trades">
          <thead>
            <tr>
              <th scope="col">Price {market.quote}</th>
              <th scope="col">Size {market.base}</th>
              <th scope="col">Time</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((trade) => (
              <tr key={trade.id} data-id={trade.id}>
                <td class={trade.isBuyerMaker ? "down" : "up"}>
                  <span class="letter">{trade.isBuyerMaker ? "S" : "B"}</span>
                  {formatFixed(market.price, units(market.price, trade.price))}
                </td>
                <td>{formatFixed(market.quantity, units(market.quantity, trade.quantity))}</td>
                <td title={new Date(trade.timestamp).toISOString()}>
                  {clockTime(trade.timestamp)}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
        {shown.length === 0 && <p class="empty">No trades yet</p>}
      </div>
    </section>
  );
}
