"""A real daemon before a real Bluesky server, with a proxy between them that spoils answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.acceptance.daemon import Daemon, one_channel, running, scenario
from tests.acceptance.proxy import Proxy, proxy
from tests.peers.pds import DataServer

PUT = b"com.atproto.repo.putRecord"
CHANNEL = """\
[channels.city-bluesky]
type = "bluesky"
base_url = "{url}"
handle = "{handle}"
app_password_file = "password"
"""


@asynccontextmanager
async def on_bluesky(pds: DataServer, directory: Path) -> AsyncIterator[tuple[Proxy, Daemon]]:
    """Run a daemon that posts to the real server through the proxy."""
    async with proxy(pds.port, PUT) as between:
        channel = CHANNEL.format(url=between.url, handle=pds.handle)
        config = one_channel(directory, channel, {"password": pds.password})
        async with running(config) as daemon:
            yield between, daemon


def fire() -> tuple[str, dict[str, Any]]:
    """Return an alert with a name of its own: all tests post to one account."""
    name = f"Halle {uuid4().hex[:8]}"
    body = scenario()
    body["info"][0]["headline"] = f"Großbrand in {name}: Fenster schließen"
    return name, body


async def records(pds: DataServer, name: str) -> list[dict[str, Any]]:
    """Return the records in the account that speak of this fire."""
    found = await asyncio.to_thread(pds.records)
    return [one for one in found if name in one["value"]["text"]]


def only(alert: Any) -> Any:
    """Return the one delivery of an alert."""
    (one,) = alert["deliveries"]
    return one


async def test_an_alert_is_posted_once_and_taken_down(pds: DataServer, tmp_path: Path) -> None:
    """Posted with a receipt, replayed without a second record, retracted through the API."""
    name, body = fire()
    async with on_bluesky(pds, tmp_path) as (_, daemon):
        accepted = await daemon.trigger(body, "the-caller's-own")
        sent = only(await daemon.settled(accepted["id"]))
        again = await daemon.trigger(body, "the-caller's-own")
        (there,) = await records(pds, name)
        path = f"/v1/alerts/{accepted['id']}/deliveries/{sent['id']}/retract"
        retracted = await daemon.ask("POST", path)
        left = await records(pds, name)
    assert again == accepted
    assert there["uri"] == sent["remote_id"]
    assert there["value"]["text"] == sent["message"]["text"]
    assert (retracted.status, only(retracted.body)["state"]) == (200, "retracted")
    assert left == []


async def test_a_lost_answer_leaves_one_record(pds: DataServer, tmp_path: Path) -> None:
    """The server took it, the answer never came: it is found under its own key, not put again."""
    name, body = fire()
    async with on_bluesky(pds, tmp_path) as (between, daemon):
        between.mode = "lose"
        accepted = await daemon.trigger(body)
        sent = only(await daemon.settled(accepted["id"]))
        found = await records(pds, name)
    assert [one["outcome"] for one in sent["attempts"]] == ["unknown"]
    assert [one["uri"] for one in found] == [sent["remote_id"]]
    assert between.requests == 1


async def test_a_kill_between_post_and_record_leaves_one_record(
    pds: DataServer, tmp_path: Path
) -> None:
    """The server has it, and the process ends before it can write that down: still one record."""
    name, body = fire()
    async with on_bluesky(pds, tmp_path) as (between, daemon):
        between.mode = "hold"
        accepted = await daemon.trigger(body)
        await asyncio.wait_for(between.caught.wait(), 10)
        daemon.kill()
        await daemon.ended()
        before = await records(pds, name)
        await daemon.start()
        sent = only(await daemon.settled(accepted["id"]))
        found = await records(pds, name)
    assert [one["outcome"] for one in sent["attempts"]] == ["interrupted"]
    assert sent["state"] == "sent"
    assert [one["uri"] for one in before] == [one["uri"] for one in found] == [sent["remote_id"]]


async def test_a_kill_before_the_post_still_posts_it_once(pds: DataServer, tmp_path: Path) -> None:
    """The server is away when the process ends: after both are back there is one record."""
    name, body = fire()
    async with on_bluesky(pds, tmp_path) as (_, daemon):
        await asyncio.to_thread(pds.kill)
        try:
            accepted = await daemon.trigger(body)
            daemon.kill()
            await daemon.ended()
        finally:
            await asyncio.to_thread(pds.restart)
        await daemon.start()
        sent = only(await daemon.settled(accepted["id"]))
        found = await records(pds, name)
    assert sent["state"] == "sent"
    assert [one["uri"] for one in found] == [sent["remote_id"]]


async def test_an_update_and_an_all_clear_are_replies(pds: DataServer, tmp_path: Path) -> None:
    """Each version answers the one before, under the warning's own thread."""
    name, body = fire()
    async with on_bluesky(pds, tmp_path) as (_, daemon):
        first = await daemon.settled((await daemon.trigger(body))["id"])
        body |= {"msgType": "Update", "references": [first["id"]]}
        second = await daemon.settled((await daemon.trigger(body))["id"])
        answer = await daemon.ask("POST", f"/v1/alerts/{second['id']}/cancel", {})
        third = await daemon.settled(answer.body["id"])
        found = {one["uri"]: one["value"] for one in await asyncio.to_thread(pds.records)}
    uris = [only(one)["remote_id"] for one in (first, second, third)]
    assert name in found[uris[0]]["text"]
    for uri, parent in zip(uris[1:], uris, strict=False):
        assert found[uri]["reply"]["parent"]["uri"] == parent
        assert found[uri]["reply"]["root"]["uri"] == uris[0]
