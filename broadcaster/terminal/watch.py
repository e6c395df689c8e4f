"""Following an alert until all is settled: by its event stream, by asking where there is none.

An event only says that something changed; what is shown always comes from the alert itself, so a
broken stream costs moments, never truth.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from broadcaster.delivery import OPEN, OUT, State
from broadcaster.terminal.client import Client, Lost, Problem

POLL_SECONDS = 2.0
GATHER_SECONDS = 0.1  # events that come together cost one question
RECONNECT_SECONDS = 1.0
_NO_STREAM = frozenset({404, 405, 406, 501})

Json = dict[str, Any]


def is_settled(alert: Mapping[str, Any]) -> bool:
    """Whether nothing of this alert will change by itself any more.

    A state this version does not know counts as open. An `unknown` delivery is settled once people
    were told.
    """
    return all(_delivery_settled(one) for one in alert.get("deliveries", []))


def _delivery_settled(one: Mapping[str, Any]) -> bool:
    name = one.get("state")
    if name == State.UNKNOWN:
        return bool(one.get("told"))
    return name in set(State) and name not in OPEN


def not_out(alert: Mapping[str, Any]) -> list[Json]:
    """Return the deliveries that should be out and are not; withheld by rule is as it should be."""
    fine = {*OUT, State.WITHHELD}
    return [one for one in alert.get("deliveries", []) if one.get("state") not in fine]


def all_out(alert: Mapping[str, Any]) -> bool:
    """Whether every delivery this alert should have is out, and there is at least one."""
    states = {one.get("state") for one in alert.get("deliveries", [])}
    return not not_out(alert) and bool(states & set(OUT))


async def follow(
    client: Client, alert: Json, show: Callable[[Json], None], *, seconds: float
) -> Json:
    """Show the alert at every change until all is settled or the time is over; return it as it is.

    Each delivery then has `changed`, the time of its last change as far as an event told it. An
    answer that does not come is waited for: only Problem (the key no longer holds, say) ends it.
    """
    news = News()
    listener = asyncio.create_task(_listen(client, str(alert["id"]), news))
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                show(alert)
                while not is_settled(alert):
                    await news.wait()
                    alert = news.dated(await _again(client, alert))
                    show(alert)
        return alert
    finally:
        listener.cancel()
        with suppress(asyncio.CancelledError):
            await listener


class News:
    """What the events said: that something changed, and when each delivery last did."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._times: dict[str, str] = {}

    def heard(self, data: str = "") -> None:
        """Take in an event's data; one that is not understood is still news."""
        self._changed.set()
        with suppress(ValueError, TypeError, KeyError):
            event = json.loads(data)
            self._times[event["delivery"]] = event["at"]

    async def wait(self) -> None:
        """Return after the next event and those right behind it, or when it is time to ask."""
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._changed.wait()
                await asyncio.sleep(GATHER_SECONDS)
        self._changed.clear()

    def dated(self, alert: Json) -> Json:
        """Return the alert with the time of each delivery's last change.

        An answer can be ahead of its event: then it says itself since when it is as it is.
        """
        deliveries = [
            one | {"changed": self._changed_at(one)} for one in alert.get("deliveries", [])
        ]
        return alert | {"deliveries": deliveries}

    def _changed_at(self, one: Mapping[str, Any]) -> str | None:
        told = self._times.get(one["id"])
        return told and max(told, str(one.get("since") or ""))


async def _again(client: Client, alert: Json) -> Json:
    try:
        return await client.alert(str(alert["id"]))
    except Lost:
        return alert


async def _listen(client: Client, alert_id: str, news: News) -> None:
    """Pass on every event, from where the stream broke off; give up where there is no stream."""
    last: str | None = None
    while True:
        try:
            async for event in client.events(alert_id, last):
                last = event.id or last
                news.heard(event.data)
        except Lost:
            news.heard()
        except Problem as problem:
            if problem.status in _NO_STREAM:
                return
        await asyncio.sleep(RECONNECT_SECONDS)
