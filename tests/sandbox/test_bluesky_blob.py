"""Pictures on the Bluesky stand-in: blobs, and the records that name them."""

from __future__ import annotations

import io
from typing import Any

from broadcaster.sandbox.bluesky_blob import IMAGE_BYTES_MAX, cid_of
from tests.sandbox.client import POST, Answer, Client, picture, record

REPO = "/xrpc/com.atproto.repo."


async def uploaded(client: Client, session: dict[str, Any], data: bytes | None = None) -> Answer:
    """Upload a picture."""
    headers = session["headers"] | {"Content-Type": "image/png"}
    file = picture() if data is None else data
    return await client.post("bluesky", f"{REPO}uploadBlob", data=io.BytesIO(file), headers=headers)


def carded(blob: Any, **more: Any) -> dict[str, Any]:
    """Return a post that embeds a picture."""
    image = {"alt": "Warnkarte", "image": blob, "aspectRatio": {"width": 64, "height": 36}} | more
    return record("Feuer", embed={"$type": "app.bsky.embed.images", "images": [image]})


async def test_a_picture_goes_with_a_post(client: Client, bluesky: dict[str, Any]) -> None:
    """Uploaded as bytes, named by the record, and shown with its description."""
    made = await uploaded(client, bluesky)
    blob = made.body["blob"]
    assert (blob["mimeType"], blob["size"]) == ("image/png", len(picture()))
    assert (await uploaded(client, bluesky)).body["blob"] == blob
    put = await client.put(bluesky, "", record=carded(blob))
    assert put.status == 200
    assert put.body["cid"] == cid_of(carded(blob))
    (post,) = await client.posts("bluesky")
    (media,) = post["media"]
    assert media["alt"] == "Warnkarte"
    assert (await client.ask("GET", media["url"])).raw == picture()
    again = await client.put(bluesky, "", record=carded(blob))
    assert (again.status, again.body["error"]) == (400, "InvalidSwap")


def test_the_cid_of_a_record_with_a_picture_is_the_real_one() -> None:
    """As the reference data server (0.4.217) named this very record."""
    link = {"$link": "bafkreihtlvqjzzcf7w7oozmukae3nouhbu3kq5zxzw3nfzjhm54p3b74za"}
    blob = {"ref": link, "size": 3885, "$type": "blob", "mimeType": "image/png"}
    image = {
        "alt": "Warnung der Stufe Extrem: Großbrand in Dortmund-Hörde",
        "image": blob,
        "aspectRatio": {"width": 1200, "height": 675},
    }
    text = "Großbrand in Dortmund-Hörde: Fenster und Türen schließen. Stadt Beispiel, 02:47,"
    value = {
        "text": f"{text} Nr. 26-0142/1 (1)",
        "$type": POST,
        "embed": {"$type": "app.bsky.embed.images", "images": [image]},
        "langs": ["de"],
        "createdAt": "2026-11-22T01:47:01.000Z",
    }
    assert cid_of(value) == "bafyreihtrilsexqchjwm5mhurycj66ty23k2zr47c2l5c56nwyjwvsix3m"


async def test_a_record_cannot_name_what_was_not_uploaded(
    client: Client, bluesky: dict[str, Any]
) -> None:
    """BlobNotFound, in the words of the data server, and nothing is posted."""
    link = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
    blob = {"$type": "blob", "ref": {"$link": link}, "mimeType": "image/png", "size": 7}
    put = await client.put(bluesky, "", record=carded(blob))
    assert (put.status, put.body["error"]) == (400, "BlobNotFound")
    assert put.body["message"] == f"Could not find blob: {link}"
    assert await client.posts("bluesky") == []


async def test_a_record_s_pictures_are_as_the_lexicon_has_them(
    client: Client, bluesky: dict[str, Any]
) -> None:
    """With a description, a blob of an image that is not too large, and a whole ratio; four."""
    blob = (await uploaded(client, bluesky)).body["blob"]
    wrong = [
        carded(blob, alt=None),
        carded("bafy"),
        carded(blob | {"ref": {"$link": "no cid"}}),
        carded(blob | {"mimeType": "text/plain"}),
        carded(blob | {"size": IMAGE_BYTES_MAX + 1}),
        carded(blob, aspectRatio={"width": 1.5, "height": 1}),
    ]
    many = carded(blob)
    many["embed"]["images"] *= 5
    for one in [*wrong, many]:
        put = await client.put(bluesky, "", record=one)
        assert (put.status, put.body["error"]) == (400, "InvalidRequest")
        assert "Record/embed/images" in put.body["message"]
    assert (await client.put(bluesky, "", record=carded(blob, aspectRatio=None))).status == 200


async def test_an_upload_has_its_limits(client: Client, bluesky: dict[str, Any]) -> None:
    """A session, and five megabytes."""
    nobody: dict[str, Any] = {"headers": {}}
    assert (await uploaded(client, nobody)).status == 401
    assert (await uploaded(client, bluesky, b"x" * 5_242_881)).status == 413


async def test_the_faults_of_an_upload(client: Client, bluesky: dict[str, Any]) -> None:
    """What is made first can fail on its own, and is no post."""
    await client.fault("bluesky", "no-id", on="prepare")
    assert (await uploaded(client, bluesky)).body == {}
    await client.fault("bluesky", "error-500", on="prepare")
    assert (await uploaded(client, bluesky)).status == 500
    assert (await uploaded(client, bluesky)).status == 200
