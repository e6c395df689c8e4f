"""Pictures on the X stand-in: uploaded, described, and posted within a day."""

from __future__ import annotations

import aiohttp

from tests.kit import ManualClock
from tests.sandbox.client import TOKEN, Answer, Client, picture
from tests.sandbox.test_x import DOCUMENTS, held


async def uploaded(client: Client, data: bytes | None = None, **more: str) -> Answer:
    """Upload a picture."""
    form = aiohttp.FormData({"media_category": "tweet_image"} | more)
    file = picture() if data is None else data
    form.add_field("media", file, filename="card.png", content_type="image/png")
    return await client.post("x", "/2/media/upload", data=form, headers=TOKEN)


async def described(client: Client, identity: str, text: str) -> Answer:
    """Say what a picture shows."""
    body = {"id": identity, "metadata": {"alt_text": {"text": text}}}
    return await client.post("x", "/2/media/metadata", json=body, headers=TOKEN)


async def test_a_picture_goes_with_a_post(client: Client) -> None:
    """Uploaded, described, named by the post, and shown; answers as X's document has them."""
    made = await uploaded(client)
    held(DOCUMENTS["post.fields"], "post", "/2/media/upload", made)
    identity = made.body["data"]["id"]
    assert made.body["data"]["expires_after_secs"] == 86_400
    alt = await described(client, identity, "Warnkarte")
    held(DOCUMENTS["post.fields"], "post", "/2/media/metadata", alt)
    query = {"media_id": identity, "command": "STATUS"}
    state = await client.get("x", "/2/media/upload", params=query, headers=TOKEN)
    held(DOCUMENTS["post.fields"], "get", "/2/media/upload", state, **query)
    assert (await client.tweet("Feuer", media={"media_ids": [identity]})).status == 201
    (post,) = await client.posts("x")
    (media,) = post["media"]
    assert media["alt"] == "Warnkarte"
    assert (await client.ask("GET", media["url"])).raw == picture()


async def test_a_picture_that_x_would_not_take_is_refused(client: Client) -> None:
    """Other files, other fields, other purposes; and a description that is too long."""
    assert (await uploaded(client, b"no picture")).status == 400
    assert (await uploaded(client, media_type_of="card")).status == 400
    assert (await uploaded(client, media_category="tweet_video")).status == 400
    identity = (await uploaded(client)).body["data"]["id"]
    assert (await described(client, identity, "x" * 1000)).status == 200
    assert (await described(client, identity, "x" * 1001)).status == 400
    assert (await described(client, "17", "Warnkarte")).status == 400
    nobody = await client.post("x", "/2/media/upload", data={"media_category": "tweet_image"})
    assert nobody.status == 401


async def test_a_picture_is_its_account_s_for_a_day(client: Client, clock: ManualClock) -> None:
    """Nobody else posts it, and after a day nobody does."""
    media = {"media_ids": [(await uploaded(client)).body["data"]["id"]]}
    other = {"Authorization": "Bearer sandbox-another"}
    body = {"text": "Feuer", "media": media}
    taken = await client.post("x", "/2/tweets", json=body, headers=other)
    assert (taken.status, "media IDs are invalid" in str(taken.body)) == (400, True)
    clock.move(86_401)
    assert (await client.tweet("Feuer", media=media)).status == 400


async def test_the_faults_of_an_upload(client: Client) -> None:
    """What is made first can fail on its own, and is no post."""
    await client.fault("x", "rate-limit", on="prepare")
    assert (await uploaded(client)).status == 429
    assert (await uploaded(client)).status == 200
    calls = await client.ask("GET", "/_sandbox/requests", params={"network": "x"})
    assert calls.body["creates"] == 0
