"""Every fault on every network that can have it: what the client sees, and what was posted."""

from __future__ import annotations

import asyncio
import errno
import smtplib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest
import uvloop
from aiohttp import web

from broadcaster.sandbox import EVERY, Sandbox
from broadcaster.sandbox.faults import MAIL, Fault, Faults, Handler, Kind, On, Stage
from broadcaster.sandbox.pictures import Pictures
from broadcaster.sandbox.posts import Posts
from broadcaster.sandbox.x import X
from tests.kit import ManualClock
from tests.sandbox.client import TOKEN, Client

HTTP = ("mastodon", "bluesky", "x", "webhook")  # the others' own tests play their faults
ABLE = {
    "mastodon": set(Kind) - {Kind.DUPLICATE},
    "bluesky": set(Kind) - {Kind.DUPLICATE},
    "x": set(Kind),
    "threads": set(Kind) - {Kind.DUPLICATE},
    "facebook": set(Kind),
    "instagram": set(Kind) - {Kind.DUPLICATE},
    "linkedin": set(Kind),
    "youtube": set(Kind) - {Kind.DUPLICATE},
    "webhook": set(Kind) - {Kind.DUPLICATE, Kind.NO_ID, Kind.EXPIRED_TOKEN},
    "on-call": set(Kind) - {Kind.DUPLICATE, Kind.NO_ID, Kind.EXPIRED_TOKEN},
    "mail": set(MAIL),
}
REFUSED = {"mastodon": 422, "bluesky": 400, "x": 403, "webhook": 400}
LOST = aiohttp.ClientConnectionError


class Poster:
    """Posts to any network that speaks HTTP."""

    def __init__(self, client: Client, bluesky: dict[str, Any]) -> None:
        self._client = client
        self._bluesky = bluesky

    async def post(self, network: str) -> Any:
        """Post once."""
        if network == "mastodon":
            return await self._client.toot("Feuer", "key")
        if network == "bluesky":
            return await self._client.put(self._bluesky, "Feuer")
        if network == "x":
            return await self._client.tweet("Feuer")
        return await self._client.event()


@pytest.fixture
def poster(client: Client, bluesky: dict[str, Any]) -> Poster:
    """Give what posts to any network."""
    return Poster(client, bluesky)


def test_every_network_is_in_the_table() -> None:
    """A network that joins says which faults it can have."""
    assert set(ABLE) == set(EVERY)


@pytest.mark.parametrize("network", ABLE)
@pytest.mark.parametrize("fault", Kind)
async def test_a_network_has_the_faults_it_can_have(
    client: Client, network: str, fault: Kind
) -> None:
    """A fault that a network cannot have is refused with a sentence, the others are set."""
    answer = await client.fault(network, fault)
    if fault in ABLE[network]:
        assert answer.status == 200
        assert answer.body == [{"network": network, "fault": fault, "times": 1, "on": "create"}]
    else:
        assert (answer.status, answer.body["code"]) == (422, "fault-not-possible")
        assert network in answer.body["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {"network": "x", "fault": "explode"},
        {"network": "x"},
        {"network": "myspace", "fault": "reset"},
        {"network": "x", "fault": "reset", "times": 0},
        {"network": "x", "fault": "reset", "more": 1},
        {"network": "x", "fault": "no-id", "on": "read"},
        {"network": "mail", "fault": "hang", "on": "read"},
        [],
    ],
)
async def test_a_fault_that_is_not_understood_is_a_problem(client: Client, body: object) -> None:
    """Slips are told, and nothing is set."""
    answer = await client.ask("PUT", "/_sandbox/faults", json=body)
    assert answer.status == 422
    assert answer.body["detail"]
    assert (await client.ask("GET", "/_sandbox/faults")).body == []


async def test_faults_are_played_in_order_as_often_as_said(client: Client) -> None:
    """Two faults of one network follow each other, then it is well again."""
    await client.fault("x", "error-500", times=2)
    await client.fault("x", "refuse")
    statuses = [(await client.tweet("eins")).status for _ in range(4)]
    assert statuses == [500, 500, 403, 201]


async def test_faults_can_be_dropped(client: Client) -> None:
    """DELETE drops one network's faults, or all."""
    await client.fault("x", "error-500", times=9)
    await client.fault("mastodon", "error-500", times=9)
    left = await client.ask("DELETE", "/_sandbox/faults", params={"network": "x"})
    assert [fault["network"] for fault in left.body] == ["mastodon"]
    assert (await client.ask("DELETE", "/_sandbox/faults")).body == []
    assert (await client.toot("gut")).status == 200


@pytest.mark.parametrize("network", HTTP)
async def test_refuse_posts_nothing(client: Client, poster: Poster, network: str) -> None:
    """The network refuses for good, in its own words."""
    await client.fault(network, "refuse")
    answer = await poster.post(network)
    assert answer.status == REFUSED[network]
    assert await client.posts(network) == []


@pytest.mark.parametrize("network", HTTP)
async def test_rate_limit_tells_how_long_to_wait(
    client: Client, clock: ManualClock, poster: Poster, network: str
) -> None:
    """A 429 has the network's own headers for the wait."""
    await client.fault(network, "rate-limit", seconds=20)
    answer = await poster.post(network)
    assert answer.status == 429
    until = str(int(clock.now().timestamp()) + 20)
    told = {
        "mastodon": ("X-RateLimit-Reset", "2026-11-22T01:49:20.000Z"),
        "bluesky": ("ratelimit-reset", until),
        "x": ("x-rate-limit-reset", until),
        "webhook": ("Retry-After", "20"),
    }
    header, value = told[network]
    assert answer.headers[header] == value
    assert await client.posts(network) == []


@pytest.mark.parametrize("network", HTTP)
@pytest.mark.parametrize(("fault", "posts"), [("error-500", 0), ("error-500-accepted", 1)])
async def test_error_500_may_have_posted_or_not(
    client: Client, poster: Poster, network: str, fault: str, posts: int
) -> None:
    """The two faults look alike to the client; only the receiving side knows."""
    await client.fault(network, fault)
    assert (await poster.post(network)).status == 500
    assert len(await client.posts(network)) == posts


@pytest.mark.parametrize("network", HTTP)
@pytest.mark.parametrize(("fault", "posts"), [("lost-answer", 1), ("reset", 0)])
async def test_a_connection_ends_without_an_answer(
    client: Client, poster: Poster, network: str, fault: str, posts: int
) -> None:
    """After a lost answer the post is there, after a reset it is not."""
    await client.fault(network, fault)
    with pytest.raises(LOST) as ended:
        await poster.post(network)
    assert (getattr(ended.value, "errno", None) == errno.ECONNRESET) == (fault == "reset")
    assert len(await client.posts(network)) == posts


@pytest.mark.parametrize("network", ["mastodon", "bluesky", "x"])
async def test_no_id_is_a_success_that_names_no_post(
    client: Client, poster: Poster, network: str
) -> None:
    """The network took the post and does not say where it is."""
    await client.fault(network, "no-id")
    answer = await poster.post(network)
    assert answer.status in {200, 201}
    assert {"id", "uri", "data"}.isdisjoint(answer.body)
    assert len(await client.posts(network)) == 1


@pytest.mark.parametrize("network", HTTP)
async def test_garbage_is_a_success_that_cannot_be_read(
    client: Client, poster: Poster, network: str
) -> None:
    """The network took the post and answers junk."""
    await client.fault(network, "garbage")
    answer = await poster.post(network)
    assert answer.status in {200, 201}
    with pytest.raises(ValueError, match=r"decode|Expecting"):
        _ = answer.body
    assert len(await client.posts(network)) == 1


@pytest.mark.parametrize("network", HTTP)
async def test_hang_posts_and_ends_bounded(client: Client, poster: Poster, network: str) -> None:
    """Nothing is answered; at its bound the connection ends."""
    await client.fault(network, "hang", seconds=0.05)
    with pytest.raises(LOST):
        await poster.post(network)
    assert len(await client.posts(network)) == 1


@pytest.mark.parametrize("network", HTTP)
async def test_drip_posts_and_ends_bounded(client: Client, poster: Poster, network: str) -> None:
    """A first byte comes, and at the bound the connection ends inside the answer."""
    await client.fault(network, "drip", seconds=0.6)
    with pytest.raises(LOST):
        await poster.post(network)
    assert len(await client.posts(network)) == 1


async def test_drip_is_the_real_answer_when_there_is_time(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits long enough gets the whole answer."""
    monkeypatch.setattr("broadcaster.sandbox.faults.DRIP_SECONDS", 0.0001)
    await client.fault("x", "drip")
    answer = await client.tweet("Feuer")
    assert answer.status == 201
    assert answer.body["data"]["id"] == (await client.posts("x"))[0]["id"]


@pytest.mark.parametrize(("network", "status"), [("mastodon", 401), ("bluesky", 400), ("x", 401)])
async def test_expired_token_is_said_in_the_networks_words(
    client: Client, poster: Poster, network: str, status: int
) -> None:
    """Bluesky says it with a 400, as its servers do."""
    await client.fault(network, "expired-token")
    answer = await poster.post(network)
    assert answer.status == status
    assert (network == "bluesky") == (answer.body.get("error") == "ExpiredToken")
    assert await client.posts(network) == []


async def test_duplicate_on_x_posts_nothing(client: Client) -> None:
    """X may say duplicate although nothing of the kind is there."""
    await client.fault("x", "duplicate")
    answer = await client.tweet("Feuer")
    assert answer.status == 403
    assert "duplicate content" in answer.body["detail"]
    assert await client.posts("x") == []


async def test_a_request_that_is_wrong_anyway_gets_its_own_answer(client: Client) -> None:
    """A fault that lets the request through does not make a wrong one right."""
    await client.fault("x", "lost-answer")
    answer = await client.post("x", "/2/tweets", json={"nonsense": 1}, headers=TOKEN)
    assert answer.status == 400


async def test_a_fault_can_befall_reading_instead(client: Client) -> None:
    """A read-back can fail while posting works."""
    await client.fault("x", "error-500", on="read")
    assert (await client.tweet("Feuer")).status == 201
    assert (await client.get("x", "/2/users/me", headers=TOKEN)).status == 500
    assert (await client.get("x", "/2/users/me", headers=TOKEN)).status == 200


@pytest.mark.parametrize(
    ("fault", "on", "can"),
    [
        ("lost-answer", "prepare", True),
        ("error-500-accepted", "prepare", True),
        ("error-500-accepted", "edit", True),
        ("error-500-accepted", "read", False),
        ("no-id", "prepare", True),
        ("no-id", "edit", False),
        ("duplicate", "prepare", False),
        ("duplicate", "edit", False),
        ("expired-token", "edit", True),
    ],
)
async def test_a_fault_befalls_the_sorts_of_requests_it_can(
    client: Client,
    fault: str,
    on: str,
    can: bool,  # noqa: FBT001
) -> None:
    """A first step can be accepted unheard, or name nothing; an edit can be accepted unheard."""
    answer = await client.fault("x", fault, on=on)
    assert (answer.status == 200) is can


@asynccontextmanager
async def staged(handler: Handler, on: On) -> AsyncIterator[tuple[str, Posts, Faults]]:
    """Serve one handler at a stage of X."""
    clock = ManualClock()
    posts = Posts(["x"], clock)
    x = X(posts, clock, Pictures())
    faults = Faults({"x": x.able})
    application = web.Application()
    application.router.add_post("/", Stage("x", posts, faults, x.answers).on(on, handler))
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/", posts, faults
    await runner.cleanup()


@pytest.mark.parametrize("on", [On.PREPARE, On.EDIT, On.READ, On.DELETE, On.LOGIN])
async def test_only_what_shows_something_new_is_counted(
    session: aiohttp.ClientSession, on: On
) -> None:
    """Uploads, containers and edits are no posts, and no repeats of one."""

    async def done(_request: web.Request) -> web.Response:
        return web.Response()

    async with staged(done, on) as (url, posts, faults), session.post(url) as answer:
        assert answer.status == 200
        assert posts.calls("x").creates == 0
        faults.put(Fault(network="x", fault=Kind.ERROR, on=on))
        async with session.post(url) as failed:
            assert failed.status == 500


async def test_an_upload_that_a_fault_befalls_still_arrives_whole(
    session: aiohttp.ClientSession,
) -> None:
    """A form with a file can be read by the handler although the fault looked at it before."""
    taken: list[bytes] = []

    async def upload(request: web.Request) -> web.Response:
        file = (await request.post())["file"]
        assert isinstance(file, web.FileField)
        taken.append(file.file.read())
        return web.Response()

    async with staged(upload, On.PREPARE) as (url, _, faults):
        for fault in (None, Kind.ERROR_ACCEPTED, Kind.LOST_ANSWER):
            if fault:
                faults.put(Fault(network="x", fault=fault, on=On.PREPARE))
            form = aiohttp.FormData()
            form.add_field("file", b"card", filename="card.png", content_type="image/png")
            with suppress(LOST):
                async with session.post(url, data=form) as answer:
                    assert answer.status == (500 if fault else 200)
    assert taken == [b"card"] * 3


async def test_a_lost_answer_can_hide_its_post(client: Client, clock: ManualClock) -> None:
    """The post of a lost answer stays off the account's own list for as long as said."""
    await client.fault("x", "lost-answer", hidden_seconds=60)
    with pytest.raises(LOST):
        await client.tweet("Feuer")
    await client.tweet("danach")
    me = (await client.get("x", "/2/users/me", headers=TOKEN)).body["data"]["id"]
    path = f"/2/users/{me}/tweets"
    listed = (await client.get("x", path, headers=TOKEN)).body["data"]
    assert [post["text"] for post in listed] == ["danach"]
    clock.move(61)
    listed = (await client.get("x", path, headers=TOKEN)).body["data"]
    assert [post["text"] for post in listed] == ["danach", "Feuer"]


async def test_a_fault_leaves_no_trace_in_the_log(
    client: Client, sandbox: Sandbox, poster: Poster, caplog: pytest.LogCaptureFixture
) -> None:
    """A connection that was ended on purpose is no error of the sandbox."""
    for fault in ("lost-answer", "reset"):
        await client.fault("x", fault)
        with pytest.raises(LOST):
            await poster.post("x")
    await sandbox.close()
    assert caplog.records == []


def test_connections_end_on_uvloop_too() -> None:
    """The daemon's faster loop has connections of its own kind; they are ended all the same."""

    async def ends() -> list[int]:
        sandbox = Sandbox()
        await sandbox.start()
        async with aiohttp.ClientSession() as session:
            client = Client(sandbox, session)
            for fault in ("reset", "lost-answer", "drip"):
                await client.fault("x", fault, seconds=0.5)
                with pytest.raises(LOST):
                    await client.tweet(fault)
                await client.fault("mail", fault, seconds=0.5)
                with pytest.raises((smtplib.SMTPException, OSError)):
                    await asyncio.to_thread(_mail, sandbox.smtp_port)
        await sandbox.close()
        return [len(sandbox.posts.of(network)) for network in ("x", "mail")]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(ends()) == [2, 2]


def _mail(port: int) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=5) as server:
        server.sendmail("a@example.org", ["b@example.org"], "Subject: Feuer\r\n\r\nFeuer")
