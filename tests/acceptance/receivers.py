"""What the receiving side counts, held against what the daemon says of its deliveries."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from broadcaster.delivery import CORRECTION
from broadcaster.sandbox import Sandbox
from tests.acceptance.daemon import SETTLED, Daemon, posts

NETWORKS = {
    "city-mastodon": "mastodon",
    "city-bluesky": "bluesky",
    "x": "x",
    "city-threads": "threads",
    "city-facebook": "facebook",
    "city-instagram": "instagram",
    "city-linkedin": "linkedin",
    "city-youtube": "youtube",
    "fire-brigade": "webhook",
    "press-mail": "mail",
}
BY_HAND = frozenset({"youtube"})  # a person posts there
TELLS_NOTHING_APART = frozenset({"mail"})  # neither key nor list: a double is possible, and shown
TOLD = frozenset({"unknown", "failed"})  # of what ends so, people must know
LEFT_DOUBT = frozenset({"unknown", "interrupted"})
_REFERENCE = re.compile(r"Nr\. (\d\d-\d+/\d+)")


@dataclass(frozen=True)
class Received:
    """Posts of all networks: (network, reference) in order; and what on-call staff were told.

    `marks`: (network, reference) of what older posts were made to point to, by edit or comment.
    """

    order: list[tuple[str, str]]
    told: list[str]
    marks: frozenset[tuple[str, str]] = frozenset()

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """How often a text was posted."""
        return Counter(self.order)


def tells(told: Iterable[str], reference: str, channel: str) -> bool:
    """Say whether on-call staff were told of a channel's part of an alert."""
    return any(
        f"] {reference} " in message
        and re.search(rf"^{re.escape(channel)}[: ]", message, re.MULTILINE)
        for message in told
    )


def reference_of(post: Mapping[str, Any]) -> str:
    """Return the reference a post carries: its own comes before the one it replaces."""
    if post["network"] == "webhook":
        reference: str = json.loads(post["text"])["data"]["reference"]
        return reference
    found = _REFERENCE.search(post["first_text"])
    assert found, f"a post without a reference: {post['text']!r}"
    return found[1]


def _is_comment(post: Mapping[str, Any]) -> bool:
    return post.get("kind") == "comment"


async def received(sandbox: Sandbox) -> Received:
    """Ask the stand-ins what they have."""
    every = await posts(sandbox)
    order = [(post["network"], reference_of(post)) for post in every if not _is_comment(post)]
    marks = {
        (post["network"], reference)
        for post in every
        if post["edited"] or _is_comment(post)
        for reference in _REFERENCE.findall(post["text"])
    }
    return Received(order, await told(sandbox), frozenset(marks))


async def told(sandbox: Sandbox) -> list[str]:
    """Return the messages that reached on-call staff."""
    return [post["text"] for post in await posts(sandbox, "on-call")]


async def at_rest(sandbox: Sandbox, daemon: Daemon, alert: str, seconds: float = 40.0) -> Any:
    """Wait until an alert is settled, and people are told where they must be; return it as it is.

    It is returned also when that takes too long: the judgement says what is open then.
    """
    end = asyncio.get_running_loop().time() + seconds
    while True:
        found = await daemon.look(alert)
        doubtful = any(one["state"] in TOLD for one in found["deliveries"])
        known = await told(sandbox) if doubtful else []
        if all(_settled(found, one, known) for one in found["deliveries"]):
            return found
        if asyncio.get_running_loop().time() > end:
            return found
        await asyncio.sleep(0.1)


def _settled(alert: Mapping[str, Any], one: Mapping[str, Any], known: Iterable[str]) -> bool:
    if one["state"] == "unknown" and one["due"] is not None:
        return False
    if one["state"] in TOLD:
        return tells(known, alert["reference"], one["channel"])
    return one["state"] in SETTLED


def violations(alert: Mapping[str, Any], there: Received) -> list[str]:
    """Say where the receiving side contradicts the daemon, or a promise; empty: all is well."""
    found = []
    for one in alert["deliveries"]:
        network = NETWORKS[one["channel"]]
        if one["part"].endswith(CORRECTION):
            marked = (network, alert["reference"]) in there.marks
            if one["state"] in {"sent", "visible"} and not marked:
                found.append(f"{network} {alert['reference']}: no older post says so")
            continue
        count = there.counts[network, alert["reference"]]
        if fault := _violation(one, network, count):
            found.append(f"{network} {alert['reference']}: {fault}; attempts {_tries(one)}")
        elif not _settled(alert, one, there.told):
            found.append(f"{network} {alert['reference']}: {one['state']}, and nobody was told")
    return found


def _violation(one: Mapping[str, Any], network: str, count: int) -> str | None:
    doubts = sum(attempt["outcome"] in LEFT_DOUBT for attempt in one["attempts"])
    most = 1 + (doubts if network in TELLS_NOTHING_APART else 0)
    if count > most:
        return f"{count} posts, {doubts} attempts in doubt"
    if one["state"] in {"sent", "visible"} and count == 0:
        return "sent, but it is not there"
    if one["state"] in {"queued", "sending"} or (one["state"] == "unknown" and one["due"]):
        return f"still {one['state']}: {one['reason']}"
    never = one["state"] in {"withheld", "superseded", "expired", "failed"}
    if never and count and not doubts:
        return f"{one['state']}, but it is there"
    return None


def _tries(one: Mapping[str, Any]) -> str:
    return ", ".join(str(attempt["outcome"]) for attempt in one["attempts"]) or "none"


def out_of_order(there: Received) -> list[str]:
    """Name what appeared after a newer version of its incident, on the same network."""
    newest: dict[tuple[str, str], int] = defaultdict(int)
    found = []
    for network, reference in there.order:
        incident, _, number = reference.partition("/")
        version = int(number)
        if version < newest[network, incident]:
            found.append(f"{network}: {reference} after version {newest[network, incident]}")
        newest[network, incident] = max(newest[network, incident], version)
    return found


def table(lines: Iterable[str]) -> str:
    """Return what went wrong, one line each, for the message of a failure."""
    return "\n" + "\n".join(f"  {line}" for line in lines)
