"""A card goes with its text where it can, and says in a sentence why where it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from broadcaster.channels.pictures import REMEMBERED, Uploads, drawn, made, note_of
from broadcaster.config import Timing
from broadcaster.delivery import Failure, Media, NeedsPerson, NotSent, Rejected, Unknown
from tests.channels.stub import CARD, carded, delivery, setup_for

SHORT = Timing(attempt_seconds=0.4, connect_seconds=0.2)


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    """Give a channel's uploads, with short limits."""
    return Uploads(setup_for(tmp_path, "x", timing=SHORT), 10_000)


async def taken(media: Media, data: bytes) -> Mapping[str, Any]:
    """Take a picture, as a network does."""
    return {"media": f"{media.card}-{len(data)}"}


async def test_a_drawn_card_is_uploaded(uploads: Uploads, tmp_path: Path) -> None:
    """The upload gets its bytes and its description, and what it made is the handle."""
    assert await uploads.handle(carded(tmp_path), taken) == {"media": f"c1-{len(CARD)}"}


async def test_without_a_card_there_is_nothing_to_prepare(uploads: Uploads) -> None:
    """A text that goes alone, as planned, has an empty handle and no sentence."""
    assert await uploads.handle(delivery(), taken) == {}
    assert await uploads.handle(delivery(message=None), taken) == {}


async def test_a_card_that_was_not_drawn_is_none(tmp_path: Path) -> None:
    """Without the digest of its file there is nothing to upload."""
    one = carded(tmp_path)
    assert one.message
    planned = replace(one.message.media[0], digest=None, url=None)
    assert drawn(replace(one, message=replace(one.message, media=(planned,)))) is None


@pytest.mark.parametrize(
    "failure", [Rejected("no"), NeedsPerson("no"), Unknown("no"), NotSent("no", rate_limited=True)]
)
async def test_a_card_that_is_not_taken_leaves_the_text_alone(
    uploads: Uploads, tmp_path: Path, failure: Failure
) -> None:
    """Refused, in doubt or too many of them: the sentence says so, and the text need not wait."""

    async def refuse(_media: Media, _data: bytes) -> Mapping[str, Any]:
        raise failure

    handle = await uploads.handle(carded(tmp_path), refuse)
    assert handle == {"note": "posted without its card: no"}
    assert note_of(carded(tmp_path, handle=handle)) == handle["note"]


async def test_a_network_that_was_not_reached_keeps_the_card(
    uploads: Uploads, tmp_path: Path
) -> None:
    """No text would have come through either: the next attempt tries both."""

    async def unreached(_media: Media, _data: bytes) -> Mapping[str, Any]:
        raise NotSent("nobody listens")

    with pytest.raises(NotSent):
        await uploads.handle(carded(tmp_path), unreached)


async def test_an_upload_leaves_time_for_the_post(uploads: Uploads, tmp_path: Path) -> None:
    """It ends within half of an attempt, and the post gets what is left, once."""

    async def hang(_media: Media, _data: bytes) -> Mapping[str, Any]:
        await asyncio.sleep(60)
        return {}

    one = carded(tmp_path)
    begun = asyncio.get_running_loop().time()
    handle = await uploads.handle(one, hang)
    assert asyncio.get_running_loop().time() - begun < SHORT.attempt_seconds * 0.75
    assert handle == {"note": "posted without its card: the upload took too long"}
    assert SHORT.attempt_seconds * 0.3 <= uploads.rest_seconds(one) < SHORT.attempt_seconds * 0.6
    long = Uploads(setup_for(tmp_path, "x"), 10_000)

    async def slow(_media: Media, _data: bytes) -> Mapping[str, Any]:
        await asyncio.sleep(0.1)
        return {}

    await long.handle(one, slow)
    assert 14 < long.rest_seconds(one) <= 14.9
    assert long.rest_seconds(one) == 15


async def test_a_post_that_outlasts_the_attempt_is_unknown(
    uploads: Uploads, tmp_path: Path
) -> None:
    """It had begun: nobody may say that nothing was sent."""
    one = carded(tmp_path)
    await uploads.handle(one, taken)
    with pytest.raises(Unknown):
        await uploads.in_the_rest(one, asyncio.sleep(60))
    assert await uploads.in_the_rest(one, asyncio.sleep(0, "done")) == "done"


async def test_a_file_that_is_gone_or_too_large_is_told(tmp_path: Path) -> None:
    """Neither stops the text."""
    one = carded(tmp_path)
    small = Uploads(setup_for(tmp_path, "x", timing=SHORT), len(CARD) - 1)
    assert f"more than {len(CARD) - 1} bytes" in (await small.handle(one, taken))["note"]
    for file in (tmp_path / "cards").iterdir():
        file.unlink()
    assert "could not be read" in (await small.handle(one, taken))["note"]


async def test_a_post_refused_for_its_card_goes_without_in_the_end(
    uploads: Uploads, tmp_path: Path
) -> None:
    """Once the card is uploaded afresh; after the second refusal the text goes alone."""
    one = carded(tmp_path)
    for _ in range(2):
        assert "media" in await uploads.handle(one, taken)
        assert uploads.refused(one, "not ready").afresh
    assert "note" in await uploads.handle(one, taken)
    assert "media" in await uploads.handle(replace(one, id="another"), taken)


async def test_what_is_remembered_of_deliveries_is_bounded(
    uploads: Uploads, tmp_path: Path
) -> None:
    """A channel runs for years."""
    for number in range(REMEMBERED + 10):
        one = carded(tmp_path, id=f"d{number}")
        uploads.refused(one, "not ready")
        await uploads.handle(one, taken)
    assert len(uploads._refusals) == len(uploads._begun) == REMEMBERED


def test_a_handle_is_read_whatever_it_holds(tmp_path: Path) -> None:
    """Nothing made, or something else than was asked for."""
    assert made(carded(tmp_path), "media") is None
    assert made(carded(tmp_path, handle={"media": "1"}), "media") == "1"
    assert note_of(carded(tmp_path, handle={"note": 7})) is None
