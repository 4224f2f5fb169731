/**
 * The check of a proof of liabilities, made in this browser: by the rules of
 * liabilities/sum_tree.py, with the vectors in tests/vectors/liabilities.json.
 */

import type { AccountProof, Leaf, LiabilitiesProof } from "../api/types.ts";

const SUM_MAX = (1n << 63n) - 1n;
const NAME_BYTES = 16;
const HASH_BYTES = 32;

/** The tree of one asset, as the signed note has it. */
export interface AssetTotal {
  readonly symbol: string;
  readonly decimals: number;
  readonly total: bigint;
  readonly leaves: number;
  readonly root: string;
}

export interface SignedTotals {
  readonly position: string;
  readonly timeMs: number;
  readonly assets: readonly AssetTotal[];
  /** False: this browser has no Ed25519, so that the signature was not checked. */
  readonly isSigned: boolean;
}

interface Node {
  readonly hash: Uint8Array;
  readonly sum: bigint;
}

const HEAD = /^fairbook liabilities\nposition (\d{1,18})\ntime (\d{1,19})\nstate [0-9a-f]{64}$/;
const ASSET = /^asset ([!-~]{1,16}) (\d{1,2}) (\d{1,19}) (\d{1,15}) ([0-9a-f]{64})$/;
const SIGNATURE = /^\u2014 fairbook ([A-Za-z0-9+/]+=*)$/;

/** Browsers have WebCrypto only on https and on this machine. */
export const canCheck = (): boolean => globalThis.crypto?.subtle !== undefined;

/** What the note of a proof says. Throws if it is malformed, or its key has not signed it. */
export async function readTotals(proof: LiabilitiesProof): Promise<SignedTotals> {
  const [text = "", signatures = ""] = (proof.note ?? "").split("\n\n");
  const lines = text.split("\n");
  const head = HEAD.exec(lines.slice(0, 4).join("\n"));
  if (!head || head[1] !== proof.position) throw new Error("The exchange sent no proof");
  const assets = lines.slice(4).map((line) => {
    const found = ASSET.exec(line);
    if (!found) throw new Error("The signed note is malformed");
    const [, symbol = "", decimals, total = "0", leaves, root = ""] = found;
    return {
      symbol,
      decimals: Number(decimals),
      total: BigInt(total),
      leaves: Number(leaves),
      root,
    };
  });
  if (new Set(assets.map((each) => each.symbol)).size !== assets.length) {
    throw new Error("An asset stands twice in the signed note");
  }
  const isSigned = await checkSignature(`${text}\n`, signatures, proof.key ?? "");
  return { position: head[1], timeMs: Number(BigInt(head[2] ?? 0) / 1_000_000n), assets, isSigned };
}

/** Throws if a leaf of the account is not what the totals were made from. */
export async function checkLeaves(totals: SignedTotals, account: AccountProof): Promise<void> {
  if (account.position !== totals.position) throw new Error("The leaves are of another proof");
  if (new Set(account.leaves.map((leaf) => leaf.symbol)).size !== account.leaves.length) {
    throw new Error("An asset has two leaves of one account");
  }
  for (const leaf of account.leaves) {
    const asset = totals.assets.find((each) => each.symbol === leaf.symbol);
    if (asset === undefined || leaf.accountId !== account.accountId) {
      throw new Error(`${leaf.symbol}: the leaf is of another asset or account`);
    }
    const top = await rootOf(leaf, asset.leaves);
    if (top.sum !== asset.total || hexOf(top.hash) !== asset.root) {
      throw new Error(`${leaf.symbol}: your leaf is not in the signed total`);
    }
  }
}

async function rootOf(leaf: Leaf, leaves: number): Promise<Node> {
  if (!(Number.isInteger(leaf.index) && leaf.index >= 0 && leaf.index < leaves)) {
    throw new Error(`${leaf.symbol}: there is no such leaf`);
  }
  const atoms = amount(leaf.atoms);
  const name = new Uint8Array(NAME_BYTES);
  name.set(new TextEncoder().encode(leaf.symbol));
  const salt = bytesOf(leaf.salt);
  let node: Node = {
    hash: await sha256([0], name, word(amount(leaf.accountId)), word(atoms), salt),
    sum: atoms,
  };
  let step = 0;
  for (let index = leaf.index, width = leaves; width > 1; width = Math.ceil(width / 2)) {
    const beside = index % 2 ? index - 1 : index + 1;
    if (beside < width) {
      const found = leaf.path[step++];
      if (found?.side !== (index % 2 ? "left" : "right")) {
        throw new Error(`${leaf.symbol}: the path is malformed`);
      }
      const other = { hash: bytesOf(found.hash), sum: amount(found.atoms) };
      node = await (index % 2 ? parent(other, node) : parent(node, other));
    }
    index = Math.floor(index / 2);
  }
  if (step !== leaf.path.length) throw new Error(`${leaf.symbol}: the path is malformed`);
  return node;
}

async function parent(left: Node, right: Node): Promise<Node> {
  const sum = left.sum + right.sum;
  if (sum > SUM_MAX) throw new Error("A sum is too large");
  return { hash: await sha256([1], left.hash, word(left.sum), right.hash, word(right.sum)), sum };
}

/** False: this browser cannot check it. Throws if it is wrong. */
async function checkSignature(text: string, lines: string, key: string): Promise<boolean> {
  const encoder = new TextEncoder();
  const raw = ofBase64(key.split("+").slice(2).join("+")).slice(1);
  let known: CryptoKey;
  try {
    known = await crypto.subtle.importKey("raw", raw, "Ed25519", false, ["verify"]);
  } catch (error) {
    if (error instanceof DOMException && error.name === "NotSupportedError") return false;
    throw new Error("The key of the exchange is malformed");
  }
  const name = await sha256([...encoder.encode("fairbook\n"), 1], raw);
  for (const line of lines.split("\n")) {
    const content = ofBase64(SIGNATURE.exec(line)?.[1] ?? "");
    if (hexOf(content.slice(0, 4)) !== hexOf(name.slice(0, 4))) continue;
    const signed = encoder.encode(text);
    if (await crypto.subtle.verify("Ed25519", known, content.slice(4), signed)) return true;
  }
  throw new Error("The proof is not signed by the key of the exchange");
}

async function sha256(...parts: readonly (Uint8Array | readonly number[])[]): Promise<Uint8Array> {
  const content = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    content.set(part, at);
    at += part.length;
  }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", content));
}

function word(number: bigint): Uint8Array {
  const found = new Uint8Array(8);
  new DataView(found.buffer).setBigUint64(0, number, true);
  return found;
}

/** Digits as a number in range. */
function amount(text: string): bigint {
  const found = /^\d{1,19}$/.test(text) ? BigInt(text) : SUM_MAX + 1n;
  if (found > SUM_MAX) throw new Error(`${text} is no possible amount`);
  return found;
}

/** 32 bytes. */
function bytesOf(text: string): Uint8Array {
  if (!/^[0-9a-f]{64}$/.test(text)) throw new Error("A hash is malformed");
  return Uint8Array.from({ length: HASH_BYTES }, (_, at) =>
    Number.parseInt(text.slice(2 * at, 2 * at + 2), 16),
  );
}

const hexOf = (bytes: Uint8Array): string =>
  [...bytes].map((each) => each.toString(16).padStart(2, "0")).join("");

const ofBase64 = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
