/** The market that is shown: its price, its last 24 hours, and its state. */

import { useEffect } from "preact/hooks";
import { ppmChange, signed } from "../money/change.ts";
import { formatFixed, grouped, units } from "../money/scale.ts";
import { go } from "../shell/router.ts";
import { lastTrade, symbol } from "../store/market.ts";
import { markets, marketUnits, stateOf, tickers, venue } from "../store/venue.ts";

const STATES: Readonly<Record<string, string>> = {
  Open: "Open",
  PostOnly: "Post only",
  LimitOnly: "Limit only",
  CancelOnly: "Cancel only",
  Closed: "Closed",
};

export function MarketHeader() {
  const market = marketUnits.value.get(symbol.value);
  const ticker = tickers.value[symbol.value];
  const last = lastTrade.value?.price ?? ticker?.lastPrice;
  const price =
    last === undefined || market === undefined
      ? "–"
      : formatFixed(market.price, units(market.price, last));
  useEffect(() => {
    document.title = `${price} ${symbol.value.replace("_", "/")} · ${venue.value?.name ?? "Fairbook"}`;
  }, [price]);
  if (market === undefined) return <header class="panel market-head" />;
  const change = ppmChange(market.price, ticker?.firstPrice, last);
  const tone = change === null || change === 0n ? "" : change > 0n ? "up" : "down";
  const state = stateOf(market.symbol);
  return (
    <header class="panel market-head">
      <label class="pick">
        <span class="hidden">Market</span>
        <select
          id="market"
          value={market.symbol}
          onChange={(event) => go(`/trade/${event.currentTarget.value}`)}
        >
          {markets.value.map((each) => (
            <option key={each.symbol} value={each.symbol}>
              {each.symbol.replace("_", "/")}
            </option>
          ))}
        </select>
      </label>
      <h1 class="hidden">{market.symbol.replace("_", "/")}</h1>
      <span class={`badge state-${state}`}>{STATES[state]}</span>
      <strong class={`last-price ${tone}`}>{price}</strong>
      <dl class="facts">
        <div>
          <dt>24 h</dt>
          <dd class={tone}>{change === null ? "–" : `${signed(change, 4)} %`}</dd>
        </div>
        <div>
          <dt>High</dt>
          <dd>{ticker ? grouped(ticker.high) : "–"}</dd>
        </div>
        <div>
          <dt>Low</dt>
          <dd>{ticker ? grouped(ticker.low) : "–"}</dd>
        </div>
        <div>
          <dt>Volume</dt>
          <dd>
            {ticker ? grouped(ticker.volume) : "–"} {market.base}
          </dd>
        </div>
      </dl>
    </header>
  );
}
