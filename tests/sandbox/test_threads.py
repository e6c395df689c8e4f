"""The Threads stand-in, asked directly, held against Meta's collection, and by the channel."""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from broadcaster.channels import Setup
from broadcaster.channels import threads as adapter
from broadcaster.clock import SystemClock
from broadcaster.config import ChannelConfig, Secrets, Timing
from broadcaster.delivery import Delivery, Failure, Media, Message, Receipt, Unknown
from broadcaster.sandbox import Sandbox, threads
from broadcaster.sandbox.posts import account
from broadcaster.sandbox.threads import TOKEN, units
from tests.channels.stub import TEXT, delivery, keep_secret
from tests.conftest import shared_path
from tests.kit import ManualClock
from tests.sandbox.client import Answer, Client, picture

USER = str(account(TOKEN).number)


class Graph:
    """Asks the stand-in as a client of the Threads API does."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def get(self, path: str, token: str = TOKEN, **query: str) -> Answer:
        """Read."""
        given = query | {"access_token": token}
        return await self._client.get("threads", f"/v1.0/{path}", params=given)

    async def post(self, path: str, token: str = TOKEN, **form: str) -> Answer:
        """Send a form."""
        given = form | {"access_token": token}
        return await self._client.post("threads", f"/v1.0/{path}", data=given)

    async def made(self, text: str = "Feuer", **more: str) -> str:
        """Make a container and give its id."""
        answer = await self.post("me/threads", **({"media_type": "TEXT", "text": text} | more))
        assert answer.status == 200, answer.raw
        return str(answer.body["id"])

    async def published(self, container: str) -> Answer:
        """Publish a container."""
        return await self.post("me/threads_publish", creation_id=container)

    async def status(self, container: str) -> dict[str, Any]:
        """Read what a container says of itself."""
        found = await self.get(container, fields="id,status,error_message")
        said: dict[str, Any] = found.body
        return said


@pytest.fixture
def graph(client: Client) -> Graph:
    """Give a client of the Threads API."""
    return Graph(client)


def refusal(answer: Answer) -> tuple[int, int, int | None]:
    """Give status, code and subcode of an error, once its envelope is whole."""
    said = answer.body["error"]
    assert {"message", "type", "code", "fbtrace_id"} <= set(said)
    return answer.status, said["code"], said.get("error_subcode")


def at(sandbox: Sandbox, data: bytes, kind: str = "image/png") -> str:
    """Put a picture at an address on this machine."""
    return f"{sandbox.url}/_sandbox/pictures/{sandbox.pictures.keep(data, kind)}"


async def test_a_text_is_made_published_read_listed_and_deleted(
    graph: Graph, client: Client
) -> None:
    """Each step answers as Threads does; until it is published nobody sees anything."""
    container = await graph.made()
    assert await graph.status(container) == {"id": container, "status": "FINISHED"}
    assert await client.posts("threads") == []
    post = (await graph.published(container)).body["id"]
    assert (await graph.status(container))["status"] == "PUBLISHED"
    read = (await graph.get(post, fields="id,text,timestamp,permalink,media_type")).body
    assert (read["text"], read["media_type"]) == ("Feuer", "TEXT_POST")
    assert datetime.fromisoformat(read["timestamp"]).tzinfo == UTC
    listed = (await graph.get("me/threads", fields="id,text")).body
    assert listed["data"] == [{"id": post, "text": "Feuer"}]
    gone = await client.ask("DELETE", f"/threads/v1.0/{post}", params={"access_token": TOKEN})
    assert gone.body == {"success": True, "deleted_id": post}
    assert refusal(await graph.get(post)) == (400, 100, 33)


async def test_a_container_is_published_once(graph: Graph, client: Client) -> None:
    """A second time is an error, and no second post; each request is counted."""
    container = await graph.made()
    await graph.published(container)
    assert (await graph.published(container)).status == 400
    assert len(await client.posts("threads")) == 1
    counted = (await client.ask("GET", "/_sandbox/requests?network=threads")).body
    assert (counted["creates"], counted["distinct_keys"], counted["repeats"]) == (2, 1, 1)


async def test_a_picture_is_fetched_and_takes_its_time(
    graph: Graph, client: Client, sandbox: Sandbox, clock: ManualClock
) -> None:
    """IN_PROGRESS at first, and not to be published; then with its description on the page."""
    container = await graph.made(
        media_type="IMAGE", image_url=at(sandbox, picture()), alt_text="Karte"
    )
    assert (await graph.status(container))["status"] == "IN_PROGRESS"
    assert refusal(await graph.published(container)) == (400, 24, 4279009)
    clock.move(0.3)
    assert (await graph.status(container))["status"] == "FINISHED"
    post = (await graph.published(container)).body["id"]
    (shown,) = await client.posts("threads")
    assert shown["media"][0]["alt"] == "Karte"
    assert (await graph.get(post, fields="media_type,alt_text")).body["alt_text"] == "Karte"


async def test_a_picture_that_cannot_be_used_ends_in_error(
    graph: Graph, sandbox: Sandbox, clock: ManualClock
) -> None:
    """Not there, no picture, or too long a one: the container says so, and is never a post."""
    long = at(sandbox, picture(400, 30))
    for url, said in (
        (f"{sandbox.url}/nothing", "UNKNOWN"),
        (at(sandbox, b"text", "text/plain"), "UNKNOWN"),
        (long, "INVALID_ASPEC_RATIO"),
    ):
        container = await graph.made(media_type="IMAGE", image_url=url)
        clock.move(1)
        found = await graph.status(container)
        assert (found["status"], found["error_message"]) == ("ERROR", said)
        assert (await graph.published(container)).status == 400


async def test_a_container_expires_after_a_day(graph: Graph, clock: ManualClock) -> None:
    """What was not published by then never will be."""
    container = await graph.made()
    clock.move(24 * 3600)
    assert (await graph.status(container))["status"] == "EXPIRED"
    assert refusal(await graph.published(container)) == (400, 24, 4279009)


async def test_limits_are_those_of_threads(graph: Graph, sandbox: Sandbox) -> None:
    """500 with emoji as bytes, five links, a thousand characters of description."""
    assert units("a" * 496 + "🔥") == 500
    await graph.made("a" * 496 + "🔥")
    too_long = await graph.post("me/threads", media_type="TEXT", text="a" * 497 + "🔥")
    assert refusal(too_long) == (400, 100, None)
    links = [f"https://s.example/{number}" for number in range(6)]
    await graph.made(" ".join(links[:5]))
    answer = await graph.post("me/threads", media_type="TEXT", text=" ".join(links))
    assert answer.body["error"]["type"] == "THREADS_API__LINK_LIMIT_EXCEEDED"
    url = at(sandbox, picture())
    alt = await graph.post("me/threads", media_type="IMAGE", image_url=url, alt_text="a" * 1001)
    assert refusal(alt) == (400, 100, None)


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"media_type": "STORY", "text": "a"},
        {"media_type": "TEXT"},
        {"media_type": "TEXT", "text": " "},
        {"media_type": "IMAGE", "text": "a"},
        {"media_type": "TEXT", "text": "a", "reply_control": "nobody"},
    ],
)
async def test_what_threads_would_refuse_is_refused(graph: Graph, form: dict[str, str]) -> None:
    """A mistake in a request shows here, and not in a crisis."""
    assert refusal(await graph.post("me/threads", **form)) == (400, 100, None)


async def test_replies_are_listed_by_themselves(graph: Graph) -> None:
    """A reply to a post that is there; one to a post that is not is refused."""
    first = (await graph.published(await graph.made("erster"))).body["id"]
    reply = await graph.made("zweiter", reply_to_id=first)
    second = (await graph.published(reply)).body["id"]
    posts = (await graph.get("me/threads", fields="id")).body["data"]
    replies = (await graph.get("me/replies", fields="id")).body["data"]
    assert ([one["id"] for one in posts], [one["id"] for one in replies]) == ([first], [second])
    answer = await graph.post("me/threads", media_type="TEXT", text="a", reply_to_id="404")
    assert refusal(answer) == (400, 24, 4279009)
    insights = (await graph.get(f"{first}/insights", metric="views,replies")).body["data"]
    assert [(one["name"], one["values"][0]["value"]) for one in insights] == [
        ("views", 0),
        ("replies", 1),
    ]


async def test_lists_come_in_pages(graph: Graph) -> None:
    """With a cursor, and `next` as long as there is more."""
    for number in range(3):
        await graph.published(await graph.made(f"Nr. {number}"))
    first = (await graph.get("me/threads", fields="id,text", limit="2")).body
    assert [one["text"] for one in first["data"]] == ["Nr. 2", "Nr. 1"]
    assert "next" in first["paging"]
    after = first["paging"]["cursors"]["after"]
    last = (await graph.get("me/threads", fields="id,text", limit="2", after=after)).body
    assert [one["text"] for one in last["data"]] == ["Nr. 0"]
    assert "next" not in last["paging"]
    for strange in ({"limit": "0"}, {"after": "1"}, {"fields": "secret"}):
        assert (await graph.get("me/threads", **strange)).status == 400


async def test_tokens_open_what_they_are_for(graph: Graph, client: Client) -> None:
    """A strange one, one that is over, one without a permission, one of another account."""
    post = (await graph.published(await graph.made())).body["id"]
    assert refusal(await graph.get("me", token="EAAB")) == (400, 190, None)
    assert refusal(await graph.get("me", token=f"{TOKEN}.expired")) == (400, 190, 463)
    bare = f"{TOKEN}.without-threads_content_publish.without-threads_delete"
    answer = await graph.post("me/threads", token=bare, media_type="TEXT", text="a")
    assert refusal(answer) == (400, 200, None)
    assert refusal(await graph.get("me/threads_publishing_limit", token=bare)) == (400, 200, None)
    query = {"access_token": bare}
    answer = await client.ask("DELETE", f"/threads/v1.0/{post}", params=query)
    assert refusal(answer) == (400, 200, None)
    assert refusal(await graph.get(post, token="sandbox-andere")) == (400, 100, 33)
    assert refusal(await graph.get("1/threads")) == (400, 100, 33)


async def test_the_limit_of_the_day_is_told(graph: Graph) -> None:
    """How many posts there were; a token marked so has none left."""
    await graph.published(await graph.made())
    (row,) = (await graph.get("me/threads_publishing_limit", fields="quota_usage")).body["data"]
    assert (row["quota_usage"], row["config"]["quota_total"]) == (1, 250)
    (row,) = (await graph.get("me/threads_publishing_limit", token=f"{TOKEN}.full")).body["data"]
    assert row["quota_usage"] == 250


async def test_every_address_is_in_metas_collection(sandbox: Sandbox) -> None:
    """The stand-in has no door that Threads does not have."""
    path = shared_path("contracts", "threads", "threads-api.postman_collection.json")
    found = set()

    def walk(folder: dict[str, Any]) -> None:
        for item in folder.get("item", []):
            walk(item)
            if "request" in item:
                parts = [part for part in item["request"]["url"]["path"] if part]
                place = "/".join("{}" if "{{" in part or part == "me" else part for part in parts)
                found.add((item["request"]["method"], place))

    walk(json.loads(path.read_text("utf-8")))
    for route in sandbox._application.router.routes():
        info = route.resource.get_info() if route.resource else {}
        place = str(info.get("formatter", info.get("path", "")))
        if place.startswith("/threads/v1.0/") and route.method != "HEAD":
            name = place.removeprefix("/threads/v1.0/").replace("{node}", "{}")
            assert (route.method, "{}" if name == "me" else name) in found, place


# The channel itself, at the stand-in


class Running:
    """A channel of type threads at a sandbox whose time is real."""

    def __init__(self, sandbox: Sandbox, place: Path) -> None:
        self.sandbox = sandbox
        self.place = place
        self.channel = self.build()

    def build(self, **changes: Any) -> adapter.Threads:
        """Build the channel from the table that the stand-in offers."""
        table = tomllib.loads(threads.channel(f"{self.sandbox.url}/threads"))
        settings = table["channels"]["city-threads"] | changes
        del settings["type"]
        for name, content in threads.secrets().items():
            keep_secret(self.place, name, content)
        config = ChannelConfig(name="city-threads", type="threads")
        timing = Timing(attempt_seconds=3, connect_seconds=1)
        setup = Setup(config, Secrets(self.place), timing, SystemClock(), self.place)
        return adapter.build(setup, adapter.Settings.model_validate(settings))

    async def prepared(self, one: Delivery) -> Delivery:
        """Take the first step."""
        return replace(one, handle=await self.channel.prepare(one))

    async def post(self, one: Delivery) -> Receipt:
        """Take both steps."""
        return await self.channel.send(await self.prepared(one))


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    """Run a sandbox and a channel that posts to it."""
    sandbox = Sandbox(SystemClock())
    await sandbox.start()
    one = Running(sandbox, tmp_path)
    yield one
    await one.channel.close()
    await sandbox.close()


ClientOf = Callable[[Sandbox], Client]


@pytest.fixture
def client_of(session: aiohttp.ClientSession) -> ClientOf:
    """Give a client of any sandbox."""
    return lambda sandbox: Client(sandbox, session)


def now(**changes: Any) -> Delivery:
    """Give a delivery of this moment."""
    return delivery(first_attempt=datetime.now(UTC), **changes)


def carded(url: str) -> Delivery:
    """Give a delivery with a card at this address."""
    card = Media("c0", "Warnkarte", "image/png", 1200, 675, digest="d0", url=url)
    return now(message=Message(TEXT, "de", media=(card,)))


async def test_the_channel_posts_looks_answers_and_takes_down(running: Running) -> None:
    """All of it in both steps, with the card: the stand-in counts one post each."""
    channel, sandbox = running.channel, running.sandbox
    receipt = await running.post(carded(at(sandbox, picture())))
    assert receipt.note is None
    assert receipt.url is not None
    sight = await channel.look(now(receipt=receipt))
    assert (sight.there, sight.altered, sight.counts["views"]) == (True, False, 0)
    answer = await running.post(now(reply_to=receipt, text=TEXT.replace("/1", "/2")))
    assert [one.reply_to for one in sandbox.posts.of("threads")] == [None, receipt.remote_id]
    assert answer.note is None
    await channel.retract(receipt)
    await channel.retract(receipt)
    assert not (await channel.look(now(receipt=receipt))).there
    late = await running.post(now(reply_to=receipt))
    assert late.note is not None
    assert "on its own" in late.note


async def test_the_channel_leaves_out_a_card_that_is_not_there(running: Running) -> None:
    """The text is out, and the receipt says why it is alone."""
    receipt = await running.post(carded(f"{running.sandbox.url}/nothing"))
    assert receipt.note is not None
    assert receipt.note.startswith("posted without its card: ")
    (post,) = running.sandbox.posts.of("threads")
    assert post.media == []


@pytest.mark.parametrize("fault", ["lost-answer", "error-500-accepted", "no-id", "garbage"])
async def test_the_channel_finds_what_was_published_behind_its_back(
    running: Running, client_of: ClientOf, fault: str
) -> None:
    """The answer says nothing, and the container says everything: one post, found."""
    one = await running.prepared(now())
    await client_of(running.sandbox).fault("threads", fault)
    with pytest.raises(Unknown):
        await running.channel.send(one)
    found = await running.channel.find(one)
    again = await running.channel.send(one)
    assert found == again
    assert len(running.sandbox.posts.of("threads")) == 1


async def test_the_channel_publishes_what_was_lost_before(
    running: Running, client_of: ClientOf
) -> None:
    """A reset connection: provably unpublished, then published with the same container."""
    one = await running.prepared(now())
    await client_of(running.sandbox).fault("threads", "reset")
    with pytest.raises(Unknown):
        await running.channel.send(one)
    assert await running.channel.find(one) is None
    second = running.build()
    await second.send(one)
    await second.close()
    assert len(running.sandbox.posts.of("threads")) == 1


async def test_the_channel_renews_its_token_and_is_ready(running: Running) -> None:
    """The first probe knows the token's end, and who we are."""
    found = await running.channel.probe()
    assert found.ready
    assert found.days_left == pytest.approx(60, abs=0.1)
    assert found.identity["id"] == USER
    for mark, word in (("expired", "expired"), ("full", "used up")):
        keep_secret(running.place, mark, f"{TOKEN}.{mark}")
        channel = running.build(access_token_file=mark)
        assert word in (await channel.probe()).sentence
        await channel.close()


async def test_the_channel_is_connected_through_the_stand_in(
    running: Running, client_of: ClientOf
) -> None:
    """Consent, code and both exchanges end in a token that posts."""
    table = tomllib.loads(threads.channel(f"{running.sandbox.url}/threads"))
    settings = {k: v for k, v in table["channels"]["city-threads"].items() if k != "type"}
    config = ChannelConfig(name="city-threads", type="threads")
    setup = Setup(config, Secrets(running.place), Timing(), SystemClock(), running.place)
    oauth = adapter.oauth(setup, adapter.Settings.model_validate(settings))
    page = oauth.authorize("http://127.0.0.1:9/back", "s1")
    led = await client_of(running.sandbox).ask("GET", page)
    assert led.status == 302
    assert "code=" in led.headers["Location"]
    grant = await oauth.exchange(TOKEN, "http://127.0.0.1:9/back")
    assert grant.expires is not None
    assert (grant.expires - datetime.now(UTC)).days == 59
    for wrong in ("nothing", ""):
        with pytest.raises(Failure):
            await oauth.exchange(wrong, "http://127.0.0.1:9/back")


async def test_the_stand_in_is_quick_with_texts(running: Running) -> None:
    """A text needs no picture: it is out at once."""
    async with asyncio.timeout(2):
        await running.post(now())
