"""Output: words for people, one document for programs, nothing that moves a cursor."""

from __future__ import annotations

import io
import json

import pytest

from broadcaster.terminal.output import Rows, cell, harmless, terminal
from tests.terminal.conftest import Screen

ROWS = Rows(("name", "what"), [(cell("x"), cell("Fenster und Türen [bold]schließen"))], "Texts")


def test_with_json_standard_output_is_one_document() -> None:
    """A program that reads standard output meets JSON and nothing else."""
    screen = Screen(json=True)
    screen.output.say("Accepted")
    screen.output.show(ROWS)
    screen.output.document({"headline": "Türen"})
    assert json.loads(screen.out) == {"headline": "Türen"}
    assert "Türen" in screen.out
    assert "Accepted" in screen.err


def test_without_json_there_is_no_document(screen: Screen) -> None:
    """People get words only."""
    screen.output.document({"headline": "Türen"})
    screen.output.say("Accepted")
    assert screen.out == "Accepted\n"


def test_rows_are_aligned_lines_where_there_is_no_terminal(screen: Screen) -> None:
    """A pipe or a file gets whole lines, never cut and never wrapped."""
    long = "https://example.org/" + "a" * 300
    screen.output.show(Rows(("name", "where"), [(cell("city-mastodon"), cell(long))]))
    assert screen.out.splitlines() == ["name           where", f"city-mastodon  {long}"]


def test_rows_are_a_table_on_a_terminal() -> None:
    """A person at a terminal gets lines drawn, and text with brackets as it was written."""
    screen = Screen(terminal=True)
    screen.output.show(ROWS)
    assert "─" in screen.out
    assert "[bold]schließen" in screen.out


def test_only_a_terminal_without_json_is_live() -> None:
    """Tables that redraw themselves are for people who watch."""
    assert Screen(terminal=True).output.live
    assert not Screen().output.live
    assert not Screen(terminal=True, json=True).output.live
    assert not terminal(as_json=True).live


def test_text_from_outside_cannot_steer_the_terminal(screen: Screen) -> None:
    """A network's error text with escape sequences is shown, not obeyed."""
    screen.output.error("said \x1b[2J\x07 and more\nsecond line")
    assert "\x1b" not in screen.err
    assert "\x07" not in screen.err
    assert screen.err.count("\n") == 2
    assert harmless("\x9b31m") == "\N{REPLACEMENT CHARACTER}31m"


def test_an_old_terminal_gets_question_marks_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that knows no check mark still gets the words."""
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="latin-1"))
    terminal().say("✓ gesendet: Türen")
    assert written.getvalue().decode("latin-1") == "? gesendet: Türen\n"
