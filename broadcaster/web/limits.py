"""What a request may be before anybody looks at what it says: form, size and time."""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import TypeVar

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web
from pydantic import BaseModel

from broadcaster.config import Server
from broadcaster.intake import json
from broadcaster.intake.faults import invalid
from broadcaster.web.problems import Handler, Problem

_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?", re.ASCII)
_JSON = "application/json"
_CAP = "application/cap+xml"
_UTF8 = frozenset({"utf-8", "utf8"})
_Model = TypeVar("_Model", bound=BaseModel)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Server": "broadcaster",
}


@web.middleware
async def within_limits(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what no honest client sends, before a byte of the body is read."""
    if not HttpVersion10 <= request.version <= HttpVersion11:
        raise Problem(400, "http-version", "Speak HTTP/1.1.")
    hosts = request.headers.getall(hdrs.HOST, [])
    if len(hosts) > 1 or not all(_HOST.fullmatch(host) for host in hosts):
        raise Problem(400, "host", "The Host header must name one host, and a port if need be.")
    if not hosts and request.version == HttpVersion11:
        raise Problem(400, "host", "HTTP/1.1 requires a Host header.")
    encodings = request.headers.getall(hdrs.CONTENT_ENCODING, [])
    if any(encoding.strip().lower() != "identity" for encoding in encodings):
        raise Problem(415, "content-encoding", "Send the body as it is, without compression.")
    return await handler(request)


async def expect(request: web.Request) -> web.Response | None:
    """Answer an Expect header: 100-continue goes on, anything else is refused."""
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # As if nothing had been written: an error after this may still be answered.
        request.writer.output_size = 0
        return None
    return Problem(417, "expectation", "The only Expect known is 100-continue.").response()


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Give every answer the headers that keep browsers from making more of it than it is."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = _HEADERS["Server"]


def require_json(request: web.Request) -> str:
    """Return the content type as it came. Raises Problem 415 unless it is JSON in UTF-8."""
    given = request.headers.getall(hdrs.CONTENT_TYPE, [])
    if len(given) != 1:
        raise Problem(415, "content-type", f"Send one Content-Type: {_JSON}.")
    if request.content_type == _CAP:
        raise Problem(415, "cap-not-yet", f"CAP XML is not taken here yet; send {_JSON}.")
    charset = request.charset
    if request.content_type != _JSON or (charset and charset.lower() not in _UTF8):
        raise Problem(415, "content-type", f"Send {_JSON} in UTF-8.")
    return given[0]


async def read_body(request: web.Request, bytes_max: int, seconds: float) -> bytes:
    """Return the body. Raises Problem: 413 when too large, 408 when too slow, 400 when broken."""
    if (request.content_length or 0) > bytes_max:
        raise _too_large(bytes_max)
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > bytes_max:
                    raise _too_large(bytes_max)
    except TimeoutError:
        detail = f"The body did not arrive within {seconds:g} s."
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, "body-timeout", detail) from None
    except (web.RequestPayloadError, ConnectionError):
        raise Problem(400, "body-broken", "The body broke off or is not well-formed.") from None
    return bytes(body)


async def read_model(request: web.Request, kind: type[_Model], server: Server) -> _Model:
    """Return the body as a model. Raises Problem, Malformed or Invalid with every fault."""
    require_json(request)
    body = await read_body(request, server.json_bytes_max, server.body_seconds)
    found, faults = json.model(kind, json.read(body))
    if found is None:
        raise invalid(faults)
    return found


def _too_large(bytes_max: int) -> Problem:
    return Problem(413, "too-large", f"The body may have {bytes_max} bytes, not more.")
