"""The Instagram stand-in, asked directly, held against Meta's lists, and by the channel itself."""

from __future__ import annotations

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
from broadcaster.channels import instagram as adapter
from broadcaster.clock import SystemClock
from broadcaster.config import ChannelConfig, Secrets, Timing
from broadcaster.delivery import (
    Act,
    Delivery,
    Failure,
    Media,
    Message,
    Rejected,
    Unknown,
)
from broadcaster.sandbox import Sandbox, instagram
from broadcaster.sandbox.instagram import TOKEN
from broadcaster.sandbox.posts import account
from tests.channels.stub import TEXT, delivery, keep_secret
from tests.conftest import shared_path
from tests.kit import ManualClock
from tests.sandbox.client import Answer, Client, picture

USER = str(account(TOKEN).number)
FACEBOOK = f"{TOKEN}.facebook"
POINTER = "Überholt: siehe Nr. 26-0142/2"
ClientOf = Callable[[Sandbox], Client]


class Graph:
    """Asks the stand-in as a client of the Graph API does."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def ask(self, method: str, path: str, token: str = TOKEN, **given: str) -> Answer:
        """Send a request: parameters in the address, or in a form."""
        more = {"data" if method == "POST" else "params": given}
        headers = {"Authorization": f"Bearer {token}"}
        url = f"/instagram/v25.0/{path}"
        return await self._client.ask(method, url, headers=headers, **more)

    async def get(self, path: str, token: str = TOKEN, **query: str) -> Answer:
        """Read."""
        return await self.ask("GET", path, token, **query)

    async def make(self, **more: str) -> Answer:
        """Ask for a container of a good picture."""
        sandbox = self._client.sandbox
        return await self.ask("POST", f"{USER}/media", **({"image_url": at(sandbox)} | more))

    async def publish(self, container: str, token: str = TOKEN) -> Answer:
        """Publish a container."""
        return await self.ask("POST", f"{USER}/media_publish", token, creation_id=container)

    async def posted(self, clock: ManualClock, **more: str) -> str:
        """Make a container, wait until it is ready, and publish it."""
        container = (await self.make(**({"caption": "Feuer"} | more))).body["id"]
        clock.move(0.3)
        answer = await self.publish(container)
        assert answer.status == 200, answer.raw
        return str(answer.body["id"])


@pytest.fixture
def graph(client: Client) -> Graph:
    """Give a client of the Graph API."""
    return Graph(client)


def refusal(answer: Answer) -> tuple[int, int, int | None]:
    """Give status, code and subcode of an error, once its envelope is whole."""
    said = answer.body["error"]
    assert {"message", "type", "code", "fbtrace_id"} <= set(said)
    return answer.status, said["code"], said.get("error_subcode")


def at(
    sandbox: Sandbox, kind: str = "image/jpeg", form: str = "JPEG", size: tuple[int, int] = (40, 50)
) -> str:
    """Put a picture at an address on this machine."""
    kept = sandbox.pictures.keep(picture(*size, form), kind)
    return f"{sandbox.url}/_sandbox/pictures/{kept}"


async def test_a_picture_is_made_published_read_and_listed(
    graph: Graph, client: Client, clock: ManualClock
) -> None:
    """Each step answers as Instagram does; until it is published nobody sees anything."""
    container = (await graph.make(caption="Feuer", alt_text="Karte")).body["id"]
    fields = "id,status_code,status"
    assert (await graph.get(container, fields=fields)).body["status_code"] == "IN_PROGRESS"
    assert refusal(await graph.publish(container)) == (400, 9007, 2207027)
    clock.move(0.3)
    assert (await graph.get(container, fields=fields)).body["status_code"] == "FINISHED"
    assert await client.posts("instagram") == []
    post = (await graph.publish(container)).body["id"]
    assert (await graph.get(container, fields=fields)).body["status_code"] == "PUBLISHED"
    read = (await graph.get(post, fields="id,caption,timestamp,permalink,like_count")).body
    assert read["caption"] == "Feuer"
    assert datetime.fromisoformat(read["timestamp"]).tzinfo == UTC
    listed = (await graph.get(f"{USER}/media", fields="id,caption")).body
    assert listed["data"] == [{"id": post, "caption": "Feuer"}]
    (shown,) = await client.posts("instagram")
    assert shown["media"][0]["alt"] == "Karte"


async def test_a_container_is_published_once(
    graph: Graph, client: Client, clock: ManualClock
) -> None:
    """A second time is an error, and no second post; each request is counted."""
    container = (await graph.make()).body["id"]
    clock.move(1)
    await graph.publish(container)
    assert refusal(await graph.publish(container)) == (400, 24, 2207006)
    assert len(await client.posts("instagram")) == 1
    counted = (await client.ask("GET", "/_sandbox/requests?network=instagram")).body
    assert (counted["creates"], counted["distinct_keys"], counted["repeats"]) == (2, 1, 1)


async def test_a_container_expires_after_a_day(graph: Graph, clock: ManualClock) -> None:
    """What was not published by then never will be; nor what never was."""
    container = (await graph.make()).body["id"]
    clock.move(24 * 3600)
    found = await graph.get(container, fields="status_code")
    assert found.body["status_code"] == "EXPIRED"
    assert refusal(await graph.publish(container)) == (400, 24, 2207008)
    assert refusal(await graph.publish("17")) == (400, 24, 2207008)


async def test_only_a_picture_that_instagram_takes_makes_a_container(
    graph: Graph, sandbox: Sandbox
) -> None:
    """There, a JPEG, and of a shape between 4:5 and 1.91:1."""
    for url, expected in (
        (f"{sandbox.url}/nothing", (400, 9004, 2207052)),
        (at(sandbox, "image/png", "PNG"), (400, 36001, 2207005)),
        (at(sandbox, size=(40, 60)), (400, 36003, 2207009)),
        (at(sandbox, size=(80, 40)), (400, 36003, 2207009)),
        ("", (400, 100, None)),
    ):
        assert refusal(await graph.make(image_url=url)) == expected
    for size in ((1080, 1350), (191, 100), (100, 100)):
        assert (await graph.make(image_url=at(sandbox, size=size))).status == 200


async def test_captions_have_three_limits(graph: Graph) -> None:
    """2,200 characters, 30 hashtags, 20 names; and one kind of media here."""
    for caption in ("a" * 2201, "#a " * 31, "@a " * 21):
        assert refusal(await graph.make(caption=caption)) == (400, 36004, 2207010)
    for caption in ("ü" * 2200, "#a " * 30, "@a " * 20):
        assert (await graph.make(caption=caption)).status == 200
    assert refusal(await graph.make(media_type="STORY")) == (400, 100, 2207023)


async def test_comments_stand_below_their_post(
    graph: Graph, client: Client, clock: ManualClock
) -> None:
    """Made by the account, read back, counted, and shown."""
    post = await graph.posted(clock)
    made = await graph.ask("POST", f"{post}/comments", message=POINTER)
    rows = (await graph.get(f"{post}/comments", fields="id,text,username")).body["data"]
    assert rows == [{"id": made.body["id"], "text": POINTER, "username": "stadt_dortmund"}]
    assert (await graph.get(post, fields="comments_count")).body["comments_count"] == 1
    shown = [one for one in await client.posts("instagram") if one["reply_to"] == post]
    assert [one["text"] for one in shown] == [POINTER]
    assert refusal(await graph.ask("POST", f"{post}/comments")) == (400, 100, None)
    assert refusal(await graph.ask("POST", "17/comments", message="a")) == (400, 100, 33)
    bare = f"{TOKEN}.without-instagram_business_manage_comments"
    answer = await graph.ask("POST", f"{post}/comments", bare, message="a")
    assert refusal(answer) == (400, 200, None)


async def test_only_facebook_login_deletes(graph: Graph, clock: ManualClock) -> None:
    """With Instagram Login there is no such thing; without the permission it is refused."""
    post = await graph.posted(clock)
    assert refusal(await graph.ask("DELETE", post)) == (400, 100, 33)
    bare = f"{FACEBOOK}.without-instagram_manage_contents"
    assert refusal(await graph.ask("DELETE", post, bare)) == (400, 200, None)
    assert (await graph.ask("DELETE", post, FACEBOOK)).body == {"success": True}
    assert refusal(await graph.get(post)) == (400, 100, 33)


async def test_tokens_open_what_they_are_for(graph: Graph, clock: ManualClock) -> None:
    """Who it is, what was granted, what is left of the day; nothing for strangers."""
    me = (await graph.get("me", fields="id,user_id,username")).body
    assert (me["user_id"], me["username"]) == (USER, "stadt_dortmund")
    assert refusal(await graph.get("me", token="EAAB")) == (400, 190, None)
    assert refusal(await graph.get("me", token=f"{TOKEN}.expired")) == (400, 190, 463)
    assert refusal(await graph.get("me/permissions")) == (400, 100, 33)
    bare = f"{FACEBOOK}.without-instagram_manage_contents"
    rows = (await graph.get("me/permissions", token=bare)).body["data"]
    declined = [row["permission"] for row in rows if row["status"] == "declined"]
    assert declined == ["instagram_manage_contents"]
    post = await graph.posted(clock)
    (row,) = (await graph.get(f"{USER}/content_publishing_limit")).body["data"]
    assert (row["quota_usage"], row["config"]["quota_total"]) == (1, 50)
    assert refusal(await graph.publish("1", f"{TOKEN}.full")) == (400, 9, 2207042)
    without = f"{TOKEN}.without-instagram_business_content_publish"
    limit = await graph.get(f"{USER}/content_publishing_limit", token=without)
    assert refusal(limit) == (400, 200, None)
    assert refusal(await graph.get(post, token="sandbox-andere")) == (400, 100, 33)
    for edge in ("media", "content_publishing_limit"):
        assert refusal(await graph.get(f"1/{edge}")) == (400, 100, 33)
    insights = (await graph.get(f"{post}/insights", metric="views,reach,secret")).body["data"]
    assert [one["name"] for one in insights] == ["views", "reach"]


async def test_every_edge_is_in_metas_lists(sandbox: Sandbox) -> None:
    """The stand-in has no door that Instagram does not have."""
    nodes = json.loads(shared_path("contracts", "meta-graph-v25.trimmed.json").read_text("utf-8"))
    known = {
        (one["method"], one.get("endpoint") or "")
        for name in ("IGUser", "IGMedia", "IGMediaForIGOnlyAPI")
        for one in nodes[name]["apis"]
    }
    root = "/instagram/{version}/{node}"
    edges = set()
    for route in sandbox._application.router.routes():
        info = route.resource.get_info() if route.resource else {}
        place = str(info.get("formatter", info.get("path", "")))
        if place.startswith(root) and route.method != "HEAD":
            edges.add((route.method, place.removeprefix(root).strip("/")))
    assert edges <= known
    assert len(edges) >= 8


# The channel itself, at the stand-in


class Running:
    """A channel of type instagram at a sandbox whose time is real."""

    def __init__(self, sandbox: Sandbox, place: Path) -> None:
        self.sandbox = sandbox
        self.place = place
        for name, content in instagram.secrets().items():
            keep_secret(place, name, content)
        keep_secret(place, "facebook-login", FACEBOOK)
        self.channel = self.build()

    def settings(self, **changes: Any) -> adapter.Settings:
        """Read the table that the stand-in offers."""
        table = tomllib.loads(instagram.channel(f"{self.sandbox.url}/instagram"))
        given = table["channels"]["city-instagram"] | changes
        return adapter.Settings.model_validate({k: v for k, v in given.items() if k != "type"})

    @property
    def setup(self) -> Setup:
        """Give what a channel is built from."""
        config = ChannelConfig(name="city-instagram", type="instagram")
        timing = Timing(attempt_seconds=3, connect_seconds=1)
        return Setup(config, Secrets(self.place), timing, SystemClock(), self.place)

    def build(self, **changes: Any) -> adapter.Instagram:
        """Build a channel."""
        return adapter.build(self.setup, self.settings(**changes))

    def card(self, text: str = TEXT, url: str = "") -> Delivery:
        """Give a delivery of this moment with a card."""
        address = url or at(self.sandbox)
        card = Media("c0", "Warnkarte", "image/jpeg", 1080, 1350, digest="d0", url=address)
        message = Message(text, "de", media=(card,))
        return delivery(message=message, first_attempt=datetime.now(UTC))

    async def prepared(self, one: Delivery) -> Delivery:
        """Take the first step."""
        return replace(one, handle=await self.channel.prepare(one))


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    """Run a sandbox and a channel that posts to it."""
    sandbox = Sandbox(SystemClock())
    await sandbox.start()
    one = Running(sandbox, tmp_path)
    yield one
    await one.channel.close()
    await sandbox.close()


@pytest.fixture
def client_of(session: aiohttp.ClientSession) -> ClientOf:
    """Give a client of any sandbox."""
    return lambda sandbox: Client(sandbox, session)


async def test_the_channel_posts_looks_and_corrects(running: Running) -> None:
    """The picture takes its time, and one post comes of it; a comment marks it, and is found."""
    channel = running.channel
    receipt = await channel.send(await running.prepared(running.card()))
    assert receipt.url is not None
    sight = await channel.look(replace(running.card(), receipt=receipt))
    assert (sight.there, sight.altered, sight.counts["likes"]) == (True, False, 0)
    pointer = delivery(message=Message(POINTER, "de", act=Act.CORRECT), reply_to=receipt)
    assert await channel.find(pointer) is None
    marked = await channel.correct(pointer)
    assert await channel.find(pointer) == marked
    texts = [one.text for one in running.sandbox.posts.of("instagram")]
    assert texts == [TEXT, POINTER]


async def test_the_channel_says_what_it_cannot_do(running: Running) -> None:
    """With Instagram Login a post stays; with Facebook Login it is taken down."""
    receipt = await running.channel.send(await running.prepared(running.card()))
    assert "cannot take posts down" in (await running.channel.probe()).sentence
    with pytest.raises(Rejected):
        await running.channel.retract(receipt)
    other = running.build(login="facebook", access_token_file="facebook-login")
    assert (await other.probe()).sentence == "Instagram knows us as @stadt_dortmund."
    await other.retract(receipt)
    await other.retract(receipt)
    assert not (await other.look(replace(running.card(), receipt=receipt))).there
    await other.close()


async def test_the_channel_refuses_a_picture_that_is_not_there(running: Running) -> None:
    """Without its card there is no post, and people read why."""
    with pytest.raises(Rejected, match="could not fetch the picture"):
        await running.prepared(running.card(url=f"{running.sandbox.url}/nothing"))


@pytest.mark.parametrize("fault", ["lost-answer", "error-500-accepted", "no-id", "garbage"])
async def test_the_channel_finds_what_was_published_behind_its_back(
    running: Running, client_of: ClientOf, fault: str
) -> None:
    """The answer says nothing, and the container says everything: one post, found."""
    one = await running.prepared(running.card())
    await client_of(running.sandbox).fault("instagram", fault)
    with pytest.raises(Unknown):
        await running.channel.send(one)
    assert await running.channel.find(one) == await running.channel.send(one)
    assert len(running.sandbox.posts.of("instagram")) == 1


async def test_the_channel_publishes_what_was_lost_before(
    running: Running, client_of: ClientOf
) -> None:
    """A reset connection: provably unpublished, then published with the same container."""
    one = await running.prepared(running.card())
    await client_of(running.sandbox).fault("instagram", "reset")
    with pytest.raises(Unknown):
        await running.channel.send(one)
    assert await running.channel.find(one) is None
    second = running.build()
    await second.send(one)
    await second.close()
    assert len(running.sandbox.posts.of("instagram")) == 1


async def test_the_channel_renews_its_token_and_is_ready(running: Running) -> None:
    """The first probe knows the token's end; one that is over or used up is said."""
    found = await running.channel.probe()
    assert found.ready
    assert found.days_left == pytest.approx(60, abs=0.1)
    for mark, word in (("expired", "expired"), ("full", "used up")):
        keep_secret(running.place, mark, f"{TOKEN}.{mark}")
        channel = running.build(access_token_file=mark)
        assert word in (await channel.probe()).sentence
        await channel.close()


@pytest.mark.parametrize("login", ["instagram", "facebook"])
async def test_the_channel_is_connected_through_the_stand_in(
    running: Running, client_of: ClientOf, login: str
) -> None:
    """Either login ends in a token that is good for sixty days."""
    oauth = adapter.oauth(running.setup, running.settings(login=login))
    page = oauth.authorize("http://127.0.0.1:9/back", "s1")
    led = await client_of(running.sandbox).ask("GET", page)
    assert led.status == 302
    assert "state=s1" in led.headers["Location"]
    grant = await oauth.exchange(TOKEN, "http://127.0.0.1:9/back")
    assert grant.expires is not None
    assert (grant.expires - datetime.now(UTC)).days == 59
    with pytest.raises(Failure):
        await oauth.exchange("nothing", "http://127.0.0.1:9/back")
