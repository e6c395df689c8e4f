"""Requests to X: who makes them, and what is renewed on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from broadcaster.channels.x.api import Api
from broadcaster.channels.x.login import Method
from broadcaster.config import Timing
from broadcaster.delivery import NotSent, Unknown
from tests.channels.stub import Fault, Reply, Stub, serving

SHORT = Timing(attempt_seconds=1.2, connect_seconds=0.8)


class Pass:
    """A way in that remembers what it was asked for; `renewals` are left."""

    timed = False
    account = "42"
    days_left = None

    def __init__(self, renewals: int = 0) -> None:
        self.renewals = renewals
        self.asked: list[tuple[Method, str]] = []

    async def header(self, method: Method, url: str) -> str:
        self.asked.append((method, url))
        return f"Pass {len(self.asked)}"

    async def renewed(self, header: str) -> bool:
        assert header == f"Pass {len(self.asked)}"
        self.renewals -= 1
        return self.renewals >= 0


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    """Run a stand-in for X that answers as told."""
    async with serving() as one:
        yield one


async def test_every_sort_of_request_shows_its_pass(stub: Stub) -> None:
    """For the very method and address; a query is part of it."""
    entry = Pass()
    api = Api(f"{stub.url}/", entry, None, SHORT)
    stub.say(200, {})
    await api.post("/a", {"text": "ß"})
    await api.post_bytes("/b", b"x", "text/plain")
    await api.get("/c", {"start_time": "2026-11-22T01:45:00Z"})
    await api.delete("/d")
    url = f"{stub.url}/c?start_time=2026-11-22T01%3A45%3A00Z"
    methods = [(request.method, f"{stub.url}{request.path}") for request in stub.requests]
    assert methods == entry.asked
    assert methods[2] == ("GET", url)
    assert [one.headers["authorization"] for one in stub.requests] == [
        f"Pass {number}" for number in range(1, 5)
    ]
    assert stub.requests[0].body == '{"text": "ß"}'.encode()
    assert stub.requests[1].headers["content-type"] == "text/plain"
    await api.close()


@pytest.mark.parametrize(("renewals", "requests"), [(0, 1), (1, 2), (5, 2)])
async def test_a_pass_is_renewed_once(stub: Stub, renewals: int, requests: int) -> None:
    """A 401 took nothing: one other try, and then its answer counts."""
    stub.say(401, {})
    api = Api(stub.url, Pass(renewals), None, SHORT)
    assert (await api.post("/2/tweets", {})).status == 401
    assert len(stub.requests) == requests
    await api.close()


async def test_a_lost_answer_is_not_asked_for_again(stub: Stub) -> None:
    """Whatever could be renewed: a post in doubt is read back, not repeated."""
    stub.answer = lambda _: Fault.CLOSE
    api = Api(stub.url, Pass(5), None, SHORT)
    with pytest.raises(Unknown):
        await api.post("/2/tweets", {})
    with pytest.raises(NotSent):
        await api.get("/2/tweets/1")
    assert len(stub.posts) == 1
    await api.close()


async def test_app_only_is_nobody_s_pass(stub: Stub) -> None:
    """What the public sees is asked with the app's own token, and never renewed."""
    entry = Pass(5)
    api = Api(stub.url, entry, "app", SHORT)
    stub.say(401, {})
    assert api.reads_app_only
    assert (await api.get_app_only("/2/tweets/1", {"a": "b"})).status == 401
    assert [one.headers["authorization"] for one in stub.requests] == ["Bearer app"]
    assert entry.asked == []
    await api.close()
    assert not Api(stub.url, entry, None, SHORT).reads_app_only


async def test_warming_shows_nothing_and_raises_nothing(stub: Stub) -> None:
    """It opens the connection, and has the pass look after itself."""

    class Worn(Pass):
        async def header(self, method: Method, url: str) -> str:
            await super().header(method, url)
            raise NotSent("not now")

    worn = Worn()
    api = Api(stub.url, worn, None, SHORT)
    for answer in (Reply(), Fault.CLOSE, Fault.HANG):
        stub.answer = lambda _, answer=answer: answer  # type: ignore[misc]
        await api.warm()
    assert len(worn.asked) == 3
    assert all("authorization" not in request.headers for request in stub.requests)
    await api.close()


def test_the_server_is_named_without_its_port(stub: Stub) -> None:
    """As people would know it."""
    assert Api("https://api.x.com/", Pass(), None, SHORT).server == "api.x.com"
    assert Api(stub.url, Pass(), None, SHORT).server == "127.0.0.1"
