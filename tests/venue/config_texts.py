"""Configurations for tests: a small venue, and one with many markets."""

SMALL = """
name = "Small"
[[assets]]
name = "ABC"
decimals = 4
cap = "1000000"
credit_max = "1000000"

[[assets]]
name = "EUR"
decimals = 2
credit_max = "5000"

[[markets]]
symbol = "ABC_EUR"
tick = "0.01"
lot = "1"
taker_fee_ppm = 2000
price_min = "0.5"
price_max = "20"

[[accounts]]
name = "alice"
balances = { ABC = "100.5", EUR = "2000" }

[[accounts.keys]]
public_key = "O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik="
permissions = ["read", "trade"]
label = "bot"

[[accounts]]
name = "bob"
fee_group = 3

[[operators]]
name = "ann"
roles = ["markets"]
token_hash = "1111111111111111111111111111111111111111111111111111111111111111"

[[operators]]
name = "ben"
"""


def many_markets(count: int) -> str:
    """A venue with so many markets, each with parameters and an asset of its own."""
    tables = ['name = "Many"', '[[operators]]\nname = "a"', '[[operators]]\nname = "b"']
    tables.append('[[assets]]\nname = "EUR"\ndecimals = 2\ncredit_max = "0"\n')
    for number in range(count):
        tables.append(
            f'[[assets]]\nname = "A{number}"\ndecimals = 3\ncap = "1000"\ncredit_max = "5"\n'
        )
        tables.append(
            f'[[markets]]\nsymbol = "A{number}_EUR"\ntick = "0.01"\nlot = "1"\n'
            "maker_fee_ppm = 1\ntaker_fee_ppm = 2\nband_ppm = 1000\nlevels_max = 50\n"
        )
    return "\n".join(tables)
