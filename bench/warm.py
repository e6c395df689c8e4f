"""What a warm connection is worth: the same alert with and without a handshake before it."""

from __future__ import annotations

import asyncio
import ssl
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import children
from bench.children import Sinks, Target
from bench.measure import next_number

# How often the daemon keeps its connections warm, here: while it does, they are taken for a moment.
WARM_SECONDS = 1.0
_HEAD = b"HEAD / HTTP/1.1\r\nHost: bench\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Distance:
    """Far receivers, and a daemon that posts to them. `round_trip_seconds` is that of the line."""

    sinks: Sinks
    daemon: Target
    trust: ssl.SSLContext
    round_trip_seconds: float


@asynccontextmanager
async def distance(
    directory: Path, receivers: int, round_trip_seconds: float
) -> AsyncIterator[Distance]:
    """Run the receivers and the daemon."""
    async with children.distant(receivers, round_trip_seconds / 2, directory) as sinks:
        trusted = {"SSL_CERT_FILE": str(directory / "ca.pem")}
        channels = f"[timing]\nwarm_seconds = {WARM_SECONDS}\n{children.webhooks(sinks.ports, 's')}"
        async with children.posting(directory / "daemon", channels, receivers, trusted) as daemon:
            trust = ssl.create_default_context(cafile=str(directory / "ca.pem"))
            yield Distance(sinks, daemon, trust, round_trip_seconds)


async def arrivals(far: Distance, posts: int) -> tuple[float, float, float]:
    """Return the median ms to the last arrival, warm and cold, and of one plain round trip."""
    await far.sinks.say(f"expect {far.daemon.receivers}")
    warm, cold = [], []
    for _ in range(posts):
        await asyncio.sleep(WARM_SECONDS + 4 * far.round_trip_seconds)
        warm.append(await _arrival(far))
        await asyncio.sleep(3 * far.round_trip_seconds)
        await far.sinks.say("drop")
        await asyncio.sleep(far.round_trip_seconds)
        cold.append(await _arrival(far))
    trips = [await _round_trip(far) for _ in range(posts)]
    median = statistics.median
    return median(warm), median(cold), median(trips)


async def _arrival(far: Distance) -> float:
    number, started = next_number(), time.monotonic_ns()
    await far.daemon.post(number)
    [arrived] = await far.sinks.complete([number])
    return (arrived - started) / 1e6


async def _round_trip(far: Distance) -> float:
    """Measure a question and its answer on a connection that stands already."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", far.sinks.ports[0], ssl=far.trust, server_hostname="127.0.0.1"
    )
    try:
        await _ask(reader, writer)
        started = time.monotonic_ns()
        await _ask(reader, writer)
        return (time.monotonic_ns() - started) / 1e6
    finally:
        writer.transport.abort()


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(_HEAD)
    await reader.readuntil(b"\r\n\r\n")
