"""What is measured, each against the baseline in the same round."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from bench import children, machine
from bench.children import Sinks, Target

_numbers = itertools.count(1)


def next_number() -> int:
    """Return an alert's number that was never used before."""
    return next(_numbers)


@dataclass(frozen=True, slots=True)
class Counts:
    """How often, and how many."""

    rounds: int = 5
    receivers: tuple[int, ...] = (10, 50, 200)
    latencies_ms: tuple[int, ...] = (0, 50)
    posts: int = 8  # for each last arrival
    acks: int = 40
    burst: int = 1000
    steady_alerts: int = 90
    steady_per_second: float = 30.0
    cards: int = 2  # how often each sample is drawn


QUICK = Counts(1, (2, 4), (0, 5), posts=2, acks=3, burst=20, steady_alerts=6, cards=1)


async def last_arrival(target: Target, sinks: Sinks, *, latency_ms: int, posts: int) -> float:
    """Return the median milliseconds from a POST to its last arrival, on warm connections."""
    latency = latency_ms / 1000
    rest = 0.05 + target.receivers / 700  # the next alert shall find nobody still at work
    await sinks.order(target.receivers, latency)
    taken = []
    for _ in range(posts + 1):
        number, started = next_number(), time.monotonic_ns()
        await target.post(number)
        [arrived] = await sinks.complete([number])
        taken.append((arrived - started) / 1e6)
        await asyncio.sleep(latency + rest)
    return statistics.median(taken[1:])  # the first one warms the connections


async def acks(target: Target, sinks: Sinks, disk: machine.Disk, times: int) -> tuple[float, float]:
    """Return what storing adds to an answer, and one fdatasync of the same moments, in ms.

    `/v1/preview` reads, checks, renders and answers as `/v1/alerts` does, and stores nothing: what
    lies between the two is the price of the promise, its way into the store's thread included.
    """
    await sinks.order(target.receivers, 0)
    with_store, without, syncs = [], [], []
    for _ in range(times):
        syncs.append(disk.sync_ms())
        without.append(await _answer_ms(target, next_number(), "/v1/preview"))
        number = next_number()
        with_store.append(await _answer_ms(target, number, "/v1/alerts"))
        await sinks.complete([number])
        await asyncio.sleep(0.02)
    median = statistics.median
    return median(with_store) - median(without), median(syncs)


async def _answer_ms(target: Target, number: int, path: str) -> float:
    started = time.monotonic_ns()
    return (await target.post(number, path) - started) / 1e6


async def cpu_per_delivery(target: Target, sinks: Sinks, counts: Counts) -> float:
    """Return the milliseconds of user and system time per delivery at a steady pace."""
    await sinks.order(target.receivers, 0)
    before = machine.cpu_seconds(target.pid)
    posts, numbers = [], []
    for _ in range(counts.steady_alerts):
        numbers.append(next_number())
        posts.append(asyncio.create_task(target.post(numbers[-1])))
        await asyncio.sleep(1 / counts.steady_per_second)
    await asyncio.gather(*posts)
    await sinks.complete(numbers)
    await asyncio.sleep(0.2)  # what is still being written down belongs to it
    used = machine.cpu_seconds(target.pid) - before
    return used * 1000 / (counts.steady_alerts * target.receivers)


async def burst(target: Target, sinks: Sinks, alerts: int) -> float:
    """Return deliveries per second when that many alerts come at once."""
    await sinks.order(target.receivers, 0)
    numbers = [next_number() for _ in range(alerts)]
    started = time.monotonic_ns()
    await asyncio.gather(*(target.post(number) for number in numbers))
    moments = await sinks.complete(numbers)
    await asyncio.sleep(0.5)
    return alerts * target.receivers / ((max(moments) - started) / 1e9)


async def start(directory: Path, port: int) -> tuple[float, float]:
    """Return the seconds until ready, and the resident MB with every channel library loaded."""
    channels = children.one_of_each(directory.parent, port)
    async with children.started(directory, channels) as running:
        await asyncio.sleep(0.5)  # the first looks at the networks load what is loaded late
        return running.seconds, machine.resident_mb(running.pid)
