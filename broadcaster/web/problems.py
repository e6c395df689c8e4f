"""Problem documents (RFC 9457): one stable code, a sentence for people, and where the fault is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.typedefs import LooseHeaders

from broadcaster.answer import dumps
from broadcaster.auth import Crowded, Unauthenticated
from broadcaster.intake.faults import Fault, Unfit
from broadcaster.record import Refused, StorageFull, StoreBroken, StoreUnavailable

CONTENT_TYPE = "application/problem+json"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

REFUSED_STATUS: Mapping[str, int] = {
    "foreign-incident": 403,
    "not-found": 404,
    "no-card": 404,
    "unknown-alert": 404,
    "unknown-delivery": 404,
    "unknown-reference": 422,
}
_RETRY_AFTER_SECONDS = {"in-progress": 1}
_STATUS_CODES = {404: "not-found", 405: "method-not-allowed", 413: "too-large", 417: "expectation"}


@dataclass(slots=True)
class Problem(Exception):  # noqa: N818 - an answer, not a malfunction
    """An answer that says what is wrong. `alert` is the one the caller should look at."""

    status: int
    code: str
    detail: str
    errors: Sequence[Fault] = ()
    headers: LooseHeaders = field(default_factory=dict)
    alert: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the document."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "errors": [fault.to_json() for fault in self.errors],
        }
        return document | ({"alert": self.alert} if self.alert else {})

    def response(self) -> web.Response:
        """Return the answer."""
        return web.Response(
            status=self.status,
            body=dumps(self.to_json()),
            content_type=CONTENT_TYPE,
            headers=self.headers,
        )


@web.middleware
async def as_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every refusal that has a name into its problem document."""
    try:
        return await handler(request)
    except Problem as problem:
        return _answered(problem)
    except Unfit as unfit:
        return Problem(unfit.status, unfit.code, unfit.detail, unfit.faults).response()
    except Refused as refused:
        return of_refused(refused).response()
    except Unauthenticated as refused:
        return of_unauthenticated(refused).response()
    except (Crowded, StorageFull, StoreUnavailable, StoreBroken) as error:
        return of_trouble(error).response()
    except web.HTTPException as error:
        return of_http(error).response()


def _answered(problem: Problem) -> web.Response:
    response = problem.response()
    if problem.status == HTTPStatus.REQUEST_TIMEOUT:
        response.force_close()
    return response


def of_refused(refused: Refused) -> Problem:
    """Say why the accepting transaction, or a person's order, was refused."""
    seconds = _RETRY_AFTER_SECONDS.get(refused.code)
    headers = {hdrs.RETRY_AFTER: str(seconds)} if seconds else {}
    status = REFUSED_STATUS.get(refused.code, 409)
    return Problem(status, refused.code, refused.detail, headers=headers, alert=refused.alert)


def of_unauthenticated(refused: Unauthenticated) -> Problem:
    """Ask for a key, and say what was wrong with the one that came."""
    error = "" if refused.code == "key-missing" else ', error="invalid_token"'
    headers = {hdrs.WWW_AUTHENTICATE: f'Bearer realm="broadcaster"{error}'}
    return Problem(401, refused.code, refused.detail, headers=headers)


def of_trouble(error: Exception) -> Problem:
    """Say that it is us, not the request, and when to come back."""
    if isinstance(error, Crowded):
        detail = "Too many requests with keys that are not valid; try again later."
        return Problem(429, "too-many-bad-keys", detail, headers={hdrs.RETRY_AFTER: "2"})
    if isinstance(error, StorageFull):
        detail = "The disk is full. Nothing was accepted; alerts accepted before still go out."
        return Problem(507, "storage-full", detail)
    detail = "The store does not answer. Nothing is known to be accepted; repeat with the same key."
    return Problem(503, "store-unavailable", detail, headers={hdrs.RETRY_AFTER: "2"})


def of_http(error: web.HTTPException) -> Problem:
    """Put the server's own refusals (no such path, no such method) into the same form."""
    allow = error.headers.get(hdrs.ALLOW)
    code = _STATUS_CODES.get(error.status, HTTPStatus(error.status).phrase.lower())
    detail = f"Use one of: {allow}." if allow else f"{HTTPStatus(error.status).phrase}."
    headers = {hdrs.ALLOW: allow} if allow else {}
    return Problem(error.status, code.replace(" ", "-"), detail, headers=headers)


def of_bad_http(status: int, cause: BaseException | None) -> Problem:
    """Say what was wrong with a request that is not even HTTP, without repeating it."""
    said = str(cause)
    if isinstance(cause, LineTooLong) or "Too many headers" in said:
        detail = "The request line or the headers are too long or too many."
        return Problem(431, "headers-too-large", detail)
    return Problem(status, "http-malformed", "This is no well-formed HTTP/1.1 request.")
