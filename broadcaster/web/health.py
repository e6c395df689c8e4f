"""Liveness and readiness. Neither ever asks a remote network: its outage is not ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from broadcaster.auth import Caller
from broadcaster.web.alerts import shown
from broadcaster.web.problems import Problem
from broadcaster.web.routes import Route


@dataclass(frozen=True, slots=True)
class Health:
    """`readiness` gives the reasons why alerts cannot be accepted or people not be told."""

    readiness: Callable[[], Sequence[str]]

    def routes(self) -> list[Route]:
        """Give the routes of this room."""
        return [
            Route(
                "GET",
                "/healthz",
                "alive",
                "The process answers.",
                self.alive,
                answers={200: "Health"},
            ),
            Route(
                "GET",
                "/readyz",
                "ready",
                "Alerts can be accepted and people told; 503 with the reasons if not.",
                self.ready,
                answers={200: "Health"},
                refusals=(503,),
            ),
        ]

    async def alive(self, _request: web.Request, _caller: Caller) -> web.Response:
        """GET /healthz."""
        return shown({"status": "ok"})

    async def ready(self, _request: web.Request, _caller: Caller) -> web.Response:
        """GET /readyz."""
        reasons = self.readiness()
        if reasons:
            raise Problem(503, "not-ready", "; ".join(reasons), headers={"Retry-After": "5"})
        return shown({"status": "ok"})
