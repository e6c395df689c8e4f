"""Proofs: the demo's end says what was seen, and a night that went wrong is not called right."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from broadcaster.terminal.proof import Night, doubles, proofs
from tests.terminal.conftest import alert, delivery

TYPES = {"m": "mastodon", "b": "bluesky", "x": "x", "w": "webhook", "p": "apprise"}


def version(reference: str, *, x_state: str = "sent") -> dict[str, Any]:
    """Give an alert that is out on all five channels, or not on X."""
    out = [delivery(name, "sent", type=kind) for name, kind in TYPES.items()]
    out[2]["state"], out[2]["reason"] = x_state, "carries only crises"
    return alert(*out, reference=reference)


def posts(reference: str, *, older: str | None = None, on_x: bool = True) -> list[dict[str, Any]]:
    """Give what arrived for it; `older` is the version each post also names."""
    text = f"Nr. {reference}" + (f", ersetzt Nr. {older}" if older else "")
    return [
        {
            "network": network,
            "id": f"{network} {reference}",
            "text": text,
            "reply_to": f"{network} {older}" if older else None,
            "deleted": False,
        }
        for network in ("mastodon", "bluesky", "x", "webhook", "mail")
        if on_x or network != "x"
    ]


@pytest.fixture
def night() -> Night:
    """Give a night in which all went as it should."""
    fire = version("26-0001/1")
    fire["deliveries"][2]["attempts"][0]["outcome"] = "unknown"
    return Night(
        fire=fire,
        odour=version("26-0002/1", x_state="withheld"),
        update=version("26-0001/2"),
        all_clear=version("26-0001/3"),
        posts=[
            *posts("26-0001/1"),
            *posts("26-0002/1", on_x=False),
            *posts("26-0001/2", older="26-0001/1"),
            *posts("26-0001/3", older="26-0001/2"),
        ],
        webhook_calls=[
            {"at": "2026-11-22T02:49:03+00:00", "fault": "rate-limit"},
            {"at": "2026-11-22T02:49:07+00:00", "fault": None},
        ],
        asked_to_wait_seconds=4.0,
    )


def test_a_night_as_it_should_be_holds(night: Night) -> None:
    """Every proof holds, and nothing arrived twice."""
    assert [proof.sentence for proof in proofs(night) if not proof.holds] == []
    assert doubles(night) == []


def set_state(night: Night, name: str, channel: int, state: str) -> Night:
    """Give the night with one delivery in another state."""
    changed = copy.deepcopy(getattr(night, name))
    changed["deliveries"][channel]["state"] = state
    return replace(night, **{name: changed})


def without(night: Night, network: str, reference: str) -> Night:
    """Give the night with one post missing."""
    return replace(
        night,
        posts=[post for post in night.posts if post["id"] != f"{network} {reference}"],
    )


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda night: set_state(night, "fire", 0, "failed"), "out on every channel"),
        (lambda night: replace(night, posts=[*night.posts, night.posts[2]]), "its one post"),
        (lambda night: without(night, "x", "26-0001/1"), "its one post"),
        (lambda night: replace(night, asked_to_wait_seconds=5.0), "no earlier than it asked"),
        (lambda night: replace(night, webhook_calls=night.webhook_calls[:1]), "no earlier"),
        (lambda night: replace(night, webhook_calls=night.webhook_calls[1:]), "no earlier"),
        (lambda night: set_state(night, "odour", 2, "sent"), "withheld on X"),
        (lambda night: set_state(night, "update", 1, "withheld"), "The update reached"),
        (lambda night: set_state(night, "all_clear", 4, "unknown"), "The all-clear reached"),
        (lambda night: replace(night, posts=[*night.posts, night.posts[0]]), "arrived once"),
        (lambda night: without(night, "mail", "26-0001/3"), "arrived once"),
    ],
)
def test_a_night_that_went_wrong_is_told_as_such(
    night: Night, spoil: Callable[[Night], Night], words: str
) -> None:
    """Each promise is looked at by itself, on the receiving side."""
    broken = [proof.sentence for proof in proofs(spoil(night)) if not proof.holds]
    assert any(words in sentence for sentence in broken)


def test_an_update_that_answers_nothing_is_noticed(night: Night) -> None:
    """Readers of the first post must find the second."""
    lost = [{**post, "reply_to": None} for post in night.posts]
    broken = [proof.sentence for proof in proofs(replace(night, posts=lost)) if not proof.holds]
    assert broken == ["On Mastodon and Bluesky it answers their first post."]


def test_what_arrived_too_often_is_named(night: Night) -> None:
    """Where, which version, how many, and how many there should be."""
    doubled = replace(night, posts=[*night.posts, night.posts[0]])
    assert doubles(doubled) == ["mastodon: 2 posts of 26-0001/1, not 1"]
