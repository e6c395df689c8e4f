"""The order in which a text gets shorter."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from broadcaster.facts import Words
from broadcaster.fitting import Detail, context, cuts, first, whole


def words(descriptions: int, instructions: int, **values: Any) -> Words:
    """Make the words of one language with so many sentences."""
    said = {"kind": "alert", "headline_says_all": True, "onset": 1, "expires": 2}
    said |= dict.fromkeys(("contact", "web", "headline", "replaces"), "x")
    return Words(
        said | values,
        [f"D{number}. " for number in range(descriptions)],
        [f"I{number}. " for number in range(instructions)],
    )


@pytest.mark.parametrize("kind", ["alert", "update", "all-clear"])
def test_each_cut_says_less_than_the_one_before(kind: str) -> None:
    """Every step changes one thing, and the first action is in all of them."""
    steps = list(cuts([words(3, 2, kind=kind)]))
    assert steps[0] == Detail(3, 2)
    for before, after in pairwise(steps):
        assert before != after
        assert after.description <= before.description
        assert 1 <= after.instruction <= before.instruction
        for name in ("hashtags", "contact", "web", "headline", "replaces", "period"):
            assert getattr(after, name) <= getattr(before, name)
        assert after.minimal >= before.minimal
    assert steps[-1].minimal


def test_several_languages_are_cut_by_the_same_steps() -> None:
    """As many as the longest of them needs."""
    long, short = words(4, 1), words(1, 3)
    assert whole([long, short]) == Detail(4, 3)
    steps = list(cuts([long, short]))
    assert {step.description for step in steps} == {4, 3, 2, 1, 0}
    assert {step.instruction for step in steps} == {3, 2, 1}


def test_what_is_cut_is_empty_never_undefined() -> None:
    """A template need not ask whether a variable is there."""
    one = words(2, 2)
    full = context(one, whole([one]))
    assert (full["description"], full["instruction"]) == ("D0. D1.", "I0. I1.")
    *_, last = cuts([one])
    said = context(one, last)
    assert (said["description"], said["instruction"], said["first_action"]) == ("", "I0.", "I0.")
    gone = ("contact", "web", "headline", "replaces", "onset", "expires")
    assert [said[name] for name in gone] == [None] * 6
    assert said.keys() == full.keys()
    assert said["headline_says_all"] is False


@pytest.mark.parametrize("count", range(2, 12))
def test_the_first_that_fits_is_found(count: int) -> None:
    """Whichever it is; the last one where none does."""
    for fitting in range(count):
        asked: list[int] = []

        def fit(at: int, fitting: int = fitting, asked: list[int] = asked) -> bool:
            asked.append(at)
            return at >= fitting

        assert first(count, fit) == fitting
        assert len(asked) <= 6
    assert first(count, lambda _: False) == count - 1
