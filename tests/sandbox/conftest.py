"""The stand-in networks, started on loopback with a clock that a test moves, and a client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from broadcaster.sandbox import Sandbox
from tests.kit import ManualClock
from tests.sandbox.client import Client


@pytest.fixture
def clock() -> ManualClock:
    """Give a clock that stands still until it is moved."""
    return ManualClock()


@pytest.fixture
async def sandbox(clock: ManualClock) -> AsyncIterator[Sandbox]:
    """Run the stand-ins."""
    running = Sandbox(clock)
    await running.start()
    yield running
    await running.close()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """Give an HTTP client."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


@pytest.fixture
async def client(sandbox: Sandbox, session: aiohttp.ClientSession) -> Client:
    """Give a client of the stand-ins."""
    return Client(sandbox, session)


@pytest.fixture
async def bluesky(client: Client) -> dict[str, Any]:
    """Give a session on the Bluesky stand-in: did, headers."""
    body = {"identifier": "stadt.example.org", "password": "sandbox-app"}
    opened = await client.post("bluesky", "/xrpc/com.atproto.server.createSession", json=body)
    return {
        "did": opened.body["did"],
        "headers": {"Authorization": f"Bearer {opened.body['accessJwt']}"},
        "refresh": {"Authorization": f"Bearer {opened.body['refreshJwt']}"},
    }
