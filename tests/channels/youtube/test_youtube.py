"""YouTube: a person posts, or a clip is uploaded; by Google's document and on the stand-in."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

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
    youtube,
)
from broadcaster.channels.youtube import upload as youtube_upload
from broadcaster.channels.youtube.video import Video
from broadcaster.delivery import (
    Guarantee,
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
from broadcaster.sandbox.faults import Kind
from broadcaster.sandbox.posts import account
from broadcaster.sandbox.youtube_access import CLIENT_ID, CLIENT_SECRET, channel_id
from tests.channels.stub import (
    NOW,
    TEXT,
    Fault,
    Reply,
    Request,
    Stub,
    delivery,
    keep_secret,
    serving,
    setup_for,
)
from tests.channels.youtube.test_clip import needs_ffmpeg, png
from tests.channels.youtube.youtube_stub import (
    ALL,
    CHANNEL,
    CLIP,
    ITEMS,
    KEY,
    LONG,
    POINTER,
    SHORT,
    VIDEO,
    begun,
    build,
    card,
    carded,
    correction,
    document,
    error,
    keep_clip,
    network,
    operation,
    query_of,
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
    document()  # where the contract is missing this skips, with nothing left open
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


@pytest.mark.parametrize("letter", ["ä", "x", "👩‍👩‍👧", "ش", "https://example.org/"])
def test_a_text_is_measured_at_its_limit(letter: str, tmp_path: Path) -> None:
    """4900 bytes fit, one more does not: what is put before it later still fits into 5000."""
    limits = build("https://www.googleapis.com", tmp_path).limits
    count, rest = divmod(4900, len(letter.encode()))
    exact = letter * count + "x" * rest
    assert fits(exact[:-1], limits)
    assert fits(exact, limits)
    assert not fits(exact + "x", limits)


@needs_ffmpeg
async def test_every_request_keeps_to_the_discovery_document(channel: Video, stub: Stub) -> None:
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


def test_a_person_who_posts_has_nothing_to_connect(tmp_path: Path) -> None:
    """Said in a sentence."""
    settings = youtube.Settings(channel_id=CHANNEL)
    with pytest.raises(ValueError, match="nothing to connect"):
        youtube.oauth(setup_for(tmp_path, "youtube"), settings)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """Run the stand-in networks."""
    running = Sandbox()
    await running.start()
    yield running
    await running.close()


CITY = channel_id(account(stand_in.REFRESH_TOKEN))


def city(sandbox: Sandbox, place: Path) -> Video:
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


@needs_ffmpeg
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


@pytest.mark.parametrize("arrived", [0, 5000, youtube_upload.PIECE_BYTES, len(CLIP)])
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


FAULTS: dict[str, dict[str, float]] = {
    "rate-limit": {"seconds": 1},
    "error-500": {},
    "error-500-accepted": {},
    "lost-answer": {},
    "reset": {},
    "no-id": {},
    "garbage": {},
    "hang": {"seconds": 0.2},
    "drip": {"seconds": 0.2},
    "expired-token": {},
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_whatever_befalls_the_last_piece_there_is_one_video(
    sandbox: Sandbox, tmp_path: Path, fault: str
) -> None:
    """Accepted or not, answered or not: found or sent again, and never twice."""
    keep_clip(tmp_path)
    channel = city(sandbox, tmp_path)
    one = carded()
    one = replace(one, handle=await channel.prepare(one))
    body = {"network": "youtube", "fault": fault, "times": 1, **FAULTS[fault]}
    sandbox.faults.put(PlayedFault.model_validate(body))
    receipt = None
    for _ in range(6):
        try:
            receipt = await channel.send(one)
        except NotSent:
            continue
        except Unknown:
            receipt = await channel.find(one)
        if receipt:
            break
    await channel.close()
    assert receipt
    assert [post.id for post in sandbox.posts.of("youtube")] == [receipt.remote_id]
    assert sandbox.faults.to_json() == []


async def test_a_video_that_is_refused_is_refused_for_good(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """YouTube's word against the piece counts, for nothing of it has arrived."""
    keep_clip(tmp_path)
    channel = city(sandbox, tmp_path)
    one = carded()
    one = replace(one, handle=await channel.prepare(one))
    sandbox.faults.put(PlayedFault(network="youtube", fault=Kind.REFUSE))
    with pytest.raises(Rejected):
        await channel.send(one)
    await channel.close()
    assert sandbox.posts.of("youtube") == []


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


@needs_ffmpeg
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
