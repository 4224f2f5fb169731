"""The generated day: accepted by the exchange, complete or cut short."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairbook.core import admin_records, invariants, records, state
from fairbook.core.exchange import Exchange
from fairbook.demo.demo_venue import demo_venue
from fairbook.demo.generated_day import DAY_NS, SETUP_AHEAD_NS, generate
from fairbook.log.command_log import Entry
from fairbook.log.file_log import FileLog
from fairbook.log.memory_log import MemoryLog
from tests.demo.first_states import IN_MEMORY, Unsynced, exchange_of, picture, prepare, run

NOW_NS = 1_780_000_000_123_456_789
MINUTE_NS = 60 * 10**9
SMALL = 3_000  # Commands, with a frame every few minutes: quick to generate.
MAKER, TAKER = 4, 5
RULES = admin_records.rules(log_id=7, salt=8)


def day(seed: int, commands_max: int = 60_000) -> list[Entry]:
    log = MemoryLog()
    written = generate(
        log, demo_venue(), now_ns=NOW_NS, seed=seed, rules=RULES, commands_max=commands_max
    )
    assert written == sum(len(entry.frame) for entry in log.entries) // records.COMMAND_BYTES
    return log.entries


def commands_in(entries: list[Entry]) -> Iterator[bytes]:
    for entry in entries:
        for at in range(0, len(entry.frame), records.COMMAND_BYTES):
            yield entry.frame[at : at + records.COMMAND_BYTES]


def applied(entries: list[Entry]) -> tuple[Exchange, list[bytes]]:
    """The exchange after the entries, and the events of each."""
    exchange = Exchange()
    events = [exchange.apply(entry.frame, entry.time_ns) for entry in entries]
    invariants.check(exchange)
    return exchange, events


def events_of(events: bytes, kind: int) -> Iterator[int]:
    at = 0
    while at < len(events):
        if records.kind_at(events, at) == kind:
            yield at
        at = records.next_at(events, at)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_day_of_trades_in_every_market(seed: int) -> None:
    """Nothing is rejected, every minute has trades, prices end at the middle."""
    entries = day(seed)
    assert sum(1 for _ in commands_in(entries)) <= 60_000
    assert entries[0].time_ns == NOW_NS - SETUP_AHEAD_NS - DAY_NS
    assert NOW_NS - MINUTE_NS < entries[-1].time_ns < NOW_NS
    assert len(entries) < 2_900
    _, events = applied(entries)

    trades: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for entry, made in zip(entries, events, strict=True):
        for at in events_of(made, records.OUTCOME):
            outcome = records.Outcome(made, at)
            assert outcome.status != records.REJECTED, outcome.reason
        for at in events_of(made, records.FILL):
            fill = records.Fill(made, at)
            assert (fill.taker_account, fill.maker_account) == (TAKER, MAKER)
            trades[fill.market].append((entry.time_ns, fill.price))
    assert sorted(trades) == [1, 2, 3]
    begin_ns = NOW_NS - DAY_NS
    for number, market in enumerate(demo_venue().markets, start=1):
        assert market.book is not None
        minutes = Counter(time_ns // MINUTE_NS for time_ns, _ in trades[number])
        # All whole minutes of the day.
        assert set(range(begin_ns // MINUTE_NS + 1, NOW_NS // MINUTE_NS)) <= set(minutes)
        prices = [price for _, price in trades[number]]
        assert abs(prices[-1] / market.book.middle_ticks - 1) < 0.005
        assert 0.01 < max(prices) / min(prices) - 1 < 0.5
        assert len(set(prices)) > 200


def test_what_is_left_is_the_first_state_without_its_ladder() -> None:
    exchange, _ = applied(day(1))
    assert [market.state for market in exchange.markets[1:]] == [admin_records.OPEN] * 3
    assert exchange.sessions() == []
    for market in (1, 2, 3):
        assert exchange.depth(market, 10) == ([], [])
    begin = list(demo_venue().accounts[0].balances.values())
    for account in (2, 3):
        assert [row[1:] for row in exchange.balances(account)][-4:] == [
            (atoms, 0) for atoms in begin
        ]
    for account in (MAKER, TAKER):
        for atoms, (_, available, locked) in zip(
            begin, exchange.balances(account)[-4:], strict=True
        ):
            assert available > atoms // 2, "neither account comes near the end of its balance"
            assert locked == 0


def test_every_generated_order_has_the_generated_session() -> None:
    placed = [
        records.read_placed(command)
        for command in commands_in(day(1, SMALL))
        if command[0] == records.PLACE
    ]
    assert placed
    assert {order.session for order in placed} == {records.GENERATED_SESSION}
    assert {order.account for order in placed} == {MAKER, TAKER}


def test_the_same_seed_gives_the_same_day() -> None:
    assert day(1, SMALL) == day(1, SMALL)
    assert day(1, SMALL)[-1].chain != day(2, SMALL)[-1].chain


@pytest.mark.parametrize("commands_max", [300, 1_000, SMALL, 20_000])
def test_a_smaller_day_has_fewer_frames(commands_max: int) -> None:
    entries = day(1, commands_max)
    assert commands_max // 2 < sum(1 for _ in commands_in(entries)) <= commands_max
    times = [entry.time_ns for entry in entries]
    assert times == sorted(times)
    _, events = applied(entries)
    for made in events[2:-1]:
        markets = {records.Fill(made, at).market for at in events_of(made, records.FILL)}
        assert markets == {1, 2, 3}


def test_a_day_that_is_too_small_is_refused() -> None:
    log = MemoryLog()
    with pytest.raises(ValueError, match="more than 80 commands"):
        generate(log, demo_venue(), now_ns=NOW_NS, seed=1, rules=RULES, commands_max=80)
    assert log.entries == []


@pytest.mark.parametrize("left", [1, 2, 3, 70, -1])
def test_a_day_that_was_cut_short_is_finished(left: int) -> None:
    """The next call, an hour later, makes the log of an uninterrupted day."""
    whole = day(1, SMALL)
    log = MemoryLog(whole[:left])
    later_ns = NOW_NS + 3_600 * 10**9
    written = generate(log, demo_venue(), now_ns=later_ns, seed=1, rules=RULES, commands_max=SMALL)
    assert log.entries == whole
    assert written == sum(1 for _ in commands_in(whole[left:]))
    assert (
        generate(log, demo_venue(), now_ns=later_ns, seed=1, rules=RULES, commands_max=SMALL) == 0
    )
    assert log.entries == whole


@pytest.mark.parametrize("left", [1, 2, 3, 70, -1])
def test_a_log_that_is_not_the_beginning_of_this_day_is_left_alone(left: int) -> None:
    """Another seed or size, a clock before its end, other entries after it."""
    whole = day(1, SMALL)
    foreign = MemoryLog(whole[:left])
    foreign.append(admin_records.tick(), NOW_NS)
    for log, now_ns, seed, commands_max in (
        (MemoryLog(whole[:left]), NOW_NS - 1, 1, SMALL),
        (foreign, NOW_NS, 1, SMALL),
        *([(MemoryLog(whole[:left]), NOW_NS, 2, SMALL)] if left not in (1, 2) else []),
        *([(MemoryLog(whole[:left]), NOW_NS, 1, 2_000)] if left not in (1, 2) else []),
    ):
        before = list(log.entries)
        assert (
            generate(
                log, demo_venue(), now_ns=now_ns, seed=seed, rules=RULES, commands_max=commands_max
            )
            == 0
        )
        assert log.entries == before


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Exchange:
    """The first state without a generated day."""
    directory = tmp_path_factory.mktemp("plain")
    run(directory, prepare)
    return exchange_of(directory)


def write(directory: Path, *, now_ns: int = NOW_NS, seed: int = 1) -> int:
    """Generate a day into files with small segments."""
    log = FileLog(directory, segment_bytes=20_000, disk=Unsynced())
    try:
        return generate(
            log, demo_venue(), now_ns=now_ns, seed=seed, rules=RULES, commands_max=SMALL
        )
    finally:
        log.close()


def cut(directory: Path, entries: list[Entry]) -> None:
    """A log of files with `entries`."""
    log = FileLog(directory, segment_bytes=20_000, disk=Unsynced())
    for entry in entries:
        log.append(entry.frame, entry.time_ns)
    log.close()


def test_a_start_after_the_day_adds_the_ladder_only(tmp_path: Path, plain: Exchange) -> None:
    written = write(tmp_path)
    run(tmp_path, prepare)
    exchange = exchange_of(tmp_path)
    begun, opened, orders, operators = 1, 4, 2 * 10 * 3, 2
    assert exchange.sequence - written == begun + opened + orders + operators
    for market in (1, 2, 3):
        assert exchange.depth(market, 100) == plain.depth(market, 100)
    for account in (2, 3):
        assert exchange.balances(account)[-4:] == plain.balances(account)[-4:]
    before = state.digest(exchange)
    assert write(tmp_path, now_ns=NOW_NS + DAY_NS) == 0
    assert state.digest(exchange_of(tmp_path)) == before
    run(tmp_path, prepare)
    assert picture(exchange_of(tmp_path)) == picture(exchange)


@pytest.mark.parametrize("left", [1, 2, 3, 70, -1])
def test_a_start_after_part_of_a_day_is_sound(tmp_path: Path, plain: Exchange, left: int) -> None:
    """The day is not completed; the first state is, and no generated quote is left."""
    cut(tmp_path, day(1, SMALL)[:left])
    run(tmp_path, prepare, IN_MEMORY)
    exchange = exchange_of(tmp_path)
    assert exchange.sessions() == []
    for market in (1, 2, 3):
        assert exchange.markets[market].state == admin_records.OPEN
        assert exchange.depth(market, 100) == plain.depth(market, 100)
    for account in (2, 3):
        assert exchange.balances(account)[-4:] == plain.balances(account)[-4:]
    if left <= 2 and left > 0:
        assert picture(exchange) == picture(plain)
    position = exchange.sequence
    assert write(tmp_path, now_ns=NOW_NS + 2 * DAY_NS) == 0
    assert exchange_of(tmp_path).sequence == position


def test_a_day_in_files_is_completed_after_a_kill(tmp_path: Path) -> None:
    """Over several segments, with a torn record at the end."""
    whole = day(1, SMALL)
    cut(tmp_path, whole[:100])
    last = max((tmp_path / "log").iterdir())
    with last.open("ab") as file:
        file.write(b"\x01torn")
    assert write(tmp_path) == sum(1 for _ in commands_in(whole[100:]))
    log = FileLog(tmp_path, read_only=True)
    assert list(log.read(1)) == whole
    log.close()
    assert write(tmp_path) == 0


def test_a_demo_without_a_day_gets_none(tmp_path: Path) -> None:
    """Its log begins with the same commands, at another time."""
    run(tmp_path, prepare)
    before = state.digest(exchange_of(tmp_path))
    assert write(tmp_path, now_ns=2 * NOW_NS) == 0
    assert state.digest(exchange_of(tmp_path)) == before
