"""What tests of the terminal have: a daemon that answers from a script, and streams to read."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from rich.console import Console

from broadcaster.terminal.client import Client
from broadcaster.terminal.output import Output

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Daemon:
    """A daemon that answers as a test says, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, bytes]] = []
        self.headers: list[dict[str, str]] = []
        self.handlers: dict[tuple[str, str], Handler] = {}
        self.url = ""

    def says(self, method: str, path: str, *answers: Any, status: int = 200) -> None:
        """Answer one after the other, the last one for ever; an Exception drops the connection."""
        left = list(answers)

        async def handler(request: web.Request) -> web.StreamResponse:
            answer = left.pop(0) if len(left) > 1 else left[0]
            if callable(answer):  # a response can be sent only once
                answer = answer()
            if isinstance(answer, Exception):
                assert request.transport is not None
                request.transport.close()
                return web.Response()
            if isinstance(answer, web.Response):
                return answer
            return web.json_response(answer, status=status)

        self.handlers[method, path] = handler

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Keep what is asked, and answer as the test said."""
        body = await request.read()
        self.asked.append((request.method, request.path_qs, body))
        self.headers.append(dict(request.headers))
        handler = self.handlers.get((request.method, request.raw_path.partition("?")[0]))
        if handler is None:
            problem = {"code": "not-found", "detail": "There is nothing here."}
            return web.json_response(problem, status=404)
        return await handler(request)

    def bodies(self, path: str) -> list[bytes]:
        """Give the bodies that came to a path."""
        return [body for _, asked, body in self.asked if asked == path]


@pytest.fixture
async def daemon() -> AsyncIterator[Daemon]:
    """Give a scripted daemon on loopback."""
    scripted = Daemon()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", scripted.answer)
    async with TestServer(application, host="127.0.0.1") as server:
        scripted.url = str(server.make_url("")).rstrip("/")
        yield scripted


@pytest.fixture
async def client(daemon: Daemon) -> AsyncIterator[Client]:
    """Give a client of the scripted daemon."""
    async with aiohttp.ClientSession() as session:
        yield Client(session, daemon.url, daemon.url)


class Screen:
    """Both streams of a command, in memory."""

    def __init__(self, *, json: bool = False, terminal: bool = False) -> None:
        self._out, self._err = io.StringIO(), io.StringIO()
        looks: dict[str, Any] = {"width": 160, "highlight": False, "markup": False}
        self.output = Output(
            Console(file=self._out, force_terminal=terminal, color_system=None, **looks),
            Console(file=self._err, force_terminal=terminal, color_system=None, **looks),
            json,
        )

    @property
    def out(self) -> str:
        """What went to standard output."""
        return self._out.getvalue()

    @property
    def err(self) -> str:
        """What went to standard error."""
        return self._err.getvalue()


@pytest.fixture
def screen() -> Screen:
    """Give streams as a pipe has them: no terminal, no JSON asked for."""
    return Screen()


def delivery(channel: str = "x", state: str = "sent", **more: Any) -> dict[str, Any]:
    """Give a delivery as the API shows it."""
    attempt = {
        "number": 1,
        "started": "2026-11-22T02:49:00.100+00:00",
        "finished": "2026-11-22T02:49:00.500+00:00",
        "outcome": "accepted",
        "error": None,
    }
    return {
        "id": f"d-{channel}",
        "channel": channel,
        "type": "x",
        "part": "de",
        "state": state,
        "reason": None,
        "due": None,
        "message": {"text": "Großbrand", "language": "de", "media": [], "length": 9, "limit": 280},
        "remote_id": "1860",
        "url": "https://x.com/i/web/status/1860" if state == "sent" else None,
        "attempts": [attempt] if state != "withheld" else [],
    } | more


def alert(*deliveries: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Give an alert as the API shows it."""
    return {
        "id": "a1",
        "reference": "26-0142/1",
        "incident": "26-0142",
        "identifier": "leitstelle.1",
        "sender": "leitstelle@feuerwehr.example.org",
        "sent": "2026-11-22T02:49:00+00:00",
        "status": "Actual",
        "msgType": "Alert",
        "expires": "2026-11-22T08:49:00.000+00:00",
        "state": "active",
        "released_at": "2026-11-22T02:49:00.000+00:00",
        "released_by": "key:leitstelle",
        "info": [{"language": "de", "event": "Großbrand", "severity": "Severe"}],
        "warnings": [],
        "deliveries": list(deliveries) or [delivery()],
    } | more
