"""Units and bounds: how large a price, a quantity or an amount may be, so that 64 bits suffice.

What is multiplied in the core was bounded first, by division: compiled arithmetic wraps at 64 bits,
interpreted arithmetic does not, and both must give the same results.
"""

from typing import Final

from mypy_extensions import i64

MAX_UNITS: Final = 1 << 40  # of a price in ticks, of a quantity in lots
MAX_ATOMS: Final = 1 << 62  # of any amount: a balance, a notional, the supply of an asset
MAX_LISTED_ATOMS: Final = 10**18  # of one lot, of one tick
MAX_DECIMALS: Final = 18
MILLION: Final = 1_000_000
NS_PER_SECOND: Final = 1_000_000_000


def ppm_floor(amount: i64, ppm: i64) -> i64:
    """floor(amount * ppm / 10^6), for 0 <= amount <= MAX_ATOMS and 0 <= ppm <= 10^6."""
    return amount // MILLION * ppm + amount % MILLION * ppm // MILLION


def tick_size(
    *, lot_atoms: int, tick_atoms: int, base_decimals: int, quote_decimals: int
) -> tuple[int, int]:
    """The price of one tick, in quote per base, as (step, decimals): step / 10^decimals.

    One lot is lot_atoms / 10^base_decimals of the base, one tick of it tick_atoms /
    10^quote_decimals of the quote.
    Returns the fewest decimals that say it exactly, or (0, 0) if 18 are not enough.
    """
    numerator = tick_atoms * 10**base_decimals
    denominator = lot_atoms * 10**quote_decimals
    for decimals in range(MAX_DECIMALS + 1):
        scaled = numerator * 10**decimals
        if scaled % denominator == 0:
            return scaled // denominator, decimals
    return 0, 0
