"""A card is named by what it shows."""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace
from typing import Any

import pytest

from bench.samples import LANGUAGES, OTHERS
from broadcaster.drawing import DRAWING_VERSION, CardFault, Spec

GERMAN = LANGUAGES["de"]


def test_what_a_card_shows_comes_back_from_json() -> None:
    """A card can be drawn anew from what the store has kept."""
    for spec in (LANGUAGES | OTHERS).values():
        assert Spec.from_json(spec.to_json()) == spec


def test_the_json_is_canonical() -> None:
    """Equal cards have equal JSON, whatever wrote it: keys in order, ASCII, no blanks between."""
    text = GERMAN.to_json()
    assert text.isascii()
    assert text.startswith('{"action":"Schlie\\u00dfen')
    assert text.endswith('"title":"Gro\\u00dfbrand","width":1200}')


def test_the_name_changes_with_everything_shown() -> None:
    """Two cards that look different never share a name, also not with an earlier way to draw."""
    other: dict[str, Any] = {"width": 1201, "height": 676}
    changed = [
        replace(GERMAN, **{field.name: other.get(field.name, "etwas anderes")})
        for field in fields(GERMAN)
    ]
    assert len({spec.name() for spec in [GERMAN, *changed]}) == 1 + len(fields(GERMAN))
    text = f"{DRAWING_VERSION}\n{GERMAN.to_json()}"
    assert GERMAN.name() == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"colour": "red"}'])
def test_json_of_something_else_is_a_fault(text: str) -> None:
    """What is no card is refused, not half understood."""
    with pytest.raises(CardFault, match="cannot be read"):
        Spec.from_json(text)
