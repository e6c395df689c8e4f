"""X: one post, signed, by both of its OpenAPI documents; and what each answer means."""

from __future__ import annotations

import base64
import email
import email.policy
import hashlib
import hmac
import json
import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import pytest
from openapi_core import OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest
from pydantic import ValidationError

from broadcaster.channels import x
from broadcaster.channels.x import SPELLINGS
from broadcaster.config import Timing
from broadcaster.delivery import (
    Delivery,
    Failure,
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
from tests.conftest import SHARED, shared_path

SHORT = Timing(attempt_seconds=1.2, connect_seconds=0.8)
CONSUMER, CONSUMER_SECRET = "sandbox-consumer", "sandbox-consumer-secret"
TOKEN, TOKEN_SECRET = "42-sandbox-token", "sandbox-token-secret"
POST = "1850000000000000001"
ME = {"data": {"id": "42", "name": "Stadt", "username": "stadt"}}
EMPTY = {"meta": {"result_count": 0}}
MEDIA = "1850000000000000777"
UPLOADED = {"data": {"id": MEDIA, "media_key": f"3_{MEDIA}", "expires_after_secs": 86400}}
DESCRIBED = {"data": {"id": MEDIA, "associated_metadata": {"alt_text": {"text": "..."}}}}
DOCUMENTS = ["x-api-v2.trimmed.openapi.json", "x-api-v2.legacy-2.159.trimmed.openapi.json"]


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    """Run a stand-in for X that answers as told."""
    async with serving() as one:
        yield one


def build(base_url: str, place: Path, timing: Timing = SHORT, **more: Any) -> x.X:
    """Build the channel with its four secrets."""
    settings = x.Settings(
        consumer_key_file=keep_secret(place, "consumer-key", CONSUMER),
        consumer_secret_file=keep_secret(place, "consumer-secret", CONSUMER_SECRET),
        access_token_file=keep_secret(place, "access-token", TOKEN),
        access_token_secret_file=keep_secret(place, "access-token-secret", TOKEN_SECRET),
        base_url=base_url,
        **more,
    )
    return x.build(setup_for(place, "x", timing=timing), settings)


@pytest.fixture
async def channel(stub: Stub, tmp_path: Path) -> AsyncIterator[x.X]:
    """Give a channel to the stand-in."""
    one = build(stub.url, tmp_path)
    yield one
    await one.close()


def is_signed(request: Request, base_url: str) -> bool:
    """Verify OAuth 1.0a as RFC 5849 writes it, with nothing of the library that signed."""
    split = urlsplit(request.path)
    quoted = re.findall(r'(\w+)="([^"]*)"', request.headers["authorization"])
    oauth = {name: unquote(value) for name, value in quoted}
    pairs = [*parse_qsl(split.query), *oauth.items()]
    sent = sorted((_quote(n), _quote(v)) for n, v in pairs if n != "oauth_signature")
    normal = "&".join(f"{name}={value}" for name, value in sent)
    base = "&".join([request.method, _quote(base_url + split.path), _quote(normal)])
    secret = f"{_quote(CONSUMER_SECRET)}&{_quote(TOKEN_SECRET)}".encode()
    wanted = base64.b64encode(hmac.new(secret, base.encode(), hashlib.sha1).digest()).decode()
    names = (oauth["oauth_consumer_key"], oauth["oauth_token"], oauth["oauth_signature_method"])
    fresh = abs(int(oauth["oauth_timestamp"]) - NOW.timestamp()) < 300
    right = names == (CONSUMER, TOKEN, "HMAC-SHA1")
    return right and fresh and hmac.compare_digest(oauth["oauth_signature"], wanted)


def _quote(text: str) -> str:
    return quote(text, safe="-._~")


@cache
def document(name: str) -> OpenAPI:
    """Read one of X's OpenAPI documents, as if X were at 127.0.0.1.

    Its security is left out: the validator knows no OAuth, and signatures are verified here.
    """
    text = json.loads(shared_path("contracts", name).read_text("utf-8"))
    for path in text["paths"].values():
        for operation in ("get", "post", "delete", "put"):
            path.get(operation, {}).pop("security", None)
    return OpenAPI.from_dict(text | {"servers": [{"url": "http://127.0.0.1"}]})


def validate(request: Request, name: str) -> None:
    """Raise unless the document allows the request."""
    split = urlsplit(request.path)
    kind = request.headers.get("content-type", "application/json")
    data: Any = request.body or None
    if kind.startswith("multipart/"):  # the validator reads none: it gets what the form holds
        fields = form(request)
        media = base64.b64encode(fields["media"]).decode()
        kind = "application/json"
        data = json.dumps({"media": media, "media_category": fields["media_category"].decode()})
        data = data.encode()
    document(name).validate_request(
        MockRequest(
            "http://127.0.0.1",
            request.method.lower(),
            split.path,
            args=dict(parse_qsl(split.query)),
            headers={**request.headers, "content-type": kind},
            data=data,
            content_type=kind,
        )
    )


def form(request: Request) -> dict[str, bytes]:
    """Read the fields of a form with a file, with nothing of what wrote it."""
    kind = request.headers["content-type"]
    assert kind.startswith("multipart/form-data; boundary=")
    head = f"Content-Type: {kind}\r\n\r\n".encode()
    message = email.message_from_bytes(head + request.body, policy=email.policy.HTTP)
    fields = {}
    for part in message.iter_parts():
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        fields[str(part.get_param("name", header="content-disposition"))] = payload
    return fields


def network(posts: list[dict[str, Any]], page: int = 100) -> Callable[[Request], Reply]:
    """Behave as X does, with these posts of ours, newest first."""

    def answer(request: Request) -> Reply:
        split = urlsplit(request.path)
        if split.path == "/2/media/upload":
            return Reply(200, UPLOADED)
        if split.path == "/2/media/metadata":
            return Reply(200, DESCRIBED)
        if request.method == "POST":
            return Reply(201, {"data": {"id": POST, "text": "..."}})
        if request.method == "DELETE":
            return Reply(200, {"data": {"deleted": True}})
        if split.path == "/2/users/me":
            return Reply(200, ME)
        start = int(dict(parse_qsl(split.query)).get("pagination_token", "0"))
        some = posts[start : start + page]
        body: dict[str, Any] = {"meta": {"result_count": len(some)}}
        if some:
            body["data"] = some
        if start + page < len(posts):
            body["meta"]["next_token"] = str(start + page)
        return Reply(200, body)

    return answer


def listed(number: int, text: str, at: datetime = NOW) -> dict[str, Any]:
    """Give a post as X lists it."""
    created = at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return {"id": str(number), "text": text, "created_at": created}


async def test_a_post_holds_the_text_alone(channel: x.X, stub: Stub) -> None:
    """One POST, with the text and nothing else; the receipt names the post."""
    stub.say(201, {"data": {"id": POST, "text": "..."}})
    receipt = await channel.send(delivery())
    assert receipt == Receipt(POST, f"https://x.com/i/web/status/{POST}")
    (request,) = stub.requests
    assert (request.method, request.path) == ("POST", "/2/tweets")
    assert json.loads(request.body) == {"text": TEXT}


async def test_a_correction_is_no_reply(channel: x.X, stub: Stub) -> None:
    """Replies to own posts are refused on the usual tiers: a correction is a post of its own."""
    stub.say(201, {"data": {"id": POST, "text": "..."}})
    await channel.send(delivery(reply_to=Receipt("1849999999999999999")))
    assert json.loads(stub.requests[0].body) == {"text": TEXT}


async def test_every_request_is_signed(channel: x.X, stub: Stub) -> None:
    """Post, lists with their query, own name and deletion all carry a valid signature."""
    others = [listed(number, "other", NOW) for number in range(150, 0, -1)]
    stub.answer = network(others)
    await channel.send(delivery())
    assert await channel.find(delivery()) is None
    await channel.retract(Receipt(POST))
    assert len(stub.requests) == 5
    assert all(is_signed(request, stub.url) for request in stub.requests)


async def test_a_forged_request_is_noticed(channel: x.X, stub: Stub) -> None:
    """The check of signatures above can fail: a changed query is not what was signed."""
    stub.answer = network([])
    await channel.find(delivery())
    good = stub.requests[-1]
    forged = Request(good.method, good.path.replace("100", "99"), good.headers, good.body)
    assert is_signed(good, stub.url)
    assert not is_signed(forged, stub.url)


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_every_request_keeps_to_the_openapi_document(
    channel: x.X, stub: Stub, tmp_path: Path, name: str
) -> None:
    """X is moving its names from tweet.* to post.*: each request is right before and after."""
    document(name)
    stub.answer = network([listed(number, "other") for number in range(150, 0, -1)])
    one = carded(tmp_path)
    await channel.send(replace(one, handle=await channel.prepare(one)))
    await channel.find(delivery())
    await channel.probe()
    await channel.retract(Receipt(POST))
    assert len(stub.requests) == 8
    for request in stub.requests:
        validate(request, name)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_openapi_document_refuses_what_x_would(name: str) -> None:
    """The check above can fail: a field that X does not know is refused."""
    headers = {"content-type": "application/json"}
    for body in (b'{"status": "v1.1 spelling"}', b'{"text": "x", "reply_settings": "everyone"}'):
        with pytest.raises(OpenAPIError):
            validate(Request("POST", "/2/tweets", headers, body), name)


KINDS: Mapping[str, type[Failure]] = {
    "ambiguous": Unknown,
    "duplicate": Rejected,
    "rejected": Rejected,
    "auth": NeedsPerson,
    "blocked": NeedsPerson,
    "rate_limited": NotSent,
    "not_sent_retry": NotSent,
}


def error_cases() -> list[Any]:
    """Read the rows for X; without the shared data, one row that skips."""
    path = SHARED / "contracts" / "derived" / "error-cases.json"
    if not path.exists():
        return [pytest.param({}, id="no-shared-data")]
    rows = json.loads(path.read_text("utf-8"))["cases"]
    mine = [row for row in rows if row["platform"] == "x"]
    return [
        pytest.param(row, id=f"{number}-{row['operation']}-{row['http_status']}")
        for number, row in enumerate(mine)
    ]


@pytest.mark.parametrize("row", error_cases())
async def test_each_error_case_has_its_outcome(
    row: dict[str, Any], stub: Stub, tmp_path: Path
) -> None:
    """Every row of the table of X's answers comes out as the delivery contract maps it."""
    shared_path("contracts", "derived")
    refused = row["http_status"] == "connect-refused"
    url = f"http://127.0.0.1:{free_port()}" if refused else stub.url
    headers = {name: _epoch(value) for name, value in row["headers"].items()}
    if row["http_status"] == "timeout-after-send":
        stub.answer = lambda _: Fault.HANG
    elif not refused:
        stub.answer = lambda _: Reply(row["http_status"], row["body"], headers)
    channel = build(url, tmp_path)
    kind = await outcome(channel, row["operation"])
    await channel.close()
    assert len(stub.requests) == (0 if refused else 1)
    if row["expect"] == "sent":
        assert kind is None
        return
    assert type(kind) is KINDS[row["expect"]]
    assert getattr(kind, "duplicate", False) == (row["expect"] == "duplicate")
    if isinstance(kind, NotSent):
        assert kind.rate_limited == (row["expect"] == "rate_limited")
    if headers:
        assert getattr(kind, "retry_after", None) == timedelta(seconds=900)


def _epoch(value: str) -> str:
    return str(int(NOW.timestamp()) + 900) if value == "<epoch+900>" else value


async def outcome(channel: x.X, operation: str) -> Failure | None:
    """Do it, and give the failure; None if it was taken."""
    try:
        if operation == "create":
            assert (await channel.send(delivery())).remote_id == POST
        else:
            await channel.retract(Receipt(POST))
    except Failure as failure:
        return failure
    return None


def upload_cases() -> list[Any]:
    """Read the rows for creating, for each of the two requests of an upload."""
    return [
        pytest.param(row.values[0], path, id=f"{row.id}-{path.rpartition('/')[2]}")
        for row in error_cases()
        for path in ("/2/media/upload", "/2/media/metadata")
        if dict(row.values[0]).get("operation", "create") == "create"
    ]


@pytest.mark.parametrize(("row", "path"), upload_cases())
async def test_each_error_case_of_an_upload_leaves_the_text_alone(
    row: dict[str, Any], path: str, stub: Stub, tmp_path: Path
) -> None:
    """Whatever X says to the card, the text goes; but a card is kept where X is not there."""
    shared_path("contracts", "derived")
    usual = network([])

    def answer(request: Request) -> Reply | Fault:
        if request.path != path:
            return usual(request)
        if row["http_status"] == "timeout-after-send":
            return Fault.HANG
        headers = {name: _epoch(value) for name, value in row["headers"].items()}
        return Reply(row["http_status"], row["body"], headers)

    stub.answer = answer
    refused = row["http_status"] == "connect-refused"
    channel = build(f"http://127.0.0.1:{free_port()}" if refused else stub.url, tmp_path)
    one = carded(tmp_path)
    if refused:
        with pytest.raises(NotSent):
            await channel.prepare(one)
    else:
        handle = await channel.prepare(one)
        # The body of a created post has an id, and no errors: an upload is as good.
        assert ("note" in handle) == (row["expect"] != "sent")
        receipt = await channel.send(replace(one, handle=handle))
        assert receipt.note == handle.get("note")
    await channel.close()


PROBLEMS: list[tuple[int, Any, type[Failure]]] = [
    (201, {"data": {"id": None}}, Unknown),
    (201, {"data": []}, Unknown),
    (201, b"<html>fine</html>", Unknown),
    (201, b"[" * 100_000, Unknown),
    (200, {"data": {}}, Unknown),
    (302, b"", Unknown),
    (403, {"detail": "Your account is suspended and is not permitted"}, NeedsPerson),
    (403, {"errors": [{"code": 326, "message": "To protect our users..."}]}, NeedsPerson),
    (403, {"detail": "You have been blocked from replying"}, Rejected),
    (403, {"errors": "not a list"}, Rejected),
    (403, {"errors": [None, 7]}, Rejected),
    (404, {}, Rejected),
    (500, {"detail": "duplicate content"}, Unknown),
]


@pytest.mark.parametrize(("status", "body", "kind"), PROBLEMS)
async def test_odd_answers_have_an_outcome_too(
    channel: x.X, stub: Stub, status: int, body: Any, kind: type[Failure]
) -> None:
    """An id is the only proof of a post; and a body of any shape ends in one of the failures."""
    stub.say(status, body)
    with pytest.raises(kind) as caught:
        await channel.send(delivery())
    assert type(caught.value) is kind


async def test_a_refusal_that_breaks_off_is_unknown(channel: x.X, stub: Stub) -> None:
    """A 403 may say "duplicate", which would be evidence: unread, it proves nothing."""
    stub.say(403, b"x" * 3_000_000)
    with pytest.raises(Unknown):
        await channel.send(delivery())


JUNK_RESETS = [
    str(int(NOW.timestamp()) - 10),
    str(int(NOW.timestamp()) + 72 * 3600 + 1),
    "999999999999",
    "9" * 40,
    "-5",
    "nan",
    "1e9",
    "soon",
    "",
]


@pytest.mark.parametrize("reset", JUNK_RESETS)
async def test_a_junk_reset_counts_as_missing(channel: x.X, stub: Stub, reset: str) -> None:
    """A wait that is over, endless or unreadable is none, and Retry-After is read in its place."""
    stub.say(429, b"{}", x_rate_limit_reset=reset, Retry_After="7")
    with pytest.raises(NotSent) as caught:
        await channel.send(delivery())
    assert caught.value.retry_after == timedelta(seconds=7)


async def test_a_lost_post_is_found_by_its_reference(channel: x.X, stub: Stub) -> None:
    """After a lost answer the own posts since the intent are read; who we are is asked once."""
    stub.answer = network([listed(7, "other"), listed(8, TEXT)])
    assert await channel.find(delivery()) == Receipt("8", "https://x.com/i/web/status/8")
    assert await channel.find(delivery()) is not None
    paths = [urlsplit(request.path) for request in stub.requests]
    assert [path.path for path in paths] == ["/2/users/me", *["/2/users/42/tweets"] * 2]
    query = dict(parse_qsl(paths[-1].query))
    assert query == {"max_results": "100", "start_time": "2026-11-22T01:45:00Z"}


async def test_reading_back_turns_every_page(channel: x.X, stub: Stub) -> None:
    """The post is found on the third page of a busy account."""
    others = [listed(number, "other") for number in range(1000, 700, -1)]
    stub.answer = network([*others[:250], listed(8, TEXT), *others[250:]])
    assert await channel.find(delivery()) is not None


async def test_an_absent_post_is_absent_only_after_the_last_page(channel: x.X, stub: Stub) -> None:
    """None means: X listed everything since the intent, and it is not there."""
    stub.answer = network([listed(n, "other") for n in range(250, 0, -1)])
    assert await channel.find(delivery()) is None
    assert len(stub.requests) == 1 + 3


NOT_IT = [
    pytest.param(listed(8, TEXT.replace("26-0142/1", "26-0142/12")), id="longer-reference"),
    pytest.param(listed(8, TEXT.replace("26-0142/1", "126-0142/1")), id="other-year"),
    pytest.param(listed(8, TEXT, NOW - timedelta(seconds=121)), id="before-the-intent"),
    pytest.param(listed(8, "Fire in Dortmund: close windows. No. 26-0142/1"), id="other-language"),
]


@pytest.mark.parametrize("post", NOT_IT)
async def test_another_post_is_not_taken_for_it(
    channel: x.X, stub: Stub, post: dict[str, Any]
) -> None:
    """Neither another version, nor an older post, nor another language of the same alert."""
    stub.answer = network([post])
    assert await channel.find(delivery()) is None


async def test_parts_in_two_languages_are_told_apart(channel: x.X, stub: Stub) -> None:
    """Both carry the same reference; the text says which is which."""
    english = "Fire in Dortmund: close windows. City, 02:47, No. 26-0142/1"
    stub.answer = network([listed(9, english), listed(8, TEXT)])
    found = [await channel.find(one) for one in (delivery(), delivery(text=english, part="en"))]
    assert [one.remote_id for one in found if one] == ["8", "9"]


REWRITTEN = [
    ("Lage: https://stadt.example.org/p/1 Nr. 26-0142/1", "Lage: https://t.co/abc Nr. 26-0142/1"),
    ("Quelle stadt.example.org, Nr. 26-0142/1", "Quelle https://t.co/abc, Nr. 26-0142/1"),
    ("Rauch & Ruß <stark> Nr. 26-0142/1", "Rauch &amp; Ruß &lt;stark&gt; Nr. 26-0142/1"),
    ("@\u2060feuerwehr ist da. Nr. 26-0142/1", "@feuerwehr ist da. Nr. 26-0142/1"),
    ("Zeile 1\n\nZeile 2 Nr. 26-0142/1", "Zeile 1\n\nZeile 2 Nr. 26-0142/1"),
    ("Ho\u0308rde Nr. 26-0142/1", "H\u00f6rde Nr. 26-0142/1"),
]


@pytest.mark.parametrize(("ours", "theirs"), REWRITTEN)
async def test_a_text_that_x_rewrote_is_found(
    channel: x.X, stub: Stub, ours: str, theirs: str
) -> None:
    """Links become t.co, some characters entities, invisible ones may go: it is the same post."""
    stub.answer = network([listed(8, theirs)])
    assert await channel.find(delivery(text=ours)) is not None


async def test_a_post_without_a_time_is_taken(channel: x.X, stub: Stub) -> None:
    """X was asked for posts since the intent, so that a missing time is no reason to miss one."""
    post = listed(8, TEXT)
    del post["created_at"]
    stub.answer = network([post])
    assert await channel.find(delivery()) is not None


UNREAD: list[tuple[Reply | Fault, type[Failure]]] = [
    (Fault.CLOSE, NotSent),
    (Fault.GARBAGE, NotSent),
    (Fault.CUT_BODY, NotSent),
    (Reply(200, {}), NotSent),
    (Reply(200, {"data": None, "meta": {}}), NotSent),
    (Reply(200, {"data": [{"text": "no id"}], "meta": {}}), NotSent),
    (Reply(400, {"title": "Invalid Request"}), NotSent),
    (Reply(404, {}), NotSent),
    (Reply(429, {}), NotSent),
    (Reply(503, {}), NotSent),
    (Reply(401, {}), NeedsPerson),
    (Reply(402, {"title": "CreditsDepleted"}), NeedsPerson),
]


@pytest.mark.parametrize(("answer", "kind"), UNREAD)
async def test_a_list_that_was_not_read_proves_no_absence(
    channel: x.X, stub: Stub, answer: Reply | Fault, kind: type[Failure]
) -> None:
    """Only a whole list does: everything else is a failure to ask, never "it is not there"."""
    stub.answer = lambda request: Reply(200, ME) if request.path == "/2/users/me" else answer
    with pytest.raises(kind):
        await channel.find(delivery())
    stub.answer = lambda _: answer
    channel._user = None
    with pytest.raises(kind):
        await channel.find(delivery())


async def test_a_list_without_end_is_undecided(channel: x.X, stub: Stub) -> None:
    """A list that never ends proves no absence, and is not read for ever."""
    page = {"data": [listed(7, "other")], "meta": {"next_token": "again"}}
    stub.answer = lambda request: Reply(200, ME if request.path == "/2/users/me" else page)
    with pytest.raises(Unknown):
        await channel.find(delivery())
    assert len(stub.requests) == 1 + x.PAGES_MAX


async def test_a_card_is_uploaded_and_described(channel: x.X, stub: Stub, tmp_path: Path) -> None:
    """One file, its description, both signed; and the post names it."""
    stub.answer = network([])
    one = carded(tmp_path)
    handle = await channel.prepare(one)
    assert handle == {"media": MEDIA, "expires": int(NOW.timestamp()) + 86400}
    upload, metadata = stub.requests
    assert form(upload) == {"media_category": b"tweet_image", "media": CARD}
    assert one.message
    alt = one.message.media[0].alt
    assert json.loads(metadata.body) == {"id": MEDIA, "metadata": {"alt_text": {"text": alt}}}
    assert is_signed(upload, stub.url)
    assert is_signed(metadata, stub.url)
    receipt = await channel.send(replace(one, handle=handle))
    assert receipt.note is None
    assert json.loads(stub.requests[-1].body) == {"text": TEXT, "media": {"media_ids": [MEDIA]}}


async def test_a_card_in_processing_is_waited_for(stub: Stub, tmp_path: Path) -> None:
    """X says when to ask again; a card that fails there stays out."""
    states = iter(["pending", "in_progress", "succeeded", "pending", "failed"])
    usual = network([])

    def answer(request: Request) -> Reply:
        if not request.path.startswith("/2/media/upload"):
            return usual(request)
        info = {"processing_info": {"state": next(states)}}
        return Reply(200, {"data": UPLOADED["data"] | info})

    stub.answer = answer
    channel = build(stub.url, tmp_path, Timing())
    assert "media" in await channel.prepare(carded(tmp_path))
    asked = [urlsplit(one.path) for one in stub.requests]
    assert [one.query for one in asked if one.query] == [f"media_id={MEDIA}&command=STATUS"] * 2
    assert (await channel.prepare(carded(tmp_path)))["note"].endswith("process the picture")
    await channel.close()


async def test_a_card_that_takes_too_long_stays_out(stub: Stub, tmp_path: Path) -> None:
    """The upload has a part of the attempt; the text has the rest."""
    info = {"processing_info": {"state": "in_progress", "check_after_secs": 1}}
    stub.say(200, {"data": UPLOADED["data"] | info})
    channel = build(stub.url, tmp_path)
    handle = await channel.prepare(carded(tmp_path))
    assert handle["note"] == "posted without its card: the upload took too long"
    stub.say(201, {"data": {"id": POST}})
    assert (await channel.send(carded(tmp_path, handle=handle))).note == handle["note"]
    await channel.close()


@pytest.mark.parametrize(
    "answer",
    [
        Reply(200, {"data": {"id": "../x"}}),
        Reply(200, {"data": {"id": 7}}),
        Reply(200, b"<html>"),
        Reply(200, b"[" * 100_000),
        Reply(200, b" " * 100_000_000),
        Fault.CLOSE,
        Fault.CUT_BODY,
    ],
    ids=lambda one: str(one)[:60],
)
async def test_a_junk_answer_to_a_card_leaves_the_text_alone(
    channel: x.X, stub: Stub, tmp_path: Path, answer: Reply | Fault
) -> None:
    """It names no picture that a post could name."""
    stub.answer = lambda _: answer
    assert "note" in await channel.prepare(carded(tmp_path))


async def test_a_card_that_x_has_dropped_is_uploaded_afresh(
    channel: x.X, stub: Stub, tmp_path: Path
) -> None:
    """X keeps an unused picture for a day: an older one is not even tried."""
    old = {"media": MEDIA, "expires": int(NOW.timestamp())}
    with pytest.raises(NotSent) as failure:
        await channel.send(carded(tmp_path, handle=old))
    assert failure.value.afresh
    assert stub.requests == []


async def test_a_post_refused_for_its_card_gets_another(
    channel: x.X, stub: Stub, tmp_path: Path
) -> None:
    """X does not know the picture: it is uploaded afresh, in the end left out."""
    usual = network([])
    message = {"parameters": {"media.media_ids": [MEDIA]}, "message": "Your media IDs are invalid."}
    refusal = Reply(400, {"errors": [message], "title": "Invalid Request"})
    stub.answer = lambda request: refusal if request.path == "/2/tweets" else usual(request)
    one = carded(tmp_path)
    for _ in range(2):
        handle = await channel.prepare(one)
        with pytest.raises(NotSent) as failure:
            await channel.send(replace(one, handle=handle))
        assert failure.value.afresh
    handle = await channel.prepare(one)
    assert "note" in handle
    with pytest.raises(Rejected):
        await channel.send(replace(one, handle=handle))


async def test_without_cards_nothing_is_uploaded(stub: Stub, tmp_path: Path) -> None:
    """An account may post texts alone."""
    channel = build(stub.url, tmp_path, card=False)
    assert channel.picture is None
    assert await channel.prepare(carded(tmp_path)) == {}
    assert stub.requests == []
    await channel.close()


SENT = delivery(receipt=Receipt(POST))
METRICS = {"reply_count": 2, "retweet_count": 30, "like_count": 4, "impression_count": 5000}
BEARER = "sandbox-app-only-token"


def shown(text: str = TEXT, **more: Any) -> dict[str, Any]:
    """Give a post as X shows it alone."""
    return {"data": {"id": POST, "text": text, "public_metrics": METRICS, **more}}


@pytest.fixture
async def seeing(stub: Stub, tmp_path: Path) -> AsyncIterator[x.X]:
    """Give a channel that can look app-only."""
    one = build(stub.url, tmp_path, bearer_token_file=keep_secret(tmp_path, "bearer", BEARER))
    yield one
    await one.close()


async def test_a_post_is_looked_up_app_only(seeing: x.X, stub: Stub) -> None:
    """As the public sees it: its text, and who reacted."""
    stub.say(200, shown(f"{TEXT.replace('&', '&amp;')} https://t.co/abc"))
    sight = await seeing.look(SENT)
    assert (sight.there, sight.altered, sight.public) == (True, False, True)
    assert sight.text
    assert sight.counts == {"replies": 2, "shares": 30, "likes": 4, "views": 5000}
    (request,) = stub.requests
    assert request.headers["authorization"] == f"Bearer {BEARER}"
    assert urlsplit(request.path).path == f"/2/tweets/{POST}"


async def test_without_an_app_only_token_the_account_looks_itself(channel: x.X, stub: Stub) -> None:
    """What it sees proves less, and is told as such."""
    stub.say(200, shown())
    sight = await channel.look(SENT)
    assert (sight.there, sight.public) == (True, False)
    assert is_signed(stub.requests[0], stub.url)


@pytest.mark.parametrize("spelling", ["tweet.fields", "post.fields", None])
async def test_a_look_speaks_as_x_does(seeing: x.X, stub: Stub, spelling: str | None) -> None:
    """X refuses names of the other spelling: which one it takes is found out once."""

    def answer(request: Request) -> Reply:
        asked = dict(parse_qsl(urlsplit(request.path).query))
        known = set(asked) <= {spelling}
        return Reply(200, shown()) if known else Reply(400, {"title": "Invalid Request"})

    stub.answer = answer
    for _ in range(3):
        assert (await seeing.look(SENT)).there
    tries = {"tweet.fields": 3, "post.fields": 4, None: 9}
    assert len(stub.requests) == tries[spelling]
    if spelling:
        name = DOCUMENTS[spelling == "tweet.fields"]
        validate(stub.requests[-1], name)
        assert set(SPELLINGS) & parameters(name, "/2/tweets/{id}") == {spelling}


def parameters(name: str, path: str) -> set[str]:
    """Give the names of the parameters with which one of X's documents lets a path be read."""
    text = json.loads(shared_path("contracts", name).read_text("utf-8"))
    found = set()
    for one in text["paths"][path]["get"]["parameters"]:
        reference = one.get("$ref", "").rpartition("/")[2]
        found.add(text["components"]["parameters"][reference]["name"] if reference else one["name"])
    return found


NOT_THERE = "https://api.x.com/2/problems/resource-not-found"
NOT_FOR_US = "https://api.twitter.com/2/problems/not-authorized-for-resource"
UNSEEN = [
    (Reply(404, {"title": "Not Found Error"}), "deleted"),
    (Reply(200, {"errors": [{"type": NOT_THERE, "resource_id": POST}]}), "deleted"),
    (Reply(200, {"errors": [None, {"type": NOT_FOR_US}]}), "hidden by X"),
    (
        Reply(200, shown(withheld={"copyright": False, "country_codes": ["DE", "AT"]})),
        "withheld by X in DE, AT",
    ),
    (Reply(200, shown(withheld={})), "withheld by X in some countries"),
]


@pytest.mark.parametrize(("answer", "reason"), UNSEEN)
async def test_a_post_that_the_public_does_not_see_says_why(
    seeing: x.X, stub: Stub, answer: Reply, reason: str
) -> None:
    """Deleted, hidden, or withheld from some countries."""
    stub.answer = lambda _: answer
    sight = await seeing.look(SENT)
    assert (sight.there, sight.reason, sight.public) == (False, reason, True)


async def test_a_post_that_says_something_else_is_altered(seeing: x.X, stub: Stub) -> None:
    """An edit by somebody at the account is noticed; t.co links and entities are none."""
    stub.say(200, shown("Entwarnung. Nr. 26-0142/1"))
    sight = await seeing.look(SENT)
    assert (sight.there, sight.altered) == (True, True)


UNLOOKED: list[tuple[Reply | Fault, type[Failure]]] = [
    *[one for one in UNREAD if one[1] is NotSent and one[0] != Reply(404, {})],
    (Reply(401, {}), NeedsPerson),
    (Reply(200, {"data": {"id": "9", "text": TEXT}}), NotSent),
    (Reply(200, {"data": {"id": POST}}), NotSent),
    (Reply(200, {"errors": "many"}), NotSent),
    (Reply(200, {"errors": [{"type": "about:blank"}]}), NotSent),
    (Reply(200, b"[" * 100_000), NotSent),
    (Reply(200, b" " * 100_000_000), NotSent),
    (Fault.HANG, NotSent),
]


@pytest.mark.parametrize(("answer", "kind"), UNLOOKED, ids=lambda one: str(one)[:60])
async def test_a_look_that_fails_shows_nothing(
    seeing: x.X, stub: Stub, answer: Reply | Fault, kind: type[Failure]
) -> None:
    """A hiccup or junk is neither presence nor absence."""
    stub.answer = lambda _: answer
    with pytest.raises(kind):
        await seeing.look(SENT)


@pytest.mark.parametrize("receipt", [None, Receipt(None), Receipt("../users/me")])
async def test_only_a_post_can_be_looked_up(
    seeing: x.X, stub: Stub, receipt: Receipt | None
) -> None:
    """Nothing is asked of X for an id that is none."""
    with pytest.raises(Rejected):
        await seeing.look(delivery(receipt=receipt))
    assert stub.requests == []


async def test_odd_counts_are_left_out(seeing: x.X, stub: Stub) -> None:
    """Of both spellings; what is no number of people is none."""
    odd = {"like_count": "4", "reply_count": -1, "quote_count": True, "repost_count": 3}
    stub.say(200, shown(public_metrics=odd))
    assert (await seeing.look(SENT)).counts == {"shares": 3}
    stub.say(200, shown(public_metrics=[1]))
    assert (await seeing.look(SENT)).counts == {}


async def test_a_warm_connection_is_the_one_of_the_next_post(channel: x.X, stub: Stub) -> None:
    """A free request without a token opens it; the post pays no handshake."""
    await channel.warm()
    (request,) = stub.requests
    stub.answer = network([])
    assert request.method == "HEAD"
    assert "authorization" not in request.headers
    await channel.send(delivery())
    assert stub.connections == 1


async def test_a_probe_says_who_we_are_and_posts_nothing(channel: x.X, stub: Stub) -> None:
    """It needs valid tokens and credit, as a post does."""
    stub.say(200, ME, x_rate_limit_remaining="74")
    found = await channel.probe()
    assert (found.ready, found.account, found.quota_left) == (True, "@stadt", 74)
    assert found.identity == {"id": "42", "handle": "@stadt", "server": "127.0.0.1"}
    assert "credit" in found.sentence  # which X tells nobody but in its console
    assert stub.posts == []


async def test_a_probe_tells_how_many_posts_are_left(channel: x.X, stub: Stub) -> None:
    """Once a post was made, X's own count of posts is told."""
    stub.say(201, {"data": {"id": POST}}, x_rate_limit_remaining="99")
    await channel.send(delivery())
    stub.say(200, ME, x_rate_limit_remaining="74")
    assert (await channel.probe()).quota_left == 99


USAGE: list[tuple[Reply | Fault, str, bool]] = [
    (Reply(200, {"data": {"project_usage": "12", "project_cap": "2000"}}), "12 of 2000", False),
    (Reply(200, {"data": {"project_usage": 1900, "project_cap": 2000}}), "1900 of 2000", True),
    (Reply(200, {"data": {"project_usage": "many", "project_cap": 0}}), "console", False),
    (Reply(200, b"<html>"), "console", False),
    (Reply(503), "console", False),
    (Fault.CLOSE, "console", False),
    (Reply(401, {}), "app-only token is not accepted", True),
]


@pytest.mark.parametrize(("answer", "words", "remedy"), USAGE)
async def test_a_probe_tells_what_was_used(
    seeing: x.X, stub: Stub, answer: Reply | Fault, words: str, *, remedy: bool
) -> None:
    """What X tells of this month; near the cap, or with a dead token, somebody should act."""
    stub.answer = lambda request: Reply(200, ME) if "users/me" in request.path else answer
    found = await seeing.probe()
    assert found.ready
    assert words in found.sentence
    assert (found.remedy is not None) == remedy


@pytest.mark.parametrize(
    ("date", "ready"),
    [
        ("Sun, 22 Nov 2026 01:47:50 GMT", True),
        ("Sun, 22 Nov 2026 01:49:00 GMT", False),
        ("Sun, 22 Nov 2026 01:44:00 GMT", False),
        ("yesterday", True),
        ("Fri, 31 Dec 9999 23:59:59 -1200", False),
    ],
)
@pytest.mark.parametrize("status", [200, 401])
async def test_a_wrong_clock_is_named_before_its_signatures(
    channel: x.X, stub: Stub, date: str, status: int, *, ready: bool
) -> None:
    """More than a minute off, and X refuses what is signed: that is no matter of tokens."""
    stub.say(status, ME, Date=date)
    found = await channel.probe()
    assert found.ready == (ready and status == 200)
    assert ("clock" in found.sentence) == (not ready)


NOT_READY = [
    (Reply(401, {}), "tokens"),
    (Reply(402, {}), "credits"),
    (Reply(403, {"detail": "This account is suspended."}), "suspended"),
    (Reply(403, {}), "403"),
    (Reply(429, {"type": "https://api.x.com/2/problems/usage-capped"}), "cap"),
    (Reply(429, {}), "429"),
    (Reply(503, {}), "503"),
    (Reply(200, {}), "who we are"),
    (Fault.CLOSE, "could not be asked"),
    (Fault.HANG, "could not be asked"),
]


@pytest.mark.parametrize(("answer", "words"), NOT_READY)
async def test_a_probe_never_raises_and_says_what_to_do(
    channel: x.X, stub: Stub, answer: Reply | Fault, words: str
) -> None:
    """What is wrong is told in a sentence, with a remedy, before it matters."""
    stub.answer = lambda _: answer
    found = await channel.probe()
    assert not found.ready
    assert words in found.sentence
    assert found.remedy


@pytest.mark.parametrize("post", [None, "", "../users/me"])
async def test_a_receipt_without_a_post_is_not_deleted(
    channel: x.X, stub: Stub, post: str | None
) -> None:
    """Nothing is asked of X for an id that is none."""
    with pytest.raises(Rejected):
        await channel.retract(Receipt(post))
    assert stub.requests == []


async def test_a_deletion_that_was_not_confirmed_is_no_deletion(channel: x.X, stub: Stub) -> None:
    """A 200 that does not say deleted leaves the post where it was, as far as anyone knows."""
    stub.say(200, {"data": {"deleted": False}})
    with pytest.raises(Unknown):
        await channel.retract(Receipt(POST))


async def test_no_secret_is_shown(
    channel: x.X, stub: Stub, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the channel's picture of itself, nor a reason, nor a log holds a token."""
    caplog.set_level(logging.DEBUG)
    shown = [repr(channel), repr(channel._login), repr(channel.__dict__), repr(channel._api)]
    for answer in (Reply(401, {"detail": TOKEN_SECRET}), Fault.CLOSE, Reply(201, {})):
        stub.answer = lambda _, answer=answer: answer  # type: ignore[misc]
        with pytest.raises(Failure) as caught:
            await channel.send(delivery())
        shown.append(str(caught.value))
    text = " ".join([*shown, caplog.text])
    assert not [one for one in (CONSUMER, CONSUMER_SECRET, TOKEN, TOKEN_SECRET) if one in text]


def test_the_minimal_presence_is_the_default(tmp_path: Path) -> None:
    """Crisis only, 280 weighted characters, no link, and a guard over what it costs."""
    channel = build("https://api.x.com", tmp_path)
    assert channel.carries == x.CARRIES
    assert set(channel.carries.severity or ()) == {"Extreme", "Severe"}
    assert set(channel.carries.urgency or ()) == {"Immediate", "Expected"}
    assert set(channel.carries.certainty or ()) == {"Observed", "Likely"}
    assert (channel.limits.measure, channel.limits.maximum) == ("weighted", 280)
    assert (channel.posts_per_day_max, channel.link) == (20, False)
    assert channel.account == "42"


@pytest.mark.parametrize("url", ["http://api.x.com", "https://u:p@api.x.com", "api.x.com"])
def test_x_is_never_asked_in_the_clear(url: str, tmp_path: Path) -> None:
    """Only a stand-in on this machine may do without TLS."""
    with pytest.raises(ValidationError):
        build(url, tmp_path)


SIGNED = {
    "consumer_key_file": "a",
    "consumer_secret_file": "b",
    "access_token_file": "c",
    "access_token_secret_file": "d",
}
GRANTED = {"oauth2_client_id": "app", "oauth2_token_file": "t"}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {name: value for name, value in SIGNED.items() if name != "consumer_secret_file"},
        SIGNED | GRANTED,
        SIGNED | {"oauth2_client_secret_file": "s"},
        GRANTED | {"access_token_file": "c"},
        {"oauth2_client_id": "app"},
        {"oauth2_token_file": "t", "oauth2_client_secret_file": "s"},
    ],
    ids=lambda one: "+".join(one) or "nothing",
)
def test_there_is_one_way_in(given: dict[str, str]) -> None:
    """All of one, nothing of the other: a half configuration is told before an alert needs it."""
    with pytest.raises(ValidationError, match="either the four files of OAuth"):
        x.Settings.model_validate(given)
    x.Settings.model_validate(SIGNED)
    x.Settings.model_validate(GRANTED)
    x.Settings.model_validate(GRANTED | {"oauth2_client_secret_file": "s"})


async def test_a_needed_person_reads_what_to_do(channel: x.X, stub: Stub) -> None:
    """The reason of a failure is what on-call staff get to read."""
    stub.say(402)
    with pytest.raises(NeedsPerson, match="Buy credits"):
        await channel.send(delivery())


async def test_a_delivery_without_a_text_is_rejected(channel: x.X, stub: Stub) -> None:
    """There is nothing to post, nothing to find, and nothing is asked."""
    without: Delivery = delivery(message=None)
    with pytest.raises(Rejected):
        await channel.send(without)
    assert await channel.find(without) is None
    assert stub.requests == []
