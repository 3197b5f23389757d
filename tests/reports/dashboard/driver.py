"""A small driver with the command line of `tuner resume`: takes the lease, writes that it was started, trains a little."""

import argparse
import os
import sys
import time
from pathlib import Path

from reports.stages import StageResults
from studies.errors import BusyError
from studies.ledger import Store
from studies.plan import Plan, constant
from tests.reports.dashboard import sample
from tests.reports.sample import trial


def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ("command", "study"):
        parser.add_argument(name)
    parser.add_argument("--storage", default=os.environ.get("TUNE_STORAGE"))
    parser.add_argument("--workdir", type=Path)
    parser.add_argument("--hold", type=float, default=0.0)
    given = parser.parse_args()
    with (given.workdir / "starts").open("a") as starts:
        starts.write(f"{os.getpid()} {given.command} {given.study}\n")
    if (given.workdir / "broken").exists():
        sys.exit("the task is broken")
    if (given.workdir / "stopped").exists():
        return 130
    store = Store(given.storage)
    settings = {**sample.SETTINGS, "workdir": str(given.workdir)}
    try:
        with store.drive(given.study, settings) as driver:
            print("driving", flush=True)
            more = trial(8, constant(Plan(seed=1), 0.1, 1000))
            sample.write(driver, StageResults("stage1", sample.METRIC, [more]))
            time.sleep(given.hold)
            driver.done()
    except BusyError as error:
        print(error, file=sys.stderr)
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main())
