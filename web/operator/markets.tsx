/** Markets and assets: states, fees, bounds, limits. */

import { Fragment } from "preact";
import { ActButton } from "./act_dialog.tsx";
import { ReadingTable } from "./reading.tsx";

interface Market {
  readonly symbol: string;
  readonly state: string;
  readonly tick: string;
  readonly lot: string;
  readonly makerFeePpm: number;
  readonly takerFeePpm: number;
  readonly minPrice: string;
  readonly maxPrice: string;
  readonly minQuantity: string;
  readonly maxQuantity: string;
  readonly bandPpm: number;
}

interface Asset {
  readonly symbol: string;
  readonly decimals: number;
  readonly supply: string;
  readonly cap: string | null;
  readonly creditMax: string | null;
  readonly dailyWithdrawalMax: string | null;
}

export function Markets() {
  return (
    <Fragment>
      <header class="page-head">
        <h1>Markets</h1>
        <ActButton act="list-market" text="List a market" />
        <ActButton act="list-asset" text="List an asset" />
      </header>
      <ReadingTable
        reading="markets"
        name="Markets"
        empty="No market is listed."
        heads={["Market", "State", "Tick", "Lot", "Fees (ppm)", "Price", "Quantity", "Acts"]}
        row={marketRow}
      />
      <h2>Assets</h2>
      <ReadingTable
        reading="assets"
        name="Assets"
        empty="No asset is listed."
        heads={[
          "Asset",
          "Decimals",
          "Supply",
          "Cap",
          "One operator credits",
          "Withdrawn a day",
          "",
        ]}
        row={assetRow}
      />
    </Fragment>
  );
}

const assetRow = (asset: Asset) => [
  asset.symbol,
  asset.decimals,
  asset.supply,
  asset.cap ?? "none",
  asset.creditMax ?? "any amount",
  asset.dailyWithdrawalMax ?? "any amount",
  <ActButton key="limit" act="asset-limit" text="Limit" given={{ symbol: asset.symbol }} />,
];

function marketRow(market: Market) {
  const { symbol } = market;
  return [
    symbol,
    <span key="state" class={`badge state-${market.state}`}>
      {market.state}
    </span>,
    market.tick,
    market.lot,
    `${market.makerFeePpm} / ${market.takerFeePpm}`,
    `${market.minPrice} to ${market.maxPrice}`,
    `${market.minQuantity} to ${market.maxQuantity}`,
    <span key="acts" class="row">
      {market.state === "Open" ? (
        <ActButton act="market-state" text="Halt" given={{ symbol, state: "CancelOnly" }} />
      ) : (
        <ActButton act="market-state" text="Open" given={{ symbol, state: "Open" }} />
      )}
      <ActButton act="market-state" text="State" given={{ symbol }} />
      <ActButton act="market-parameter" text="Fee or bound" given={{ symbol }} />
    </span>,
  ];
}
