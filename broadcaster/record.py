"""What is written down: accepted alerts, plans, notices, keys; and what the store gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from broadcaster.alert import Alert
from broadcaster.delivery import Attempt, Delivery, Message, Readiness, State


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted alert. `incident` is like "26-0142", `version` counts from 1.

    `content_key` finds the same warning written twice; `content_hash` covers all rendered messages.
    `superseded_by` is the alert that replaced it; `ended_at` is set when its incident has an
    all-clear.
    """

    id: str
    incident: str
    version: int
    alert: Alert
    expires: datetime
    accepted: datetime
    released_at: datetime
    released_by: str
    content_key: str
    content_hash: str
    warnings: tuple[str, ...] = ()
    superseded_by: str | None = None
    ended_at: datetime | None = None

    @property
    def reference(self) -> str:
        """The short code in every text, like "26-0142/1"."""
        return f"{self.incident}/{self.version}"


@dataclass(frozen=True, slots=True)
class Card:
    """A card to be drawn: its name (sha256 of what it shows), the JSON of that, and a MIME type."""

    name: str
    spec: str
    kind: str


@dataclass(frozen=True, slots=True)
class Planned:
    """One delivery as intake wants it; the accepting transaction has the last word.

    `only_if_carried`: goes out only if any version of the incident is or may be out on this channel
    when the transaction runs; else it is withheld with `otherwise`.
    `posts_per_day_max`: the cost guard, None where there is none or the alert is exempt.
    `tell`: on-call staff are told if it is withheld: no text fitted, the cost guard held it back,
    or a channel that shows the warning may not show this.
    """

    id: str
    channel: str
    type: str
    part: str
    state: State  # queued, withheld, or waiting for a person
    key: str
    message: Message | None = None
    reason: str | None = None
    only_if_carried: bool = False
    otherwise: str | None = None
    posts_per_day_max: int | None = None
    tell: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything one accepting transaction writes.

    `replaces` is the alert that must still be the newest of its incident, None for a new incident.
    `scope` is the credential, `idempotency_key` its key, `fingerprint` the hash of body, type and
    path; all None for a cancel through its own path, which is repeat-safe by nature. `answer` makes
    the stored answer from the final rows; it must be pure. `late` are the moments at which people
    are told what is still not out. `day_start` is when the cost guard's day began.
    `deliver_until` is how long deliveries are tried (an all-clear: 72 h), None for `expires`.
    `cards` are drawn right after; rows that take one wait for it, `card_wait` at most.
    """

    accepted: Accepted
    deliveries: Sequence[Planned]
    actor: str
    answer: Callable[[Accepted, Sequence[Delivery]], bytes]
    replaces: str | None = None
    scope: str | None = None
    idempotency_key: str | None = None
    fingerprint: str | None = None
    allow_duplicate_of: str | None = None
    duplicate_since: datetime | None = None  # None: exempt (Exercise, Test)
    late: Sequence[datetime] = ()
    day_start: datetime | None = None
    deliver_until: datetime | None = None
    cards: Sequence[Card] = ()
    card_wait: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What a transaction accepted: the alert, its rows as they are, and the stored answer."""

    accepted: Accepted
    deliveries: Sequence[Delivery]
    answer: bytes
    superseded: Sequence[str] = ()  # ids of older deliveries that will not go out
    begun: Sequence[Delivery] = ()  # rows that are `sending` already


class Refused(Exception):  # noqa: N818 - a refusal is an answer, not a malfunction
    """The transaction refused the plan. `code` is the problem's stable code; nothing was stored."""

    def __init__(self, code: str, detail: str, alert: str | None = None) -> None:
        super().__init__(detail)
        self.code = code  # like identifier-exists, possible-duplicate, not-newest, ended
        self.detail = detail
        self.alert = alert  # the alert the caller should look at


class StorageFull(Exception):  # noqa: N818
    """The disk is full: 507, nothing was stored."""


class StoreUnavailable(Exception):  # noqa: N818
    """The database cannot be reached or refused the transaction: 503, nothing is known stored."""


class StoreBroken(Exception):  # noqa: N818
    """Storage failed (I/O, fsync, corruption): the process must end and be started again."""


@dataclass(frozen=True, slots=True)
class Replay:
    """An answer given before under the same key."""

    alert: str
    fingerprint: str
    answer: bytes


@dataclass(frozen=True, slots=True)
class View:
    """An alert with its deliveries and their attempts, as pages and answers show it.

    `newest` is the id of the newest alert of the incident. `told` are the deliveries of which an
    on-call target knows; `since` is when each delivery came into its state.
    """

    accepted: Accepted
    deliveries: Sequence[tuple[Delivery, Sequence[Attempt]]]
    newest: str
    told: frozenset[str] = frozenset()
    since: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """One state change. `id` rises over the whole store and is what Last-Event-ID names."""

    id: int
    alert: str
    delivery: str
    channel: str
    part: str
    at: datetime
    state: State
    before: State | None
    reason: str | None
    url: str | None


class NoticeKind(StrEnum):
    """Why people are told."""

    LATE = "late"
    FAILED = "failed"
    NEEDS_PERSON = "needs-person"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    WITHHELD = "withheld"  # the text did not fit
    GONE = "gone"  # sent, but the public does not see it, or sees something else
    WAITING = "waiting"  # a person must post it by hand
    MARK = "mark"  # an older post stands there unmarked, and only a person can mark it
    NO_CHANNEL = "no-channel"  # carried it, and is no longer configured
    CHANNEL = "channel"  # a channel is not ready
    HELD = "held"  # its account is another one than before: nothing is posted there
    SWITCHED_OFF = "switched-off"  # the other side wants no more of it
    EXPIRES_30 = "expires-30"  # a token, or the version of an API, ends within so many days
    EXPIRES_7 = "expires-7"
    EXPIRES_1 = "expires-1"
    CLOCK = "clock"
    STORAGE = "storage"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something people must know, until they were told or it went away."""

    id: int
    alert: str | None
    delivery: str | None
    channel: str | None
    kind: NoticeKind
    text: str
    created: datetime
    due: datetime
    told: Mapping[str, datetime] = field(default_factory=dict)  # target name -> when it accepted
    closed: datetime | None = None


class Role(StrEnum):
    """What a key may do; each role includes the ones before it."""

    READ = "read"
    TRIGGER = "trigger"
    APPROVE = "approve"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Say whether this role may do what `other` may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class Key:
    """A bearer key, without its secret. Empty `severities`/`channels` mean no limit."""

    id: str  # public part, looked up by
    name: str
    role: Role
    digest: str  # sha256 of the secret, hex
    senders: tuple[str, ...] = ()
    severities: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    created: datetime | None = None
    revoked: datetime | None = None


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """What the store knows of a channel."""

    name: str
    type: str
    readiness: Readiness | None = None
    probed: datetime | None = None
    paused_until: datetime | None = None
    pause_reason: str | None = None
    switched_off: str | None = None  # the reason, once the other side wanted no more
    limits: Mapping[str, int] = field(default_factory=dict)
    bound: Mapping[str, str] | None = None  # the account of the first good probe
    held: str | None = None  # why nothing is posted until a person says so


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the audit trail; `seq` has no gaps."""

    seq: int
    at: datetime
    actor: str
    action: str
    object: str
    details: Mapping[str, Any]
