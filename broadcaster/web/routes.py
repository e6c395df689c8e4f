"""What a route is: where it answers, who may call it, and what the description says of it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from aiohttp import web
from pydantic import BaseModel

from broadcaster.auth import Caller
from broadcaster.record import Role

Answering = Callable[[web.Request, Caller], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a request, as OpenAPI describes it. `place`: path, query or header."""

    name: str
    place: str
    sentence: str
    schema: Mapping[str, object]
    required: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """One method on one path.

    `role` None: open to everybody. `answers` maps a status to the name of its schema, None for one
    that is no JSON. `refusals` are the problem statuses beside those every route may give.
    """

    method: str
    path: str
    name: str
    summary: str
    handler: Answering
    role: Role | None = None
    parameters: Sequence[Parameter] = ()
    body: type[BaseModel] | None = None
    body_required: bool = True
    answers: Mapping[int, str | None] = field(default_factory=dict)
    refusals: Sequence[int] = ()


def form_of(pattern: re.Pattern[str]) -> dict[str, object]:
    """Return the schema of a text that must match a pattern as a whole."""
    return {"type": "string", "pattern": f"^(?:{pattern.pattern})$"}
