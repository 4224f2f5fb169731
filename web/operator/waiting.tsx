/** What waits for an operator: proposals, credits, withdrawals. */

import { Fragment } from "preact";
import { dateTime } from "../src/shell/time.ts";
import { ActButton } from "./act_dialog.tsx";
import { ReadingTable } from "./reading.tsx";

interface Proposal {
  readonly proposal: string;
  readonly operator: number;
  readonly act: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly reason: string;
}

interface Credit {
  readonly referenceHash: string;
  readonly accountId: string;
  readonly symbol: string;
  readonly quantity: string;
  readonly operator: number;
}

interface Withdrawal {
  readonly referenceHash: string;
  readonly id: number;
  readonly accountId: string;
  readonly symbol: string;
  readonly quantity: string;
  readonly blockchain: string;
  readonly address: string;
  readonly createdAt: number;
  readonly isApproved: boolean;
}

export function Waiting() {
  return (
    <Fragment>
      <h1>Decisions</h1>
      <h2>Proposals</h2>
      <ReadingTable
        reading="proposals"
        name="Proposals"
        empty="No operator has proposed anything."
        heads={["Number", "By operator", "Act", "Fields", "Reason", "Acts"]}
        row={proposalRow}
      />
      <h2>Credits</h2>
      <ReadingTable
        reading="pending"
        name="Credits"
        empty="No credit waits."
        heads={["Account", "Amount", "By operator", "Acts"]}
        row={creditRow}
      />
      <h2>Withdrawals</h2>
      <ReadingTable
        reading="withdrawals"
        name="Withdrawals"
        empty="No withdrawal waits."
        heads={["Number", "Account", "Amount", "To", "Asked", "Acts"]}
        row={withdrawalRow}
      />
    </Fragment>
  );
}

const proposalRow = ({ proposal, ...each }: Proposal) => [
  proposal,
  each.operator,
  each.act,
  Object.entries(each.fields)
    .map(([name, value]) => `${name} ${value}`)
    .join(", "),
  each.reason,
  <span key="acts" class="row">
    <ActButton act="approve" text="Approve" given={{ proposal }} />
    <ActButton act="drop" text="Drop" given={{ proposal }} />
  </span>,
];

const creditRow = ({ referenceHash, ...each }: Credit) => [
  each.accountId,
  `${each.quantity} ${each.symbol}`,
  each.operator,
  <span key="acts" class="row">
    <ActButton act="confirm-credit" text="Confirm" given={{ referenceHash }} />
    <ActButton act="refuse-credit" text="Refuse" given={{ referenceHash }} />
  </span>,
];

const withdrawalRow = ({ referenceHash, ...each }: Withdrawal) => [
  each.id,
  each.accountId,
  `${each.quantity} ${each.symbol}`,
  `${each.address} (${each.blockchain})`,
  dateTime(each.createdAt),
  <span key="acts" class="row">
    {!each.isApproved && (
      <ActButton act="approve-withdrawal" text="Approve" given={{ referenceHash }} />
    )}
    <ActButton act="confirm-withdrawal" text="Was paid" given={{ referenceHash }} />
    <ActButton act="reject-withdrawal" text="Give back" given={{ referenceHash }} />
  </span>,
];
