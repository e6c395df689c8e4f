"""YouTube: a person posts, or a clip is uploaded; what each answer means, by Google's document."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import aiohttp
import pytest
from pydantic import ValidationError

from broadcaster.channels import (
    LANDSCAPE,
    SQUARE,
    Corrects,
    Looks,
    Prepares,
    Warms,
    clip,
    google,
    title,
    upload,
    video,
    youtube,
)
from broadcaster.channels.tokens import Grant
from broadcaster.config import Timing
from broadcaster.delivery import (
    Act,
    Delivery,
    Failure,
    Guarantee,
    Media,
    Message,
    NeedsPerson,
    NotSent,
    Receipt,
    Rejected,
    Unknown,
)
from broadcaster.measure import fits
from broadcaster.sandbox import Sandbox
from broadcaster.sandbox import youtube as stand_in
from broadcaster.sandbox.faults import Fault as PlayedFault
from broadcaster.sandbox.posts import account
from broadcaster.sandbox.youtube_access import CLIENT_ID, CLIENT_SECRET, channel_id
from tests.channels.stub import (
    NOW,
    TEXT,
    Fault,
    Reply,
    Request,
    Stub,
    closed_port,
    delivery,
    keep_secret,
    serving,
    setup_for,
)
from tests.channels.test_clip import needs_ffmpeg, png
from tests.conftest import SHARED, shared_path

SHORT = Timing(attempt_seconds=1.0, connect_seconds=0.3)
LONG = Timing(attempt_seconds=20.0, connect_seconds=2.0)
SECRET, REFRESH, KEY = "sandbox-client-secret-1", "sandbox-refresh-1", "sandbox-key-1"
CHANNEL = "UC0123456789abcdefghijkl"
VIDEO = "dQw4w9WgXcQ"
CARD = hashlib.sha256(b"a card").hexdigest()
CLIP = bytes(range(256)) * 4500  # more than one piece
POINTER = "Überholt: siehe Nr. 26-0142/2 für den neuen Stand."


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    """Run a stand-in for Google that answers as told."""
    async with serving() as one:
        yield one


def build(
    url: str, place: Path, *, timing: Timing = SHORT, refresh: str = REFRESH, **more: Any
) -> video.Video:
    """Build the channel for videos with its secrets."""
    settings = youtube.Settings.model_validate(
        {
            "channel_id": CHANNEL,
            "mode": "video",
            "base_url": url,
            "token_url": url,
            "client_id": "client-1",
            "client_secret_file": keep_secret(place, "client-secret", SECRET),
            "refresh_token_file": keep_secret(place, "refresh-token", refresh),
            **more,
        }
    )
    made = youtube.build(setup_for(place, "youtube", timing=timing), settings)
    assert isinstance(made, video.Video)
    return made


@pytest.fixture
async def channel(stub: Stub, tmp_path: Path) -> AsyncIterator[video.Video]:
    """Give a channel to the stand-in; the clip is made already."""
    keep_clip(tmp_path)
    one = build(stub.url, tmp_path)
    yield one
    await one.close()


def keep_clip(place: Path) -> None:
    """Put a clip where the channel would have made it."""
    (place / "cards").mkdir(exist_ok=True)
    (place / "cards" / f"{CARD}-silent.mp4").write_bytes(CLIP)


def card(**changes: Any) -> Media:
    """Give a drawn card."""
    one = Media("c0", "Warnkarte: Großbrand", "image/png", 1200, 675, required=True, digest=CARD)
    return replace(one, **changes)


def carded(**changes: Any) -> Delivery:
    """Give a delivery with a drawn card."""
    text = changes.pop("text", TEXT)
    subject = changes.pop("subject", "Großbrand in Hörde")
    return delivery(message=Message(text, "de", subject, media=(card(),)), **changes)


def begun(url: str, **changes: Any) -> Delivery:
    """Give a delivery whose upload was begun at this address."""
    digest = hashlib.sha256(CLIP).hexdigest()
    session = f"{url}/upload/youtube/v3/videos?uploadType=resumable&upload_id=u1"
    handle = upload.Upload(session, f"{CARD}-silent.mp4", CARD, len(CLIP), digest)
    return carded(handle=handle.to_json(), **changes)


def correction(**changes: Any) -> Delivery:
    """Give a delivery that marks the video of the version before as overtaken."""
    message = Message(POINTER, "de", act=Act.CORRECT)
    return delivery(message=message, reply_to=Receipt(VIDEO), **changes)


def sent(**changes: Any) -> Delivery:
    """Give a delivery that is out."""
    return carded(receipt=Receipt(VIDEO), **changes)


def resource(**changes: Any) -> dict[str, Any]:
    """Give a video as Google shows it."""
    return {
        "kind": "youtube#video",
        "id": VIDEO,
        "snippet": {
            "title": "Großbrand in Hörde",
            "description": TEXT,
            "categoryId": "25",
            "tags": ["Warnung"],
            "publishedAt": "2026-11-22T01:47:05Z",
            "channelId": CHANNEL,
        }
        | changes.pop("snippet", {}),
        "status": {"uploadStatus": "processed", "privacyStatus": "public"}
        | changes.pop("status", {}),
        "statistics": {"viewCount": "1200", "likeCount": "3", "commentCount": "4"},
    } | changes


def listed(text: str, *, name: str = VIDEO, at: str = "2026-11-22T01:47:05Z") -> dict[str, Any]:
    """Give a video as an item of the channel's uploads."""
    where = {"kind": "youtube#video", "videoId": name}
    snippet = {"title": "t", "description": text, "publishedAt": at, "resourceId": where}
    return {"kind": "youtube#playlistItem", "snippet": snippet}


def error(status: int, reason: str, **headers: str) -> Reply:
    """Give Google's error envelope."""
    named = {"message": reason, "domain": "youtube.common", "reason": reason}
    body = {"error": {"code": status, "message": reason, "errors": [named]}}
    return Reply(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


TOKEN = Reply(200, {"access_token": "ya29.sandbox-access", "expires_in": 3599})
ITEMS = Reply(200, {"items": []})
Answering = Callable[[Request], Reply | Fault]


def query_of(request: Request) -> dict[str, str]:
    """Give the parameters in a request's address."""
    return dict(parse_qsl(urlsplit(request.path).query))


def path_of(request: Request) -> str:
    """Give the path of a request's address."""
    return urlsplit(request.path).path


def operation(request: Request) -> str:
    """Name what a request asks for."""
    if request.path == "/token":
        return "token"
    path = path_of(request)
    if path.startswith("/upload"):
        if request.method == "POST":
            return "start"
        return "ask" if "*" in request.headers["content-range"] else "put"
    names = {"PUT": "update", "DELETE": "delete", "GET": path.rpartition("/")[2]}
    return names[request.method]


def network(**answers: Reply | Fault | list[Reply | Fault]) -> Answering:
    """Answer as Google does when all is well; `answers` by operation come first, lists in turn."""
    good: dict[str, Reply | Fault] = {
        "token": TOKEN,
        "ask": Reply(308),
        "put": Reply(200, resource()),
        "update": Reply(200, resource()),
        "delete": Reply(204),
        "videos": Reply(200, {"items": [resource()]}),
        "playlistItems": ITEMS,
        "channels": Reply(200, {"items": [{"id": CHANNEL, "snippet": {"customUrl": "@stadt"}}]}),
    }

    def answer(request: Request) -> Reply | Fault:
        name = operation(request)
        said = answers.get(name) or good.get(name)
        if isinstance(said, list):
            return said.pop(0) if len(said) > 1 else said[0]
        if name == "put" and name not in answers:
            return piece(request)
        if said is not None:
            return said
        place = f"http://{request.headers['host']}{request.path}&upload_id=u1"
        return Reply(200, b"", {"Location": place})

    return answer


def piece(request: Request) -> Reply:
    """Take a piece as Google does: 308 and how far it is, or the video."""
    up_to, _, size = request.headers["content-range"].removeprefix("bytes ").partition("/")
    last = int(up_to.partition("-")[2])
    if last + 1 == int(size):
        return Reply(200, resource())
    return Reply(308, b"", {"Range": f"bytes=0-{last}"})


def operations(stub: Stub) -> list[str]:
    """Name what was asked, in order, tokens left out."""
    return [name for one in stub.requests if (name := operation(one)) != "token"]


# Mode operator


def operator(place: Path, url: str = "https://www.googleapis.com", **more: Any) -> youtube.Operator:
    """Build the channel on which a person posts."""
    settings = youtube.Settings.model_validate({"channel_id": CHANNEL, "base_url": url, **more})
    made = youtube.build(setup_for(place, "youtube", timing=SHORT), settings)
    assert isinstance(made, youtube.Operator)
    return made


async def test_without_an_api_a_person_posts(tmp_path: Path, stub: Stub) -> None:
    """The link leads to where they do, and nothing is ever asked of YouTube."""
    channel = operator(tmp_path, stub.url)
    assert channel.by_hand == (
        f"https://www.youtube.com/channel/{CHANNEL}/community?show_create_dialog=1"
    )
    assert (channel.guarantee, channel.picture) == (Guarantee.NONE, SQUARE)
    with pytest.raises(NeedsPerson, match="a person posts"):
        await channel.send(delivery())
    with pytest.raises(Unknown, match="by hand"):
        await channel.find(delivery())
    with pytest.raises(Rejected, match="by hand"):
        await channel.retract(Receipt("Ugkx1"))
    found = await channel.probe()
    assert (found.ready, found.sentence) == (
        True,
        "YouTube has no way to post by program: a person posts, the card waits for them.",
    )
    await channel.close()
    assert stub.requests == []


def test_the_card_of_a_person_is_not_prepared_looked_at_or_edited(tmp_path: Path) -> None:
    """What no API can do is not offered, so that nobody waits for it."""
    channel = operator(tmp_path)
    assert not isinstance(channel, Prepares | Corrects | Looks | Warms)
    assert isinstance(build("https://www.googleapis.com", tmp_path), Prepares)


async def test_with_a_key_the_channel_of_a_person_is_looked_up(stub: Stub, tmp_path: Path) -> None:
    """A wrong channel would send them to the wrong place: it is noticed before."""
    key = keep_secret(tmp_path, "key", KEY)
    channel = operator(tmp_path, stub.url, api_key_file=key)
    stub.answer = network()
    found = await channel.probe()
    assert (found.ready, found.account) == (True, "@stadt")
    assert found.identity["id"] == CHANNEL
    assert query_of(stub.requests[0]) == {"part": "snippet", "id": CHANNEL, "key": KEY}
    validate(stub.requests[0])
    stub.answer = network(channels=ITEMS)
    unknown = await channel.probe()
    assert (unknown.ready, CHANNEL in unknown.sentence) == (False, True)
    await channel.close()


@pytest.mark.parametrize(
    "answer", [Reply(400), error(403, "accessNotConfigured"), Reply(503), Fault.CLOSE, Reply(200)]
)
async def test_a_key_that_does_not_work_is_said(
    stub: Stub, tmp_path: Path, answer: Reply | Fault
) -> None:
    """A person can post all the same, but somebody should look."""
    channel = operator(tmp_path, stub.url, api_key_file=keep_secret(tmp_path, "key", KEY))
    stub.answer = network(channels=answer)
    found = await channel.probe()
    await channel.close()
    assert not found.ready
    assert found.sentence.endswith(".")
    assert found.remedy
    assert KEY not in found.sentence


# The settings


@pytest.mark.parametrize(
    "more",
    [
        {"channel_id": "stadt"},
        {"channel_id": CHANNEL + "x"},
        {"mode": "video"},
        {"mode": "video", "client_id": "c", "client_secret_file": "s"},
        {"base_url": "http://www.googleapis.com"},
        {"privacy": "hidden"},
        {"sound": "siren.wav"},
        {"api_key": "k"},
    ],
)
def test_settings_that_cannot_work_are_refused(more: dict[str, str]) -> None:
    """Every fault of the configuration is found at the start."""
    with pytest.raises(ValidationError):
        youtube.Settings.model_validate({"channel_id": CHANNEL, **more})


def test_a_token_file_that_holds_none_is_refused_by_name(tmp_path: Path) -> None:
    """The sentence names the file and shows nothing of it."""
    with pytest.raises(ValueError, match="refresh-token holds no token") as caught:
        build("https://www.googleapis.com", tmp_path, refresh="two words")
    assert "two words" not in str(caught.value)


def test_a_sound_that_is_missing_is_refused(tmp_path: Path) -> None:
    """It is noticed at the start, not in the crisis."""
    with pytest.raises(ValueError, match="sound"):
        build("https://www.googleapis.com", tmp_path, sound=str(tmp_path / "no.wav"))


def test_both_modes_may_stand_beside_each_other(tmp_path: Path) -> None:
    """Posts and videos of one channel are two things, and neither is a secret."""
    by_hand, videos = operator(tmp_path), build("https://www.googleapis.com", tmp_path)
    assert by_hand.account != videos.account
    assert by_hand.carries == videos.carries == youtube.CARRIES
    assert (videos.guarantee, videos.by_hand) == (Guarantee.TWO_STEPS, None)
    assert videos.picture == replace(LANDSCAPE, required=True)


# Titles and texts


@pytest.mark.parametrize(
    ("subject", "text", "wanted"),
    [
        ("Großbrand in Hörde", TEXT, "Großbrand in Hörde"),
        (None, "Erste Zeile\nzweite", "Erste Zeile"),
        (" ", "\n\n  Feuer  und Flamme\n", "Feuer und Flamme"),
        ("a < b > c", TEXT, "a \u2039 b \u203a c"),
        ("x" * 100, TEXT, "x" * 100),
        ("x" * 101, TEXT, "x" * 99 + "…"),
        ("ä" * 99, TEXT, "ä" * 99),
        ("😀" * 50, TEXT, "😀" * 50),
        ("😀" * 51, TEXT, "😀" * 49 + "…"),
        ("👩‍👩‍👧" * 20, TEXT, "👩‍👩‍👧" * 12 + "…"),
        ("حريق كبير في دورتموند " * 5, TEXT, None),
        ("Großbrand in einer Lagerhalle " * 4, TEXT, None),
    ],
)
def test_a_title_has_100_characters_at_most(
    subject: str | None, text: str, wanted: str | None
) -> None:
    """It is cut between words, never inside of what a reader takes for one character."""
    made = title.title_of(Message(text, "de", subject))
    assert title.units(made) <= 100
    if wanted is None:
        assert made.endswith("…")
        assert str(subject).startswith(made[:-1])
        assert str(subject)[len(made) - 1] == " "
    else:
        assert made == wanted


def test_a_text_without_a_word_makes_no_video() -> None:
    """There is nothing to call it."""
    with pytest.raises(Rejected):
        title.title_of(Message(" \n", "de"))


@pytest.mark.parametrize("letter", ["ä", "x", "👩‍👩‍👧", "ش", "https://example.org/"])
def test_a_text_is_measured_at_its_limit(letter: str, tmp_path: Path) -> None:
    """4900 bytes fit, one more does not: what is put before it later still fits into 5000."""
    limits = build("https://www.googleapis.com", tmp_path).limits
    count, rest = divmod(4900, len(letter.encode()))
    exact = letter * count + "x" * rest
    assert fits(exact[:-1], limits)
    assert fits(exact, limits)
    assert not fits(exact + "x", limits)


def test_a_mark_comes_first_and_all_still_fits() -> None:
    """The title begins with the first words of the pointer, the text with all of it."""
    old = {"title": "ä" * 100, "description": "😀" * 1250}
    made = title.marked(old, POINTER)
    assert made["title"].startswith("Überholt: ää")
    assert title.units(made["title"]) <= 100
    assert made["description"].startswith(f"{POINTER}\n\n😀")
    assert len(made["description"].encode()) <= 5000
    assert made["description"].endswith("😀…")


def test_a_pointer_without_a_colon_is_a_mark_too() -> None:
    """In every language something short stands before the title."""
    made = title.marked({"title": "Großbrand", "description": "x"}, "Überholt durch " + "x" * 60)
    assert made["title"].endswith("…: Großbrand")
    assert title.units(made["title"].partition(":")[0]) <= title.MARK_MAX


# The first step


async def test_a_session_is_begun_with_title_text_and_language(
    channel: video.Video, stub: Stub
) -> None:
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


async def test_what_youtube_refuses_in_a_text_is_replaced(channel: video.Video, stub: Stub) -> None:
    """A text with angle brackets would be refused for good."""
    stub.answer = network()
    await channel.prepare(carded(text="Pegel > 5 m & < 6 m", subject="<Pegel>"))
    snippet = json.loads(stub.requests[-1].body)["snippet"]
    assert (snippet["title"], snippet["description"]) == (
        "\u2039Pegel\u203a",
        "Pegel \u203a 5 m & \u2039 6 m",
    )


async def test_an_upload_needs_a_drawn_card(channel: video.Video, stub: Stub) -> None:
    """Without the picture there is no video."""
    message = Message(TEXT, "de", media=(card(digest=None),))
    for one in (delivery(), delivery(message=message), delivery(message=None)):
        with pytest.raises(Rejected):
            await channel.prepare(one)
    assert stub.requests == []


@pytest.mark.parametrize(
    "location", ["", "https://elsewhere.example/upload", "http://127.0.0.1:1/upload", "::"]
)
async def test_a_session_elsewhere_is_not_used(
    channel: video.Video, stub: Stub, location: str
) -> None:
    """The token is sent to Google's host and nowhere else."""
    stub.answer = network(start=Reply(200, b"", {"Location": location}))
    with pytest.raises(NotSent, match="no place of its own"):
        await channel.prepare(carded())


async def test_a_stored_session_elsewhere_gets_no_token(channel: video.Video, stub: Stub) -> None:
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


# The second step


async def test_a_clip_goes_up_in_pieces(channel: video.Video, stub: Stub) -> None:
    """Asked first, then sent in multiples of 256 KiB; the receipt names the video."""
    stub.answer = network()
    receipt = await channel.send(begun(stub.url))
    assert receipt == Receipt(VIDEO, f"https://youtu.be/{VIDEO}", {"privacy": "public"})
    assert operations(stub) == ["ask", "put", "put"]
    pieces = [one for one in stub.requests if operation(one) == "put"]
    size = len(CLIP)
    first = upload.PIECE_BYTES
    assert [one.headers["content-range"] for one in pieces] == [
        f"bytes 0-{first - 1}/{size}",
        f"bytes {first}-{size - 1}/{size}",
    ]
    assert b"".join(one.body for one in pieces) == CLIP
    assert first % (256 * 1024) == 0


async def test_an_upload_goes_on_where_it_stopped(channel: video.Video, stub: Stub) -> None:
    """What has arrived is not sent again."""
    stub.answer = network(ask=Reply(308, b"", {"Range": "bytes=0-1049999"}))
    await channel.send(begun(stub.url))
    assert operations(stub) == ["ask", "put"]
    assert stub.requests[-1].body == CLIP[1_050_000:]
    assert (
        stub.requests[-1].headers["content-range"] == f"bytes 1050000-{len(CLIP) - 1}/{len(CLIP)}"
    )


@pytest.mark.parametrize("status", [200, 201])
async def test_an_upload_that_had_ended_is_not_sent_again(
    channel: video.Video, stub: Stub, status: int
) -> None:
    """Its answer was lost; asked, it names the video."""
    stub.answer = network(ask=Reply(status, resource()))
    assert (await channel.send(begun(stub.url))).remote_id == VIDEO
    assert operations(stub) == ["ask"]


async def test_an_unaudited_project_ends_private_and_says_so(
    channel: video.Video, stub: Stub
) -> None:
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


STUCK: list[tuple[Reply, str]] = [
    (Reply(308), "has 0 of"),
    (Reply(308, b"", {"Range": "bytes=0-99"}), "has 100 of"),
    (Reply(308, b"", {"Range": "bytes=5-9"}), "clearly"),
    (Reply(308, b"", {"Range": "bytes=0-99999999"}), "clearly"),
    (Reply(308, b"", {"Range": "junk"}), "clearly"),
]


@pytest.mark.parametrize(("answer", "words"), STUCK)
async def test_an_upload_that_does_not_advance_is_left_for_later(
    channel: video.Video, stub: Stub, answer: Reply, words: str
) -> None:
    """A 308 says that the video is not whole: nothing was published, and nothing loops."""
    stub.answer = network(ask=Reply(308, b"", {"Range": "bytes=0-99"}), put=answer)
    one = begun(stub.url)
    if answer.headers == {}:
        stub.answer = network(put=answer)
    with pytest.raises(NotSent, match=words) as caught:
        await channel.send(one)
    assert not caught.value.afresh
    assert operations(stub).count("put") == 1


async def test_an_upload_that_is_whole_and_not_ended_is_waited_for(
    channel: video.Video, stub: Stub
) -> None:
    """All bytes are there, and the video is not yet."""
    whole = Reply(308, b"", {"Range": f"bytes=0-{len(CLIP) - 1}"})
    stub.answer = network(ask=whole)
    with pytest.raises(NotSent, match="still taking it in"):
        await channel.send(begun(stub.url))
    assert operations(stub) == ["ask"]


async def test_a_redirect_in_between_proves_nothing(channel: video.Video, stub: Stub) -> None:
    """A 308 that leads elsewhere is no word of Google's about the upload."""
    moved = Reply(308, b"", {"Location": "https://portal.example/login"})
    stub.answer = network(put=moved)
    with pytest.raises(Unknown):
        await channel.send(begun(stub.url))
    stub.answer = network(ask=moved)
    with pytest.raises(NotSent):
        await channel.find(begun(stub.url))


async def test_a_piece_that_came_twice_is_no_refusal(channel: video.Video, stub: Stub) -> None:
    """A PUT repeated below us is refused; asked, the session knows the truth."""
    done = Reply(200, resource())
    stub.answer = network(put=Reply(400), ask=[Reply(308), done])
    assert (await channel.send(begun(stub.url))).remote_id == VIDEO
    stub.answer = network(put=Reply(400), ask=[Reply(308), Reply(503)])
    with pytest.raises(Unknown):
        await channel.send(begun(stub.url))
    stub.answer = network(put=Reply(400))
    with pytest.raises(Rejected):
        await channel.send(begun(stub.url))


async def test_a_clip_that_was_deleted_is_made_again(
    channel: video.Video, stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    channel: video.Video, stub: Stub, tmp_path: Path
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
    channel: video.Video, stub: Stub, status: int
) -> None:
    """It may have ended in a video: only if there is none, another one is begun."""
    stub.answer = network(ask=Reply(status))
    with pytest.raises(NotSent) as caught:
        await channel.send(begun(stub.url))
    assert caught.value.afresh
    assert operations(stub) == ["ask", "playlistItems"]
    stub.answer = network(ask=Reply(status), playlistItems=Reply(200, {"items": [listed(TEXT)]}))
    assert (await channel.send(begun(stub.url))).remote_id == VIDEO


async def test_after_a_doubt_the_list_is_given_time(channel: video.Video, stub: Stub) -> None:
    """A video may be missing from its channel's list for a while: no second one meanwhile."""
    stub.answer = network(ask=Reply(404))
    early = begun(stub.url, doubtful=True, first_attempt=NOW - timedelta(seconds=89))
    with pytest.raises(NotSent) as caught:
        await channel.send(early)
    assert not caught.value.afresh
    with pytest.raises(NotSent):
        await channel.find(early)
    late = replace(early, first_attempt=NOW - timedelta(seconds=91))
    with pytest.raises(NotSent) as caught:
        await channel.send(late)
    assert caught.value.afresh
    assert await channel.find(late) is None


async def test_a_list_that_was_not_read_begins_no_second_upload(
    channel: video.Video, stub: Stub
) -> None:
    """Gone, and nobody could say whether there is a video: the handle stays."""
    stub.answer = network(ask=Reply(404), playlistItems=Reply(503))
    with pytest.raises(NotSent) as caught:
        await channel.send(begun(stub.url))
    assert not caught.value.afresh


@pytest.mark.parametrize("handle", [{}, {"session": 1}, {"session": "x", "size": "many"}])
async def test_a_handle_that_cannot_be_read_is_as_good_as_gone(
    channel: video.Video, stub: Stub, handle: dict[str, Any]
) -> None:
    """Never a crash, and never a second video beside one that is listed."""
    stub.answer = network()
    with pytest.raises(NotSent) as caught:
        await channel.send(carded(handle=handle))
    assert caught.value.afresh
    with pytest.raises(NotSent) as caught:
        await channel.send(carded(handle=None))
    assert caught.value.afresh


async def test_a_video_without_a_good_name_is_unknown(channel: video.Video, stub: Stub) -> None:
    """An id is the only proof of a video."""
    bodies: list[dict[str, Any]] = [{"id": "../me"}, {"id": None}, {"id": []}, {"id": "ä" * 11}]
    for body in bodies:
        stub.answer = network(ask=Reply(200, resource(**body)))
        with pytest.raises(Unknown):
            await channel.send(begun(stub.url))


# Finding


async def test_finding_asks_the_session(channel: video.Video, stub: Stub) -> None:
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
    channel: video.Video, stub: Stub
) -> None:
    """It has landed for sure: absent from the list means not listed yet, never not there."""
    stub.answer = network(ask=Reply(200, b"junk"))
    with pytest.raises(Unknown):
        await channel.find(begun(stub.url))
    stub.answer = network(ask=Reply(200, {}), playlistItems=Reply(200, {"items": [listed(TEXT)]}))
    found = await channel.find(begun(stub.url))
    assert found
    assert found.remote_id == VIDEO


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
    channel: video.Video, stub: Stub, *, items: list[dict[str, Any]], there: bool
) -> None:
    """The languages of one alert share its reference, so the text has to be the same."""
    stub.answer = network(ask=Reply(404), playlistItems=Reply(200, {"items": items}))
    late = begun(stub.url, unknown_since=NOW - timedelta(minutes=5))
    found = await channel.find(late)
    assert (found is not None) == there
    query = query_of(stub.requests[-1])
    assert query["playlistId"] == f"UU{CHANNEL[2:]}"


async def test_the_list_is_read_page_by_page(channel: video.Video, stub: Stub) -> None:
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


async def test_a_channel_that_never_uploaded_has_no_list(channel: video.Video, stub: Stub) -> None:
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
    channel: video.Video, stub: Stub, answer: Reply | Fault
) -> None:
    """Neither for a video nor for its correction; and no shape of an answer is a crash."""
    stub.answer = network(ask=Reply(404), playlistItems=answer, videos=answer)
    late = begun(stub.url, unknown_since=NOW - timedelta(minutes=5))
    for ask in (channel.find(late), channel.find(correction()), channel.look(sent())):
        with pytest.raises(NotSent):
            await ask


# Correcting, looking, deleting


async def test_a_correction_is_put_before_title_and_text(channel: video.Video, stub: Stub) -> None:
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


async def test_a_correction_is_made_once(channel: video.Video, stub: Stub) -> None:
    """What begins so already is left as it is; finding says the same."""
    assert await _found(channel, stub, TEXT) is None
    done = f"{POINTER}\n\n{TEXT}"
    assert (await _found(channel, stub, done)) == Receipt(VIDEO, f"https://youtu.be/{VIDEO}")
    await channel.correct(correction())
    assert "update" not in operations(stub)


async def _found(channel: video.Video, stub: Stub, text: str) -> Receipt | None:
    stub.answer = network(videos=Reply(200, {"items": [resource(snippet={"description": text})]}))
    return await channel.find(correction())


async def test_a_video_that_is_gone_cannot_be_corrected(channel: video.Video, stub: Stub) -> None:
    """There is nothing left to correct, and nothing to find."""
    stub.answer = network(videos=ITEMS)
    with pytest.raises(Rejected, match="not there any more"):
        await channel.correct(correction())
    assert await channel.find(correction()) is None
    for receipt in (None, Receipt(None), Receipt("../x")):
        with pytest.raises(Rejected):
            await channel.correct(replace(correction(), reply_to=receipt))


async def test_an_edit_that_is_not_confirmed_is_unknown(channel: video.Video, stub: Stub) -> None:
    """Only the video's own name proves it."""
    for body in ({}, {"id": "other"}):
        stub.answer = network(update=Reply(200, body))
        with pytest.raises(Unknown):
            await channel.correct(correction())


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
    channel: video.Video, stub: Stub, status: dict[str, Any], words: str
) -> None:
    """Private, not processed, rejected: sent, and not visible."""
    stub.answer = network(videos=Reply(200, {"items": [resource(status=status)]}))
    sight = await channel.look(sent())
    assert not sight.there
    assert words in str(sight.reason)


async def test_a_look_sees_text_counts_and_link(channel: video.Video, stub: Stub) -> None:
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
    channel: video.Video, stub: Stub, *, text: str, altered: bool
) -> None:
    """A pointer to the newer version before it is our own, and no alarm."""
    stub.answer = network(videos=Reply(200, {"items": [resource(snippet={"description": text})]}))
    assert (await channel.look(sent())).altered == altered


async def test_with_a_key_a_video_is_seen_as_by_everybody(stub: Stub, tmp_path: Path) -> None:
    """No token is shown then; only for the reason of an absence the owner looks as well."""
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


async def test_a_video_is_deleted_and_gone_is_done(channel: video.Video, stub: Stub) -> None:
    """Deleting is safe to repeat."""
    for answer in (Reply(204), error(404, "videoNotFound")):
        stub.answer = network(delete=answer)
        await channel.retract(Receipt(VIDEO))
    assert query_of(stub.requests[-1]) == {"id": VIDEO}
    for receipt in (Receipt(None), Receipt("../me"), Receipt("")):
        with pytest.raises(Rejected):
            await channel.retract(receipt)


# What each answer means

KINDS: Mapping[str, type[Failure]] = {
    "ambiguous": Unknown,
    "rejected": Rejected,
    "auth": NeedsPerson,
    "blocked": NeedsPerson,
    "rate_limited": NotSent,
    "not_sent_retry": NotSent,
}
# What these do publishes nothing: an ambiguous answer is one more try, never a doubt.
READS = frozenset({"ask", "videos", "playlistItems"})
ALL = ("start", "ask", "put", "update", "delete", "videos", "playlistItems")


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


async def done(channel: video.Video, url: str, name: str) -> Failure | None:
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
    url = f"http://127.0.0.1:{await closed_port()}" if refused else stub.url
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


ODD: list[tuple[Reply, type[Failure]]] = [
    (error(403, "rateLimitExceeded", Retry_After="7"), NotSent),
    (error(403, "userRateLimitExceeded"), NotSent),
    (Reply(429), NotSent),
    (error(403, "insufficientPermissions"), NeedsPerson),
    (error(403, "accessNotConfigured"), NeedsPerson),
    (error(401, "youtubeSignupRequired"), NeedsPerson),
    (error(403, "dailyLimitExceeded"), NeedsPerson),
    (error(400, "invalidTitle"), Rejected),
    (error(403, "forbiddenPrivacySetting"), Rejected),
    (Reply(403, {"error": {"errors": [None, {"reason": 7}]}}), Rejected),
    (Reply(403, {"error": {"errors": "no list"}}), Rejected),
    (Reply(403, {"error": "no object"}), Rejected),
    (Reply(403, b"x" * 3_000_000), Unknown),
    (Reply(408), Unknown),
    (Reply(302, b"", {"Location": "/elsewhere"}), Unknown),
]


@pytest.mark.parametrize(("answer", "kind"), ODD)
async def test_odd_answers_have_an_outcome_too(
    channel: video.Video, stub: Stub, answer: Reply, kind: type[Failure]
) -> None:
    """The reason in the body comes first, then the status; a body of any shape has an outcome."""
    stub.answer = network(update=answer)
    with pytest.raises(kind) as caught:
        await channel.correct(correction())
    assert type(caught.value) is kind
    if isinstance(caught.value, NotSent):
        assert caught.value.rate_limited


# Tokens


async def test_a_token_is_renewed_once_after_a_401(channel: video.Video, stub: Stub) -> None:
    """The first answer proves that nothing was done, so the request is made again."""
    tokens: list[Reply | Fault] = [
        Reply(200, {"access_token": f"ya29.{number}", "expires_in": 3599}) for number in (1, 2)
    ]
    stub.answer = network(token=tokens, delete=[Reply(401), Reply(204)])
    await channel.retract(Receipt(VIDEO))
    used = [one.headers["authorization"] for one in stub.requests if operation(one) == "delete"]
    assert used == ["Bearer ya29.1", "Bearer ya29.2"]
    form = dict(parse_qsl(stub.requests[0].body.decode()))
    assert form == {
        "grant_type": "refresh_token",
        "refresh_token": REFRESH,
        "client_id": "client-1",
        "client_secret": SECRET,
    }


async def test_a_token_is_kept_for_the_next_start(stub: Stub, tmp_path: Path) -> None:
    """In a file that only its owner reads."""
    stub.answer = network()
    for _ in range(2):
        channel = build(stub.url, tmp_path)
        await channel.retract(Receipt(VIDEO))
        await channel.close()
    assert [operation(one) for one in stub.requests] == ["token", "delete", "delete"]
    kept = tmp_path / "city-youtube.token"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert REFRESH in kept.read_text("utf-8")


NO_TOKEN: list[tuple[Reply | Fault, type[Failure], str]] = [
    (Reply(400, {"error": "invalid_grant"}), NeedsPerson, "7 days"),
    (Reply(401, {"error": "invalid_client"}), NeedsPerson, "client id"),
    (Reply(403), NeedsPerson, "client id"),
    (Reply(429, b"", {"Retry-After": "9"}), NotSent, "429"),
    (Reply(503), NotSent, "503"),
    (Reply(200, {"access_token": 7}), NotSent, "200"),
    (Reply(200, {"access_token": "two words"}), NotSent, "200"),
    (Reply(200, b"junk"), NotSent, "200"),
    (Fault.CLOSE, NotSent, "Google gave no token"),
    (Fault.HANG, NotSent, "not begun"),
]


@pytest.mark.parametrize(("answer", "kind", "words"), NO_TOKEN)
async def test_without_a_token_nothing_is_sent(
    channel: video.Video, stub: Stub, answer: Reply | Fault, kind: type[Failure], words: str
) -> None:
    """A token that is dead for good needs a person, who reads why; anything else is tried again."""
    stub.answer = network(token=answer)
    with pytest.raises(kind, match=words):
        await channel.prepare(carded())
    assert operations(stub) == []


def grant(**changes: Any) -> str:
    """Give a token file as `channels connect` writes it."""
    kept = Grant("ya29.kept", NOW + timedelta(hours=1), REFRESH, obtained=NOW)
    return json.dumps(replace(kept, **changes).to_json())


async def test_days_left_are_those_of_the_refresh_token(stub: Stub, tmp_path: Path) -> None:
    """An access token's hour is no reason to worry; seven days of a test screen are."""
    stub.answer = network()
    channel = build(stub.url, tmp_path, refresh=grant())
    assert (await channel.probe()).days_left is None
    await channel.close()
    ends = NOW + timedelta(days=6)
    channel = build(stub.url, tmp_path, refresh=grant(refresh_expires=ends))
    found = await channel.probe()
    await channel.close()
    assert (found.ready, found.days_left) == (True, 6)
    assert "consent screen" in str(found.remedy)


# Readiness


async def test_a_probe_says_who_we_are_and_what_is_left(channel: video.Video, stub: Stub) -> None:
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


async def test_a_used_up_quota_is_told_until_midnight_pacific(
    channel: video.Video, stub: Stub
) -> None:
    """Google says so once; what is left is known then, until its day ends."""
    stub.answer = network(update=error(403, "quotaExceeded"))
    with pytest.raises(NeedsPerson, match="midnight Pacific"):
        await channel.correct(correction())
    stub.answer = network()
    found = await channel.probe()
    assert (found.ready, found.quota_left) == (False, 0)
    quota = google.Quota(channel._setup.clock)
    quota.exhaust()
    assert quota.units_left == 0

    class Tomorrow:
        def now(self) -> datetime:
            return NOW + timedelta(hours=7)  # midnight at the Pacific is 08:00 UTC; it was 01:47

        def elapsed(self) -> float:
            return 0.0

        async def sleep(self, seconds: float) -> None:
            raise AssertionError(seconds)

    quota.clock = Tomorrow()
    assert quota.units_left == 10_000


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
    channel: video.Video, stub: Stub, answer: Reply | Fault, words: str
) -> None:
    """What is wrong is told in a sentence, with a remedy, before it matters."""
    stub.answer = network(channels=answer)
    found = await channel.probe()
    assert not found.ready
    assert words in found.sentence
    assert found.sentence.endswith(".")
    assert found.remedy


async def test_warming_posts_nothing_and_shows_no_token(channel: video.Video, stub: Stub) -> None:
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
    parts = (channel, channel._google, channel._google.app, channel._wanted, channel._catalogue)
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


# Google's document


@cache
def document() -> dict[str, Any]:
    """Read the discovery document of the Data API v3."""
    path = shared_path("contracts", "youtube.v3.trimmed.discovery.json")
    read: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return read


def methods() -> list[dict[str, Any]]:
    """Give all methods of the document."""
    return [
        method for one in document()["resources"].values() for method in one["methods"].values()
    ]


def validate(request: Request) -> None:
    """Raise unless the document knows method, path, parameters and fields of a request."""
    path, query = path_of(request), query_of(request)
    is_upload = path.startswith("/upload")
    if is_upload and request.method == "PUT":  # the session's own address, no method
        assert query["upload_id"]
        return
    same = [one for one in methods() if one["httpMethod"] == request.method]
    (method,) = (one for one in same if path == _path(one, is_upload=is_upload))
    known = method["parameters"].keys() | document()["parameters"].keys()
    assert not query.keys() - known - ({"uploadType"} if is_upload else set())
    needed = {name for name, one in method["parameters"].items() if one.get("required")}
    assert needed <= query.keys()
    if request.body:
        _fields(json.loads(request.body), method["request"], "body")


def _path(method: Mapping[str, Any], *, is_upload: bool) -> str:
    """Give a method's path; Google's guide sends resumable uploads to that of simple ones."""
    if not is_upload:
        return f"/{method['path']}"
    protocols: dict[str, Any] = method.get("mediaUpload", {"protocols": {}})["protocols"]
    return str(protocols.get("simple", {}).get("path"))


def _fields(value: Any, kind: Mapping[str, Any], where: str) -> None:
    kind = document()["schemas"][kind["$ref"]] if "$ref" in kind else kind
    types = {"string": str, "boolean": bool, "array": list, "object": dict}
    assert isinstance(value, types[kind["type"]]), where
    assert "enum" not in kind or value in kind["enum"], where
    for one in value if isinstance(value, list) else ():
        _fields(one, kind["items"], where)
    for name, one in value.items() if isinstance(value, dict) else ():
        assert name in kind["properties"], f"{where}.{name}"
        _fields(one, kind["properties"][name], f"{where}.{name}")


async def test_every_request_keeps_to_the_discovery_document(
    channel: video.Video, stub: Stub
) -> None:
    """Method, path, parameters and fields of all that is ever asked."""
    stub.answer = network()
    await channel.prepare(carded())
    await channel.send(begun(stub.url))
    await channel.correct(correction())
    await channel.look(sent())
    await channel.retract(Receipt(VIDEO))
    await channel.probe()
    stub.answer = network(ask=Reply(404))
    await channel.find(begun(stub.url, unknown_since=NOW - timedelta(minutes=5)))
    asked = [one for one in stub.requests if operation(one) != "token"]
    assert {operation(one) for one in asked} == {*ALL, "channels"}
    for request in asked:
        validate(request)


def test_the_document_refuses_what_google_would() -> None:
    """The check above can fail: a parameter or a field of another name is noticed."""
    start = "/upload/youtube/v3/videos?part=snippet&uploadType=resumable"
    wrong = [
        Request("GET", "/youtube/v3/videos?part=snippet&video=a", {}, b""),
        Request("GET", "/youtube/v3/videos?id=a", {}, b""),
        Request("POST", start, {}, b'{"snippet": {"text": "x"}}'),
        Request("POST", start, {}, b'{"status": {"privacyStatus": "hidden"}}'),
    ]
    for request in wrong:
        with pytest.raises(AssertionError):
            validate(request)


# Connecting


async def test_a_person_connects_the_channel(stub: Stub, tmp_path: Path) -> None:
    """The page asks for both permissions and a lasting token; the code becomes a grant."""
    settings = {
        "client_id": "client-1",
        "client_secret_file": keep_secret(tmp_path, "client-secret", SECRET),
        "refresh_token_file": "refresh-token",
        "token_url": stub.url,
        "base_url": stub.url,
    }
    chosen = youtube.Settings.model_validate({"channel_id": CHANNEL, "mode": "video", **settings})
    flow = youtube.oauth(setup_for(tmp_path, "youtube", timing=SHORT), chosen)
    assert flow.token_file == "refresh-token"
    assert "consent screen" in flow.advice
    page = urlsplit(flow.authorize("http://127.0.0.1:7/cb", "state-1"))
    asked = {name: one[0] for name, one in parse_qs(page.query).items()}
    assert f"{page.scheme}://{page.netloc}{page.path}" == (
        "https://accounts.google.com/o/oauth2/v2/auth"
    )
    assert asked["scope"].split() == list(google.SCOPES)
    assert (asked["access_type"], asked["prompt"], asked["state"]) == (
        "offline",
        "consent",
        "state-1",
    )
    stub.say(200, {"access_token": "a", "refresh_token": "r", "expires_in": 3599})
    made = await flow.exchange("code-1", "http://127.0.0.1:7/cb")
    assert (made.access_token, made.refresh_token) == ("a", "r")
    assert made.expires == NOW + timedelta(seconds=3599)
    stub.say(200, {"access_token": "a"})
    with pytest.raises(NeedsPerson, match="no refresh token"):
        await flow.exchange("code-1", "http://127.0.0.1:7/cb")


def test_a_person_who_posts_has_nothing_to_connect(tmp_path: Path) -> None:
    """Said in a sentence."""
    settings = youtube.Settings(channel_id=CHANNEL)
    with pytest.raises(ValueError, match="nothing to connect"):
        youtube.oauth(setup_for(tmp_path, "youtube"), settings)


# On the stand-in network


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """Run the stand-in networks."""
    running = Sandbox()
    await running.start()
    yield running
    await running.close()


CITY = channel_id(account(stand_in.REFRESH_TOKEN))


def city(sandbox: Sandbox, place: Path) -> video.Video:
    """Build the channel for the stand-in, as a daemon that starts anew would."""
    url = sandbox.networks["youtube"]
    return build(
        url,
        place,
        timing=LONG,
        refresh=stand_in.REFRESH_TOKEN,
        channel_id=CITY,
        client_id=CLIENT_ID,
        client_secret_file=keep_secret(place, "real-secret", CLIENT_SECRET),
        api_key_file=keep_secret(place, "key", stand_in.API_KEY),
    )


def project(sandbox: Sandbox) -> Any:
    """Give the switches of the stand-in's API project."""
    return sandbox._http["youtube"]._access.project  # type: ignore[attr-defined]


async def test_a_video_is_posted_corrected_seen_and_deleted(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """The whole life of a video, on a network that was written without the adapter."""
    keep_clip(tmp_path)
    project(sandbox).processing_seconds = 0
    channel = city(sandbox, tmp_path)
    found = await channel.probe()
    assert (found.ready, found.account) == (True, "@stadt_dortmund")
    one = carded()
    one = replace(one, handle=await channel.prepare(one))
    receipt = await channel.send(one)
    (post,) = sandbox.posts.of("youtube")
    assert (post.id, post.text, post.language) == (receipt.remote_id, TEXT, "de")
    sight = await channel.look(replace(one, receipt=receipt))
    assert (sight.there, sight.altered, sight.public) == (True, False, True)
    marked = replace(correction(), reply_to=receipt)
    assert await channel.find(marked) is None
    assert (await channel.correct(marked)).remote_id == receipt.remote_id
    assert await channel.find(marked) == await channel.correct(marked)
    assert post.text == f"{POINTER}\n\n{TEXT}"
    assert post.details["title"] == "Überholt: Großbrand in Hörde"
    await channel.retract(receipt)
    await channel.retract(receipt)
    assert post.deleted
    assert (await channel.look(replace(one, receipt=receipt))).reason == "deleted"
    await channel.close()


async def test_an_upload_that_breaks_goes_on_and_is_begun_once(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """In the middle of a piece the line breaks: the rest follows, in one upload and one video."""
    keep_clip(tmp_path)
    first = city(sandbox, tmp_path)
    one = carded()
    one = replace(one, handle=await first.prepare(one))
    project(sandbox).break_after = 5000
    receipt = None
    for _ in range(5):
        try:
            receipt = await first.send(one)
            break
        except Unknown:
            receipt = await first.find(one)
            assert receipt is None
    await first.close()
    assert receipt
    assert len(sandbox._http["youtube"]._sessions) == 1  # type: ignore[attr-defined]
    (post,) = sandbox.posts.of("youtube")
    kept = sandbox.pictures.get(post.media[0]["id"])
    assert kept
    assert kept.data == CLIP


@pytest.mark.parametrize("arrived", [0, 5000, upload.PIECE_BYTES, len(CLIP)])
async def test_a_process_that_was_killed_goes_on_with_what_was_stored(
    sandbox: Sandbox, tmp_path: Path, arrived: int
) -> None:
    """A new process has the handle and nothing else: one upload, one video, whole."""
    keep_clip(tmp_path)
    killed = city(sandbox, tmp_path)
    one = carded()
    handle = json.loads(json.dumps(await killed.prepare(one)))
    stored = replace(one, handle=handle, doubtful=True)
    if arrived:
        (session,) = sandbox._http["youtube"]._sessions.values()  # type: ignore[attr-defined]
        if arrived == len(CLIP):
            await killed.send(stored)
        else:
            session.data += CLIP[:arrived]
    await killed.close()
    fresh = city(sandbox, tmp_path)
    found = await fresh.find(stored)
    assert (found is not None) == (arrived == len(CLIP))
    receipt = await fresh.send(stored)
    await fresh.close()
    assert found in (None, receipt)
    (post,) = sandbox.posts.of("youtube")
    assert post.id == receipt.remote_id
    kept = sandbox.pictures.get(post.media[0]["id"])
    assert kept
    assert kept.data == CLIP


FAULTS = ["error-500", "error-500-accepted", "lost-answer", "reset", "no-id", "garbage"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_whatever_befalls_the_last_piece_there_is_one_video(
    sandbox: Sandbox, tmp_path: Path, fault: str
) -> None:
    """Accepted or not, answered or not: found or sent again, and never twice."""
    keep_clip(tmp_path)
    channel = city(sandbox, tmp_path)
    one = carded()
    one = replace(one, handle=await channel.prepare(one))
    body = {"network": "youtube", "fault": fault, "times": 2}
    sandbox.faults.put(PlayedFault.model_validate(body))
    receipt = None
    for _ in range(6):
        try:
            receipt = await channel.send(one)
        except Unknown:
            receipt = await channel.find(one)
        if receipt:
            break
    await channel.close()
    assert receipt
    assert [post.id for post in sandbox.posts.of("youtube")] == [receipt.remote_id]


async def test_a_session_that_was_forgotten_after_the_video_makes_no_second_one(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """The answer was lost and the session is gone: the channel's own list has the video."""
    keep_clip(tmp_path)
    channel = city(sandbox, tmp_path)
    now = sandbox.posts.clock.now()
    one = carded(first_attempt=now, accepted=now)
    one = replace(one, handle=await channel.prepare(one))
    receipt = await channel.send(one)
    project(sandbox).forgets = True
    again = replace(one, doubtful=True)
    assert (await channel.find(again)) == Receipt(receipt.remote_id, receipt.url)
    assert (await channel.send(again)).remote_id == receipt.remote_id
    await channel.close()
    assert len(sandbox.posts.of("youtube")) == 1


@needs_ffmpeg
async def test_a_real_clip_of_a_card_goes_up(sandbox: Sandbox, tmp_path: Path) -> None:
    """From the drawn picture to the video: ffmpeg makes it, the network gets all of it."""
    digest = png(tmp_path / "cards" / "x.png")
    (tmp_path / "cards" / "x.png").rename(tmp_path / "cards" / f"{digest}.png")
    channel = city(sandbox, tmp_path)
    message = Message(TEXT, "de", media=(card(digest=digest),))
    one = delivery(message=message)
    one = replace(one, handle=await channel.prepare(one))
    await channel.send(one)
    await channel.close()
    (post,) = sandbox.posts.of("youtube")
    kept = sandbox.pictures.get(post.media[0]["id"])
    assert kept
    assert kept.data == (tmp_path / "cards" / f"{digest}-silent.mp4").read_bytes()
    assert post.details["title"] == TEXT  # there is no subject, and it is short enough


async def test_an_unaudited_project_is_told_by_receipt_and_look(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """The public sees nothing, and nobody believes otherwise."""
    keep_clip(tmp_path)
    project(sandbox).audited = False
    channel = city(sandbox, tmp_path)
    one = carded()
    one = replace(one, handle=await channel.prepare(one))
    receipt = await channel.send(one)
    assert "not audited" in str(receipt.note)
    sight = await channel.look(replace(one, receipt=receipt))
    assert (sight.there, "not audited" in str(sight.reason)) == (False, True)
    await channel.close()


async def test_a_dead_refresh_token_is_told_before_it_matters(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """The probe says what killed it, and what to do."""
    project(sandbox).revoked = True
    channel = city(sandbox, tmp_path)
    found = await channel.probe()
    await channel.close()
    assert not found.ready
    assert "7 days" in found.sentence
    assert "connect" in str(found.remedy)


async def test_the_flow_of_a_person_ends_in_a_channel_that_works(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Page, code, grant, file, channel: with PKCE, as the stand-in checks."""
    url = sandbox.networks["youtube"]
    settings = youtube.Settings.model_validate(
        {
            "channel_id": CITY,
            "mode": "video",
            "client_id": CLIENT_ID,
            "client_secret_file": keep_secret(tmp_path, "secret", CLIENT_SECRET),
            "refresh_token_file": "refresh-token",
            "base_url": url,
            "token_url": url,
            "authorize_url": f"{url}/o/oauth2/v2/auth",
        }
    )
    setup = setup_for(tmp_path, "youtube", timing=LONG)
    flow = youtube.oauth(setup, settings)
    redirect = "http://127.0.0.1:9/cb"
    async with (
        aiohttp.ClientSession() as session,
        session.get(flow.authorize(redirect, "s"), allow_redirects=False) as page,
    ):
        code = parse_qs(urlsplit(page.headers["Location"]).query)["code"][0]
    made = await flow.exchange(code, redirect)
    keep_secret(tmp_path, "refresh-token", json.dumps(made.to_json()))
    channel = youtube.build(setup, settings)
    found = await channel.probe()
    await channel.close()
    assert found.ready == (importlib.util.find_spec("imageio_ffmpeg") is not None)
