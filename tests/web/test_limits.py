"""Limits of a request; the bad-input table has what is refused."""

from __future__ import annotations

import json

from tests.web.door import Door, alert


async def test_every_answer_tells_browsers_to_make_nothing_of_it(door: Door) -> None:
    """Also a refusal; and no answer names the software behind it."""
    for path in ("/healthz", "/nothing"):
        _, _, headers = await door.ask("GET", path, key=None)
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-store"
        assert headers["Server"] == "broadcaster"


async def test_a_caller_who_waits_for_100_continue_gets_it(door: Door) -> None:
    """Some clients ask before they send a body."""
    body = json.dumps(alert()).encode()
    head = (
        "POST /v1/preview HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        f"Authorization: {door.bearer()}\r\nContent-Length: {len(body)}\r\n"
        "Expect: 100-continue\r\nConnection: close\r\n\r\n"
    )
    raw = await door.raw(head.encode() + body)
    assert raw.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")


async def test_identity_is_no_compression(door: Door) -> None:
    """The one content coding that changes nothing is taken."""
    headers = {"Content-Encoding": "identity"}
    assert (await door.ask("POST", "/v1/preview", body=alert(), headers=headers))[0] == 200


async def test_a_refused_body_is_not_waited_for(door: Door) -> None:
    """Without a key, not a byte of the body is read before the answer."""
    head = b"POST /v1/alerts HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n"
    assert (await door.raw(head, seconds=2)).startswith(b"HTTP/1.1 401")


async def test_an_absolute_target_is_a_path_like_another(door: Door) -> None:
    """Proxies send it; the Host header still counts as sent."""
    raw = await door.raw(
        b"GET http://elsewhere/healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )
    assert raw.startswith(b"HTTP/1.1 200")
