"""Sessions of the Bluesky stand-in: what makes a token good, and for how long."""

from __future__ import annotations

from typing import Any

import pytest
from atproto_client import AsyncClient
from atproto_client.exceptions import BadRequestError

from broadcaster.clock import SystemClock
from broadcaster.sandbox import Sandbox
from broadcaster.sandbox import bluesky_session as room
from broadcaster.sandbox.bluesky_session import Sessions, did_of
from tests.kit import ManualClock
from tests.sandbox.client import Client

SERVER = "/xrpc/com.atproto.server."


async def test_tokens_expire_and_refresh_tokens_are_used_up(
    client: Client, clock: ManualClock, bluesky: dict[str, Any]
) -> None:
    """An access token lives two hours; a refresh token is good once."""
    clock.move(7200)
    expired = await client.get("bluesky", f"{SERVER}getSession", headers=bluesky["headers"])
    assert (expired.status, expired.body["error"]) == (400, "ExpiredToken")
    refresh = await client.post("bluesky", f"{SERVER}refreshSession", headers=bluesky["refresh"])
    assert refresh.status == 200
    headers = {"Authorization": f"Bearer {refresh.body['accessJwt']}"}
    assert (await client.get("bluesky", f"{SERVER}getSession", headers=headers)).status == 200
    again = await client.post("bluesky", f"{SERVER}refreshSession", headers=bluesky["refresh"])
    assert (again.status, again.body["error"]) == (400, "ExpiredToken")


@pytest.mark.parametrize(
    ("headers", "status", "error"),
    [
        ({}, 401, "AuthMissing"),
        ({"Authorization": "Bearer sandbox-token"}, 400, "InvalidToken"),
        ({"Authorization": "Bearer a.b.c"}, 400, "InvalidToken"),
    ],
)
async def test_only_tokens_made_here_are_good(
    client: Client, headers: dict[str, str], status: int, error: str
) -> None:
    """A session token is one that this stand-in signed."""
    answer = await client.get("bluesky", f"{SERVER}getSession", headers=headers)
    assert (answer.status, answer.body["error"]) == (status, error)


async def test_a_refresh_token_is_no_access_token(client: Client, bluesky: dict[str, Any]) -> None:
    """Each token has its own scope."""
    answer = await client.get("bluesky", f"{SERVER}getSession", headers=bluesky["refresh"])
    assert answer.body["message"] == "Bad token scope"


async def test_the_sdk_keeps_and_refreshes_its_session() -> None:
    """A session string is good without a request, and a refresh uses the old token up."""
    sandbox = Sandbox()
    await sandbox.start()
    client = AsyncClient(sandbox.networks["bluesky"])
    await client.login("stadt.example.org", "sandbox-app", fetch_bsky_profile=False)
    kept = client.export_session_string()
    await client._refresh_and_set_session()
    assert client.export_session_string() != kept
    old = AsyncClient(sandbox.networks["bluesky"])
    await old.login(session_string=kept, fetch_bsky_profile=False)
    assert (await old.com.atproto.server.get_session()).active
    with pytest.raises(BadRequestError, match="revoked"):
        await old._refresh_and_set_session()
    await client.request.close()
    await old.request.close()
    await sandbox.close()


def test_a_did_belongs_to_its_handle() -> None:
    """The same handle has the same DID, in the form of did:plc."""
    did = did_of("stadt.example.org")
    assert did == did_of("stadt.example.org") != did_of("land.example.org")
    assert did.startswith("did:plc:")
    assert len(did) == len("did:plc:") + 24


def test_only_so_many_refresh_tokens_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded: the oldest session must log in again."""
    monkeypatch.setattr(room, "REFRESH_KEPT", 3)
    sessions = Sessions(SystemClock())
    for _ in range(10):
        sessions.open("stadt.example.org", "sandbox-app")
    assert len(sessions._good) == 3
