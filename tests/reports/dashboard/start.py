"""Serve the dashboard of a storage, resuming with the small driver, which keeps its lease for HOLD seconds."""

import sys
from pathlib import Path

from reports.dashboard import serve


def main(url: str, workdir: str, hold: str = "0") -> None:
    def command(name: str, folder: Path) -> list[str]:
        driver = [sys.executable, "-m", "tests.reports.dashboard.driver", "resume", name]
        return [*driver, "--workdir", str(folder), "--hold", hold]

    serve(url, Path(workdir), port=0, command=command)


if __name__ == "__main__":
    main(*sys.argv[1:])
