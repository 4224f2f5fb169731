"""`./dev bench NAME`: run one measurement. `--help` lists them; `NAME --help` lists its options."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Final

BENCHES: Final = ("core", "fanout", "orders", "pauses", "restart", "ws-orders")


def main() -> None:
    """Replace this process by the measurement, so that nothing else runs beside it."""
    parser = argparse.ArgumentParser(prog="./dev bench", description="Measure the exchange.")
    parser.add_argument("name", choices=BENCHES, metavar="NAME", help=", ".join(BENCHES))
    arguments, rest = parser.parse_known_args(sys.argv[1:2])
    module = f"bench.{arguments.name.replace('-', '_')}"
    os.execv(sys.executable, [sys.executable, "-m", module, *rest, *sys.argv[2:]])


main()
