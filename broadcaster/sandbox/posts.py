"""What the stand-ins took: posts in order, the requests behind them, and who an account is.

Memory is bounded: of every network the newest posts and requests are kept.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from broadcaster.clock import Clock

PREFIX = "sandbox-"  # of every token and password that the stand-ins accept
PICTURES = "/_sandbox/pictures"  # where the sandbox shows what was kept
POSTS_KEPT = 20_000
CALLS_KEPT = 2_000
KEYS_KEPT = 100_000

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class Account:
    """Who posts: `handle` as in @handle, `name` as people read it, `number` as networks count."""

    handle: str
    name: str
    number: int

    @property
    def initials(self) -> str:
        """The one or two letters of the account's picture."""
        return "".join(word[0] for word in self.name.split()[:2]).upper() or "?"


def account(credential: str) -> Account:
    """Say whose a token (or a handle) is: sandbox-stadt-dortmund belongs to Stadt Dortmund."""
    label = credential.removeprefix(PREFIX).partition(".")[0]
    words = [word for word in label.replace("_", "-").split("-") if word] or ["account"]
    number = int.from_bytes(hashlib.sha256(credential.encode()).digest()[:7], "big")
    return Account("_".join(words), " ".join(word.capitalize() for word in words), number)


@dataclass(slots=True)
class Post:
    """One post as the public would see it. `details` holds what only its network or page needs.

    `hidden_until`: until then the account's own list does not show it. `media`: `id` of a picture
    that was kept, and its `alt` text. `edited`: its account changed it. `concealed`: the public
    does not see it, its account does. `first_text`: what it said when it was made. A comment is a
    post with `reply_to` and the detail `kind`.
    """

    network: str
    id: str
    account: Account
    text: str
    created: datetime
    language: str | None = None
    key: str | None = None
    reply_to: str | None = None
    media: list[dict[str, str]] = field(default_factory=list)
    deleted: bool = False
    edited: bool = False
    concealed: bool = False
    first_text: str = ""
    hidden_until: datetime | None = None
    number: int = 0
    details: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as `GET /_sandbox/posts` shows it."""
        return {
            "network": self.network,
            "id": self.id,
            "account": self.account.handle,
            "text": self.text,
            "first_text": self.first_text,
            "language": self.language,
            "created": self.created.isoformat(),
            "key": self.key,
            "reply_to": self.reply_to,
            "media": [one | {"url": f"{PICTURES}/{one['id']}"} for one in self.media],
            "deleted": self.deleted,
            "edited": self.edited,
            "concealed": self.concealed,
        } | {name: self.details[name] for name in SHOWN if name in self.details}


# What some networks tell of a post beside the fields that all have.
SHOWN = ("receiver", "verified", "subject", "to", "cid", "kind", "title", "privacy")


@dataclass(slots=True)
class Call:
    """One request to create a post. `key` stays None where a fault turned it away unread."""

    at: datetime
    fault: str | None = None
    key: str | None = None


@dataclass(slots=True)
class Calls:
    """The requests to create a post that one network received, whatever became of them."""

    creates: int = 0
    repeats: int = 0
    keys: dict[str, None] = field(default_factory=dict)
    newest: deque[Call] = field(default_factory=lambda: deque(maxlen=CALLS_KEPT))

    def to_json(self, network: str) -> dict[str, Any]:
        """Return it as `GET /_sandbox/requests` shows it."""
        return {
            "network": network,
            "creates": self.creates,
            "distinct_keys": len(self.keys),
            "repeats": self.repeats,
            "newest": [
                {"at": call.at.isoformat(), "key": call.key, "fault": call.fault}
                for call in self.newest
            ],
        }


def is_text(value: object) -> bool:
    """Say whether a value is text that can be shown: JSON can also hold halves of characters."""
    return isinstance(value, str) and not any("\ud800" <= one <= "\udfff" for one in value)


class Posts:
    """All posts of all networks, and what a network remembers to recognise a repeat."""

    def __init__(self, networks: Iterable[str], clock: Clock) -> None:
        self.clock = clock
        self._hide_seconds: dict[str, float] = {}
        self._concealing: set[str] = set()
        self._prepared: Counter[str] = Counter()
        self._posts: dict[str, dict[str, Post]] = {name: {} for name in networks}
        self._marks: dict[str, dict[Hashable, Post]] = {name: {} for name in networks}
        self._calls: dict[str, Calls] = {name: Calls() for name in networks}
        self._number = 0

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks there are."""
        return tuple(self._posts)

    def add(self, post: Post, mark: Hashable = None) -> Post:
        """Keep a post; `mark` is what its network recognises a repeat by."""
        self._number += 1
        post.number, post.first_text = self._number, post.text
        post.concealed = post.concealed or post.network in self._concealing
        if seconds := self._hide_seconds.get(post.network):
            post.hidden_until = post.created + timedelta(seconds=seconds)
        _keep(self._posts[post.network], post.id, post, POSTS_KEPT)
        if mark is not None:
            _keep(self._marks[post.network], mark, post, POSTS_KEPT)
        return post

    def get(self, network: str, identity: str) -> Post | None:
        """Return one post that is still there."""
        post = self.any(network, identity)
        return post if post and not post.deleted else None

    def any(self, network: str, identity: str) -> Post | None:
        """Return one post, deleted or not."""
        return self._posts[network].get(identity)

    def public(self, network: str, identity: str) -> Post | None:
        """Return one post if the public sees it."""
        post = self.get(network, identity)
        return post if post and not post.concealed else None

    def marked(self, network: str, mark: Hashable) -> Post | None:
        """Return the post that carries this mark, deleted or not."""
        return self._marks[network].get(mark)

    def of(self, network: str) -> list[Post]:
        """Return a network's posts, oldest first, deleted ones among them."""
        return list(self._posts[network].values())

    def listed(self, network: str, author: Account) -> list[Post]:
        """Return what an account's own list shows: newest first, not deleted, not hidden."""
        now = self.clock.now()
        return [
            post
            for post in reversed(self._posts[network].values())
            if post.account == author
            and not post.deleted
            and (post.hidden_until is None or post.hidden_until <= now)
        ]

    def all(self, networks: Iterable[str]) -> list[Post]:
        """Return the posts of several networks in the order in which they came."""
        posts = (post for name in networks for post in self._posts[name].values())
        return sorted(posts, key=lambda post: post.number)

    def conceal(self, network: str, *, on: bool) -> None:
        """Show new posts to their account alone, or to the public again."""
        (self._concealing.add if on else self._concealing.discard)(network)

    def prepare(self, network: str) -> None:
        """Count a first step: a container or an upload, which nobody sees."""
        self._prepared[network] += 1

    def prepared(self, network: str) -> int:
        """Return how many first steps there were."""
        return self._prepared[network]

    def hide(self, network: str, seconds: float) -> None:
        """Keep new posts off their account's own list for so long; 0 ends it."""
        self._hide_seconds[network] = seconds

    @property
    def hidden(self) -> Mapping[str, float]:
        """Seconds for which new posts are kept off their account's own list, by network."""
        return {name: seconds for name, seconds in self._hide_seconds.items() if seconds}

    def begin(self, network: str, fault: str | None) -> Call:
        """Count a request to create a post."""
        call = Call(self.clock.now(), fault)
        calls = self._calls[network]
        calls.creates += 1
        calls.newest.append(call)
        return call

    def name(self, network: str, call: Call, key: str) -> None:
        """Say by which key a counted request asks for a post."""
        call.key = key
        calls = self._calls[network]
        calls.repeats += key in calls.keys
        _keep(calls.keys, key, None, KEYS_KEPT)

    def calls(self, network: str) -> Calls:
        """Return the requests a network received."""
        return self._calls[network]

    def clear(self, networks: Iterable[str]) -> None:
        """Forget posts, keys and counts."""
        for name in networks:
            self._posts[name].clear()
            self._marks[name].clear()
            self._calls[name] = Calls()


def _keep(mapping: dict[_K, _V], key: _K, value: _V, most: int) -> None:
    mapping[key] = value
    if len(mapping) > most:
        del mapping[next(iter(mapping))]
