"""What the demo's night must have come to, held against what the receiving side saw.

The daemon's own word counts for little here: posts and requests are counted where they arrived.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from broadcaster.delivery import OUT, Outcome, State, names_reference
from broadcaster.terminal.watch import all_out

Json = Mapping[str, Any]

NETWORK_OF = {"apprise": "mail"}  # where a channel type's posts arrive, if not under its own name
WITH_REPLIES = ("mastodon", "bluesky")  # on X every post stands for itself
SLACK_SECONDS = 0.05  # two clocks read in two processes


@dataclass(frozen=True, slots=True)
class Proof:
    """One thing that should be so, and whether it is."""

    sentence: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Night:
    """The four alerts as they ended, the posts that arrived, and the webhook's requests.

    `asked_to_wait_seconds`: what the webhook's 429 asked for.
    """

    fire: Json
    odour: Json
    update: Json
    all_clear: Json
    posts: Sequence[Json]
    webhook_calls: Sequence[Json]
    asked_to_wait_seconds: float

    @property
    def alerts(self) -> list[Json]:
        """All four, each incident in the order of its versions."""
        return [self.fire, self.odour, self.update, self.all_clear]


def proofs(night: Night) -> list[Proof]:
    """Return everything that should be so."""
    return [
        Proof("The fire alert is out on every channel.", _everywhere(night.fire)),
        Proof("X's answer was lost; reading back found its one post.", _x_resolved(night)),
        Proof("The webhook was called again no earlier than it asked.", _waited(night)),
        Proof("The smell is withheld on X with the reason, and out elsewhere.", _withheld(night)),
        Proof("The update reached all that carried the alert.", _followed(night, night.update)),
        Proof("On Mastodon and Bluesky it answers their first post.", _answered(night)),
        Proof("The all-clear reached them too.", _followed(night, night.all_clear)),
        Proof("Every post arrived once: as many as deliveries, none twice.", not doubles(night)),
    ]


def _everywhere(alert: Json) -> bool:
    return all_out(alert) and not _channels(alert, {State.WITHHELD})


def _x_resolved(night: Night) -> bool:
    on_x = _of(night.fire, "x")
    outcomes = [attempt["outcome"] for one in on_x for attempt in one["attempts"]]
    posts = _posts(night, "x", night.fire)
    out = all(one["state"] in OUT for one in on_x)
    return outcomes.count(Outcome.UNKNOWN) == 1 and out and len(posts) == len(on_x)


def _answered(night: Night) -> bool:
    """Whether the update hangs on a post of the alert, where posts answer posts."""
    first = {post["id"] for post in night.posts}
    newer = [post for name in WITH_REPLIES for post in _posts(night, name, night.update)]
    return bool(newer) and all(post["reply_to"] in first for post in newer)


def _waited(night: Night) -> bool:
    calls = list(night.webhook_calls)
    refused = [at for at, call in enumerate(calls) if call.get("fault") == "rate-limit"]
    if len(refused) != 1 or refused[0] + 1 >= len(calls):
        return False
    before, after = calls[refused[0]], calls[refused[0] + 1]
    waited = datetime.fromisoformat(after["at"]) - datetime.fromisoformat(before["at"])
    return waited.total_seconds() >= night.asked_to_wait_seconds - SLACK_SECONDS


def _withheld(night: Night) -> bool:
    on_x = _of(night.odour, "x")
    kept = on_x and all(one["state"] == State.WITHHELD and one.get("reason") for one in on_x)
    return bool(kept) and all_out(night.odour) and not _posts(night, "x", night.odour)


def _followed(night: Night, alert: Json) -> bool:
    return all_out(alert) and _channels(alert, OUT) >= _channels(night.fire, OUT)


def doubles(night: Night) -> list[str]:
    """Return what arrived more or less often than it should have, in words."""
    wanted = Counter(
        (network(one), alert["reference"])
        for alert in night.alerts
        for one in alert["deliveries"]
        if one["state"] in OUT
    )
    arrived = Counter(
        (post["network"], post_of(night, post)) for post in night.posts if not post["deleted"]
    )
    return [
        f"{name}: {arrived[name, reference]} posts of {reference}, not {wanted[name, reference]}"
        for name, reference in sorted(wanted.keys() | arrived.keys())
        if wanted[name, reference] != arrived[name, reference]
    ]


def post_of(night: Night, post: Json) -> str:
    """Return the reference a post stands for: a newer version's post may also name the older."""
    references = [one["reference"] for one in night.alerts]
    named = [one for one in references if names_reference(post["text"], one)]
    return str(named[-1]) if named else "none of these alerts"


def network(delivery: Json) -> str:
    """Return the stand-in network a delivery's post arrives at."""
    return NETWORK_OF.get(delivery["type"], str(delivery["type"]))


def _of(alert: Json, channel: str) -> list[Json]:
    return [one for one in alert["deliveries"] if one["channel"] == channel]


def _channels(alert: Json, states: frozenset[State] | set[State]) -> set[str]:
    return {one["channel"] for one in alert["deliveries"] if one["state"] in states}


def _posts(night: Night, name: str, alert: Json) -> list[Json]:
    return [
        post
        for post in night.posts
        if post["network"] == name and post_of(night, post) == alert["reference"]
    ]
