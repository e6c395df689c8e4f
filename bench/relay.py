"""The baseline: a bare relay on aiohttp's server and client that stores nothing and checks nothing.

`python -m bench.relay PORT...` prints the port it listens on; what is posted there, it posts to the
sinks on the given ports. It runs on the same event loop as the daemon, and with the same number of
connections per receiver.
"""

from __future__ import annotations

import asyncio
import sys

import aiohttp
import uvloop
from aiohttp import web

from broadcaster.channels.http import CONNECTIONS_PER_HOST, KEPT_ALIVE_SECONDS


class Relay:
    """Hands every body on to all sinks."""

    def __init__(self, session: aiohttp.ClientSession, ports: list[int]) -> None:
        self._session = session
        self._urls = [f"http://127.0.0.1:{port}/" for port in ports]
        self._tasks: set[asyncio.Task[None]] = set()

    async def accept(self, request: web.Request) -> web.Response:
        """Start a post to every sink, and answer."""
        body = await request.read()
        for url in self._urls:
            task = asyncio.create_task(self._post(url, body))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return web.Response(status=202)

    async def _post(self, url: str, body: bytes) -> None:
        headers = {"Content-Type": "application/json"}
        async with self._session.post(url, data=body, headers=headers) as response:
            await response.read()


async def main(ports: list[int]) -> None:
    """Relay until standard input ends."""
    connector = aiohttp.TCPConnector(
        limit=0, limit_per_host=CONNECTIONS_PER_HOST, keepalive_timeout=KEPT_ALIVE_SECONDS
    )
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        app = web.Application()
        app.router.add_post("/v1/alerts", Relay(session, ports).accept)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        sys.stdout.write(f"{runner.addresses[0][1]}\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(main([int(port) for port in sys.argv[1:]]))
