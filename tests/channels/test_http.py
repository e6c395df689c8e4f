"""Posting over HTTP: what a failure proves, and that nothing is ever sent twice."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from multidict import CIMultiDict
from yarl import URL

from broadcaster.channels import http
from broadcaster.config import Timing
from broadcaster.delivery import Failure, NeedsPerson, NotSent, Rejected, Unknown
from broadcaster.terminal.child import free_port
from tests.channels.stub import NOW, Fault, Reply, Stub, serving

SHORT = Timing(attempt_seconds=0.4, connect_seconds=0.2)


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    """Run a server that answers as told."""
    async with serving() as one:
        yield one


@pytest.fixture
async def client() -> AsyncIterator[http.Client]:
    """Give a client with short limits."""
    one = http.Client(SHORT)
    yield one
    await one.close()


async def post(client: http.Client, url: str) -> http.Answer:
    """Post a small body."""
    return await client.post(URL(url), b'{"alert": 1}', {"Content-Type": "application/json"})


async def test_what_was_answered_is_given_back(client: http.Client, stub: Stub) -> None:
    """Status, headers and body of any answer come back, errors included."""
    stub.say(418, b"short and stout", X_Kind="teapot")
    answer = await post(client, stub.url)
    assert (answer.status, answer.headers["x-kind"]) == (418, "teapot")
    assert (answer.body, answer.whole) == (b"short and stout", True)
    assert stub.requests[0].body == b'{"alert": 1}'


async def test_connections_are_kept(client: http.Client, stub: Stub) -> None:
    """A second post goes over the connection of the first, so that an alert finds it warm."""
    stub.say(200, b"x" * 100_000)
    await post(client, stub.url)
    await post(client, stub.url)
    assert stub.connections == 1


async def test_a_redirect_is_an_answer(client: http.Client, stub: Stub) -> None:
    """A redirect is never followed: it would carry the message to somebody else."""
    stub.say(307, Location=f"{stub.url}/elsewhere")
    assert (await post(client, stub.url)).status == 307
    assert len(stub.requests) == 1


LOST = [Fault.CLOSE, Fault.RESET, Fault.HANG, Fault.DRIP_HEAD, Fault.GARBAGE]


@pytest.mark.parametrize("fault", LOST)
async def test_a_lost_answer_is_unknown(client: http.Client, stub: Stub, fault: Fault) -> None:
    """When the request was read and no status came back, nobody knows; it is not sent again."""
    stub.answer = lambda _: fault
    with pytest.raises(Unknown):
        await post(client, stub.url)
    assert len(stub.posts) == 1


@pytest.mark.parametrize("fault", LOST)
async def test_a_lost_answer_on_a_kept_connection_is_unknown(
    client: http.Client, stub: Stub, fault: Fault
) -> None:
    """A connection that was good before proves nothing, and the post is not repeated."""
    await post(client, stub.url)
    stub.answer = lambda _: fault
    with pytest.raises(Unknown):
        await post(client, stub.url)
    assert len(stub.posts) == 2


async def test_a_connection_that_the_server_gave_up_is_replaced(
    client: http.Client, stub: Stub
) -> None:
    """A kept connection that has died since is no failure: the post takes a new one."""
    await post(client, stub.url)
    for writer in list(stub.open):
        writer.transport.abort()
    await asyncio.sleep(0.05)  # the end of the connection has to arrive
    assert (await post(client, stub.url)).status == 200
    assert stub.connections == 2


async def test_a_refused_connection_is_not_sent(client: http.Client) -> None:
    """Where nobody listens, nothing was sent."""
    with pytest.raises(NotSent, match="refused"):
        await post(client, f"http://127.0.0.1:{free_port()}")


async def test_a_name_that_does_not_exist_is_not_sent(client: http.Client) -> None:
    """Where the name leads nowhere, nothing was sent."""
    with pytest.raises(NotSent):
        await post(client, "http://nowhere.invalid")


async def test_a_certificate_that_is_not_trusted_is_not_sent(
    client: http.Client, tmp_path: Path
) -> None:
    """TLS fails before the request: nothing was sent, and nothing was read."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    asked = ["-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", "-x509", *asked, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    stub = Stub()
    server = await asyncio.start_server(stub.serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(NotSent, match="certificate"):
        await post(client, f"https://127.0.0.1:{port}")
    server.close()
    assert stub.requests == []


async def test_a_handshake_that_hangs_is_not_sent(client: http.Client, stub: Stub) -> None:
    """A server that takes the connection and never speaks TLS has read no message."""
    with pytest.raises(NotSent, match="limit"):
        await post(client, stub.url.replace("http:", "https:"))
    assert stub.requests == []


async def test_a_header_that_cannot_be_sent_is_not_sent(client: http.Client, stub: Stub) -> None:
    """What the client itself refuses has not left."""
    with pytest.raises(NotSent):
        await client.post(URL(stub.url), b"{}", {"X-Bad": "a\r\nX-More: b"})
    assert stub.requests == []


@pytest.mark.parametrize("fault", [Fault.DRIP_BODY, Fault.CUT_BODY])
async def test_a_status_counts_though_its_body_breaks_off(
    client: http.Client, stub: Stub, fault: Fault
) -> None:
    """Once the status was read there is an answer; its body is marked as not whole."""
    stub.answer = lambda _: fault
    answer = await post(client, stub.url)
    assert (answer.status, answer.body, answer.whole) == (200, b"", False)
    assert len(stub.posts) == 1


async def test_a_body_without_end_is_not_read_on(client: http.Client, stub: Stub) -> None:
    """Nobody can fill the memory: beyond the bound the connection is closed."""
    stub.say(200, b"x" * (3 * http.BODY_BYTES_MAX))
    answer = await post(client, stub.url)
    assert (answer.body, answer.whole) == (b"", False)
    stub.say(200, b"ok")
    assert (await post(client, stub.url)).body == b"ok"
    assert stub.connections == 2


async def test_a_closed_client_sends_again_on_a_new_session(
    client: http.Client, stub: Stub
) -> None:
    """Closing gives back the connections; a later post opens new ones."""
    await post(client, stub.url)
    await client.close()
    await post(client, stub.url)
    assert stub.connections == 2


@pytest.mark.parametrize("fault", [*LOST, Fault.DRIP_BODY, Fault.CUT_BODY])
async def test_a_read_that_fails_is_not_sent(client: http.Client, stub: Stub, fault: Fault) -> None:
    """Reading changes nothing, so that a failed read is a hiccup and may be repeated."""
    stub.answer = lambda _: fault
    with pytest.raises(NotSent, match="could not be asked"):
        await client.get(URL(stub.url), {})


async def test_a_deletion_without_an_answer_is_unknown(client: http.Client, stub: Stub) -> None:
    """A deletion whose answer is lost may have happened."""
    stub.answer = lambda _: Fault.CLOSE
    with pytest.raises(Unknown):
        await client.delete(URL(stub.url), {})
    with pytest.raises(NotSent):
        await client.delete(URL(f"http://127.0.0.1:{free_port()}"), {})


async def test_one_host_that_hangs_does_not_hold_up_another_channel(stub: Stub) -> None:
    """Two channels on one host share no connections: each has its own client."""
    stub.answer = lambda request: Fault.HANG if request.path == "/hangs" else Reply()
    hanging, other = http.Client(SHORT), http.Client(SHORT)
    many = [asyncio.create_task(post(hanging, f"{stub.url}/hangs")) for _ in range(20)]
    while len(stub.requests) < http.CONNECTIONS_PER_HOST:
        await asyncio.sleep(0.01)
    assert (await post(other, f"{stub.url}/works")).status == 200
    ended = await asyncio.gather(*many, return_exceptions=True)
    await hanging.close()
    await other.close()
    assert {type(end) for end in ended} == {Unknown, NotSent}
    assert len([end for end in ended if isinstance(end, Unknown)]) == http.CONNECTIONS_PER_HOST


STATUSES: list[tuple[int, type[Failure]]] = [
    (200, Unknown),  # where the network always gives an id, and there is none
    (301, Unknown),
    (307, Unknown),
    (400, Rejected),
    (401, NeedsPerson),
    (402, NeedsPerson),
    (403, Rejected),
    (404, Rejected),
    (408, Unknown),
    (410, Rejected),
    (422, Rejected),
    (429, NotSent),
    (500, Unknown),
    (502, Unknown),
    (503, Unknown),
    (504, Unknown),
    (599, Unknown),
]


@pytest.mark.parametrize(("status", "kind"), STATUSES)
def test_each_status_means_what_the_delivery_contract_says(
    status: int, kind: type[Failure]
) -> None:
    """The fallback table: 429 is not sent, every 5xx is unknown, most 4xx are refusals."""
    failure = http.failure_for(http.Answer(status, {}, b""), "X", NOW)
    assert type(failure) is kind
    assert str(status) in failure.reason


RETRY_AFTER = [
    ("20", timedelta(seconds=20)),
    ("0", timedelta(0)),
    ("Sun, 22 Nov 2026 01:48:00 GMT", timedelta(seconds=60)),
    ("Sun, 22 Nov 2026 01:48:00 -0000", timedelta(seconds=60)),
    ("Sun, 22 Nov 2026 01:46:00 GMT", None),  # past
    ("-5", None),
    ("1.5", None),
    ("soon", None),
    ("", None),
    ("٢٠", None),
    ("9" * 400, None),
    ("Sun, 99 Nov 2026 99:99:99 GMT", None),
    (str(72 * 3600), timedelta(hours=72)),  # as long as an all-clear is tried
    (str(72 * 3600 + 1), None),
    ("999999999", None),
    ("Wed, 25 Nov 2026 01:47:00 GMT", timedelta(hours=72)),
    ("Wed, 25 Nov 2026 01:47:01 GMT", None),
    ("Fri, 31 Dec 9999 23:59:59 -1200", None),  # no time can be so late
    ("Fri, 31 Dec 9999 23:59:59 GMT", None),
    ("Mon, 01 Jan 0001 00:00:00 +1200", None),
    ("nan", None),
    ("inf", None),
    ("1e9", None),
]


@pytest.mark.parametrize(("value", "expected"), RETRY_AFTER)
def test_retry_after_is_read_as_seconds_or_a_date(value: str, expected: timedelta | None) -> None:
    """What is negative, past, junk or over 72 h counts as missing."""
    answer = http.Answer(429, CIMultiDict({"retry-after": value}), b"")
    failure = http.failure_for(answer, "X", NOW)
    assert isinstance(failure, NotSent)
    assert (failure.retry_after, failure.rate_limited) == (expected, True)


RESETS = [
    (60, timedelta(seconds=60)),
    (72 * 3600, timedelta(hours=72)),
    (72 * 3600 + 1, None),
    (0, None),
    (-60, None),
    (10**12, None),
    (10**30, None),
]


@pytest.mark.parametrize(("ahead", "expected"), RESETS)
def test_a_reset_is_a_wait_only_within_reason(ahead: int, expected: timedelta | None) -> None:
    """A moment in the past, or later than anything is tried, counts as missing."""
    assert http.until(int(NOW.timestamp()) + ahead, NOW) == expected


# Putting bytes, keeping warm, reading objects


@pytest.mark.parametrize("fault", LOST)
async def test_a_put_whose_answer_is_lost_is_unknown(
    client: http.Client, stub: Stub, fault: Fault
) -> None:
    """Bytes that were begun to be put may be there; it is for the caller to ask how far it got."""
    stub.answer = lambda _: fault
    with pytest.raises(Unknown):
        await client.put(URL(stub.url), b"bytes", {})


async def test_a_put_without_a_connection_is_not_sent(client: http.Client) -> None:
    """Nothing listens: nothing was put."""
    with pytest.raises(NotSent):
        await client.put(URL(f"http://127.0.0.1:{free_port()}"), b"bytes", {})


async def test_what_a_put_was_answered_is_given_back(client: http.Client, stub: Stub) -> None:
    """A 308 says how far an upload got; it is an answer, and never followed."""
    stub.say(308, Range="bytes=0-4")
    answer = await client.put(URL(stub.url), b"bytes", {"Content-Range": "bytes 0-4/9"})
    assert (answer.status, answer.headers["range"]) == (308, "bytes=0-4")
    assert [one.method for one in stub.requests] == ["PUT"]
    assert stub.requests[0].body == b"bytes"


async def test_a_warm_connection_is_the_next_posts(client: http.Client, stub: Stub) -> None:
    """A free request opens it, and the post pays no handshake."""
    await client.warm(URL(stub.url))
    await post(client, stub.url)
    assert [one.method for one in stub.requests] == ["HEAD", "POST"]
    assert stub.connections == 1


@pytest.mark.parametrize("fault", LOST)
async def test_keeping_warm_never_raises(client: http.Client, stub: Stub, fault: Fault) -> None:
    """Whatever becomes of it, the next post makes a connection of its own."""
    stub.answer = lambda _: fault
    await client.warm(URL(stub.url))


@pytest.mark.parametrize(
    ("body", "is_read"),
    [
        (b'{"id": "1"}', {"id": "1"}),
        (b"[1]", {}),
        (b"", {}),
        (b"\xff", {}),
        (b"[" * 100_000, {}),
        (b"null", {}),
    ],
)
def test_an_object_is_read_and_anything_else_is_none(body: bytes, is_read: object) -> None:
    """A network that changed its answer's shape must not end an attempt with an error of ours."""
    assert http.as_object(http.Answer(200, {}, body)) == is_read
