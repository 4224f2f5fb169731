/** Programs that trade here with a new key, ready to be copied. */

export interface Snippet {
  readonly name: string;
  readonly text: string;
}

export function snippetsFor(
  origin: string,
  ws: string,
  key: string,
  secret: string,
  market: string,
): readonly Snippet[] {
  const symbol = market.replace("_", "/");
  return [
    {
      name: "ccxt (Python)",
      text: `import ccxt

exchange = ccxt.backpack({"apiKey": "${key}", "secret": "${secret}"})
exchange.urls["api"] = {"public": "${origin}", "private": "${origin}"}
print(exchange.fetch_balance())
`,
    },
    {
      name: "ccxt.pro (Python)",
      text: `import asyncio

import ccxt.pro


async def main():
    exchange = ccxt.pro.backpack({"apiKey": "${key}", "secret": "${secret}"})
    exchange.urls["api"] = {
        "public": "${origin}",
        "private": "${origin}",
        "ws": {"public": "${ws}", "private": "${ws}"},
    }
    try:
        print(await exchange.watch_order_book("${symbol}"))
    finally:
        await exchange.close()


asyncio.run(main())
`,
    },
    {
      name: "bpx-py (Python)",
      text: `from bpx.account import Account

account = Account("${key}", "${secret}")
account.BPX_API_URL = "${origin}/"
print(account.get_balances())
`,
    },
    {
      name: "curl (public data)",
      text: `curl -s '${origin}/api/v1/depth?symbol=${market}&limit=5'
`,
    },
  ];
}
