"""Proofs: the demo's end says what was seen, and a night that went wrong is not called right."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from broadcaster.terminal import proof as room
from broadcaster.terminal.proof import Night, doubles, proofs
from tests.terminal.conftest import alert, delivery

PICTURED = ("mastodon", "bluesky", "x", "threads", "facebook", "instagram", "linkedin", "youtube")
PLAIN = ("webhook", "apprise")
CARD = {"url": "https://a.example/cards/ab.png", "alt": "Karte"}
FIRE, UPDATE, CLEAR, ODOUR = "26-0001/1", "26-0001/2", "26-0001/3", "26-0002/1"


def where(network: str, reference: str) -> str:
    """Give the id of a post."""
    return f"{network}-{reference}"


def version(reference: str, *, withheld: tuple[str, ...] = (), old: str = "") -> dict[str, Any]:
    """Give an alert that is out on all channels, but for some; `old` is what it overtakes."""
    out = []
    for name in (*PICTURED, *PLAIN):
        state = "withheld" if name in withheld else "sent" if name in PLAIN else "visible"
        more: dict[str, Any] = {
            "url": f"{room.LINK}{where(name, reference)}" if name == "youtube" else "https://a/",
            "message": {"text": "Feuer", "media": [CARD] if name in PICTURED else []},
        }
        if state == "withheld":
            more = {"message": None, "reason": "only crises"}
        out.append(delivery(name, state, type=name, **more))
        if old and name in (*room.EDITED, *room.COMMENTED):
            part = {"part": "de.correction", "id": f"d-{name}-correction"}
            out.append(delivery(name, "sent", type=name, **part))
    return alert(*out, reference=reference)


def posts(reference: str, *, old: str = "", new: str = "", only: str = "") -> list[dict[str, Any]]:
    """Give what arrived for it; `old` is what it answers, `new` what it was overtaken by."""
    found = []
    for name in (*PICTURED, "webhook", "mail"):
        if only and name in only:
            continue
        said = f"Nr. {reference}" + (f", ersetzt Nr. {old}" if old else "")
        edited = bool(new) and name in room.EDITED
        one = {
            "network": name,
            "id": where(name, reference),
            "text": f"Überholt: Nr. {new}. {said}" if edited else said,
            "first_text": said,
            "reply_to": where(name, old) if old and name in room.WITH_REPLIES else None,
            "media": [{"id": "card", "alt": "Karte"}] if name in PICTURED else [],
            "edited": edited,
            "deleted": False,
        }
        found.append(one)
        if new and name in room.COMMENTED:
            text = f"Überholt: Nr. {new}"
            comment = {"id": f"c-{one['id']}", "kind": "comment", "reply_to": one["id"]}
            found.append(one | comment | {"text": text, "first_text": text, "media": []})
    return found


@pytest.fixture
def night() -> Night:
    """Give a night in which all went as it should."""
    fire = version(FIRE)
    fire["deliveries"][2]["attempts"][0]["outcome"] = "unknown"
    return Night(
        fire=fire,
        odour=version(ODOUR, withheld=("x", "youtube")),
        update=version(UPDATE, old=FIRE),
        all_clear=version(CLEAR, old=UPDATE),
        posts=[
            *posts(FIRE, new=UPDATE),
            *posts(ODOUR, only="x youtube"),
            *posts(UPDATE, old=FIRE, new=CLEAR),
            *posts(CLEAR, old=UPDATE),
        ],
        pictures=frozenset({"card"}),
        told=[f"{name}: city-youtube waits" for name in (FIRE, UPDATE, CLEAR)],
        webhook_calls=[
            {"at": "2026-11-22T02:49:03+00:00", "fault": "rate-limit"},
            {"at": "2026-11-22T02:49:07+00:00", "fault": None},
        ],
        asked_to_wait_seconds=4.0,
    )


def broken(night: Night) -> list[str]:
    """Give the sentences that do not hold."""
    return [proof.sentence for proof in proofs(night) if not proof.holds]


def test_a_night_as_it_should_be_holds(night: Night) -> None:
    """Every proof holds, and nothing arrived twice."""
    assert broken(night) == []
    assert doubles(night) == []


def set_state(night: Night, name: str, channel: str, state: str) -> Night:
    """Give the night with one delivery in another state."""
    changed = copy.deepcopy(getattr(night, name))
    next(one for one in changed["deliveries"] if one["channel"] == channel)["state"] = state
    return replace(night, **{name: changed})


def without(night: Night, network: str, reference: str) -> Night:
    """Give the night with one post missing."""
    gone = where(network, reference)
    return replace(night, posts=[post for post in night.posts if post["id"] != gone])


def change(night: Night, network: str, reference: str, **more: object) -> Night:
    """Give the night with one post changed."""
    meant = where(network, reference)
    changed = [{**post, **more} if post["id"] == meant else post for post in night.posts]
    return replace(night, posts=changed)


def without_comments(night: Night) -> Night:
    """Give the night in which nobody commented."""
    return replace(night, posts=[post for post in night.posts if "kind" not in post])


def never_visible(night: Night, network: str) -> Night:
    """Give the night in which a network's posts were never seen."""
    for name in ("fire", "odour", "update", "all_clear"):
        night = set_state(night, name, network, "sent")
    return night


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda night: set_state(night, "fire", "mastodon", "failed"), "out on every channel"),
        (lambda night: set_state(night, "fire", "youtube", "waiting"), "out on every channel"),
        (lambda night: replace(night, pictures=frozenset()), "arrived as a picture"),
        (lambda night: change(night, "threads", UPDATE, media=[]), "arrived as a picture"),
        (
            lambda night: change(night, "x", FIRE, media=[{"id": "card", "alt": ""}]),
            "with its alt text",
        ),
        (lambda night: replace(night, posts=[*night.posts, night.posts[2]]), "its one post"),
        (lambda night: without(night, "x", FIRE), "its one post"),
        (lambda night: replace(night, asked_to_wait_seconds=5.0), "no earlier than it asked"),
        (lambda night: replace(night, webhook_calls=night.webhook_calls[:1]), "no earlier"),
        (lambda night: replace(night, webhook_calls=night.webhook_calls[1:]), "no earlier"),
        (lambda night: replace(night, told=night.told[1:]), "who was told"),
        (lambda night: change(night, "youtube", CLEAR, id="elsewhere"), "posted and confirmed"),
        (lambda night: set_state(night, "odour", "x", "sent"), "withheld on X"),
        (lambda night: set_state(night, "update", "bluesky", "withheld"), "The update reached"),
        (lambda night: set_state(night, "all_clear", "apprise", "unknown"), "The all-clear"),
        (lambda night: change(night, "threads", UPDATE, reply_to=None), "answer the post before"),
        (lambda night: change(night, "mastodon", CLEAR, reply_to="x"), "answer the post before"),
        (lambda night: without(night, "bluesky", CLEAR), "answer the post before"),
        (lambda night: without(night, "linkedin", UPDATE), "posts of their own"),
        (lambda night: change(night, "x", UPDATE, reply_to="x-1"), "posts of their own"),
        (lambda night: change(night, "facebook", FIRE, edited=False), "the older post says so"),
        (lambda night: change(night, "linkedin", UPDATE, text="Feuer"), "the older post says so"),
        (without_comments, "the older post says so"),
        (lambda night: never_visible(night, "threads"), "looked up again"),
        (lambda night: replace(night, posts=[*night.posts, night.posts[0]]), "arrived once"),
        (lambda night: without(night, "mail", CLEAR), "arrived once"),
    ],
)
def test_a_night_that_went_wrong_is_told_as_such(
    night: Night, spoil: Callable[[Night], Night], words: str
) -> None:
    """Each promise is looked at by itself, on the receiving side."""
    assert any(words in sentence for sentence in broken(spoil(night)))


def test_an_edited_post_still_stands_for_what_it_said_first(night: Night) -> None:
    """That an older post names the newer one makes no second post of it."""
    (old,) = [post for post in night.posts if post["id"] == where("facebook", FIRE)]
    assert UPDATE in old["text"]
    assert room.post_of(night, old) == FIRE


def test_what_arrived_too_often_is_named(night: Night) -> None:
    """Where, which version, how many, and how many there should be; a comment is no post."""
    comment = next(post for post in night.posts if post.get("kind") == "comment")
    doubled = replace(night, posts=[*night.posts, night.posts[0], comment])
    assert doubles(doubled) == [f"mastodon: 2 posts of {FIRE}, not 1"]
