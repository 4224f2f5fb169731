/** The whole history as CSV: every page of it, texts as the exchange writes them, times in UTC. */

import { get } from "../api/client.ts";
import type { Fill, Order } from "../api/types.ts";
import { saveFile } from "../shell/save_file.ts";
import { type CsvRow, csvOf } from "./csv_text.ts";

const PAGE = 1_000;

const COLUMNS = {
  fills: [
    "timestamp",
    "symbol",
    "side",
    "price",
    "quantity",
    "fee",
    "feeSymbol",
    "isMaker",
    "tradeId",
    "orderId",
  ],
  orders: [
    "createdAt",
    "symbol",
    "side",
    "orderType",
    "timeInForce",
    "price",
    "quantity",
    "executedQuantity",
    "executedQuoteQuantity",
    "status",
    "expiryReason",
    "clientId",
    "id",
  ],
} as const;

/** Ask for every page and save the file. Returns the number of rows. Throws ApiError. */
export async function saveCsv(
  name: "fills" | "orders",
  onRows: (count: number) => void,
): Promise<number> {
  const rows: CsvRow[] = [];
  const seen = new Set<string>();
  for (let offset = 0; ; offset += PAGE) {
    const found = await get<readonly (Fill | Order)[]>(`/wapi/v1/history/${name}`, {
      limit: PAGE,
      offset,
    });
    for (const row of found) {
      const key = "tradeId" in row ? `${row.symbol} ${row.tradeId} ${row.orderId}` : row.id;
      if (!seen.has(key)) {
        seen.add(key);
        rows.push(row as unknown as CsvRow);
      }
    }
    onRows(rows.length);
    if (found.length < PAGE) break;
  }
  saveFile(`fairbook-${name}.csv`, csvOf(COLUMNS[name], rows), "text/csv");
  return rows.length;
}
