"""`python -m bench`: measure, and print the table. It ends by itself within some minutes."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import uvloop

from bench import rounds, table
from bench.measure import QUICK, Counts


def main() -> None:
    """Measure and print. What was not reached is printed as such; it is no failure of the run."""
    asked = _arguments()
    counts = QUICK if asked.quick else Counts()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=asked.directory) as place:
        results = uvloop.run(rounds.run(Path(place), counts, _say))
    facts, rows = rounds.facts(results), results.listed()
    if asked.json:
        shown = [row.to_json() for row in rows]
        print(json.dumps({"machine": facts, "repeated": results.repeated, "rows": shown}, indent=1))
    else:
        print(table.text(rows, facts, counts.rounds))
        print(f"{results.repeated} posts reached a receiver twice.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--quick", action="store_true", help="only see that it runs: the numbers mean nothing"
    )
    parser.add_argument(
        "--directory",
        type=Path,
        help="where the databases lie; must be on a disk, not in memory (default: TMPDIR)",
    )
    return parser.parse_args()


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main()
