"""Meta's containers: made in a first step, ready after a while, published once, or never.

IN_PROGRESS -> FINISHED or ERROR -> PUBLISHED; what is not published within 24 hours has EXPIRED.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from broadcaster.clock import Clock
from broadcaster.sandbox.posts import Account

LIVES = timedelta(hours=24)
CONTAINERS_KEPT = 20_000


@dataclass(slots=True)
class Container:
    """What will be a post. `fault` is what its status says is wrong with it."""

    id: str
    account: Account
    text: str
    made: datetime
    ready: datetime
    media: list[dict[str, str]] = field(default_factory=list)
    reply_to: str | None = None
    fault: str | None = None
    published: bool = False

    def status(self, now: datetime) -> str:
        """Return what it says of itself."""
        if self.published:
            return "PUBLISHED"
        if now - self.made >= LIVES:
            return "EXPIRED"
        if now < self.ready:
            return "IN_PROGRESS"
        return "ERROR" if self.fault else "FINISHED"


class Containers:
    """The containers of one network, and the numbers of all that is made there."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._containers: OrderedDict[str, Container] = OrderedDict()
        self._last = 0

    def number(self) -> str:
        """Return a number that nothing had before."""
        self._last = max(self._last + 1, int(self._clock.now().timestamp() * 1000))
        return f"{self._last}0"

    def make(self, author: Account, text: str, seconds: float, **more: Any) -> Container:
        """Make a container that is ready after so many seconds."""
        now = self._clock.now()
        ready = now + timedelta(seconds=seconds)
        made = Container(self.number(), author, text, now, ready, **more)
        self._containers[made.id] = made
        if len(self._containers) > CONTAINERS_KEPT:
            self._containers.popitem(last=False)
        return made

    def get(self, identity: str, author: Account) -> Container | None:
        """Return an account's own container."""
        found = self._containers.get(identity)
        return found if found and found.account == author else None
