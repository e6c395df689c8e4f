"""The wire knows whether a request may have been written, and can end it from outside."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest
import requests
from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, MaxRetryError, NameResolutionError

from broadcaster.channels.mastodon import wire as room
from broadcaster.channels.mastodon.wire import Wire, session, unreached
from broadcaster.terminal.child import free_port
from tests.channels.stub import Fault, Reply, Stub, serving


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    """Give a server that answers as told."""
    async with serving() as one:
        yield one


def asked(line: Wire, url: str, **how: float) -> requests.Response:
    """Post once in this thread, under this wire."""
    with line.held(), session() as made:
        return made.post(url, data=b"body", timeout=how.get("seconds", 5.0))


async def fate(line: Wire, url: str, **how: float) -> BaseException | requests.Response:
    """Post in a thread; give the answer, or what was raised."""
    try:
        return await asyncio.to_thread(asked, line, url, **how)
    except (OSError, HTTPError) as error:  # requests' own errors are the former
        return error


async def test_an_answer_is_kept_on_the_wire(stub: Stub) -> None:
    """Status, headers and body, as the library gets them too."""
    stub.say(201, {"id": "1"}, X_Id="7")
    line = Wire()
    got = await fate(line, stub.url)
    assert isinstance(got, requests.Response)
    assert got.json() == {"id": "1"}
    assert line.connected
    assert line.answer is not None
    assert (line.answer.status, line.answer.whole) == (201, True)
    assert line.answer.body == got.content
    assert line.answer.headers["x-id"] == "7"


async def test_an_error_of_the_server_is_an_answer_too(stub: Stub) -> None:
    """What the library makes of it, the wire has it as it came."""
    stub.say(503, {"error": "later"})
    line = Wire()
    await fate(line, stub.url)
    assert line.answer is not None
    assert (line.answer.status, line.answer.body) == (503, b'{"error": "later"}')


async def test_without_a_connection_nothing_was_written() -> None:
    """A refused connection proves that nothing was sent."""
    line = Wire()
    error = await fate(line, f"http://127.0.0.1:{free_port()}")
    assert isinstance(error, requests.ConnectionError)
    assert not line.connected
    assert line.answer is None
    assert unreached(error) == "the connection was refused"


@pytest.mark.parametrize("fault", [Fault.CLOSE, Fault.RESET, Fault.GARBAGE])
async def test_a_lost_answer_leaves_a_connected_wire_without_one(stub: Stub, fault: Fault) -> None:
    """The request was read by the other side: nobody may say that nothing was sent."""
    stub.answer = lambda _: fault
    line = Wire()
    assert isinstance(await fate(line, stub.url), requests.RequestException)
    assert line.connected
    assert line.answer is None
    assert len(stub.requests) == 1


async def test_an_answer_that_breaks_off_still_says_its_status(stub: Stub) -> None:
    """Status and headers count; the body is not whole."""
    stub.answer = lambda _: Fault.CUT_BODY
    line = Wire()
    await fate(line, stub.url)
    assert line.answer is not None
    assert (line.answer.status, line.answer.body, line.answer.whole) == (200, b"", False)


async def test_no_more_is_read_than_an_honest_answer_has(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the limit an answer is read, above it given up; its status stays known."""
    monkeypatch.setattr(room, "ANSWER_BYTES_MAX", 100)
    stub.say(200, b"x" * 100)
    line = Wire()
    assert isinstance(await fate(line, stub.url), requests.Response)
    stub.say(200, b"x" * 101)
    error = await fate(line, stub.url)
    assert "longer than any answer" in str(error)
    assert line.answer is not None
    assert (line.answer.status, line.answer.whole) == (200, False)


async def test_no_redirect_is_followed(stub: Stub) -> None:
    """A post, its key and its token go to the configured address alone."""
    stub.say(307, b"", Location=f"{stub.url}/elsewhere")
    line = Wire()
    await fate(line, stub.url)
    assert line.answer is not None
    assert line.answer.status == 307
    assert [request.path for request in stub.requests] == ["/"]


async def test_nothing_is_repeated(stub: Stub) -> None:
    """A request whose answer is lost is made once."""
    stub.answer = lambda _: Fault.CLOSE
    await fate(Wire(), stub.url)
    assert len(stub.requests) == 1
    assert stub.requests[0].headers["accept-encoding"] == "identity"


async def kept_fate(made: requests.Session, line: Wire, url: str) -> BaseException | int:
    """Post in a thread, in a session that lasts; give the status, or what was raised."""

    def post() -> int:
        with line.held():
            return made.post(url, data=b"body", timeout=5.0).status_code

    try:
        return await asyncio.to_thread(post)
    except (OSError, HTTPError) as error:
        return error


async def test_a_connection_is_kept_for_the_next_call(stub: Stub) -> None:
    """What an earlier call used is used again, and its end does not cut it."""
    stub.say(200, {"id": "1"})
    with session() as made:
        for _ in range(3):
            line = Wire()
            assert await kept_fate(made, line, stub.url) == 200
            line.cut()
            assert line.connected
    assert (stub.connections, len(stub.requests)) == (1, 3)


async def test_a_connection_closed_while_idle_is_replaced(stub: Stub) -> None:
    """The other side closed it meanwhile: it is noticed, and the request arrives once."""
    stub.say(200, {"id": "1"})
    with session() as made:
        assert await kept_fate(made, Wire(), stub.url) == 200
        for writer in list(stub.open):
            writer.close()
            await writer.wait_closed()
        assert await kept_fate(made, Wire(), stub.url) == 200
    assert (stub.connections, len(stub.requests)) == (2, 2)


@pytest.mark.parametrize("fault", [Fault.CLOSE, Fault.RESET])
async def test_a_kept_connection_that_ends_at_the_request_is_no_proof(
    stub: Stub, fault: Fault
) -> None:
    """The other side closed it just then: it may have been written, and is not made again."""
    with session() as made:
        assert await kept_fate(made, Wire(), stub.url) == 200
        stub.answer = lambda _: fault
        line = Wire()
        assert isinstance(await kept_fate(made, line, stub.url), requests.RequestException)
    assert line.connected
    assert line.answer is None
    assert len(stub.requests) == 2


async def test_a_call_that_is_over_uses_no_kept_connection(stub: Stub) -> None:
    """Cut before its request: nothing is written, also where a connection stands already."""
    with session() as made:
        assert await kept_fate(made, Wire(), stub.url) == 200
        line = Wire()
        line.cut()
        assert isinstance(await kept_fate(made, line, stub.url), requests.ConnectionError)
    assert not line.connected
    assert len(stub.requests) == 1


async def test_an_answer_that_was_not_read_whole_costs_its_connection(stub: Stub) -> None:
    """Else its rest would be taken for the next answer."""
    stub.answer = lambda _: Fault.CUT_BODY
    with session() as made:
        await kept_fate(made, Wire(), stub.url)
        stub.say(200, {"id": "2"})
        assert await kept_fate(made, Wire(), stub.url) == 200
    assert stub.connections == 2


async def test_a_wait_ends_with_the_call() -> None:
    """A thread that waits between two requests comes back at once when it is cut."""
    line = Wire()
    assert line.wait(0.001)
    waiting = asyncio.create_task(asyncio.to_thread(line.wait, 60))
    await asyncio.sleep(0.01)
    line.cut()
    assert not await waiting


async def test_a_wire_speaks_of_its_latest_request(stub: Stub) -> None:
    """What an earlier request of the same call saw is forgotten."""
    stub.say(200)
    line = Wire()
    await fate(line, stub.url)
    await fate(line, f"http://127.0.0.1:{free_port()}")
    assert not line.connected
    assert line.answer is None


async def test_two_calls_at_once_have_wires_of_their_own(stub: Stub) -> None:
    """A thread sees what its own requests saw."""
    stub.answer = lambda request: Reply(200 if request.path == "/one" else 404)
    one, two = Wire(), Wire()
    await asyncio.gather(fate(one, f"{stub.url}/one"), fate(two, f"{stub.url}/two"))
    assert one.answer is not None
    assert two.answer is not None
    assert (one.answer.status, two.answer.status) == (200, 404)


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.DRIP_HEAD, Fault.DRIP_BODY])
async def test_a_hanging_call_is_cut_from_outside(stub: Stub, fault: Fault) -> None:
    """The thread returns at once, although each of its reads is within its own limit."""
    stub.answer = lambda _: fault
    line = Wire()
    call = asyncio.create_task(fate(line, stub.url, seconds=60))
    while not stub.requests:
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)
    assert not call.done()
    began = time.monotonic()
    line.cut()
    assert isinstance(await call, OSError | HTTPError | requests.Response)
    assert time.monotonic() - began < 2
    assert line.connected
    line.cut()


async def test_after_the_cut_no_connection_is_opened(stub: Stub) -> None:
    """A library that tries again by itself reaches nobody."""
    line = Wire()
    line.cut()
    error = await fate(line, stub.url)
    assert isinstance(error, requests.ConnectionError)
    assert not line.connected
    assert stub.connections == 0


def test_a_connection_that_stands_too_late_is_closed_again() -> None:
    """Cut while it was being opened: it never counts as connected, and nothing is written."""
    line, ours = Wire(), HTTPConnection("127.0.0.1")
    here, there = socket.socketpair()

    def connect() -> None:
        ours.sock = here
        line.cut()

    with pytest.raises(ConnectTimeoutError):
        line.connect(ours, connect)
    assert not line.connected
    assert here.fileno() == -1
    there.close()


def test_a_request_without_a_wire_is_a_mistake() -> None:
    """Every request of this room is watched, or is not made."""
    with session() as made, pytest.raises(LookupError):
        made.get("http://127.0.0.1:9/", timeout=1)


def test_a_wire_is_held_by_its_own_thread_alone() -> None:
    """Another thread has none until it holds one."""
    seen: list[bool] = []

    def other() -> None:
        with suppress(LookupError):
            room._WIRE.get()
            seen.append(True)

    with Wire().held():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert seen == []


def _nested(cause: BaseException) -> BaseException:
    error = requests.ConnectionError(MaxRetryError(None, "/", None))  # type: ignore[arg-type]
    error.__context__ = OSError("canary-4711")
    error.__context__.__cause__ = cause
    return error


REASONS: list[tuple[Callable[[], BaseException], str]] = [
    (
        lambda: NameResolutionError("canary-4711", HTTPConnection("a"), socket.gaierror()),
        "the name of the server could not be resolved",
    ),
    (lambda: ssl.SSLCertVerificationError("x"), "the server's certificate was not accepted"),
    (lambda: ssl.SSLError("x"), "no secure connection could be made"),
    (lambda: ConnectionRefusedError("x"), "the connection was refused"),
    (lambda: TimeoutError("x"), "no connection within the limit"),
    (lambda: ConnectTimeoutError("x"), "no connection within the limit"),
    (lambda: OSError("canary-4711"), "no connection could be made"),
]


@pytest.mark.parametrize(("cause", "sentence"), REASONS, ids=[one[1] for one in REASONS])
def test_a_sentence_says_why_there_was_no_connection(
    cause: Callable[[], BaseException], sentence: str
) -> None:
    """However deep the cause lies; the error's own text, which may hold a secret, is not shown."""
    assert unreached(_nested(cause())) == sentence
    assert unreached(cause()) == sentence
