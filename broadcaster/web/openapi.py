"""The OpenAPI 3.1 description, made from the same models and routes that answer."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from broadcaster import __version__
from broadcaster.answer import AlertState
from broadcaster.delivery import Act, Outcome, State
from broadcaster.web.problems import CONTENT_TYPE
from broadcaster.web.routes import Parameter, Route

_REFERENCE = "#/components/schemas/{model}"

_TIME = {"type": "string", "format": "date-time"}
_TEXT = {"type": "string"}
_WHOLE = {"type": "integer"}


# What answers in no JSON: the name of the route, its content type and schema.
_STREAM = {
    "type": "object",
    "description": "One server-sent event; comments may come between.",
    "required": ["id", "event", "data"],
    "properties": {
        "id": {"type": "string", "description": "Send it as Last-Event-ID to go on from here."},
        "event": {"const": "delivery"},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": "#/components/schemas/Event"},
        },
    },
}
_PICTURE = {"type": "string", "contentMediaType": "image/png"}
_TEXTS: dict[str, tuple[str, dict[str, Any]]] = {
    "follow": ("text/event-stream", _STREAM),
    "metrics": ("text/plain", _TEXT),
    "card": ("image/*", _PICTURE),
    "preview_card": ("image/*", _PICTURE),
}


def _maybe(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _list(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": schema}


def _object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": required | optional}


def _named(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


_HEAD = {
    "id": _TEXT,
    "reference": _TEXT,
    "incident": _TEXT,
    "identifier": _TEXT,
    "sender": _TEXT,
    "sent": _TIME,
    "status": _TEXT,
    "msgType": _TEXT,
    "scope": _TEXT,
    "expires": _TIME,
    "state": {
        "enum": [*AlertState, "draft", "waiting-release"],
        "description": "Treat a state you do not know as active.",
    },
    "accepted": _TIME,
    "released_at": _TIME,
    "released_by": _TEXT,
    "superseded_by": _maybe(_TEXT),
    "ended_at": _maybe(_TIME),
    "content_hash": _TEXT,
    "info": _list(_named("Info")),
    "warnings": _list(_TEXT),
}
_SAID = {"source": _TEXT, "note": _TEXT, "references": _TEXT, "incidents": _TEXT}

ANSWERS: dict[str, dict[str, Any]] = {
    "Alert": _object(
        _HEAD | {"deliveries": _list(_named("Delivery"))},
        **_SAID,
        code=_list(_TEXT),
        newest={"type": "string", "description": "The id of the newest of the incident."},
    ),
    "ListedAlert": _object(
        _HEAD | {"counts": {"type": "object", "additionalProperties": _WHOLE}},
        **_SAID,
        code=_list(_TEXT),
    ),
    "AlertPage": _object({"alerts": _list(_named("ListedAlert")), "next": _maybe(_TEXT)}),
    "Delivery": _object(
        {
            "id": _TEXT,
            "channel": _TEXT,
            "type": _TEXT,
            "part": _TEXT,
            "state": _named("State"),
            "reason": _maybe(_TEXT),
            "due": _maybe(_TIME),
            "message": _maybe(_named("Message")),
            "remote_id": _maybe(_TEXT),
            "url": _maybe(_TEXT),
            "note": _maybe(_TEXT) | {"description": "What is not as planned: posted without card."},
            "seen": _maybe(_named("Seen")),
            "since": _TIME,
            "told": {"type": "boolean", "description": "On-call staff know of its trouble."},
            "attempts": _list(_named("Attempt")),
        }
    ),
    "Message": _object(
        {"text": _TEXT, "language": _TEXT, "media": _list(_named("Media"))},
        subject=_TEXT,
        length=_WHOLE,
        limit=_WHOLE,
        link={"type": "string", "description": "Where a person posts it by hand."},
        missing={"type": "string", "description": "Why its picture does not go with it."},
        act={"enum": [Act.CORRECT], "description": "It marks an older post as overtaken."},
    ),
    "Media": _object(
        {
            "url": _maybe(_TEXT) | {"description": "Null until the card is drawn."},
            "alt": _TEXT,
            "type": _TEXT,
            "width": _WHOLE,
            "height": _WHOLE,
        }
    ),
    "Seen": _object(
        {
            "there": {"type": "boolean", "description": "The post is there as it was posted."},
            "public": {"type": "boolean", "description": "Seen logged out or app-only."},
            "looked": _TIME,
            "looks": _WHOLE,
            "after_seconds": _maybe({"type": "number"}),
            "text_hash": _maybe(_TEXT),
            "reason": _maybe(_TEXT),
            "counts": {"type": "object", "additionalProperties": _WHOLE},
        }
    ),
    "Attempt": _object(
        {
            "number": _WHOLE,
            "started": _TIME,
            "finished": _maybe(_TIME),
            "outcome": _maybe({"enum": list(Outcome)}),
            "error": _maybe(_TEXT),
        }
    ),
    "Event": _object(
        {
            "id": _WHOLE,
            "alert": _TEXT,
            "delivery": _TEXT,
            "channel": _TEXT,
            "part": _TEXT,
            "at": _TIME,
            "state": _named("State"),
            "before": _maybe(_named("State")),
            "reason": _maybe(_TEXT),
            "url": _maybe(_TEXT),
        }
    ),
    "State": {"enum": list(State), "description": "Treat a state you do not know as open."},
    "ChannelList": _object({"channels": _list(_named("Channel"))}),
    "Channel": _object(
        {
            "name": _TEXT,
            "type": _TEXT,
            "carries": {"type": "object"},
            "languages": _maybe(_list(_TEXT)),
            "template": _TEXT,
            "guarantee": _TEXT,
            "posts_per_day_max": _maybe(_WHOLE),
            "limits": {"type": "object"},
            "readiness": {"type": "object"},
        }
    ),
    "Health": _object({"status": {"const": "ok"}}),
    "Problem": _object(
        {
            "type": _TEXT,
            "title": _TEXT,
            "status": _WHOLE,
            "code": _TEXT,
            "detail": _TEXT,
            "errors": _list(_object({"pointer": _TEXT, "detail": _TEXT, "code": _TEXT})),
        },
        alert={"type": "string", "description": "The id of the alert to look at."},
    ),
}


def describe(routes: Sequence[Route]) -> dict[str, Any]:
    """Return the description of exactly these routes."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Crisis alert broadcaster",
            "version": __version__,
            "description": "Takes one alert in CAP 1.2's words and puts it out on every channel.",
        },
        "paths": paths,
        "components": {
            "schemas": _bodies(routes) | ANSWERS,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _bodies(routes: Sequence[Route]) -> dict[str, Any]:
    models: dict[type[BaseModel], None] = {route.body: None for route in routes if route.body}
    _, schema = models_json_schema(
        [(model, "validation") for model in models], ref_template=_REFERENCE
    )
    found: dict[str, Any] = schema.get("$defs", {})
    return found


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "responses": _responses(route),
    }
    if route.parameters:
        operation["parameters"] = [_parameter(one) for one in route.parameters]
    if route.body:
        content = {"application/json": {"schema": _named(route.body.__name__)}}
        operation["requestBody"] = {"required": route.body_required, "content": content}
    if route.role:
        operation["security"] = [{"key": []}]
        operation["description"] = f"Needs a key of role {route.role} or above."
    return operation


def _parameter(one: Parameter) -> dict[str, Any]:
    return {
        "name": one.name,
        "in": one.place,
        "required": one.required,
        "description": one.sentence,
        "schema": one.schema,
    }


def _responses(route: Route) -> dict[str, Any]:
    guarded = (401, 403, 429) if route.role else ()
    refusals = sorted({400, 415, 503, *guarded, *route.refusals})
    problem = {CONTENT_TYPE: {"schema": _named("Problem")}}
    answers = {
        str(status): {"description": HTTPStatus(status).phrase, "content": _content(route, name)}
        for status, name in dict(route.answers).items()
    }
    return answers | {
        str(status): {"description": HTTPStatus(status).phrase, "content": problem}
        for status in refusals
    }


def _content(route: Route, name: str | None) -> dict[str, Any]:
    if name is None:
        content_type, schema = _TEXTS[route.name]
        return {content_type: {"schema": schema}}
    return {"application/json": {"schema": _named(name) if name in ANSWERS else {}}}
