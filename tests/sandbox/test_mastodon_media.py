"""Pictures on the Mastodon stand-in: processed for a moment, attached once."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from mastodon import Mastodon

from broadcaster.sandbox import Sandbox
from tests.kit import ManualClock
from tests.sandbox.client import TOKEN, Answer, Client, picture


async def uploaded(client: Client, data: bytes | None = None, alt: str = "Warnkarte") -> Answer:
    """Upload a picture."""
    form = aiohttp.FormData({"description": alt})
    file = picture() if data is None else data
    form.add_field("file", file, filename="card.png", content_type="image/png")
    return await client.post("mastodon", "/api/v2/media", data=form, headers=TOKEN)


async def attached(client: Client, *identities: str, text: str = "Feuer") -> Answer:
    """Post a status with these pictures."""
    form = aiohttp.FormData([("status", text), *(("media_ids[]", one) for one in identities)])
    return await client.post("mastodon", "/api/v1/statuses", data=form, headers=TOKEN)


async def test_a_picture_is_processed_before_it_can_be_attached(
    client: Client, clock: ManualClock
) -> None:
    """202 without an address, 206 until it is ready; then a status takes it, once."""
    made = await uploaded(client)
    assert (made.status, made.body["url"], made.body["description"]) == (202, None, "Warnkarte")
    path = f"/api/v1/media/{made.body['id']}"
    assert (await client.get("mastodon", path, headers=TOKEN)).status == 206
    early = await attached(client, made.body["id"])
    assert (early.status, "not finished processing" in early.body["error"]) == (422, True)
    clock.move(1)
    ready = await client.get("mastodon", path, headers=TOKEN)
    assert ready.status == 200
    shown = await client.ask("GET", ready.body["url"])
    assert (shown.status, shown.raw) == (200, picture())
    status = await attached(client, made.body["id"])
    (media,) = status.body["media_attachments"]
    assert (media["description"], media["url"]) == ("Warnkarte", ready.body["url"])
    (post,) = await client.posts("mastodon")
    assert [one["alt"] for one in post["media"]] == ["Warnkarte"]
    again = await attached(client, made.body["id"])
    assert (again.status, "already attached" in again.body["error"]) == (422, True)
    assert (await client.get("mastodon", path, headers=TOKEN)).status == 404


@pytest.mark.parametrize(
    ("data", "alt", "words"),
    [
        (b"no picture", "Karte", "File"),
        (None, "x" * 1501, "Description is too long"),
    ],
)
async def test_a_picture_that_mastodon_would_not_take_is_refused(
    client: Client, data: bytes | None, alt: str, words: str
) -> None:
    """Other files and longer descriptions are a 422."""
    refused = await uploaded(client, data, alt)
    assert refused.status == 422
    assert words in refused.body["error"]


async def test_an_upload_needs_a_file_and_a_token(client: Client) -> None:
    """As a status does."""
    path = "/api/v2/media"
    assert (await client.post("mastodon", path, data={"a": "b"}, headers=TOKEN)).status == 422
    assert (await client.post("mastodon", path, data={"a": "b"})).status == 401
    assert (await client.get("mastodon", "/api/v1/media/1")).status == 401


async def test_another_account_s_picture_is_unknown(client: Client, clock: ManualClock) -> None:
    """Pictures belong to who uploaded them; and four are the most."""
    made = await uploaded(client)
    clock.move(1)
    form = aiohttp.FormData([("status", "Feuer"), ("media_ids[]", made.body["id"])])
    other = {"Authorization": "Bearer sandbox-another"}
    taken = await client.post("mastodon", "/api/v1/statuses", data=form, headers=other)
    assert taken.status == 422
    assert (await attached(client, *["1"] * 5)).body["error"].startswith("Cannot attach more")


async def test_mastodon_py_uploads_and_attaches(
    sandbox: Sandbox, clock: ManualClock, client: Client
) -> None:
    """The library that the channel uses sees a server like any other."""
    library = Mastodon(
        access_token="sandbox-stadt-dortmund",
        api_base_url=sandbox.networks["mastodon"],
        mastodon_version="4.5.0",
        version_check_mode="created",
    )
    made = await asyncio.to_thread(
        library.media_post, picture(), mime_type="image/png", description="Karte"
    )
    assert made.url is None
    clock.move(1)
    assert (await asyncio.to_thread(library.media, made.id)).url
    status = await asyncio.to_thread(library.status_post, "Feuer", media_ids=[made.id])
    assert [one.description for one in status.media_attachments] == ["Karte"]
    assert len((await client.posts("mastodon"))[0]["media"]) == 1
    library.session.close()


async def test_the_faults_of_an_upload(client: Client) -> None:
    """What is made first can fail on its own, and is no post."""
    await client.fault("mastodon", "no-id", on="prepare")
    assert (await uploaded(client)).body == {}
    await client.fault("mastodon", "error-500", on="prepare")
    assert (await uploaded(client)).status == 500
    assert (await uploaded(client)).status == 202
    calls = await client.ask("GET", "/_sandbox/requests", params={"network": "mastodon"})
    assert calls.body["creates"] == 0
