"""The routes of alerts: accept, preview, list, look, end, and what people order of a delivery."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from aiohttp import hdrs, web
from pydantic import BaseModel, Field, StringConstraints

from broadcaster import answer
from broadcaster.alert import CapModel, Language, Status, Submission, Text
from broadcaster.auth import Caller
from broadcaster.clock import Clock
from broadcaster.config import Server
from broadcaster.delivery import OUT, Delivery, Failure, NotSent, Unknown
from broadcaster.intake import json
from broadcaster.intake.alerts import Answer, Intake, Request, fingerprint
from broadcaster.intake.faults import Fault, invalid
from broadcaster.intake.permits import permit_sender
from broadcaster.record import Refused, Role, View
from broadcaster.store import Store
from broadcaster.web.limits import read_body, require_json
from broadcaster.web.problems import Problem
from broadcaster.web.routes import Parameter, Route

PAGE = 50
PAGE_MAX = 200
_VISIBLE = re.compile(r"[!-~]{1,255}", re.ASCII)
_NAME = re.compile(r"[!-~]{1,200}", re.ASCII)
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_STRICT = re.compile(r"(?:^|,)\s*handling\s*=\s*\"?strict\"?\s*(?:;|,|$)", re.IGNORECASE)
_UPSTREAM_RETRY_SECONDS = 5

_Model = TypeVar("_Model", bound=BaseModel)


class Ending(CapModel):
    """The body of a cancel: what the all-clear says beside what it takes from the alert."""

    text: Annotated[Text, Field(max_length=4000)] | None = None
    language: Language | None = None


class Confirmation(CapModel):
    """The body of a confirm: where the post is that a person made."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[!-;=?-~]{1,500}$")]


@dataclass(frozen=True, slots=True)
class Alerts:
    """The alert routes. `take_down` takes a post off its network; `wake` calls the dispatcher."""

    store: Store
    intake: Intake
    server: Server
    clock: Clock
    take_down: Callable[[Delivery], Awaitable[None]]
    wake: Callable[[], None]

    def routes(self) -> list[Route]:
        """Give the routes of this room."""
        return [*self._taking(), *self._looking(), *self._ordering()]

    def _taking(self) -> list[Route]:
        return [
            Route(
                "POST",
                "/v1/alerts",
                "accept",
                "Accept an alert. 202 promises that it is stored and goes out; it does not mean "
                "posted.",
                self.accept,
                Role.TRIGGER,
                _ACCEPT_HEADERS,
                Submission,
                answers={202: "Alert"},
                refusals=(400, 403, 408, 409, 413, 415, 422, 507),
            ),
            Route(
                "POST",
                "/v1/preview",
                "preview",
                "Show what an alert would become on every channel. Nothing is stored.",
                self.preview,
                Role.TRIGGER,
                (),
                Submission,
                answers={200: "Alert"},
                refusals=(400, 403, 408, 409, 413, 415, 422),
            ),
            Route(
                "POST",
                "/v1/alerts/{id}/cancel",
                "cancel",
                "Give the all-clear for an incident; an ended one gives the existing Cancel.",
                self.cancel,
                Role.TRIGGER,
                (_ALERT_ID,),
                Ending,
                body_required=False,
                answers={202: "Alert"},
                refusals=(400, 403, 404, 408, 409, 413, 415, 422, 507),
            ),
        ]

    def _looking(self) -> list[Route]:
        return [
            Route(
                "GET",
                "/v1/alerts",
                "list",
                "Alerts, the newest first, in pages.",
                self.page,
                Role.READ,
                _FILTERS,
                answers={200: "AlertPage"},
                refusals=(400,),
            ),
            Route(
                "GET",
                "/v1/alerts/{id}",
                "look",
                "One alert with its deliveries, attempts and receipts.",
                self.look,
                Role.READ,
                (_ALERT_ID,),
                answers={200: "Alert"},
                refusals=(404,),
            ),
        ]

    def _ordering(self) -> list[Route]:
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
                (_ALERT_ID, _DELIVERY_ID),
                body,
                answers={200: "Alert"},
                refusals=(403, 404, 409, 507, *(bodies if body else ())),
            )
            for name, summary, handler, body in orders
        ]

    async def accept(self, request: web.Request, caller: Caller) -> web.Response:
        """POST /v1/alerts."""
        content_type = require_json(request)
        key = _idempotency_key(request)
        body = await self._body(request)
        wanted = Request(
            key,
            fingerprint(body, content_type.encode(), request.path.encode()),
            _one_header(request, "Allow-Duplicate-Of"),
            _is_strict(request),
        )
        return _accepted(await self.intake.submit(body, caller, wanted))

    async def preview(self, request: web.Request, caller: Caller) -> web.Response:
        """POST /v1/preview."""
        require_json(request)
        return shown(await self.intake.preview(await self._body(request), caller))

    async def cancel(self, request: web.Request, caller: Caller) -> web.Response:
        """POST /v1/alerts/{id}/cancel."""
        ending = await self._read(request, Ending) if request.can_read_body else Ending()
        name = _name(request, "id")
        return _accepted(
            await self.intake.cancel(name, caller, text=ending.text, language=ending.language)
        )

    async def page(self, request: web.Request, _caller: Caller) -> web.Response:
        """GET /v1/alerts."""
        wanted = _filters(request)
        limit = wanted["limit"]
        rows = await self.store.alerts(**wanted)
        counts = await self.store.counts([row.id for row in rows])
        now = self.clock.now()
        listed = [answer.listed_json(row, counts.get(row.id, {}), now) for row in rows]
        following = rows[-1].id if len(rows) == limit else None
        return shown({"alerts": listed, "next": following})

    async def look(self, request: web.Request, _caller: Caller) -> web.Response:
        """GET /v1/alerts/{id}."""
        view = await self.view(request)
        return shown(answer.view_json(view, self.clock.now()))

    async def view(self, request: web.Request) -> View:
        """Return the alert a path names, by id, reference or identifier. Raises Refused."""
        name = _name(request, "id")
        view = await self.store.view(name)
        if view is None and (found := await self.store.find_alert(name)):
            view = await self.store.view(found.id)
        if view is None:
            raise Refused("unknown-alert", "There is no such alert.")
        return view

    async def retry(self, request: web.Request, caller: Caller) -> web.Response:
        """POST .../retry."""
        delivery = await self._delivery(request, caller)
        await self.store.retry(delivery.id, caller.actor)
        self.wake()
        return await self.look(request, caller)

    async def confirm(self, request: web.Request, caller: Caller) -> web.Response:
        """POST .../confirm."""
        said = await self._read(request, Confirmation)
        delivery = await self._delivery(request, caller)
        await self.store.confirm(delivery.id, said.url, caller.actor)
        return await self.look(request, caller)

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
        return await self.look(request, caller)

    async def _delivery(self, request: web.Request, caller: Caller) -> Delivery:
        view, wanted = await self.view(request), _name(request, "delivery")
        permit_sender(view.accepted.alert, caller)
        for delivery, _ in view.deliveries:
            if delivery.id == wanted:
                return delivery
        raise Refused("unknown-delivery", "This alert has no such delivery.")

    async def _body(self, request: web.Request) -> bytes:
        return await read_body(request, self.server.json_bytes_max, self.server.body_seconds)

    async def _read(self, request: web.Request, kind: type[_Model]) -> _Model:
        require_json(request)
        found, faults = json.model(kind, json.read(await self._body(request)))
        if found is None:
            raise invalid(faults)
        return found


def shown(value: Any, status: int = 200) -> web.Response:
    """Return a JSON answer."""
    return web.Response(
        status=status, body=answer.dumps(value), content_type="application/json", charset="utf-8"
    )


def _accepted(given: Answer) -> web.Response:
    headers: dict[str, str] = {hdrs.LOCATION: f"/v1/alerts/{given.alert}"}
    if given.replayed:
        headers["Idempotent-Replayed"] = "true"
    return web.Response(
        status=202,
        body=given.body,
        content_type="application/json",
        charset="utf-8",
        headers=headers,
    )


def _idempotency_key(request: web.Request) -> str:
    given = request.headers.getall("Idempotency-Key", [])
    if not given:
        detail = "Send an Idempotency-Key header of your own; repeat the request with the same one."
        raise Problem(400, "idempotency-key-missing", detail)
    if len(given) > 1 or not _VISIBLE.fullmatch(given[0]):
        detail = "An Idempotency-Key is one header of up to 255 visible ASCII characters."
        raise Problem(400, "idempotency-key-form", detail)
    return given[0]


def _one_header(request: web.Request, name: str) -> str | None:
    given = request.headers.getall(name, [])
    if len(given) > 1 or not all(_ID.fullmatch(value) for value in given):
        raise Problem(400, "allow-duplicate-of-form", f"{name} must be one alert id.")
    return given[0] if given else None


def _is_strict(request: web.Request) -> bool:
    return any(_STRICT.search(value) for value in request.headers.getall("Prefer", []))


def _name(request: web.Request, part: str) -> str:
    name = request.match_info[part]
    if not _NAME.fullmatch(name):
        kind = "alert" if part == "id" else "delivery"
        raise Refused(f"unknown-{kind}", f"There is no such {kind}.")
    return name


def _filters(request: web.Request) -> dict[str, Any]:
    """Read the filters of a list. Raises Problem 400 with every fault."""
    faults = list(_filter_faults(request))
    if faults:
        raise Problem(400, "query", "The query is not understood.", faults)
    wanted: dict[str, Any] = dict(request.query)
    return wanted | {"limit": int(wanted.get("limit", PAGE))}


def _filter_faults(request: web.Request) -> Sequence[Fault]:
    faults = []
    for name in dict.fromkeys(request.query):
        values = request.query.getall(name)
        form = _FILTER_FORMS.get(name)
        if form is None:
            faults.append(Fault("", f"there is no filter {name[:40]!r}", "query-unknown"))
        elif len(values) > 1 or not form.fullmatch(values[0]):
            faults.append(Fault("", f"{name} must match {form.pattern}", "query-value"))
    return faults


_FILTER_FORMS = {
    "before": _ID,
    "limit": re.compile(r"[1-9]|[1-9]\d|1\d\d|200", re.ASCII),
    "state": re.compile("|".join(answer.AlertState)),
    "status": re.compile("|".join(status for status in Status if status is not Status.DRAFT)),
    "incident": re.compile(r"[A-Z]{0,4}\d\d-\d{1,9}", re.ASCII),
    "sender": _NAME,
}


def _form(pattern: re.Pattern[str]) -> dict[str, object]:
    return {"type": "string", "pattern": f"^(?:{pattern.pattern})$"}


_ALERT_ID = Parameter(
    "id", "path", "The alert's id, reference or identifier.", _form(_NAME), required=True
)
_DELIVERY_ID = Parameter("delivery", "path", "The delivery's id.", _form(_NAME), required=True)
_ACCEPT_HEADERS = (
    Parameter(
        "Idempotency-Key",
        "header",
        "The same key and body give the same answer; kept for 30 days.",
        _form(_VISIBLE),
        required=True,
    ),
    Parameter(
        "Allow-Duplicate-Of",
        "header",
        "The id of an alert that says the same, if sending it again is meant.",
        _form(_ID),
    ),
    Parameter(
        "Prefer",
        "header",
        "`handling=strict` refuses the alert if any channel cannot carry its text.",
        {"type": "string", "enum": ["handling=strict", "handling=lenient"]},
    ),
)
_FILTERS = (
    Parameter("before", "query", "The `next` of the page before.", _form(_ID)),
    Parameter(
        "limit",
        "query",
        "How many, 50 unless told.",
        {"type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": PAGE},
    ),
    Parameter(
        "state", "query", "Where it stands.", {"type": "string", "enum": list(answer.AlertState)}
    ),
    Parameter(
        "status",
        "query",
        "CAP's status.",
        {"type": "string", "enum": [one for one in Status if one is not Status.DRAFT]},
    ),
    Parameter("incident", "query", "All versions of one.", _form(_FILTER_FORMS["incident"])),
    Parameter("sender", "query", "Who sent it.", _form(_NAME)),
)
