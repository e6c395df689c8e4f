"""The web: routes, who may call them, and the order in which a request is looked at.

Form and size first, then the key, then the body: nobody without a key gets a byte of JSON parsed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiohttp import hdrs, web

from broadcaster.auth import Caller, Keyring, Unauthenticated, client_address
from broadcaster.channels import Channel
from broadcaster.clock import Clock
from broadcaster.config import Server
from broadcaster.delivery import Delivery
from broadcaster.intake.alerts import Intake
from broadcaster.record import Role
from broadcaster.store import Store
from broadcaster.web.alerts import Alerts, shown
from broadcaster.web.cards import Cards, Draw, Picture
from broadcaster.web.channels import Channels
from broadcaster.web.control import PREFIX, Control, local_peer
from broadcaster.web.events import Pace, Streams
from broadcaster.web.health import Health
from broadcaster.web.limits import add_headers, expect, within_limits
from broadcaster.web.metrics import Metrics
from broadcaster.web.openapi import describe
from broadcaster.web.orders import Orders
from broadcaster.web.problems import Handler, Problem, as_problems
from broadcaster.web.routes import Route

_log = structlog.get_logger(__name__)
_NOBODY = Caller("", "", Role.READ)


@dataclass(frozen=True, slots=True)
class Services:
    """All that the web stands on. `readiness` gives the reasons why not; none: ready.

    `take_down` takes a post off its network (raises a Failure). `resume` ends a channel's pause:
    a person says that its trouble is mended; `release` says (channel, who) that its account is the
    right one. `picture` gives a drawn card's file, `draw` draws what a card shows.
    """

    store: Store
    intake: Intake
    keyring: Keyring
    channels: Mapping[str, Channel]
    server: Server
    clock: Clock
    readiness: Callable[[], Sequence[str]]
    metrics: Metrics
    take_down: Callable[[Delivery], Awaitable[None]]
    resume: Callable[[str], Awaitable[None]]
    release: Callable[[str, str], Awaitable[bool]]
    picture: Picture
    draw: Draw
    pace: Pace = field(default_factory=Pace)


def make_app(services: Services) -> web.Application:
    """Return the application, for the TCP port and the Unix socket alike."""
    app = web.Application(
        middlewares=[as_problems, within_limits],
        client_max_size=services.server.json_bytes_max,
    )
    app.on_response_prepare.append(add_headers)
    alerts = Alerts(services.store, services.intake, services.server, services.clock)
    orders = Orders(services.store, alerts, services.server, services.take_down, services.resume)
    streams = Streams(services.store, alerts, services.clock, services.pace)
    app.on_shutdown.append(streams.close)
    channels = Channels(services.store, services.channels)
    public = [
        *alerts.routes(),
        *orders.routes(),
        *streams.routes(),
        *channels.routes(),
        *Cards(services.picture, services.draw, services.intake, services.server).routes(),
        *Health(services.readiness).routes(),
        *services.metrics.routes(is_open=services.server.open_metrics),
    ]
    public.append(_description(public))
    control = Control(
        services.store,
        services.keyring,
        channels,
        services.server,
        services.clock,
        services.readiness,
        services.release,
    )
    for route in (*public, *control.routes()):
        _add(app, route, services)
    return app


def _description(routes: Sequence[Route]) -> Route:
    async def show(_request: web.Request, _caller: Caller) -> web.Response:
        return shown(document)

    summary = "This description."
    answers: Mapping[int, str | None] = {200: "OpenAPI"}
    route = Route("GET", "/openapi.json", "openapi", summary, show, answers=answers)
    document: dict[str, Any] = describe([*routes, route])
    return route


def _add(app: web.Application, route: Route, services: Services) -> None:
    handler = _guarded(route, services)
    methods = [route.method]
    if route.method == hdrs.METH_GET and route.name != "follow":
        methods.append(hdrs.METH_HEAD)
    for method in methods:
        app.router.add_route(method, route.path, handler, expect_handler=expect)


def _guarded(route: Route, services: Services) -> Handler:
    """Return the route's handler behind its door: who is calling, and may they."""

    async def answering(request: web.Request) -> web.StreamResponse:
        caller = await _caller(request, services, route)
        if route.role is not None and not caller.role.includes(route.role):
            detail = f"This needs a key of role {route.role} or above; this one is {caller.role}."
            raise Problem(403, "role", detail)
        return await route.handler(request, caller)

    return answering


async def _caller(request: web.Request, services: Services, route: Route) -> Caller:
    """Return who is calling; on the Unix socket the kernel says it."""
    if local := local_peer(request):
        return local
    if route.path.startswith(PREFIX):
        raise web.HTTPNotFound
    if route.role is None:
        return _NOBODY
    try:
        return await services.keyring.authenticate(request.headers.getall(hdrs.AUTHORIZATION, []))
    except Unauthenticated as refused:
        forwarded = request.headers.getall(hdrs.X_FORWARDED_FOR, [])
        trusted = services.server.trusted_proxies
        address = client_address(request.remote or "", forwarded, trusted)
        _log.warning("request refused", code=refused.code, address=address, path=route.path)
        raise
