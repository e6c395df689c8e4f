"""The routes of alerts: accept, preview, list, look, end."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from aiohttp import hdrs, web
from pydantic import Field

from broadcaster import answer
from broadcaster.alert import CapModel, Language, Submission, Text
from broadcaster.auth import Caller
from broadcaster.clock import Clock
from broadcaster.config import Server
from broadcaster.intake.alerts import Answer, Intake, Request, fingerprint
from broadcaster.intake.faults import Fault
from broadcaster.record import Refused, Role, View
from broadcaster.store import Store
from broadcaster.web.limits import read_body, read_model, require_json
from broadcaster.web.listing import FILTERS, ID, NAME, filters_of
from broadcaster.web.problems import Problem
from broadcaster.web.routes import Parameter, Route, form_of

_VISIBLE = re.compile(r"[!-~]{1,255}", re.ASCII)
_STRICT = re.compile(r"(?:^|,)\s*handling\s*=\s*\"?strict\"?\s*(?:;|,|$)", re.IGNORECASE)


class Ending(CapModel):
    """The body of a cancel: what the all-clear says beside what it takes from the alert."""

    text: Annotated[Text, Field(max_length=4000)] | None = None
    language: Language | None = None


@dataclass(frozen=True, slots=True)
class Alerts:
    """The routes of alerts."""

    store: Store
    intake: Intake
    server: Server
    clock: Clock

    def routes(self) -> list[Route]:
        """Give the routes of this room."""
        return [*self._taking(), *self._looking()]

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
                (ALERT_ID,),
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
                FILTERS,
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
                (ALERT_ID,),
                answers={200: "Alert"},
                refusals=(404,),
            ),
        ]

    async def accept(self, request: web.Request, caller: Caller) -> web.Response:
        """POST /v1/alerts."""
        content_type = require_json(request)
        keys, duplicates = _given(request, "Idempotency-Key"), _given(request, "Allow-Duplicate-Of")
        body = await self._body(request)
        if faults := [*_key_faults(keys), *_duplicate_faults(duplicates)]:
            first, others = faults[0], await self.intake.faults(body, caller)
            raise Problem(400, first.code, first.detail, [*faults, *others])
        wanted = Request(
            keys[0],
            fingerprint(body, content_type.encode(), request.path.encode()),
            duplicates[0] if duplicates else None,
            _is_strict(request),
        )
        return _accepted(await self.intake.submit(body, caller, wanted))

    async def preview(self, request: web.Request, caller: Caller) -> web.Response:
        """POST /v1/preview."""
        require_json(request)
        return shown(await self.intake.preview(await self._body(request), caller))

    async def cancel(self, request: web.Request, caller: Caller) -> web.Response:
        """POST /v1/alerts/{id}/cancel."""
        ending = Ending()
        if request.can_read_body:
            ending = await read_model(request, Ending, self.server)
        name = name_of(request, "id")
        return _accepted(
            await self.intake.cancel(name, caller, text=ending.text, language=ending.language)
        )

    async def page(self, request: web.Request, _caller: Caller) -> web.Response:
        """GET /v1/alerts."""
        wanted = filters_of(request)
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
        name = name_of(request, "id")
        view = await self.store.view(name)
        if view is None and (found := await self.store.find_alert(name)):
            view = await self.store.view(found.id)
        if view is None:
            raise Refused("unknown-alert", "There is no such alert.")
        return view

    async def _body(self, request: web.Request) -> bytes:
        return await read_body(request, self.server.json_bytes_max, self.server.body_seconds)


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


def _given(request: web.Request, header: str) -> list[str]:
    return request.headers.getall(header, [])


def _key_faults(given: Sequence[str]) -> Iterator[Fault]:
    """Say what is wrong with the Idempotency-Key. A header has no pointer into the body."""
    if not given:
        detail = "Send an Idempotency-Key header of your own; repeat the request with the same one."
        yield Fault("", detail, "idempotency-key-missing")
    elif len(given) > 1 or not _VISIBLE.fullmatch(given[0]):
        detail = "An Idempotency-Key is one header of up to 255 visible ASCII characters."
        yield Fault("", detail, "idempotency-key-form")


def _duplicate_faults(given: Sequence[str]) -> Iterator[Fault]:
    if len(given) > 1 or not all(ID.fullmatch(value) for value in given):
        detail = "Allow-Duplicate-Of must be one alert id."
        yield Fault("", detail, "allow-duplicate-of-form")


def _is_strict(request: web.Request) -> bool:
    return any(_STRICT.search(value) for value in request.headers.getall("Prefer", []))


def name_of(request: web.Request, part: str) -> str:
    """Return the name of an alert ("id") or delivery in a path. Raises Refused if it is none."""
    name = request.match_info[part]
    if not NAME.fullmatch(name):
        kind = "alert" if part == "id" else "delivery"
        raise Refused(f"unknown-{kind}", f"There is no such {kind}.")
    return name


ALERT_ID = Parameter(
    "id", "path", "The alert's id, reference or identifier.", form_of(NAME), required=True
)
DELIVERY_ID = Parameter("delivery", "path", "The delivery's id.", form_of(NAME), required=True)
_ACCEPT_HEADERS = (
    Parameter(
        "Idempotency-Key",
        "header",
        "The same key and body give the same answer; kept for 30 days.",
        form_of(_VISIBLE),
        required=True,
    ),
    Parameter(
        "Allow-Duplicate-Of",
        "header",
        "The id of an alert that says the same, if sending it again is meant.",
        form_of(ID),
    ),
    Parameter(
        "Prefer",
        "header",
        "`handling=strict` refuses the alert if any channel cannot carry its text.",
        {"type": "string", "enum": ["handling=strict", "handling=lenient"]},
    ),
)
