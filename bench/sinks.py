"""The receivers, in a process and a loop of their own: they note when an alert has reached all.

They read just enough HTTP to know where a request ends, so that they cost little beside what is
measured. `python -m bench.sinks COUNT` prints its ports as JSON. Each line it then reads is
`{"expect": receivers per alert, "latency": seconds before an answer}`; each line it prints is an
alert's number and the moment it was complete, by the machine's monotonic clock in nanoseconds, or
`repeated` for a post that one sink got twice.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ALERT = re.compile(rb'"identifier":"bench\.(\d+)"')
_NOTHING = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"  # to a HEAD, that keeps warm
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"


@dataclass(slots=True)
class Board:
    """Which sinks every alert has reached."""

    expect: int = 1
    latency: float = 0.0
    reached: dict[int, set[int]] = field(default_factory=dict)

    def arrived(self, sink: int, body: bytes) -> None:
        """Note an arrival; tell once the alert has reached as many sinks as expected."""
        found = _ALERT.search(body)
        if found is None:
            return
        number = int(found[1])
        sinks = self.reached.setdefault(number, set())
        if sink in sinks:
            say(f"{number} repeated")
            return
        sinks.add(sink)
        if len(sinks) == self.expect:
            say(f"{number} {time.monotonic_ns()}")


class Sink(asyncio.Protocol):
    """One connection to one sink."""

    def __init__(self, board: Board, sink: int) -> None:
        self._board = board
        self._sink = sink
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := _end_of_request(self._buffer)) is not None:
            request, self._buffer = self._buffer[:end], self._buffer[end:]
            if request.startswith(b"HEAD"):
                self._answer(_NOTHING)
                continue
            self._board.arrived(self._sink, request)
            self._answer_later()

    def _answer_later(self) -> None:
        if self._board.latency:
            asyncio.get_running_loop().call_later(self._board.latency, self._answer)
        else:
            self._answer()

    def _answer(self, answer: bytes = _ANSWER) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(answer)


def _end_of_request(buffer: bytes) -> int | None:
    """Return where the first request ends, None while it is not all there."""
    head = buffer.find(b"\r\n\r\n")
    if head < 0:
        return None
    length = _LENGTH.search(buffer, 0, head)
    end = head + 4 + (int(length[1]) if length else 0)
    return end if len(buffer) >= end else None


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main(count: int) -> None:
    """Listen on `count` free ports and obey standard input until it ends."""
    board, loop = Board(), asyncio.get_running_loop()
    servers = [
        await loop.create_server(partial(Sink, board, sink), "127.0.0.1", 0, backlog=1024)
        for sink in range(count)
    ]
    say(json.dumps([server.sockets[0].getsockname()[1] for server in servers]))
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    async for line in orders:
        order = json.loads(line)
        board.expect, board.latency = order["expect"], order["latency"]
        say("set")


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
