"""What many tests need: an alert, a plan, a channel that does as it is told, and short times."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from broadcaster.alert import Alert
from broadcaster.channels import Escape, Limits, Measure, Picture
from broadcaster.clock import SystemClock
from broadcaster.config import Carries, ChannelConfig, Timing
from broadcaster.delivery import (
    Delivery,
    Guarantee,
    Message,
    Readiness,
    Receipt,
    State,
    delivery_key,
)
from broadcaster.record import Accepted, Plan, Planned

NOW = datetime(2026, 11, 22, 1, 49, tzinfo=UTC)

SHORT = Timing(
    attempt_seconds=0.3,
    connect_seconds=0.2,
    waits_seconds=(0, 0.02, 0.05, 0.1),
    server_key_read_seconds=0.03,
    caller_id_read_seconds=0.02,
    two_steps_read_seconds=0.02,
    read_back_seconds=(0.03, 0.06, 0.12),
    order_hold_seconds=0.4,
    unknown_told_seconds=0.5,
    next_target_seconds=0.5,
    pause_seconds=0.1,
    drain_seconds=1.0,
)


@dataclass
class ManualClock:
    """A clock that stands still until it is moved; wall and elapsed time can be moved apart."""

    wall: datetime = NOW
    seconds: float = 1000.0

    def now(self) -> datetime:
        """Return the wall time."""
        return self.wall

    def elapsed(self) -> float:
        """Return elapsed seconds."""
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        """Move on at once."""
        self.move(seconds)
        await asyncio.sleep(0)

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.wall += timedelta(seconds=seconds)
        self.seconds += seconds


def alert(**changes: Any) -> Alert:
    """Return the scenario's alert, with other fields where wanted."""
    body: dict[str, Any] = {
        "identifier": uuid4().hex,
        "sender": "leitstelle@feuerwehr.example.org",
        "sent": "2026-11-22T02:49:00+01:00",
        "status": "Actual",
        "msgType": "Alert",
        "info": [
            {
                "language": "de",
                "category": ["Fire"],
                "event": "Großbrand",
                "urgency": "Immediate",
                "severity": "Severe",
                "certainty": "Observed",
                "headline": "Großbrand in Dortmund-Hörde",
                "instruction": "Schließen Sie Fenster und Türen.",
                "area": [{"areaDesc": "Dortmund-Hörde"}],
            }
        ],
    }
    return Alert.model_validate_json(json.dumps(body | changes))


def plan(
    channels: Sequence[str] = ("one",),
    *,
    now: datetime | None = None,
    after: Accepted | None = None,
    said: Alert | None = None,
    **changes: Any,
) -> Plan:
    """Return a plan for one alert: a new incident, or the next version after another alert."""
    now = now or datetime.now(UTC)
    said = said or alert(**({"msgType": "Update", "references": [after.id]} if after else {}))
    alert_id = changes.pop("id", uuid4().hex)
    accepted = Accepted(
        id=alert_id,
        incident=after.incident if after else changes.pop("incident", f"26-{uuid4().int % 10**8}"),
        version=after.version + 1 if after else 1,
        alert=said,
        expires=changes.pop("expires", now + timedelta(hours=6)),
        accepted=now,
        released_at=now,
        released_by="key:test",
        content_key=changes.pop("content_key", uuid4().hex),
        content_hash="hash",
    )
    planned = [
        Planned(
            id=f"{alert_id}-{name}",
            channel=name,
            type="fake",
            part="de",
            state=State.QUEUED,
            key=delivery_key(alert_id, name, "de"),
            message=Message(f"text Nr. {accepted.reference}", "de"),
        )
        for name in channels
    ]
    values: dict[str, Any] = {
        "accepted": accepted,
        "deliveries": planned,
        "actor": "key:test",
        "answer": lambda a, _: json.dumps({"id": a.id}).encode(),
        "replaces": after.id if after else None,
    }
    return Plan(**(values | changes))


Step = Callable[["FakeChannel", Delivery], Awaitable[Receipt]]


@dataclass
class FakeChannel:
    """A network in memory. `script` says what each send does, in order; after that all succeed."""

    name: str = "one"
    guarantee: Guarantee = Guarantee.SERVER_KEY
    script: list[Step] = field(default_factory=list)
    posts: list[Delivery] = field(default_factory=list)
    sends: list[Delivery] = field(default_factory=list)
    hidden: bool = False
    find_failures: list[Exception] = field(default_factory=list)
    resend_on_unknown: bool = False
    reads_back: bool = True
    attempts_at_once: int = 4
    posts_per_day_max: int | None = None
    takes_data: bool = False
    picture: Picture | None = None
    by_hand: str | None = None
    paid_reads: bool = False
    template: str = "post"
    escape: Escape = Escape.NONE
    limits: Limits = field(default_factory=lambda: Limits(Measure.GRAPHEMES, 500))
    carries: Carries = field(default_factory=Carries)
    account: str = ""

    def __post_init__(self) -> None:
        """Name the account after the channel."""
        self.config = ChannelConfig(name=self.name, type="fake")
        self.account = self.account or self.name

    def publish(self, delivery: Delivery) -> Receipt:
        """Make it public; a network that honours keys or ids does so only once."""
        keyed = self.guarantee in {Guarantee.SERVER_KEY, Guarantee.CALLER_ID}
        known = [post for post in self.posts if post.key == delivery.key] if keyed else []
        if not known:
            self.posts.append(delivery)
        return Receipt(f"post-{delivery.id}", f"https://fake.example/{delivery.id}")

    async def send(self, delivery: Delivery) -> Receipt:
        """Do what the script says next."""
        self.sends.append(delivery)
        if self.script:
            return await self.script.pop(0)(self, delivery)
        return self.publish(delivery)

    async def find(self, delivery: Delivery) -> Receipt | None:
        """Look through the public posts."""
        if self.find_failures:
            raise self.find_failures.pop(0)
        if self.hidden or delivery.id not in {post.id for post in self.posts}:
            return None
        return Receipt(f"post-{delivery.id}", f"https://fake.example/{delivery.id}")

    async def probe(self) -> Readiness:
        """All is well."""
        return Readiness(True, "ready", account=self.account)

    async def retract(self, receipt: Receipt) -> None:
        """Take it down."""
        self.posts = [post for post in self.posts if f"post-{post.id}" != receipt.remote_id]

    async def close(self) -> None:
        """Nothing to give back."""


def raising(failure: Exception) -> Step:
    """A step that posts nothing and fails."""

    async def step(_: FakeChannel, __: Delivery) -> Receipt:
        raise failure

    return step


def posting_then(failure: Exception) -> Step:
    """A step that posts and then fails: a lost answer."""

    async def step(channel: FakeChannel, delivery: Delivery) -> Receipt:
        channel.publish(delivery)
        raise failure

    return step


async def eventually(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 5.0) -> None:
    """Wait until a condition holds; fail the test if it does not in time."""
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            if isinstance(found, Awaitable):
                found = await found
            if found:
                return
            await asyncio.sleep(0.005)


def system_clock() -> SystemClock:
    """Return the machine's clock."""
    return SystemClock()


def states(deliveries: Sequence[tuple[Delivery, Any]]) -> Mapping[str, str]:
    """Return channel -> state of a view's deliveries."""
    return {delivery.channel: delivery.state.value for delivery, _ in deliveries}
