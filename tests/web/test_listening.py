"""Listening: bounded connections, a private socket, and an end that waits for nobody for ever."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from broadcaster.web.listening import Crowd, Patience, listening
from tests.web.door import opened

SHORT = Patience(idle_seconds=0.3, lingering_seconds=0.1, drain_seconds=0.3)


def app_that_fails() -> web.Application:
    """Return an application with an error of its own."""

    async def fail(_request: web.Request) -> web.Response:
        raise ZeroDivisionError

    app = web.Application()
    app.router.add_get("/", fail)
    return app


async def test_an_error_of_our_own_is_a_problem_document_without_details(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is logged; the caller learns that nothing is known to be accepted."""
    async with (
        listening(app_that_fails(), address=("127.0.0.1", 0), patience=SHORT) as place,
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{place.port}/") as answer,
    ):
        problem = await answer.json(content_type="application/problem+json")
    assert (answer.status, problem["code"]) == (500, "internal")
    assert "ZeroDivision" not in str(problem)
    assert "ZeroDivisionError" in caplog.text


async def test_one_address_holds_only_so_many_connections(tmp_path: Path) -> None:
    """The rest are closed at once, and there is room again when some leave."""
    few = Patience(idle_seconds=5, connections_per_address=3, drain_seconds=0.1, proxies=())
    async with opened(tmp_path, patience=few) as door:
        await door.http.close()
        held = [await asyncio.open_connection("127.0.0.1", door.port) for _ in range(3)]
        assert await door.raw(b"", seconds=1) == b""
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
        raw = await door.raw(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert raw.startswith(b"HTTP/1.1 200")


async def test_an_answer_nobody_reads_is_not_kept_for_ever() -> None:
    """The kernel ends the connection; else its handler would wait for the reader until the end."""
    ended = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(bytes(100_000))
        finally:
            ended.set()

    app = web.Application()
    app.router.add_get("/", endless)
    impatient = Patience(unread_seconds=0.5, drain_seconds=0.1)
    async with listening(app, address=("127.0.0.1", 0), patience=impatient) as place:
        _, writer = await asyncio.open_connection("127.0.0.1", place.port, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        async with asyncio.timeout(20):
            await ended.wait()
        writer.close()


def test_a_crowd_counts_all_addresses_together() -> None:
    """Many addresses with one connection each are bounded as well."""
    crowd = Crowd(Patience(connections=2))
    assert crowd.enter("a")
    assert crowd.enter("b")
    assert not crowd.enter("c")
    crowd.leave("c")
    crowd.leave("a")
    assert crowd.enter("c")
    assert "a" not in crowd.by_address


def test_a_proxy_may_hold_more_connections_than_one_caller() -> None:
    """It stands for many."""
    crowd = Crowd(Patience(connections_per_address=1, proxies=("10.0.0.1",)))
    assert [crowd.enter("10.0.0.1"), crowd.enter("10.0.0.1")] == [True, True]
    assert [crowd.enter("10.0.0.2"), crowd.enter("10.0.0.2")] == [True, False]


async def test_a_stale_socket_of_an_ended_daemon_is_replaced(tmp_path: Path) -> None:
    """A crash leaves a file; the next start must not trip over it."""
    path = tmp_path / "door.sock"
    path.touch()
    app = app_that_fails()
    async with listening(app, address=None, socket_path=path, patience=SHORT) as place:
        assert place.port == 0
        connector = aiohttp.UnixConnector(str(path))
        async with (
            aiohttp.ClientSession(connector=connector) as http,
            http.get("http://daemon/nothing") as answer,
        ):
            assert answer.status == 404
    assert not path.exists()


async def test_an_open_stream_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """Followers are told by the end of their stream, and come back with the last id."""
    async with asyncio.timeout(10):
        async with opened(tmp_path) as door:
            made = await door.accept()
            headers = {"Authorization": door.bearer()}
            url = f"{door.url}/v1/alerts/{made['id']}/events"
            http = aiohttp.ClientSession()
            answer = await http.get(url, headers=headers)
            await answer.content.readline()
        await http.close()
    assert answer.status == 200
