"""LinkedIn: how long versions last, and how tokens are got and renewed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from broadcaster.channels.linkedin.access import SITE, Flow, version_ends
from broadcaster.channels.tokens import Grant
from broadcaster.delivery import Failure, NeedsPerson, NotSent
from broadcaster.terminal.child import free_port
from tests.channels.linkedin.company_page import SHORT
from tests.channels.stub import NOW, Fault, FixedClock, Reply, Stub, serving

SECRET = "sandbox-app-secret"
OLD = Grant("sandbox-old", NOW, "sandbox-refresh", NOW + timedelta(days=100), NOW)


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    """Run a stand-in for LinkedIn."""
    async with serving() as one:
        yield one


def flow(url: str) -> Flow:
    """Give the flow of one app."""
    return Flow(SHORT, FixedClock(), url, "77", SECRET)


@pytest.mark.parametrize(
    ("version", "end"),
    [
        ("202510", datetime(2026, 10, 15, tzinfo=UTC)),
        ("202603", datetime(2027, 3, 16, tzinfo=UTC)),
        ("202608", datetime(2027, 8, 1, tzinfo=UTC)),
        ("202612", datetime(2027, 12, 1, tzinfo=UTC)),
    ],
)
def test_a_version_lasts_as_announced_or_twelve_months(version: str, end: datetime) -> None:
    """LinkedIn promises twelve months, and announces the day later."""
    assert version_ends(version) == end


def test_a_person_agrees_on_linkedins_own_page() -> None:
    """To reading and writing the page's posts, for this app, and back to us."""
    split = urlsplit(flow(SITE).authorize("http://127.0.0.1:8/back", "s1"))
    assert f"{split.scheme}://{split.netloc}{split.path}" == f"{SITE}/oauth/v2/authorization"
    assert dict(parse_qsl(split.query)) == {
        "response_type": "code",
        "client_id": "77",
        "redirect_uri": "http://127.0.0.1:8/back",
        "state": "s1",
        "scope": "r_organization_social w_organization_social",
    }


async def test_a_code_becomes_a_grant(stub: Stub) -> None:
    """With both ends, as LinkedIn tells them in seconds."""
    given = {
        "access_token": "sandbox-new",
        "expires_in": 5_184_000,
        "refresh_token": "sandbox-r",
        "refresh_token_expires_in": 31_536_000,
    }
    stub.say(200, given)
    grant = await flow(stub.url).exchange("c1", "http://127.0.0.1:8/back")
    assert grant == Grant(
        "sandbox-new", NOW + timedelta(days=60), "sandbox-r", NOW + timedelta(days=365), NOW
    )
    (request,) = stub.requests
    assert (request.method, request.path) == ("POST", "/oauth/v2/accessToken")
    assert dict(parse_qsl(request.body.decode())) == {
        "grant_type": "authorization_code",
        "code": "c1",
        "redirect_uri": "http://127.0.0.1:8/back",
        "client_id": "77",
        "client_secret": SECRET,
    }


async def test_a_renewal_keeps_what_it_is_not_told(stub: Stub) -> None:
    """The refresh token stays, and so does its end: no renewal extends it."""
    stub.say(200, {"access_token": "sandbox-new", "expires_in": 60})
    grant = await flow(stub.url).refresh(OLD)
    assert grant.access_token == "sandbox-new"
    assert grant.expires == NOW + timedelta(seconds=60)
    assert (grant.refresh_token, grant.refresh_expires) == (OLD.refresh_token, OLD.refresh_expires)
    form = dict(parse_qsl(stub.requests[0].body.decode()))
    assert (form["grant_type"], form["refresh_token"]) == ("refresh_token", "sandbox-refresh")
    told = {"access_token": "x", "refresh_token": "r2", "refresh_token_expires_in": 86_400}
    stub.say(200, told)
    grant = await flow(stub.url).refresh(OLD)
    assert (grant.refresh_token, grant.refresh_expires) == ("r2", NOW + timedelta(days=1))


@pytest.mark.parametrize("seconds", ["60", True, -1, 0, 10**12, None, [], 1e400])
async def test_a_junk_end_is_none(stub: Stub, seconds: Any) -> None:
    """A token without an end that can be read is used until it is refused."""
    stub.say(200, {"access_token": "sandbox-new", "expires_in": seconds})
    assert (await flow(stub.url).refresh(OLD)).expires is None


REFUSED: list[tuple[Reply | Fault, type[Failure], str]] = [
    (Reply(400, {"error": "invalid_grant"}), NeedsPerson, "invalid_grant"),
    (Reply(401, {"error": f"{SECRET}!"}), NeedsPerson, "gives no token; connect"),
    (Reply(403, {}), NeedsPerson, "connect"),
    (Reply(429, {}, {"Retry-After": "9"}), NotSent, "429"),
    (Reply(500, {}), NotSent, "500"),
    (Reply(302, {}), NotSent, "302"),
    (Reply(200, {}), NotSent, "200"),
    (Reply(200, {"access_token": "two words"}), NotSent, "200"),
    (Reply(200, b"x" * 2_000_000), NotSent, "200"),
    (Fault.CLOSE, NotSent, "no token was given"),
    (Fault.HANG, NotSent, "no token was given"),
]


@pytest.mark.parametrize(("answer", "kind", "words"), REFUSED)
async def test_no_token_is_told_for_what_it_is(
    stub: Stub, answer: Reply | Fault, kind: type[Failure], words: str
) -> None:
    """A refusal is for a person; anything else is a hiccup, for asking again is free."""
    stub.answer = lambda _: answer
    with pytest.raises(kind) as caught:
        await flow(stub.url).refresh(OLD)
    assert words in caught.value.reason
    assert SECRET not in caught.value.reason
    if isinstance(answer, Reply) and answer.status == 429:
        assert getattr(caught.value, "retry_after", None) == timedelta(seconds=9)


async def test_a_grant_that_cannot_be_renewed_is_not_asked_about(stub: Stub) -> None:
    """Without a refresh token a person must agree again."""
    with pytest.raises(NeedsPerson):
        await flow(stub.url).refresh(Grant("sandbox-old"))
    assert stub.requests == []


async def test_a_network_that_is_away_is_a_hiccup() -> None:
    """The token may still be good."""
    with pytest.raises(NotSent):
        await flow(f"http://127.0.0.1:{free_port()}").refresh(OLD)
