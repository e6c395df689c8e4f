"""Calls under one session: what became of each, how the session is kept, and what never leaks."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from broadcaster.channels.bluesky import xrpc as room
from broadcaster.channels.bluesky.xrpc import Account, Login, body_of, error_of, pause
from broadcaster.channels.http import Answer
from broadcaster.config import Timing
from broadcaster.delivery import Failure, NeedsPerson, NotSent, Unknown
from broadcaster.terminal.child import free_port
from tests.channels.stub import Fault, Reply, Request, Stub, serving
from tests.kit import NOW, ManualClock

CREATE = "com.atproto.server.createSession"
WHO = "com.atproto.server.getSession"
HANDLE = "stadt.example.org"
PASSWORD = "canary-4711"
DID = "did:plc:abcdefghijklmnopqrstuvwx"
SHORT = Timing(attempt_seconds=1.2, connect_seconds=0.8)


def token(name: str) -> str:
    """Make something of the shape of a token, good for two hours."""
    expires = datetime.now(UTC) + timedelta(hours=2)
    parts = ({"alg": "none"}, {"exp": int(expires.timestamp()), "jti": name})
    return ".".join(
        [*(base64.urlsafe_b64encode(json.dumps(one).encode()).decode() for one in parts), "c2ln"]
    ).replace("=", "")


class Server:
    """Answers as a data server does; `says` holds what a method answers instead."""

    def __init__(self) -> None:
        self.says: dict[str, Reply | Fault] = {}

    def __call__(self, request: Request) -> Reply | Fault:
        method = request.path.partition("?")[0].rpartition("/")[2]
        if method in self.says:
            return self.says[method]
        if method == CREATE:
            tokens = {"accessJwt": token("access"), "refreshJwt": token("refresh")}
            return Reply(body={"handle": HANDLE, "did": DID, **tokens})
        return Reply(body={"handle": HANDLE, "did": DID})


@pytest.fixture
def server() -> Server:
    """Give what the stub answers."""
    return Server()


@pytest.fixture
async def stub(server: Server) -> AsyncIterator[Stub]:
    """Run a stub of a data server."""
    async with serving() as one:
        one.answer = server
        yield one


@pytest.fixture
async def account(stub: Stub, tmp_path: Path) -> AsyncIterator[Account]:
    """Give an account on the stub, with short limits."""
    one = made(stub.url, tmp_path)
    yield one
    await one.close()


def made(url: str, place: Path, clock: ManualClock | None = None) -> Account:
    """Make an account whose session lies in `place`."""
    login = Login(url, HANDLE, PASSWORD, pinned=True)
    return Account(login, place / "city.session", SHORT, clock or ManualClock())


async def ask(account: Account, seen: list[str] | None = None) -> Answer:
    """Ask who we are."""

    def call(did: str) -> Any:
        if seen is not None:
            seen.append(did)
        return account.client.invoke_query(WHO)

    return await account.ask(WHO, call, account.end())


def logins(stub: Stub) -> int:
    """Count the log-ins."""
    return sum(CREATE in request.path for request in stub.requests)


async def test_a_call_is_made_with_the_accounts_did(account: Account, stub: Stub) -> None:
    """It gives the answer whole; the first call logs in, the next ones do not."""
    dids: list[str] = []
    for _ in range(3):
        answer = await ask(account, dids)
        assert (answer.status, answer.whole) == (200, True)
        assert body_of(answer)["handle"] == HANDLE
    assert dids == [DID] * 3
    assert logins(stub) == 1


@pytest.mark.parametrize("status", [400, 403, 429, 500, 502])
async def test_an_error_is_an_answer_too(account: Account, server: Server, status: int) -> None:
    """What it means is for the caller to say."""
    server.says[WHO] = Reply(status, {"error": "Named", "message": "m"})
    answer = await ask(account)
    assert (answer.status, error_of(answer)) == (status, "Named")


@pytest.mark.parametrize("fault", [Fault.CLOSE, Fault.RESET, Fault.HANG, Fault.GARBAGE])
async def test_a_call_without_an_answer_is_unknown(
    account: Account, server: Server, fault: Fault
) -> None:
    """It was begun, within a session that stood: it may have been done."""
    await ask(account)
    server.says[WHO] = fault
    with pytest.raises(Unknown, match="no answer came"):
        await ask(account)


async def test_an_answer_that_breaks_off_still_says_its_status(
    account: Account, server: Server
) -> None:
    """Status and headers count; the body is not whole."""
    server.says[WHO] = Fault.CUT_BODY
    answer = await ask(account)
    assert (answer.status, answer.whole, answer.body) == (200, False, b"")


async def test_no_more_is_read_than_an_honest_answer_has(
    account: Account, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the limit an answer is whole, above it not."""
    await ask(account)
    text = json.dumps({"did": DID, "handle": HANDLE}).encode()
    monkeypatch.setattr(room, "ANSWER_BYTES_MAX", 200)
    for length, whole in ((200, True), (201, False)):
        server.says[WHO] = Reply(200, text.ljust(length))
        assert (await ask(account)).whole is whole


async def test_without_a_connection_nothing_was_sent(tmp_path: Path) -> None:
    """Neither log-in nor call was written."""
    account = made(f"http://127.0.0.1:{free_port()}", tmp_path)
    with pytest.raises(NotSent, match="nothing was sent"):
        await ask(account)
    await account.close()


LOGINS: list[tuple[Reply | Fault, type[Failure]]] = [
    (Reply(401, {"error": "AuthenticationRequired"}), NeedsPerson),
    (Reply(400, {"error": "AccountTakedown"}), NeedsPerson),
    (Reply(408, {"error": "Slow"}), NotSent),
    (Reply(500, {"error": "Broken"}), NotSent),
    (Reply(200, b"<html>"), NotSent),
    (Fault.CLOSE, NotSent),
    (Fault.HANG, NotSent),
]


@pytest.mark.parametrize(("answer", "outcome"), LOGINS, ids=str)
async def test_who_is_not_let_in_has_sent_nothing(
    account: Account, server: Server, stub: Stub, answer: Reply | Fault, outcome: type[Failure]
) -> None:
    """A person must act where the server refuses; else it may be tried again. No secret is said."""
    server.says[CREATE] = answer
    with pytest.raises(Failure) as failure:
        await ask(account)
    assert type(failure.value) is outcome
    assert PASSWORD not in str(failure.value)
    assert not any(WHO in request.path for request in stub.requests)


async def test_a_server_may_ask_to_log_in_later(account: Account, server: Server) -> None:
    """The whole channel pauses for as long as it said."""
    server.says[CREATE] = Reply(429, {"error": "RateLimitExceeded"}, {"Retry-After": "77"})
    with pytest.raises(NotSent) as failure:
        await ask(account)
    assert failure.value.rate_limited
    assert failure.value.retry_after == timedelta(seconds=77)


@pytest.mark.parametrize(
    "over", [(401, "AuthMissing"), (400, "ExpiredToken"), (400, "InvalidToken")]
)
async def test_a_session_that_is_over_is_renewed_once(
    account: Account, server: Server, stub: Stub, over: tuple[int, str]
) -> None:
    """The call had been refused, so it is made again; a second refusal is the answer."""
    await ask(account)
    server.says[WHO] = Reply(over[0], {"error": over[1], "message": "over"})
    server.says["com.atproto.server.refreshSession"] = Reply(400, {"error": "ExpiredToken"})
    assert (await ask(account)).status == over[0]
    assert logins(stub) == 2
    assert sum(WHO in request.path for request in stub.requests) <= 4


async def test_a_session_is_kept_for_its_owner_alone(
    account: Account, stub: Stub, tmp_path: Path
) -> None:
    """Its file can be read by nobody else, holds no password, and saves the next log-in."""
    await ask(account)
    file = tmp_path / "city.session"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert PASSWORD not in file.read_text("utf-8")
    assert [one.name for one in tmp_path.iterdir()] == ["city.session"]
    again = made(stub.url, tmp_path)
    await ask(again)
    await again.close()
    assert logins(stub) == 1


@pytest.mark.parametrize("kept", ["", "[]", "{}", "null", '{"session": 1}', "\x00"])
async def test_a_session_file_that_is_broken_costs_one_log_in(
    account: Account, stub: Stub, tmp_path: Path, kept: str
) -> None:
    """What cannot be read is not there."""
    (tmp_path / "city.session").write_text(kept, "utf-8")
    assert (await ask(account)).status == 200
    assert logins(stub) == 1


async def test_a_session_never_goes_through_a_link(
    account: Account, tmp_path: Path, stub: Stub
) -> None:
    """A link laid where the new file is written is not followed; the old target stays."""
    target = tmp_path / "target"
    target.write_text("untouched", "utf-8")
    (tmp_path / ".city.session.new").symlink_to(target)
    assert (await ask(account)).status == 200
    assert target.read_text("utf-8") == "untouched"
    assert (tmp_path / "city.session").is_file()
    assert logins(stub) == 1


async def test_log_ins_stay_far_below_the_servers_limit(
    server: Server, stub: Stub, tmp_path: Path
) -> None:
    """Ten in five minutes; then the channel waits, without asking, until the first is that old."""
    clock = ManualClock()
    account = made(stub.url, tmp_path, clock)
    server.says[CREATE] = Reply(401, {"error": "AuthenticationRequired"})
    for _ in range(10):
        clock.move(1)
        with pytest.raises(NeedsPerson):
            await ask(account)
    clock.move(1)
    with pytest.raises(NotSent, match="too many log-ins") as failure:
        await ask(account)
    assert failure.value.rate_limited
    assert failure.value.retry_after == timedelta(seconds=290)
    assert logins(stub) == 10
    clock.move(290)
    with pytest.raises(NeedsPerson):
        await ask(account)
    assert logins(stub) == 11
    await account.close()


def test_a_login_shows_no_password() -> None:
    """It may stand in a traceback or a log."""
    assert PASSWORD not in repr(Login("https://a.example", HANDLE, PASSWORD))


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"error": "InvalidSwap"}', "InvalidSwap"),
        (b'{"error": 5}', "5"),
        (b"{}", ""),
        (b"[1]", ""),
        (b"null", ""),
        (b"<html>", ""),
        (b"\xff", ""),
        (b"", ""),
        (b"[" * 100_000, ""),
    ],
)
def test_the_name_of_an_error_is_read_from_any_body(body: bytes, error: str) -> None:
    """A body that is no object has no name, and raises nothing."""
    assert error_of(Answer(400, {}, body)) == error


def _at(seconds: int) -> str:
    return str(int(NOW.timestamp()) + seconds)


PAUSES: list[tuple[Callable[[], dict[str, str]], float | None]] = [
    (dict, None),
    (lambda: {"Retry-After": "20"}, 20),
    (lambda: {"Retry-After": "20", "ratelimit-reset": _at(90)}, 20),
    (lambda: {"Retry-After": "-1", "ratelimit-reset": _at(90)}, 90),
    (lambda: {"ratelimit-reset": _at(90)}, 90),
    (lambda: {"ratelimit-reset": _at(0)}, None),
    (lambda: {"ratelimit-reset": _at(-90)}, None),
    (lambda: {"ratelimit-reset": "soon"}, None),
    (lambda: {"ratelimit-reset": "-5"}, None),
    (lambda: {"ratelimit-reset": "1" * 12}, None),
    (lambda: {"ratelimit-reset": "9" * 11}, None),
    (lambda: {"ratelimit-reset": _at(72 * 3600)}, 72 * 3600),
    (lambda: {"ratelimit-reset": _at(72 * 3600 + 1)}, None),
    (lambda: {"ratelimit-reset": "nan"}, None),
    (lambda: {"Retry-After": "Fri, 31 Dec 9999 23:59:59 -1200"}, None),
    (lambda: {"Retry-After": "999999999", "ratelimit-reset": _at(90)}, 90),
    (lambda: {"ratelimit-reset": "\u0661\u0662"}, None),
]


@pytest.mark.parametrize(("headers", "seconds"), PAUSES)
def test_a_rate_limit_says_how_long_to_wait(
    headers: Callable[[], dict[str, str]], seconds: float | None
) -> None:
    """`Retry-After` first, then the moment of the reset; junk and the past count as missing."""
    wait = pause(Answer(429, headers(), b""), ManualClock())
    assert (wait and wait.total_seconds()) == seconds
