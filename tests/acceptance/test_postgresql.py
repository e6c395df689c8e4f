"""The same short night on PostgreSQL, also while the database is killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from broadcaster.sandbox import Sandbox
from tests.acceptance.daemon import Daemon, fault, night, no_faults, scenario
from tests.acceptance.receivers import at_rest, out_of_order, received, table, violations
from tests.acceptance.test_kill import Load, judge
from tests.conftest import count
from tests.peers.postgres import PostgresServer

RESTART_TRIES = 20


@asynccontextmanager
async def on_postgresql(directory: Path, url: str) -> AsyncIterator[tuple[Sandbox, Daemon]]:
    """Run a night whose store is PostgreSQL."""
    place = f'url = "sqlite:///{directory.resolve() / "broadcaster.db"}"'
    store = f'url = "{url}"\nstate_directory = "{directory.resolve()}"'
    async with night(directory, edits={place: store}) as both:
        yield both


async def start_again(postgres: PostgresServer) -> None:
    """Start the database; what was left of it may need a moment to end."""
    for _ in range(RESTART_TRIES):
        with contextlib.suppress(RuntimeError):
            postgres.start()  # in this thread: the server ends with the one that started it
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"PostgreSQL does not start: {postgres.log_tail()}")


async def test_a_short_night_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    """Alert, lost answer, update, all-clear, a kill and a replay, as on SQLite."""
    async with on_postgresql(tmp_path, postgres_url) as (sandbox, daemon):
        await fault(sandbox, "x", "lost-answer")
        first = await daemon.trigger(scenario(), "the-caller's-own")
        daemon.kill()
        await daemon.ended()
        await daemon.start()
        again = await daemon.trigger(scenario(), "the-caller's-own")
        body = scenario(msgType="Update", references=[first["id"]])
        second = await daemon.trigger(body)
        await daemon.settled(second["id"])  # what waits for its card would else never go out
        ended = await daemon.ask("POST", f"/v1/alerts/{second['id']}/cancel", {})
        ids = [first["id"], second["id"], ended.body["id"]]
        seen = [await at_rest(sandbox, daemon, one) for one in ids]
        there = await received(sandbox)
    assert again == first
    assert {one["state"] for one in seen[-1]["deliveries"]} == {"sent"}
    assert not [line for one in seen for line in violations(one, there)]
    assert not out_of_order(there)


async def test_a_database_that_is_away_is_said_and_waited_for(
    tmp_path: Path, postgres: PostgresServer, postgres_url: str
) -> None:
    """Meanwhile 503, not ready, and the process goes on; afterwards all is as promised."""
    async with on_postgresql(tmp_path, postgres_url) as (sandbox, daemon):
        await fault(sandbox, "mastodon", "hang", seconds=1.5)
        first = await daemon.trigger(scenario(1))
        postgres.kill()
        try:
            refused = await daemon.ask(
                "POST", "/v1/alerts", scenario(2), **{"Idempotency-Key": "later"}
            )
            await asyncio.sleep(2)
            unseen = await daemon.ask("GET", f"/v1/alerts/{first['id']}")
        finally:
            await start_again(postgres)
        second = await _insist(daemon, scenario(2), "later")
        seen = [await at_rest(sandbox, daemon, one["id"]) for one in (first, second)]
        there = await received(sandbox)
        assert daemon.child is not None
        assert daemon.child.returncode is None
    assert (refused.status, refused.body["code"]) == (503, "store-unavailable")
    assert refused.headers["Retry-After"] == "2"
    assert unseen.status == 503
    assert not [line for one in seen for line in violations(one, there)]
    assert {one["state"] for alert in seen for one in alert["deliveries"]} == {"sent"}


async def _insist(daemon: Daemon, body: Any, key: str) -> Any:
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                answer = await daemon.ask("POST", "/v1/alerts", body, **{"Idempotency-Key": key})
                if answer.status == 202:
                    return answer.body
            await asyncio.sleep(0.2)


@pytest.mark.soak
@pytest.mark.limit(240)
async def test_a_database_killed_under_load_loses_and_doubles_nothing(
    tmp_path: Path, postgres: PostgresServer, postgres_url: str, seed: int
) -> None:
    """A commit whose answer is lost is neither forgotten nor carried out twice."""
    chance = random.Random(seed)
    kills = count(3, 40)
    async with on_postgresql(tmp_path, postgres_url) as (sandbox, daemon):
        load = Load(daemon, sandbox, chance)
        async with load.running():
            for _ in range(kills):
                await asyncio.sleep(chance.uniform(0.2, 2))
                postgres.kill()
                await asyncio.sleep(chance.uniform(0, 1))
                await start_again(postgres)
                await asyncio.sleep(1.5)
        await no_faults(sandbox)
        wrong, doubles = await judge(load)
        assert daemon.child is not None
        assert daemon.child.returncode is None
    summary = (
        f"PostgreSQL: {kills} kills, {len(load.accepted)} alerts accepted, {load.repeats} repeats, "
        f"{len(wrong)} violations, {doubles} mails doubled and shown as such"
    )
    print(f"\n{summary}")  # noqa: T201 - the last lines of a soak
    assert not wrong, f"{summary}{table(wrong)}"
