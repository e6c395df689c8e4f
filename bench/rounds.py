"""The rounds: everything is measured once in each, baseline and daemon in turn."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench import cards, children, machine, measure, warm
from bench.children import Sinks, Target
from bench.measure import Counts
from bench.table import Row

RATIO_MAX = 1.3
ACK_SYNCS_MAX = 3.0
BURST_MIN = 0.5
CARD_MS_MAX = 100.0
CARDS_MS_MAX = 500.0
RESIDENT_MB_MAX = 150.0
ROUND_TRIP_MS = 50
START_SECONDS_MAX = 3.0

Say = Callable[[str], None]


@dataclass(slots=True)
class Results:
    """Everything that is measured, in the order it is shown."""

    counts: Counts
    rows: dict[object, Row] = field(default_factory=dict)
    fdatasync_ms: list[float] = field(default_factory=list)
    repeated: int = 0  # posts that a receiver got twice

    def __post_init__(self) -> None:
        """Name every row."""
        relay = "the relay"
        for receivers in self.counts.receivers:
            for latency in self.counts.latencies_ms:
                what = f"POST to last arrival, {receivers} receivers, {latency} ms each"
                self.rows[receivers, latency] = Row(what, "ms", relay, RATIO_MAX)
        first = self.counts.receivers[0]
        self.rows |= {
            "ack": Row("durable ack: what storing adds", "ms", "one fdatasync", ACK_SYNCS_MAX),
            "cpu": Row(
                f"CPU per delivery, {self.counts.steady_per_second:g} alerts/s x {first}",
                "ms",
                relay,
            ),
            "burst": Row(
                f"burst, {self.counts.burst} alerts x {first}",
                "deliveries/s",
                relay,
                BURST_MIN,
                at_least=True,
            ),
            "warm": Row(
                f"TLS, {ROUND_TRIP_MS} ms away, POST to last arrival, {first} receivers, warm",
                "ms",
                "one round trip",
                RATIO_MAX,
            ),
            "cold": Row("the same after all connections were dropped", "ms", "one round trip"),
            "card": Row("a card, drawn in the worker", "ms", target=CARD_MS_MAX),
            "slowest": Row("the slowest of all samples", "ms"),
            "alert": Row("cards of an alert: 2 languages, 2 sizes", "ms", target=CARDS_MS_MAX),
            "worker": Row("worker: start to first card", "s"),
            "drawing": Row("worker: resident", "MB"),
            "start": Row("start to ready", "s", target=START_SECONDS_MAX),
            "resident": Row("resident, all channel libraries", "MB", target=RESIDENT_MB_MAX),
            "loaded": Row(f"resident after the bursts, {first} webhooks", "MB"),
        }

    def listed(self) -> list[Row]:
        """Return the rows in order."""
        return list(self.rows.values())


@dataclass(frozen=True, slots=True)
class Pair:
    """The relay and the daemon in front of the same receivers."""

    relay: Target
    daemon: Target


async def run(directory: Path, counts: Counts, say: Say) -> Results:
    """Start everything, measure all rounds, end everything."""
    results = Results(counts)
    async with contextlib.AsyncExitStack() as stack:
        sinks = await stack.enter_async_context(children.sinks(max(counts.receivers)))
        pairs = []
        for receivers in counts.receivers:
            ports = sinks.ports[:receivers]
            relay = await stack.enter_async_context(children.relay(ports))
            place = directory / f"daemon-{receivers}"
            daemon = await stack.enter_async_context(children.daemon(place, ports))
            pairs.append(Pair(relay, daemon))
        far = await stack.enter_async_context(
            warm.distance(directory / "far", counts.receivers[0], ROUND_TRIP_MS / 1000)
        )
        disk = stack.enter_context(contextlib.closing(machine.Disk(directory)))
        for number in range(counts.rounds):
            say(f"round {number + 1} of {counts.rounds}")
            await _arrivals(results, pairs, sinks)
            await _ack(results, pairs[0], sinks, disk)
            await _load(results, pairs[0], sinks)
            await _far(results, far)
            await _cards(results)
            await _start(results, directory / f"start-{number}", sinks.ports[0])
            results.repeated = sinks.repeated
    return results


async def _arrivals(results: Results, pairs: list[Pair], sinks: Sinks) -> None:
    counts = results.counts
    for pair in pairs:
        for latency in counts.latencies_ms:
            base, own = [
                await measure.last_arrival(one, sinks, latency_ms=latency, posts=counts.posts)
                for one in (pair.relay, pair.daemon)
            ]
            results.rows[pair.daemon.receivers, latency].add(own, base)


async def _ack(results: Results, pair: Pair, sinks: Sinks, disk: machine.Disk) -> None:
    own, sync = await measure.acks(pair.daemon, sinks, disk, results.counts.acks)
    results.rows["ack"].add(own, sync)
    results.fdatasync_ms.append(sync)


async def _load(results: Results, pair: Pair, sinks: Sinks) -> None:
    counts = results.counts
    base, own = [
        await measure.cpu_per_delivery(one, sinks, counts) for one in (pair.relay, pair.daemon)
    ]
    results.rows["cpu"].add(own, base)
    base, own = [await measure.burst(one, sinks, counts.burst) for one in (pair.relay, pair.daemon)]
    results.rows["burst"].add(own, base)
    results.rows["loaded"].add(machine.resident_mb(pair.daemon.pid))


async def _far(results: Results, far: warm.Distance) -> None:
    own, cold, trip = await warm.arrivals(far, results.counts.posts)
    results.rows["warm"].add(own, trip)
    results.rows["cold"].add(cold, trip)


async def _cards(results: Results) -> None:
    measured = await cards.measure(results.counts.cards)
    results.rows["card"].add(measured.card_ms)
    results.rows["slowest"].add(measured.slowest_ms)
    results.rows["alert"].add(measured.alert_ms)
    results.rows["worker"].add(measured.start_seconds)
    results.rows["drawing"].add(measured.resident_mb)


async def _start(results: Results, directory: Path, port: int) -> None:
    seconds, resident_mb = await measure.start(directory, port)
    results.rows["start"].add(seconds)
    results.rows["resident"].add(resident_mb)


def facts(results: Results) -> dict[str, str]:
    """Return what the numbers depend on, with the fdatasync that was measured among them."""
    return machine.facts(statistics.median(results.fdatasync_ms))
