"""Titles and texts as YouTube takes them."""

from __future__ import annotations

import pytest

from broadcaster.channels.youtube import title as youtube_title
from broadcaster.delivery import (
    Message,
    Rejected,
)
from tests.channels.stub import (
    TEXT,
)
from tests.channels.youtube.youtube_stub import (
    POINTER,
)


@pytest.mark.parametrize(
    ("subject", "text", "wanted"),
    [
        ("Großbrand in Hörde", TEXT, "Großbrand in Hörde"),
        (None, "Erste Zeile\nzweite", "Erste Zeile"),
        (" ", "\n\n  Feuer  und Flamme\n", "Feuer und Flamme"),
        ("a < b > c", TEXT, "a \u2039 b \u203a c"),
        ("x" * 100, TEXT, "x" * 100),
        ("x" * 101, TEXT, "x" * 99 + "…"),
        ("ä" * 99, TEXT, "ä" * 99),
        ("😀" * 50, TEXT, "😀" * 50),
        ("😀" * 51, TEXT, "😀" * 49 + "…"),
        ("👩‍👩‍👧" * 20, TEXT, "👩‍👩‍👧" * 12 + "…"),
        ("حريق كبير في دورتموند " * 5, TEXT, None),
        ("Großbrand in einer Lagerhalle " * 4, TEXT, None),
    ],
)
def test_a_title_has_100_characters_at_most(
    subject: str | None, text: str, wanted: str | None
) -> None:
    """It is cut between words, never inside of what a reader takes for one character."""
    made = youtube_title.title_of(Message(text, "de", subject))
    assert youtube_title.units(made) <= 100
    if wanted is None:
        assert made.endswith("…")
        assert str(subject).startswith(made[:-1])
        assert str(subject)[len(made) - 1] == " "
    else:
        assert made == wanted


def test_a_text_without_a_word_makes_no_video() -> None:
    """There is nothing to call it."""
    with pytest.raises(Rejected):
        youtube_title.title_of(Message(" \n", "de"))


def test_a_mark_comes_first_and_all_still_fits() -> None:
    """The title begins with the first words of the pointer, the text with all of it."""
    old = {"title": "ä" * 100, "description": "😀" * 1250}
    made = youtube_title.marked(old, POINTER)
    assert made["title"].startswith("Überholt: ää")
    assert youtube_title.units(made["title"]) <= 100
    assert made["description"].startswith(f"{POINTER}\n\n😀")
    assert len(made["description"].encode()) <= 5000
    assert made["description"].endswith("😀…")


def test_a_pointer_without_a_colon_is_a_mark_too() -> None:
    """In every language something short stands before the title."""
    made = youtube_title.marked(
        {"title": "Großbrand", "description": "x"}, "Überholt durch " + "x" * 60
    )
    assert made["title"].endswith("…: Großbrand")
    assert youtube_title.units(made["title"].partition(":")[0]) <= youtube_title.MARK_MAX
