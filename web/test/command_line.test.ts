import { expect, test } from "vitest";
import { commandLine } from "../operator/command_line.ts";

test("the command has the fields that are filled in, and quotes what a shell would read", () => {
  const given = { symbol: "SOL_USDC", state: "CancelOnly", group: "" };
  expect(commandLine("market-state", given, "").join(" ")).toBe(
    "fairbook admin market-state DIR --symbol SOL_USDC --state CancelOnly --reason WHY",
  );
  expect(commandLine("announce", { text: "it's $(late); `now`" }, "a b").join(" ")).toBe(
    "fairbook admin announce DIR --text 'it'\\''s $(late); `now`' --reason 'a b'",
  );
});
