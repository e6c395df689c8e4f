"""Prometheus metrics, from the store's running counts: a scrape never counts rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from broadcaster.auth import Caller
from broadcaster.clock import Clock
from broadcaster.delivery import Readiness
from broadcaster.record import ChannelRow, Role
from broadcaster.store import Store
from broadcaster.web.routes import Route

CACHED_SECONDS = 5.0
_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 15, 20)
_VISIBLE_BUCKETS = (1, 2, 5, 10, 20, 30, 60, 120, 300)
_READINESS: tuple[tuple[str, str, Callable[[Readiness], float | None]], ...] = (
    (
        "broadcaster_channel_ready",
        "1 if the last probe found that a post would work.",
        lambda found: float(found.ready),
    ),
    (
        "broadcaster_channel_days_left",
        "Days until a credential or the version of an API ends.",
        lambda found: found.days_left,
    ),
    (
        "broadcaster_channel_quota_left",
        "Posts or units the network still allows.",
        lambda found: found.quota_left,
    ),
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the gauges showed when the store was last asked."""

    at: float = float("-inf")
    oldest_due: datetime | None = None
    notices_not_told: int = 0
    channels: Sequence[ChannelRow] = ()


@dataclass(slots=True, eq=False)
class Metrics(Collector):
    """The daemon's metrics. The dispatcher observes `attempt_seconds`, looks `visible_seconds`.

    `stuck_threads` counts blocking calls that never ended, by channel.
    """

    store: Store
    clock: Clock
    readiness: Callable[[], Sequence[str]]
    stuck_threads: Callable[[], Mapping[str, int]]
    attempt_seconds: Histogram
    visible_seconds: Histogram
    registry: CollectorRegistry
    _seen: Snapshot = Snapshot()

    async def text(self) -> bytes:
        """Return the exposition, at most 5 s behind the store."""
        if self.clock.elapsed() - self._seen.at > CACHED_SECONDS:
            self._seen = Snapshot(
                self.clock.elapsed(),
                await self.store.oldest_due(),
                await self.store.untold(self.store.due_now()),
                await self.store.channels(),
            )
        return generate_latest(self.registry)

    def collect(self) -> Iterable[Metric]:
        """Give all but the histogram, which collects itself."""
        yield CounterMetricFamily(
            "broadcaster_alerts_accepted", "Alerts accepted.", value=self.store.accepted_count
        )
        yield self._deliveries()
        yield self._stuck()
        yield from self._readiness()
        for name, sentence, value in self._gauges():
            yield GaugeMetricFamily(name, sentence, value=value)

    def _deliveries(self) -> Metric:
        family = GaugeMetricFamily(
            "broadcaster_deliveries", "Deliveries by state.", labels=("channel", "state")
        )
        for (channel, state), count in sorted(self.store.tally.items()):
            family.add_metric((channel, state), count)
        return family

    def _stuck(self) -> Metric:
        family = GaugeMetricFamily(
            "broadcaster_stuck_threads", "Blocking calls that never ended.", labels=("channel",)
        )
        for channel, count in sorted(self.stuck_threads().items()):
            family.add_metric((channel,), count)
        return family

    def _readiness(self) -> Iterable[Metric]:
        """What probes found of each channel; what is not known is left out."""
        for name, sentence, value in _READINESS:
            family = GaugeMetricFamily(name, sentence, labels=("channel",))
            for row in self._seen.channels:
                found = value(row.readiness) if row.readiness else None
                if found is not None:
                    family.add_metric((row.name,), found)
            yield family

    def _gauges(self) -> list[tuple[str, str, float]]:
        due = self._seen.oldest_due
        age = max(0.0, (self.clock.now() - due).total_seconds()) if due else 0.0
        return [
            ("broadcaster_queue_age_seconds", "How long the oldest due row waits.", age),
            ("broadcaster_ready", "1 if alerts can be accepted.", float(not self.readiness())),
            (
                "broadcaster_notices_not_told",
                "Due notices that no on-call target has accepted.",
                self._seen.notices_not_told,
            ),
        ]

    def routes(self, *, is_open: bool) -> list[Route]:
        """Give the route of this room; open to everybody if so configured."""
        return [
            Route(
                "GET",
                "/metrics",
                "metrics",
                "Prometheus metrics.",
                self.show,
                None if is_open else Role.READ,
                answers={200: None},
            )
        ]

    async def show(self, _request: web.Request, _caller: Caller) -> web.Response:
        """GET /metrics."""
        return web.Response(body=await self.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def make_metrics(
    store: Store,
    clock: Clock,
    *,
    readiness: Callable[[], Sequence[str]],
    stuck_threads: Callable[[], Mapping[str, int]],
) -> Metrics:
    """Return metrics with a registry of their own."""
    registry = CollectorRegistry(auto_describe=False)
    seconds = Histogram(
        "broadcaster_attempt_seconds",
        "How long attempts took.",
        ("channel", "outcome"),
        buckets=_BUCKETS,
        registry=registry,
    )
    visible = Histogram(
        "broadcaster_visible_seconds",
        "From the network's answer until the post was seen.",
        ("channel",),
        buckets=_VISIBLE_BUCKETS,
        registry=registry,
    )
    metrics = Metrics(store, clock, readiness, stuck_threads, seconds, visible, registry)
    registry.register(metrics)
    return metrics
