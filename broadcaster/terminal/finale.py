"""The end of the demo: what arrived, what was proved, and where to look at it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from broadcaster.sandbox import SHOWN
from broadcaster.terminal.output import Output, Rows, cell
from broadcaster.terminal.proof import Night, Proof, doubles, is_comment

GIST_LENGTH = 60

Json = Mapping[str, Any]


def summary(night: Night, held: Sequence[Proof], places: Mapping[str, str]) -> dict[str, Any]:
    """Return the night as the one JSON document for programs."""
    return {
        "as_expected": all(proof.holds for proof in held),
        "checks": [{"what": proof.sentence, "ok": proof.holds} for proof in held],
        "doubles": doubles(night),
        "posts": list(night.posts),
        "alerts": night.alerts,
        "look_at": dict(places),
    }


def show(output: Output, night: Night, held: Sequence[Proof], places: Mapping[str, str]) -> None:
    """Say it to people."""
    output.say()
    output.say("The night as the receiving side saw it", "bold cyan")
    output.show(arrived(night))
    for proof in held:
        mark, style = ("✓", "green") if proof.holds else ("✗", "bold red")
        output.say(f"  {mark} {proof.sentence}", style)
    for line in doubles(night):
        output.say(f"      {line}", "red")
    output.say()
    output.say("Look at it", "bold cyan")
    for what, where in places.items():
        output.say(f"  {what:<16} {where}")
    output.say("  Links of real networks above lead to those networks, where these posts are not.")


def arrived(night: Night) -> Rows:
    """Return a row per network: how many posts, with how many cards, in which languages."""
    rows = [_row(name, [post for post in night.posts if post["network"] == name]) for name in SHOWN]
    headings = ("network", "posts", "cards", "edited", "comments", "languages", "newest")
    return Rows(headings, rows, folded=frozenset({"newest"}))


def _row(name: str, posts: Sequence[Json]) -> tuple[Any, ...]:
    own = [post for post in posts if not is_comment(post)]
    languages = " ".join(sorted({post["language"] or "" for post in own} - {""}))
    return (
        cell(name, "bold"),
        cell(len(own)),
        cell(_count(bool(post["media"]) for post in own)),
        cell(_count(post["edited"] for post in own)),
        cell(_count(is_comment(post) for post in posts)),
        cell(languages),
        cell(gist(own[-1]["text"]) if own else ""),
    )


def _count(facts: Iterable[bool]) -> object:
    return sum(facts) or ""


def gist(text: str) -> str:
    """Return the beginning of a post in one line; of a webhook's body what it says."""
    if text.startswith("{"):
        event = json.loads(text)
        text = f"{event['type']}  Nr. {event['data']['reference']}"
    return " ".join(text.split())[:GIST_LENGTH]
