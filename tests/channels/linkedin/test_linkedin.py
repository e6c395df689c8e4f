"""LinkedIn: one post with its card, by the contract; and what each answer means."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from openapi_core.exceptions import OpenAPIError
from pydantic import ValidationError

from broadcaster.channels import linkedin
from broadcaster.channels.linkedin import little
from broadcaster.clock import SystemClock
from broadcaster.delivery import (
    Delivery,
    Failure,
    NeedsPerson,
    NotSent,
    Receipt,
    Rejected,
    Unknown,
)
from broadcaster.measure import fits, length
from broadcaster.sandbox import Sandbox
from broadcaster.sandbox.faults import Fault as SandboxFault
from broadcaster.sandbox.faults import Kind
from broadcaster.sandbox.posts import account
from broadcaster.terminal.child import free_port
from tests.channels.linkedin.company_page import (
    IMAGE,
    OLD,
    POINTER,
    POST,
    SECRET,
    SHORT,
    TOKEN,
    US,
    Napping,
    Page,
    build,
    correction,
    document,
    keep_picture,
    listed,
    sent_to,
    validate,
    with_card,
)
from tests.channels.linkedin.test_little import NASTY
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
from tests.conftest import SHARED, shared_path
from tests.kit import ManualClock
from tests.sandbox.client import picture as drawn

HANDLE = {"image": IMAGE, "uploaded": NOW.isoformat()}
WAITING = {"code": "MEDIA_ASSET_WAITING_UPLOAD", "message": "Media asset is waiting upload"}
SPOILED = {"code": "MEDIA_ASSET_PROCESSING_FAILED", "message": "failed"}
DUPLICATE = {"message": f"Content is a duplicate of {POST}", "status": 422}


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    """Run a stand-in for LinkedIn that answers as told."""
    async with serving() as one:
        yield one


@pytest.fixture
def page(stub: Stub) -> Page:
    """Let the stand-in behave as LinkedIn does."""
    stub.answer = one = Page(upload_url=f"{stub.url}/dms-uploads/1")
    return one


@pytest.fixture
async def channel(stub: Stub, tmp_path: Path) -> AsyncIterator[linkedin.LinkedIn]:
    """Give a channel to the stand-in."""
    one = build(stub.url, tmp_path)
    yield one
    await one.close()


def named(urn: str = POST) -> Reply:
    """Answer as to a post that was taken."""
    return Reply(201, b"", {"x-restli-id": urn})


async def test_a_post_is_what_linkedin_takes(channel: linkedin.LinkedIn, stub: Stub) -> None:
    """One POST with every header it asks for; the receipt names the post and where it is seen."""
    stub.answer = lambda _: named()
    receipt = await channel.send(delivery())
    assert receipt == Receipt(POST, f"https://www.linkedin.com/feed/update/{POST}/")
    (request,) = stub.requests
    assert (request.method, request.path) == ("POST", "/rest/posts")
    assert request.headers["linkedin-version"] == "202608"
    assert request.headers["x-restli-protocol-version"] == "2.0.0"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert json.loads(request.body) == {
        "author": US,
        "commentary": TEXT,
        "visibility": "PUBLIC",
        "distribution": {
            "feedDistribution": "MAIN_FEED",
            "targetEntities": [],
            "thirdPartyDistributionChannels": [],
        },
        "lifecycleState": "PUBLISHED",
        "isReshareDisabledByAuthor": False,
    }


async def test_a_text_is_sent_as_little_text(channel: linkedin.LinkedIn, stub: Stub) -> None:
    """Unescaped, everything behind the bracket would be lost without a word."""
    stub.answer = lambda _: named()
    await channel.send(delivery(text="Rauch (Nord_Ost) #Feuer @Stadt Nr. 26-0142/1"))
    commentary = json.loads(stub.requests[0].body)["commentary"]
    assert commentary == r"Rauch \(Nord\_Ost\) #Feuer \@Stadt Nr. 26-0142/1"


@pytest.mark.parametrize("header", ["x-restli-id", "X-RestLi-Id", "X-RESTLI-ID"])
@pytest.mark.parametrize("urn", [POST, OLD])
async def test_the_id_is_in_a_header(
    channel: linkedin.LinkedIn, stub: Stub, header: str, urn: str
) -> None:
    """However the header is spelt, and whichever of its two sorts of post LinkedIn makes of it."""
    stub.answer = lambda _: Reply(201, b"", {header: urn})
    assert (await channel.send(delivery())).remote_id == urn


@pytest.mark.parametrize("urn", ["", "urn:li:activity:1", "urn:li:share:x", "../x", "7" * 400])
async def test_an_id_that_is_none_proves_nothing(
    channel: linkedin.LinkedIn, stub: Stub, urn: str
) -> None:
    """It may be posted all the same."""
    stub.answer = lambda _: named(urn)
    with pytest.raises(Unknown):
        await channel.send(delivery())


UNCONTRACTED = ("/rest/socialMetadata/", "/rest/images/", "/dms-uploads/")


async def test_every_request_keeps_to_the_contract(stub: Stub, page: Page, tmp_path: Path) -> None:
    """Every address, header and body is as the derived contract has it."""
    document()
    keep_picture(tmp_path)
    channel = build(stub.url, tmp_path, clock=Napping())
    page.posts.append(listed(OLD, "Alt Nr. 26-0142/1"))
    handle = await channel.prepare(with_card())
    await channel.send(with_card(handle=handle))
    await channel.find(delivery(text="Nichts Nr. 26-0142/1"))
    await channel.look(delivery(receipt=Receipt(POST)))
    await channel.probe()
    await channel.correct(correction())
    refuse = Reply(400, {"code": "FIELD_LENGTH_TOO_LONG"})
    page.instead = lambda one: refuse if _method(one) == "PARTIAL_UPDATE" else None
    await channel.correct(correction(pointer="Überholt: siehe Nr. 26-0142/3"))
    await channel.retract(Receipt(POST))
    await channel.close()
    comments = sent_to(stub, "GET", "/comments")
    known = [one for one in stub.requests if not one.path.startswith(UNCONTRACTED)]
    for request in known:
        if request not in comments:
            validate(request)
    assert len(known) - len(comments) == 12
    bearers = {one.headers.get("authorization") for one in stub.requests}
    assert bearers == {f"Bearer {TOKEN}"}


def _method(request: Request) -> str | None:
    return request.headers.get("x-restli-method")


async def test_rest_li_is_told_what_is_meant(
    channel: linkedin.LinkedIn, stub: Stub, page: Page
) -> None:
    """A list, an edit and a deletion say so; and a URN in an address is encoded whole."""
    page.posts.append(listed(OLD, "Alt Nr. 26-0142/1"))
    await channel.find(delivery(text="Nichts Nr. 26-0142/1"))
    await channel.correct(correction())
    await channel.retract(Receipt(OLD))
    methods = [_method(one) for one in stub.requests]
    assert methods == ["FINDER", "FINDER", None, "PARTIAL_UPDATE", "DELETE"]
    assert stub.requests[-1].path == "/rest/posts/urn%3Ali%3AugcPost%3A6844785523593134001"
    assert "author=urn%3Ali%3Aorganization%3A4711" in stub.requests[0].path


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("path", "/rest/posts?q=authors&author=urn:li:organization:1"),
        ("headers", {"linkedin-version": "2026-08", "x-restli-protocol-version": "2.0.0"}),
        ("body", b'{"author": "4711", "commentary": "x"}'),
    ],
)
def test_the_contract_refuses_what_linkedin_would(change: str, value: Any) -> None:
    """The check above can fail."""
    headers = {"linkedin-version": "202608", "x-restli-protocol-version": "2.0.0"}
    method = "GET" if change == "path" else "POST"
    wrong = replace(Request(method, "/rest/posts", headers, b"{}"), **{change: value})
    with pytest.raises(OpenAPIError):
        validate(wrong)


# What each answer of the shared table comes to, operation by operation


def error_cases() -> list[Any]:
    """Read the rows for LinkedIn; without the shared data, one row that skips."""
    path = SHARED / "contracts" / "derived" / "error-cases.json"
    if not path.exists():
        return [pytest.param({}, id="no-shared-data")]
    rows = json.loads(path.read_text("utf-8"))["cases"]
    mine = [row for row in rows if row["platform"] == "linkedin"]
    return [
        pytest.param(row, id=f"{number}-{row['operation']}-{row['http_status']}")
        for number, row in enumerate(mine)
    ]


KINDS: dict[str, type[Failure]] = {
    "ambiguous": Unknown,
    "duplicate": Rejected,
    "rejected": Rejected,
    "auth": NeedsPerson,
    "rate_limited": NotSent,
    "not_sent_retry": NotSent,
}


def reply(row: dict[str, Any]) -> Reply | Fault:
    """Answer as a row says."""
    if row["http_status"] == "timeout-after-send":
        return Fault.HANG
    return Reply(row["http_status"], row["body"] or b"", row["headers"])


async def url_for(row: dict[str, Any], stub: Stub) -> str:
    """Give the stand-in's address, or one where nobody listens."""
    refused = row["http_status"] == "connect-refused"
    return f"http://127.0.0.1:{free_port()}" if refused else stub.url


@pytest.mark.parametrize("row", error_cases())
async def test_each_error_case_has_its_outcome(
    row: dict[str, Any], stub: Stub, tmp_path: Path
) -> None:
    """Every row comes out as the delivery contract maps it, by one request."""
    shared_path("contracts", "derived")
    stub.answer = lambda _: reply(row)
    channel = build(await url_for(row, stub), tmp_path)
    create = row["operation"] == "create"
    failure = await outcome(channel.send(delivery()) if create else channel.retract(Receipt(POST)))
    await channel.close()
    assert len(stub.requests) == (row["http_status"] != "connect-refused")
    if row["expect"] == "sent":
        assert failure is None
        return
    assert type(failure) is KINDS[row["expect"]]
    assert getattr(failure, "duplicate", False) == (row["expect"] == "duplicate")
    assert getattr(failure, "rate_limited", False) == (row["expect"] == "rate_limited")


async def outcome(work: Awaitable[object]) -> Failure | None:
    """Do it, and give the failure; None if it was taken."""
    try:
        await work
    except Failure as failure:
        return failure
    return None


@pytest.mark.parametrize("row", error_cases())
async def test_each_error_case_of_a_deletion_has_its_outcome(
    row: dict[str, Any], stub: Stub, tmp_path: Path
) -> None:
    """The same answers to a deletion: only 204 and "not there" end it."""
    shared_path("contracts", "derived")
    stub.answer = lambda _: reply(row)
    channel = build(await url_for(row, stub), tmp_path)
    failure = await outcome(channel.retract(Receipt(POST)))
    await channel.close()
    if row["http_status"] == 204:
        assert failure is None
    else:
        expected = Unknown if row["http_status"] == 201 else KINDS[row["expect"]]
        assert type(failure) is expected


@pytest.mark.parametrize("row", error_cases())
async def test_each_error_case_of_an_edit_has_its_outcome(
    row: dict[str, Any], stub: Stub, tmp_path: Path
) -> None:
    """An edit that is refused becomes a comment; what may have been done is looked at first."""
    shared_path("contracts", "derived")
    page = Page([listed(OLD, "Alt")])
    page.instead = lambda one: reply(row) if _method(one) == "PARTIAL_UPDATE" else None
    stub.answer = page
    channel = build(await url_for(row, stub), tmp_path)
    failure = await outcome(channel.correct(correction()))
    await channel.close()
    commented = len(page.comments.get(OLD, []))
    if row["http_status"] == 204:
        assert (failure, commented) == (None, 0)
    elif row["expect"] in {"rejected", "duplicate"} or row["http_status"] == 403:
        assert (failure, commented) == (None, 1)
    else:
        expected = Unknown if row["http_status"] == 201 else KINDS[row["expect"]]
        assert (type(failure), commented) == (expected, 0)


@pytest.mark.parametrize("row", error_cases())
async def test_each_error_case_of_a_comment_has_its_outcome(
    row: dict[str, Any], stub: Stub, tmp_path: Path
) -> None:
    """A comment is a post that can be seen: the same table holds for it."""
    shared_path("contracts", "derived")
    page = Page([listed(OLD, "Alt")])

    def instead(request: Request) -> Reply | Fault | None:
        if _method(request) == "PARTIAL_UPDATE":
            return Reply(422, {"message": "not yours"})
        comment = request.method == "POST" and "/comments" in request.path
        return reply(row) if comment else None

    page.instead = instead
    stub.answer = page
    channel = build(await url_for(row, stub), tmp_path)
    failure = await outcome(channel.correct(correction()))
    await channel.close()
    expected: type[Failure] | None = None
    if row["http_status"] == 204 or row["expect"] == "ambiguous":
        expected = Unknown
    elif row["expect"] != "sent":
        expected = KINDS[row["expect"]]
    assert (None if failure is None else type(failure)) is expected


def reading(channel: linkedin.LinkedIn, operation: str) -> Awaitable[object]:
    """Read something."""
    if operation == "find":
        return channel.find(delivery())
    if operation == "find-correction":
        return channel.find(correction())
    if operation == "look":
        return channel.look(delivery(receipt=Receipt(POST)))
    return channel.look(correction(receipt=Receipt("701", details={"on": OLD})))


@pytest.mark.parametrize("row", error_cases())
@pytest.mark.parametrize("operation", ["find", "find-correction", "look", "look-comment"])
async def test_each_error_case_of_a_read_proves_nothing(
    row: dict[str, Any], operation: str, stub: Stub, tmp_path: Path
) -> None:
    """A read that failed says nothing about the post: it is asked again, or a person must act."""
    shared_path("contracts", "derived")
    stub.answer = lambda _: reply(row)
    channel = build(await url_for(row, stub), tmp_path)
    failure = await outcome(reading(channel, operation))
    await channel.close()
    assert type(failure) is (NeedsPerson if row["expect"] == "auth" else NotSent)


@pytest.mark.parametrize("row", error_cases())
async def test_each_error_case_of_a_probe_is_told(
    row: dict[str, Any], stub: Stub, tmp_path: Path
) -> None:
    """A probe never raises: what is wrong is said in a sentence, with what to do."""
    shared_path("contracts", "derived")
    stub.answer = lambda _: reply(row)
    channel = build(await url_for(row, stub), tmp_path)
    found = await channel.probe()
    await channel.close()
    assert not found.ready
    assert found.sentence.endswith(".")
    assert found.remedy
    if row["http_status"] == 426:
        assert found.sentence == "LinkedIn's API version 202608 is switched off."
        assert "channels.city-linkedin.version" in found.remedy


@pytest.mark.parametrize("row", error_cases())
async def test_each_error_case_of_an_upload_lets_the_text_go(
    row: dict[str, Any], stub: Stub, tmp_path: Path
) -> None:
    """A picture is never worth a warning: only what would stop the text too stops it."""
    shared_path("contracts", "derived")
    keep_picture(tmp_path)
    stub.answer = lambda _: reply(row)
    channel = build(await url_for(row, stub), tmp_path)
    note, failure = "", None
    try:
        note = (await channel.prepare(with_card()))["note"]
    except Failure as caught:
        failure = caught
    stops = {"auth": NeedsPerson} | ({"not_sent_retry": NotSent} if not stub.requests else {})
    expected = stops.get(row["expect"])
    if expected and row["http_status"] != 403:  # which may be about pictures alone
        assert type(failure) is expected
    else:
        assert note.startswith("posted without its card: ")
    await channel.close()


ODD: list[tuple[int, Any, type[Failure]]] = [
    (201, b"<html>fine</html>", Unknown),
    (302, b"", Unknown),
    (400, {"code": ["no text"], "message": None}, Rejected),
    (400, {"errorDetails": {"inputErrors": [{"code": "FIELD_LENGTH_TOO_LONG"}, 7]}}, Rejected),
    (400, {"errorDetails": {"inputErrors": [{"code": WAITING["code"]}]}}, NotSent),
    (400, b"[" * 100_000, Rejected),
    (400, {"code": "DUPLICATE_POST", "message": "x"}, Rejected),
    (402, {"code": "PAY"}, NeedsPerson),
    (408, {"code": "TIMEOUT"}, Unknown),
    (404, {"code": "NOT_FOUND"}, Rejected),
    (500, DUPLICATE, Unknown),
]


@pytest.mark.parametrize(("status", "body", "kind"), ODD)
async def test_odd_answers_have_an_outcome_too(
    channel: linkedin.LinkedIn, stub: Stub, status: int, body: Any, kind: type[Failure]
) -> None:
    """A body of any shape ends in one of the failures."""
    stub.say(status, body)
    with pytest.raises(kind) as caught:
        await channel.send(delivery())
    assert type(caught.value) is kind


async def test_a_refusal_that_breaks_off_is_unknown(channel: linkedin.LinkedIn, stub: Stub) -> None:
    """It may say "duplicate", which would be evidence: unread, it proves nothing."""
    stub.say(422, b"x" * 3_000_000)
    with pytest.raises(Unknown):
        await channel.send(delivery())


# The card


async def test_the_card_goes_with_the_text(channel: linkedin.LinkedIn, stub: Stub) -> None:
    """The picture that was uploaded, with its text for those who do not see it."""
    stub.answer = lambda _: named()
    receipt = await channel.send(with_card(handle=HANDLE))
    assert receipt.note is None
    body = json.loads(stub.requests[0].body)
    assert body["content"] == {"media": {"id": IMAGE, "altText": "Karte: Rauch (Hörde)"}}


async def test_a_text_without_its_card_says_so(channel: linkedin.LinkedIn, stub: Stub) -> None:
    """What went wrong with the upload is in the receipt."""
    stub.answer = lambda _: named()
    receipt = await channel.send(with_card(handle={"note": "posted without its card: why"}))
    assert receipt.note == "posted without its card: why"
    assert "content" not in json.loads(stub.requests[0].body)


async def test_a_delivery_without_a_card_needs_no_first_step(
    channel: linkedin.LinkedIn, stub: Stub
) -> None:
    """Nothing is asked of LinkedIn for it."""
    assert await channel.prepare(delivery()) == {}
    assert stub.requests == []


async def test_a_picture_that_is_not_ready_is_waited_for(
    channel: linkedin.LinkedIn, stub: Stub
) -> None:
    """For a second, with the same picture."""
    stub.say(400, WAITING)
    with pytest.raises(NotSent) as caught:
        await channel.send(with_card(handle=HANDLE))
    assert caught.value.retry_after == timedelta(seconds=1)
    assert not caught.value.afresh
    assert len(stub.requests) == 1


REFUSALS: list[tuple[int, Any]] = [
    (400, SPOILED),
    (400, {"code": "INVALID_URN_ID", "message": "/content/media/id"}),
    (422, {"message": "ERROR :: /content/media/altText :: too long"}),
    (404, {"code": "NOT_FOUND"}),
]


@pytest.mark.parametrize(("status", "body"), REFUSALS)
async def test_a_refused_picture_does_not_keep_the_text(
    channel: linkedin.LinkedIn, stub: Stub, status: int, body: Any
) -> None:
    """Nothing was accepted, so the text goes at once without it, and the receipt says so."""
    stub.answer = lambda one: Reply(status, body) if b'"content"' in one.body else named()
    receipt = await channel.send(with_card(handle=HANDLE))
    assert receipt.note == "posted without its card: LinkedIn did not take the picture"
    assert len(stub.requests) == 2


async def test_a_picture_is_waited_for_not_for_ever(stub: Stub, tmp_path: Path) -> None:
    """After some seconds the warning goes without it."""
    clock = Napping()
    channel = build(stub.url, tmp_path, clock=clock)
    stub.answer = lambda one: Reply(400, WAITING) if b'"content"' in one.body else named()
    clock.moved = timedelta(seconds=6)
    receipt = await channel.send(with_card(handle=HANDLE))
    assert receipt.note == "posted without its card: LinkedIn has not processed the picture in time"
    await channel.close()


NO_SECOND: list[tuple[Reply | Fault, type[Failure]]] = [
    (Reply(422, DUPLICATE), Rejected),
    (Reply(400, {"code": "FIELD_LENGTH_TOO_LONG"}), Rejected),
    (Reply(426, {"code": "NONEXISTENT_VERSION"}), Rejected),
    (Reply(401, {}), NeedsPerson),
    (Reply(403, {}), NeedsPerson),
    (Reply(429, {}), NotSent),
    (Reply(409, {"code": "CONFLICT"}), Unknown),
    (Reply(500, SPOILED), Unknown),
    (Fault.CLOSE, Unknown),
]


@pytest.mark.parametrize(("answer", "kind"), NO_SECOND)
async def test_only_a_refused_picture_is_left_out(
    channel: linkedin.LinkedIn, stub: Stub, answer: Reply | Fault, kind: type[Failure]
) -> None:
    """What may have been posted, or would be refused without the picture too, is sent once."""
    stub.answer = lambda _: answer
    with pytest.raises(kind):
        await channel.send(with_card(handle=HANDLE))
    assert len(stub.requests) == 1


# Reading back


async def test_a_lost_post_is_found_by_its_reference(
    channel: linkedin.LinkedIn, stub: Stub, page: Page
) -> None:
    """After a lost answer the page's own posts are read, the newest first."""
    page.posts += [listed(OLD, "other"), listed(POST, little.escape(TEXT))]
    found = await channel.find(with_card(handle={"note": "posted without its card: why"}))
    assert found == Receipt(
        POST,
        f"https://www.linkedin.com/feed/update/{POST}/",
        note="posted without its card: why",
    )
    split = urlsplit(stub.requests[0].path)
    query = {"q": "author", "author": US, "count": "20", "sortBy": "CREATED"}
    assert dict(parse_qsl(split.query)) == query


async def test_reading_back_turns_every_page(
    channel: linkedin.LinkedIn, stub: Stub, page: Page
) -> None:
    """The post is found on the third page of a busy account."""
    page.posts += [listed(f"urn:li:share:{n}", "other") for n in range(55)]
    page.posts.append(listed(POST, little.escape(TEXT)))
    assert await channel.find(delivery()) is not None
    starts = [dict(parse_qsl(urlsplit(one.path).query)).get("start") for one in stub.requests]
    assert starts == [None, "20", "40"]


async def test_an_absent_post_is_absent_only_after_the_last_page(
    channel: linkedin.LinkedIn, stub: Stub, page: Page
) -> None:
    """A page with posts left out is not the last; an empty one, or one that is too old, is."""
    page.posts += [listed(f"urn:li:share:{n}", "other") for n in range(45)]
    assert await channel.find(delivery()) is None
    assert len(stub.requests) == 4
    old = NOW - timedelta(seconds=121)
    page.posts[:] = [listed(f"urn:li:share:{n}", "other", old) for n in range(45)]
    stub.requests.clear()
    assert await channel.find(delivery()) is None
    assert len(stub.requests) == 1


NOT_IT = [
    pytest.param(listed(POST, TEXT.replace("26-0142/1", "26-0142/12")), id="longer-reference"),
    pytest.param(listed(POST, TEXT.replace("26-0142/1", "126-0142/1")), id="other-year"),
    pytest.param(listed(POST, TEXT, NOW - timedelta(seconds=121)), id="before-the-intent"),
    pytest.param(listed(POST, "Fire in Dortmund. No. 26-0142/1"), id="other-language"),
    pytest.param(listed(POST, f"Hallo! {TEXT}"), id="more-text"),
    pytest.param(listed(POST, TEXT, lifecycleState="PUBLISH_FAILED"), id="never-published"),
    pytest.param(listed(POST, TEXT, lifecycleState="DRAFT"), id="a-draft"),
    pytest.param(listed(POST, "") | {"commentary": None}, id="no-text"),
]


@pytest.mark.parametrize("post", NOT_IT)
async def test_another_post_is_not_taken_for_it(
    channel: linkedin.LinkedIn, page: Page, post: dict[str, Any]
) -> None:
    """Neither another version, nor an older post, nor another language, nor one nobody sees."""
    page.posts.append(post)
    assert await channel.find(delivery()) is None


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("Rauch (Nord) #Feuer Nr. 26-0142/1", r"Rauch \(Nord\) {hashtag|\#|Feuer} Nr. 26-0142/1"),
        ("Rauch (Nord) Nr. 26-0142/1", "Rauch (Nord) Nr. 26-0142/1"),
        ("Ho\u0308rde Nr. 26-0142/1", "H\u00f6rde Nr. 26-0142/1"),
        ("Zeile 1\n\nZeile 2 Nr. 26-0142/1\n", "Zeile 1\n\nZeile 2 Nr. 26-0142/1"),
        (TEXT, f"{little.escape(POINTER)}\n\n{TEXT}"),
    ],
)
async def test_a_text_that_linkedin_gives_back_otherwise_is_found(
    channel: linkedin.LinkedIn, page: Page, ours: str, theirs: str
) -> None:
    """Hashtags become templates, white space may go, and it may be marked as overtaken by now."""
    page.posts.append(listed(POST, theirs))
    assert await channel.find(delivery(text=ours)) is not None


@pytest.mark.parametrize("stamp", [None, "soon", -1, 10**20, True])
async def test_a_post_without_a_time_is_taken(
    channel: linkedin.LinkedIn, page: Page, stamp: Any
) -> None:
    """A missing time is no reason to miss a post, and to post twice."""
    page.posts.append(listed(POST, TEXT) | {"createdAt": stamp})
    assert await channel.find(delivery()) is not None


async def test_parts_in_two_languages_are_told_apart(
    channel: linkedin.LinkedIn, page: Page
) -> None:
    """Both carry the same reference; the text says which is which."""
    english = "Fire in Dortmund: close windows. City, 02:47, No. 26-0142/1"
    page.posts += [listed(OLD, english), listed(POST, TEXT)]
    found = [await channel.find(one) for one in (delivery(), delivery(text=english, part="en"))]
    assert [one.remote_id for one in found if one] == [POST, OLD]


UNREAD: list[tuple[Reply | Fault, type[Failure]]] = [
    (Fault.CLOSE, NotSent),
    (Fault.GARBAGE, NotSent),
    (Fault.CUT_BODY, NotSent),
    (Reply(200, {}), NotSent),
    (Reply(200, {"elements": None}), NotSent),
    (Reply(200, {"elements": [{"commentary": "no id"}]}), NotSent),
    (Reply(200, b"x" * 2_000_000), NotSent),
    (Reply(404, {}), NotSent),
    (Reply(403, {"code": "ACCESS_DENIED"}), NeedsPerson),
]


@pytest.mark.parametrize(("answer", "kind"), UNREAD)
async def test_a_list_that_was_not_read_proves_no_absence(
    channel: linkedin.LinkedIn, stub: Stub, answer: Reply | Fault, kind: type[Failure]
) -> None:
    """Only a whole list does: everything else is a failure to ask, never "it is not there"."""
    stub.answer = lambda _: answer
    with pytest.raises(kind):
        await channel.find(delivery())


async def test_a_list_without_end_is_undecided(channel: linkedin.LinkedIn, stub: Stub) -> None:
    """A list that never ends proves no absence, and is not read for ever."""
    stub.say(200, {"elements": [listed(OLD, "other")]})
    with pytest.raises(Unknown):
        await channel.find(delivery())
    assert len(stub.requests) == 50


# Duplicates


def behind(request: Request) -> Reply | None:
    """List nothing yet."""
    return Reply(200, {"elements": []}) if "q=author" in request.path else None


async def test_a_named_duplicate_is_looked_up(
    channel: linkedin.LinkedIn, stub: Stub, page: Page
) -> None:
    """LinkedIn's list may be behind; what it called our duplicate is read, and compared."""
    page.instead = lambda one: Reply(422, DUPLICATE) if one.method == "POST" else None
    failure = await outcome(channel.send(delivery()))
    assert isinstance(failure, Rejected)
    assert failure.duplicate
    page.instead = behind
    assert await channel.find(delivery()) is None  # LinkedIn has named a post that is not there
    page.posts.append(listed(POST, TEXT))
    found = await channel.find(delivery())
    assert found is not None
    assert found.remote_id == POST
    assert sent_to(stub, "GET", "urn%3Ali%3Ashare")


async def test_a_named_duplicate_that_says_something_else_is_not_adopted(
    channel: linkedin.LinkedIn, stub: Stub, page: Page
) -> None:
    """Only our own text, with our own reference, and not from before the intent."""
    stub.say(422, DUPLICATE)
    await outcome(channel.send(delivery()))
    stub.answer = page
    page.instead = behind
    page.posts.append(listed(POST, TEXT.replace("26-0142/1", "26-0141/1")))
    assert await channel.find(delivery()) is None
    page.posts[0] = listed(POST, TEXT, NOW - timedelta(hours=2))
    assert await channel.find(delivery()) is None


async def test_a_duplicate_of_another_delivery_is_not_ours(
    channel: linkedin.LinkedIn, stub: Stub, page: Page
) -> None:
    """What was named for one delivery says nothing of another; and the memory has an end."""
    stub.say(422, DUPLICATE)
    await outcome(channel.send(delivery(id="d0")))
    stub.answer = page
    page.posts.append(listed(POST, TEXT))
    page.instead = behind
    assert await channel.find(delivery()) is None
    for number in range(linkedin.NAMED_MAX + 5):
        channel._remember(delivery(id=f"n{number}"), POST)
    assert len(channel._named) == linkedin.NAMED_MAX


async def test_a_named_duplicate_that_cannot_be_read_is_undecided(
    channel: linkedin.LinkedIn, stub: Stub
) -> None:
    """The list does not show it, but that alone proves no absence any more."""
    stub.say(422, DUPLICATE)
    await outcome(channel.send(delivery()))
    empty = Reply(200, {"elements": []})
    stub.answer = lambda one: empty if "q=author" in one.path else Reply(503)
    with pytest.raises(NotSent):
        await channel.find(delivery())


# Looking


async def test_a_look_sees_what_people_see(channel: linkedin.LinkedIn, page: Page) -> None:
    """Text as it is read, counts, and that it was seen with our own login."""
    text = "Rauch (Nord) #Feuer Nr. 26-0142/1"
    page.posts.append(listed(POST, r"Rauch \(Nord\) {hashtag|\#|Feuer} Nr. 26-0142/1"))
    sight = await channel.look(delivery(text=text, receipt=Receipt(POST)))
    assert (sight.there, sight.altered, sight.public) == (True, False, False)
    assert sight.text == text
    assert sight.counts == {"likes": 4, "replies": 2}
    assert sight.url == f"https://www.linkedin.com/feed/update/{POST}/"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"lifecycleState": "PUBLISH_REQUESTED"}, "still processing"),
        ({"lifecycleState": "PUBLISH_FAILED"}, "failed to publish"),
        ({"lifecycleState": "DRAFT"}, "not published"),
        ({"visibility": "LOGGED_IN"}, "not for everyone"),
    ],
)
async def test_a_look_says_why_nobody_sees_it(
    channel: linkedin.LinkedIn, page: Page, change: dict[str, str], reason: str
) -> None:
    """LinkedIn takes a post first, and may fail to publish it later."""
    page.posts.append(listed(POST, TEXT) | change)
    sight = await channel.look(delivery(receipt=Receipt(POST)))
    assert not sight.there
    assert reason in (sight.reason or "")


async def test_a_look_notices_another_text(channel: linkedin.LinkedIn, page: Page) -> None:
    """But not a pointer to a later version, which we have put there ourselves."""
    seen = delivery(receipt=Receipt(POST))
    page.posts.append(listed(POST, "Alles gut. Nr. 26-0142/1"))
    assert (await channel.look(seen)).altered
    page.posts[0]["commentary"] = f"{little.escape(POINTER)}\n\n{TEXT}"
    assert not (await channel.look(seen)).altered
    page.posts[0]["commentary"] = f"Falscher Alarm!\n\n{TEXT}"
    assert (await channel.look(seen)).altered
    page.posts.clear()
    assert (await channel.look(seen)).reason == "deleted, or taken down by LinkedIn"


def counts_say(answer: Reply | Fault) -> Callable[[Request], Reply | Fault | None]:
    """Answer so where the counts are asked for."""
    return lambda request: answer if "socialMetadata" in request.path else None


async def test_a_look_does_not_need_the_counts(channel: linkedin.LinkedIn, page: Page) -> None:
    """Where they cannot be read, there are none to tell."""
    page.posts.append(listed(POST, TEXT))
    for answer in (Reply(403, {}), Reply(200, {"commentSummary": 7}), Fault.CLOSE):
        page.instead = counts_say(answer)
        sight = await channel.look(delivery(receipt=Receipt(POST)))
        assert (sight.there, sight.counts) == (True, {})


# Taking down


@pytest.mark.parametrize("post", [None, "", "701", "../posts", "urn:li:share:1,2"])
async def test_a_receipt_without_a_post_is_not_deleted(
    channel: linkedin.LinkedIn, stub: Stub, post: str | None
) -> None:
    """Nothing is asked of LinkedIn for an id that is none."""
    with pytest.raises(Rejected):
        await channel.retract(Receipt(post))
    with pytest.raises(Rejected, match="comment"):
        await channel.retract(Receipt(post, details={"on": POST}))
    assert stub.requests == []


# Readiness


async def test_a_probe_says_who_we_are_and_posts_nothing(
    channel: linkedin.LinkedIn, stub: Stub, page: Page
) -> None:
    """One own post is listed: that needs the token, its permissions and a living version."""
    assert page.posts == []
    found = await channel.probe()
    assert found.ready
    assert found.sentence == "LinkedIn shows us the posts of organization 4711."
    assert found.identity == {"id": US, "handle": "4711", "server": "127.0.0.1"}
    assert found.remedy is None
    assert [one.method for one in stub.requests] == ["GET"]
    days = (datetime(2027, 8, 1, tzinfo=UTC) - NOW) / timedelta(days=1)
    assert found.days_left == pytest.approx(days)


async def test_the_end_of_a_version_is_told_60_days_ahead(
    stub: Stub, page: Page, tmp_path: Path
) -> None:
    """With the key to change; the token's end comes first where it is nearer."""
    assert page.posts == []
    channel = build(stub.url, tmp_path, version="202601")  # ends 2027-01-15, 54 days from now
    found = await channel.probe()
    await channel.close()
    assert found.ready
    assert 53 < (found.days_left or 0) < 54
    assert found.remedy == (
        "Version 202601 ends on 2027-01-15. Set channels.city-linkedin.version to a newer one"
        " (YYYYMM), and restart."
    )
    channel = build(stub.url, tmp_path, version="202602")
    assert (await channel.probe()).remedy is None
    await channel.close()


async def test_the_end_of_a_token_is_told_30_days_ahead(
    stub: Stub, page: Page, tmp_path: Path
) -> None:
    """`days_left` is the sooner of the two ends."""
    assert page.posts == []
    ends = (NOW + timedelta(days=20)).isoformat()
    token = json.dumps({"access_token": TOKEN, "expires": ends})
    channel = build(stub.url, tmp_path, token=token)
    found = await channel.probe()
    await channel.close()
    assert found.days_left == pytest.approx(20)
    assert found.remedy == (
        "The token ends in 20 days. Connect it again: broadcaster channels connect city-linkedin."
    )


async def test_a_version_past_its_end_is_not_ready(stub: Stub, page: Page, tmp_path: Path) -> None:
    """Even while LinkedIn still answers: any day it may not."""
    assert page.posts == []
    for version, end in (("202511", "2026-11-16"), ("202506", "2026-06-01")):
        channel = build(stub.url, tmp_path, version=version)
        found = await channel.probe()
        await channel.close()
        assert not found.ready
        assert found.sentence == f"LinkedIn's API version {version} is past its end, {end}."


async def test_an_expired_token_is_told_without_asking(
    stub: Stub, page: Page, tmp_path: Path
) -> None:
    """Its end is known; a person must connect the channel again."""
    assert page.posts == []
    token = json.dumps({"access_token": TOKEN, "expires": NOW.isoformat()})
    channel = build(stub.url, tmp_path, token=token)
    found = await channel.probe()
    assert not found.ready
    assert found.sentence == "The token has expired; connect the channel again."
    with pytest.raises(NeedsPerson):
        await channel.send(delivery())
    await channel.close()
    assert stub.requests == []


async def test_warming_asks_for_nothing_and_never_fails(stub: Stub, tmp_path: Path) -> None:
    """No token is shown, and a network that is away is no matter."""
    channel = build(stub.url, tmp_path)
    await channel.warm()
    assert [one.method for one in stub.requests] == ["HEAD"]
    assert "authorization" not in stub.requests[0].headers
    await channel.close()
    away = build(f"http://127.0.0.1:{free_port()}", tmp_path)
    await away.warm()
    await away.close()


# Tokens


def grant(**more: Any) -> str:
    """Give a token file as `channels connect` writes it, good for 5 days more."""
    return json.dumps(
        {
            "access_token": TOKEN,
            "expires": (NOW + timedelta(days=50)).isoformat(),
            "refresh_token": SECRET,
            "refresh_expires": (NOW + timedelta(days=300)).isoformat(),
        }
        | more
    )


def with_app(stub: Stub, place: Path, token: str) -> linkedin.LinkedIn:
    """Build a channel that can renew its token."""
    keep_secret(place, "app-secret", "sandbox-app")
    more = {"client_id": "77", "client_secret_file": "app-secret"}
    return build(stub.url, place, token=token, **more)


def oauth_or(answer: Any, given: dict[str, Any]) -> Any:
    """Answer the token's address with a new token, everything else so."""
    return lambda one: Reply(200, given) if "/oauth/" in one.path else answer(one)


async def test_a_401_is_asked_once_more_with_a_new_token(stub: Stub, tmp_path: Path) -> None:
    """It has accepted nothing. What LinkedIn gave is kept, and used from then on."""
    channel = with_app(stub, tmp_path, grant())
    fresh = "sandbox-linkedin-fresh"

    def posts(request: Request) -> Reply:
        good = request.headers["authorization"] == f"Bearer {fresh}"
        return named() if good else Reply(401, {"code": "EXPIRED_ACCESS_TOKEN"})

    stub.answer = oauth_or(posts, {"access_token": fresh, "expires_in": 5_184_000})
    assert (await channel.send(delivery())).remote_id == POST
    await channel.send(delivery())
    await channel.close()
    paths = [urlsplit(one.path).path for one in stub.requests]
    assert paths == ["/rest/posts", "/oauth/v2/accessToken", "/rest/posts", "/rest/posts"]
    assert fresh in (tmp_path / "city-linkedin.token").read_text("utf-8")


async def test_a_token_is_renewed_ahead(stub: Stub, tmp_path: Path) -> None:
    """Before it ends; and `days_left` is that of the refresh token, which no renewal extends."""
    channel = with_app(stub, tmp_path, grant(expires=(NOW + timedelta(days=9)).isoformat()))
    fresh = {"access_token": "sandbox-linkedin-fresh", "expires_in": 5_184_000}
    stub.answer = oauth_or(lambda _: named(), fresh)
    await channel.send(delivery())
    assert [urlsplit(one.path).path for one in stub.requests] == [
        "/oauth/v2/accessToken",
        "/rest/posts",
    ]
    assert channel._api.tokens.days_left == pytest.approx(300)
    await channel.close()


async def test_a_renewal_that_hangs_holds_up_no_post(stub: Stub, tmp_path: Path) -> None:
    """The token is still good; it is renewed the next time."""
    channel = with_app(stub, tmp_path, grant(expires=(NOW + timedelta(days=9)).isoformat()))
    stub.answer = lambda one: Fault.HANG if "/oauth/" in one.path else named()
    started = SystemClock().elapsed()
    assert (await channel.send(delivery())).remote_id == POST
    assert SystemClock().elapsed() - started < SHORT.attempt_seconds / 2
    await channel.close()


async def test_a_401_without_a_way_to_renew_needs_a_person(stub: Stub, tmp_path: Path) -> None:
    """Also where the new token is refused: nobody asks a third time."""
    stub.answer = lambda one: (
        Reply(200, {"access_token": "sandbox-linkedin-fresh"})
        if "/oauth/" in one.path
        else Reply(401, {})
    )
    for channel, asked in ((build(stub.url, tmp_path), 1), (with_app(stub, tmp_path, grant()), 3)):
        stub.requests.clear()
        with pytest.raises(NeedsPerson):
            await channel.send(delivery())
        assert len(stub.requests) == asked
        await channel.close()


def always(answer: Reply | Fault) -> Callable[[Request], Reply | Fault]:
    """Answer everything so."""
    return lambda _: answer


async def test_no_secret_is_shown(
    stub: Stub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the channel's picture of itself, nor a reason, nor a log holds a token."""
    caplog.set_level(logging.DEBUG)
    channel = with_app(stub, tmp_path, grant())
    shown = [repr(channel), repr(channel._api), repr(channel._api.tokens)]
    for answer in (Reply(400, {"code": TOKEN, "message": TOKEN}), Fault.CLOSE, Reply(401, {})):
        stub.answer = always(answer)
        with pytest.raises(Failure) as caught:
            await channel.send(delivery())
        shown.append(str(caught.value))
    await channel.close()
    text = " ".join([*shown, caplog.text])
    assert not [one for one in (TOKEN, SECRET, "sandbox-app") if one in text]


# Settings and limits


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": "2026-08"},
        {"version": "202613"},
        {"version": ""},
        {"organization_id": "urn:li:organization:1"},
        {"client_id": "77"},
        {"client_secret_file": "x"},
        {"base_url": "http://api.linkedin.com"},
        {"token_url": "http://www.linkedin.com"},
    ],
)
def test_wrong_settings_are_told(wrong: dict[str, str]) -> None:
    """Before anything is posted, and never in the clear."""
    right = {"organization_id": "4711", "access_token_file": "t"}
    linkedin.Settings.model_validate(right)
    with pytest.raises(ValidationError):
        linkedin.Settings.model_validate({**right, **wrong})


def test_connecting_needs_the_app(tmp_path: Path) -> None:
    """The flow is that of the app whose id and secret are configured."""
    settings = linkedin.Settings(organization_id="4711", access_token_file="t")
    with pytest.raises(ValueError, match="client_id"):
        linkedin.oauth(setup_for(tmp_path, "linkedin"), settings)
    keep_secret(tmp_path, "app-secret", "sandbox-app")
    whole = settings.model_copy(update={"client_id": "77", "client_secret_file": "app-secret"})
    flow = linkedin.oauth(setup_for(tmp_path, "linkedin"), whole)
    assert flow.token_file == "t"
    assert flow.authorize("http://127.0.0.1/x", "s").startswith("https://www.linkedin.com/oauth/")
    assert "sandbox-app" not in flow.authorize("http://127.0.0.1/x", "s")


@pytest.mark.parametrize(
    ("piece", "units"),
    [
        ("ü", 1),
        ("U\u0308", 2),
        ("👩‍👩‍👧", 8),
        ("🇩🇪", 4),
        ("مرحبا", 5),
        ("警", 1),
        ("(", 1),
        ("https://stadt.example.org/a_b ", 30),
    ],
)
def test_a_text_has_3000_utf_16_units(channel: linkedin.LinkedIn, piece: str, units: int) -> None:
    """One below, at the limit, and one above; backslashes are not seen, and not counted."""
    text = piece * (2_900 // units)
    text += "x" * (3_000 - length(text, channel.limits))
    assert len(text.encode("utf-16-le")) // 2 == 3_000
    assert fits(text[:-1], channel.limits)
    assert fits(text, channel.limits)
    assert not fits(text + "x", channel.limits)


async def test_a_delivery_without_a_text_is_rejected(
    channel: linkedin.LinkedIn, stub: Stub
) -> None:
    """There is nothing to post, nothing to find, and nothing is asked."""
    without: Delivery = delivery(message=None, reply_to=Receipt(POST))
    for work in (channel.send(without), channel.correct(without)):
        with pytest.raises(Rejected):
            await work
    assert await channel.find(without) is None
    assert await channel.prepare(without) == {}
    assert stub.requests == []


# Against the stand-in, which knows nothing of this code


STADT = "sandbox-stadt-dortmund"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """Run the stand-in networks."""
    running = Sandbox(ManualClock(wall=NOW))
    await running.start()
    yield running
    await running.close()


@pytest.fixture
async def city(sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[linkedin.LinkedIn]:
    """Give a channel to the stand-in, with the clock of both."""
    settings = linkedin.Settings(
        organization_id=str(account(STADT).number),
        access_token_file=keep_secret(tmp_path, "token", STADT),
        base_url=f"{sandbox.url}/linkedin",
    )
    setup = replace(setup_for(tmp_path, "linkedin"), clock=sandbox.posts.clock)
    one = linkedin.build(setup, settings)
    yield one
    await one.close()


def seen(sandbox: Sandbox) -> list[str]:
    """Give what readers see."""
    return [post.text for post in sandbox.posts.of("linkedin") if not post.deleted]


@pytest.mark.parametrize("text", [text for text in NASTY if text.strip()])
async def test_readers_see_all_of_a_nasty_text(
    city: linkedin.LinkedIn, sandbox: Sandbox, text: str
) -> None:
    """From the channel to the reader, by way of LinkedIn's own reading of it; and it is found."""
    one = delivery(text=f"{text} Nr. 26-0142/1")
    if length(f"{text} Nr. 26-0142/1", city.limits) > linkedin.TEXT_MAX:
        with pytest.raises(Rejected, match="TOO_LONG"):
            await city.send(one)
        return
    receipt = await city.send(one)
    assert seen(sandbox) == [f"{text} Nr. 26-0142/1"]
    found = await city.find(one)
    assert found is not None
    assert found.remote_id == receipt.remote_id
    assert not (await city.look(replace(one, receipt=receipt))).altered


async def test_a_post_lives_its_life(
    city: linkedin.LinkedIn, sandbox: Sandbox, tmp_path: Path
) -> None:
    """With its card: sent, seen, marked as overtaken by an edit, seen as that, taken down."""
    keep_picture(tmp_path, drawn())
    one = with_card()
    one = replace(one, handle=await city.prepare(one))
    receipt = await city.send(one)
    assert receipt.note is None
    one = replace(one, receipt=receipt)
    assert (await city.look(one)).reason == "LinkedIn is still processing it"
    await sandbox.posts.clock.sleep(1)
    assert (await city.look(one)).there
    mark = correction(str(receipt.remote_id))
    done = await city.correct(mark)
    assert seen(sandbox) == [f"{POINTER}\n\n{TEXT}"]
    assert await city.find(mark) == done
    assert not (await city.look(one)).altered
    (post,) = sandbox.posts.of("linkedin")
    assert [media["alt"] for media in post.media] == ["Karte: Rauch (Hörde)"]
    await city.retract(receipt)
    await city.retract(receipt)
    assert seen(sandbox) == []
    assert (await city.look(one)).reason == "deleted, or taken down by LinkedIn"
    assert (await city.probe()).ready


async def test_an_edit_that_gets_too_long_becomes_a_comment(
    city: linkedin.LinkedIn, sandbox: Sandbox
) -> None:
    """The old text stays whole, and the pointer stands below it."""
    text = "x" * (linkedin.TEXT_MAX - 14) + " Nr. 26-0142/1"
    receipt = await city.send(delivery(text=text))
    mark = correction(str(receipt.remote_id))
    done = await city.correct(mark)
    assert done.note is not None
    assert seen(sandbox) == [text, POINTER]
    assert await city.correct(replace(mark, doubtful=True)) == done
    assert (await city.look(replace(mark, receipt=done))).there


async def test_a_post_that_its_list_hides_is_found_by_its_duplicate(
    city: linkedin.LinkedIn, sandbox: Sandbox
) -> None:
    """The answer was lost, the list is behind, a resend is refused: there is one post, ours."""
    sandbox.faults.put(
        SandboxFault(network="linkedin", fault=Kind.LOST_ANSWER, hidden_seconds=3_600)
    )
    with pytest.raises(Unknown):
        await city.send(delivery())
    assert await city.find(delivery()) is None
    with pytest.raises(Rejected) as caught:
        await city.send(delivery())
    assert caught.value.duplicate
    found = await city.find(delivery())
    assert found is not None
    (post,) = sandbox.posts.of("linkedin")
    assert found.remote_id == post.id


async def test_a_version_that_was_switched_off_is_told(
    city: linkedin.LinkedIn, sandbox: Sandbox
) -> None:
    """Within the year in which it happens, with the key to change."""
    clock = sandbox.posts.clock
    assert isinstance(clock, ManualClock)
    clock.move(300 * 86_400)
    found = await city.probe()
    assert found.sentence == "LinkedIn's API version 202608 is switched off."
    assert found.remedy == (
        "Set channels.city-linkedin.version to a newer one (YYYYMM), and restart."
    )
    with pytest.raises(Rejected, match="version"):
        await city.send(delivery())
