"""One trade with ccxt's unmodified class `backpack` on a venue of one's own.

Runs under the interpreter of the client: `python -m tests.clients.ccxt_own_venue FILE`. FILE has
the address, and the keys of a seller and of a buyer.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.clients.ccxt_client import fresh


def main() -> None:
    told = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    seller, buyer = (fresh(told, **told["accounts"][name]) for name in ("seller", "buyer"))
    seller.load_markets()
    assert list(seller.markets) == ["GOLD/EUR"], list(seller.markets)
    seller.create_order("GOLD/EUR", "limit", "sell", 2, 55.5)
    bought = buyer.create_order("GOLD/EUR", "limit", "buy", 2, 56)
    assert (bought["status"], bought["filled"]) == ("closed", 2), bought
    balance = buyer.fetch_balance()
    assert balance["GOLD"]["free"] == 1.998, balance  # 0.1 % less
    print(json.dumps({"EUR": balance["EUR"]["free"]}))


if __name__ == "__main__":
    main()
