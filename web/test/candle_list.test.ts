import { expect, test, vi } from "vitest";
import type { Candle } from "../src/api/types.ts";

vi.mock("../src/shell/settings.ts", () => ({ zone: { value: "utc" } }));
const { merged, startS, updated } = await import("../src/feed/candle_list.ts");

const candle = (start: string, close: string): Candle => ({
  start,
  open: "1",
  high: "1",
  low: "1",
  close,
  volume: "1",
});

test("history and stream write the same minute differently, and it is one candle", () => {
  const found = [candle("2026-11-01 05:58:00", "1"), candle("2026-11-01 05:59:00", "2")];
  const known = [candle("2026-11-01T05:59:00", "3"), candle("2026-11-01T06:00:00", "4")];
  const all = merged(found, known);
  expect(all.map((each) => each.close)).toEqual(["1", "3", "4"]);
  expect(all.map(startS)).toEqual([1793512680, 1793512740, 1793512800]);
});

test("an update is of the last candle or the next one", () => {
  const known = [candle("2026-11-01 05:58:00", "1"), candle("2026-11-01 05:59:00", "2")];
  const closes = (each: Candle): string[] => updated(known, each).map((one) => one.close);
  expect(closes(candle("2026-11-01T05:59:00", "9"))).toEqual(["1", "9"]);
  expect(closes(candle("2026-11-01T06:00:00", "9"))).toEqual(["1", "2", "9"]);
  expect(closes(candle("2026-11-01T05:58:00", "9"))).toEqual(["1", "2"]);
});
