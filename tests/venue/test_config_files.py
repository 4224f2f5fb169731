"""Reading a configuration: what is refused, with its line and the nearest known name."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from fairbook.app.venue_file import load_venue
from fairbook.core import admin_records
from fairbook.demo.demo_venue import demo_text, demo_venue
from fairbook.venue.toml_file import ConfigError
from tests.venue.config_texts import SMALL


def load(folder: Path, text: str) -> None:
    path = folder / "v.toml"
    path.write_text(text)
    load_venue(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('tick = "0.01"', 'tik = "0.01"', ":16: unknown field tik; did you mean tick?"),
        ('[[accounts]]\nname = "bob"', '[[acounts]]\nname = "bob"', ":31: unknown field acounts"),
        ("decimals = 2", 'decimals = "2"', ":11: decimals: it must be a whole number"),
        ("decimals = 2", "decimals = 19", ":11: decimals: at most 18"),
        ("decimals = 2\n", "", ":9: decimals is missing"),
        ('lot = "1"', "lot = 1", ":17: lot: it must be a text in quotes"),
        ('lot = "1"', 'lot = "0.00001"', ":17: lot: a lot must be a whole number of atoms of ABC"),
        ('tick = "0.01"', 'tick = "0.001"', ":16: tick: a tick of one lot must be a whole number"),
        ('tick = "0.01"', 'tick = "0"', ":16: tick: a decimal above zero"),
        ('tick = "0.01"', 'tick = "1/3"', ":16: tick: a decimal above zero"),
        ('"ABC_EUR"', '"ABC_EUT"', ":15: symbol: BASE_QUOTE of two assets; 'EUT' is none; did"),
        ('"ABC_EUR"', '"ABC"', ":15: symbol: BASE_QUOTE of two assets; 'ABC' is none"),
        ('"ABC_EUR"', '"EUR_EUR"', ":14: list market EUR_EUR, tick 0.01, lot 1: the value is out"),
        ("taker_fee_ppm = 2000", "taker_fee_ppm = 1000000", ":18: ABC_EUR: taker_fee_ppm 1000000"),
        ("taker_fee_ppm = 2000", "taker_fee_ppm = -1", ":18: taker_fee_ppm: expected `int` >= 0"),
        ('price_max = "20"', 'price_max = "0.3"', ":20: ABC_EUR: price_max 0.3: the value is out"),
        ('price_max = "20"', 'price_max = "20.001"', ":20: price_max: Price decimal too long"),
        ('price_max = "20"', 'state = "opn"', ":20: state: unknown 'opn'; did you mean open?"),
        ('ABC = "100.5"', 'AB = "100.5"', ":24: AB: unknown 'AB'; did you mean ABC?"),
        ('ABC = "100.5"', 'ABC = "1e3"', ":24: ABC: Invalid amount: write it without an exponent"),
        ('ABC = "100.5"', 'ABC = "1000001"', ":24: credit alice with ABC: it is more than the cap"),
        ('ABC = "100.5"', "ABC = 100.5", ":24: balances: it must be a text in quotes"),
        ("O2onvM62pC1io6jQKm8N", "AAAA", ":27: public_key: 32 bytes in base64"),
        ('"trade"', '"trades"', ":28: permissions: unknown 'trades'; did you mean trade?"),
        ('name = "bob"', 'name = "alice"', ":32: name: the same twice"),
        ('["markets"]', "[]", ":37: roles: at least one of accounts"),
        ("1" * 64, "xyz", ":38: token_hash: 64 hexadecimal digits"),
        ('[[operators]]\nname = "ben"', "", ":35: name exactly 2 operators"),
        ('name = "Small"', 'name = "Small', ":2: Illegal character '\\n'"),
        ('name = "Small"', 'name = "Small"\nname = "b"', ":3: Cannot overwrite a value"),
        ('name = "Small"', 'sign_up = "opened"\nname = "S"', ":2: sign_up: unknown 'opened'; did"),
        ('name = "Small"', 'name = "S"\ngenerated_day = true', ":3: generated_day needs accounts"),
        ('name = "Small"', 'name = "S"\n[server]\nhtp_port = 1', ":4: unknown setting htp_port; "),
        ('name = "Small"', 'name = "S"\n[server]\nhttp_port = 70000', ":4: http_port must be"),
        ('name = "Small"', 'name = "S"\n[server]\ndata = "x"', ":4: unknown setting data"),
        ('name = "Small"', 'name = "S"\n[exchange]\norders_max = 0', ":4: exchange: orders_max"),
        ('lot = "1"\n', 'lot = "1"\nmaker = {}\n', ":18: a market with a maker needs accounts"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert SMALL.count(old) >= 1
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, SMALL.replace(old, new, 1))
    where, _, said = str(refused.value).partition("v.toml")
    assert said.startswith(message), f"{where}v.toml{said}"


def test_a_file_is_whole_units_of_what_it_says(tmp_path: Path) -> None:
    load(tmp_path, SMALL)
    file = load_venue(tmp_path / "v.toml")
    (market,) = file.venue.markets
    assert (market.lot_atoms, market.tick_atoms) == (10_000, 1)
    assert market.parameters == {"taker_fee_ppm": 2_000, "price_min": 50, "price_max": 2_000}
    alice, bob = file.venue.accounts
    assert alice.balances == {"ABC": 1_005_000, "EUR": 200_000}
    assert alice.keys[0].permissions == admin_records.MAY_READ | admin_records.MAY_TRADE
    assert (alice.user_id, bob.user_id, bob.fee_group) == (1, 2, 3)
    assert file.venue.sign_up == "closed"
    assert file.venue.faucet_atoms() == {}
    assert [operator.roles for operator in file.venue.operators] == [2, 15]


def test_the_server_table_gives_settings(tmp_path: Path) -> None:
    table = (
        '[server]\nhttp_port = 9000\nws_origins = ["https://a", "https://b"]\ndeadline_s = 1.5\n'
    )
    load(tmp_path, f"{SMALL}\n{table}")
    server = load_venue(tmp_path / "v.toml").server
    origins = ("https://a", "https://b")
    assert server == {"http_port": 9000, "ws_origins": origins, "deadline_s": 1.5}


def test_the_demos_file_has_no_secret_and_can_be_used() -> None:
    venue = demo_venue()
    assert [market.name for market in venue.markets] == ["SOL_USDC", "BTC_USDC", "ETH_USDC"]
    assert venue.sign_up == "open" and venue.generated_day
    assert "token =" not in demo_text() and "secret" not in demo_text()


@pytest.mark.parametrize("seed", range(4))
def test_no_file_is_accepted_or_refused_by_a_bug(tmp_path: Path, seed: int) -> None:
    """Random edits of a valid file: each is refused with one sentence, or can be used."""
    made = random.Random(seed)
    pieces = ['"', "[", "]", "=", "-1", "0", "9" * 30, "1e400", "nan", "{}", "\n", "true", "é", "_"]
    refused = 0
    for _ in range(150):
        text = made.choice((SMALL, demo_text()))
        for _ in range(made.randint(1, 3)):
            begin = made.randrange(len(text))
            end = begin + made.randint(0, 8)
            text = text[:begin] + made.choice((*pieces, "")) + text[end:]
        try:
            load(tmp_path, text)
        except ConfigError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 50


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"", b"x = " + b"[" * 5000, b"a.b" + b".b" * 9000 + b" = 1"]
)
def test_a_hostile_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "v.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError):
        load_venue(path)
