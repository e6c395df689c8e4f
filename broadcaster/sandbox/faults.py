"""The twelve faults a stand-in can be told to have, and how each is played over HTTP.

fault               what the client sees                                       was it posted
refuse              refused for good, in the network's words                   no
rate-limit          429 (mail: 451) with the network's headers for `seconds`   no
error-500           500                                                        no
error-500-accepted  500                                                        yes
lost-answer         the connection closes without an answer                    yes
reset               the connection is reset                                    no
no-id               a success that names no post                               yes
garbage             a success whose body is junk                               yes
hang                nothing, for `seconds` (120) at most, then it closes       yes
drip                the answer, one byte every 0.5 s, `seconds` (120) at most  yes
expired-token       the network's answer to a token that is no longer good     no
duplicate           the network's "you have posted this already"               no

Every network can have all of them, but for what it never says:

duplicate                only X, Facebook and LinkedIn refuse equal texts
no-id, expired-token     not webhook, on-call and mail: they name no post, and take no token
error-500, -accepted,    not mail: it knows 4xx and 5xx of its own, and three digits
garbage

A fault set with PUT waits in its network's queue, is played `times` times, and is then gone. It
befalls requests that create a post, or with `"on"` those that `read`, `delete`, `login`, `edit`
what is there, or `prepare` what is published later (a container, an upload). `duplicate` befalls
creating alone, `no-id` also preparing, `error-500-accepted` also both of the new sorts. With
`hidden_seconds` the post it lets through is kept off its account's own list for so long.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, cast

from aiohttp.web import Request, RequestKey, Response, StreamResponse
from pydantic import BaseModel, ConfigDict, Field

from broadcaster.sandbox.answers import Answers
from broadcaster.sandbox.posts import Call, Posts

Handler = Callable[[Request], Awaitable[StreamResponse]]

CALL = RequestKey("call", Call)  # under which a handler finds how its request is counted
HANG_SECONDS = 120.0
DRIP_SECONDS = 0.5
RATE_LIMIT_SECONDS = 5.0
JUNK = b'<html>\x00\xff not what you asked for {"id": '


class Kind(StrEnum):
    """The faults there are."""

    REFUSE = "refuse"
    RATE_LIMIT = "rate-limit"
    ERROR = "error-500"
    ERROR_ACCEPTED = "error-500-accepted"
    LOST_ANSWER = "lost-answer"
    RESET = "reset"
    NO_ID = "no-id"
    GARBAGE = "garbage"
    HANG = "hang"
    DRIP = "drip"
    EXPIRED_TOKEN = "expired-token"  # noqa: S105 - the name of a fault
    DUPLICATE = "duplicate"


class On(StrEnum):
    """Which requests a fault befalls. Only CREATE shows something new to the public."""

    CREATE = "create"
    PREPARE = "prepare"
    EDIT = "edit"
    READ = "read"
    DELETE = "delete"
    LOGIN = "login"


CREATE_ONLY = frozenset({Kind.ERROR_ACCEPTED, Kind.NO_ID, Kind.DUPLICATE})
_ALSO_ON = {
    Kind.ERROR_ACCEPTED: frozenset({On.PREPARE, On.EDIT}),
    Kind.NO_ID: frozenset({On.PREPARE}),
}
MAIL = frozenset({Kind.REFUSE, Kind.RATE_LIMIT, Kind.LOST_ANSWER, Kind.RESET, Kind.HANG, Kind.DRIP})


class Fault(BaseModel):
    """One fault, as `PUT /_sandbox/faults` takes it. `seconds` is for rate-limit, hang, drip."""

    model_config = ConfigDict(extra="forbid")

    network: str
    fault: Kind
    times: int = Field(default=1, ge=1, le=1_000_000)
    on: On = On.CREATE
    seconds: float | None = Field(default=None, ge=0, le=86_400)
    hidden_seconds: float | None = Field(default=None, ge=0, le=86_400)


def possible(answers: Answers) -> frozenset[Kind]:
    """Return the faults that a network which answers like this can have."""
    never = {
        Kind.NO_ID: answers.without_id,
        Kind.EXPIRED_TOKEN: answers.expired_token,
        Kind.DUPLICATE: answers.duplicate,
    }
    return frozenset(kind for kind in Kind if kind not in never or never[kind] is not None)


class Faults:
    """The faults that are set, in a queue per network and sort of request."""

    def __init__(self, able: Mapping[str, frozenset[Kind]]) -> None:
        self._able = able
        self._queues: dict[tuple[str, On], deque[Fault]] = {}

    def put(self, fault: Fault) -> None:
        """Set a fault. Raises ValueError with a sentence where the network cannot have it."""
        able = self._able.get(fault.network)
        if able is None:
            there = ", ".join(self._able)
            raise ValueError(f"There is no network {fault.network!r}; there are {there}.")
        if fault.fault not in able:
            raise ValueError(f"{fault.network} cannot have the fault {fault.fault}.")
        if fault.on is not On.CREATE and (able is MAIL or not _can_befall(fault)):
            raise ValueError(f"{fault.fault} can only befall what creates a post.")
        self._queues.setdefault((fault.network, fault.on), deque()).append(fault)

    def take(self, network: str, on: On) -> Fault | None:
        """Return the fault that befalls this request, if any, and count it down."""
        queue = self._queues.get((network, on))
        if not queue:
            return None
        fault = queue[0]
        fault.times -= 1
        if fault.times == 0:
            queue.popleft()
        return fault

    def clear(self, network: str | None = None) -> None:
        """Drop what is set, of one network or of all."""
        for name, on in list(self._queues):
            if network in {None, name}:
                del self._queues[name, on]

    def to_json(self) -> list[dict[str, Any]]:
        """Return what is set, with the times that are left."""
        return [
            fault.model_dump(mode="json", exclude_none=True)
            for queue in self._queues.values()
            for fault in queue
        ]


def _can_befall(fault: Fault) -> bool:
    return fault.fault not in CREATE_ONLY or fault.on in _ALSO_ON.get(fault.fault, ())


class Stage:
    """Where one network's handlers stand, so that faults can befall them."""

    def __init__(self, network: str, posts: Posts, faults: Faults, answers: Answers) -> None:
        self._network = network
        self._posts = posts
        self._faults = faults
        self._answers = answers

    def on(self, sort: On, handler: Handler) -> Handler:
        """Wrap a handler: count it if it creates a post, and play the fault that befalls it."""
        network, posts, faults = self._network, self._posts, self._faults

        async def staged(request: Request) -> StreamResponse:
            fault = faults.take(network, sort)
            if sort is On.PREPARE:
                posts.prepare(network)
            if sort is On.CREATE:
                request[CALL] = posts.begin(network, fault.fault if fault else None)
            return await (self._play(fault, request, handler) if fault else handler(request))

        return staged

    async def _play(self, fault: Fault, request: Request, handler: Handler) -> StreamResponse:
        await _take_in(request)
        if instead := self._instead(fault):
            return instead
        if fault.fault is Kind.RESET:
            return reset(request.transport)
        with _hidden(self._posts, fault):
            done = await handler(request)
        if not isinstance(done, Response) or done.status >= 300:
            return done
        return await self._after(fault, request, done)

    def _instead(self, fault: Fault) -> Response | None:
        """Return the answer of a fault that keeps the request from being looked at."""
        answers = self._answers
        match fault.fault:
            case Kind.REFUSE:
                return answers.refused()
            case Kind.RATE_LIMIT:
                seconds = RATE_LIMIT_SECONDS if fault.seconds is None else fault.seconds
                return answers.rate_limited(seconds)
            case Kind.ERROR:
                return answers.failed()
            case Kind.EXPIRED_TOKEN:
                return answers.expired_token and answers.expired_token()
            case Kind.DUPLICATE:
                return answers.duplicate and answers.duplicate()
        return None

    async def _after(self, fault: Fault, request: Request, done: Response) -> StreamResponse:
        """Spoil the answer to a request that was carried out."""
        seconds = HANG_SECONDS if fault.seconds is None else fault.seconds
        match fault.fault:
            case Kind.ERROR_ACCEPTED:
                return self._answers.failed()
            case Kind.NO_ID if self._answers.without_id:
                return self._answers.without_id()
            case Kind.GARBAGE:
                return Response(body=JUNK, status=done.status, content_type="application/json")
            case Kind.HANG:
                await asyncio.sleep(seconds)
            case Kind.DRIP:
                await drip(request.transport, wire(done), seconds)
        if request.transport:
            request.transport.close()
        return Response()


async def _take_in(request: Request) -> None:
    """Read the whole body, in the way that lets the handler have it again."""
    if request.content_type == "multipart/form-data":
        await request.post()
    else:
        await request.read()


@contextmanager
def _hidden(posts: Posts, fault: Fault) -> Iterator[None]:
    """Hide what is posted meanwhile, if the fault says so. Handlers wait for nothing inside."""
    if fault.hidden_seconds is None:
        yield
        return
    before = posts.hidden.get(fault.network, 0.0)
    posts.hide(fault.network, fault.hidden_seconds)
    try:
        yield
    finally:
        posts.hide(fault.network, before)


def reset(transport: asyncio.BaseTransport | None) -> Response:
    """Reset a connection: with no time to linger, closing sends RST instead of FIN."""
    if stream := stream_of(transport):
        connection = stream.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.abort()
    return Response()


def stream_of(transport: asyncio.BaseTransport | None) -> asyncio.Transport | None:
    """Return a connection that is still there; uvloop's are no subclass of asyncio's."""
    return None if transport is None else cast("asyncio.Transport", transport)


async def drip(transport: asyncio.BaseTransport | None, data: bytes, seconds: float) -> None:
    """Write an answer byte by byte, until it is out, too slow, or nobody listens any more."""
    stream = stream_of(transport)
    most = int(seconds / DRIP_SECONDS)
    for byte in data[:most]:
        if stream is None or stream.is_closing():
            return
        stream.write(bytes([byte]))
        await asyncio.sleep(DRIP_SECONDS)


def wire(done: Response) -> bytes:
    """Return an answer as it goes over the wire, for a fault that writes it itself."""
    body = bytes(done.body) if isinstance(done.body, bytes | bytearray) else b""
    lines = [f"HTTP/1.1 {done.status} {done.reason or 'OK'}"]
    lines += [f"{name}: {value}" for name, value in done.headers.items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body
