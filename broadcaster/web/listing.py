"""The filters of a list of alerts: what may be asked, and in which form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from broadcaster.alert import Status
from broadcaster.answer import AlertState
from broadcaster.intake.faults import Fault
from broadcaster.web.problems import Problem
from broadcaster.web.routes import Parameter, form_of

PAGE = 50
PAGE_MAX = 200
NAME = re.compile(r"[!-~]{1,200}", re.ASCII)
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_STATUSES = [status for status in Status if status is not Status.DRAFT]


def filters_of(request: web.Request) -> dict[str, Any]:
    """Read the filters of a list. Raises Problem 400 with every fault."""
    faults = list(_filter_faults(request))
    if faults:
        raise Problem(400, "query", "The query is not understood.", faults)
    wanted: dict[str, Any] = dict(request.query)
    return wanted | {"limit": int(wanted.get("limit", PAGE))}


def _filter_faults(request: web.Request) -> Iterator[Fault]:
    for name in dict.fromkeys(request.query):
        values = request.query.getall(name)
        form = _FILTER_FORMS.get(name)
        if form is None:
            yield Fault("", f"there is no filter {name[:40]!r}", "query-unknown")
        elif len(values) > 1 or not form.fullmatch(values[0]):
            yield Fault("", f"{name} must match {form.pattern}", "query-value")


_FILTER_FORMS = {
    "before": ID,
    "limit": re.compile(r"[1-9]|[1-9]\d|1\d\d|200", re.ASCII),
    "state": re.compile("|".join(AlertState)),
    "status": re.compile("|".join(_STATUSES)),
    "incident": re.compile(r"[A-Z]{0,4}\d\d-\d{1,9}", re.ASCII),
    "sender": NAME,
}


FILTERS = (
    Parameter("before", "query", "The `next` of the page before.", form_of(ID)),
    Parameter(
        "limit",
        "query",
        "How many, 50 unless told.",
        {"type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": PAGE},
    ),
    Parameter("state", "query", "Where it stands.", {"type": "string", "enum": list(AlertState)}),
    Parameter(
        "status",
        "query",
        "CAP's status.",
        {"type": "string", "enum": _STATUSES},
    ),
    Parameter("incident", "query", "All versions of one.", form_of(_FILTER_FORMS["incident"])),
    Parameter("sender", "query", "Who sent it.", form_of(NAME)),
)
