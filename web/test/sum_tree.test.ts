import { describe, expect, test } from "vitest";
import found from "../../tests/vectors/liabilities.json";
import type { AccountProof, LiabilitiesProof } from "../src/api/types.ts";
import { checkLeaves, readTotals } from "../src/money/sum_tree.ts";

interface Vector {
  readonly name: string;
  readonly problem: boolean;
  readonly proof: LiabilitiesProof;
  readonly account: AccountProof;
}

const vectors = found as readonly Vector[];

describe("the vectors of liabilities/sum_tree.py", () => {
  test.each(vectors)("$name", async (vector) => {
    const check = async (): Promise<boolean> => {
      const totals = await readTotals(vector.proof);
      await checkLeaves(totals, vector.account);
      return totals.isSigned;
    };
    if (vector.problem) await expect(check()).rejects.toThrow();
    else expect(await check()).toBe(true);
  });
});
