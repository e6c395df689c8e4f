"""The LinkedIn stand-in, asked directly, and held against the derived contract."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import pytest
import yaml
from openapi_core import OpenAPI
from openapi_core.testing import MockRequest, MockResponse

from broadcaster.sandbox.linkedin import GHOST, TEXT_MAX
from tests.conftest import shared_path
from tests.kit import ManualClock
from tests.sandbox.client import Answer, Client, picture
from tests.sandbox.linkedin_client import (
    HEADERS,
    PAGE,
    ask,
    comment,
    draft,
    edit,
    own,
    post,
    urn_of,
)

PNG = picture()


def held(method: str, path: str, answer: Answer, body: bytes = b"{}") -> None:
    """Raise if an answer is not as the contract says."""
    source = shared_path("contracts", "derived", "linkedin-posts.derived.openapi.yaml")
    text = yaml.safe_load(source.read_text("utf-8"))
    text.pop("security")
    document = OpenAPI.from_dict(text | {"servers": [{"url": "http://127.0.0.1"}]})
    split = urlsplit(path)
    request = MockRequest(
        "http://127.0.0.1",
        method,
        split.path,
        args=dict(parse_qsl(split.query)),
        headers=HEADERS,
        data=body,
    )
    kind = answer.headers.get("Content-Type", "application/json").partition(";")[0]
    headers = dict(answer.headers)
    document.validate_response(
        request, MockResponse(answer.raw, answer.status, headers=headers, content_type=kind)
    )


async def texts(client: Client) -> list[str]:
    """Return what readers see."""
    return [one["text"] for one in await client.posts("linkedin")]


async def test_every_success_is_as_the_contract_says(client: Client) -> None:
    """Post, list, one post, edit, picture, comment and deletion."""
    made = await post(client, "Feuer in Hörde")
    held("post", "/rest/posts", made)
    assert made.raw == b""
    urn = quote(made.headers["x-restli-id"], safe="")
    path = f"/rest/posts?q=author&author={quote(PAGE, safe='')}"
    held("get", path, await own(client))
    held("get", f"/rest/posts/{urn}", await ask(client, "GET", f"/rest/posts/{urn}"))
    held("post", f"/rest/posts/{urn}", await edit(client, urn, "Feuer aus"))
    held("post", "/rest/images?action=initializeUpload", await place(client))
    held("post", f"/rest/socialActions/{urn}/comments", await comment(client, urn, "Überholt"))
    held("delete", f"/rest/posts/{urn}", await ask(client, "DELETE", f"/rest/posts/{urn}"))


async def test_every_error_is_as_the_contract_says(client: Client) -> None:
    """Status, code and message."""
    refused = await post(client, "x" * (TEXT_MAX + 1))
    held("post", "/rest/posts", refused)
    assert refused.body["code"] == "FIELD_LENGTH_TOO_LONG"
    missing = await ask(client, "GET", "/rest/posts/urn%3Ali%3Ashare%3A1")
    held("get", "/rest/posts/urn%3Ali%3Ashare%3A1", missing)
    assert missing.status == 404


async def place(client: Client, owner: str = PAGE) -> Answer:
    """Ask for a place for a picture."""
    body = {"initializeUploadRequest": {"owner": owner}}
    return await ask(client, "POST", "/rest/images?action=initializeUpload", body)


async def put(client: Client, url: str, data: bytes, **headers: str) -> int:
    """Upload a picture's bytes."""
    signed = {"Authorization": HEADERS["Authorization"], "Content-Type": "image/png"}
    return (await client.ask("PUT", url, data=data, headers=signed | headers)).status


async def test_what_is_not_escaped_is_lost_without_a_word(client: Client) -> None:
    """201 all the same, and the API gives back the whole: only readers miss the rest."""
    urn = await urn_of(client, "Rauch (Nord): Fenster schließen")
    assert await texts(client) == ["Rauch "]
    read = await ask(client, "GET", f"/rest/posts/{urn}")
    assert read.body["commentary"] == "Rauch (Nord): Fenster schließen"


async def test_hashtags_come_back_as_templates(client: Client) -> None:
    """Readers see what was meant."""
    urn = await urn_of(client, r"#Feuer in Hörde \(Nord\)")
    assert await texts(client) == ["#Feuer in Hörde (Nord)"]
    read = await ask(client, "GET", f"/rest/posts/{urn}")
    assert read.body["commentary"] == r"{hashtag|\#|Feuer} in Hörde \(Nord\)"


@pytest.mark.parametrize(
    ("commentary", "status"),
    [
        ("x" * 3000, 201),
        ("x" * 3001, 400),
        (r"\(" * 3000, 201),
        ("👍" * 1500, 201),
        ("👍" * 1501, 400),
        ("", 400),
        (" \n", 400),
        ("\ud800", 400),
        (7, 400),
    ],
)
async def test_a_text_has_3000_characters_that_are_seen(
    client: Client, commentary: Any, status: int
) -> None:
    """Backslashes are not seen; an emoji counts two, for that is the stricter way to count."""
    assert (await post(client, commentary)).status == status


WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"author": None}, 403, "ACCESS_DENIED"),
    ({"author": "urn:li:organization:1"}, 403, "ACCESS_DENIED"),
    ({"visibility": "EVERYONE"}, 400, "INVALID_VALUE_FOR_FIELD"),
    ({"lifecycleState": "DRAFT"}, 400, "INVALID_VALUE_FOR_FIELD"),
    ({"content": {"media": {"id": "urn:li:image:none"}}}, 400, "INVALID_URN_ID"),
]


@pytest.mark.parametrize(("change", "status", "code"), WRONG)
async def test_a_wrong_post_is_refused(
    client: Client, change: dict[str, Any], status: int, code: str
) -> None:
    """In LinkedIn's words, and nothing is posted."""
    refused = await post(client, "Feuer", **change)
    assert (refused.status, refused.body["code"]) == (status, code)
    assert await texts(client) == []


async def test_a_field_that_is_missing_is_named(client: Client) -> None:
    """With the words LinkedIn has for it."""
    body = draft("Feuer")
    del body["author"]
    refused = await ask(client, "POST", "/rest/posts", body)
    assert refused.status == 422
    assert refused.body["message"].startswith("ERROR :: /author :: field is required")


async def test_the_same_text_is_a_duplicate_that_is_named(
    client: Client, clock: ManualClock
) -> None:
    """Until it is deleted, or a day old."""
    first = await urn_of(client, "Feuer")
    again = await post(client, "Feuer")
    assert again.status == 422
    assert again.body["message"] == f"Content is a duplicate of {unquote(first)}"
    await ask(client, "DELETE", f"/rest/posts/{first}")
    await urn_of(client, "Feuer")
    clock.move(24 * 3600)
    await urn_of(client, "Feuer")
    await client.fault("linkedin", "duplicate")
    assert GHOST in (await post(client, "Wasser")).body["message"]


async def test_a_post_takes_a_moment_to_be_published(client: Client, clock: ManualClock) -> None:
    """And one that the sandbox hides was never published, as far as its page is told."""
    urn = await urn_of(client, "Feuer")

    async def state() -> str:
        read = await ask(client, "GET", f"/rest/posts/{urn}")
        return str(read.body["lifecycleState"])

    assert await state() == "PUBLISH_REQUESTED"
    clock.move(1)
    assert await state() == "PUBLISHED"
    path = f"/_sandbox/posts/linkedin/{unquote(urn)}"
    await client.ask("PUT", path, json={"concealed": True})
    assert await state() == "PUBLISH_FAILED"


async def test_a_text_altered_from_outside_is_given_back(client: Client) -> None:
    """As little text, like any other."""
    urn = await urn_of(client, "Feuer")
    path = f"/_sandbox/posts/linkedin/{unquote(urn)}"
    await client.ask("PUT", path, json={"text": "Alles gut (wirklich)"})
    read = await ask(client, "GET", f"/rest/posts/{urn}")
    assert read.body["commentary"] == r"Alles gut \(wirklich\)"


async def test_own_posts_come_newest_first_in_pages(client: Client) -> None:
    """By `start` and `count`; comments are none of them."""
    urn = [await urn_of(client, f"Nr {number}") for number in range(5)][-1]
    await comment(client, urn, "Überholt")
    first = (await own(client, "&count=3")).body
    assert [one["commentary"] for one in first["elements"]] == ["Nr 4", "Nr 3", "Nr 2"]
    rest = (await own(client, "&count=3&start=3")).body
    assert [one["commentary"] for one in rest["elements"]] == ["Nr 1", "Nr 0"]
    assert (await own(client, "&count=3&start=6")).body["elements"] == []
    assert (await own(client, "&count=0")).status == 400
    assert (await own(client, "&count=101")).status == 400


async def test_a_list_needs_its_finder(client: Client) -> None:
    """And is the page's own."""
    assert (await own(client, X_RestLi_Method=None)).status == 400
    other = await own(client, Authorization="Bearer sandbox-other")
    assert other.status == 403


async def test_a_post_can_be_hidden_from_its_own_list(client: Client) -> None:
    """It can still be read by its URN."""
    await client.ask("PUT", "/_sandbox/hide", json={"network": "linkedin", "seconds": 60})
    urn = await urn_of(client, "Feuer")
    assert (await own(client)).body["elements"] == []
    assert (await ask(client, "GET", f"/rest/posts/{urn}")).status == 200


async def test_an_edit_is_shown_and_counted_as_none(client: Client) -> None:
    """Readers see the new text; nothing new was posted."""
    urn = await urn_of(client, "Feuer")
    assert (await edit(client, urn, r"Überholt\!")).status == 204
    (shown,) = await client.posts("linkedin")
    assert (shown["text"], shown["edited"]) == ("Überholt", True)
    assert client.sandbox.posts.calls("linkedin").creates == 1
    assert (await edit(client, urn, "x" * 3001)).status == 400
    assert (await edit(client, "urn%3Ali%3Ashare%3A1", "x")).status == 404


@pytest.mark.parametrize("body", [{}, {"patch": {}}, {"patch": {"$set": {"author": PAGE}}}])
async def test_an_edit_changes_the_commentary_alone(client: Client, body: Any) -> None:
    """Anything else is refused; and Rest.li must be told that it is an edit."""
    urn = await urn_of(client, "Feuer")
    path = f"/rest/posts/{urn}"
    refused = await ask(client, "POST", path, body, X_RestLi_Method="PARTIAL_UPDATE")
    assert refused.status == 422
    assert (await ask(client, "POST", path, body)).status == 400


async def test_deleting_is_the_same_however_often(client: Client) -> None:
    """204 each time; and nobody deletes what is another page's."""
    urn = await urn_of(client, "Feuer")
    other = await ask(client, "DELETE", f"/rest/posts/{urn}", Authorization="Bearer sandbox-other")
    assert (other.status, await texts(client)) == (204, ["Feuer"])
    for _ in range(2):
        assert (await ask(client, "DELETE", f"/rest/posts/{urn}")).status == 204
    assert (await ask(client, "GET", f"/rest/posts/{urn}")).status == 404
    (shown,) = await client.posts("linkedin")
    assert shown["deleted"]


async def test_a_picture_takes_two_steps_and_some_time(client: Client, clock: ManualClock) -> None:
    """A post with it is refused until it is processed; then it is shown with its text."""
    value = (await place(client)).body["value"]
    image = value["image"]
    media = {"content": {"media": {"id": image, "altText": "Karte"}}}
    status = f"/rest/images/{quote(image, safe='')}"

    async def state() -> str:
        return str((await ask(client, "GET", status)).body["status"])

    assert await state() == "WAITING_UPLOAD"
    early = await post(client, "Feuer", **media)
    assert (early.status, early.body["code"]) == (400, "MEDIA_ASSET_WAITING_UPLOAD")
    assert await put(client, value["uploadUrl"], PNG) == 201
    assert await state() == "PROCESSING"
    assert (await post(client, "Feuer", **media)).status == 400
    clock.move(1)
    assert await state() == "AVAILABLE"
    made = await post(client, "Feuer", **media)
    assert made.status == 201
    (shown,) = await client.posts("linkedin")
    (kept,) = shown["media"]
    assert kept["alt"] == "Karte"
    assert (await client.ask("GET", kept["url"])).raw == PNG
    read = await ask(client, "GET", f"/rest/posts/{quote(made.headers['x-restli-id'], safe='')}")
    assert read.body["content"]["media"]["altText"] == "Karte"


async def test_what_is_no_picture_cannot_be_processed(client: Client, clock: ManualClock) -> None:
    """The upload is taken, and fails later."""
    value = (await place(client)).body["value"]
    assert await put(client, value["uploadUrl"], b"no picture") == 201
    clock.move(1)
    image = value["image"]
    read = await ask(client, "GET", f"/rest/images/{quote(image, safe='')}")
    assert read.body["status"] == "PROCESSING_FAILED"
    refused = await post(client, "Feuer", content={"media": {"id": image}})
    assert refused.body["code"] == "MEDIA_ASSET_PROCESSING_FAILED"


async def test_pictures_are_their_owners(client: Client) -> None:
    """Nobody asks for a place, puts bytes, or posts in another page's name."""
    assert (await place(client, "urn:li:organization:1")).status == 403
    value = (await place(client)).body["value"]
    other = "Bearer sandbox-other"
    assert await put(client, value["uploadUrl"], PNG, Authorization=other) == 404
    assert await put(client, value["uploadUrl"], PNG, Authorization="") == 401
    image = quote(value["image"], safe="")
    assert (await ask(client, "GET", f"/rest/images/{image}", Authorization=other)).status == 404
    long = {"media": {"id": value["image"], "altText": "x" * 5_000}}
    assert (await post(client, "Feuer", content=long)).body["code"] == "FIELD_LENGTH_TOO_LONG"
    assert (await ask(client, "POST", "/rest/images", {})).status == 400


async def test_a_comment_is_listed_counted_and_plain(client: Client) -> None:
    """Its brackets are only brackets; the counts tell of it."""
    urn = await urn_of(client, "Feuer")
    made = await comment(client, urn, "Überholt (siehe Nr. 2)")
    assert made.headers["x-restli-id"] == made.body["id"]
    path = f"/rest/socialActions/{urn}/comments?start=0&count=10"
    (listed,) = (await ask(client, "GET", path)).body["elements"]
    assert (listed["actor"], listed["message"]["text"]) == (PAGE, "Überholt (siehe Nr. 2)")
    told = await ask(client, "GET", f"/rest/socialMetadata/{urn}")
    assert told.body["commentSummary"]["count"] == 1
    shown = await client.posts("linkedin")
    assert [one.get("kind") for one in shown] == [None, "comment"]
    assert shown[1]["reply_to"] == unquote(urn)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"actor": "urn:li:organization:1"}, 403),
        ({"object": "urn:li:share:1"}, 400),
        ({"message": {}}, 400),
        ({"message": {"text": "x" * 1_251}}, 400),
    ],
)
async def test_a_wrong_comment_is_refused(
    client: Client, change: dict[str, Any], status: int
) -> None:
    """It must be the page's, on this post, and no longer than a comment may be."""
    urn = await urn_of(client, "Feuer")
    assert (await comment(client, urn, "Überholt", **change)).status == status
    nowhere = "urn%3Ali%3Ashare%3A1"
    assert (await comment(client, nowhere, "Überholt")).status == 404
    for path in (f"socialActions/{nowhere}/comments", f"socialMetadata/{nowhere}"):
        assert (await ask(client, "GET", f"/rest/{path}")).status == 404


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("refuse", 400),
        ("rate-limit", 429),
        ("error-500", 500),
        ("error-500-accepted", 500),
        ("no-id", 201),
        ("garbage", 201),
        ("expired-token", 401),
        ("duplicate", 422),
    ],
)
async def test_each_fault_is_told_in_linkedins_words(
    client: Client, fault: str, status: int
) -> None:
    """And only those that say so have posted."""
    await client.fault("linkedin", fault, seconds=7)
    answer = await post(client, "Feuer")
    assert answer.status == status
    posted = fault in {"error-500-accepted", "no-id", "garbage"}
    assert await texts(client) == (["Feuer"] if posted else [])
    assert "x-restli-id" not in answer.headers
    if fault == "rate-limit":
        assert answer.headers["Retry-After"] == "7"


async def test_a_fault_can_befall_the_upload(client: Client) -> None:
    """Preparing is no posting."""
    await client.fault("linkedin", "error-500", on="prepare")
    assert (await place(client)).status == 500
    assert client.sandbox.posts.calls("linkedin").creates == 0
