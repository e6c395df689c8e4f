"""Channels: the protocol every network speaks, and how one is built from its configuration.

A channel is one file: its module's name is the configuration's `type`. The module has

    class Settings(config.Table)          what `[channels.NAME]` takes beside the shared keys
    CARRIES: config.Carries               what it carries when the configuration does not say
    def build(setup: Setup, settings: Settings) -> Channel
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pydantic import ValidationError

from broadcaster.clock import Clock
from broadcaster.config import (
    Carries,
    ChannelConfig,
    Config,
    ConfigError,
    Fault,
    Secrets,
    Timing,
    faults_of,
)
from broadcaster.delivery import Delivery, Guarantee, Media, Readiness, Receipt, Sight

ATTEMPTS_AT_ONCE = 4

# A network's address: never in the clear, except on this very machine (tests, sandbox).
SERVER = r"^(https://[^\s/?#@]+|http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?)(/[^\s?#@]*)?$"


class Measure(StrEnum):
    """How a network counts a text."""

    CHARACTERS = "characters"  # Unicode code points
    GRAPHEMES = "graphemes"  # what a reader takes for one character
    MASTODON = "mastodon"  # graphemes, a link counts `link_length`, of @user@domain only @user
    WEIGHTED = "weighted"  # X: 280 weighted characters, a link 23
    THREADS = "threads"  # characters, but an emoji counts its UTF-8 bytes
    SEGMENTS = "segments"  # SMS segments, GSM-7 or UCS-2
    UTF16 = "utf-16"  # UTF-16 code units: an emoji is two or more


@dataclass(frozen=True, slots=True)
class Limits:
    """How much text fits into one post, in the network's own measure.

    `maximum` is in units of `measure` (SMS: segments). `bytes_maximum` is an UTF-8 limit beside it,
    `links_maximum` one on distinct links.
    """

    measure: Measure
    maximum: int
    bytes_maximum: int | None = None
    link_length: int | None = None
    links_maximum: int | None = None


class Escape(StrEnum):
    """What a text needs so that a network shows it as written and pings nobody by accident."""

    NONE = "none"
    MENTIONS = "mentions"  # an @name must not become a mention
    CHAT = "chat"  # also @everyone, markdown and HTML-like markup
    MAIL = "mail"


@dataclass(frozen=True, slots=True)
class Picture:
    """The form in which a network takes the card; pixels, MIME type.

    `required`: the network has no posts without a picture. `alt_maximum`: characters of its text.
    """

    width: int
    height: int
    kind: str = "image/png"
    required: bool = False
    alt_maximum: int = 1000


LANDSCAPE = Picture(1200, 675)  # 16:9, what most timelines show whole
SQUARE = Picture(1080, 1080)
PORTRAIT = Picture(1080, 1350)  # 4:5, the tallest Instagram takes


class Channel(Protocol):
    """One configured account on one network.

    What only some networks can do is said by having the method: see `Prepares`, `Corrects`, `Looks`
    and `Warms` below.
    """

    config: ChannelConfig
    carries: Carries
    guarantee: Guarantee
    limits: Limits
    escape: Escape
    template: str  # the family of templates it takes: "post", "x", "mail", "sms", "chat", "webhook"
    account: str  # what tells two configurations of one account apart; never a secret itself
    attempts_at_once: int
    takes_data: bool  # the message's `data` is sent, not its `text`
    posts_per_day_max: int | None  # cost guard
    resend_on_unknown: bool  # Guarantee.NONE: True resends, False holds
    reads_back: bool  # `find` proves presence and absence; False: there is nothing to read
    picture: Picture | None  # the card it takes; None: text alone
    by_hand: str | None  # a person posts, at this address; None: `send` does
    paid_reads: bool  # reading costs money: probed and looked up rarely

    async def send(self, delivery: Delivery) -> Receipt:
        """Post it once. Raises NotSent, Rejected, NeedsPerson or Unknown, and nothing else.

        Ends only when the socket is closed or the thread has returned.
        """
        ...

    async def find(self, delivery: Delivery) -> Receipt | None:
        """Read back whether it landed; None if the network answered and it is not there.

        Raises the same failures when the network could not be asked (NotSent for a mere hiccup).
        """
        ...

    async def probe(self) -> Readiness:
        """Say whether a post would work now, without posting. Never raises a Failure."""
        ...

    async def retract(self, receipt: Receipt) -> None:
        """Take it down; done if it is gone already. Raises Rejected where the network cannot."""
        ...

    async def close(self) -> None:
        """Give back connections and threads."""
        ...


@runtime_checkable
class Prepares(Protocol):
    """A network that takes two steps: what the first one makes is stored before the second."""

    async def prepare(self, delivery: Delivery) -> Mapping[str, Any]:
        """Make what `send` will publish (a container, an upload), and show nothing to anybody.

        What it returns, JSON, is stored with the row and comes back as `delivery.handle`, also
        after a crash; it is not called while there is one. Raises the four failures; a lost answer
        is harmless here. `send` raises NotSent(afresh=True) when the handle is worn out.
        """
        ...


@runtime_checkable
class Corrects(Protocol):
    """A network on which an older post can be marked as overtaken."""

    async def correct(self, delivery: Delivery) -> Receipt:
        """Edit the post `delivery.reply_to` so that it begins with `delivery.message.text`.

        Where that is refused, comment on it instead, and say so in the receipt's `note`. Safe to
        repeat: what begins so already is left as it is. `find` of a delivery with Act.CORRECT looks
        whether it was done. Raises the four failures.
        """
        ...


@runtime_checkable
class Looks(Protocol):
    """A network on which a post can be looked up again."""

    async def look(self, delivery: Delivery) -> Sight:
        """Look the post `delivery.receipt` up, logged out or app-only where the network allows it.

        Raises the four failures when the network could not be asked.
        """
        ...


@runtime_checkable
class Warms(Protocol):
    """A network to which one connection is kept open."""

    async def warm(self) -> None:
        """Make a free, unauthenticated request, so that the next post pays no handshake.

        Never raises a Failure, and never touches the way of an alert.
        """
        ...


@dataclass(frozen=True, slots=True)
class Setup:
    """What every channel is built from.

    `state_directory` is for sessions and tokens that rotate (mode 0600), and for drawn cards.
    `limits` are those last read from the network and kept in the store, if any.
    """

    config: ChannelConfig
    secrets: Secrets
    timing: Timing
    clock: Clock
    state_directory: Path
    reference_prefix: str = ""
    limits: Mapping[str, int] | None = None

    @property
    def attempt(self) -> timedelta:
        """The limit of one attempt."""
        return timedelta(seconds=self.timing.attempt_seconds)

    def drawn(self, media: Media) -> bytes:
        """Read a drawn card. Raises OSError where there is none."""
        return card_path(self.state_directory, media.digest or "", media.kind).read_bytes()


def card_path(state_directory: Path, digest: str, kind: str) -> Path:
    """Where a drawn card lies: by its content's sha256 and its type."""
    return state_directory / "cards" / f"{digest}.{kind.partition('/')[2]}"


_NOT_CHANNELS = frozenset({"http", "meta", "pictures", "pool", "tokens"})


def types() -> list[str]:
    """The channel types there are: the modules of this room."""
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in names if name not in _NOT_CHANNELS)


def build(
    config: Config,
    secrets: Secrets,
    clock: Clock,
    limits: Mapping[str, Mapping[str, int]] | None = None,
) -> dict[str, Channel]:
    """Build every configured channel, by name. Raises ConfigError with all their faults."""
    channels: dict[str, Channel] = {}
    faults: list[Fault] = []
    for name, one in config.channels.items():
        setup = Setup(
            one,
            secrets,
            config.timing,
            clock,
            config.store.directory,
            config.texts.reference_prefix,
            (limits or {}).get(name),
        )
        try:
            channels[name] = _build_one(setup)
        except ConfigError as error:
            faults += error.faults
    faults += _shared_accounts(channels)
    if faults:
        raise ConfigError(faults)
    return channels


def _build_one(setup: Setup) -> Channel:
    where = f"channels.{setup.config.name}"
    if setup.config.type not in types():
        there = ", ".join(types())
        raise ConfigError([Fault(f"{where}.type", f"there is no such type; there are {there}")])
    module: Any = importlib.import_module(f"{__name__}.{setup.config.type}")
    faults = _secret_faults(where, setup)
    try:
        settings = module.Settings.model_validate(setup.config.settings)
    except ValidationError as error:
        raise ConfigError([*faults_of(error, where), *faults]) from None
    if faults:
        raise ConfigError(faults)
    try:
        channel: Channel = module.build(setup, settings)
    except ValueError as error:  # its sentences are written for people and name no secret
        raise ConfigError([Fault(where, str(error))]) from None
    return channel


def _secret_faults(where: str, setup: Setup) -> list[Fault]:
    faults = []
    for key, value in setup.config.settings.items():
        if key.endswith("_file") and isinstance(value, str):
            try:
                setup.secrets.read(value)
            except ValueError as error:
                faults.append(Fault(f"{where}.{key}", str(error)))
    return faults


def _shared_accounts(channels: Mapping[str, Channel]) -> list[Fault]:
    """Two channels on one account would post everything twice."""
    first: dict[tuple[str, str], str] = {}
    faults = []
    for name, channel in channels.items():
        account = (channel.config.type, channel.account)
        if account in first:
            what = f"is the same account as channels.{first[account]}: it would post twice"
            faults.append(Fault(f"channels.{name}", what))
        first.setdefault(account, name)
    return faults
