"""`fairbook check`: say whether a configuration can be used, and what it means."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fairbook.app.venue_file import VenueFile, load_venue
from fairbook.cli.parser import CommandParser
from fairbook.venue.toml_file import ConfigError

ERRORS: Final = (ConfigError, OSError)


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="configuration of a venue")


def run(arguments: argparse.Namespace) -> int:
    for line in summary(load_venue(arguments.file)):
        print(line)
    return 0


def summary(file: VenueFile) -> Iterator[str]:
    """What a file configures, a line for each."""
    venue = file.venue
    yield f"{file.name} can be used: {venue.name}, sign-up {venue.sign_up}"
    for asset in venue.assets:
        cap = asset.limits.get("reserve_cap")
        limit = "" if cap is None else f", at most {asset.scale.text(cap)}"
        yield f"  asset {asset.name}: {asset.decimals} decimals{limit}"
    for market in venue.markets:
        fees = [market.parameters.get(f"{side}_fee_ppm", 0) for side in ("maker", "taker")]
        maker = "" if market.maker is None else ", with the market maker"
        yield (
            f"  market {market.name}: tick {market.price.text(1)}, lot {market.quantity.text(1)},"
            f" fees {fees[0]} and {fees[1]} ppm{maker}"
        )
    for account in venue.accounts:
        assets = {asset.name: asset.scale for asset in venue.assets}
        amounts = [f"{assets[name].text(atoms)} {name}" for name, atoms in account.balances.items()]
        yield f"  account {account.name}: {', '.join(amounts) or 'empty'}"
    for operator in venue.operators:
        token = "its own token" if operator.token_hash else "a token in the data directory"
        yield f"  operator {operator.name}: {token}"
