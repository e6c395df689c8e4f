"""What the demo's night must have come to, held against what the receiving side saw.

The daemon's own word counts for little here: posts, cards, edits, comments and requests are counted
where they arrived. Only that a post was looked up again is the daemon's to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from broadcaster.delivery import OUT, Outcome, State, names_reference
from broadcaster.terminal.board import is_correction
from broadcaster.terminal.watch import all_out

Json = Mapping[str, Any]

NETWORK_OF = {"apprise": "mail"}  # where a channel type's posts arrive, if not under its own name
WITH_REPLIES = ("mastodon", "bluesky", "threads")  # an update answers the post before it
ON_THEIR_OWN = ("x", "facebook", "instagram", "linkedin")  # an update is a post of its own
EDITED = ("facebook", "linkedin")  # where the old post itself then says that it is overtaken
COMMENTED = ("instagram",)  # where a comment under the old post says so
LOOKED_UP = ("mastodon", "bluesky", "x", "threads", "facebook", "instagram", "linkedin")
BY_HAND = "youtube"
LINK = "https://www.youtube.com/post/"
SLACK_SECONDS = 0.05  # two clocks read in two processes


@dataclass(frozen=True, slots=True)
class Proof:
    """One thing that should be so, and whether it is."""

    sentence: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Night:
    """The four alerts as they ended, the posts that arrived, and the webhook's requests.

    `pictures`: ids of the media that are pictures and can be shown. `told`: what on-call staff
    were told. `asked_to_wait_seconds`: what the webhook's 429 asked for.
    """

    fire: Json
    odour: Json
    update: Json
    all_clear: Json
    posts: Sequence[Json]
    pictures: frozenset[str]
    told: Sequence[str]
    webhook_calls: Sequence[Json]
    asked_to_wait_seconds: float

    @property
    def alerts(self) -> list[Json]:
        """All four, each incident in the order of its versions."""
        return [self.fire, self.odour, self.update, self.all_clear]


def proofs(night: Night) -> list[Proof]:
    """Return everything that should be so."""
    fire, update, all_clear = night.fire, night.update, night.all_clear
    overtaken = _overtaken(night, fire, update) and _overtaken(night, update, all_clear)
    answered = _answered(night, fire, update) and _answered(night, update, all_clear)
    alone = all(_alone(night, one) for one in (update, all_clear))
    seen = all(_seen(night, name) for name in LOOKED_UP)
    return [
        Proof("The fire alert is out on every channel.", _everywhere(fire)),
        Proof("Every card that was planned arrived as a picture with its alt text.", _cards(night)),
        Proof("X's answer was lost; reading back found its one post.", _x_resolved(night)),
        Proof("The webhook was called again no earlier than it asked.", _waited(night)),
        Proof("YouTube waited for a person, who was told, posted and confirmed.", _by_hand(night)),
        Proof("The smell is withheld on X with the reason, and out otherwise.", _withheld(night)),
        Proof("The update reached all that carried the alert.", _followed(night, update)),
        Proof("The all-clear reached them too.", _followed(night, all_clear)),
        Proof("On Mastodon, Bluesky and Threads they answer the post before.", answered),
        Proof("On X, Facebook, Instagram and LinkedIn they are posts of their own.", alone),
        Proof("There the older post says so: edited, on Instagram in a comment.", overtaken),
        Proof("Posts were looked up again wherever they can be, and are visible.", seen),
        Proof("Every post arrived once: as many as deliveries, none twice.", not doubles(night)),
    ]


def _everywhere(alert: Json) -> bool:
    return all_out(alert) and not _channels(alert, {State.WITHHELD})


def _cards(night: Night) -> bool:
    """Whether as many posts of each alert on each network show a card as were planned with one."""
    wanted = Counter(
        (network(one), alert["reference"])
        for alert in night.alerts
        for one in alert["deliveries"]
        if one["state"] in OUT and (one["message"] or {}).get("media") and not is_correction(one)
    )
    shown = Counter(
        (post["network"], post_of(night, post))
        for post in night.posts
        if any(media["alt"] and media["id"] in night.pictures for media in post["media"])
    )
    return bool(wanted) and wanted == shown


def _x_resolved(night: Night) -> bool:
    on_x = _of(night.fire, "x")
    outcomes = [attempt["outcome"] for one in on_x for attempt in one["attempts"]]
    posts = _posts(night, "x", night.fire)
    out = all(one["state"] in OUT for one in on_x)
    return outcomes.count(Outcome.UNKNOWN) == 1 and out and len(posts) == len(on_x)


def _waited(night: Night) -> bool:
    calls = list(night.webhook_calls)
    refused = [at for at, call in enumerate(calls) if call.get("fault") == "rate-limit"]
    if len(refused) != 1 or refused[0] + 1 >= len(calls):
        return False
    before, after = calls[refused[0]], calls[refused[0] + 1]
    waited = datetime.fromisoformat(after["at"]) - datetime.fromisoformat(before["at"])
    return waited.total_seconds() >= night.asked_to_wait_seconds - SLACK_SECONDS


def _by_hand(night: Night) -> bool:
    """Whether people were told of each alert, and its posts have the links they confirmed."""
    fire = (night.fire, night.update, night.all_clear)
    return all(
        {f"{LINK}{post['id']}" for post in _posts(night, BY_HAND, alert)}
        == {one["url"] for one in _on(alert, BY_HAND)}
        and any(alert["reference"] in text and BY_HAND in text for text in night.told)
        for alert in fire
    )


def _withheld(night: Night) -> bool:
    on_x = _of(night.odour, "x")
    kept = on_x and all(one["state"] == State.WITHHELD and one.get("reason") for one in on_x)
    return bool(kept) and all_out(night.odour) and not _posts(night, "x", night.odour)


def _followed(night: Night, alert: Json) -> bool:
    return all_out(alert) and _channels(alert, OUT) >= _channels(night.fire, OUT)


def _answered(night: Night, old: Json, new: Json) -> bool:
    """Whether the posts of a version hang on those of the version before, where posts can."""
    return all(
        (answered := {post["id"] for post in _posts(night, name, old)})
        and {post["reply_to"] for post in _posts(night, name, new)} == answered
        for name in WITH_REPLIES
    )


def _alone(night: Night, alert: Json) -> bool:
    found = [_posts(night, name, alert) for name in ON_THEIR_OWN]
    return all(found) and not any(post["reply_to"] for posts in found for post in posts)


def _overtaken(night: Night, old: Json, new: Json) -> bool:
    """Whether every post of a version names the one that replaced it: edited, or in a comment."""

    def says_so(post: Json) -> bool:
        return names_reference(post["text"], new["reference"])

    edited = [post for name in EDITED for post in _posts(night, name, old)]
    commented = [post for name in COMMENTED for post in _posts(night, name, old)]
    answered = {post["reply_to"] for post in night.posts if is_comment(post) and says_so(post)}
    return (
        all(_posts(night, name, old) for name in (*EDITED, *COMMENTED))
        and all(post["edited"] and says_so(post) for post in edited)
        and all(post["id"] in answered for post in commented)
    )


def _seen(night: Night, name: str) -> bool:
    return any(one["state"] == State.VISIBLE for alert in night.alerts for one in _on(alert, name))


def doubles(night: Night) -> list[str]:
    """Return what arrived more or less often than it should have, in words."""
    wanted = Counter(
        (network(one), alert["reference"])
        for alert in night.alerts
        for one in alert["deliveries"]
        if one["state"] in OUT and not is_correction(one)
    )
    arrived = Counter(
        (post["network"], post_of(night, post))
        for post in night.posts
        if not post["deleted"] and not is_comment(post)
    )
    return [
        f"{name}: {arrived[name, reference]} posts of {reference}, not {wanted[name, reference]}"
        for name, reference in sorted(wanted.keys() | arrived.keys())
        if wanted[name, reference] != arrived[name, reference]
    ]


def is_comment(post: Json) -> bool:
    """Whether a post is a comment under another one."""
    return bool(post.get("kind") == "comment")


def post_of(night: Night, post: Json) -> str:
    """Return the reference a post stands for: a newer version's post may also name the older.

    What counts is what it said first: an older post may have been edited to name the newer.
    """
    references = [one["reference"] for one in night.alerts]
    named = [one for one in references if names_reference(post["first_text"], one)]
    return str(named[-1]) if named else "none of these alerts"


def network(delivery: Json) -> str:
    """Return the stand-in network a delivery's post arrives at."""
    return NETWORK_OF.get(delivery["type"], str(delivery["type"]))


def _of(alert: Json, channel: str) -> list[Json]:
    return [one for one in alert["deliveries"] if one["channel"] == channel]


def _on(alert: Json, name: str) -> list[Json]:
    return [one for one in alert["deliveries"] if network(one) == name]


def _channels(alert: Json, states: frozenset[State] | set[State]) -> set[str]:
    return {one["channel"] for one in alert["deliveries"] if one["state"] in states}


def _posts(night: Night, name: str, alert: Json) -> list[Json]:
    return [
        post
        for post in night.posts
        if post["network"] == name
        and not is_comment(post)
        and post_of(night, post) == alert["reference"]
    ]
