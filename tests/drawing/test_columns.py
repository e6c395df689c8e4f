"""Texts are as large as there is room, and what is not said is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from broadcaster.drawing import CardFault, columns
from broadcaster.drawing.columns import Part
from broadcaster.drawing.lines import Line, Words

LONG = "Gehen Sie ins Haus. " * 30


def part(text: str, **how: Any) -> Part:
    """Return a text of 20 to 60 pixels."""
    given: dict[str, Any] = {"name": "title", "size": 60.0, "least": 20.0} | how
    return Part(words=Words(text, 500, "de", from_right=False), **given)


def column(parts: list[Part], width: float = 500, height: float = 300) -> columns.Column:
    """Set texts into a box that begins at 10 20."""
    return columns.column(parts, x=10, y=20, width=width, height=height)


def test_a_short_text_has_its_full_size() -> None:
    """A single word is as large as the template allows."""
    row = column([part("Feuer")]).rows["title"]
    assert row.size == 60
    assert row.lines[0].x == 10
    assert 20 < row.lines[0].y < 20 + 60


def test_more_words_are_smaller() -> None:
    """The largest size at which all of it fits."""
    sizes = [column([part("Wort " * count)]).rows["title"].size for count in (3, 30, 60)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 60 > sizes[1] > sizes[2] >= 20


@pytest.mark.parametrize("count", [1, 5, 15, 20])
def test_nothing_leaves_its_box(count: int) -> None:
    """Neither to the right nor below, whatever the size."""
    made = column(
        [part("Straßenverkehr " * count), part("Wort " * count, name="action", cut=True, gap=20)]
    )
    assert made.height <= 300
    for row in made.rows.values():
        assert row.bottom <= 320.01
        assert all(line.x + line.width <= 510.01 for line in row.lines)


def test_a_word_is_rather_smaller_than_hyphenated() -> None:
    """Down to the size the part names; below, it is hyphenated and large again."""
    title = part("Gefahreninformation", whole=0.0)
    assert len(column([title], width=260).rows["title"].lines) == 1
    hyphenated = column([replace(title, whole=0.9)], width=260).rows["title"]
    assert len(hyphenated.lines) > 1
    assert hyphenated.size > column([title], width=260).rows["title"].size


def test_what_may_not_be_cut_is_a_fault_when_it_does_not_fit() -> None:
    """People are told; a card never hides words that must be there."""
    with pytest.raises(CardFault, match=r"too many words for a card.*: title"):
        column([part(LONG)], width=300, height=100)


def test_of_what_may_be_cut_as_much_as_fits_is_shown() -> None:
    """Whole sentences, the first one always, and "…" behind them."""
    short, long = (
        column([part(LONG, cut=True)], width=300, height=height).rows["title"]
        for height in (80, 160)
    )
    assert len(short.lines) < len(long.lines)
    ellipsis = Words("…", 500, "de", from_right=False)
    dots = ellipsis.shape(Line(0, 1)).path.split(" ", 1)[1]
    assert short.lines[-1].path.endswith(dots)
    with pytest.raises(CardFault):
        column([part(LONG, cut=True)], width=100, height=50)


def test_room_that_is_left_goes_to_single_texts() -> None:
    """A title that is too wide does not keep the action small."""
    made = column(
        [part("Donaudampfschifffahrtsgesellschaft", whole=0.0), part("Gehen Sie.", name="action")]
    )
    assert made.rows["title"].size < 40
    assert made.rows["action"].size == 60


def test_lines_are_aligned() -> None:
    """At the start, the end, or in the middle; the start of Arabic is on the right."""
    widths = {}
    for align in ("start", "middle", "end"):
        ink = column([part("Feuer", align=align)]).rows["title"].lines[0]
        widths[align] = ink.x
        assert ink.x + ink.width <= 510.01
    assert widths["start"] == 10 < widths["middle"] < widths["end"]
    arabic = replace(part(""), words=Words("خطر", 500, "ar", from_right=True))
    ink = column([arabic]).rows["title"].lines[0]
    assert ink.x + ink.width == pytest.approx(510, abs=0.01)


def test_a_template_can_ask_how_large_texts_will_be() -> None:
    """1 is full size, 0 the smallest, less that they do not fit."""
    asked = [
        columns.largest([part("Wort " * count)], width=500, height=300) for count in (1, 50, 5000)
    ]
    assert asked[0] == 1 > asked[1] >= 0 > asked[2]
