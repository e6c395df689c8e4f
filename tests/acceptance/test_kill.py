"""kill -9 at random under load: nothing accepted is lost, and nothing is posted twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count as numbers
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from broadcaster.sandbox import Sandbox
from broadcaster.sandbox.faults import Kind
from tests.acceptance.daemon import Answer, Daemon, fault, night, no_faults, scenario
from tests.acceptance.receivers import (
    BY_HAND,
    NETWORKS,
    at_rest,
    out_of_order,
    received,
    table,
    violations,
)
from tests.conftest import count

CALLERS = 3
FAULT_SECONDS = {Kind.RATE_LIMIT: 1.0, Kind.HANG: 3.0, Kind.DRIP: 3.0}
ANSWER_SECONDS = 5.0
TRIES_MAX = 1200  # a minute at least: nothing here is away for so long
LATER = frozenset({"in-progress", "store-unavailable"})  # ask again with the same key
REST_SECONDS = 90.0


@dataclass
class Load:
    """Callers that hand in alerts, updates and all-clears, and repeat what was not answered."""

    daemon: Daemon
    sandbox: Sandbox
    chance: random.Random
    accepted: dict[str, Any] = field(default_factory=dict)  # id -> the body of the 202
    refused: list[str] = field(default_factory=list)
    repeats: int = 0
    _numbers: Any = field(default_factory=lambda: numbers(1))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the load up; at its end every caller has its answer."""
        over = asyncio.Event()
        callers = [asyncio.create_task(self._call(over)) for _ in range(CALLERS)]
        trouble = asyncio.create_task(self._make_trouble())
        try:
            yield
            over.set()
            await asyncio.gather(*callers)
        finally:
            for task in (trouble, *callers):
                task.cancel()
            await asyncio.gather(trouble, *callers, return_exceptions=True)

    async def _call(self, over: asyncio.Event) -> None:
        while not over.is_set():
            await self._incident(next(self._numbers))
            await asyncio.sleep(self.chance.uniform(0, 0.5))

    async def _incident(self, number: int) -> None:
        newest = await self._submit(scenario(number))
        for version in range(self.chance.choice((0, 0, 1, 2))):
            await asyncio.sleep(self.chance.uniform(0, 0.3))
            body = scenario(number, msgType="Update", references=[newest["id"]])
            body["info"][0]["description"] = f"Meldung {version + 2}."
            newest = await self._submit(body)
        if self.chance.random() < 0.5:
            await asyncio.sleep(self.chance.uniform(0, 0.3))
            await self._insist(f"/v1/alerts/{newest['id']}/cancel", {})

    async def _submit(self, body: Any) -> Any:
        key = f"caller-{self.chance.getrandbits(64):x}"
        return await self._insist("/v1/alerts", body, **{"Idempotency-Key": key})

    async def _insist(self, path: str, body: Any, **headers: str) -> Any:
        """Ask until there is an answer, always with the same key."""
        for _ in range(TRIES_MAX):
            answer = await self._ask(path, body, headers)
            if answer is not None and answer.status == 202:
                self.accepted[answer.body["id"]] = answer.body
                return answer.body
            if answer is not None and answer.body.get("code") not in LATER:
                self.refused.append(f"{path}: {answer.status} {answer.body}")
                raise AssertionError(self.refused[-1])
            self.repeats += 1
            await asyncio.sleep(0.05)
        raise AssertionError(f"no answer to {path}: {self.daemon.log[-5:]}")

    async def _ask(self, path: str, body: Any, headers: dict[str, str]) -> Answer | None:
        with suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self.daemon.ask("POST", path, body, **headers)
        return None

    async def _make_trouble(self) -> None:
        """Let a network fail now and then."""
        while True:
            await asyncio.sleep(self.chance.uniform(0.1, 0.6))
            network = self.chance.choice([*set(NETWORKS.values()) - BY_HAND, "on-call"])
            kind = self.chance.choice(sorted(self.sandbox.faults._able[network]))
            await fault(self.sandbox, network, kind.value, seconds=FAULT_SECONDS.get(kind))


async def kill_and_restart(daemon: Daemon, chance: random.Random) -> None:
    """Let it run for a moment, kill it, start it again; now and then kill it as it starts."""
    await asyncio.sleep(chance.uniform(0.05, 1.2))
    daemon.kill()
    await daemon.ended()
    while chance.random() < 0.15:
        await daemon.start(wait=False)
        await asyncio.sleep(chance.uniform(0.3, 1.2))
        daemon.kill()
        await daemon.ended()
    await daemon.start()


@pytest.mark.soak
@pytest.mark.limit(240)
async def test_kill_nine_loses_nothing_and_doubles_nothing(tmp_path: Path, seed: int) -> None:
    """0 lost after a 202; 0 doubled where a network can be asked; elsewhere doubles are shown."""
    chance = random.Random(seed)
    kills = count(6, 200)
    async with night(tmp_path, networks=None) as (sandbox, daemon):
        load = Load(daemon, sandbox, chance)
        async with load.running():
            for number in range(1, kills + 1):
                await kill_and_restart(daemon, chance)
                if number % 20 == 0:
                    print(f"{number} kills, {len(load.accepted)} accepted", flush=True)  # noqa: T201
        await no_faults(sandbox)
        wrong, doubles = await judge(load)
    summary = (
        f"{kills} kills, {len(load.accepted)} alerts accepted, {load.repeats} repeats, "
        f"{len(wrong)} violations, {doubles} mails doubled and shown as such"
    )
    print(f"\n{summary}")  # noqa: T201 - the last lines of a soak
    assert not wrong, f"{summary}{table(wrong)}"


async def judge(load: Load) -> tuple[list[str], int]:
    """Hold what the networks have against every 202; return what is wrong, and doubled mails."""
    stored = await _listed(load.daemon)
    wrong = [f"{one}: a 202 that is lost" for one in load.accepted.keys() - stored]
    wrong += [f"{one}: accepted twice" for one in stored - load.accepted.keys()]
    end = asyncio.get_running_loop().time() + REST_SECONDS
    seen = [
        await at_rest(load.sandbox, load.daemon, one, end - asyncio.get_running_loop().time())
        for one in sorted(load.accepted.keys() & stored)
    ]
    there = await received(load.sandbox)
    for alert in seen:
        promised = {row["id"] for row in load.accepted[alert["id"]]["deliveries"]}
        if promised - {row["id"] for row in alert["deliveries"]}:
            wrong.append(f"{alert['reference']}: rows of the 202 are lost")
        wrong += violations(alert, there)
    wrong += out_of_order(there)
    known = {alert["reference"] for alert in seen}
    wrong += [f"{network} {one}: no such alert" for network, one in there.order if one not in known]
    return wrong, sum(number - 1 for (one, _), number in there.counts.items() if one == "mail")


async def _listed(daemon: Daemon) -> set[str]:
    found: set[str] = set()
    before = ""
    while True:
        answer = await daemon.ask("GET", f"/v1/alerts?limit=100{before}")
        assert answer.status == 200, answer.body
        found |= {one["id"] for one in answer.body["alerts"]}
        if answer.body["next"] is None:
            return found
        before = f"&before={answer.body['next']}"
