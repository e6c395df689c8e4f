"""Endings: every trouble has its exit code and a sentence that says what to do."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from broadcaster.config import ConfigError, Fault
from broadcaster.record import StoreUnavailable
from broadcaster.terminal.client import Lost, Problem
from broadcaster.terminal.ending import run
from broadcaster.terminal.target import Misuse
from tests.terminal.conftest import Screen


async def ends(with_error: BaseException | None = None) -> int:
    """Work that ends as told."""
    if with_error:
        raise with_error
    return 3


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (None, 3, ""),
        (Misuse("Cannot read alert.json."), 2, "Cannot read alert.json."),
        (Lost("Nothing answers.", sent=False), 1, "Nothing answers."),
        (Problem(401, {"code": "key-refused", "detail": "Unknown key."}), 4, "keys create"),
        (Problem(403, {"code": "sender", "detail": "Not yours."}), 4, "keys list"),
        (Problem(409, {"code": "not-newest", "detail": "Too old."}), 4, "broadcaster status"),
        (Problem(507, {"code": "storage-full", "detail": "The disk is full."}), 4, "make room"),
        (ConfigError([Fault("server.timezone", "is required")]), 2, "server.timezone: is required"),
        (StoreUnavailable("another process has it"), 1, "another process has it"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 0, ""),
    ],
)
def test_every_trouble_has_its_code_and_its_words(
    screen: Screen, error: BaseException | None, code: int, words: str
) -> None:
    """No traceback for what a person can mend."""
    assert run(ends(error), screen.output) == code
    assert words in screen.err
    assert screen.out == ""


def test_faults_come_one_to_a_line_with_their_pointers(screen: Screen) -> None:
    """The whole request is mended in one go."""
    errors = [
        {"pointer": "/info/0/severity", "detail": "must be one of Extreme, Severe"},
        {"pointer": "/sender", "detail": "is required"},
    ]
    problem = Problem(422, {"code": "invalid", "detail": "There are 2 faults.", "errors": errors})
    run(ends(problem), screen.output)
    assert screen.err.splitlines() == [
        "Refused: There are 2 faults. [invalid]",
        "  /info/0/severity  must be one of Extreme, Severe",
        "  /sender           is required",
    ]


def test_a_program_gets_the_problem_document() -> None:
    """With --json a refusal is a document too."""
    screen = Screen(json=True)
    document: dict[str, Any] = {"code": "invalid", "detail": "No.", "errors": []}
    assert run(ends(Problem(422, document)), screen.output) == 4
    assert json.loads(screen.out) == document


def test_a_faulty_configuration_is_told_whole(screen: Screen) -> None:
    """Every fault at once."""
    faults = [Fault("server.timezone", "is required"), Fault("store.url", "is required")]
    run(ends(ConfigError(faults)), screen.output)
    assert screen.err.startswith("The configuration has 2 faults:")
    assert screen.err.count("is required") == 2


def test_the_event_loop_can_be_chosen(screen: Screen) -> None:
    """The daemon runs on a faster one than the commands need."""
    made: list[asyncio.AbstractEventLoop] = []

    def loops() -> asyncio.AbstractEventLoop:
        made.append(asyncio.new_event_loop())
        return made[-1]

    assert run(ends(), screen.output, loops) == 3
    assert len(made) == 1
    assert made[0].is_closed()
