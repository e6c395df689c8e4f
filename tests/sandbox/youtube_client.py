"""Requests to the YouTube stand-in that several tests make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from broadcaster.sandbox.posts import account
from broadcaster.sandbox.youtube import API_KEY, REFRESH_TOKEN
from broadcaster.sandbox.youtube_access import CLIENT_ID, CLIENT_SECRET, channel_id
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
