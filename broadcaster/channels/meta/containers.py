"""Meta's two steps, as Threads and Instagram have them: make a container, then publish it.

The container's id is stored in between. After a lost answer its status tells whether it was
published, and the account's own list which post it became. Nothing is published that says of itself
that it is published already.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from broadcaster.channels import http
from broadcaster.channels.meta import graph
from broadcaster.channels.meta.calls import PAGE, Api
from broadcaster.clock import Clock
from broadcaster.delivery import (
    Delivery,
    Failure,
    NotSent,
    Receipt,
    Unknown,
    names_reference,
)

BEFORE_INTENT = timedelta(seconds=120)  # how far before the intent a read-back looks
POLL_SECONDS_FIRST, POLL_SECONDS_MAX, POLL_GROWTH = 0.2, 1.0, 1.5
PREPARE_SHARE, POLL_SHARE, PUBLISH_SHARE = 0.35, 0.55, 0.9  # of an attempt, from its beginning
PHASE_SECONDS_MIN = 0.2
LINK_SECONDS_MAX = 2.0  # what reading the permalink may take: the post is out already
STILL = timedelta(seconds=1)  # until a container that is still processing is looked at again
STUCK = timedelta(minutes=5)  # Meta says to ask no longer than that: then another one is made
ATTEMPTS_KEPT = 1000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Container:
    """What a container says of itself: `status`, and `said` where something is wrong with it."""

    id: str
    status: str
    said: str = ""


@dataclass(frozen=True, slots=True)
class Ways:
    """How one network names what both have. `lists` are those of the account's own posts.

    `publish_failure` gives what an answer to publishing means, None where the container is not
    ready yet. `broken` gives what a container in error means.
    """

    publish: str
    status: str
    said: str
    text: str
    lists: tuple[str, ...]
    publish_failure: Callable[[http.Answer], Failure | None]
    broken: Callable[[Container], Failure]


@dataclass(slots=True)
class Steps:
    """The second step, and what came of it."""

    api: Api
    ways: Ways
    clock: Clock
    limit_seconds: float
    _began: OrderedDict[str, float] = field(default_factory=OrderedDict)

    async def prepared(self, delivery: Delivery, work: Awaitable[T]) -> T:
        """Do the first step within its share of the attempt. Raises NotSent when that is over."""
        self._began[delivery.id] = self.clock.elapsed()
        if len(self._began) > ATTEMPTS_KEPT:
            self._began.popitem(last=False)
        late = NotSent("nothing was published: the first of two steps took too long")
        return await within(self.left(delivery, PREPARE_SHARE), work, late)

    @contextmanager
    def second(self, delivery: Delivery) -> Iterator[None]:
        """Count the second step's time from the beginning of the first, if that was just now."""
        now = self.clock.elapsed()
        began = self._began.get(delivery.id, now)
        self._began[delivery.id] = began if now - began < self.limit_seconds else now
        try:
            yield
        finally:
            self._began.pop(delivery.id, None)

    def left(self, delivery: Delivery, share: float) -> float:
        """Return the seconds until this share of the attempt is over."""
        began = self._began.get(delivery.id, self.clock.elapsed())
        return max(began + share * self.limit_seconds - self.clock.elapsed(), PHASE_SECONDS_MIN)

    async def container(self, identity: str) -> Container:
        """Ask how a container is. Raises NotSent(afresh) where there is none any more."""
        fields = {"fields": f"id,{self.ways.status},{self.ways.said}"}
        answer = await self.api.get(identity, fields)
        if graph.is_gone(answer):
            raise NotSent("the container is not there any more", afresh=True)
        found = http.as_object(answer)
        status, said = found.get(self.ways.status), found.get(self.ways.said)
        if answer.status != 200 or not isinstance(status, str):
            raise self.api.unread(answer)
        return Container(identity, status, said if isinstance(said, str) else "")

    async def settled(self, delivery: Delivery, identity: str, share: float) -> Container:
        """Poll a container until it is no longer processing, or this share of the attempt is over.

        Raises NotSent or NeedsPerson where it could not be asked.
        """
        late = NotSent(f"{self.api.who} did not say in time how its container is", STILL)
        left = self.left(delivery, share)
        return await within(left, self._polled(identity, self.clock.elapsed() + left), late)

    async def _polled(self, identity: str, until: float) -> Container:
        found, wait = await self.container(identity), POLL_SECONDS_FIRST
        while found.status == "IN_PROGRESS" and self.clock.elapsed() + wait < until:
            await self.clock.sleep(wait)
            wait = min(wait * POLL_GROWTH, POLL_SECONDS_MAX)
            found = await self.container(identity)
        return found

    async def published(
        self, delivery: Delivery, found: Container, note: str | None, made: datetime | None = None
    ) -> Receipt:
        """Publish a container that is ready, once. Raises the four failures.

        `made`: since when it has been processing.
        """
        who = self.api.who
        if found.status == "PUBLISHED":  # by an attempt of which nothing else is known
            return await self._adopted(delivery, note)
        if found.status == "EXPIRED":
            raise NotSent(f"{who} says that its container has expired", afresh=True)
        if found.status == "ERROR":
            raise self.ways.broken(found)
        if found.status != "FINISHED":
            # Of one that was perhaps to be published already, another would be a second post.
            stuck = made is not None and self.clock.now() - made > STUCK and not delivery.doubtful
            raise NotSent(f"{who}: its container is still processing", STILL, afresh=stuck)
        media = await self._publish(delivery, found.id)
        return Receipt(media, await self._permalink(delivery, media), note=note)

    async def _adopted(self, delivery: Delivery, note: str | None) -> Receipt:
        """Find the post a container has become."""
        hidden = Unknown(f"{self.api.who} says that it is published, but does not list it")
        left = self.left(delivery, PUBLISH_SHARE)
        try:
            receipt = await within(left, self.listed(delivery, note), hidden)
        except NotSent:
            raise hidden from None
        if receipt is None:
            raise hidden
        return receipt

    async def _publish(self, delivery: Delivery, identity: str) -> str:
        """Ask for publication; once more where the container turns out not to be ready yet."""
        until = self.clock.elapsed() + self.left(delivery, POLL_SHARE)
        wait = POLL_SECONDS_FIRST
        while True:
            answer = await self._publication(delivery, identity)
            media = http.as_object(answer).get("id") if answer.status == 200 else None
            if graph.is_id(media):
                return str(media)
            failure = self.ways.publish_failure(answer)
            if failure is not None:
                raise failure
            if self.clock.elapsed() + wait >= until:
                raise NotSent(f"{self.api.who}: its container is not ready yet", STILL)
            await self.clock.sleep(wait)
            wait = min(wait * POLL_GROWTH, POLL_SECONDS_MAX)

    async def _publication(self, delivery: Delivery, identity: str) -> http.Answer:
        work = self.api.post(self.ways.publish, {"creation_id": identity})
        late = Unknown("the time limit was reached after the request had begun")
        return await within(self.left(delivery, PUBLISH_SHARE), work, late)

    async def _permalink(self, delivery: Delivery, media: str) -> str | None:
        """Read the post's address; it is out already, so that a failure spoils nothing."""
        seconds = min(self.left(delivery, 1.0), LINK_SECONDS_MAX)
        work = self.api.read(media, {"fields": "id,permalink"})
        try:
            return permalink(await within(seconds, work, NotSent("not read in time")))
        except Failure:
            return None

    async def find(self, delivery: Delivery, identity: str, note: str | None) -> Receipt | None:
        """Say what became of a container: its post, or None where it is provably unpublished."""
        try:
            found = await self.container(identity)
        except NotSent as failure:
            if not failure.afresh:
                raise
            found = Container(identity, "GONE")  # which proves nothing
        receipt = await self.listed(delivery, note)
        if receipt is not None:
            return receipt
        if found.status in {"FINISHED", "EXPIRED", "ERROR"}:
            return None
        said = f"{self.api.who} does not list it, and says of its container: {found.status[:40]}"
        raise NotSent(said)

    async def listed(self, delivery: Delivery, note: str | None) -> Receipt | None:
        """Read the account's own posts back to the first intent, and look for this part's text."""
        if delivery.message is None:
            return None
        since = (delivery.first_attempt or delivery.accepted) - BEFORE_INTENT
        wanted = graph.comparable(delivery.message.text)
        for path in self.ways.lists:
            async for post in self._since(path, since):
                text = str(post.get(self.ways.text) or "")
                # The languages of one alert share its reference: the text tells them apart.
                named = names_reference(text, delivery.reference)
                if named and graph.comparable(text) == wanted:
                    return Receipt(post["id"], permalink(post), note=note)
        return None

    async def _since(self, path: str, since: datetime) -> AsyncIterator[dict[str, Any]]:
        """Give the own posts that are no older, newest first."""
        old = 0
        fields = f"id,{self.ways.text},timestamp,permalink"
        async for post in self.api.rows(path, {"fields": fields}):
            created = graph.moment(post.get("timestamp"))
            if created is None or created >= since:  # without a time it may be the one
                old = 0
                yield post
                continue
            old += 1
            if old >= PAGE:  # pinned posts stand before newer ones, but not so many
                return


async def within(seconds: float, work: Awaitable[T], late: Failure) -> T:
    """Do something within a limit. Raises `late` when that is over; its socket is closed then."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise late from None


def permalink(post: Mapping[str, Any]) -> str | None:
    """Return a post's public address, None where it tells none."""
    url = post.get("permalink")
    return url if isinstance(url, str) and url.startswith("https://") and len(url) < 500 else None
