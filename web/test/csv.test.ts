import { expect, test } from "vitest";
import { csvOf } from "../src/trade/csv_text.ts";

test("a CSV has exact texts, quotes, and no formulas", () => {
  const rows = [
    { price: "0.000000001", name: 'a "b", c' },
    { price: "=1+1", name: null },
  ];
  expect(csvOf(["price", "name"], rows)).toBe(
    'price,name\r\n0.000000001,"a ""b"", c"\r\n\'=1+1,\r\n',
  );
});
