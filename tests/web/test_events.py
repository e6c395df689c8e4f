"""Server-sent events: complete, resumable, ended when asked, and never a burden."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from tests.web.door import Door


def events(text: str) -> list[dict[str, Any]]:
    """Return the events of a stream's text; each id is also in its data."""
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" in lines:
            found.append(json.loads(lines["data"]))
            assert lines["event"] == "delivery"
            assert lines["id"] == str(found[-1]["id"])
    return found


async def lines(answer: aiohttp.ClientResponse) -> AsyncIterator[str]:
    """Give the lines of a stream as they come."""
    async for line in answer.content:
        yield line.decode().rstrip("\n")


async def test_a_stream_tells_every_change_and_ends_when_all_is_settled(door: Door) -> None:
    """From the first row to the last receipt."""
    made = await door.accept()

    async def work() -> None:
        for name in door.channels:
            await door.send(name)

    path = f"/v1/alerts/{made['id']}/events?until=settled"
    (status, text, headers), _ = await asyncio.gather(door.ask("GET", path, key="reader"), work())
    assert status == 200
    assert headers["Content-Type"].startswith("text/event-stream")
    told = [(one["channel"], one["state"]) for one in events(text)]
    for name in door.channels:
        assert [state for channel, state in told if channel == name] == [
            "queued",
            "sending",
            "sent",
        ]


async def test_a_stream_resumes_where_it_was_cut(door: Door) -> None:
    """Nothing twice, nothing missing."""
    made = await door.accept()
    for name in door.channels:
        await door.send(name)
    path = f"/v1/alerts/{made['id']}/events?until=settled"
    _, text, _ = await door.ask("GET", path)
    whole = events(text)
    cut = {"Last-Event-ID": str(whole[3]["id"])}
    _, text, _ = await door.ask("GET", path, headers=cut)
    assert events(text) == whole[4:]


async def test_a_quiet_stream_shows_that_it_lives(door: Door) -> None:
    """A comment now and then, so that no proxy closes it."""
    made = await door.accept()
    headers = {"Authorization": door.bearer("reader")}
    url = f"{door.url}/v1/alerts/{made['id']}/events"
    async with door.http.get(url, headers=headers) as answer:
        async for line in lines(answer):
            if line.startswith(":"):
                break
    assert answer.status == 200


async def test_a_stream_follows_only_its_own_alert(door: Door) -> None:
    """What happens to others is not told here."""
    one, two = await door.accept(), await door.accept()
    await door.send("city", "crisis", "fire-brigade")
    _, text, _ = await door.ask("GET", f"/v1/alerts/{one['id']}/events?until=settled")
    assert {event["alert"] for event in events(text)} == {one["id"]}
    assert two["id"] not in text


async def test_a_reader_who_leaves_is_forgotten(door: Door) -> None:
    """Its place is free again, and the store wakes nobody for it."""
    made = await door.accept()
    headers = {"Authorization": door.bearer("reader")}
    url = f"{door.url}/v1/alerts/{made['id']}/events"
    async with door.http.get(url, headers=headers) as answer:
        await answer.content.readline()
        assert door.store._followers
    async with asyncio.timeout(5):
        while door.store._followers:
            await asyncio.sleep(0.02)


async def test_a_reader_who_takes_nothing_is_dropped(door: Door) -> None:
    """Its buffers fill, the write runs into its limit, the connection is closed."""
    made = await door.accept()
    original = door.store.events

    async def many(alert: str, _after: int, limit: int = 500) -> Any:
        return (await original(alert, 0, limit)) * 200

    door.store.events = many  # type: ignore[assignment, method-assign]
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port, limit=1024)
    head = f"GET /v1/alerts/{made['id']}/events HTTP/1.1\r\nHost: a\r\n"
    writer.write(f"{head}Authorization: {door.bearer()}\r\n\r\n".encode())
    async with asyncio.timeout(10):
        await reader.readline()
        while not door.store._followers:
            await asyncio.sleep(0.02)
        while door.store._followers:
            await asyncio.sleep(0.05)
    writer.close()


async def test_streams_have_a_bound(door: Door) -> None:
    """One more than there may be is told to ask for the alert instead."""
    made = await door.accept()
    headers = {"Authorization": door.bearer("reader")}
    url = f"{door.url}/v1/alerts/{made['id']}/events"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        held = [await http.get(url, headers=headers) for _ in range(5)]
        problem = await http.get(url, headers=headers)
        shown = await problem.json(content_type=None)
        assert (problem.status, shown["code"]) == (503, "streams-full")
        for answer in held:
            answer.close()
