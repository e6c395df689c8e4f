"""Uploads to the YouTube stand-in: resumed, refused, forgotten."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from broadcaster.sandbox.youtube_upload import PIECE_MULTIPLE
from tests.kit import ManualClock
from tests.sandbox.client import Client
from tests.sandbox.youtube_client import (
    CLIP,
    SNIPPET,
    ask,
    begin,
    project,
    put,
    token,
)


@pytest.fixture
async def auth(client: Client) -> dict[str, str]:
    """Give the header of a good token."""
    return {"Authorization": f"Bearer {(await token(client)).body['access_token']}"}


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
