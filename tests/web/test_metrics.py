"""Metrics: what a machine watches at night."""

from __future__ import annotations

import re
from datetime import datetime

from broadcaster.clock import SystemClock
from broadcaster.delivery import Outcome
from broadcaster.record import NoticeKind
from broadcaster.store import NewNotice, Store
from broadcaster.web.metrics import make_metrics
from tests.kit import ManualClock
from tests.web.door import Door


def value(text: str, line: str) -> float:
    """Return the value of one sample."""
    found = re.search(rf"^{re.escape(line)} (\S+)$", text, re.MULTILINE)
    assert found, text
    return float(found.group(1))


async def test_metrics_count_alerts_deliveries_and_what_is_wrong(door: Door) -> None:
    """Accepted, by channel and state, queue age, readiness, notices not told."""
    await door.accept()
    await door.send("city")
    await door.send("crisis", outcome=Outcome.REJECTED)
    status, text, headers = await door.ask("GET", "/metrics", key="reader")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")
    assert value(text, "broadcaster_alerts_accepted_total") == 1
    assert value(text, 'broadcaster_deliveries{channel="city",state="sent"}') == 1
    assert value(text, 'broadcaster_deliveries{channel="crisis",state="failed"}') == 1
    assert value(text, 'broadcaster_deliveries{channel="city",state="queued"}') == 0
    assert value(text, "broadcaster_ready") == 1
    assert value(text, "broadcaster_notices_not_told") >= 1
    assert value(text, "broadcaster_queue_age_seconds") >= 0


async def test_a_scrape_asks_the_store_at_most_every_five_seconds(sqlite_store: Store) -> None:
    """No poll may slow the sending down."""
    clock = ManualClock()
    asked = 0
    original = sqlite_store.untold

    async def counting(since: datetime) -> int:
        nonlocal asked
        asked += 1
        return await original(since)

    sqlite_store.untold = counting  # type: ignore[method-assign]
    metrics = make_metrics(
        sqlite_store, clock, readiness=lambda: ["x"], stuck_threads=lambda: {"mail": 2}
    )
    metrics.attempt_seconds.labels("mail", "accepted").observe(0.2)
    for seconds in (0, 4, 4):
        clock.move(seconds)
        await metrics.text()
    assert asked == 2
    text = (await metrics.text()).decode()
    assert value(text, "broadcaster_ready") == 0
    assert value(text, 'broadcaster_stuck_threads{channel="mail"}') == 2
    line = 'broadcaster_attempt_seconds_count{channel="mail",outcome="accepted"}'
    assert value(text, line) == 1


async def test_every_notice_that_reached_nobody_is_counted(sqlite_store: Store) -> None:
    """However many there are: a count that stops at a page hides how bad it is."""
    for number in range(205):
        await sqlite_store.tell(NewNotice(NoticeKind.CHANNEL, "not ready", channel=f"c{number}"))
    metrics = make_metrics(sqlite_store, SystemClock(), readiness=list, stuck_threads=dict)
    text = (await metrics.text()).decode()
    assert value(text, "broadcaster_notices_not_told") == 205
