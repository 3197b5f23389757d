"""`python -m tests.benchmarks [NAME ...]`: the figures side by side with the peers', in one table."""

import argparse
import sys
import time
from importlib import import_module

from tests.benchmarks.table import Absent, Result, table

NAMES = ("digits", "deepobs", "lcbench", "tails", "fusion", "reading", "recipes", "overhead", "driver", "start", "watching")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which; all of {', '.join(NAMES)} if not given")
    parser.add_argument("--runs", type=int, default=5, help="pairs of runs, whose median is taken; 5 if not given")
    parser.add_argument("--small", action="store_true", help="small inputs: whether it works, not how well")
    given = parser.parse_args()
    if unknown := set(given.names) - set(NAMES):
        parser.error(f"there is no {', '.join(unknown)}; expected some of {', '.join(NAMES)}")
    results = {}
    for name in given.names or NAMES:
        began = time.monotonic()
        results[name] = _measured(name, given.runs, given.small)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    print(table(results))


def _measured(name: str, runs: int, small: bool) -> Result | str:
    try:
        return import_module(f"tests.benchmarks.{name}").measure(runs, small=small)
    except Absent as reason:
        return str(reason)


if __name__ == "__main__":
    main()
