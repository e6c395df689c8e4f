"""The Unix socket: keys, backup, audit and status, for the machine's own people."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.web.door import Door, alert


@pytest.fixture
async def local(door: Door) -> AsyncIterator[aiohttp.ClientSession]:
    """Give a client on the door's Unix socket."""
    connector = aiohttp.UnixConnector(str(door.socket))
    async with aiohttp.ClientSession("http://daemon", connector=connector) as session:
        yield session


async def ask(local: aiohttp.ClientSession, method: str, path: str, body: Any = None) -> Any:
    """Send a request without any key; give status and JSON."""
    async with local.request(method, path, json=body) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_the_socket_belongs_to_its_owner_alone(door: Door) -> None:
    """Mode 0600: the file system keeps others out before any code does."""
    assert stat.S_IMODE(door.socket.stat().st_mode) == 0o600


async def test_a_key_made_here_opens_the_door_at_once(
    door: Door, local: aiohttp.ClientSession
) -> None:
    """Its text is shown once; the list never shows it, nor its hash."""
    wish = {"name": "leitstelle", "role": "trigger", "senders": ["*"]}
    status, made = await ask(local, "POST", "/control/keys", wish)
    assert status == 201
    door.keys["leitstelle"] = made["key"]
    assert (await door.ask("POST", "/v1/alerts", body=alert(), key="leitstelle"))[0] == 202
    _, listed = await ask(local, "GET", "/control/keys")
    shown = {key["name"]: key for key in listed["keys"]}["leitstelle"]
    assert made["key"].split("_")[2] not in str(listed)
    assert "digest" not in shown
    assert (await door.store.audit())[1].actor.startswith("local:")


async def test_a_revoked_key_is_out_at_once(door: Door, local: aiohttp.ClientSession) -> None:
    """By name; a second time there is nothing to revoke."""
    assert (await ask(local, "DELETE", "/control/keys/office"))[0] == 200
    status, problem, _ = await door.ask("GET", "/v1/alerts")
    assert (status, problem["code"]) == (401, "key-refused")
    status, again = await ask(local, "DELETE", "/control/keys/office")
    assert (status, again["code"]) == (404, "unknown-key")


@pytest.mark.parametrize(
    ("wish", "status", "code"),
    [
        ({"name": "a", "role": "trigger"}, 409, "sender-missing"),
        ({"name": "a", "role": "god", "senders": ["*"]}, 422, "invalid"),
        ({"name": "a b", "role": "read"}, 422, "invalid"),
        ({"name": "a", "role": "read", "severities": ["Bad"]}, 422, "invalid"),
        ({"name": "office", "role": "read"}, 409, "key-exists"),
        ({"name": "a", "role": "read", "expires": "never"}, 422, "invalid"),
    ],
)
async def test_a_key_that_makes_no_sense_is_not_made(
    local: aiohttp.ClientSession, wish: dict[str, Any], status: int, code: str
) -> None:
    """The faults are named as everywhere."""
    seen, problem = await ask(local, "POST", "/control/keys", wish)
    assert (seen, problem["code"]) == (status, code)


async def test_the_whole_api_is_there_for_the_local_user(
    door: Door, local: aiohttp.ClientSession
) -> None:
    """As admin, under the user's name, without a key."""
    headers = {"Idempotency-Key": "local"}
    async with local.post("/v1/alerts", json=alert(), headers=headers) as answer:
        shown = await answer.json()
    assert answer.status == 202
    assert shown["released_by"].startswith("local:")
    assert len(door.accepted) == 1


async def test_status_puts_first_what_needs_a_person(
    door: Door, local: aiohttp.ClientSession
) -> None:
    """Reasons and notices before alerts and channels."""
    made = await door.accept()
    door.reasons.append("nobody can be told")
    status, shown = await ask(local, "GET", "/control/status")
    assert status == 200
    assert (shown["ready"], shown["reasons"]) == (False, ["nobody can be told"])
    assert [one["id"] for one in shown["alerts"]] == [made["id"]]
    assert {notice["kind"] for notice in shown["notices"]} == {"late"}
    assert [channel["name"] for channel in shown["channels"]] == list(door.channels)


async def test_the_audit_trail_is_read_in_pages(door: Door, local: aiohttp.ClientSession) -> None:
    """The newest first; `before` goes on."""
    await door.accept()
    _, shown = await ask(local, "GET", "/control/audit")
    first = shown["entries"][0]
    assert first["action"] == "accept"
    _, rest = await ask(local, "GET", f"/control/audit?before={first['seq']}")
    assert rest["entries"] == shown["entries"][1:]
    assert (await ask(local, "GET", "/control/audit?before=x"))[0] == 400


async def test_a_backup_is_written_while_the_door_is_open(
    door: Door, local: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """A consistent copy; a file that is there is never overwritten."""
    await door.accept()
    target = tmp_path / "copy.db"
    assert (await ask(local, "POST", "/control/backup", {"path": str(target)}))[0] == 200
    assert target.stat().st_size > 0
    status, problem = await ask(local, "POST", "/control/backup", {"path": str(target)})
    assert (status, problem["code"]) == (409, "backup-refused")
    nowhere = {"path": str(tmp_path / "no" / "such" / "place.db")}
    status, problem = await ask(local, "POST", "/control/backup", nowhere)
    assert (status, problem["code"]) == (409, "backup-failed")


async def test_other_users_are_not_heard(
    local: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel says who calls; only root and the daemon's own user count."""
    monkeypatch.setattr("broadcaster.web.control._ROOT", -1)
    monkeypatch.setattr("broadcaster.web.control.os.getuid", lambda: os.geteuid() + 1)
    status, problem = await ask(local, "GET", "/control/keys")
    assert (status, problem["code"]) == (403, "not-this-user")


async def test_control_does_not_exist_on_the_open_port(door: Door) -> None:
    """Not even for a good key."""
    for path in ("/control/keys", "/control/status", "/control/audit"):
        status, problem, _ = await door.ask("GET", path, key="approver")
        assert (status, problem["code"]) == (404, "not-found")
