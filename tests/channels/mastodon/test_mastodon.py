"""Mastodon's outcomes, read-back, probe and retraction.

No real Mastodon runs here: nothing that could be installed for a test offers one. These tests hold
the channel against a stub of the API's documented contract.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import ValidationError

from broadcaster.channels.mastodon import MastodonChannel, Settings, build
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
    CARD,
    NOW,
    TEXT,
    Answering,
    Fault,
    Reply,
    Request,
    Stub,
    carded,
    delivery,
    keep_secret,
    serving,
    setup_for,
)

SHORT = Timing(attempt_seconds=1.2, connect_seconds=0.8)
TOKEN = "a-token-nobody-may-read"
STATUS = {"id": "112233", "url": "https://ruhr.example/@stadt/112233", "uri": "urn:x"}
ACCOUNT = {"id": "7", "username": "stadt", "acct": "stadt"}
INSTANCE = {
    "domain": "ruhr.example",
    "configuration": {"statuses": {"max_characters": 640, "characters_reserved_per_url": 25}},
}


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    """Run a server that takes every status."""
    async with serving() as one:
        one.say(200, STATUS)
        yield one


def made(place: Path, url: str, timing: Timing = SHORT, **more: Any) -> MastodonChannel:
    """Build a channel for the instance at `url`."""
    settings = Settings(
        api_base_url="https://ruhr.example",
        base_url=url,
        access_token_file=keep_secret(place, "mastodon-token", TOKEN),
        **more,
    )
    return build(setup_for(place, "mastodon", timing=timing), settings)


@pytest.fixture
async def channel(stub: Stub, tmp_path: Path) -> AsyncIterator[MastodonChannel]:
    """Give a channel on the stub."""
    one = made(tmp_path, stub.url, Timing())
    yield one
    await one.close()


@pytest.fixture
async def hasty(stub: Stub, tmp_path: Path) -> AsyncIterator[MastodonChannel]:
    """Give a channel on the stub, with short limits."""
    one = made(tmp_path, stub.url)
    yield one
    await one.close()


def form(request: Request) -> dict[str, str]:
    """Give the fields of a request's body."""
    return {name: values[0] for name, values in parse_qs(request.body.decode()).items()}


def own(*statuses: Mapping[str, Any]) -> Answering:
    """Answer as an account with these statuses does, the newest first, in pages of two."""

    def answer(request: Request) -> Reply:
        address = urlsplit(request.path)
        if address.path.endswith("verify_credentials"):
            return Reply(body=ACCOUNT)
        before = parse_qs(address.query).get("max_id", [None])[0]
        older = [one for one in statuses if before is None or int(one["id"]) < int(before)]
        return Reply(body=json.dumps(older[:2]).encode())

    return answer


def shown(content: str, *, seconds: int = 1, **more: Any) -> dict[str, Any]:
    """Give a status as the API lists it, made so many seconds after the intent."""
    made_at = NOW + timedelta(seconds=seconds)
    return {
        "id": "500",
        "url": "https://ruhr.example/@stadt/500",
        "created_at": made_at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "content": content,
        "language": "de",
        **more,
    }


async def test_a_status_is_posted_under_its_key(channel: MastodonChannel, stub: Stub) -> None:
    """Key, text, language and visibility are the delivery's own, and the receipt names the post."""
    one = delivery()
    receipt = await channel.send(one)
    (request,) = stub.requests
    assert receipt == Receipt("112233", "https://ruhr.example/@stadt/112233")
    assert (request.method, request.path) == ("POST", "/api/v1/statuses")
    assert request.headers["idempotency-key"] == one.key
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert form(request)["status"] == TEXT
    assert form(request)["language"] == "de"
    assert form(request)["visibility"] == "public"
    assert "in_reply_to_id" not in form(request)


async def test_every_repeat_is_the_same_request(channel: MastodonChannel, stub: Stub) -> None:
    """A repeat carries the same key and the same body, or the instance would post it again."""
    one = delivery()
    await channel.send(one)
    await channel.send(one)
    first, second = stub.requests
    assert first.body == second.body
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


async def test_an_update_answers_the_post_it_replaces(channel: MastodonChannel, stub: Stub) -> None:
    """The reply names the earlier post by the id of its receipt."""
    await channel.send(delivery(reply_to=Receipt("112200")))
    assert form(stub.requests[0])["in_reply_to_id"] == "112200"


async def test_an_update_goes_out_even_when_what_it_answers_is_gone(
    channel: MastodonChannel, stub: Stub
) -> None:
    """404: what it answers was deleted. Nothing was taken, so it goes out on its own."""

    def answer(request: Request) -> Reply:
        gone = "in_reply_to_id" in form(request)
        return Reply(404, {"error": "does not appear to exist"}) if gone else Reply(body=STATUS)

    stub.answer = answer
    assert (await channel.send(delivery(reply_to=Receipt("1")))).remote_id == "112233"
    first, second = stub.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


async def test_visibility_is_as_configured(stub: Stub, tmp_path: Path) -> None:
    """An account may post quietly."""
    channel = made(tmp_path, stub.url, visibility="unlisted")
    await channel.send(delivery())
    assert form(stub.requests[0])["visibility"] == "unlisted"


async def test_a_language_with_a_region_is_named_without_it(
    channel: MastodonChannel, stub: Stub
) -> None:
    """Mastodon knows languages, not regions; an unknown one would be dropped."""
    await channel.send(delivery(message=Message(TEXT, "de-DE")))
    assert form(stub.requests[0])["language"] == "de"


ERROR = b'{"error": "Validation failed: Text is too long"}'
TABLE: list[tuple[str, Reply, type[Failure]]] = [
    ("unprocessable", Reply(422, ERROR), Rejected),
    ("bad-request", Reply(400, ERROR), Rejected),
    ("not-found", Reply(404, b"<html>"), Rejected),
    ("gone", Reply(410, b""), Rejected),
    ("too-large", Reply(413, b"<html>"), Rejected),
    ("token", Reply(401, b'{"error": "The access token is invalid"}'), NeedsPerson),
    ("account", Reply(403, b'{"error": "Your login is currently disabled"}'), NeedsPerson),
    ("paid", Reply(402, b""), NeedsPerson),
    ("request-timeout", Reply(408, b""), Unknown),
    ("error-500", Reply(500, ERROR), Unknown),
    ("error-502", Reply(502, b"<html>"), Unknown),
    ("error-503", Reply(503, b""), Unknown),
    ("error-504", Reply(504, b""), Unknown),
    ("error-511", Reply(511, b""), Unknown),
    ("error-524", Reply(524, b"<html>"), Unknown),
    ("not-modified", Reply(304, b""), Unknown),
    ("no-id", Reply(200, {"url": "https://ruhr.example/1"}), Unknown),
    ("null-id", Reply(200, {"id": None}), Unknown),
    ("odd-id", Reply(200, {"id": {"a": 1}}), Unknown),
    ("id-with-a-path", Reply(200, {"id": "1/../../2"}), Unknown),
    ("empty", Reply(200, b""), Unknown),
    ("html", Reply(200, b"<html>welcome</html>"), Unknown),
    ("list", Reply(200, b"[]"), Unknown),
    ("deep", Reply(200, b"[" * 100_000), Unknown),
    ("reset-header", Reply(200, STATUS, {"X-RateLimit-Reset": "soon"}), Unknown),
    ("too-long", Reply(200, b" " * 5_000_000), Unknown),
    ("bad-gzip", Reply(200, b"junk", {"Content-Encoding": "gzip"}), Unknown),
]


@pytest.mark.parametrize(
    ("reply", "outcome"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
async def test_an_answer_means_what_the_contract_says(
    channel: MastodonChannel, stub: Stub, reply: Reply, outcome: type[Failure]
) -> None:
    """Refused for good, for a person, or in doubt: each answer has one outcome and one request."""
    stub.answer = lambda _: reply
    with pytest.raises(outcome) as failure:
        await channel.send(delivery())
    assert type(failure.value) is outcome
    assert len(stub.requests) == 1
    assert TOKEN not in str(failure.value)


async def test_the_servers_own_words_are_handed_on(channel: MastodonChannel, stub: Stub) -> None:
    """On-call staff read why a post was refused, on one line and not at any length."""
    stub.say(422, {"error": "Text is too long\n" + "x" * 5000})
    with pytest.raises(Rejected) as failure:
        await channel.send(delivery())
    assert "answered 422: Text is too long x" in failure.value.reason
    assert len(failure.value.reason) < 300


WAITS: list[tuple[Mapping[str, str], float | None]] = [
    ({"X-RateLimit-Reset": "2026-11-22T01:52:00.000Z"}, 300),
    ({"X-RateLimit-Reset": "1795312320"}, 300),  # GoToSocial counts seconds
    (
        {
            "X-RateLimit-Reset": "2026-11-22T04:52:00.000Z",
            "Date": "Sun, 22 Nov 2026 04:47:00 GMT",  # a clock three hours ahead of ours
        },
        300,
    ),
    ({"Retry-After": "30"}, 30),
    ({"X-RateLimit-Reset": "2026-11-22T01:00:00.000Z"}, None),
    ({"X-RateLimit-Reset": "soon"}, None),
    ({"X-RateLimit-Reset": "2026-11-25T01:47:00Z"}, 72 * 3600),
    ({"X-RateLimit-Reset": "2026-11-25T01:47:01Z"}, None),
    ({"X-RateLimit-Reset": "99999999999"}, None),
    ({"X-RateLimit-Reset": "9" * 30}, None),
    ({"X-RateLimit-Reset": "-60"}, None),
    ({"X-RateLimit-Reset": "nan"}, None),
    ({"X-RateLimit-Reset": "9999-12-31T23:59:59-12:00"}, None),
    ({"X-RateLimit-Reset": "0001-01-01T00:00:00+12:00"}, None),
    ({"X-RateLimit-Reset": "1795312320", "Date": "Mon, 01 Jan 0001 00:00:00 +1200"}, None),
    ({"X-RateLimit-Reset": "9999-12-31T23:59:59-12:00", "Retry-After": "30"}, 30),
    ({"Retry-After": "Fri, 31 Dec 9999 23:59:59 -1200"}, None),
    ({}, None),
]


@pytest.mark.parametrize(("headers", "seconds"), WAITS)
async def test_too_many_posts_pause_the_channel_for_as_long_as_asked(
    channel: MastodonChannel, stub: Stub, headers: Mapping[str, str], seconds: float | None
) -> None:
    """A 429 was not accepted; its reset time counts by the server's own clock, junk not at all."""
    stub.answer = lambda _: Reply(429, b'{"error": "Too many requests"}', headers)
    with pytest.raises(NotSent) as failure:
        await channel.send(delivery())
    assert failure.value.rate_limited
    wait = failure.value.retry_after
    assert (wait.total_seconds() if wait else None) == seconds
    assert len(stub.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_never_followed(
    channel: MastodonChannel, stub: Stub, status: int
) -> None:
    """A redirect would carry text and token elsewhere, or turn the post into a read."""
    stub.say(status, Location=f"{stub.url}/elsewhere")
    with pytest.raises(Unknown):
        await channel.send(delivery())
    assert len(stub.requests) == 1


async def test_what_was_never_connected_was_not_sent(tmp_path: Path) -> None:
    """Refused, unknown name, failed TLS: nothing was written, so it may be tried again."""
    async with serving() as plain:
        urls = [
            f"http://127.0.0.1:{free_port()}",
            "https://no-such-host.invalid",
            plain.url.replace("http:", "https:"),
        ]
        for url in urls:
            channel = made(tmp_path, url)
            with pytest.raises(NotSent) as failure:
                await channel.send(delivery())
            assert not failure.value.rate_limited
            await channel.close()
        assert plain.requests == []


@pytest.mark.parametrize("fault", [*Fault])
async def test_a_lost_answer_is_unknown_and_never_sent_again(
    hasty: MastodonChannel, stub: Stub, fault: Fault
) -> None:
    """Closed, reset, hanging, dripping or garbled: the attempt ends by itself, with one post."""
    stub.answer = lambda _: fault
    begun = asyncio.get_running_loop().time()
    with pytest.raises(Unknown):
        await hasty.send(delivery())
    assert asyncio.get_running_loop().time() - begun < SHORT.attempt_seconds + 2
    assert len(stub.requests) == 1
    assert hasty.stuck == 0


async def test_while_posts_hang_their_read_back_goes_on(tmp_path: Path) -> None:
    """Reading has a thread and a client of its own."""
    async with serving() as stub:
        patient = made(tmp_path, stub.url, Timing(attempt_seconds=30))
        reading = own(shown(f"<p>{TEXT}</p>"))
        stub.answer = lambda r: Fault.HANG if r.method == "POST" else reading(r)
        hanging = [asyncio.create_task(patient.send(delivery())) for _ in range(4)]
        while len(stub.posts) < 2:
            await asyncio.sleep(0.01)
        found = await patient.find(delivery())
        assert found
        assert found.remote_id == "500"
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        while any("city-mastodon" in thread.name for thread in threading.enumerate()):
            await asyncio.sleep(0.01)
        assert len(stub.posts) == 2


SHORTENED = (
    '<p>Großbrand in <a href="https://ruhr.example/tags/Hoerde" class="mention hashtag" rel="tag">'
    "#<span>Hoerde</span></a> &amp; Umgebung.<br />Mehr: "
    '<a href="https://www.dortmund.de/warnung/26-0142?lang=de"><span class="invisible">https://www.'
    '</span><span class="ellipsis">dortmund.de/warnung/26-01</span>'
    '<span class="invisible">42?lang=de</span></a>. Frag <span class="h-card">'
    '<a href="https://andere.example/@feuerwehr" class="u-url mention">@<span>feuerwehr</span></a>'
    "</span></p><p>Nr. 26-0142/1</p>"
)
WRITTEN = (
    "Großbrand in #Hoerde & Umgebung.\nMehr: https://www.dortmund.de/warnung/26-0142?lang=de. "
    "Frag @feuerwehr@andere.example\n\nNr. 26-0142/1"
)
WITHOUT_SCHEME = (
    "<p>Großbrand in #Hoerde &amp; Umgebung. Mehr: "
    '<a href="https://www.dortmund.de/warnung/26-0142?lang=de">dortmund.de/warnung/26-01…</a>. '
    "Frag @feuerwehr@andere.example</p><p>Nr. 26-0142/1</p>"
)


@pytest.mark.parametrize("content", [SHORTENED, WITHOUT_SCHEME, f"<p>{escape(WRITTEN)}</p>"])
async def test_a_post_is_found_however_the_instance_shows_it(
    channel: MastodonChannel, stub: Stub, content: str
) -> None:
    """Markup, shortened links and mentions without their host do not hide the text."""
    stub.answer = own(shown(content))
    found = await channel.find(delivery(text=WRITTEN))
    assert found == Receipt("500", "https://ruhr.example/@stadt/500")


OTHERS = {
    "another-language": shown("<p>Large fire in Dortmund-Hörde, No. 26-0142/1</p>"),
    "another-version": shown(f"<p>{TEXT.replace('/1', '/2')}</p>"),
    "a-longer-number": shown(f"<p>{TEXT}2</p>"),
    "before-the-intent": shown(f"<p>{TEXT}</p>", seconds=-121),
    "without-reference": shown(f"<p>{TEXT.removesuffix(', Nr. 26-0142/1')}</p>"),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
async def test_another_post_is_not_taken_for_ours(
    channel: MastodonChannel, stub: Stub, other: dict[str, Any]
) -> None:
    """Parts of one alert share its reference; only the same words since the intent are ours."""
    stub.answer = own(other)
    assert await channel.find(delivery()) is None


async def test_a_clock_behind_ours_hides_nothing(channel: MastodonChannel, stub: Stub) -> None:
    """A post made up to two minutes before the intent, by the network's clock, is found."""
    stub.answer = own(shown(f"<p>{TEXT}</p>", seconds=-119))
    assert await channel.find(delivery()) is not None


async def test_reading_back_turns_pages_to_the_intent_and_no_further(
    channel: MastodonChannel, stub: Stub
) -> None:
    """Newer posts push it down; what is older than the intent is not read any more."""
    newer = [shown("<p>Guten Morgen</p>", seconds=90, id=str(900 - i)) for i in range(5)]
    older = [shown("<p>Gute Nacht</p>", seconds=-999, id=str(90 - i)) for i in range(5)]
    stub.answer = own(*newer, shown(f"<p>{TEXT}</p>"), *older)
    assert await channel.find(delivery()) is not None
    stub.requests.clear()
    assert await channel.find(delivery(reference="26-0143/1")) is None
    assert len(stub.requests) == 4  # two pages of newer ones, one with ours, one of older ones


async def test_an_account_without_posts_has_none(channel: MastodonChannel, stub: Stub) -> None:
    """The network answered, and it is not there."""
    stub.answer = own()
    assert await channel.find(delivery()) is None


async def test_a_list_without_end_decides_nothing(channel: MastodonChannel, stub: Stub) -> None:
    """An instance that gives the same page for ever is asked for a while, and proves nothing."""
    page = json.dumps([shown("<p>Guten Morgen</p>")]).encode()
    stub.answer = lambda r: Reply(body=ACCOUNT if "verify" in r.path else page)
    with pytest.raises(NotSent):
        await channel.find(delivery())
    assert len(stub.requests) < 40


@pytest.mark.parametrize(
    "answer",
    [
        Reply(200, {}),
        Reply(200, b"<html>"),
        Reply(200, b'[{"id": "1"}]'),
        Reply(200, b'["x"]'),
        Reply(404, {}),
        Reply(500, {}),
        Reply(302, b"", {"Location": "/login"}),
        Fault.CLOSE,
        Fault.CUT_BODY,
    ],
    ids=str,
)
async def test_a_failed_read_is_not_taken_for_absence(
    channel: MastodonChannel, stub: Stub, answer: Reply | Fault
) -> None:
    """Only a list that was read proves that a post is not there."""
    stub.answer = lambda r: Reply(body=ACCOUNT) if "verify" in r.path else answer
    with pytest.raises(NotSent):
        await channel.find(delivery())


async def test_a_read_with_a_dead_token_needs_a_person(
    channel: MastodonChannel, stub: Stub
) -> None:
    """Reading back says so too."""
    stub.say(401, {"error": "The access token was revoked"})
    with pytest.raises(NeedsPerson):
        await channel.find(delivery())


def media_server(
    says: Mapping[str, Reply | Fault] = MappingProxyType({}), *, ready_after: int = 1
) -> Answering:
    """Answer as an instance that processes a picture, and is asked so often until it has.

    `says`: what it answers instead, to `upload`, `processing` or `post`.
    """
    asked = 0

    def answer(request: Request) -> Reply | Fault:
        nonlocal asked
        if request.path.startswith("/api/v2/media"):
            return says.get("upload", Reply(202, {"id": "77", "type": "image", "url": None}))
        if request.path.startswith("/api/v1/media/77"):
            asked += 1
            url = "https://ruhr.example/77.png" if asked >= ready_after else None
            done = Reply(200 if url else 206, {"id": "77", "type": "image", "url": url})
            return says.get("processing", done)
        return says.get("post", Reply(body=STATUS))

    return answer


async def test_a_card_is_uploaded_with_its_description(
    channel: MastodonChannel, stub: Stub, tmp_path: Path
) -> None:
    """One upload, one question until it is processed, and the status names it."""
    one = carded(tmp_path)
    stub.answer = media_server(ready_after=2)
    handle = await channel.prepare(one)
    assert handle == {"media": "77"}
    upload, *polls = stub.requests
    assert (upload.method, upload.path) == ("POST", "/api/v2/media")
    assert CARD in upload.body
    assert one.message
    assert one.message.media[0].alt.encode() in upload.body
    assert len(polls) == 2
    receipt = await channel.send(carded(tmp_path, handle=handle))
    assert form(stub.requests[-1])["media_ids[]"] == "77"
    assert receipt.note is None


async def test_a_status_with_its_card_is_the_same_at_every_repeat(
    channel: MastodonChannel, stub: Stub, tmp_path: Path
) -> None:
    """The handle is stored: a repeat uploads nothing and says the same."""
    one = carded(tmp_path, handle={"media": "77"})
    await channel.send(one)
    await channel.send(one)
    first, second = stub.requests
    assert first.body == second.body


async def test_a_text_without_its_card_says_so(
    channel: MastodonChannel, stub: Stub, tmp_path: Path
) -> None:
    """The note of the upload is the receipt's; unless the status shows that the card is there."""
    one = carded(tmp_path, handle={"note": "posted without its card: why"})
    assert (await channel.send(one)).note == "posted without its card: why"
    assert "media_ids[]" not in form(stub.requests[0])
    stub.answer = own(shown(f"<p>{escape(TEXT)}</p>"))
    found = await channel.find(one)
    assert found
    assert found.note == "posted without its card: why"
    stub.say(200, {**STATUS, "media_attachments": [{"id": "77", "type": "image"}]})
    assert (await channel.send(one)).note is None


@pytest.mark.parametrize(
    "says",
    [
        {"upload": Reply(422, {"error": "Validation failed: file"})},
        {"upload": Reply(429, {"error": "Too many requests"})},
        {"upload": Reply(401, {"error": "The access token is invalid"})},
        {"upload": Reply(500)},
        {"upload": Reply(200, {})},
        {"upload": Reply(200, b"<html>")},
        {"upload": Reply(200, b"x" * 5_000_000)},
        {"upload": Fault.CLOSE},
        {"upload": Fault.HANG},
        {"processing": Reply(206, {"id": "77", "url": None})},
        {"processing": Reply(422, {"error": "could not be processed"})},
        {"processing": Reply(404, {})},
    ],
    ids=str,
)
async def test_a_card_that_fails_never_stops_the_text(
    hasty: MastodonChannel, stub: Stub, tmp_path: Path, says: dict[str, Reply | Fault]
) -> None:
    """Whatever becomes of the upload, it ends in time and in a sentence without a secret."""
    stub.answer = media_server(says)
    begun = asyncio.get_running_loop().time()
    handle = await hasty.prepare(carded(tmp_path))
    assert asyncio.get_running_loop().time() - begun < SHORT.attempt_seconds
    assert handle["note"].startswith("posted without its card: ")
    assert TOKEN not in handle["note"]
    stub.say(200, STATUS)
    assert (await hasty.send(carded(tmp_path, handle=handle))).note == handle["note"]


async def test_an_instance_that_is_not_there_keeps_the_card(tmp_path: Path) -> None:
    """The text would not have come through either: both are tried again."""
    channel = made(tmp_path, f"http://127.0.0.1:{free_port()}")
    with pytest.raises(NotSent):
        await channel.prepare(carded(tmp_path))
    await channel.close()


async def test_a_status_refused_for_its_card_gets_another(
    channel: MastodonChannel, stub: Stub, tmp_path: Path
) -> None:
    """422: the picture is not known any more. It is uploaded afresh, in the end left out."""
    stub.answer = media_server({"post": Reply(422, {"error": "Cannot attach files"})})
    one = carded(tmp_path)
    for _ in range(2):
        handle = await channel.prepare(one)
        with pytest.raises(NotSent, match="422: Cannot attach files") as failure:
            await channel.send(carded(tmp_path, handle=handle))
        assert failure.value.afresh
    assert "note" in await channel.prepare(one)


async def test_a_simple_language_is_named_by_its_own(
    channel: MastodonChannel, stub: Stub, tmp_path: Path
) -> None:
    """Leichte Sprache is German to Mastodon."""
    await channel.send(carded(tmp_path, language="de-simple", handle={}))
    assert form(stub.requests[0])["language"] == "de"


def looked(content: str = f"<p>{escape(TEXT)}</p>", **more: Any) -> dict[str, Any]:
    """Give a status as its own page shows it."""
    counts = {"replies_count": 2, "reblogs_count": 30, "favourites_count": 4}
    return shown(content, visibility="public", **counts, **more)


SENT = delivery(receipt=Receipt("500"))


async def test_a_status_is_looked_up_logged_out(channel: MastodonChannel, stub: Stub) -> None:
    """Without a token, as the public sees it: its text, who reacted, and its permalink."""
    stub.say(200, looked())
    sight = await channel.look(SENT)
    assert (sight.there, sight.altered, sight.public) == (True, False, True)
    assert sight.text == TEXT
    assert sight.counts == {"replies": 2, "shares": 30, "likes": 4}
    assert sight.url == "https://ruhr.example/@stadt/500"
    (request,) = stub.requests
    assert (request.method, request.path) == ("GET", "/api/v1/statuses/500")
    assert "authorization" not in request.headers


async def test_a_status_that_says_something_else_is_altered(
    channel: MastodonChannel, stub: Stub
) -> None:
    """It is there, and not what was posted."""
    stub.say(200, looked("<p>Entwarnung. Nr. 26-0142/1</p>"))
    sight = await channel.look(SENT)
    assert (sight.there, sight.altered, sight.text) == (True, True, "Entwarnung. Nr. 26-0142/1")


@pytest.mark.parametrize("status", [404, 410])
async def test_a_deleted_status_is_not_there(
    channel: MastodonChannel, stub: Stub, status: int
) -> None:
    """Neither the public nor its author sees it."""
    stub.say(status, {"error": "Record not found"})
    sight = await channel.look(SENT)
    assert (sight.there, sight.reason, sight.public) == (False, "deleted", True)


async def test_a_hidden_status_is_not_there(channel: MastodonChannel, stub: Stub) -> None:
    """The public does not see it, its author does; or it is for followers alone."""

    def hidden(request: Request) -> Reply:
        return Reply(body=looked()) if "authorization" in request.headers else Reply(404, {})

    stub.answer = hidden
    sight = await channel.look(SENT)
    assert (sight.there, sight.reason) == (False, "hidden from the public")
    stub.say(200, looked() | {"visibility": "private"})
    sight = await channel.look(SENT)
    assert not sight.there
    assert sight.reason
    assert "private" in sight.reason


async def test_an_instance_that_refuses_strangers_is_asked_as_the_author(
    channel: MastodonChannel, stub: Stub
) -> None:
    """What the author sees proves less, and is told as such."""

    def members_only(request: Request) -> Reply:
        signed = "authorization" in request.headers
        return Reply(body=looked()) if signed else Reply(401, {"error": "needs a user"})

    stub.answer = members_only
    sight = await channel.look(SENT)
    assert (sight.there, sight.public) == (True, False)
    stub.answer = lambda r: Reply(404 if "authorization" in r.headers else 401, {})
    sight = await channel.look(SENT)
    assert (sight.there, sight.reason, sight.public) == (False, "deleted", False)


@pytest.mark.parametrize(
    "answer",
    [
        Reply(200, {}),
        Reply(200, {"id": "501", "content": "x"}),
        Reply(200, b"[1]"),
        Reply(200, b"<html>"),
        Reply(200, b"[" * 100_000),
        Reply(200, b" " * 100_000_000),
        Reply(302, b"", {"Location": "/login"}),
        Reply(429),
        Reply(503),
        Fault.CLOSE,
        Fault.CUT_BODY,
        Fault.HANG,
    ],
    ids=lambda one: str(one)[:60],
)
async def test_a_look_that_fails_shows_nothing(
    hasty: MastodonChannel, stub: Stub, answer: Reply | Fault
) -> None:
    """A hiccup or junk is neither presence nor absence."""
    stub.answer = lambda _: answer
    with pytest.raises(NotSent):
        await hasty.look(SENT)


async def test_odd_numbers_are_no_counts(channel: MastodonChannel, stub: Stub) -> None:
    """What is no number of people is left out."""
    stub.say(200, looked() | {"replies_count": "2", "reblogs_count": -1, "favourites_count": True})
    assert (await channel.look(SENT)).counts == {}


@pytest.mark.parametrize("receipt", [None, Receipt(None), Receipt("../accounts/7")])
async def test_only_a_status_can_be_looked_up(
    channel: MastodonChannel, stub: Stub, receipt: Receipt | None
) -> None:
    """A receipt that names no status leads to no request."""
    with pytest.raises(Rejected):
        await channel.look(delivery(receipt=receipt))
    assert stub.requests == []


async def test_a_warm_connection_is_the_one_of_the_next_post(
    channel: MastodonChannel, stub: Stub
) -> None:
    """A free request without a token opens it; the post pays no handshake."""
    await channel.warm()
    (request,) = stub.requests
    assert (request.method, request.path) == ("HEAD", "/health")
    assert "authorization" not in request.headers
    for _ in range(3):
        await channel.send(delivery())
        await channel.warm()
    assert stub.connections == 1


async def test_a_connection_closed_while_idle_costs_no_post(
    channel: MastodonChannel, stub: Stub
) -> None:
    """The instance closed it meanwhile: the post goes out once, on another one."""
    await channel.warm()
    for writer in list(stub.open):
        writer.close()
        await writer.wait_closed()
    await asyncio.sleep(0.05)
    assert (await channel.send(delivery())).remote_id == "112233"
    assert len(stub.posts) == 1


@pytest.mark.parametrize("fault", [Fault.CLOSE, Fault.RESET])
async def test_a_warm_connection_closed_at_the_post_leaves_it_in_doubt(
    channel: MastodonChannel, stub: Stub, fault: Fault
) -> None:
    """It may have been taken: unknown, to be read back, and never sent again from here."""
    await channel.warm()
    stub.answer = lambda _: fault
    with pytest.raises(Unknown):
        await channel.send(delivery())
    assert len(stub.posts) == 1


@pytest.mark.parametrize("answer", [Reply(500), Fault.CLOSE, Fault.HANG], ids=str)
async def test_warming_never_raises(
    hasty: MastodonChannel, stub: Stub, answer: Reply | Fault
) -> None:
    """What becomes of it matters to nobody, and holds up no post."""
    stub.answer = lambda r: answer if r.method == "HEAD" else Reply(body=STATUS)
    warming = asyncio.create_task(hasty.warm())
    assert (await hasty.send(delivery())).remote_id == "112233"
    await warming


async def test_the_probe_names_the_account_and_reads_its_limits(
    channel: MastodonChannel, stub: Stub
) -> None:
    """Ready means: the token is good, and the instance says how long a post may be."""
    stub.answer = lambda r: Reply(body=ACCOUNT if "verify" in r.path else INSTANCE)
    readiness = await channel.probe()
    assert readiness.ready
    assert readiness.account == "@stadt@ruhr.example"
    named = {"id": "7", "handle": "@stadt@ruhr.example", "server": "127.0.0.1"}
    assert readiness.identity == named
    assert readiness.limits == {"maximum": 640, "link_length": 25}
    assert (channel.limits.maximum, channel.limits.link_length) == (640, 25)
    assert stub.posts == []


async def test_the_probe_reads_how_much_a_picture_may_say(
    channel: MastodonChannel, stub: Stub
) -> None:
    """An instance that keeps shorter descriptions gets shorter ones, and none longer than 1500."""
    assert channel.picture
    assert (channel.picture.width, channel.picture.alt_maximum) == (1200, 1500)
    for limit, used in ((420, 420), (10_000, 1500), ("many", 1500)):
        media = {"media_attachments": {"description_limit": limit}}
        statuses = {"max_characters": 640, "characters_reserved_per_url": 25}
        instance = INSTANCE | {"configuration": {"statuses": statuses, **media}}
        stub.answer = lambda r, one=instance: Reply(body=ACCOUNT if "verify" in r.path else one)  # type: ignore[misc]
        await channel.probe()
        assert channel.picture.alt_maximum == used


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"moved": {"acct": "stadt@neu.example"}}, "has moved to @stadt@neu.example"),
        ({"moved": {}}, "has moved"),
        ({"suspended": True}, "is suspended"),
    ],
)
async def test_an_account_nobody_reads_is_not_ready(
    channel: MastodonChannel, stub: Stub, more: dict[str, Any], words: str
) -> None:
    """Its token is good, its posts would reach nobody: the probe says which account, and why."""
    stub.answer = lambda r: Reply(body=ACCOUNT | more if "verify" in r.path else INSTANCE)
    readiness = await channel.probe()
    assert not readiness.ready
    assert words in readiness.sentence
    assert readiness.remedy
    assert readiness.identity["id"] == "7"


@pytest.mark.parametrize(
    "instance", [Reply(404, {}), Reply(200, {"configuration": {"statuses": {}}})], ids=str
)
async def test_without_limits_of_its_own_an_instance_has_mastodons(
    channel: MastodonChannel, stub: Stub, instance: Reply
) -> None:
    """Other software names no limits; what holds then is 500 characters, 23 for a link."""
    stub.answer = lambda r: Reply(body=ACCOUNT) if "verify" in r.path else instance
    readiness = await channel.probe()
    assert readiness.ready
    assert readiness.limits == {}
    assert (channel.limits.maximum, channel.limits.link_length) == (500, 23)


@pytest.mark.parametrize(
    "answer", [Reply(401, {}), Reply(403, {}), Reply(500), Fault.CLOSE, Reply(200, {})], ids=str
)
async def test_a_probe_that_fails_says_what_to_do(
    channel: MastodonChannel, stub: Stub, answer: Reply | Fault
) -> None:
    """Not ready comes with a sentence and a remedy, never as an exception, never with the token."""
    stub.answer = lambda _: answer
    readiness = await channel.probe()
    assert not readiness.ready
    assert readiness.remedy
    assert TOKEN not in repr(readiness)


async def test_a_retraction_may_be_repeated(channel: MastodonChannel, stub: Stub) -> None:
    """Deleting what is gone is done; the answer's content does not matter."""
    receipt = Receipt("500")
    stub.say(200, {"id": "500", "text": TEXT})
    await channel.retract(receipt)
    stub.say(404, {"error": "Record not found"})
    await channel.retract(receipt)
    stub.say(200, b"gone")
    await channel.retract(receipt)
    assert {(r.method, r.path) for r in stub.requests} == {("DELETE", "/api/v1/statuses/500")}


RETRACTIONS: list[tuple[Reply | Fault, type[Failure]]] = [
    (Reply(401), NeedsPerson),
    (Reply(429), NotSent),
    (Reply(503), Unknown),
    (Fault.CLOSE, Unknown),
]


@pytest.mark.parametrize(("answer", "outcome"), RETRACTIONS)
async def test_a_retraction_that_fails_says_how(
    channel: MastodonChannel, stub: Stub, answer: Reply | Fault, outcome: type[Failure]
) -> None:
    """Taking down has the same outcomes as posting."""
    stub.answer = lambda _: answer
    with pytest.raises(outcome):
        await channel.retract(Receipt("500"))


@pytest.mark.parametrize("receipt", [Receipt(None), Receipt("../accounts/7")])
async def test_only_a_status_can_be_retracted(
    channel: MastodonChannel, stub: Stub, receipt: Receipt
) -> None:
    """A receipt that names no status leads to no request."""
    with pytest.raises(Rejected):
        await channel.retract(receipt)
    assert stub.requests == []


def test_a_token_of_two_words_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    """Such a file holds something else, and the sentence does not repeat it."""
    keep_secret(tmp_path, "mastodon-token", "two words")
    settings = Settings(api_base_url="https://ruhr.example", access_token_file="mastodon-token")
    with pytest.raises(ValueError, match="mastodon-token holds no token") as fault:
        build(setup_for(tmp_path, "mastodon"), settings)
    assert "two words" not in str(fault.value)


@pytest.mark.parametrize("url", ["http://ruhr.example", "ruhr.example", "https://u:p@ruhr.example"])
def test_a_token_never_travels_in_the_clear(url: str) -> None:
    """The instance is reached by https alone."""
    with pytest.raises(ValidationError):
        Settings(api_base_url=url, access_token_file="mastodon-token")


async def test_two_tokens_are_two_accounts_until_probed(stub: Stub, tmp_path: Path) -> None:
    """The account is told by host and a digest of the token, which it never shows."""
    first, second = made(tmp_path, stub.url), made(tmp_path, "https://other.example")
    assert first.account != second.account
    assert TOKEN not in first.account
