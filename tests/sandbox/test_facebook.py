"""The Facebook stand-in, asked directly, held against Meta's lists, and by the channel itself."""

from __future__ import annotations

import json
import tomllib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from broadcaster.channels import Setup
from broadcaster.channels import facebook as adapter
from broadcaster.config import ChannelConfig, Secrets, Timing
from broadcaster.delivery import Act, Delivery, Media, Message, Receipt, Rejected, Unknown
from broadcaster.sandbox import Sandbox, facebook, facebook_access
from broadcaster.sandbox.facebook import PAGE_TOKEN, TEXT_MAX
from broadcaster.sandbox.posts import account
from tests.channels.stub import delivery, keep_secret
from tests.conftest import shared_path
from tests.kit import ManualClock
from tests.sandbox.client import Answer, Client, picture

PAGE = str(account(PAGE_TOKEN).number)
APP = f"{facebook_access.APP_ID}|{facebook_access.APP_SECRET}"
FIELDS = "id,message,permalink_url,is_published,is_hidden,created_time,privacy"


def bearer(token: str = PAGE_TOKEN) -> dict[str, str]:
    """Give the header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


class Graph:
    """Asks the stand-in as a client of the Graph API does."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def ask(self, method: str, path: str, token: str = PAGE_TOKEN, **query: str) -> Answer:
        """Send a request with parameters in the address."""
        return await self._client.ask(
            method, f"/facebook/v25.0/{path}", params=query, headers=bearer(token)
        )

    async def get(self, path: str, token: str = PAGE_TOKEN, **query: str) -> Answer:
        """Read."""
        return await self.ask("GET", path, token, **query)

    async def write(self, path: str, token: str = PAGE_TOKEN, **body: Any) -> Answer:
        """Send a request with parameters in a JSON body."""
        url = f"/facebook/v25.0/{path}"
        return await self._client.ask("POST", url, json=body, headers=bearer(token))

    async def post(self, message: str, **more: Any) -> str:
        """Post a text and give its id."""
        posted = await self.write(f"{PAGE}/feed", message=message, **more)
        assert posted.status == 200, posted.raw
        return str(posted.body["id"])


@pytest.fixture
def graph(client: Client) -> Graph:
    """Give a client of the Graph API."""
    return Graph(client)


def refusal(answer: Answer) -> tuple[int, int, int | None]:
    """Give status, code and subcode of an error, once its envelope is whole."""
    said = answer.body["error"]
    assert {"message", "type", "code", "fbtrace_id"} <= set(said)
    return answer.status, said["code"], said.get("error_subcode")


async def test_a_text_is_posted_read_listed_edited_and_deleted(
    graph: Graph, client: Client
) -> None:
    """Each step answers as Graph does, and the page shows what it came to."""
    post = await graph.post("Feuer in Hörde")
    assert post.startswith(f"{PAGE}_")
    read = (await graph.get(post, fields=FIELDS)).body
    assert set(read) == set(FIELDS.split(","))
    assert (read["message"], read["is_published"], read["is_hidden"]) == (
        "Feuer in Hörde",
        True,
        False,
    )
    assert read["privacy"]["value"] == "EVERYONE"
    assert datetime.fromisoformat(read["created_time"]).tzinfo == UTC
    listed = (await graph.get(f"{PAGE}/published_posts")).body
    assert [one["id"] for one in listed["data"]] == [post]
    assert (await graph.write(post, message="Überholt")).body == {"success": True}
    (shown,) = await client.posts("facebook")
    assert (shown["text"], shown["edited"]) == ("Überholt", True)
    assert (await graph.ask("DELETE", post)).body == {"success": True}
    assert refusal(await graph.get(post)) == (400, 100, 33)
    assert refusal(await graph.ask("DELETE", post)) == (400, 100, 33)


async def test_a_form_is_as_good_as_json(client: Client) -> None:
    """Graph takes both, and the token as a parameter too."""
    form = {"message": "Feuer", "access_token": PAGE_TOKEN}
    answer = await client.ask("POST", f"/facebook/v25.0/{PAGE}/feed", data=form)
    assert answer.status == 200
    assert [one["text"] for one in await client.posts("facebook")] == ["Feuer"]


async def test_a_photo_is_fetched_from_its_address(
    graph: Graph, client: Client, sandbox: Sandbox
) -> None:
    """The answer names the photo and the post; the picture and its text are shown."""
    kept = sandbox.pictures.keep(picture(), "image/png")
    url = f"{sandbox.url}/_sandbox/pictures/{kept}"
    posted = await graph.write(
        f"{PAGE}/photos", url=url, caption="Feuer", alt_text_custom="Karte", published=True
    )
    assert posted.body["post_id"].startswith(f"{PAGE}_")
    assert "_" not in posted.body["id"]
    (shown,) = await client.posts("facebook")
    assert (shown["text"], shown["media"][0]["alt"]) == ("Feuer", "Karte")
    assert sandbox.pictures.get(shown["media"][0]["id"]) == sandbox.pictures.get(kept)
    listed = (await graph.get(f"{PAGE}/published_posts", fields="message")).body["data"]
    assert [one["message"] for one in listed] == ["Feuer"]


@pytest.mark.parametrize("url", ["", "nonsense", "https://graph.facebook.com/x.png", "/facebook/"])
async def test_a_picture_that_cannot_be_fetched_posts_nothing(
    graph: Graph, client: Client, sandbox: Sandbox, url: str
) -> None:
    """Neither an address elsewhere, nor a page that is no picture."""
    url = sandbox.url + url if url.startswith("/") else url
    answer = await graph.write(f"{PAGE}/photos", url=url, caption="Feuer")
    assert refusal(answer) == (400, 324, 2069019)
    assert await client.posts("facebook") == []


async def test_the_same_text_twice_in_a_row_is_a_duplicate(graph: Graph) -> None:
    """Only the newest post counts; also one that the list does not show yet, not a deleted one."""
    first = await graph.post("Feuer")
    again = await graph.write(f"{PAGE}/feed", message=" Feuer ")
    assert refusal(again)[:2] == (400, 506)
    await graph.post("Anderes")
    second = await graph.post("Feuer")
    assert second != first
    await graph.ask("DELETE", second)
    await graph.post("Feuer")


async def test_a_post_hidden_from_the_list_is_a_duplicate_all_the_same(
    graph: Graph, client: Client
) -> None:
    """The list may lag behind; the rule against repeats does not."""
    await client.ask("PUT", "/_sandbox/hide", json={"network": "facebook", "seconds": 60})
    await graph.post("Feuer")
    assert (await graph.get(f"{PAGE}/published_posts")).body == {"data": []}
    assert refusal(await graph.write(f"{PAGE}/feed", message="Feuer"))[1] == 506


async def test_a_list_comes_in_pages(graph: Graph, clock: ManualClock) -> None:
    """Newest first, by cursors; the last page names no next one."""
    posts = []
    for number in range(5):
        clock.move(1)
        posts.append(await graph.post(f"Meldung {number}"))
    found, query, body = [], {"limit": "2"}, {}
    for _ in range(3):
        body = (await graph.get(f"{PAGE}/published_posts", **query)).body
        found += [one["id"] for one in body["data"]]
        query["after"] = body["paging"]["cursors"]["after"]
    assert found == posts[::-1]
    assert "next" not in body["paging"]
    assert refusal(await graph.get(f"{PAGE}/published_posts", limit="101"))[1] == 100
    assert refusal(await graph.get(f"{PAGE}/published_posts", after="nowhere"))[1] == 100


async def test_comments_are_listed_on_their_post(graph: Graph, client: Client) -> None:
    """They are counted, and do not stand among the Page's posts."""
    post = await graph.post("Feuer")
    for text in ("Eins", "Zwei"):
        assert "_" in (await graph.write(f"{post}/comments", message=text)).body["id"]
    listed = (await graph.get(f"{post}/comments", fields="id,message,from")).body["data"]
    assert [one["message"] for one in listed] == ["Eins", "Zwei"]
    assert listed[0]["from"]["id"] == PAGE
    newest = await graph.get(f"{post}/comments", order="reverse_chronological", limit="1")
    assert newest.body["data"][0]["message"] == "Zwei"
    counts = "comments.summary(true).limit(0),reactions.summary(true).limit(0),shares"
    read = (await graph.get(post, fields=counts)).body
    assert read["comments"]["summary"]["total_count"] == 2
    assert read["reactions"]["summary"]["total_count"] == 0
    assert "shares" not in read
    assert len((await graph.get(f"{PAGE}/published_posts")).body["data"]) == 1
    kinds = [one.get("kind") for one in await client.posts("facebook")]
    assert kinds == [None, "comment", "comment"]


@pytest.mark.parametrize(("length", "status"), [(TEXT_MAX, 200), (TEXT_MAX + 1, 400)])
async def test_a_text_has_a_longest_length(graph: Graph, length: int, status: int) -> None:
    """In characters, whatever they are; an edit is measured too."""
    text = "ü" * length
    assert (await graph.write(f"{PAGE}/feed", message=text)).status == status
    post = await graph.post("kurz")
    assert (await graph.write(post, message=text)).status == status


async def test_an_empty_text_is_refused(graph: Graph, client: Client) -> None:
    """Nothing is posted without a text or a picture."""
    assert refusal(await graph.write(f"{PAGE}/feed", message=" "))[:2] == (400, 100)
    post = await graph.post("Feuer")
    assert refusal(await graph.write(f"{post}/comments", message=""))[:2] == (400, 100)
    assert len(await client.posts("facebook")) == 1


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("EAABreal", (400, 190, None)),
        ("", (400, 190, None)),
        (f"{PAGE_TOKEN}.expired", (400, 190, 463)),
        (f"{PAGE_TOKEN}.without-pages_manage_posts", (400, 200, None)),
        (f"{PAGE_TOKEN}.user", (400, 200, None)),
        ("sandbox-another-page", (400, 100, 33)),
    ],
)
async def test_a_token_opens_what_it_may(
    graph: Graph, client: Client, token: str, code: tuple[int, int, int | None]
) -> None:
    """A real token, an old one, one without the permission, a person's and another Page's."""
    assert refusal(await graph.write(f"{PAGE}/feed", token, message="Feuer")) == code
    assert await client.posts("facebook") == []


async def test_another_page_sees_and_changes_nothing(graph: Graph) -> None:
    """A post is its own Page's alone."""
    post, other = await graph.post("Feuer"), "sandbox-another-page"
    for answer in (
        await graph.get(post, other),
        await graph.write(post, other, message="x"),
        await graph.write(f"{post}/comments", other, message="x"),
        await graph.ask("DELETE", post, other),
        await graph.get(f"{PAGE}/published_posts", other),
    ):
        assert refusal(answer) == (400, 100, 33)


async def test_permissions_are_asked_for_each_edge(graph: Graph) -> None:
    """Listing, commenting and deleting have each their own."""
    post = await graph.post("Feuer")

    def without(scope: str) -> str:
        return f"{PAGE_TOKEN}.without-{scope}"

    for answer in (
        await graph.get(f"{PAGE}/published_posts", without("pages_read_engagement")),
        await graph.write(f"{post}/comments", without("pages_manage_engagement"), message="x"),
        await graph.ask("DELETE", post, without("pages_manage_posts")),
        await graph.write(post, without("pages_manage_posts"), message="x"),
    ):
        assert refusal(answer) == (400, 200, None)


async def test_a_token_is_inspected_by_its_app(graph: Graph, clock: ManualClock) -> None:
    """With the app's own token alone; the answer tells its Page, its end and its permissions."""
    good = (await graph.get("debug_token", APP, input_token=PAGE_TOKEN)).body["data"]
    assert (good["is_valid"], good["type"], good["profile_id"]) == (True, "PAGE", PAGE)
    assert good["expires_at"] == 0
    assert set(facebook_access.SCOPES) <= set(good["scopes"])
    ending = (await graph.get("debug_token", APP, input_token=f"{PAGE_TOKEN}.days-5")).body["data"]
    assert ending["expires_at"] == int((clock.now() + timedelta(days=5)).timestamp())
    over = (await graph.get("debug_token", APP, input_token=f"{PAGE_TOKEN}.expired")).body["data"]
    assert (over["is_valid"], over["error"]["subcode"]) == (False, 463)
    strange = (await graph.get("debug_token", APP, input_token="EAAB")).body["data"]
    assert (strange["is_valid"], strange["scopes"]) == (False, [])
    assert refusal(await graph.get("debug_token", PAGE_TOKEN, input_token="x"))[1] == 190


async def test_a_person_finds_the_page_by_its_accounts(graph: Graph) -> None:
    """/me of a Page's token is the Page; of a person's the Pages are listed with their tokens."""
    assert (await graph.get("me", fields="id,name")).body == {"id": PAGE, "name": "Stadt Dortmund"}
    (found,) = (await graph.get("me/accounts", f"{PAGE_TOKEN}.user")).body["data"]
    assert (found["id"], found["access_token"]) == (PAGE, PAGE_TOKEN)
    assert refusal(await graph.get("me/accounts"))[1] == 100


async def test_a_field_that_is_not_there_is_refused(graph: Graph) -> None:
    """Graph refuses the whole request for it."""
    post = await graph.post("Feuer")
    assert refusal(await graph.get(post, fields="id,text"))[:2] == (400, 100)
    assert refusal(await graph.get(f"{PAGE}/published_posts", fields="text"))[:2] == (400, 100)
    assert refusal(await graph.get(PAGE, fields="message"))[:2] == (400, 100)


def test_its_fields_are_in_metas_list() -> None:
    """What the stand-in tells of a post is what Meta's own list names, or an edge of it."""
    spec = json.loads(shared_path("contracts", "meta-graph-v25.trimmed.json").read_text("utf-8"))
    names = {one["name"] if isinstance(one, dict) else one for one in spec["PagePost"]["fields"]}
    assert {*facebook._POST_FIELDS} - {"comments", "reactions"} <= names
    pages = {one["name"] if isinstance(one, dict) else one for one in spec["Page"]["fields"]}
    assert pages >= facebook._PAGE_FIELDS


async def test_an_ended_version_is_answered_by_the_next(client: Client, clock: ManualClock) -> None:
    """The answer names the version that gave it; one that never was is an error."""

    async def served(version: str) -> Answer:
        return await client.get("facebook", f"/{version}/me", headers=bearer())

    name = "facebook-api-version"
    assert (await served("v25.0")).headers[name] == "v25.0"
    assert (await served("v19.0")).headers[name] == "v23.0"
    assert refusal(await served("v99.0")) == (400, 2500, None)
    clock.wall = datetime(2028, 8, 1, tzinfo=UTC)
    assert (await served("v25.0")).headers[name] == "v26.0"


async def test_usage_is_told_with_every_answer(graph: Graph, client: Client) -> None:
    """In percent; of a call too many with the minutes to wait, and none below one."""
    told = (await graph.get("me")).headers
    assert 0 <= json.loads(told["X-App-Usage"])["call_count"] < 100
    (row,) = json.loads(told["X-Business-Use-Case-Usage"])[PAGE]
    assert (row["type"], row["estimated_time_to_regain_access"]) == ("pages", 0)
    for seconds, minutes in ((5, 0), (120, 2)):
        await client.fault("facebook", "rate-limit", seconds=seconds)
        refused = await graph.write(f"{PAGE}/feed", message="Feuer")
        assert refusal(refused)[:2] == (400, 80001)
        ((row,),) = json.loads(refused.headers["X-Business-Use-Case-Usage"]).values()
        assert row["estimated_time_to_regain_access"] == minutes


FAULTS = [
    ("refuse", (400, 100)),
    ("error-500", (500, 2)),
    ("expired-token", (400, 190)),
    ("duplicate", (400, 506)),
]


@pytest.mark.parametrize(("fault", "said"), FAULTS)
async def test_a_fault_speaks_graph(
    graph: Graph, client: Client, fault: str, said: tuple[int, int]
) -> None:
    """In its own envelope, and nothing is posted."""
    await client.fault("facebook", fault)
    assert refusal(await graph.write(f"{PAGE}/feed", message="Feuer"))[:2] == said
    assert await client.posts("facebook") == []


async def test_edits_are_no_creates(graph: Graph, client: Client) -> None:
    """They are counted apart, and have faults of their own."""
    post = await graph.post("Feuer")
    await client.fault("facebook", "refuse", on="edit")
    assert refusal(await graph.write(post, message="x"))[1] == 100
    assert (await graph.write(post, message="y")).status == 200
    counted = await client.ask("GET", "/_sandbox/requests", params={"network": "facebook"})
    assert (counted.body["creates"], counted.body["repeats"]) == (1, 0)


async def test_a_concealed_post_is_hidden(graph: Graph, client: Client) -> None:
    """Its Page sees that it is."""
    post = await graph.post("Feuer")
    await client.ask("PUT", f"/_sandbox/posts/facebook/{post}", json={"concealed": True})
    assert (await graph.get(post, fields="is_hidden")).body["is_hidden"] is True


class Wired:
    """The channel itself, on the stand-in."""

    def __init__(self, sandbox: Sandbox, clock: ManualClock, place: Path) -> None:
        self.place = place
        for name, content in facebook.secrets().items():
            keep_secret(place, name, content)
        config = ChannelConfig(name="city-facebook", type="facebook")
        self.setup = Setup(config, Secrets(place), Timing(attempt_seconds=2), clock, place)
        self.settings = adapter.Settings(
            page_id=PAGE,
            access_token_file=facebook.TOKEN_FILE,
            app_id=facebook_access.APP_ID,
            app_secret_file=facebook.SECRET_FILE,
            base_url=sandbox.networks["facebook"],
        )
        self.channel = adapter.build(self.setup, self.settings)


@pytest.fixture
async def wired(sandbox: Sandbox, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Wired]:
    """Build the channel on the stand-in."""
    one = Wired(sandbox, clock, tmp_path)
    yield one
    await one.channel.close()


def row(clock: ManualClock, **changes: Any) -> Delivery:
    """Give a delivery of now."""
    return delivery(accepted=clock.now(), first_attempt=clock.now(), **changes)


async def test_the_channel_posts_corrects_looks_and_retracts(
    wired: Wired, client: Client, clock: ManualClock
) -> None:
    """A whole life of a post, by the adapter."""
    one = row(clock)
    receipt = await wired.channel.send(one)
    assert await wired.channel.find(one) is not None
    seen = await wired.channel.look(replace(one, receipt=receipt))
    assert (seen.there, seen.altered, seen.counts) == (True, False, {"likes": 0, "replies": 0})
    pointer = Message("Überholt: siehe Nr. 26-0142/2", "de", act=Act.CORRECT)
    correction = row(clock, message=pointer, reply_to=receipt)
    assert await wired.channel.find(correction) is None
    assert (await wired.channel.correct(correction)).note is None
    assert await wired.channel.find(correction) is not None
    (shown,) = await client.posts("facebook")
    assert shown["text"].startswith(pointer.text)
    assert not (await wired.channel.look(replace(one, receipt=receipt))).altered
    await wired.channel.retract(receipt)
    await wired.channel.retract(receipt)
    assert not (await wired.channel.look(replace(one, receipt=receipt))).there


async def test_the_channel_comments_where_it_may_not_edit(
    wired: Wired, client: Client, clock: ManualClock
) -> None:
    """Once, also where an earlier answer was lost."""
    receipt = await wired.channel.send(row(clock))
    await client.fault("facebook", "refuse", on="edit", times=2)
    pointer = Message("Überholt: siehe Nr. 26-0142/2", "de", act=Act.CORRECT)
    correction = row(clock, message=pointer, reply_to=receipt)
    first = await wired.channel.correct(correction)
    assert first.note
    doubtful = replace(correction, doubtful=True)
    assert (await wired.channel.correct(doubtful)).remote_id == first.remote_id
    assert len(await client.posts("facebook")) == 2


async def test_the_channel_posts_its_card(
    wired: Wired, client: Client, sandbox: Sandbox, clock: ManualClock
) -> None:
    """With the card where Facebook can fetch it, without it where it cannot."""
    kept = sandbox.pictures.keep(picture(), "image/png")
    there = f"{sandbox.url}/_sandbox/pictures/{kept}"
    for url, note in ((there, None), (f"{sandbox.url}/nothing", "posted without its card")):
        card = Media("c", "Karte", "image/png", 40, 30, digest="d", url=url)
        message = Message(f"Feuer {bool(note)}, Nr. 26-0142/1", "de", media=(card,))
        receipt = await wired.channel.send(row(clock, message=message))
        assert (receipt.note or "").startswith(note or "")
        assert bool(receipt.note) == bool(note)
    with_card, without = await client.posts("facebook")
    assert (len(with_card["media"]), len(without["media"])) == (1, 0)
    counted = await client.ask("GET", "/_sandbox/requests", params={"network": "facebook"})
    assert counted.body["repeats"] == 0


@pytest.mark.parametrize("fault", ["lost-answer", "error-500-accepted", "no-id", "garbage"])
async def test_the_channel_finds_what_was_lost(
    wired: Wired, client: Client, clock: ManualClock, fault: str
) -> None:
    """The answer is unknown, the post is read back, and a repeat would be told as one."""
    await client.fault("facebook", fault)
    with pytest.raises(Unknown):
        await wired.channel.send(row(clock))
    found = await wired.channel.find(row(clock))
    assert isinstance(found, Receipt)
    with pytest.raises(Rejected) as caught:
        await wired.channel.send(row(clock))
    assert caught.value.duplicate
    assert len(await client.posts("facebook")) == 1


SENTENCES = {
    PAGE_TOKEN: (True, "Facebook knows us as the Page Stadt Dortmund."),
    f"{PAGE_TOKEN}.days-5": (True, "Facebook knows us as the Page Stadt Dortmund."),
    f"{PAGE_TOKEN}.expired": (False, "Facebook says that the token has expired."),
    f"{PAGE_TOKEN}.without-pages_manage_posts": (
        False,
        "The token lacks the permission pages_manage_posts.",
    ),
}


@pytest.mark.parametrize("token", SENTENCES)
async def test_the_channel_reads_what_its_token_is(
    sandbox: Sandbox, clock: ManualClock, tmp_path: Path, token: str
) -> None:
    """Near its end it is ready, and says so."""
    keep_secret(tmp_path, "t", token)
    wired = Wired(sandbox, clock, tmp_path)
    settings = wired.settings.model_copy(update={"access_token_file": "t"})
    channel = adapter.build(wired.setup, settings)
    found = await channel.probe()
    await channel.close()
    await wired.channel.close()
    assert (found.ready, found.sentence) == SENTENCES[token]
    assert ("ends in 5 days" in str(found.remedy)) == token.endswith("days-5")


async def test_the_channel_is_connected_by_oauth(wired: Wired, client: Client) -> None:
    """A person agrees, comes back with a code, and the Page's token is made of it."""
    way = adapter.oauth(wired.setup, wired.settings)
    agreed = await client.ask("GET", way.authorize("http://127.0.0.1:1/back", "s1"))
    assert agreed.status == 302
    back = urlsplit(agreed.headers["Location"])
    query = dict(parse_qsl(back.query))
    assert (back.path, query["state"]) == ("/back", "s1")
    grant = await way.exchange(query["code"], "http://127.0.0.1:1/back")
    assert grant.access_token == PAGE_TOKEN


@pytest.mark.parametrize("redirect", ["https://elsewhere.example/", "", "http://127.0.0.1.evil/"])
async def test_nobody_is_led_elsewhere(wired: Wired, client: Client, redirect: str) -> None:
    """The stand-in leads back to this machine alone."""
    way = adapter.oauth(wired.setup, wired.settings)
    assert refusal(await client.ask("GET", way.authorize(redirect, "s")))[1] == 191


async def test_a_code_needs_the_apps_secret(graph: Graph) -> None:
    """Without it, or with a code of nobody's, there is no token."""
    good = {"client_id": facebook_access.APP_ID, "redirect_uri": "http://127.0.0.1/"}
    wrong = await graph.get("oauth/access_token", **good, client_secret="x", code=PAGE_TOKEN)
    assert refusal(wrong)[1] == 101
    right = {**good, "client_secret": facebook_access.APP_SECRET}
    assert refusal(await graph.get("oauth/access_token", **right, code="real"))[1] == 100
    short = (await graph.get("oauth/access_token", **right, code=PAGE_TOKEN)).body
    exchange = {"grant_type": "fb_exchange_token", "fb_exchange_token": short["access_token"]}
    long = (await graph.get("oauth/access_token", **right, **exchange)).body
    assert short["expires_in"] < long["expires_in"]


def test_the_table_is_one_that_the_channel_takes() -> None:
    """What the sandbox's configuration holds is what the channel's settings know."""
    table = tomllib.loads(facebook.channel("http://127.0.0.1:1/facebook"))
    values = table["channels"]["city-facebook"]
    assert values.pop("type") == "facebook"
    settings = adapter.Settings.model_validate(values)
    assert settings.page_id == PAGE
    assert {settings.access_token_file, settings.app_secret_file} == set(facebook.secrets())
