"""What the YouTube stand-in shows, held against Google's discovery document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.conftest import shared_path
from tests.kit import ManualClock
from tests.sandbox.client import Client
from tests.sandbox.youtube_client import (
    CHANNEL,
    SNIPPET,
    VIDEOS,
    project,
    read,
    token,
    uploaded,
)


@pytest.fixture
async def auth(client: Client) -> dict[str, str]:
    """Give the header of a good token."""
    return {"Authorization": f"Bearer {(await token(client)).body['access_token']}"}


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
