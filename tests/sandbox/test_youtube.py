"""The YouTube stand-in, asked directly."""

from __future__ import annotations

import io

import pytest
from aiohttp import web
from PIL import Image

from tests.sandbox.client import Client
from tests.sandbox.youtube_client import (
    CLIP,
    SNIPPET,
    VIDEOS,
    ask,
    begin,
    project,
    put,
    read,
    token,
    uploaded,
)


@pytest.fixture
async def auth(client: Client) -> dict[str, str]:
    """Give the header of a good token."""
    return {"Authorization": f"Bearer {(await token(client)).body['access_token']}"}


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
