"""Decimal text to units and back: exact, strict, bounded."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairbook.api.errors import BadRequest
from fairbook.api.numbers import CACHED_MAX, UNITS_OUT, MarketScales, Scale
from fairbook.core import admin_records, records
from fairbook.core.exchange import Exchange

scales = st.builds(
    lambda step, decimals: Scale("Price", step=step, decimals=decimals),
    st.one_of(st.sampled_from([1, 5, 25, 10**7, 10**18]), st.integers(1, 10**18)),
    st.integers(0, 18),
)

# What Python's own int() or Decimal() take, and what JSON parsers make of it.
TRAPS = [
    "", " ", ".", "1.", ".5", "+1", "-1", "-0", "-0.0", "1e5", "1E5", "1e-5", "0x10", "1_000",
    "1,5", " 1", "1 ", "1\n", "\n1", "1\x00", "NaN", "nan", "Infinity", "-Infinity", "inf",
    "1.2.3", "1..2", "--1", "1/2", "1 000", "True", "null",
    "\u0663", "1.\u0663", "\uff11\uff12.\uff15", "\u00b9", "\u00b2", "1\u00b2", "\u4e00",
    "\U0001d7d9",
    "1" * 19, "1." + "1" * 19, "9" * 41, "9" * 5000, "0" * 19, "0." + "0" * 19,
]  # fmt: skip


@pytest.mark.parametrize("text", TRAPS)
def test_text_outside_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match=r"^Invalid price: "):
        Scale("Price", step=1, decimals=2).units(text)


@pytest.mark.parametrize("value", [None, True, 1, 1.5, [], {}, b"1"])
def test_other_types_than_text_are_refused(value: object) -> None:
    with pytest.raises(BadRequest, match=r"^Invalid price: "):
        Scale("Price", step=1, decimals=2).units(value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1e-05", "write it without an exponent, such as 0.00001 for 1e-05"),
        ("1.5E+3", "write it without an exponent, such as 0.00001 for 1e-05"),
        ("", "it is missing"),
        ("-1", "it must not be negative"),
        ("1" * 19, "at most 18 digits before and after the point"),
        ("1,5", "it must be a decimal such as 0.05"),
        (1.5, "it must be a decimal such as 0.05"),
    ],
)
def test_the_message_says_why(text: object, why: str) -> None:
    with pytest.raises(BadRequest) as refused:
        Scale("Price", step=1, decimals=2).units(text)
    assert refused.value.message == f"Invalid price: {why}"


@given(scales, st.integers(0, 10**18 - 1), st.text("0123456789", min_size=0, max_size=18))
def test_units_are_exact_or_refused(scale: Scale, whole: int, fraction: str) -> None:
    """Compared with fractions: the same value, or refused if it is not a whole number of units."""
    text = f"{whole}.{fraction}" if fraction else str(whole)
    value = Fraction(f"{whole}.{fraction}0") * 10**scale.decimals / scale.step
    if value.denominator != 1:
        with pytest.raises(BadRequest, match=r"^Price decimal too long: "):
            scale.units(text)
    else:
        assert scale.units(text) == min(value.numerator, UNITS_OUT)


@given(scales, st.integers(0, UNITS_OUT))
def test_text_reads_back(scale: Scale, units: int) -> None:
    """Plain notation without trailing zeros, which reads back as the same units."""
    text = scale.text(units)
    assert Fraction(text) == Fraction(units * scale.step, 10**scale.decimals)
    assert text.isascii() and "e" not in text.lower()
    assert text == "0" or not text.startswith("00")
    assert "." not in text or not text.endswith(("0", "."))
    if len(text.partition(".")[0]) <= 18:
        assert scale.units(text) == units


@given(st.text(st.characters(), max_size=45))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Units within bounds, or BadRequest."""
    try:
        units = Scale("Price", step=1, decimals=9).units(text)
    except BadRequest:
        return
    assert 0 <= units <= UNITS_OUT
    whole, _, fraction = text.partition(".")
    assert set(whole + fraction) <= set("0123456789")


def test_leading_and_trailing_zeros_are_accepted() -> None:
    scale = Scale("Price", step=1, decimals=2)
    assert scale.units("00001.50") == scale.units("1.5000") == 150
    assert scale.units("0.00") == 0


def test_the_largest_numbers_stay_in_64_bits() -> None:
    """Numbers beyond every bound of the core still fit a command."""
    scale = Scale("Quantity", step=1, decimals=18)
    assert scale.units("9" * 18 + "." + "9" * 18) == UNITS_OUT
    records.place(account=2, market=1, side=0, quantity=UNITS_OUT, price=UNITS_OUT)
    assert Scale("Quantity", step=1, decimals=0).units(str(2**59)) == 2**59


def test_the_cache_is_bounded_and_correct() -> None:
    """More numbers than are cached, each converted twice, in both directions."""
    scale = Scale("Price", step=5, decimals=3)
    count = 2 * CACHED_MAX + 10
    for _ in range(2):
        for number in range(count):
            text = scale.text(number)
            assert Fraction(text) == Fraction(number * 5, 1000)
            assert scale.units(text) == number
        assert 0 < len(scale._texts) <= CACHED_MAX
        assert 0 < len(scale._units) <= CACHED_MAX
    with pytest.raises(BadRequest):
        scale.units("0.001")
    assert "0.001" not in scale._units


def test_scales_of_a_market() -> None:
    """Tick 0.05 and step 0.25: an error names the field that is no multiple."""
    exchange = Exchange()
    for command in (
        admin_records.rules(),
        admin_records.list_asset(asset=1, decimals=3, name="A"),
        admin_records.list_asset(asset=2, decimals=6, name="B"),
        admin_records.list_market(
            market=1, base=1, quote=2, lot_atoms=250, tick_atoms=12_500, name="A_B"
        ),
    ):
        outcome = records.read_outcome(exchange.apply(command, 1))
        assert outcome.status != records.REJECTED, outcome.reason
    scales = MarketScales(exchange.markets[1], base=exchange.assets[1], quote=exchange.assets[2])
    assert (scales.price.text(1), scales.quantity.text(1)) == ("0.05", "0.25")
    assert scales.price.units("100.10") == 2002
    assert scales.quantity.units("1.75") == 7
    assert scales.quote.units("1.5") == 1_500_000
    for scale, text, message in (
        (scales.price, "100.01", "Price decimal too long: it must be a multiple of 0.05"),
        (scales.quantity, "1.1", "Quantity decimal too long: it must be a multiple of 0.25"),
        (
            scales.quote,
            "0.0000001",
            "Quantity decimal too long: it must be a multiple of 0.000001",
        ),
    ):
        with pytest.raises(BadRequest, match=f"^{message}$"):
            scale.units(text)
