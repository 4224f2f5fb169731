"""The demo as a new user starts it: live markets, with a day of trades before."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from fairbook.net import control_socket as control
from tests.world.exchange_process import ExchangeProcess
from tests.world.rest_client import RestClient
from tests.world.waiting import wait_until

MARKETS = ("SOL_USDC", "BTC_USDC", "ETH_USDC")
PATIENCE_S = 60.0


def read(rest: RestClient, path: str) -> Any:
    reply = rest.call("GET", path)
    assert reply.status == 200, (path, reply)
    return reply.body


def trade_ids(rest: RestClient) -> dict[str, int]:
    """The id of the newest trade of each market."""
    return {
        market: read(rest, f"/api/v1/trades?symbol={market}&limit=1")[0]["id"] for market in MARKETS
    }


def moved(rest: RestClient, since: dict[str, int]) -> bool:
    """Whether every market had a trade since."""
    now = trade_ids(rest)
    return all(now[market] > since[market] for market in MARKETS)


def check_the_day(rest: RestClient) -> None:
    """Both sides are quoted; candles and ticker cover a day."""
    since_s = int(time.time()) - 86_400 - 3_600
    for market in MARKETS:
        hours = read(rest, f"/api/v1/klines?symbol={market}&interval=1h&startTime={since_s}")
        assert len(hours) >= 24
        assert all(int(hour["trades"]) > 0 for hour in hours[1:-1])
        ticker = read(rest, f"/api/v1/ticker?symbol={market}")
        assert int(ticker["trades"]) > 1_440
        depth = read(rest, f"/api/v1/depth?symbol={market}")
        assert depth["bids"] and depth["asks"]


def generated_trades(folder: Path) -> int:
    """The number of generated trades in the history."""
    uri = f"file:{folder}/history.db?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as database:
        statement = "SELECT count(*) FROM trades WHERE is_generated"
        count: int = database.execute(statement).fetchone()[0]
        return count


def test_all_markets_trade_with_a_day_of_history_and_continue_after_a_restart(
    tmp_path: Path,
) -> None:
    """Killed maker and recorder processes are replaced; trading continues after a restart."""
    venue = ExchangeProcess(tmp_path, maker=True)

    def started(child: str) -> int:
        count: int = control.ask(tmp_path, "status")[child]["starts"]
        return count

    with venue, closing(RestClient(venue.http_port)) as rest:
        before = trade_ids(rest)
        check_the_day(rest)
        generated = generated_trades(tmp_path)
        assert 3 * 1_440 < generated <= sum(before.values())
        wait_until(lambda: moved(rest, before), "trades in every market")

        found = control.ask(tmp_path, "status")
        os.kill(found["maker"]["pid"], signal.SIGKILL)
        os.kill(found["recorder"]["pid"], signal.SIGKILL)
        wait_until(lambda: started("maker") == started("recorder") == 2, "other processes")
        between = wait_until(lambda: trade_ids(rest), "trades that can be asked for")
        wait_until(lambda: moved(rest, between), "trades with another maker")
        venue.stop()
    with venue, closing(RestClient(venue.http_port)) as rest:
        wait_until(lambda: moved(rest, between), "trades after a restart")
        assert generated_trades(tmp_path) == generated
        venue.stop()
