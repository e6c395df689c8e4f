"""A TCP proxy that can lose one answer, or hold it back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from tests.peers.children import LOOPBACK


@dataclass
class Proxy:
    """Stands before a server at `url`. What `mode` says befalls the next answer to `marked` once.

    lose: the connection is closed in place of the answer. hold: the answer is kept for ever.
    `caught` is set when the server has answered, and so has done what it was asked to.
    """

    port: int  # the server's
    marked: bytes
    url: str = ""
    mode: Literal["pass", "lose", "hold"] = "pass"
    caught: asyncio.Event = field(default_factory=asyncio.Event)
    requests: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        ends = [writer]
        asked = asyncio.Event()
        try:
            with suppress(ConnectionError):  # either side may be gone, or never there
                answers, server = await asyncio.open_connection(LOOPBACK, self.port)
                ends.append(server)
                await asyncio.gather(
                    self._ask(reader, server, asked), self._answer(answers, writer, asked)
                )
        finally:
            for one in ends:
                one.close()

    async def _ask(
        self, reader: asyncio.StreamReader, server: asyncio.StreamWriter, asked: asyncio.Event
    ) -> None:
        while data := await reader.read(65536):
            if self.marked in data:
                self.requests += 1
                asked.set()
            server.write(data)
            await server.drain()
        server.close()

    async def _answer(
        self, server: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: asyncio.Event
    ) -> None:
        while data := await server.read(65536):
            if asked.is_set() and self.mode != "pass":
                mode, self.mode = self.mode, "pass"
                self.caught.set()
                if mode == "lose":
                    break
                await asyncio.Event().wait()
            asked.clear()
            writer.write(data)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def proxy(port: int, marked: bytes) -> AsyncIterator[Proxy]:
    """Run a proxy before the server at this port on loopback."""
    one = Proxy(port, marked)
    tasks: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(one.serve(reader, writer)))

    listening = await asyncio.start_server(begin, LOOPBACK, 0)
    one.url = f"http://{LOOPBACK}:{listening.sockets[0].getsockname()[1]}"
    try:
        yield one
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listening.wait_closed()
