"""Server-sent events: every state change of an alert's deliveries, resumable by Last-Event-ID."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from aiohttp import web

from broadcaster import answer
from broadcaster.auth import Caller
from broadcaster.clock import Clock
from broadcaster.delivery import OPEN, State
from broadcaster.record import Event, Role
from broadcaster.store import Changes, Store, StoreBroken, StoreUnavailable
from broadcaster.web.alerts import Alerts
from broadcaster.web.problems import Problem
from broadcaster.web.routes import Parameter, Route

PAGE = 500
_ID_DIGITS_MAX = 18
_FOLLOW = "follow"
_SETTLED = "settled"
_ENDS = (ConnectionError, TimeoutError, StoreUnavailable, StoreBroken)


@dataclass(frozen=True, slots=True)
class Pace:
    """Waits of a stream, in seconds. `rest`: the least time between two reads of the store."""

    heartbeat_seconds: float = 15.0
    write_seconds: float = 10.0
    rest_seconds: float = 0.1
    streams_max: int = 200


@dataclass(slots=True)
class Streams:
    """The event streams that are open. `close` ends them all."""

    store: Store
    alerts: Alerts
    clock: Clock
    pace: Pace = field(default_factory=Pace)
    _open: set[asyncio.Task[object]] = field(default_factory=set)

    def routes(self) -> list[Route]:
        """Give the route of this room."""
        return [
            Route(
                "GET",
                "/v1/alerts/{id}/events",
                "follow",
                "Every state change as server-sent events; the id of the last one resumes.",
                self.follow,
                Role.READ,
                (
                    Parameter(
                        "id",
                        "path",
                        "The alert's id, reference or identifier.",
                        {"type": "string", "pattern": "^[!-~]{1,200}$"},
                        required=True,
                    ),
                    Parameter(
                        "Last-Event-ID",
                        "header",
                        "The last event that arrived; what follows it is sent.",
                        {"type": "string", "pattern": "^[0-9]{1,18}$"},
                    ),
                    Parameter(
                        "until",
                        "query",
                        "`settled` ends the stream once every delivery is settled.",
                        {"type": "string", "enum": [_FOLLOW, _SETTLED], "default": _FOLLOW},
                    ),
                ),
                answers={200: None},
                refusals=(400, 404, 503),
            )
        ]

    async def close(self, _app: web.Application | None = None) -> None:
        """End every stream; their readers come back with the last id they saw."""
        for task in list(self._open):
            task.cancel()

    async def follow(self, request: web.Request, _caller: Caller) -> web.StreamResponse:
        """GET /v1/alerts/{id}/events."""
        after, ends = _after(request), _ends(request)
        view = await self.alerts.view(request)
        if len(self._open) >= self.pace.streams_max:
            detail = "Too many streams are open; ask for the alert itself instead."
            raise Problem(503, "streams-full", detail, headers={"Retry-After": "10"})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        response.force_close()
        await response.prepare(request)
        states = {delivery.id: delivery.state for delivery, _ in view.deliveries}
        task = asyncio.ensure_future(
            self._stream(response, view.accepted.id, after, states if ends else None)
        )
        await self._run(task)
        if _too_slow(task) and request.transport is not None:
            request.transport.abort()
        return response

    async def _run(self, task: asyncio.Task[None]) -> None:
        """Wait for a stream; that its reader left or was too slow is an end like another."""
        self._open.add(task)
        try:
            await asyncio.wait({task})
        finally:
            self._open.discard(task)
            task.cancel()
        if not task.cancelled() and not isinstance(task.exception(), _ENDS):
            task.result()

    async def _stream(
        self,
        response: web.StreamResponse,
        alert: str,
        after: int,
        states: dict[str, State] | None,
    ) -> None:
        with self.store.subscribe(alert) as changes:
            while True:
                events = await self.store.events(alert, after, PAGE)
                if events:
                    after = events[-1].id
                    await self._write(response, _text(events))
                if states is not None and _settled(states, events, whole=len(events) < PAGE):
                    return
                if len(events) < PAGE:
                    await self._wait(response, changes)

    async def _wait(self, response: web.StreamResponse, changes: Changes) -> None:
        """Wait for a change, with a comment now and then that keeps the connection open."""
        while True:
            try:
                async with asyncio.timeout(self.pace.heartbeat_seconds):
                    await changes.wait()
            except TimeoutError:
                await self._write(response, b": still here\n\n")
            else:
                await self.clock.sleep(self.pace.rest_seconds)
                return

    async def _write(self, response: web.StreamResponse, data: bytes) -> None:
        """Write, but not for ever: a reader that takes nothing is dropped and may resume."""
        async with asyncio.timeout(self.pace.write_seconds):
            await response.write(data)


def _too_slow(task: asyncio.Task[None]) -> bool:
    return not task.cancelled() and isinstance(task.exception(), TimeoutError)


def _after(request: web.Request) -> int:
    given = request.headers.getall("Last-Event-ID", [])
    text = given[0] if given else "0"
    if len(given) > 1 or not (text.isascii() and text.isdigit()) or len(text) > _ID_DIGITS_MAX:
        raise Problem(400, "last-event-id", "Last-Event-ID must be the number of an event.")
    return int(text)


def _ends(request: web.Request) -> bool:
    until = request.query.getall("until", [_FOLLOW])
    if until not in ([_FOLLOW], [_SETTLED]) or set(request.query) - {"until"}:
        raise Problem(400, "query", "The one parameter is until, follow or settled.")
    return until == [_SETTLED]


def _settled(states: dict[str, State], events: Sequence[Event], *, whole: bool) -> bool:
    """Bring the states up to date, and say whether nothing is open any more."""
    for event in events:
        states[event.delivery] = event.state
    return whole and OPEN.isdisjoint(states.values())


def _text(events: Sequence[Event]) -> bytes:
    return b"".join(
        b"id: %d\nevent: delivery\ndata: %s\n\n"
        % (event.id, answer.dumps(answer.event_json(event)))
        for event in events
    )
