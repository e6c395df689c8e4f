"""One post and its fate: message, delivery, attempt, receipt, states, outcomes and failures.

The words and the state machine are those of the delivery contract (README, "States"). `sent` is
not `visible`, and a lost answer is `unknown`, never `failed`, until it has been read back.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any


class State(StrEnum):
    """Where a delivery stands."""

    WITHHELD = "withheld"  # this channel does not carry this alert; the reason is in words
    QUEUED = "queued"  # waits for its due time
    SENDING = "sending"  # intent, bytes and key are on disk; bytes may be on the wire
    UNKNOWN = "unknown"  # the network may have accepted it; resolved by reading back
    WAITING = "waiting"  # a person must post it
    SENT = "sent"  # the network took it
    VISIBLE = "visible"  # looked up again: the public sees it
    FAILED = "failed"  # refused for good, or a person must act
    EXPIRED = "expired"  # not sent before the alert expired
    SUPERSEDED = "superseded"  # a newer version was accepted before this one was sent
    RETRACTED = "retracted"  # taken down on purpose


_S = State
TRANSITIONS: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        _S.QUEUED: frozenset({_S.SENDING, _S.SUPERSEDED, _S.EXPIRED, _S.FAILED}),
        _S.SENDING: frozenset(
            {_S.SENT, _S.QUEUED, _S.FAILED, _S.UNKNOWN, _S.SUPERSEDED, _S.EXPIRED}
        ),
        _S.UNKNOWN: frozenset({_S.SENT, _S.QUEUED, _S.SUPERSEDED, _S.EXPIRED, _S.FAILED}),
        _S.WAITING: frozenset({_S.SENT, _S.SUPERSEDED, _S.EXPIRED}),
        _S.SENT: frozenset({_S.VISIBLE, _S.RETRACTED}),
        _S.VISIBLE: frozenset({_S.SENT, _S.RETRACTED}),
        _S.FAILED: frozenset({_S.QUEUED}),
        _S.WITHHELD: frozenset(),
        _S.EXPIRED: frozenset(),
        _S.SUPERSEDED: frozenset(),
        _S.RETRACTED: frozenset(),
    }
)

OPEN = frozenset({State.QUEUED, State.SENDING, State.UNKNOWN})  # the dispatcher still has work
OUT = frozenset({State.SENT, State.VISIBLE})  # the network has it, and said so
CORRECTION = ".correction"  # ends the part of a delivery that marks an older post as overtaken
MAY_BE_OUT = frozenset({State.SENDING, State.UNKNOWN, State.SENT, State.VISIBLE})


class Outcome(StrEnum):
    """What one attempt came to."""

    ACCEPTED = "accepted"
    NOT_SENT = "not-sent"
    UNKNOWN = "unknown"
    INTERRUPTED = "interrupted"  # the process ended while it was under way
    NEEDS_PERSON = "needs-person"
    REJECTED = "rejected"


LEFT_DOUBT = frozenset({Outcome.UNKNOWN, Outcome.INTERRUPTED})  # it may have landed all the same


class Guarantee(StrEnum):
    """What a channel offers against posting twice; decides what follows an unknown attempt."""

    SERVER_KEY = "server-key"  # the network drops a repeat of the same key
    CALLER_ID = "caller-id"  # we choose the record's id: a repeat is the same record
    TWO_STEPS = "two-steps"  # a stored handle tells whether it was published
    READ_BACK = "read-back"  # own posts can be listed and searched for the reference
    NONE = "none"  # neither key nor list: resend or hold, as configured


class Failure(Exception):  # noqa: N818 - the four names below are the contract's words
    """An attempt that ended without a receipt. `reason` is a sentence for on-call staff."""

    outcome: Outcome

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotSent(Failure):
    """Provably nothing was accepted: it may be tried again.

    `retry_after`: how long the network asked us to wait, None if it did not say.
    `rate_limited`: the whole channel must pause, not just this row.
    `afresh`: what was prepared (a container, an upload) is of no use any more: prepare anew.
    """

    outcome = Outcome.NOT_SENT

    def __init__(
        self,
        reason: str,
        retry_after: timedelta | None = None,
        *,
        rate_limited: bool = False,
        afresh: bool = False,
    ) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.rate_limited = rate_limited
        self.afresh = afresh


class Rejected(Failure):
    """Refused for good: the same request would be refused again.

    `duplicate`: the network says it has this text already. After an unknown attempt that is
    evidence that the earlier one landed; on a first attempt it is a plain rejection.
    """

    outcome = Outcome.REJECTED

    def __init__(self, reason: str, *, duplicate: bool = False) -> None:
        super().__init__(reason)
        self.duplicate = duplicate


class NeedsPerson(Failure):
    """A person must act first: token, credit, block, account. Nothing was accepted.

    `switch_off`: the other side wants no more of this channel (410 of a webhook).
    """

    outcome = Outcome.NEEDS_PERSON

    def __init__(self, reason: str, *, switch_off: bool = False) -> None:
        super().__init__(reason)
        self.switch_off = switch_off


class Unknown(Failure):
    """The network may have accepted it. Never resent before it has been resolved."""

    outcome = Outcome.UNKNOWN


class Act(StrEnum):
    """What a delivery does on its network."""

    POST = "post"  # a post of its own; a reply to the version before where the network allows it
    CORRECT = "correct"  # marks the post of the version before as overtaken: an edit, or a comment


@dataclass(frozen=True, slots=True)
class Media:
    """A picture to post with a text: the card of the alert in one language, size and file type.

    `card` names what it shows (sha256, hex) and is fixed when the alert is accepted. `digest`
    (sha256 of the drawn file, hex) and `url` (public, content-addressed) are filled in when the
    row is first claimed, for drawing takes place meanwhile. `alt` is never empty. `required`:
    without the picture there is no post.
    """

    card: str
    alt: str
    kind: str  # MIME type: image/png or image/jpeg
    width: int  # pixels
    height: int
    required: bool = False
    digest: str | None = None
    url: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what an API answer shows of it; `url` is None until it is drawn."""
        return {
            "url": self.url,
            "alt": self.alt,
            "type": self.kind,
            "width": self.width,
            "height": self.height,
        }


@dataclass(frozen=True, slots=True)
class Message:
    """The exact text for one post, fixed when the alert is accepted.

    `subject` is for mail and chat titles, and titles of videos. `data` is the exact JSON body where
    a channel takes data instead of text (webhook). `length` and `limit` are in the network's own
    measure. `link` is where a person posts it by hand. `after` is the part of the same alert that
    this one answers. `missing` says why the picture that was planned does not go with it.
    """

    text: str
    language: str
    subject: str | None = None
    data: str | None = None
    media: tuple[Media, ...] = ()
    length: int | None = None
    limit: int | None = None
    act: Act = Act.POST
    link: str | None = None
    after: str | None = None
    missing: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what an API answer shows of it."""
        shown: dict[str, Any] = {
            "text": self.text,
            "language": self.language,
            "media": [media.to_json() for media in self.media],
        }
        optional = {
            "subject": self.subject,
            "length": self.length,
            "limit": self.limit,
            "link": self.link,
            "missing": self.missing,
            "act": None if self.act is Act.POST else self.act,
        }
        return shown | {name: value for name, value in optional.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Receipt:
    """The network's proof. `details` holds what a reply or a retraction needs (a cid, a root).

    `remote_id` is None only where the network never names a post (mail, webhook). `note` says in a
    sentence what is not as it was planned ("posted without its card: ..."), None if all is.
    """

    remote_id: str | None
    url: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Sight:
    """What looking a post up again has shown.

    `there`: it can be seen; if not, `reason` says why in a few words ("deleted", "hidden by X").
    `text`: what it says there, None where the network does not tell. `altered`: it says something
    else than we posted, beyond what the network rewrites by itself. `counts`: engagement by name
    (likes, replies, shares, views), as the network counts. `url`: its permalink, where known now.
    `public`: seen logged out or app-only; False: with our own login, which proves less.
    """

    there: bool
    text: str | None = None
    altered: bool = False
    reason: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    url: str | None = None
    public: bool = True


@dataclass(frozen=True, slots=True)
class Seen:
    """What the looks at a post have shown so far, as kept with its receipt.

    `after_seconds`: from acceptance by the network to the first look that saw it. `text_hash`:
    sha256 (hex) of the text seen. `looks`: how many there were.
    """

    looked: datetime
    there: bool
    looks: int = 1
    after_seconds: float | None = None
    text_hash: str | None = None
    reason: str | None = None
    public: bool = True
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivery:
    """Alert x channel x part: exactly one post, as the store has it.

    `stamp`: the acceptance time, strictly increasing per channel (Bluesky's record key is made of
    it). `doubtful`: an earlier attempt of this row may have landed. `reply_to`: the post it
    answers, fixed at the first claim. `attempts`: how many have begun. `first_attempt`: when the
    first intent was written; reading back starts there. `handle`: what `prepare` made of it on the
    network (a container, an upload), stored before anything is published; None before that.
    """

    id: str
    alert: str
    incident: str
    version: int
    reference: str
    channel: str
    type: str
    part: str
    state: State
    reason: str | None
    message: Message | None
    key: str
    generation: int
    stamp: datetime
    rank: int
    expires: datetime
    accepted: datetime
    due: datetime | None = None
    reply_to: Receipt | None = None
    receipt: Receipt | None = None
    attempts: int = 0
    first_attempt: datetime | None = None
    doubtful: bool = False
    reads: int = 0
    unknown_since: datetime | None = None
    handle: Mapping[str, Any] | None = None
    seen: Seen | None = None


def noted(receipt: Receipt, delivery: Delivery) -> Receipt:
    """Let a receipt say what its message lacks, where the channel said nothing itself."""
    missing = delivery.message.missing if delivery.message else None
    return receipt if receipt.note or not missing else replace(receipt, note=missing)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a delivery. `finished` and `outcome` are None while it is under way."""

    number: int
    started: datetime
    finished: datetime | None = None
    outcome: Outcome | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Readiness:
    """What a probe found, without posting anything.

    `sentence` says it plainly; `remedy` says what to do when not ready, or before long. `account`
    is who the network says we are, as people read it. `identity` is the same for machines: `id`,
    `handle` and `server`; a channel is bound to the `id` and `server` of its first good probe.
    `days_left`: until the credential, or the version of the API, ends. `limits`: read from the
    network.
    """

    ready: bool
    sentence: str
    remedy: str | None = None
    account: str | None = None
    days_left: float | None = None
    quota_left: int | None = None
    limits: Mapping[str, int] = field(default_factory=dict)
    identity: Mapping[str, str] = field(default_factory=dict)


def delivery_key(alert: str, channel: str, part: str, generation: int = 0) -> str:
    """Return the key of a delivery: sha256 over length-prefixed fields, in hex."""
    digest = hashlib.sha256()
    for value in ("v1", alert, channel, part, str(generation)):
        data = value.encode()
        digest.update(len(data).to_bytes(4, "big") + data)
    return digest.hexdigest()


WAITS_SECONDS = (0.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0)
JITTER = 0.2


def backoff(
    attempts: int,
    waits_seconds: Sequence[float] = WAITS_SECONDS,
    *,
    retry_after: timedelta | None = None,
    spread: float | None = None,
) -> timedelta:
    """Return how long to wait after the given number of attempts.

    The waits are those of the delivery contract, +-20 %, the last one repeated for ever. What the
    network asked for counts instead where it is longer. `spread` in [-1, 1] fixes the jitter.
    """
    index = min(attempts, len(waits_seconds) - 1)
    spread = random.uniform(-1, 1) if spread is None else spread  # noqa: S311 - jitter, no secret
    wait = timedelta(seconds=waits_seconds[index] * (1 + JITTER * spread))
    return max(wait, retry_after) if retry_after and retry_after > timedelta(0) else wait


def names_reference(text: str, reference: str) -> bool:
    """Say whether a post's text carries exactly this reference: no digit or letter beside it."""
    return re.search(rf"(?<![\w-]){re.escape(reference)}(?!\w)", text) is not None
