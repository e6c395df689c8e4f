"""The order of letters is that of Unicode's bidirectional algorithm."""

# ruff: noqa: RUF001 - letters of other alphabets are what this is about

from __future__ import annotations

import pytest
from bidi import get_display
from hypothesis import example, given
from hypothesis import strategies as st

from broadcaster.drawing import direction

LETTERS = "abÄאבتثل٠١012 34 ()[]{},.-/:+%€\u200e\u200f\u064e\u0301،"


def shown(text: str, *, from_right: bool) -> str:
    """Return a line as it is seen from left to right."""
    levels = direction.levels(text, from_right=from_right)
    seen = ""
    for start, end, backwards in direction.visual(0, levels):
        run = text[start:end]
        seen += run[::-1] if backwards else run
    return seen


@given(st.text(LETTERS, max_size=24), st.booleans())
@example("א(b)", True)
@example("a[ת(b]c)", True)
@example("تa 12-34/5", True)
@example("(ב\u064e)\u0301", False)
def test_it_agrees_with_another_implementation(text: str, from_right: bool) -> None:  # noqa: FBT001
    """Held against the Rust crate unicode-bidi, which follows the annex's own tests."""
    text = text.strip()  # blanks at the end of a line are dropped before
    assert shown(text, from_right=from_right) == get_display(text, base_dir="LR"[from_right])


def test_a_deep_heap_of_brackets_is_no_trouble() -> None:
    """Beyond 63 open brackets none is paired (BD16), and nothing else happens."""
    text = "(" * 70 + "א" + ")" * 70
    assert shown(text, from_right=True) == get_display(text, base_dir="R")


@pytest.mark.parametrize(
    ("language", "from_right"),
    [("ar", True), ("ar-EG", True), ("fa", True), ("de", False), ("de-simple", False)],
)
def test_the_language_says_from_where_lines_run(language: str, from_right: bool) -> None:  # noqa: FBT001
    """Arabic and its neighbours from the right, everything else from the left."""
    assert direction.right_to_left(language) is from_right


def test_a_text_turns_where_any_letter_is_arabic() -> None:
    """A German sentence with an Arabic name needs the algorithm as well."""
    assert direction.turns("Bitte: أغلقوا")
    assert not direction.turns("Bitte 26-0142/1")
