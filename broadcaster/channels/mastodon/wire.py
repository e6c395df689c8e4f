"""Requests of a blocking library in a thread: what they saw, and how to end them from outside.

A library's exceptions look alike before and after a post was written, and its timeouts hold for one
read: an answer that drips in byte by byte would keep a thread for hours. So the connection notes
when it stands, the answer is kept, and whoever has the wire can shut the socket.

Connections are kept: a request on a kept one counts as connected from its start, for nobody can say
how much of it was written when the other side closes at that very moment.
"""

from __future__ import annotations

import io
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError

from broadcaster.channels.http import Answer

ANSWER_BYTES_MAX = 4_000_000


@dataclass(slots=True, eq=False)
class Wire:
    """What one call has seen of the network.

    `connected`: the latest request had a connection, so that it may have been written. While it is
    False, provably nothing was. `answer`: what came back to it, None where no status came.
    """

    connected: bool = False
    answer: Answer | None = None
    _connection: HTTPConnection | None = None
    _over: threading.Event = field(default_factory=threading.Event)

    @property
    def body(self) -> bytes:
        """The body that came back; empty where none did."""
        return self.answer.body if self.answer else b""

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make this the wire of every request that the calling thread makes meanwhile."""
        token = _WIRE.set(self)
        try:
            yield
        finally:
            _WIRE.reset(token)
            self._connection = None  # it is kept for the next call, which this one must not cut

    def cut(self) -> None:
        """End the call now, from any thread: its socket is shut and no other is opened."""
        self._over.set()
        connection = self._connection
        line = connection.sock if connection else None
        if isinstance(line, socket.socket):
            with suppress(OSError):  # it is closed already
                socket.socket.shutdown(line, socket.SHUT_RDWR)  # without the good-bye of TLS

    def wait(self, seconds: float) -> bool:
        """Let the calling thread wait; False, and at once, if the call is over."""
        return not self._over.wait(seconds)

    def connect(self, connection: HTTPConnection, connect: Callable[[], None]) -> None:
        """Open a connection, TLS included, and note that it stands."""
        self.connected, self.answer, self._connection = False, None, connection
        if not self._over.is_set():
            connect()
        self._check(connection)
        self.connected = True

    def reuse(self, connection: HTTPConnection) -> None:
        """Take a connection that was kept: from now on anything may have been written to it."""
        self.connected, self.answer, self._connection = False, None, connection
        self._check(connection)
        self.connected = True

    def _check(self, connection: HTTPConnection) -> None:
        if self._over.is_set():
            connection.close()
            raise ConnectTimeoutError(connection, "the call is over")


_WIRE: ContextVar[Wire] = ContextVar("wire")


class _Plain(HTTPConnection):
    def connect(self) -> None:
        _WIRE.get().connect(self, super().connect)

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:
            _WIRE.get().reuse(self)
        super().request(*args, **kwargs)


class _Secure(HTTPSConnection):
    def connect(self) -> None:
        _WIRE.get().connect(self, super().connect)

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:  # or it was opened for this very request, which is as good
            _WIRE.get().reuse(self)
        super().request(*args, **kwargs)


class _Adapter(HTTPAdapter):
    """Keeps the answer on the wire, and reads no more of one than an honest answer has."""

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> HTTPConnectionPool:
        pool = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = _Secure if pool.scheme == "https" else _Plain
        return pool

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        response = super().send(*args, **(kwargs | {"stream": True}))
        wire = _WIRE.get()
        answer = Answer(response.status_code, response.headers, b"", whole=False)
        wire.answer = answer
        try:
            body = response.raw.read(ANSWER_BYTES_MAX + 1, decode_content=True)
        finally:
            response.raw.close()
        if len(body) > ANSWER_BYTES_MAX:
            raise requests.RequestException("the answer is longer than any answer should be")
        wire.answer = replace(answer, body=body, whole=True)
        response.raw = io.BytesIO(body)
        return response


def session() -> requests.Session:
    """Make a session that repeats nothing, follows no redirect and keeps its connection.

    A connection that the other side has closed meanwhile is noticed before it is used, and another
    one opened. Every request needs a `Wire` that is held.
    """
    made = requests.Session()
    made.max_redirects = 0
    made.headers["Accept-Encoding"] = "identity"
    for scheme in ("https://", "http://"):
        made.mount(scheme, _Adapter())
    return made


# In this order: urllib3 counts a refused connection among those that took too long.
_UNREACHED: Sequence[tuple[type[BaseException], str]] = (
    (NameResolutionError, "the name of the server could not be resolved"),
    (ssl.SSLCertVerificationError, "the server's certificate was not accepted"),
    (ssl.SSLError, "no secure connection could be made"),
    (ConnectionRefusedError, "the connection was refused"),
    (TimeoutError, "no connection within the limit"),
    (ConnectTimeoutError, "no connection within the limit"),
)


def unreached(error: BaseException) -> str:
    """Say why there was no connection, without the error's own text: that may hold a secret."""
    causes = list(_causes(error))
    for kind, sentence in _UNREACHED:
        if any(isinstance(cause, kind) for cause in causes):
            return sentence
    return "no connection could be made"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Go down to the first cause; not every library says what its error is raised from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
