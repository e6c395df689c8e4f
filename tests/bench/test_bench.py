"""The benchmark runs and says everything it should; how fast this machine is, is no test."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from bench.table import Row, text
from tests.conftest import REPOSITORY


def row(*, at_least: bool = False) -> Row:
    """Return a row of two rounds: twice and four times the baseline, a target of three."""
    made = Row("what", "ms", "the relay", 3.0, at_least=at_least)
    made.add(2.0, 1.0)
    made.add(8.0, 2.0)
    return made


def test_a_ratio_is_one_of_medians_and_its_span_one_of_rounds() -> None:
    """A single slow round moves the span, and the value only by what it moves the median."""
    assert row().value == pytest.approx(5.0 / 1.5)
    assert row().span == (2.0, 4.0)


@pytest.mark.parametrize(("at_least", "says"), [(False, "NOT reached"), (True, "| reached")])
def test_what_is_not_reached_is_printed_as_such(at_least: bool, says: str) -> None:  # noqa: FBT001
    """A target bounds from above or from below, and missing it cannot be overlooked."""
    assert says in text([row(at_least=at_least)], {"cores": "2"}, 2)


@pytest.mark.limit(120)
def test_a_quick_run_measures_every_row_and_leaves_nothing_running() -> None:
    """Every number is there and positive, with the machine it was measured on."""
    command = [sys.executable, "-m", "bench", "--quick", "--json"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True, timeout=100)
    said: dict[str, Any] = json.loads(done.stdout)
    assert set(said["machine"]) == {"CPU", "cores", "kernel", "Python", "SQLite", "fdatasync p50"}
    assert said["repeated"] == 0
    assert len(said["rows"]) == 17
    for one in said["rows"]:
        measured = one["measured"]
        assert len(measured) == 1, one
        assert measured[0] > 0 or one["what"].startswith("durable ack"), one
