"""What a channel shows: its list of uploads, one video, and what the public sees of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from broadcaster.channels.youtube.video import Video
from broadcaster.delivery import (
    NotSent,
    Unknown,
)
from tests.channels.stub import (
    NOW,
    TEXT,
    Fault,
    Reply,
    Stub,
    keep_secret,
    serving,
)
from tests.channels.youtube.youtube_stub import (
    CHANNEL,
    ITEMS,
    KEY,
    POINTER,
    VIDEO,
    begun,
    build,
    correction,
    document,
    error,
    keep_clip,
    listed,
    network,
    query_of,
    resource,
    sent,
    validate,
)


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    """Run a stand-in for Google that answers as told."""
    async with serving() as one:
        yield one


@pytest.fixture
async def channel(stub: Stub, tmp_path: Path) -> AsyncIterator[Video]:
    """Give a channel to the stand-in; the clip is made already."""
    keep_clip(tmp_path)
    one = build(stub.url, tmp_path)
    yield one
    await one.close()


LISTS: list[tuple[str, list[dict[str, Any]], bool]] = [
    ("empty", [], False),
    ("there", [listed(TEXT)], True),
    ("spaces", [listed("  " + TEXT.replace(" ", "\n") + "\u200b")], True),
    ("other reference", [listed(TEXT.replace("/1", "/11"))], False),
    ("other language", [listed("Large fire. Nr. 26-0142/1")], False),
    ("too old", [listed(TEXT, at="2026-11-22T01:44:59Z")], False),
    ("just young enough", [listed(TEXT, at="2026-11-22T01:45:00Z")], True),
    ("no time", [listed(TEXT, at="soon")], True),
    ("second", [listed("x"), listed(TEXT)], True),
]


@pytest.mark.parametrize(("items", "there"), [one[1:] for one in LISTS], ids=[o[0] for o in LISTS])
async def test_a_video_is_known_by_reference_text_and_time(
    channel: Video, stub: Stub, *, items: list[dict[str, Any]], there: bool
) -> None:
    """The languages of one alert share its reference, so the text has to be the same."""
    stub.answer = network(ask=Reply(404), playlistItems=Reply(200, {"items": items}))
    late = begun(stub.url, unknown_since=NOW - timedelta(minutes=5))
    found = await channel.find(late)
    assert (found is not None) == there
    query = query_of(stub.requests[-1])
    assert query["playlistId"] == f"UU{CHANNEL[2:]}"


async def test_the_list_is_read_page_by_page(channel: Video, stub: Stub) -> None:
    """Until the first intent, and not for ever."""
    pages: list[Reply | Fault] = [
        Reply(200, {"items": [listed("x")], "nextPageToken": "p2"}),
        Reply(200, {"items": [listed(TEXT)]}),
    ]
    stub.answer = network(ask=Reply(404), playlistItems=pages)
    assert await channel.find(begun(stub.url))
    assert [query_of(one).get("pageToken") for one in stub.requests][-2:] == [None, "p2"]
    stub.answer = network(
        ask=Reply(404), playlistItems=Reply(200, {"items": [], "nextPageToken": "p"})
    )
    with pytest.raises(Unknown):
        await channel.find(begun(stub.url))


async def test_a_channel_that_never_uploaded_has_no_list(channel: Video, stub: Stub) -> None:
    """Google's word for that proves the absence as an empty list does."""
    stub.answer = network(ask=Reply(404), playlistItems=error(404, "playlistNotFound"))
    assert await channel.find(begun(stub.url, unknown_since=NOW - timedelta(minutes=5))) is None


UNREAD: list[Reply | Fault] = [
    Reply(200, b"<html>fine</html>"),
    Reply(200, b"[" * 100_000),
    Reply(200, {"items": {}}),
    Reply(200, {"items": ["x"]}),
    Reply(200, b"x" * 3_000_000),
    Reply(404),
    Reply(500),
    Fault.CLOSE,
    Fault.GARBAGE,
]


@pytest.mark.parametrize("answer", UNREAD)
async def test_a_list_that_was_not_read_proves_no_absence(
    channel: Video, stub: Stub, answer: Reply | Fault
) -> None:
    """Neither for a video nor for its correction; and no shape of an answer is a crash."""
    stub.answer = network(ask=Reply(404), playlistItems=answer, videos=answer)
    late = begun(stub.url, unknown_since=NOW - timedelta(minutes=5))
    for ask in (channel.find(late), channel.find(correction()), channel.look(sent())):
        with pytest.raises(NotSent):
            await ask


HIDDEN: list[tuple[dict[str, Any], str]] = [
    ({"privacyStatus": "private"}, "not audited"),
    ({"privacyStatus": "unlisted"}, "unlisted"),
    ({"uploadStatus": "uploaded"}, "processing"),
    (
        {"uploadStatus": "rejected", "rejectionReason": "duplicate"},
        "rejected by YouTube: duplicate",
    ),
    ({"uploadStatus": "failed", "failureReason": "codec"}, "failed by YouTube: codec"),
]


@pytest.mark.parametrize(("status", "words"), HIDDEN)
async def test_a_look_says_why_nobody_sees_it(
    channel: Video, stub: Stub, status: dict[str, Any], words: str
) -> None:
    """Private, not processed, rejected: sent, and not visible."""
    stub.answer = network(videos=Reply(200, {"items": [resource(status=status)]}))
    sight = await channel.look(sent())
    assert not sight.there
    assert words in str(sight.reason)


async def test_a_look_sees_text_counts_and_link(channel: Video, stub: Stub) -> None:
    """Without a key it is our own login that looks, which proves less."""
    stub.answer = network()
    sight = await channel.look(sent())
    assert (sight.there, sight.altered, sight.public) == (True, False, False)
    assert sight.text == TEXT
    assert sight.counts == {"views": 1200, "likes": 3, "replies": 4}
    assert sight.url == f"https://youtu.be/{VIDEO}"


@pytest.mark.parametrize(
    ("text", "altered"),
    [(TEXT, False), (f"{POINTER}\n\n{TEXT}", False), ("Alles gut", True), ("", True)],
)
async def test_a_look_notices_another_text(
    channel: Video, stub: Stub, *, text: str, altered: bool
) -> None:
    """A pointer to the newer version before it is our own, and no alarm."""
    stub.answer = network(videos=Reply(200, {"items": [resource(snippet={"description": text})]}))
    assert (await channel.look(sent())).altered == altered


async def test_with_a_key_a_video_is_seen_as_by_everybody(stub: Stub, tmp_path: Path) -> None:
    """No token is shown then; only for the reason of an absence the owner looks as well."""
    document()  # where the contract is missing this skips, with nothing left open
    channel = build(stub.url, tmp_path, api_key_file=keep_secret(tmp_path, "key", KEY))
    stub.answer = network()
    assert (await channel.look(sent())).public
    (request,) = stub.requests
    assert "authorization" not in request.headers
    assert query_of(request)["key"] == KEY
    validate(request)
    stub.answer = network(videos=[ITEMS, Reply(200, {"items": [resource()]})])
    hidden = await channel.look(sent())
    assert (hidden.there, hidden.reason) == (False, "not shown to the public yet")
    private = resource(status={"privacyStatus": "private"})
    stub.answer = network(videos=[ITEMS, Reply(200, {"items": [private]})])
    assert "not audited" in str((await channel.look(sent())).reason)
    stub.answer = network(videos=ITEMS)
    assert (await channel.look(sent())).reason == "deleted"
    await channel.close()
