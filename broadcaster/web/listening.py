"""Listening: the TCP port and the Unix socket, with limits on who holds a connection and how long.

aiohttp's own defaults let a connection that never finishes its headers stay for an hour, answer
broken HTTP in plain text, and log a traceback for each; so the connection handler is ours.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from broadcaster.web.problems import Problem, of_bad_http


@dataclass(frozen=True, slots=True)
class Patience:
    """How long, in seconds, and how much.

    `idle_seconds`: until the headers are complete, and between two requests of one connection.
    `lingering_seconds`: how long an unread body is still taken in after its answer.
    `proxies`: addresses that stand for many callers, so that only the total binds them.
    `unread_seconds`: how long an answer may stay unread before the kernel ends the connection.
    """

    idle_seconds: float = 10.0
    lingering_seconds: float = 2.0
    unread_seconds: float = 30.0
    drain_seconds: float = 5.0
    connections_per_address: int = 200
    connections: int = 2000
    proxies: tuple[str, ...] = ("127.0.0.1", "::1")


@dataclass(slots=True)
class Crowd:
    """Counts open connections by address."""

    patience: Patience
    by_address: Counter[str] = field(default_factory=Counter)

    def enter(self, address: str) -> bool:
        """Count a connection in; False if there are too many already."""
        self.by_address[address] += 1
        if self.by_address.total() > self.patience.connections:
            return False
        most = self.patience.connections_per_address
        return address in self.patience.proxies or self.by_address[address] <= most

    def leave(self, address: str) -> None:
        """Count it out."""
        self.by_address[address] -= 1
        if self.by_address[address] <= 0:
            del self.by_address[address]


class Connection(RequestHandler):
    """One connection. It inherits because aiohttp offers no other way in."""

    __slots__ = ("_address", "_crowd")

    def __init__(self, server: web.Server, crowd: Crowd, **settings: Any) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **settings)
        self._crowd = crowd
        self._address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self._address = peer[0] if isinstance(peer, tuple) else "local"
        if isinstance(peer, tuple):
            self._limit_unread(transport)
        if not self._crowd.enter(self._address):
            self.force_close()

    def _limit_unread(self, transport: asyncio.BaseTransport) -> None:
        milliseconds = round(self._crowd.patience.unread_seconds * 1000)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._address:
            self._crowd.leave(self._address)
            self._address = ""
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it may repeat what was sent
    ) -> web.StreamResponse:
        """Answer bad HTTP, and errors of our own, with a problem document; log only the latter."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            response = of_bad_http(status, exc).response()
        else:
            self.log_exception("request failed: %s", request.path, exc_info=exc)
            detail = "Something went wrong here; it was logged. Nothing is known to be accepted."
            response = Problem(status, "internal", detail).response()
        response.force_close()
        return response


@dataclass(frozen=True, slots=True)
class Listening:
    """Where it listens: the TCP port it got (0 if none)."""

    port: int


@asynccontextmanager
async def listening(
    app: web.Application,
    *,
    address: tuple[str, int] | None,
    socket_path: Path | None = None,
    patience: Patience = Patience(),
) -> AsyncIterator[Listening]:
    """Serve `app` on a TCP address, a Unix socket (mode 0600), or both, until the block ends."""
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=patience.drain_seconds)
    await runner.setup()
    servers: list[asyncio.Server] = []
    try:
        factory = _factory(runner, patience)
        loop = asyncio.get_running_loop()
        if address:
            servers.append(await loop.create_server(factory, *address, backlog=1024))
        if socket_path:
            bound = bind_private(socket_path)
            servers.append(await loop.create_unix_server(factory, sock=bound))
        yield Listening(servers[0].sockets[0].getsockname()[1] if address else 0)
    finally:
        for server in servers:
            server.close()
        await runner.cleanup()
        if socket_path:
            _forget(socket_path)


def _factory(runner: web.AppRunner, patience: Patience) -> Any:
    server, crowd = runner.server, Crowd(patience)
    if server is None:
        raise RuntimeError("the runner is not set up")
    settings: Mapping[str, Any] = {
        "keepalive_timeout": patience.idle_seconds,
        "lingering_time": patience.lingering_seconds,
        "access_log": None,
        "auto_decompress": False,
    }
    return lambda: Connection(server, crowd, **settings)


def _forget(path: Path) -> None:
    path.unlink(missing_ok=True)


def bind_private(path: Path) -> socket.socket:
    """Return a Unix socket that only the owner may open; a stale one of an ended daemon goes."""
    _forget(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    bound.bind(str(path))
    path.chmod(0o600)
    bound.setblocking(False)
    return bound
