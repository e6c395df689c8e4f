"""The client: every answer becomes a value, a refusal with its faults, or a sentence."""

from __future__ import annotations

import asyncio
import ssl

import aiohttp
import pytest
from aiohttp import web

from broadcaster.terminal.client import Client, Fault, Lost, Problem, content_type
from tests.terminal.conftest import Daemon


async def test_an_answer_is_its_json(daemon: Daemon, client: Client) -> None:
    """A success is what the daemon said."""
    daemon.says("GET", "/v1/alerts", {"alerts": []})
    assert await client.get("/v1/alerts", limit="5") == {"alerts": []}
    assert daemon.asked[0][1] == "/v1/alerts?limit=5"


async def test_a_reference_with_a_slash_is_one_part_of_the_path(
    daemon: Daemon, client: Client
) -> None:
    """26-0142/1 names an alert, not a folder."""
    daemon.says("GET", "/v1/alerts/26-0142%2F1", {"id": "a1"})
    assert await client.alert("26-0142/1") == {"id": "a1"}


async def test_a_refusal_names_every_fault_with_its_pointer(daemon: Daemon, client: Client) -> None:
    """A problem document's errors come out in their order."""
    document = {
        "code": "invalid-alert",
        "detail": "The alert has 2 faults.",
        "errors": [
            {"pointer": "/info/0/severity", "detail": "must be one of Extreme, Severe"},
            {"pointer": "/sender", "detail": "is required"},
        ],
    }
    daemon.says("POST", "/v1/alerts", document, status=422)
    with pytest.raises(Problem) as caught:
        await client.post_alert("/v1/alerts", b"{}")
    assert (caught.value.status, caught.value.code) == (422, "invalid-alert")
    assert caught.value.faults == [
        Fault("/info/0/severity", "must be one of Extreme, Severe"),
        Fault("/sender", "is required"),
    ]


async def test_an_answer_that_is_no_problem_document_is_still_a_refusal(
    daemon: Daemon, client: Client
) -> None:
    """A proxy's HTML page, a redirect or a page of another server never looks like success."""
    daemon.says("GET", "/a", web.Response(status=502, text="<html>Bad Gateway</html>"))
    daemon.says("GET", "/b", web.Response(status=302, headers={"Location": "https://elsewhere"}))
    daemon.says("GET", "/c", web.Response(text="<html>It works!</html>"))
    for path, status in (("/a", 502), ("/b", 302), ("/c", 200)):
        with pytest.raises(Problem) as caught:
            await client.get(path)
        assert caught.value.status == status
        assert "broadcaster" in caught.value.detail


async def test_retry_after_is_read_where_it_is_a_number(daemon: Daemon, client: Client) -> None:
    """Junk in Retry-After counts as missing."""
    for value, seconds in (("7", 7.0), ("soon", None), ("-1", None), ("²", None)):
        answer = web.json_response({"code": "busy"}, status=503, headers={"Retry-After": value})
        daemon.says("GET", "/busy", answer)
        with pytest.raises(Problem) as caught:
            await client.get("/busy")
        assert caught.value.retry_after == seconds


async def test_nobody_listening_is_certain_not_to_have_taken_it(client: Client) -> None:
    """A refused connection says what to do, and that nothing was handed over."""
    lonely = Client(client._session, "http://127.0.0.1:9", "http://127.0.0.1:9")
    with pytest.raises(Lost, match="Is the daemon running") as caught:
        await lonely.get("/v1/alerts")
    assert not caught.value.sent
    assert not caught.value.hopeless


async def test_a_broken_connection_leaves_doubt(daemon: Daemon, client: Client) -> None:
    """Once the request is on its way, a lost answer may hide an acceptance."""
    daemon.says("POST", "/v1/alerts", RuntimeError("drop"))
    with pytest.raises(Lost) as caught:
        await client.post_alert("/v1/alerts", b"{}")
    assert caught.value.sent


async def test_a_slow_answer_leaves_doubt(daemon: Daemon, client: Client) -> None:
    """Running out of time after the request was sent is no refusal."""
    over = asyncio.Event()

    async def never(_request: web.Request) -> web.StreamResponse:
        await over.wait()
        return web.Response()

    daemon.handlers["GET", "/slow"] = never
    with pytest.raises(Lost, match="did not answer in time") as caught:
        await client.request("GET", "/slow", seconds=0.05)
    over.set()
    assert caught.value.sent


async def test_what_a_repeat_cannot_mend_is_told_apart(client: Client) -> None:
    """A certificate nobody trusts stays as it is; the sentence says what to look at."""
    key = aiohttp.client_reqrep.ConnectionKey("h", 443, True, True, None, None, None)
    broken = aiohttp.ClientConnectorCertificateError(key, ssl.SSLCertVerificationError("expired"))
    lost = client._lost(broken)
    assert lost.hopeless
    assert not lost.sent
    assert "certificate" in str(lost)


@pytest.mark.parametrize("address", ["http://no-such-host.invalid", "http://[::", "http://a b"])
async def test_an_address_that_leads_nowhere_is_told_at_once(address: str) -> None:
    """A mistyped server is no daemon that might come back."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(Lost) as caught:
            await Client(session, address, address).get("/v1/alerts")
    assert caught.value.hopeless
    assert address in str(caught.value)


async def test_events_come_with_their_ids(daemon: Daemon, client: Client) -> None:
    """The stream's format is read: comments, several data lines, ids that stay."""
    stream = ": hello\n\nid: 7\nevent: state\ndata: {\ndata: }\n\ndata: next\n\nevent: empty\n\n"
    answer = web.Response(text=stream, content_type="text/event-stream")
    daemon.says("GET", "/v1/alerts/a1/events", answer)
    events = [event async for event in client.events("a1", "6")]
    assert [(event.id, event.kind, event.data) for event in events] == [
        ("7", "state", "{\n}"),
        ("7", "message", "next"),
    ]
    assert daemon.headers[0]["Last-Event-ID"] == "6"


async def test_a_missing_event_stream_is_a_refusal(daemon: Daemon, client: Client) -> None:
    """Where there is no stream, the caller learns it and can ask instead."""
    daemon.says("GET", "/v1/alerts/a2/events", {"not": "a stream"})
    for name in ("a1", "a2"):
        with pytest.raises(Problem):
            [event async for event in client.events(name, None)]


def test_cap_and_json_are_told_apart_by_their_first_character() -> None:
    """A byte order mark or a blank line before it changes nothing."""
    assert content_type(b'\xef\xbb\xbf\n<?xml version="1.0"?><alert/>') == "application/cap+xml"
    assert content_type(b' {"status": "Actual"}') == "application/json"
