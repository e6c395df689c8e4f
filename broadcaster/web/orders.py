"""What a person orders of a delivery: put back, confirmed, taken down. Each is audited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from aiohttp import hdrs, web
from pydantic import StringConstraints

from broadcaster.alert import CapModel
from broadcaster.auth import Caller
from broadcaster.config import Server
from broadcaster.delivery import OUT, Delivery, Failure, NotSent, Unknown
from broadcaster.intake.permits import permit_sender
from broadcaster.record import Refused, Role
from broadcaster.store import Store
from broadcaster.web.alerts import ALERT_ID, DELIVERY_ID, Alerts, name_of
from broadcaster.web.limits import read_model
from broadcaster.web.problems import Problem
from broadcaster.web.routes import Route

_UPSTREAM_RETRY_SECONDS = 5


class Confirmation(CapModel):
    """The body of a confirm: where the post is that a person made."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[!-;=?-~]{1,500}$")]


@dataclass(frozen=True, slots=True)
class Orders:
    """The routes of orders. `take_down` takes a post down; `resume` ends a channel's pause.

    `take_down` raises a Failure with the reason where it could not.
    """

    store: Store
    alerts: Alerts
    server: Server
    take_down: Callable[[Delivery], Awaitable[None]]
    resume: Callable[[str], Awaitable[None]]

    def routes(self) -> list[Route]:
        """Give the routes of this room."""
        orders = (
            ("retry", "Put a failed delivery back in the queue.", self.retry, None),
            ("confirm", "Say where the post is that a person made.", self.confirm, Confirmation),
            ("retract", "Take a post down.", self.retract, None),
        )
        bodies = (400, 408, 413, 415, 422)
        return [
            Route(
                "POST",
                f"/v1/alerts/{{id}}/deliveries/{{delivery}}/{name}",
                name,
                summary,
                handler,
                Role.APPROVE,
                (ALERT_ID, DELIVERY_ID),
                body,
                answers={200: "Alert"},
                refusals=(403, 404, 409, 507, *(bodies if body else ())),
            )
            for name, summary, handler, body in orders
        ]

    async def retry(self, request: web.Request, caller: Caller) -> web.Response:
        """POST .../retry."""
        delivery = await self._delivery(request, caller)
        await self.store.retry(delivery.id, caller.actor)
        await self.resume(delivery.channel)
        return await self.alerts.look(request, caller)

    async def confirm(self, request: web.Request, caller: Caller) -> web.Response:
        """POST .../confirm."""
        said = await read_model(request, Confirmation, self.server)
        delivery = await self._delivery(request, caller)
        await self.store.confirm(delivery.id, said.url, caller.actor)
        return await self.alerts.look(request, caller)

    async def retract(self, request: web.Request, caller: Caller) -> web.Response:
        """POST .../retract: taken down on the network first, then written down."""
        delivery = await self._delivery(request, caller)
        if delivery.state not in OUT:
            detail = f"Only what is out can be taken down; it is {delivery.state}."
            raise Refused("not-out", detail)
        try:
            await self.take_down(delivery)
        except (NotSent, Unknown) as failure:
            headers = {hdrs.RETRY_AFTER: str(_UPSTREAM_RETRY_SECONDS)}
            raise Problem(503, "not-taken-down", failure.reason, headers=headers) from None
        except Failure as failure:
            raise Problem(409, "cannot-be-taken-down", failure.reason) from None
        await self.store.retracted(delivery.id, caller.actor)
        return await self.alerts.look(request, caller)

    async def _delivery(self, request: web.Request, caller: Caller) -> Delivery:
        view, wanted = await self.alerts.view(request), name_of(request, "delivery")
        permit_sender(view.accepted.alert, caller)
        for delivery, _ in view.deliveries:
            if delivery.id == wanted:
                return delivery
        raise Refused("unknown-delivery", "This alert has no such delivery.")
