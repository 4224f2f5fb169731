/** The newest proof of liabilities, and the check of the own leaves in it, made in this browser. */

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get, said } from "../api/client.ts";
import type { AccountProof, LiabilitiesProof } from "../api/types.ts";
import { atomsScale, format, grouped } from "../money/scale.ts";
import {
  type AssetTotal,
  canCheck,
  checkLeaves,
  readTotals,
  type SignedTotals,
} from "../money/sum_tree.ts";
import { ofSession, session } from "../session/session.ts";
import { saveFile } from "../shell/save_file.ts";
import { TableHead } from "../shell/table_head.tsx";
import { dateTime, zoneName } from "../shell/time.ts";

const RELOAD_MS = 30_000;
const AGAIN_MS = 1_000;
const PATH = "/api/v1/proof/liabilities";

/** What the exchange has answered. */
interface Answers {
  readonly proof: LiabilitiesProof;
  readonly account: AccountProof | null;
}

const answers = ofSession<Answers | null>(null);
/** Null: they were not checked yet, or are wrong. */
const totals = ofSession<SignedTotals | null>(null);
const problem = ofSession("");
const isAbsent = signal(false);

async function load(): Promise<void> {
  const token = session.value?.token;
  let found: Answers;
  try {
    const proof = await get<LiabilitiesProof>(PATH);
    isAbsent.value = proof.note === null;
    if (proof.note === null) return;
    const account = token === undefined ? null : await get<AccountProof>(`${PATH}/account`);
    if (session.peek()?.token !== token) return;
    // A newer proof was made between the two answers: ask again.
    if (account !== null && account.position !== proof.position) {
      setTimeout(() => void load(), AGAIN_MS);
      return;
    }
    found = { proof, account };
  } catch (error) {
    problem.value = said(error);
    return;
  }
  answers.value = found;
  try {
    const signed = await readTotals(found.proof);
    if (found.account !== null) await checkLeaves(signed, found.account);
    totals.value = signed;
    problem.value = "";
  } catch (error) {
    totals.value = null;
    problem.value = `The proof is wrong. ${said(error)}`;
  }
}

/** Both answers as a file, which `fairbook verify-liabilities` checks. */
function save(found: Answers): void {
  const name = `fairbook-liabilities-${found.proof.position}.json`;
  saveFile(name, JSON.stringify(found, null, 1), "application/json");
}

const amountOf = (atoms: bigint, asset: AssetTotal): string =>
  grouped(format(atomsScale(asset.decimals), atoms));

export function Liabilities() {
  const token = session.value?.token;
  useEffect(() => {
    if (!canCheck()) return;
    void load();
    const timer = setInterval(() => void load(), RELOAD_MS);
    return () => clearInterval(timer);
  }, [token]);
  return (
    <>
      <h2 id="liabilities">What the exchange owes</h2>
      <p>
        All balances of an asset are the leaves of a tree, without names, and the exchange signs
        their sum and the hash at the top. With your leaf and the path above it, your browser checks
        that your balance is in the sum.
      </p>
      {!canCheck() && (
        <p class="verdict unsure">
          Nothing is checked here: browsers have WebCrypto only on https and on this machine.{" "}
          <code>fairbook verify-liabilities</code> checks it.
        </p>
      )}
      {problem.value !== "" && (
        <p class="verdict bad" role="alert" id="liabilities-problem">
          {problem.value}
        </p>
      )}
      {isAbsent.value && <p class="soft">No proof has been made yet.</p>}
      {answers.value !== null && totals.value !== null && (
        <Proof {...answers.value} totals={totals.value} />
      )}
      {answers.value !== null && (
        <button type="button" onClick={() => answers.value !== null && save(answers.value)}>
          Save the proof
        </button>
      )}
    </>
  );
}

function verdictOf(
  account: AccountProof | null,
  isSigned: boolean,
): readonly [kind: string, text: string] {
  if (account === null) return ["unsure", "Log in to check your own leaves"];
  const count = account.leaves.length;
  if (count === 0) return ["unsure", `Account ${account.accountId} has no leaf in this proof`];
  const leaves = count === 1 ? "1 leaf" : `${count} leaves`;
  if (!isSigned) {
    return ["unsure", `${leaves} lead to the totals below; their signature was not checked`];
  }
  return ["good", `In the signed totals, checked here: ${leaves} of account ${account.accountId}`];
}

function Proof({ proof, account, totals }: Answers & { readonly totals: SignedTotals }) {
  const own = new Map(account?.leaves.map((leaf) => [leaf.symbol, BigInt(leaf.atoms)]));
  const [kind, text] = verdictOf(account, totals.isSigned);
  return (
    <>
      <p class={`verdict ${kind}`} role="status" id="my-leaf">
        {text}
      </p>
      <dl class="facts-table">
        <dt>Position of the log</dt>
        <dd>{totals.position}</dd>
        <dt>Time</dt>
        <dd>
          {dateTime(totals.timeMs)} {zoneName()}
        </dd>
        <dt>Signature</dt>
        <dd>
          {totals.isSigned
            ? "valid, of the key "
            : "not checked: this browser has no Ed25519; key "}
          <code>{proof.key}</code>
        </dd>
      </dl>
      <div class="scroll" tabIndex={0} role="region" aria-label="Totals of each asset">
        <table class="wide">
          <TableHead
            names={["Asset", "All accounts", "Leaves", ...(account === null ? [] : ["Yours"])]}
          />
          <tbody>
            {totals.assets.map((asset) => (
              <tr key={asset.symbol}>
                <td>{asset.symbol}</td>
                <td>{amountOf(asset.total, asset)}</td>
                <td>{asset.leaves}</td>
                {account !== null && (
                  <td data-own={asset.symbol}>
                    {own.has(asset.symbol)
                      ? amountOf(own.get(asset.symbol) ?? 0n, asset)
                      : "no leaf"}
                  </td>
                )}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="soft">
        These are balances as of that time. If you owned something then that is not here, the signed
        note is proof against the exchange: keep it, and compare it with those of others.
      </p>
    </>
  );
}
