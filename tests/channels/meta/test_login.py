"""How a person connects Threads or Instagram: what is asked, and what may go wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from broadcaster.channels.meta.login import Login
from broadcaster.delivery import NeedsPerson, NotSent, Unknown
from tests.channels.meta.graph_stub import error, given_in
from tests.channels.stub import NOW, Fault, Reply, Stub, serving, setup_for

SECRET = "canary-app-secret"
BACK = "https://broadcaster.example/back?x=1"
HOUR = Reply(200, {"access_token": "hour", "user_id": 7})
LONG = Reply(200, {"access_token": "long", "expires_in": 5_184_000})


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    """Run a server that answers as told."""
    async with serving() as one:
        yield one


def login(stub: Stub, place: Path, grant_type: str = "th_exchange_token") -> Login:
    """Give the way of a network with these words."""
    return Login(
        setup_for(place, "threads"),
        "Threads",
        page=f"{stub.url}/oauth/authorize",
        code_url=f"{stub.url}/oauth/access_token",
        long_url=f"{stub.url}/access_token",
        grant_type=grant_type,
        scopes=("threads_basic", "threads_content_publish"),
        app_id="12",
        app_secret=SECRET,
    )


def test_a_person_agrees_to_what_is_needed(tmp_path: Path) -> None:
    """The page names the app, the permissions, where to come back to, and the state to compare."""
    page = login(Stub(), tmp_path).authorize(BACK, "s1")
    assert dict(parse_qsl(urlsplit(page).query)) == {
        "client_id": "12",
        "redirect_uri": BACK,
        "scope": "threads_basic,threads_content_publish",
        "response_type": "code",
        "state": "s1",
    }
    assert SECRET not in page
    assert SECRET not in repr(login(Stub(), tmp_path))


async def test_a_code_becomes_a_token_of_sixty_days(stub: Stub, tmp_path: Path) -> None:
    """By way of one of an hour, in the network's own words."""
    replies = iter([HOUR, LONG])
    stub.answer = lambda _: next(replies)
    grant = await login(stub, tmp_path).exchange("c1#_", BACK)
    assert (grant.access_token, grant.expires) == ("long", NOW + timedelta(days=60))
    first, second = stub.requests
    assert first.method == "POST"
    assert given_in(first) == {
        "client_id": "12",
        "client_secret": SECRET,
        "code": "c1",
        "redirect_uri": BACK,
        "grant_type": "authorization_code",
    }
    assert given_in(second) == {
        "grant_type": "th_exchange_token",
        "client_secret": SECRET,
        "access_token": "hour",
    }


async def test_facebooks_own_login_exchanges_in_its_own_words(stub: Stub, tmp_path: Path) -> None:
    """The same two exchanges by GET, with the app's id in both."""
    replies = iter([HOUR, LONG])
    stub.answer = lambda _: next(replies)
    await login(stub, tmp_path, "fb_exchange_token").exchange("c1", BACK)
    assert [one.method for one in stub.requests] == ["GET", "GET"]
    asked = given_in(stub.requests[1])
    assert asked["fb_exchange_token"] == "hour"
    assert asked["client_id"] == "12"


async def test_a_token_of_an_hour_may_come_in_a_list(stub: Stub, tmp_path: Path) -> None:
    """Instagram has begun to answer so."""
    replies = iter([Reply(200, {"data": [{"access_token": "hour"}]}), LONG])
    stub.answer = lambda _: next(replies)
    await login(stub, tmp_path).exchange("c1", BACK)
    assert given_in(stub.requests[1])["access_token"] == "hour"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (error(190), NeedsPerson),
        (error(100, 36007), NotSent),
        (Reply(200, {}), Unknown),
        (Reply(200, {"data": [7]}), Unknown),
        (Reply(200, b"<html>"), Unknown),
        (Reply(500), NotSent),
    ],
)
@pytest.mark.parametrize("good", [0, 1])
async def test_a_refused_exchange_is_said_without_the_secret(
    reply: Reply, kind: type[Exception], good: int, stub: Stub, tmp_path: Path
) -> None:
    """At either step a failure, and never a crash, with nothing secret in its words."""
    replies = iter([*[HOUR] * good, reply])
    stub.answer = lambda _: next(replies)
    with pytest.raises(kind) as caught:
        await login(stub, tmp_path).exchange("canary-code", BACK)
    assert "canary" not in str(caught.value)


async def test_a_network_that_does_not_answer_is_a_failure(stub: Stub, tmp_path: Path) -> None:
    """A connection that ends is told as such."""
    stub.answer = lambda _: Fault.CLOSE
    with pytest.raises(Unknown):
        await login(stub, tmp_path).exchange("c1", BACK)
