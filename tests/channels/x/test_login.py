"""X's OAuth 2.0: a token renewed ahead, stored before it is used, and how a person gets one."""

from __future__ import annotations

import base64
import hashlib
import json
import stat
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from broadcaster.channels import x
from broadcaster.channels.x.login import SCOPES
from broadcaster.config import Timing
from broadcaster.delivery import Failure, NeedsPerson, NotSent, Receipt, Rejected, Unknown
from broadcaster.terminal.child import free_port
from tests.channels.stub import (
    NOW,
    Fault,
    Reply,
    Request,
    Stub,
    delivery,
    keep_secret,
    serving,
    setup_for,
)

SHORT = Timing(attempt_seconds=1.2, connect_seconds=0.8)
CLIENT, SECRET = "client-of-the-city", "sandbox-client-secret"
POST = "1850000000000000001"
ME = {"data": {"id": "42", "name": "Stadt", "username": "stadt"}}


def grant(number: int, minutes: float = 120, **more: Any) -> dict[str, Any]:
    """Give a token file's content."""
    expires = NOW + timedelta(minutes=minutes)
    return {
        "access_token": f"access-{number}",
        "expires": expires.isoformat(),
        "refresh_token": f"refresh-{number}",
        "obtained": NOW.isoformat(),
        **more,
    }


def settings_for(url: str, place: Path, held: dict[str, Any], *, secret: bool = True) -> x.Settings:
    """Configure OAuth 2.0 with this token file."""
    more = {"oauth2_client_secret_file": keep_secret(place, "secret", SECRET)} if secret else {}
    return x.Settings(
        oauth2_client_id=CLIENT,
        oauth2_token_file=keep_secret(place, "token", json.dumps(held)),
        base_url=url,
        **more,
    )


def build(url: str, place: Path, held: dict[str, Any], *, secret: bool = True) -> x.X:
    """Build the channel with this token file."""
    settings = settings_for(url, place, held, secret=secret)
    return x.build(setup_for(place, "x", timing=SHORT), settings)


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    """Run a stand-in for X that answers as told."""
    async with serving() as one:
        one.answer = server()
        yield one


def server(good: str = "access-", token: Reply | Fault | None = None) -> Callable[[Request], Any]:
    """Behave as X: tokens that begin so are good, a renewal gives the next one."""
    renewed = 1

    def answer(request: Request) -> Reply | Fault:
        nonlocal renewed
        if request.path == "/2/oauth2/token":
            renewed += 1
            said = {"access_token": f"access-{renewed}", "refresh_token": f"refresh-{renewed}"}
            return token or Reply(200, {"token_type": "bearer", "expires_in": 7200, **said})
        if not request.headers["authorization"].startswith(f"Bearer {good}"):
            return Reply(401, {"title": "Unauthorized"})
        if request.method == "POST":
            return Reply(201, {"data": {"id": POST}})
        return Reply(200, ME)

    return answer


def asked(stub: Stub) -> list[str]:
    """Give the paths that were asked for."""
    return [urlsplit(request.path).path for request in stub.requests]


def kept(place: Path) -> dict[str, Any]:
    """Give what was stored of the token."""
    path = place / "city-x.token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


async def test_a_token_signs_every_request(stub: Stub, tmp_path: Path) -> None:
    """While it is good, nothing is renewed."""
    channel = build(stub.url, tmp_path, grant(1))
    assert (await channel.send(delivery())).remote_id == POST
    assert (await channel.probe()).ready
    assert [one.headers["authorization"] for one in stub.requests] == ["Bearer access-1"] * 2
    await channel.close()


async def test_a_token_is_renewed_ahead_and_kept_before_it_is_used(
    stub: Stub, tmp_path: Path
) -> None:
    """Half an hour before its end: one renewal, stored with mode 0600, and used from then on."""
    channel = build(stub.url, tmp_path, grant(1, minutes=29))
    await channel.send(delivery())
    renewal, post = stub.requests
    assert post.headers["authorization"] == "Bearer access-2"
    assert dict(parse_qsl(renewal.body.decode())) == {
        "grant_type": "refresh_token",
        "refresh_token": "refresh-1",
        "client_id": CLIENT,
    }
    pair = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
    assert renewal.headers["authorization"] == f"Basic {pair}"
    assert kept(tmp_path)["refresh_token"] == "refresh-2"
    await channel.close()
    again = build(stub.url, tmp_path, grant(1, minutes=29))
    await again.send(delivery())
    assert asked(stub) == ["/2/oauth2/token", "/2/tweets", "/2/tweets"]
    await again.close()


async def test_an_app_without_a_secret_names_itself(stub: Stub, tmp_path: Path) -> None:
    """A public client has none to show."""
    channel = build(stub.url, tmp_path, grant(1, minutes=1), secret=False)
    await channel.send(delivery())
    assert "authorization" not in stub.requests[0].headers
    await channel.close()


async def test_warming_renews_so_that_no_alert_has_to(stub: Stub, tmp_path: Path) -> None:
    """Between two probes, hours apart, a token of two hours would end."""
    usual = server()
    stub.answer = lambda request: Reply() if request.method == "HEAD" else usual(request)
    channel = build(stub.url, tmp_path, grant(1, minutes=10))
    await channel.warm()
    await channel.send(delivery())
    assert asked(stub) == ["/2/tweets", "/2/oauth2/token", "/2/tweets"]
    await channel.close()


async def test_warming_never_raises(stub: Stub, tmp_path: Path) -> None:
    """A renewal that fails is told by the probe."""
    usual = server(token=Reply(400, {"error": "invalid_request"}))
    stub.answer = lambda request: Reply(503) if request.method == "HEAD" else usual(request)
    channel = build(stub.url, tmp_path, grant(1, minutes=-1))
    await channel.warm()
    await channel.close()


async def test_a_token_that_is_refused_is_renewed_once(stub: Stub, tmp_path: Path) -> None:
    """A 401 took nothing: another token, and the same request again; posted once."""
    stub.answer = server(good="access-2")
    channel = build(stub.url, tmp_path, grant(1))
    assert (await channel.send(delivery())).remote_id == POST
    assert asked(stub) == ["/2/tweets", "/2/oauth2/token", "/2/tweets"]
    stub.answer = server(good="nothing")
    with pytest.raises(NeedsPerson):
        await channel.send(delivery())
    assert asked(stub)[3:] == ["/2/tweets", "/2/oauth2/token", "/2/tweets"]
    await channel.close()


RENEWALS: list[tuple[Reply | Fault, type[Failure]]] = [
    (Reply(400, {"error": "invalid_request"}), NeedsPerson),
    (Reply(401, {"error": "invalid_client"}), NeedsPerson),
    (Reply(429), NotSent),
    (Reply(503), NotSent),
    (Reply(200, {}), NotSent),
    (Reply(200, {"access_token": "two words"}), NotSent),
    (Reply(200, {"access_token": "a", "refresh_token": 7}), NotSent),
    (Reply(200, b"<html>"), NotSent),
    (Reply(200, b"[" * 100_000), NotSent),
    (Fault.CLOSE, NotSent),
    (Fault.HANG, NotSent),
]


@pytest.mark.parametrize(("answer", "kind"), RENEWALS, ids=lambda one: str(one)[:50])
async def test_a_renewal_that_fails_means_that_nothing_was_posted(
    stub: Stub, tmp_path: Path, answer: Reply | Fault, kind: type[Failure]
) -> None:
    """The token is over: for a person where X says no, else for the next attempt."""
    stub.answer = server(token=answer)
    channel = build(stub.url, tmp_path, grant(1, minutes=-1))
    with pytest.raises(kind) as caught:
        await channel.send(delivery())
    assert type(caught.value) is kind
    assert not [one for one in (SECRET, "refresh-1", "access-1") if one in str(caught.value)]
    found = await channel.probe()
    assert not found.ready
    assert found.remedy
    assert asked(stub).count("/2/tweets") == 0
    await channel.close()


async def test_a_renewal_that_fails_is_no_trouble_while_the_token_is_good(
    stub: Stub, tmp_path: Path
) -> None:
    """Ahead of its end there is time to try again."""
    stub.answer = server(token=Reply(503))
    channel = build(stub.url, tmp_path, grant(1, minutes=20))
    assert (await channel.send(delivery())).remote_id == POST
    await channel.close()


async def test_a_token_that_cannot_be_renewed_has_an_end(stub: Stub, tmp_path: Path) -> None:
    """Without offline.access a person must act; with it nobody need."""
    channel = build(stub.url, tmp_path, grant(1, minutes=90, refresh_token=None))
    found = await channel.probe()
    assert found.ready
    assert found.days_left == pytest.approx(1.5 / 24)
    assert found.remedy
    assert "connect" in found.remedy
    await channel.close()
    lasting = build(stub.url, tmp_path, grant(1))
    assert (await lasting.probe()).days_left is None
    await lasting.close()


@pytest.mark.parametrize("operation", ["find", "look", "retract", "prepare"])
async def test_every_operation_goes_with_the_token(
    stub: Stub, tmp_path: Path, operation: str
) -> None:
    """No request is made without it."""
    stub.answer = lambda _: Reply(503)
    channel = build(stub.url, tmp_path, grant(1))
    sent = delivery(receipt=Receipt(POST))
    calls: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
        "find": lambda: channel.find(sent),
        "look": lambda: channel.look(sent),
        "retract": lambda: channel.retract(Receipt(POST)),
    }
    if operation == "prepare":
        assert await channel.prepare(sent) == {}
    else:
        with pytest.raises((NotSent, Unknown)):
            await calls[operation]()
        assert all(one.headers["authorization"] == "Bearer access-1" for one in stub.requests)
    await channel.close()


async def test_no_token_is_shown(stub: Stub, tmp_path: Path) -> None:
    """Neither in the channel's picture of itself, nor in its account's name."""
    channel = build(stub.url, tmp_path, grant(1))
    shown = f"{channel!r} {channel._login!r} {channel.__dict__!r} {channel.account}"
    assert not [one for one in (SECRET, "refresh-1", "access-1") if one in shown]
    await channel.close()


def test_a_token_file_without_a_token_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    """It says which file, and nothing of what is in it."""
    settings = x.Settings(
        oauth2_client_id=CLIENT, oauth2_token_file=keep_secret(tmp_path, "token", "{canary}")
    )
    with pytest.raises(ValueError, match="token holds no token") as fault:
        x.build(setup_for(tmp_path, "x"), settings)
    assert "canary" not in str(fault.value)


async def test_a_person_connects_the_channel(stub: Stub, tmp_path: Path) -> None:
    """The page asks for what is needed, with PKCE; the code becomes a grant that can be renewed."""
    setup = setup_for(tmp_path, "x", timing=SHORT)
    flow = x.oauth(setup, settings_for(stub.url, tmp_path, grant(1)))
    page = urlsplit(flow.authorize("http://127.0.0.1:8400/callback", "a state"))
    query = {name: values[0] for name, values in parse_qs(page.query).items()}
    assert f"{page.scheme}://{page.netloc}{page.path}" == f"{stub.url}/2/oauth2/authorize"
    assert query["scope"].split() == list(SCOPES)
    assert (query["client_id"], query["state"]) == (CLIENT, "a state")
    found = await flow.exchange("the code", "http://127.0.0.1:8400/callback")
    form = dict(parse_qsl(stub.requests[0].body.decode()))
    digest = hashlib.sha256(form["code_verifier"].encode()).digest()
    assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == query["code_challenge"]
    assert (form["grant_type"], form["code"]) == ("authorization_code", "the code")
    assert (found.access_token, found.refresh_token) == ("access-2", "refresh-2")
    assert found.expires == NOW + timedelta(hours=2)
    assert flow.token_file == "token"
    assert flow.advice


async def test_the_page_of_x_itself_is_where_people_log_in(tmp_path: Path) -> None:
    """Not at the API's address."""
    settings = settings_for("https://api.x.com", tmp_path, grant(1))
    flow = x.oauth(setup_for(tmp_path, "x"), settings)
    assert flow.authorize("r", "s").startswith("https://x.com/i/oauth2/authorize?")


async def test_a_code_that_is_refused_is_a_failure(tmp_path: Path) -> None:
    """Refused, or nobody there: one of the failures, for the terminal to tell."""
    url = f"http://127.0.0.1:{free_port()}"
    flow = x.oauth(setup_for(tmp_path, "x", timing=SHORT), settings_for(url, tmp_path, grant(1)))
    with pytest.raises(NotSent):
        await flow.exchange("code", "r")


def test_signatures_are_not_connected(tmp_path: Path) -> None:
    """The four files of OAuth 1.0a come from X's console."""
    names = ("consumer_key_file", "consumer_secret_file", "access_token_file")
    settings = x.Settings.model_validate(
        dict.fromkeys((*names, "access_token_secret_file"), "a file")
    )
    with pytest.raises(ValueError, match="four files of OAuth"):
        x.oauth(setup_for(tmp_path, "x"), settings)


async def test_a_refused_text_is_not_sent_again(stub: Stub, tmp_path: Path) -> None:
    """Only a 401 is worth another token."""
    usual = server()
    refusal = Reply(403, {"detail": "no"})
    stub.answer = lambda request: refusal if request.method == "POST" else usual(request)
    channel = build(stub.url, tmp_path, grant(1))
    with pytest.raises(Rejected):
        await channel.send(delivery())
    assert asked(stub) == ["/2/tweets"]
    await channel.close()
