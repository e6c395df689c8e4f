"""The YouTube stand-in, asked directly, and held against Google's discovery document."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from aiohttp import web
from PIL import Image

from broadcaster.sandbox.posts import account
from broadcaster.sandbox.youtube import API_KEY, REFRESH_TOKEN
from broadcaster.sandbox.youtube_access import CLIENT_ID, CLIENT_SECRET, channel_id
from broadcaster.sandbox.youtube_upload import PIECE_MULTIPLE
from tests.conftest import shared_path
from tests.kit import ManualClock
from tests.sandbox.client import Answer, Client

UPLOAD = "/upload/youtube/v3/videos?part=snippet,status&uploadType=resumable"
VIDEOS = "/youtube/v3/videos"
CHANNEL = channel_id(account(REFRESH_TOKEN))
SNIPPET = {
    "title": "Großbrand in Hörde",
    "description": "Fenster zu. Nr. 26-1/1",
    "categoryId": "25",
}
STATUS = {"privacyStatus": "public", "selfDeclaredMadeForKids": False}
CLIP = bytes(range(256)) * 2400  # a little more than two pieces


async def token(client: Client, refresh: str = REFRESH_TOKEN, **more: str) -> Answer:
    """Ask for an access token."""
    form = {
        "grant_type": "refresh_token",
        "refresh_token": refresh,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
    }
    return await client.post("youtube", "/token", data=form | more)


@pytest.fixture
async def auth(client: Client) -> dict[str, str]:
    """Give the header of a good token."""
    return {"Authorization": f"Bearer {(await token(client)).body['access_token']}"}


async def begin(client: Client, auth: Mapping[str, str], **more: Any) -> Answer:
    """Begin an upload; `more` changes the snippet."""
    body = {"snippet": SNIPPET | more, "status": STATUS}
    size = {"X-Upload-Content-Length": str(len(CLIP)), "X-Upload-Content-Type": "video/mp4"}
    return await client.post("youtube", UPLOAD, json=body, headers={**auth, **size})


async def put(
    client: Client, session: str, auth: Mapping[str, str], data: bytes, place: str
) -> Answer:
    """Put a piece to a session."""
    headers = {**auth, "Content-Range": place, "Content-Type": "video/mp4"}
    return await client.ask("PUT", session, data=data, headers=headers)


async def ask(client: Client, session: str, auth: Mapping[str, str]) -> Answer:
    """Ask how far an upload is."""
    return await put(client, session, auth, b"", f"bytes */{len(CLIP)}")


async def uploaded(client: Client, auth: Mapping[str, str], **more: Any) -> dict[str, Any]:
    """Upload a video at once."""
    session = (await begin(client, auth, **more)).headers["Location"]
    made = await put(client, session, auth, CLIP, f"bytes 0-{len(CLIP) - 1}/{len(CLIP)}")
    assert made.status == 200
    video: dict[str, Any] = made.body
    return video


async def project(client: Client, **more: Any) -> None:
    """Switch the project's state."""
    answer = await client.ask("PUT", "/youtube/_project", json=more)
    assert answer.status == 200


async def read(client: Client, path: str, auth: Mapping[str, str] | None, **query: str) -> Answer:
    """Read as the owner, or with a key."""
    query = query if auth else {**query, "key": API_KEY}
    return await client.get("youtube", path, params=query, headers=auth or {})


def held(value: Any, schema: str) -> None:
    """Raise if an answer has a field that the discovery document does not know."""
    path = shared_path("contracts", "youtube.v3.trimmed.discovery.json")
    schemas = json.loads(path.read_text("utf-8"))["schemas"]
    _held(value, {"$ref": schema}, schemas, schema)


def _held(value: Any, kind: Mapping[str, Any], schemas: Mapping[str, Any], where: str) -> None:
    if "$ref" in kind:
        if kind["$ref"] not in schemas:  # left out of the trimmed document
            return
        kind = schemas[kind["$ref"]]
    types = {"string": str, "boolean": bool, "array": list, "object": dict, "integer": int}
    assert isinstance(value, types[kind["type"]]), where
    assert "enum" not in kind or value in kind["enum"], where
    for one in value if isinstance(value, list) else ():
        _held(one, kind["items"], schemas, f"{where}[]")
    if isinstance(value, dict):
        for name, one in value.items():
            assert name in kind["properties"], f"{where}.{name}"
            _held(one, kind["properties"][name], schemas, f"{where}.{name}")


async def test_every_success_is_as_the_discovery_document_says(
    client: Client, auth: dict[str, str]
) -> None:
    """Upload, one video, an edit, the channel's list and the channel hold against it."""
    video = await uploaded(client, auth, tags=["a"], defaultLanguage="de")
    held(video, "Video")
    parts = "snippet,status,statistics"
    held((await read(client, VIDEOS, auth, part=parts, id=video["id"])).body, "VideoListResponse")
    body = {"id": video["id"], "snippet": SNIPPET}
    edited = await client.ask("PUT", f"/youtube{VIDEOS}?part=snippet", json=body, headers=auth)
    held(edited.body, "Video")
    query = {"part": "snippet", "playlistId": f"UU{CHANNEL[2:]}"}
    items = await read(client, "/youtube/v3/playlistItems", auth, **query)
    held(items.body, "PlaylistItemListResponse")
    mine = await read(client, "/youtube/v3/channels", auth, part="snippet,status", mine="true")
    held(mine.body, "ChannelListResponse")


def test_the_check_above_can_fail() -> None:
    """A field of another name is noticed."""
    with pytest.raises(AssertionError, match="privacy"):
        held({"id": "a", "status": {"privacy": "public"}}, "Video")


async def test_an_upload_goes_on_where_it_stopped(client: Client, auth: dict[str, str]) -> None:
    """Each piece is acknowledged by 308 and Range; the last one makes the video, once."""
    started = await begin(client, auth)
    session = started.headers["Location"]
    assert started.status == 200
    assert session.startswith(f"{client.sandbox.url}/youtube/upload/youtube/v3/videos?")
    nothing = await ask(client, session, auth)
    assert (nothing.status, nothing.headers.get("Range")) == (308, None)
    assert await client.posts("youtube") == []
    first = await put(
        client, session, auth, CLIP[:PIECE_MULTIPLE], f"bytes 0-{PIECE_MULTIPLE - 1}/{len(CLIP)}"
    )
    assert (first.status, first.headers["Range"]) == (308, f"bytes=0-{PIECE_MULTIPLE - 1}")
    again = await ask(client, session, auth)
    assert (again.status, again.headers["Range"]) == (308, f"bytes=0-{PIECE_MULTIPLE - 1}")
    place = f"bytes {PIECE_MULTIPLE}-{len(CLIP) - 1}/{len(CLIP)}"
    made = await put(client, session, auth, CLIP[PIECE_MULTIPLE:], place)
    assert made.status == 200
    assert (await ask(client, session, auth)).body["id"] == made.body["id"]
    (post,) = await client.posts("youtube")
    assert (post["id"], post["title"], post["text"]) == (
        made.body["id"],
        SNIPPET["title"],
        SNIPPET["description"],
    )
    clip = await client.ask("GET", post["media"][0]["url"])
    assert clip.raw == CLIP


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (CLIP[:100], f"bytes 0-99/{len(CLIP)}"),
        (CLIP[:PIECE_MULTIPLE], f"bytes 7-{PIECE_MULTIPLE + 6}/{len(CLIP)}"),
        (CLIP[:PIECE_MULTIPLE], f"bytes 0-{PIECE_MULTIPLE - 1}/{len(CLIP) + 1}"),
        (CLIP[:50], f"bytes 0-{PIECE_MULTIPLE - 1}/{len(CLIP)}"),
        (CLIP[:50], "bits 0-49/50"),
    ],
)
async def test_a_piece_that_does_not_follow_is_refused(
    client: Client, auth: dict[str, str], data: bytes, place: str
) -> None:
    """Pieces are multiples of 256 KiB, in order, of the size that was named."""
    session = (await begin(client, auth)).headers["Location"]
    assert (await put(client, session, auth, data, place)).status == 400
    assert (await ask(client, session, auth)).status == 308


async def test_a_line_that_breaks_leaves_what_arrived(client: Client, auth: dict[str, str]) -> None:
    """The switch breaks the next piece off after so many bytes; the rest can follow."""
    await project(client, break_after=1000)
    client._session._retry_connection = False  # aiohttp would repeat a PUT by itself
    session = (await begin(client, auth)).headers["Location"]
    whole = f"bytes 0-{len(CLIP) - 1}/{len(CLIP)}"
    with pytest.raises(aiohttp.ClientError):
        await put(client, session, auth, CLIP, whole)
    assert (await ask(client, session, auth)).headers["Range"] == "bytes=0-999"
    rest = f"bytes 1000-{len(CLIP) - 1}/{len(CLIP)}"
    assert (await put(client, session, auth, CLIP[1000:], rest)).status == 200
    assert len(await client.posts("youtube")) == 1


async def test_a_session_ends_after_a_week_or_when_forgotten(
    client: Client, auth: dict[str, str], clock: ManualClock
) -> None:
    """A session that is gone is a 404, whoever asks."""
    session = (await begin(client, auth)).headers["Location"]
    other = (await token(client, "sandbox-other")).body["access_token"]
    assert (await ask(client, session, {"Authorization": f"Bearer {other}"})).status == 404
    clock.move(7 * 86_400)
    fresh = {"Authorization": f"Bearer {(await token(client)).body['access_token']}"}
    assert (await ask(client, session, fresh)).status == 404
    second = (await begin(client, fresh)).headers["Location"]
    assert (await ask(client, second, fresh)).status == 308
    await project(client, forgets=True)
    assert (await ask(client, second, fresh)).status == 404


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"title": ""}, "invalidTitle"),
        ({"title": "x" * 101}, "invalidTitle"),
        ({"title": "a < b"}, "invalidTitle"),
        ({"description": "ä" * 2501}, "invalidDescription"),
        ({"description": "a > b"}, "invalidDescription"),
        ({"tags": ["x" * 501]}, "invalidTags"),
        ({"categoryId": "999"}, "invalidCategoryId"),
        ({"name": "x"}, "invalidVideoMetadata"),
    ],
)
async def test_titles_and_texts_have_limits(
    client: Client, auth: dict[str, str], change: dict[str, Any], reason: str
) -> None:
    """100 characters, 5000 bytes, no angle brackets, and no field of another name."""
    refused = await begin(client, auth, **change)
    assert refused.status == 400
    assert refused.body["error"]["errors"][0]["reason"] == reason


async def test_what_just_fits_is_taken(client: Client, auth: dict[str, str]) -> None:
    """The limits are where they are said to be."""
    more = {"title": "ä" * 100, "description": "ä" * 2500, "tags": ["x" * 500]}
    assert (await begin(client, auth, **more)).status == 200


async def test_an_unaudited_project_is_locked_to_private(
    client: Client, auth: dict[str, str]
) -> None:
    """The owner sees the video, the public does not."""
    await project(client, audited=False)
    video = await uploaded(client, auth)
    assert video["status"]["privacyStatus"] == "private"
    query = {"part": "status", "id": video["id"]}
    assert (await read(client, VIDEOS, None, **query)).body["items"] == []
    assert len((await read(client, VIDEOS, auth, **query)).body["items"]) == 1
    assert (await client.posts("youtube"))[0]["concealed"]


async def test_a_video_is_processed_after_a_while(
    client: Client, auth: dict[str, str], clock: ManualClock
) -> None:
    """First uploaded, then processed."""
    await project(client, processing_seconds=30)
    video = await uploaded(client, auth)
    query = {"part": "status", "id": video["id"]}
    seen = []
    for seconds in (29, 1):
        clock.move(seconds)
        answer = await read(client, VIDEOS, None, **query)
        seen.append(answer.body["items"][0]["status"]["uploadStatus"])
    assert seen == ["uploaded", "processed"]


async def test_a_video_is_edited_and_deleted_by_its_owner(
    client: Client, auth: dict[str, str]
) -> None:
    """An edit is no new post; what is deleted is not found any more."""
    video = await uploaded(client, auth)
    body = {"id": video["id"], "snippet": SNIPPET | {"description": "Überholt"}}
    url = f"/youtube{VIDEOS}"
    other = {"Authorization": f"Bearer {(await token(client, 'sandbox-o')).body['access_token']}"}
    query = {"part": "snippet"}
    assert (await client.ask("PUT", url, json=body, headers=other, params=query)).status == 404
    assert (await client.ask("PUT", url, json=body, headers=auth, params=query)).status == 200
    (post,) = await client.posts("youtube")
    assert (post["text"], post["edited"]) == ("Überholt", True)
    gone = {"id": video["id"]}
    assert (await client.ask("DELETE", url, headers=auth, params=gone)).status == 204
    again = await client.ask("DELETE", url, headers=auth, params=gone)
    assert (again.status, again.body["error"]["errors"][0]["reason"]) == (404, "videoNotFound")


async def test_a_channel_lists_its_uploads_newest_first_in_pages(
    client: Client, auth: dict[str, str]
) -> None:
    """What a person posted by hand is not among them; without any there is no such list."""
    query = {"part": "snippet", "playlistId": f"UU{CHANNEL[2:]}", "maxResults": "2"}
    await client.post("youtube", "/_post", json={"text": "von Hand"})
    empty = await read(client, "/youtube/v3/playlistItems", auth, **query)
    assert empty.body["error"]["errors"][0]["reason"] == "playlistNotFound"
    for number in range(3):
        await uploaded(client, auth, title=f"Nr. {number}")
    first = await read(client, "/youtube/v3/playlistItems", auth, **query)
    more = {**query, "pageToken": first.body["nextPageToken"]}
    rest = await read(client, "/youtube/v3/playlistItems", auth, **more)
    pages = [[item["snippet"]["title"] for item in page.body["items"]] for page in (first, rest)]
    assert pages == [["Nr. 2", "Nr. 1"], ["Nr. 0"]]
    assert "nextPageToken" not in rest.body


async def test_an_access_token_lives_an_hour_and_a_refresh_token_seven_days_in_testing(
    client: Client, auth: dict[str, str], clock: ManualClock
) -> None:
    """While the consent screen is in testing Google says so with every token."""
    mine = {"part": "snippet", "mine": "true"}
    assert (await read(client, "/youtube/v3/channels", auth, **mine)).status == 200
    clock.move(3600)
    assert (await read(client, "/youtube/v3/channels", auth, **mine)).status == 401
    assert "refresh_token_expires_in" not in (await token(client)).body
    await project(client, published=False)
    assert (await token(client)).body["refresh_token_expires_in"] == 7 * 86_400 - 3600
    clock.move(7 * 86_400)
    dead = await token(client)
    assert (dead.status, dead.body["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("change", "status", "word"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"refresh_token": "not-ours"}, 400, "invalid_grant"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
async def test_tokens_are_given_to_those_who_may_have_them(
    client: Client, change: dict[str, str], status: int, word: str
) -> None:
    """Google's own words for a wrong client, a dead token and another flow."""
    answer = await token(client, **change)
    assert (answer.status, answer.body["error"]) == (status, word)


async def test_a_person_agrees_and_the_code_is_good_once(client: Client) -> None:
    """The consent page sends a code back; it needs the verifier whose hash was shown."""
    query = {
        "client_id": CLIENT_ID,
        "response_type": "code",
        "redirect_uri": "http://127.0.0.1:9/cb",
        "state": "s1",
        # RFC 7636, appendix B
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    }
    back = await client.get("youtube", "/o/oauth2/v2/auth", params=query)
    came = {
        name: one[0] for name, one in parse_qs(urlsplit(back.headers["Location"]).query).items()
    }
    assert came["state"] == "s1"
    form = {
        "grant_type": "authorization_code",
        "code": came["code"],
        "redirect_uri": query["redirect_uri"],
        "code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    }
    good = await token(client, **form)
    assert good.body["refresh_token"].startswith("sandbox-")
    assert (await token(client, **form)).body["error"] == "invalid_grant"


async def test_a_quota_that_is_used_up_is_said(client: Client, auth: dict[str, str]) -> None:
    """A read costs one unit, a change fifty."""
    video = await uploaded(client, auth)
    await project(client, units=51)
    query = {"part": "snippet", "id": video["id"]}
    assert (await read(client, VIDEOS, None, **query)).status == 200
    body = {"id": video["id"], "snippet": SNIPPET}
    url = f"/youtube{VIDEOS}?part=snippet"
    assert (await client.ask("PUT", url, json=body, headers=auth)).status == 200
    refused = await read(client, VIDEOS, None, **query)
    assert (refused.status, refused.body["error"]["errors"][0]["reason"]) == (403, "quotaExceeded")


async def test_a_key_that_is_none_is_refused(client: Client) -> None:
    """Neither a wrong key nor no key at all reads anything."""
    wrong = await client.get("youtube", VIDEOS, params={"part": "status", "id": "a", "key": "x"})
    none = await client.get("youtube", VIDEOS, params={"part": "status", "id": "a"})
    assert (wrong.status, none.status) == (400, 401)


async def test_an_unknown_part_is_refused(client: Client, auth: dict[str, str]) -> None:
    """Parts have names, too."""
    answer = await read(client, VIDEOS, auth, part="snippet,likes", id="a")
    assert answer.body["error"]["errors"][0]["reason"] == "unknownPart"


async def test_a_person_posts_by_hand(client: Client) -> None:
    """The sandbox plays the person: a text, and the card from its address."""
    application = web.Application()

    async def card(_request: web.Request) -> web.Response:
        file = io.BytesIO()
        Image.new("RGB", (40, 30), "red").save(file, "PNG")
        return web.Response(body=file.getvalue(), content_type="image/png")

    application.router.add_get("/card.png", card)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/card.png"
    made = await client.post("youtube", "/_post", json={"text": "Warnung", "picture": url})
    await runner.cleanup()
    assert made.status == 201
    (post,) = await client.posts("youtube")
    assert made.body["url"] == f"https://www.youtube.com/post/{post['id']}"
    assert (post["text"], post["kind"], len(post["media"])) == ("Warnung", "post", 1)


@pytest.mark.parametrize(
    "body", [{}, {"text": " "}, {"text": "x", "picture": "http://127.0.0.1:9/"}]
)
async def test_a_person_posts_something(client: Client, body: dict[str, str]) -> None:
    """Neither nothing, nor a picture that is not there."""
    assert (await client.post("youtube", "/_post", json=body)).status == 422
    assert await client.posts("youtube") == []


@pytest.mark.parametrize("body", [{"audited": "perhaps"}, {"other": 1}, {"units": -1}])
async def test_a_switch_that_is_none_is_refused(client: Client, body: dict[str, Any]) -> None:
    """What is not understood changes nothing."""
    assert (await client.ask("PUT", "/youtube/_project", json=body)).status == 422


async def test_only_the_last_piece_counts_as_a_post(client: Client, auth: dict[str, str]) -> None:
    """A fault on what creates befalls it alone; beginning and asking have faults of their own."""
    await client.fault("youtube", "error-500-accepted")
    await client.fault("youtube", "error-500", on="prepare")
    assert (await begin(client, auth)).status == 503
    session = (await begin(client, auth)).headers["Location"]
    whole = f"bytes 0-{len(CLIP) - 1}/{len(CLIP)}"
    assert (await put(client, session, auth, CLIP, whole)).status == 503
    assert (await ask(client, session, auth)).status == 200
    assert len(await client.posts("youtube")) == 1
    calls = await client.ask("GET", "/_sandbox/requests", params={"network": "youtube"})
    assert (calls.body["creates"], calls.body["repeats"]) == (1, 0)


async def test_the_page_shows_videos_with_their_title(client: Client, auth: dict[str, str]) -> None:
    """People see what was posted, and how it is called."""
    await uploaded(client, auth)
    page = await client.get("youtube", "/")
    assert SNIPPET["title"] in page.raw.decode()
    assert SNIPPET["description"] in page.raw.decode()
