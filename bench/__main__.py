"""`./dev bench NAME`: run one bench. `--help` lists them; `NAME --help` lists its options."""

import argparse
import importlib
import os
import sys
from typing import Final

from bench import runs

BENCHES: Final = {
    "core": "the core alone, against a bare one",
    "orders": "orders over HTTP",
    "ws-orders": "orders over WebSocket, against HTTP",
    "followers": "what replica, recorder and streams add to an order",
    "fanout": "depth and trades of a market to many connections",
    "pauses": "the longest pause with a million resting orders",
    "restart": "a start after kill -9, by the length of the history",
    "full-replay": "what the replay of the whole log takes from orders",
    "attack": "what clients that take too much cost the others",
    "compare": "another checkout against this one",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="./dev bench",
        description="Measure the exchange.",
        epilog="\n".join(f"{name:<10} {about}" for name, about in BENCHES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=BENCHES, metavar="NAME", help="one of those below")
    name: str = parser.parse_args(sys.argv[1:2]).name
    if not hasattr(os, "sched_setaffinity"):
        raise SystemExit("the benches need Linux")
    runs.run(name, importlib.import_module(f"bench.{name.replace('-', '_')}"), sys.argv[2:])


if __name__ == "__main__":
    main()
