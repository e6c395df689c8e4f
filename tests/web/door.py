"""A whole door on loopback: real store, real templates, channels in memory, and bare sockets."""

from __future__ import annotations

import asyncio
import copy
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from multidict import CIMultiDict

from broadcaster import config
from broadcaster.auth import Keyring, new_key
from broadcaster.channels import Escape, Limits, Measure, card_path
from broadcaster.clock import SystemClock
from broadcaster.config import Carries, Config
from broadcaster.delivery import Delivery, Outcome, Receipt
from broadcaster.drawing import Spec, draw
from broadcaster.intake.alerts import Intake
from broadcaster.intake.plan import Planner
from broadcaster.record import Acceptance, Key, Plan, Role
from broadcaster.render import Renderer
from broadcaster.store import End, Store
from broadcaster.web import Services, make_app
from broadcaster.web.events import Pace
from broadcaster.web.listening import Patience, listening
from broadcaster.web.metrics import make_metrics
from tests.kit import FakeChannel

SENDER = "leitstelle@feuerwehr.example.org"
TEXT_MAX = 500
_numbers = itertools.count(1)


def settings(directory: Path, **server: Any) -> Config:
    """Return a configuration with short limits."""
    given = {"public_url": "https://warnung.example.org", "timezone": "Europe/Berlin"}
    tables = {
        "server": given | {"body_seconds": 0.4} | server,
        "store": {"url": f"sqlite:///{directory}/door.db", "ballast_bytes": 0},
        "texts": {"source": "Feuerwehr Dortmund"},
    }
    return config.parse(tables)


def channels() -> dict[str, FakeChannel]:
    """Return a city account, a channel of the crisis rule, and one that takes data."""
    crisis = Carries.model_validate({"severity": ["Extreme", "Severe"]})
    made = (
        FakeChannel("city", limits=Limits(Measure.GRAPHEMES, TEXT_MAX), escape=Escape.MENTIONS),
        FakeChannel("crisis", carries=crisis, posts_per_day_max=20),
        FakeChannel("fire-brigade", takes_data=True, template="webhook"),
    )
    return {channel.name: channel for channel in made}


_ALERT = {
    "status": "Actual",
    "msgType": "Alert",
    "sender": SENDER,
    "info": [
        {
            "language": "de",
            "category": ["Fire"],
            "event": "Großbrand",
            "urgency": "Immediate",
            "severity": "Severe",
            "certainty": "Observed",
            "headline": "Großbrand in Dortmund-Hörde: Fenster und Türen schließen",
            "description": "In Hörde brennt eine Lagerhalle. Rauch zieht nach Nordosten.",
            "instruction": "Schließen Sie Fenster und Türen. Schalten Sie Lüftungen aus.",
            "area": [{"areaDesc": "Dortmund-Hörde"}],
        }
    ],
}


def alert(**changes: Any) -> dict[str, Any]:
    """Return the scenario's alert as a caller posts it; its content is new each time."""
    body = copy.deepcopy(_ALERT)
    body["note"] = f"Lage {next(_numbers)}"
    body["info"][0]["contact"] = f"Lagezentrum {next(_numbers)}"  # type: ignore[index]
    return body | changes


def info(**changes: Any) -> dict[str, Any]:
    """Return the alert's info block with other fields; None takes one away."""
    block = alert()["info"][0] | changes
    return {name: value for name, value in block.items() if value is not None}


def later(**span: float) -> str:
    """Return a time from now, as CAP writes it."""
    return (datetime.now(UTC) + timedelta(**span)).replace(microsecond=0).isoformat()


@dataclass
class Door:
    """A running door. `reasons` is what readiness says; `accepted` what the dispatcher was told."""

    store: Store
    channels: dict[str, FakeChannel]
    intake: Intake
    keyring: Keyring
    http: aiohttp.ClientSession
    port: int
    socket: Path
    keys: dict[str, str]
    accepted: list[Acceptance] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    woken: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def bearer(self, name: str = "office") -> str:
        """Return an Authorization header's value."""
        return f"Bearer {self.keys[name]}"

    async def ask(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        key: str | None = "office",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any, CIMultiDict[str]]:
        """Send a request with a key; give status, JSON and headers of the answer."""
        sent: dict[str, str] = {"Idempotency-Key": f"key-{next(_numbers)}"}
        if key:
            sent["Authorization"] = self.bearer(key)
        if body is not None:
            sent["Content-Type"] = "application/json"
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        url = self.url + path
        async with self.http.request(
            method, url, data=data, headers=sent | dict(headers or {})
        ) as answer:
            text = await answer.text()
            shown = json.loads(text) if "json" in answer.content_type and text else text
            return answer.status, shown, CIMultiDict(answer.headers)

    async def accept(self, **changes: Any) -> dict[str, Any]:
        """Have an alert accepted, and give the answer."""
        status, shown, _ = await self.ask("POST", "/v1/alerts", body=alert(**changes))
        assert status == 202, shown
        return dict(shown)

    async def send(self, *names: str, outcome: Outcome = Outcome.ACCEPTED) -> list[Delivery]:
        """Do the dispatcher's work: send what is queued on these channels."""
        claims = await self.store.claim(dict.fromkeys(names, 9), timedelta(0))
        for delivery in claims.deliveries:
            receipt = await self.channels[delivery.channel].send(delivery)
            proof: Receipt | None = receipt if outcome is Outcome.ACCEPTED else None
            await self.store.record(delivery, End(outcome, receipt=proof))
        return list(claims.deliveries)

    async def raw(self, data: bytes, *, seconds: float = 5.0, end: bool = False) -> bytes:
        """Send bytes as they are; give all that comes back until the other side closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            if end:
                writer.write_eof()
            async with asyncio.timeout(seconds):
                return await _until_closed(reader)
        finally:
            writer.close()


async def _until_closed(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""


_KEYS = (
    Key("", "office", Role.TRIGGER, "", senders=("*",)),
    Key("", "reader", Role.READ, ""),
    Key("", "approver", Role.APPROVE, "", senders=("*",)),
    Key("", "other", Role.TRIGGER, "", senders=("andere@example.org",)),
    Key("", "minor", Role.TRIGGER, "", senders=("*",), severities=("Minor", "Moderate")),
    Key("", "cityonly", Role.TRIGGER, "", senders=("*",), channels=("city",)),
    Key("", "nowhere", Role.TRIGGER, "", senders=("*",), channels=("elsewhere",)),
)


@asynccontextmanager
async def opened(
    directory: Path, *, patience: Patience | None = None, more_keys: tuple[Key, ...] = ()
) -> AsyncIterator[Door]:
    """Open a door with a key of every kind, and close it again."""
    clock, conf, made = SystemClock(), settings(directory), channels()
    store = await Store.open(conf.store, clock)
    await store.know_channels(dict.fromkeys(made, "fake"))
    keyring = Keyring(store.keys, clock, delay_seconds=0.05)
    texts = {}
    for wish in (*_KEYS, *more_keys):
        key, texts[wish.name] = new_key(wish)
        await store.create_key(key, "test")
    await keyring.reload()
    planner = Planner(made, conf, Renderer(), lambda name: made[name].limits)
    accepted: list[Acceptance] = []
    reasons: list[str] = []
    woken: list[str] = []

    async def take_down(delivery: Delivery) -> None:
        assert delivery.receipt is not None
        await made[delivery.channel].retract(delivery.receipt)

    async def commit(plan: Plan) -> Acceptance:
        acceptance = await store.accept(plan)
        accepted.append(acceptance)
        return acceptance

    intake = Intake(store, planner, clock, commit)

    async def resume(channel: str) -> None:
        woken.append(channel)

    async def release(channel: str, actor: str) -> bool:
        woken.append(channel)
        return await store.rebind(channel, actor)

    async def picture(digest: str, kind: str) -> Path | None:
        path = card_path(directory, digest, kind)
        return path if path.exists() else None

    async def draw_spec(spec: str) -> bytes:
        return await asyncio.to_thread(draw, Spec.from_json(spec))

    services = Services(
        store,
        intake,
        keyring,
        made,
        conf.server,
        clock,
        lambda: reasons,
        make_metrics(store, clock, readiness=lambda: reasons, stuck_threads=dict),
        take_down,
        resume,
        release,
        picture,
        draw_spec,
        Pace(heartbeat_seconds=0.2, write_seconds=0.5, rest_seconds=0.01, streams_max=5),
    )
    short = patience or Patience(idle_seconds=1.0, lingering_seconds=0.3, drain_seconds=0.5)
    path = directory / "door.sock"
    async with (
        listening(
            make_app(services), address=("127.0.0.1", 0), socket_path=path, patience=short
        ) as place,
        aiohttp.ClientSession() as http,
    ):
        yield Door(
            store, made, intake, keyring, http, place.port, path, texts, accepted, reasons, woken
        )
    await store.close()
