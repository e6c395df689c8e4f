"""A video: clip and session, bytes and receipt, corrections; every answer at every operation."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from broadcaster.channels.youtube import clip
from broadcaster.channels.youtube.video import Video
from broadcaster.config import Timing
from broadcaster.delivery import (
    Failure,
    Message,
    NeedsPerson,
    NotSent,
    Receipt,
    Rejected,
    Unknown,
)
from broadcaster.terminal.child import free_port
from tests.channels.stub import (
    NOW,
    TEXT,
    Fault,
    Reply,
    Stub,
    delivery,
    keep_secret,
    serving,
)
from tests.channels.youtube.test_clip import needs_ffmpeg
from tests.channels.youtube.youtube_stub import (
    ALL,
    CARD,
    CHANNEL,
    CLIP,
    ITEMS,
    KEY,
    LONG,
    POINTER,
    READS,
    REFRESH,
    SECRET,
    TOKEN,
    VIDEO,
    begun,
    build,
    card,
    carded,
    correction,
    error,
    keep_clip,
    listed,
    network,
    operation,
    operations,
    query_of,
    resource,
    sent,
)
from tests.conftest import SHARED, shared_path


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


async def test_a_session_is_begun_with_title_text_and_language(channel: Video, stub: Stub) -> None:
    """Nothing is uploaded yet; what is stored is all that is needed to go on."""
    stub.answer = network()
    handle = await channel.prepare(carded())
    assert operations(stub) == ["start"]
    request = stub.requests[-1]
    body = json.loads(request.body)
    assert body["snippet"] == {
        "title": "Großbrand in Hörde",
        "description": TEXT,
        "tags": [],
        "categoryId": "25",
        "defaultLanguage": "de",
    }
    assert body["status"] == {
        "privacyStatus": "public",
        "selfDeclaredMadeForKids": False,
        "containsSyntheticMedia": False,
    }
    assert request.headers["x-upload-content-length"] == str(len(CLIP))
    assert request.headers["x-upload-content-type"] == "video/mp4"
    assert json.loads(json.dumps(handle)) == {
        "session": f"{stub.url}{request.path}&upload_id=u1",
        "clip": f"{CARD}-silent.mp4",
        "card": CARD,
        "size": len(CLIP),
        "sha256": hashlib.sha256(CLIP).hexdigest(),
    }


async def test_what_youtube_refuses_in_a_text_is_replaced(channel: Video, stub: Stub) -> None:
    """A text with angle brackets would be refused for good."""
    stub.answer = network()
    await channel.prepare(carded(text="Pegel > 5 m & < 6 m", subject="<Pegel>"))
    snippet = json.loads(stub.requests[-1].body)["snippet"]
    assert (snippet["title"], snippet["description"]) == (
        "\u2039Pegel\u203a",
        "Pegel \u203a 5 m & \u2039 6 m",
    )


async def test_an_upload_needs_a_drawn_card(channel: Video, stub: Stub) -> None:
    """Without the picture there is no video."""
    message = Message(TEXT, "de", media=(card(digest=None),))
    for one in (delivery(), delivery(message=message), delivery(message=None)):
        with pytest.raises(Rejected):
            await channel.prepare(one)
    assert stub.requests == []


async def test_a_stored_session_elsewhere_gets_no_token(channel: Video, stub: Stub) -> None:
    """As after a change of base_url: it counts as gone."""
    stub.answer = network()
    with pytest.raises(NotSent) as caught:
        await channel.send(begun("https://elsewhere.example"))
    assert caught.value.afresh
    assert operations(stub) == ["playlistItems"]


async def test_a_card_without_a_file_makes_no_clip(stub: Stub, tmp_path: Path) -> None:
    """It is tried again: cards are drawn anew."""
    channel = build(stub.url, tmp_path, timing=LONG)
    with pytest.raises((NotSent, NeedsPerson)):
        await channel.prepare(carded())
    await channel.close()
    assert stub.requests == []


async def test_a_missing_program_needs_a_person(
    stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the extra `video` no clip is made, and the probe says so before it matters."""
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    channel = build(stub.url, tmp_path)
    with pytest.raises(NeedsPerson, match="extra `video`"):
        await channel.prepare(carded())
    found = await channel.probe()
    await channel.close()
    assert not found.ready
    assert "video" in str(found.remedy)


async def test_a_clip_that_takes_its_time_is_waited_for_at_the_next_attempt(
    stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt ends within its limit, and the clip is made all the same."""
    stub.answer = network()
    channel = build(stub.url, tmp_path)

    async def slow(_self: clip.Clips, _program: str, *arguments: str) -> None:
        await asyncio.sleep(0.8)
        Path(arguments[-1].removeprefix("file:")).write_bytes(CLIP)

    monkeypatch.setattr(clip.Clips, "_run", slow)
    monkeypatch.setattr(clip, "ffmpeg", lambda: "ffmpeg")
    with pytest.raises(NotSent, match="not made yet"):
        await channel.prepare(carded())
    await asyncio.sleep(0.6)
    handle = await channel.prepare(carded())
    await channel.close()
    assert handle["size"] == len(CLIP)


@needs_ffmpeg
async def test_an_unaudited_project_ends_private_and_says_so(channel: Video, stub: Stub) -> None:
    """The receipt tells that the public does not see it, and so does the next probe."""
    stub.answer = network(ask=Reply(200, resource(status={"privacyStatus": "private"})))
    receipt = await channel.send(begun(stub.url))
    assert receipt.note == "YouTube keeps it private: the API project is not audited"
    found = await channel.probe()
    assert "stayed private" in found.sentence
    assert "audit" in str(found.remedy)


async def test_what_was_asked_to_be_private_is_no_surprise(stub: Stub, tmp_path: Path) -> None:
    """As for a rehearsal."""
    channel = build(stub.url, tmp_path, privacy="private")
    stub.answer = network(ask=Reply(200, resource(status={"privacyStatus": "private"})))
    assert (await channel.send(begun(stub.url))).note is None
    await channel.close()


async def test_a_clip_that_was_deleted_is_made_again(
    channel: Video, stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bytes go on with the same upload."""
    stub.answer = network()
    (tmp_path / "cards" / f"{CARD}-silent.mp4").unlink()

    async def run(_self: clip.Clips, _program: str, *arguments: str) -> None:
        Path(arguments[-1].removeprefix("file:")).write_bytes(CLIP)

    monkeypatch.setattr(clip.Clips, "_run", run)
    monkeypatch.setattr(clip, "ffmpeg", lambda: "ffmpeg")
    assert (await channel.send(begun(stub.url))).remote_id == VIDEO


async def test_other_bytes_never_follow_the_first_ones(
    channel: Video, stub: Stub, tmp_path: Path
) -> None:
    """A clip that is not the one of the upload begins one of its own."""
    stub.answer = network(ask=Reply(308, b"", {"Range": "bytes=0-99"}))
    (tmp_path / "cards" / f"{CARD}-silent.mp4").write_bytes(b"another")
    with pytest.raises(NotSent) as caught:
        await channel.send(begun(stub.url))
    assert caught.value.afresh
    assert operations(stub) == ["ask"]


@pytest.mark.parametrize("status", [404, 410])
async def test_a_session_that_is_gone_is_looked_for_in_the_list_first(
    channel: Video, stub: Stub, status: int
) -> None:
    """It may have ended in a video: only if there is none, another one is begun."""
    stub.answer = network(ask=Reply(status))
    with pytest.raises(NotSent) as caught:
        await channel.send(begun(stub.url))
    assert caught.value.afresh
    assert operations(stub) == ["ask", "playlistItems"]
    stub.answer = network(ask=Reply(status), playlistItems=Reply(200, {"items": [listed(TEXT)]}))
    assert (await channel.send(begun(stub.url))).remote_id == VIDEO


async def test_after_a_doubt_the_list_is_given_time(channel: Video, stub: Stub) -> None:
    """A video may be missing from its channel's list for a while: no second one meanwhile."""
    stub.answer = network(ask=Reply(404))
    early = begun(stub.url, doubtful=True, first_attempt=NOW - timedelta(seconds=89))
    with pytest.raises(Unknown):
        await channel.send(early)
    with pytest.raises(NotSent):
        await channel.find(early)
    late = replace(early, first_attempt=NOW - timedelta(seconds=91))
    with pytest.raises(NotSent) as caught:
        await channel.send(late)
    assert caught.value.afresh
    assert await channel.find(late) is None


async def test_a_list_that_was_not_read_begins_no_second_upload(channel: Video, stub: Stub) -> None:
    """Gone, and nobody could say whether there is a video: the handle stays, and a doubt too."""
    stub.answer = network(ask=Reply(404), playlistItems=Reply(503))
    with pytest.raises(NotSent) as caught:
        await channel.send(begun(stub.url))
    assert not caught.value.afresh
    with pytest.raises(Unknown):
        await channel.send(begun(stub.url, doubtful=True))


@pytest.mark.parametrize("handle", [{}, {"session": 1}, {"session": "x", "size": "many"}])
async def test_a_handle_that_cannot_be_read_is_as_good_as_gone(
    channel: Video, stub: Stub, handle: dict[str, Any]
) -> None:
    """Never a crash, and never a second video beside one that is listed."""
    stub.answer = network()
    with pytest.raises(NotSent) as caught:
        await channel.send(carded(handle=handle))
    assert caught.value.afresh
    with pytest.raises(NotSent) as caught:
        await channel.send(carded(handle=None))
    assert caught.value.afresh


async def test_a_video_without_a_good_name_is_unknown(channel: Video, stub: Stub) -> None:
    """An id is the only proof of a video."""
    bodies: list[dict[str, Any]] = [{"id": "../me"}, {"id": None}, {"id": []}, {"id": "ä" * 11}]
    for body in bodies:
        stub.answer = network(ask=Reply(200, resource(**body)))
        with pytest.raises(Unknown):
            await channel.send(begun(stub.url))


async def test_finding_asks_the_session(channel: Video, stub: Stub) -> None:
    """Unfinished is provably not published; ended names the video; nothing begun is nothing."""
    stub.answer = network()
    assert await channel.find(carded(handle=None)) is None
    assert stub.requests == []
    assert await channel.find(begun(stub.url)) is None
    stub.answer = network(ask=Reply(200, resource()))
    found = await channel.find(begun(stub.url))
    assert found
    assert found.remote_id == VIDEO
    assert operations(stub) == ["ask", "ask"]


async def test_an_upload_that_ended_without_a_name_is_looked_for(
    channel: Video, stub: Stub
) -> None:
    """It has landed for sure: absent from the list means not listed yet, never not there."""
    stub.answer = network(ask=Reply(200, b"junk"))
    with pytest.raises(Unknown):
        await channel.find(begun(stub.url))
    stub.answer = network(ask=Reply(200, {}), playlistItems=Reply(200, {"items": [listed(TEXT)]}))
    found = await channel.find(begun(stub.url))
    assert found
    assert found.remote_id == VIDEO


async def test_a_correction_is_put_before_title_and_text(channel: Video, stub: Stub) -> None:
    """The whole snippet is sent, for what is left out would be lost."""
    stub.answer = network()
    receipt = await channel.correct(correction())
    assert receipt == Receipt(VIDEO, f"https://youtu.be/{VIDEO}")
    assert operations(stub) == ["videos", "update"]
    assert json.loads(stub.requests[-1].body) == {
        "id": VIDEO,
        "snippet": {
            "title": "Überholt: Großbrand in Hörde",
            "description": f"{POINTER}\n\n{TEXT}",
            "tags": ["Warnung"],
            "categoryId": "25",
        },
    }


async def test_a_correction_is_made_once(channel: Video, stub: Stub) -> None:
    """What begins so already is left as it is; finding says the same."""
    assert await _found(channel, stub, TEXT) is None
    done = f"{POINTER}\n\n{TEXT}"
    assert (await _found(channel, stub, done)) == Receipt(VIDEO, f"https://youtu.be/{VIDEO}")
    await channel.correct(correction())
    assert "update" not in operations(stub)


async def _found(channel: Video, stub: Stub, text: str) -> Receipt | None:
    stub.answer = network(videos=Reply(200, {"items": [resource(snippet={"description": text})]}))
    return await channel.find(correction())


async def test_a_video_that_is_gone_cannot_be_corrected(channel: Video, stub: Stub) -> None:
    """There is nothing left to correct, and nothing to find."""
    stub.answer = network(videos=ITEMS)
    with pytest.raises(Rejected, match="not there any more"):
        await channel.correct(correction())
    assert await channel.find(correction()) is None
    for receipt in (None, Receipt(None), Receipt("../x")):
        with pytest.raises(Rejected):
            await channel.correct(replace(correction(), reply_to=receipt))


async def test_an_edit_that_is_not_confirmed_is_unknown(channel: Video, stub: Stub) -> None:
    """Only the video's own name proves it."""
    for body in ({}, {"id": "other"}):
        stub.answer = network(update=Reply(200, body))
        with pytest.raises(Unknown):
            await channel.correct(correction())


async def test_a_video_is_deleted_and_gone_is_done(channel: Video, stub: Stub) -> None:
    """Deleting is safe to repeat."""
    for answer in (Reply(204), error(404, "videoNotFound")):
        stub.answer = network(delete=answer)
        await channel.retract(Receipt(VIDEO))
    assert query_of(stub.requests[-1]) == {"id": VIDEO}
    for receipt in (Receipt(None), Receipt("../me"), Receipt("")):
        with pytest.raises(Rejected):
            await channel.retract(receipt)


KINDS: Mapping[str, type[Failure]] = {
    "ambiguous": Unknown,
    "rejected": Rejected,
    "auth": NeedsPerson,
    "blocked": NeedsPerson,
    "rate_limited": NotSent,
    "not_sent_retry": NotSent,
}


def error_cases() -> list[Any]:
    """Read the rows for YouTube, for every operation; without shared data, one that skips."""
    path = SHARED / "contracts" / "derived" / "error-cases.json"
    if not path.exists():
        return [pytest.param({}, "put", id="no-shared-data")]
    rows = json.loads(path.read_text("utf-8"))["cases"]
    mine = [row for row in rows if row["platform"] == "youtube"]
    assert len(mine) == 8
    return [
        pytest.param(row, name, id=f"{number}-{row['http_status']}-{name}")
        for number, row in enumerate(mine)
        for name in ALL
    ]


async def done(channel: Video, url: str, name: str) -> Failure | None:
    """Do what leads to an operation, and give the failure."""
    works: dict[str, Callable[[], Awaitable[Any]]] = {
        "start": lambda: channel.prepare(carded()),
        "ask": lambda: channel.send(begun(url)),
        "put": lambda: channel.send(begun(url)),
        "update": lambda: channel.correct(correction()),
        "delete": lambda: channel.retract(Receipt(VIDEO)),
        "videos": lambda: channel.look(sent()),
        "playlistItems": lambda: channel.find(begun(url)),
    }
    try:
        await works[name]()
    except Failure as failure:
        return failure
    return None


@pytest.mark.parametrize(("row", "name"), error_cases())
async def test_each_error_case_has_its_outcome(
    row: dict[str, Any], name: str, stub: Stub, tmp_path: Path
) -> None:
    """Every row of the table of YouTube's answers, at every operation, as the contract maps it."""
    shared_path("contracts", "derived")
    keep_clip(tmp_path)
    refused = row["http_status"] == "connect-refused"
    url = f"http://127.0.0.1:{free_port()}" if refused else stub.url
    hangs = row["http_status"] == "timeout-after-send"
    answer = (
        Fault.HANG if hangs else Reply(200 if refused else row["http_status"], row["body"] or b"")
    )
    gone = {"ask": Reply(404)} if name == "playlistItems" else {}
    stub.answer = network(**gone, **{name: answer})
    channel = build(url, tmp_path, timing=Timing(attempt_seconds=0.6, connect_seconds=0.2))
    kind = await done(channel, url, name)
    await channel.close()
    wanted = KINDS[row["expect"]]
    if name in {*READS, "start"} and wanted is Unknown:
        # At the limit of a whole attempt it is not asked which part of it was slow.
        assert type(kind) in ({NotSent, Unknown} if hangs or name == "start" else {NotSent})
        return
    assert type(kind) is wanted, kind
    if row["http_status"] == 401:
        assert [operation(one) for one in stub.requests].count(name) == 2


@needs_ffmpeg
async def test_a_probe_says_who_we_are_and_what_is_left(channel: Video, stub: Stub) -> None:
    """It posts nothing, and costs one unit of the quota."""
    stub.answer = network()
    await channel.prepare(carded())
    await channel.correct(correction())
    found = await channel.probe()
    assert (found.ready, found.account) == (True, "@stadt")
    assert found.sentence == (
        "YouTube knows us as @stadt; 99 uploads and 9948 units are left today."
    )
    assert found.quota_left == 99
    assert found.identity["id"] == CHANNEL
    assert found.identity["handle"] == "@stadt"
    assert query_of(stub.requests[-1]) == {"part": "snippet,status", "mine": "true"}


NOT_READY: list[tuple[Reply | Fault, str]] = [
    (ITEMS, "not that of the channel"),
    (Reply(200, {"items": [{"id": "UCother"}]}), "not that of the channel"),
    (Reply(200, b"junk"), "not that of the channel"),
    (error(403, "quotaExceeded"), "quota"),
    (error(403, "authenticatedUserAccountSuspended"), "suspended"),
    (Reply(401), "token"),
    (Reply(503), "503"),
    (Fault.CLOSE, "could not be asked"),
]


@pytest.mark.parametrize(("answer", "words"), NOT_READY)
@needs_ffmpeg
async def test_a_probe_never_raises_and_says_what_to_do(
    channel: Video, stub: Stub, answer: Reply | Fault, words: str
) -> None:
    """What is wrong is told in a sentence, with a remedy, before it matters."""
    stub.answer = network(channels=answer)
    found = await channel.probe()
    assert not found.ready
    assert words in found.sentence
    assert found.sentence.endswith(".")
    assert found.remedy


async def test_warming_posts_nothing_and_shows_no_token(channel: Video, stub: Stub) -> None:
    """A free request keeps the connection."""
    await channel.warm()
    (request,) = stub.requests
    assert request.method == "HEAD"
    assert "authorization" not in request.headers


async def test_no_secret_is_shown(
    stub: Stub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the channel's picture of itself, nor a reason, nor a log holds one."""
    caplog.set_level(logging.DEBUG)
    keep_clip(tmp_path)
    channel = build(stub.url, tmp_path, api_key_file=keep_secret(tmp_path, "key", KEY))
    parts = (channel, channel._google, channel._google.app, channel._wanted, channel._videos)
    shown = [*(repr(one) for one in parts), repr(channel.__dict__)]
    for answer in (Reply(401, {"error": SECRET}), Fault.CLOSE, Reply(200, {})):
        stub.answer = network(token=[TOKEN, TOKEN], put=answer, videos=answer)
        for work in (channel.send(begun(stub.url)), channel.look(sent())):
            with pytest.raises(Failure) as caught:
                await work
            shown.append(str(caught.value))
    await channel.close()
    text = " ".join([*shown, caplog.text])
    secrets = (SECRET, REFRESH, KEY, "ya29.sandbox-access", "upload_id")
    assert not [one for one in secrets if one in text]
