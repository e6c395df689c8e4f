"""A server on loopback that answers, or misbehaves, as told; and what a channel is built from."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from PIL import Image

from broadcaster.channels import Setup, card_path
from broadcaster.config import ChannelConfig, Secrets, Timing
from broadcaster.delivery import Delivery, Media, Message, State, delivery_key

NOW = datetime(2026, 11, 22, 1, 47, tzinfo=UTC)
DRIP_SECONDS = 0.02
FLOOD_BYTES, FLOOD_PIECE = 104_857_600, 65_536


class FixedClock:
    """A clock that stands still."""

    def now(self) -> datetime:
        return NOW

    def elapsed(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(f"no channel waits, but this one wants to for {seconds} s")


class Fault(StrEnum):
    """What becomes of a request that was read to its end."""

    CLOSE = "close"  # no answer, the connection ends
    RESET = "reset"  # no answer, the connection is reset
    HANG = "hang"  # no answer, the connection stays
    DRIP_HEAD = "drip-head"  # the head of the answer comes byte by byte, without end
    DRIP_BODY = "drip-body"  # the body does
    GARBAGE = "garbage"  # bytes that are no HTTP
    CUT_BODY = "cut-body"  # 200, and the connection ends inside the body
    FLOOD = "flood"  # 200, and a body of 100 MB
    FLOOD_CHUNKED = "flood-chunked"  # the same, without saying how long it is
    FLOOD_REFUSED = "flood-refused"  # 400, and a body of 100 MB


FLOODS = frozenset({Fault.FLOOD, Fault.FLOOD_CHUNKED, Fault.FLOOD_REFUSED})


@dataclass(frozen=True)
class Reply:
    """One answer."""

    status: int = 200
    body: bytes | Mapping[str, Any] = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def raw(self) -> bytes:
        body = self.body if isinstance(self.body, bytes) else json.dumps(dict(self.body)).encode()
        headers = {"Content-Type": "application/json", **self.headers}
        lines = [f"HTTP/1.1 {self.status} Said", *(f"{k}: {v}" for k, v in headers.items())]
        head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
        return head.encode() + body


@dataclass(frozen=True)
class Request:
    """One request, as it was read."""

    method: str
    path: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes


Answering = Callable[[Request], Reply | Fault]


class Stub:
    """The server; `answer` may be exchanged at any time. `requests` holds what was read whole."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0
        self.requests: list[Request] = []
        self.answer: Answering = lambda _: Reply()
        self.open: set[asyncio.StreamWriter] = set()
        self.flooded = 0  # bytes that clients let the faults of that name write

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def posts(self) -> list[Request]:
        return [request for request in self.requests if request.method == "POST"]

    def say(self, status: int = 200, body: bytes | Mapping[str, Any] = b"", **headers: str) -> None:
        """Answer everything so."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answer = lambda _: Reply(status, body, named)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ")
        pairs = (line.partition(": ") for line in head[1:] if line)
        headers = {name.lower(): value for name, _, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Request(method, path, headers, body)
        self.requests.append(request)
        answer = self.answer(request)
        if isinstance(answer, Fault):
            if answer in FLOODS:
                await self._flood(answer, writer)
            await _misbehave(answer, reader, writer)
            return False
        writer.write(answer.raw())
        await writer.drain()
        return True

    async def _flood(self, fault: Fault, writer: asyncio.StreamWriter) -> None:
        """Write until it is all out, or the client has closed."""
        chunked = fault is Fault.FLOOD_CHUNKED
        status = "400 Bad" if fault is Fault.FLOOD_REFUSED else "200 OK"
        length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {FLOOD_BYTES}"
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{length}\r\n\r\n"
        writer.write(head.encode())
        piece = b"[" * FLOOD_PIECE
        framed = b"%x\r\n%s\r\n" % (FLOOD_PIECE, piece) if chunked else piece
        while self.flooded < FLOOD_BYTES and not writer.is_closing():
            writer.write(framed)
            await writer.drain()
            self.flooded += FLOOD_PIECE


async def _misbehave(
    fault: Fault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    if fault is Fault.RESET:
        writer.transport.abort()
    elif fault is Fault.HANG:
        await reader.read()
    elif fault is Fault.GARBAGE:
        writer.write(b"\x00\x01garbage\r\n\r\n")
    elif fault is Fault.CUT_BODY:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
    elif fault in {Fault.DRIP_HEAD, Fault.DRIP_BODY}:
        end = b"\r\nX-Drip: " if fault is Fault.DRIP_HEAD else b"\r\nContent-Length: 99999\r\n\r\n"
        writer.write(b"HTTP/1.1 200 OK" + end)
        while not writer.is_closing():
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(DRIP_SECONDS)


@asynccontextmanager
async def serving() -> AsyncIterator[Stub]:
    """Run a stub on a free port."""
    stub = Stub()
    server = await asyncio.start_server(stub.serve, "127.0.0.1", 0)
    stub.port = server.sockets[0].getsockname()[1]
    try:
        yield stub
    finally:
        server.close()
        for writer in list(stub.open):
            writer.transport.abort()
        while stub.open:
            await asyncio.sleep(0)


def setup_for(place: Path, channel_type: str, *, timing: Timing | None = None) -> Setup:
    """Give what a channel is built from; secrets lie in `place`."""
    config = ChannelConfig(name=f"city-{channel_type}", type=channel_type)
    return Setup(config, Secrets(place), timing or Timing(), FixedClock(), place)


def keep_secret(place: Path, name: str, value: str) -> str:
    """Write a secret file, readable by its owner alone, and give its name."""
    path = place / name
    path.write_text(value, "utf-8")
    path.chmod(0o600)
    return name


TEXT = (
    "Großbrand in Dortmund-Hörde: Fenster und Türen schließen. Stadt Beispiel, 02:47, Nr. 26-0142/1"
)


def delivery(**changes: Any) -> Delivery:
    """Give a delivery of the example alert, in its first attempt."""
    text = changes.pop("text", TEXT)
    message = Message(text, "de", subject="Großbrand in Hörde", data='{"type":"alert.issued"}')
    one = Delivery(
        id="d1",
        alert="a1",
        incident="26-0142",
        version=1,
        reference="26-0142/1",
        channel="city",
        type="x",
        part="de",
        state=State.SENDING,
        reason=None,
        message=message,
        key=delivery_key("a1", "city", "de"),
        generation=0,
        stamp=NOW,
        rank=0,
        expires=NOW + timedelta(hours=6),
        accepted=NOW,
        attempts=1,
        first_attempt=NOW,
    )
    return replace(one, **changes)


def _picture() -> bytes:
    """Give a PNG in the size of a card: some servers look into what they are given."""
    file = io.BytesIO()
    Image.new("RGB", (1200, 675), "#b00020").save(file, "PNG")
    return file.getvalue()


CARD = _picture()


def carded(place: Path, *, text: str = TEXT, language: str = "de", **changes: Any) -> Delivery:
    """Give a delivery whose card was drawn, and lies where a channel built in `place` looks."""
    digest = hashlib.sha256(CARD).hexdigest()
    file = card_path(place, digest, "image/png")
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(CARD)
    alt = "Warnung der Stufe Extrem: Großbrand in Dortmund-Hörde"
    card = Media("c1", alt, "image/png", 1200, 675, False, digest, f"https://s.example/{digest}")
    return delivery(**{"message": Message(text, language, media=(card,)), **changes})
