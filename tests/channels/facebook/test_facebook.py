"""Facebook Pages: one post, its card, its correction; and what each answer of Graph means."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from pydantic import ValidationError

from broadcaster.channels import LANDSCAPE, facebook
from broadcaster.channels.facebook import calls as facebook_calls
from broadcaster.channels.facebook.token import TO_COMMENT, TO_POST
from broadcaster.config import Timing
from broadcaster.delivery import (
    Act,
    Delivery,
    Failure,
    Media,
    Message,
    NeedsPerson,
    NotSent,
    Receipt,
    Rejected,
    Unknown,
)
from broadcaster.measure import fits, length
from broadcaster.terminal.child import free_port
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

SHORT = Timing(attempt_seconds=1.2, connect_seconds=0.8)
TOKEN, SECRET = "EAAB-sandbox-page-token", "sandbox-app-secret"
PAGE, POST, OTHER = "111", "111_222", "111_333"
POINTER = "Überholt: siehe Nr. 26-0142/2"
CARD = Media(
    "c0", "Warnkarte: Großbrand", "image/png", 1200, 675, False, "d0", "https://s.example/d0"
)
GONE = {"error": {"message": "Unsupported get request.", "code": 100, "error_subcode": 33}}
DONE = Reply(200, {"success": True})
SCOPES = [*TO_POST, *TO_COMMENT, "pages_show_list"]


def error(code: int, subcode: int | None = None, status: int = 400) -> Reply:
    """Give Graph's error envelope."""
    said: dict[str, Any] = {"message": "m", "type": "OAuthException", "code": code}
    if subcode:
        said["error_subcode"] = subcode
    return Reply(status, {"error": said | {"fbtrace_id": "A1"}})


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    """Run a stand-in for Graph that answers as told."""
    async with serving() as one:
        yield one


def build(base_url: str, place: Path, *, app: bool = True, **more: Any) -> facebook.Facebook:
    """Build the channel with its secrets."""
    if app:
        secret = keep_secret(place, "app-secret", SECRET)
        more = {"app_id": "7", "app_secret_file": secret, **more}
    token = keep_secret(place, "page-token", TOKEN)
    settings = facebook.Settings.model_validate(
        {"page_id": PAGE, "access_token_file": token, "base_url": base_url, **more}
    )
    return facebook.build(setup_for(place, "facebook", timing=SHORT), settings)


@pytest.fixture
async def channel(stub: Stub, tmp_path: Path) -> AsyncIterator[facebook.Facebook]:
    """Give a channel to the stand-in."""
    one = build(stub.url, tmp_path)
    yield one
    await one.close()


def carded(text: str = TEXT) -> Delivery:
    """Give a delivery with a drawn card."""
    return delivery(message=Message(text, "de", media=(CARD,)))


def correction(**changes: Any) -> Delivery:
    """Give a delivery that marks the post of the version before as overtaken."""
    return delivery(
        message=Message(POINTER, "de", act=Act.CORRECT), reply_to=Receipt(POST), **changes
    )


def sent(**changes: Any) -> Delivery:
    """Give a delivery that is out."""
    return delivery(receipt=Receipt(POST), **changes)


def listed(number: int, text: str | None, at: datetime = NOW) -> dict[str, Any]:
    """Give a post as Facebook lists it."""
    created = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")
    post = {"id": f"{PAGE}_{number}", "created_time": created}
    return post if text is None else post | {"message": text}


def query_of(request: Request) -> dict[str, str]:
    """Give the parameters in a request's address."""
    return dict(parse_qsl(urlsplit(request.path).query))


def said_in(request: Request) -> dict[str, Any]:
    """Give the parameters in a request's body."""
    body: dict[str, Any] = json.loads(request.body)
    return body


Answers = Callable[[Request], Reply | Fault]


def network(
    posts: list[dict[str, Any]],
    comments: list[dict[str, Any]] | None = None,
    *,
    edit: Reply | Fault = DONE,
    comment: Reply | Fault | None = None,
    delete: Reply | Fault = DONE,
) -> Answers:
    """Behave as Graph does, with these posts of the Page, newest first."""

    def answer(request: Request) -> Reply | Fault:
        path = urlsplit(request.path).path.removeprefix("/v25.0")
        node, _, edge = path.removeprefix("/").partition("/")
        if request.method == "DELETE":
            return delete
        if request.method == "POST":
            return {
                "feed": Reply(200, {"id": POST}),
                "photos": Reply(200, {"id": "999", "post_id": POST}),
                "comments": comment or Reply(200, {"id": "222_7"}),
            }.get(edge, edit)
        if edge:
            rows = posts if edge == "published_posts" else comments or []
            return pages(rows, query_of(request))
        return reading(node, posts)

    return answer


def pages(rows: list[dict[str, Any]], query: Mapping[str, str]) -> Reply:
    """Give one piece of a list."""
    start, limit = int(query.get("after", "0")), int(query["limit"])
    body: dict[str, Any] = {"data": rows[start : start + limit]}
    if rows:
        body["paging"] = {"cursors": {"before": "0", "after": str(start + limit)}}
    if start + limit < len(rows):
        body["paging"]["next"] = "https://graph.facebook.com/elsewhere?access_token=t"
    return Reply(200, body)


def reading(node: str, posts: list[dict[str, Any]]) -> Reply:
    """Give a post, the Page, or what a token is."""
    if node == "debug_token":
        return Reply(200, {"data": inspected()})
    if node == PAGE:
        return Reply(200, {"id": PAGE, "name": "Stadt Beispiel", "is_published": True})
    found = [post for post in posts if post["id"] == node]
    return Reply(200, found[0]) if found else Reply(400, GONE)


def inspected(**changes: Any) -> dict[str, Any]:
    """Give what /debug_token says of a good token."""
    token = {"type": "PAGE", "profile_id": PAGE, "is_valid": True, "expires_at": 0}
    return {**token, "data_access_expires_at": 0, "scopes": SCOPES, **changes}


async def test_a_text_goes_to_the_feed(channel: facebook.Facebook, stub: Stub) -> None:
    """One POST, with the text and nothing else; the receipt names the post."""
    stub.answer = network([])
    assert await channel.send(delivery()) == Receipt(POST, f"https://www.facebook.com/{POST}")
    (request,) = stub.requests
    assert (request.method, request.path) == ("POST", "/v25.0/111/feed")
    assert said_in(request) == {"message": TEXT}
    assert request.headers["authorization"] == f"Bearer {TOKEN}"


async def test_a_card_goes_as_a_photo_with_the_text(channel: facebook.Facebook, stub: Stub) -> None:
    """Facebook fetches the picture; the receipt names the post, not the photo in it."""
    stub.answer = network([])
    receipt = await channel.send(carded())
    assert (receipt.remote_id, receipt.note) == (POST, None)
    (request,) = stub.requests
    assert request.path == "/v25.0/111/photos"
    assert said_in(request) == {
        "url": CARD.url,
        "caption": TEXT,
        "alt_text_custom": CARD.alt,
        "published": True,
    }


async def test_an_update_is_a_post_of_its_own(channel: facebook.Facebook, stub: Stub) -> None:
    """Pages have no replies: what the delivery answers changes nothing."""
    stub.answer = network([])
    await channel.send(delivery(reply_to=Receipt(OTHER)))
    assert said_in(stub.requests[0]) == {"message": TEXT}


UNFETCHED = [error(324), error(324, 2069019), error(100, 1366046), error(1, 1366046)]


@pytest.mark.parametrize("refusal", UNFETCHED)
async def test_a_text_whose_card_cannot_be_fetched_goes_alone(
    channel: facebook.Facebook, stub: Stub, refusal: Reply
) -> None:
    """The same attempt posts it, and the receipt says what is missing."""
    usual = network([])
    stub.answer = lambda request: refusal if "/photos" in request.path else usual(request)
    receipt = await channel.send(carded())
    assert receipt.remote_id == POST
    assert receipt.note == "posted without its card: Facebook could not fetch the picture"
    assert [request.path for request in stub.posts] == ["/v25.0/111/photos", "/v25.0/111/feed"]
    assert said_in(stub.posts[1]) == {"message": TEXT}


async def test_a_refused_photo_does_not_hold_back_its_text(
    channel: facebook.Facebook, stub: Stub
) -> None:
    """Whatever Facebook has against it: only the text's own refusal, or a repeat, ends it."""
    usual = network([])
    stub.answer = lambda request: error(100, 7) if "/photos" in request.path else usual(request)
    receipt = await channel.send(carded())
    assert receipt.note == "posted without its card: Facebook refuses this request: code 100/7"
    stub.requests.clear()
    stub.answer = lambda _: error(506)
    with pytest.raises(Rejected) as caught:
        await channel.send(carded())
    assert caught.value.duplicate
    assert len(stub.posts) == 1


DOUBTFUL = [
    error(1),
    error(2),
    error(324, status=500),
    Reply(200, {"id": "999"}),
    Reply(400, b'{"error": {"code": 324}}' + b" " * 1_100_000),
    Fault.CLOSE,
    Fault.HANG,
]


@pytest.mark.parametrize("answer", DOUBTFUL)
async def test_a_photo_that_may_be_out_is_not_posted_again(
    channel: facebook.Facebook, stub: Stub, answer: Reply | Fault
) -> None:
    """Only a whole refusal of the picture proves that nothing is there."""
    stub.answer = lambda _: answer
    with pytest.raises(Unknown):
        await channel.send(carded())
    assert len(stub.posts) == 1


async def test_a_text_after_its_picture_ends_with_the_attempt(
    channel: facebook.Facebook, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left of the attempt is all that the second request gets."""
    monkeypatch.setattr(facebook, "REST_SECONDS_MIN", 0.05)
    elapsed = iter([0.0, 0.0, 0.35, 0.35, 0.35])
    monkeypatch.setattr(channel._clock, "elapsed", lambda: next(elapsed))
    stub.answer = lambda request: error(324) if "/photos" in request.path else Fault.HANG
    with pytest.raises(Unknown) as caught:
        await channel.send(carded())
    assert "time limit" in caught.value.reason
    assert len(stub.posts) == 2


KINDS: Mapping[str, type[Failure]] = {
    "ambiguous": Unknown,
    "duplicate": Rejected,
    "rejected": Rejected,
    "auth": NeedsPerson,
    "blocked": NeedsPerson,
    "rate_limited": NotSent,
    "not_sent_retry": NotSent,
}
OPERATIONS = ("create_feed", "create_photo", "find", "correct", "look", "retract")


def error_cases() -> list[Any]:
    """Read the rows for Facebook, for every operation; without the shared data, one that skips."""
    path = SHARED / "contracts" / "derived" / "error-cases.json"
    if not path.exists():
        return [pytest.param({}, "create_feed", id="no-shared-data")]
    rows = json.loads(path.read_text("utf-8"))["cases"]
    mine = [row for row in rows if row["platform"] == "facebook"]
    return [
        pytest.param(row, operation, id=f"{number}-{operation}-{row['http_status']}")
        for number, row in enumerate(mine)
        for operation in OPERATIONS
        if row["expect"] != "sent" or row["operation"] == operation
    ]


async def does(channel: facebook.Facebook, operation: str) -> Failure | None:
    """Do it, and give the failure; None if it was taken."""
    works: dict[str, Callable[[], Awaitable[Any]]] = {
        "create_feed": lambda: channel.send(delivery()),
        "create_photo": lambda: channel.send(carded()),
        "find": lambda: channel.find(delivery()),
        "correct": lambda: channel.correct(correction()),
        "look": lambda: channel.look(sent()),
        "retract": lambda: channel.retract(Receipt(POST)),
    }
    try:
        result = await works[operation]()
    except Failure as failure:
        return failure
    if operation.startswith("create"):
        assert isinstance(result, Receipt)
        assert result.remote_id == POST
    return None


@pytest.mark.parametrize(("row", "operation"), error_cases())
async def test_each_error_case_has_its_outcome(
    row: dict[str, Any], operation: str, stub: Stub, tmp_path: Path
) -> None:
    """Every row of the table comes out as the delivery contract maps it, whatever was asked.

    A read is never unknown, rejected or a duplicate: it says nothing of a post, and is repeated.
    """
    shared_path("contracts", "derived")
    refused = row["http_status"] == "connect-refused"
    url = f"http://127.0.0.1:{free_port()}" if refused else stub.url
    if row["http_status"] == "timeout-after-send":
        stub.answer = lambda _: Fault.HANG
    elif not refused:
        stub.answer = lambda _: Reply(row["http_status"], row["body"], row["headers"])
    channel = build(url, tmp_path)
    failure = await does(channel, operation)
    await channel.close()
    if row["expect"] == "sent":
        assert failure is None
        return
    kind = KINDS[row["expect"]]
    if operation in {"find", "look", "correct"} and kind in {Unknown, Rejected}:
        kind = NotSent
    assert type(failure) is kind
    duplicate = row["expect"] == "duplicate" and kind is Rejected
    assert getattr(failure, "duplicate", False) == duplicate
    if isinstance(failure, NotSent):
        assert failure.rate_limited == (row["expect"] == "rate_limited")


WRITES = ("edit", "comment")


def write_cases() -> list[Any]:
    """Give the rows again, for the second request of a correction."""
    return [
        pytest.param(case.values[0], write, id=f"{case.id}-{write}")
        for case in error_cases()
        if case.values[1] == "correct" or not case.values[0]
        for write in WRITES
        if case.values[0].get("http_status") != "connect-refused"
    ]


@pytest.mark.parametrize(("row", "write"), write_cases())
async def test_each_error_case_has_its_outcome_in_a_correction(
    row: dict[str, Any], write: str, channel: facebook.Facebook, stub: Stub
) -> None:
    """An edit that is refused becomes a comment; one in doubt, or stopped by a person's, does not.

    A comment that is refused ends like a post.
    """
    shared_path("contracts", "derived")
    hangs = row["http_status"] == "timeout-after-send"
    answer = Fault.HANG if hangs else Reply(row["http_status"], row["body"], row["headers"])
    told: dict[str, Any] = {"edit": error(200), write: answer}
    stub.answer = network([listed(222, TEXT)], **told)
    code = ((row["body"] or {}).get("error") or {}).get("code")
    refused = row["expect"] in {"rejected", "duplicate"} or code in {10, 200}
    if write == "edit" and refused:
        receipt = await channel.correct(correction())
        assert receipt.remote_id == "222_7"
        return
    with pytest.raises(KINDS[row["expect"]]):
        await channel.correct(correction())


@pytest.mark.parametrize("status", [200, 201])
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"id": None},
        {"id": 7},
        {"id": "no_id"},
        {"id": "1_2/../3"},
        {"post_id": []},
        b"[" * 9999,
    ],
)
async def test_only_an_id_proves_a_post(
    channel: facebook.Facebook, stub: Stub, status: int, body: Any
) -> None:
    """Whatever else a success says, the post may be there: it is looked for."""
    stub.say(status, body)
    with pytest.raises(Unknown):
        await channel.send(delivery())


async def test_a_wait_is_read_from_the_usage_header(channel: facebook.Facebook, stub: Stub) -> None:
    """Meta tells it in minutes, in a header of its own."""
    row = {"type": "pages", "call_count": 100, "estimated_time_to_regain_access": 7}
    usage = {"X-Business-Use-Case-Usage": json.dumps({PAGE: [row]})}
    stub.answer = lambda _: replace(error(80001), headers=usage)
    with pytest.raises(NotSent) as caught:
        await channel.send(delivery())
    assert (caught.value.retry_after, caught.value.rate_limited) == (timedelta(minutes=7), True)


async def test_a_lost_post_is_found_by_its_reference(
    channel: facebook.Facebook, stub: Stub
) -> None:
    """After a lost answer the Page's own posts since the intent are read."""
    there = listed(222, TEXT) | {"permalink_url": "https://www.facebook.com/stadt/posts/222"}
    usual, lost = network([listed(333, "other"), there]), Fault.CLOSE
    stub.answer = lambda request: lost if request.method == "POST" else usual(request)
    with pytest.raises(Unknown):
        await channel.send(delivery())
    assert await channel.find(delivery()) == Receipt(POST, there["permalink_url"])
    request = stub.requests[-1]
    assert urlsplit(request.path).path == "/v25.0/111/published_posts"
    assert query_of(request) == {
        "fields": "id,message,created_time,permalink_url",
        "limit": str(facebook.PAGE),
    }


async def test_a_lost_photo_is_found_by_its_caption(channel: facebook.Facebook, stub: Stub) -> None:
    """A photo is a post like others: its caption is the message."""
    stub.answer = network([listed(222, TEXT)])
    assert await channel.find(carded()) == Receipt(POST, f"https://www.facebook.com/{POST}")


async def test_reading_back_turns_every_page(channel: facebook.Facebook, stub: Stub) -> None:
    """The post is found on the third page, by cursors: the address in `next` is not followed."""
    others = [listed(number, "other") for number in range(1000, 800, -1)]
    stub.answer = network([*others[:60], listed(222, TEXT), *others[60:]])
    assert await channel.find(delivery()) is not None
    assert [query_of(one).get("after") for one in stub.requests] == [None, "25", "50"]
    assert all(urlsplit(one.path).path.startswith("/v25.0/111/") for one in stub.requests)


async def test_an_absent_post_is_absent_only_after_the_last_page(
    channel: facebook.Facebook, stub: Stub
) -> None:
    """None means: Facebook listed everything since the intent, and it is not there."""
    stub.answer = network([listed(number, "other") for number in range(60, 0, -1)])
    assert await channel.find(delivery()) is None
    assert len(stub.requests) == 3


async def test_reading_back_ends_before_the_intent(channel: facebook.Facebook, stub: Stub) -> None:
    """A page of older posts ends it; one old post among newer ones, as a pinned one, does not."""
    old = NOW - timedelta(seconds=121)
    pinned, newer = listed(9, "pinned", old), [listed(n, "other") for n in range(100, 76, -1)]
    older = [listed(number, "older", old) for number in range(76, 1, -1)]
    stub.answer = network([pinned, *newer, *older])
    assert await channel.find(delivery()) is None
    assert len(stub.requests) == 2


NOT_IT = [
    pytest.param(listed(8, TEXT.replace("26-0142/1", "26-0142/12")), id="longer-reference"),
    pytest.param(listed(8, TEXT.replace("26-0142/1", "126-0142/1")), id="other-year"),
    pytest.param(listed(8, TEXT, NOW - timedelta(seconds=121)), id="before-the-intent"),
    pytest.param(listed(8, "Fire in Dortmund: close windows. No. 26-0142/1"), id="other-language"),
    pytest.param(listed(8, f"Falschmeldung! {TEXT}"), id="quoted-by-hand"),
    pytest.param(listed(8, None), id="no-text"),
]


@pytest.mark.parametrize("post", NOT_IT)
async def test_another_post_is_not_taken_for_it(
    channel: facebook.Facebook, stub: Stub, post: dict[str, Any]
) -> None:
    """Neither another version, nor an older post, nor another language of the same alert."""
    stub.answer = network([post])
    assert await channel.find(delivery()) is None


REWRITTEN = [
    TEXT + "\n",
    TEXT.replace(" ", "\u00a0", 1),
    TEXT.replace("ö", "o\u0308"),
    TEXT.replace("Stadt", "\u2060Stadt"),
    f"{POINTER}\n\n{TEXT}",
    f"Aufgehoben mit Nr. 26-0142/3.\n\n{POINTER}\n\n{TEXT}",
]


@pytest.mark.parametrize("theirs", REWRITTEN)
async def test_a_text_that_reads_the_same_is_found_and_not_altered(
    channel: facebook.Facebook, stub: Stub, theirs: str
) -> None:
    """White space and invisible characters may differ, and a pointer of ours stand before it."""
    stub.answer = network([listed(222, theirs)])
    assert await channel.find(delivery()) is not None
    assert not (await channel.look(sent())).altered


UNREAD: list[tuple[Reply | Fault, type[Failure]]] = [
    (Fault.CLOSE, NotSent),
    (Fault.GARBAGE, NotSent),
    (Fault.CUT_BODY, NotSent),
    (Reply(200, {}), NotSent),
    (Reply(200, {"data": None}), NotSent),
    (Reply(200, {"data": [{"message": "no id"}]}), NotSent),
    (Reply(200, {"data": [], "paging": {"next": "https://x.example"}}), NotSent),
    (Reply(200, {"data": [], "paging": []}), NotSent),
    (Reply(400, GONE), NotSent),
    (error(1), NotSent),
    (error(506), NotSent),
    (Reply(503, {}), NotSent),
    (error(10), NeedsPerson),
    (error(190, 463), NeedsPerson),
]


@pytest.mark.parametrize(("answer", "kind"), UNREAD)
async def test_a_list_that_was_not_read_proves_no_absence(
    channel: facebook.Facebook, stub: Stub, answer: Reply | Fault, kind: type[Failure]
) -> None:
    """Only a whole list does: everything else is a failure to ask, never "it is not there"."""
    stub.answer = lambda _: answer
    with pytest.raises(kind):
        await channel.find(delivery())


async def test_a_list_without_end_is_undecided(channel: facebook.Facebook, stub: Stub) -> None:
    """A list that never ends proves no absence, and is not read for ever."""
    paging = {"next": "https://x.example", "cursors": {"after": "again"}}
    stub.say(200, {"data": [listed(7, "other")], "paging": paging})
    with pytest.raises(Unknown):
        await channel.find(delivery())
    assert len(stub.requests) == facebook_calls.PAGES_MAX


async def test_a_correction_is_put_before_the_old_text(
    channel: facebook.Facebook, stub: Stub
) -> None:
    """The old text is read from Facebook, and stays below the pointer."""
    stub.answer = network([listed(222, TEXT)])
    receipt = await channel.correct(correction())
    assert (receipt.remote_id, receipt.note) == (POST, None)
    read, edited = stub.requests
    assert (read.method, edited.method) == ("GET", "POST")
    assert edited.path == f"/v25.0/{POST}"
    assert said_in(edited) == {"message": f"{POINTER}\n\n{TEXT}"}


@pytest.mark.parametrize("text", [f"{POINTER}\n\n{TEXT}", f"Weiter: Nr. 3\n\n{POINTER}\n\n{TEXT}"])
async def test_a_correction_that_is_there_is_not_made_again(
    channel: facebook.Facebook, stub: Stub, text: str
) -> None:
    """It may be repeated, and below a later one it is still there; `find` sees it too."""
    stub.answer = network([listed(222, text)])
    assert (await channel.correct(correction())).remote_id == POST
    assert await channel.find(correction()) is not None
    assert stub.posts == []


async def test_a_pointer_to_another_number_is_another_pointer(
    channel: facebook.Facebook, stub: Stub
) -> None:
    """26-0142/2 is not in 26-0142/23."""
    stub.answer = network([listed(222, f"{POINTER}3\n\n{TEXT}")])
    assert await channel.find(correction()) is None
    await channel.correct(correction())
    assert said_in(stub.posts[0])["message"].startswith(f"{POINTER}\n\n{POINTER}3")


@pytest.mark.parametrize("refusal", [error(100), error(200), error(10), error(3)])
async def test_a_post_that_may_not_be_edited_is_commented_on(
    channel: facebook.Facebook, stub: Stub, refusal: Reply
) -> None:
    """An app edits only its own posts; the receipt says where the pointer is."""
    stub.answer = network([listed(222, TEXT)], edit=refusal)
    receipt = await channel.correct(correction())
    assert receipt.remote_id == "222_7"
    assert "comment" in str(receipt.note)
    comment = stub.posts[-1]
    assert comment.path == f"/v25.0/{POST}/comments"
    assert said_in(comment) == {"message": POINTER}


def commented(text: str, **more: Any) -> dict[str, Any]:
    """Give a comment as Facebook lists it."""
    return {"id": "222_9", "message": text, **more}


@pytest.mark.parametrize("author", [{}, {"from": {"id": PAGE, "name": "Stadt"}}])
async def test_a_comment_that_is_there_is_not_made_again(
    channel: facebook.Facebook, stub: Stub, author: dict[str, Any]
) -> None:
    """After a lost answer the comments are read; `find` sees it too."""
    ours = commented(POINTER, **author)
    stub.answer = network([listed(222, TEXT)], [commented("Danke!"), ours], edit=error(200))
    assert (await channel.correct(correction(doubtful=True))).remote_id == "222_9"
    found = await channel.find(correction())
    assert found is not None
    assert found.remote_id == "222_9"
    assert [one.path for one in stub.posts] == [f"/v25.0/{POST}"]


async def test_somebody_elses_comment_is_not_ours(channel: facebook.Facebook, stub: Stub) -> None:
    """Who copies the pointer into a comment does not keep it from being put there by the Page."""
    theirs = commented(POINTER, **{"from": {"id": "4711"}})
    stub.answer = network([listed(222, TEXT)], [theirs], edit=error(200))
    assert await channel.find(correction()) is None
    assert (await channel.correct(correction())).remote_id == "222_7"


ENDLESS = {"cursors": {"after": "x"}, "next": "https://graph.example/next"}
MANY = Reply(200, {"data": [{"id": "222_5", "message": "?"}], "paging": ENDLESS})


@pytest.mark.parametrize("doubtful", [False, True])
@pytest.mark.parametrize(("comments", "kind"), [(error(10), NeedsPerson), (MANY, Unknown)])
async def test_comments_that_cannot_be_read_stop_only_a_repeat(
    channel: facebook.Facebook, stub: Stub, comments: Reply, kind: type[Failure], *, doubtful: bool
) -> None:
    """On a first attempt no comment of ours can be there: it is written all the same."""
    usual = network([listed(222, TEXT)], edit=error(200))
    stub.answer = lambda one: comments if "/comments?" in one.path else usual(one)
    if doubtful:
        with pytest.raises(kind):
            await channel.correct(correction(doubtful=True))
        return
    assert (await channel.correct(correction())).remote_id == "222_7"


async def test_a_text_that_was_not_read_is_not_written_over(
    channel: facebook.Facebook, stub: Stub
) -> None:
    """Without the old text an edit would take the warning away: it becomes a comment."""
    stub.answer = network([listed(222, None)])
    assert (await channel.correct(correction())).remote_id == "222_7"
    assert [one.path for one in stub.posts] == [f"/v25.0/{POST}/comments"]


async def test_a_post_that_is_gone_needs_no_correction(
    channel: facebook.Facebook, stub: Stub
) -> None:
    """It cannot be corrected, and none is there: nothing is in doubt."""
    stub.answer = network([])
    assert await channel.find(correction()) is None
    with pytest.raises(Rejected):
        await channel.correct(correction())
    assert stub.posts == []


@pytest.mark.parametrize("write", WRITES)
async def test_a_correction_whose_answer_is_lost_is_in_doubt(
    channel: facebook.Facebook, stub: Stub, write: str
) -> None:
    """It is looked for before it is made again."""
    told: dict[str, Any] = {"edit": error(200), write: Fault.CLOSE}
    stub.answer = network([listed(222, TEXT)], **told)
    with pytest.raises(Unknown):
        await channel.correct(correction())


async def test_a_deletion_deletes(channel: facebook.Facebook, stub: Stub) -> None:
    """One DELETE, confirmed."""
    stub.answer = network([listed(222, TEXT)])
    await channel.retract(Receipt(POST))
    (request,) = stub.requests
    assert (request.method, request.path) == ("DELETE", f"/v25.0/{POST}")


async def test_a_post_that_is_gone_is_deleted(channel: facebook.Facebook, stub: Stub) -> None:
    """Gone already is done."""
    stub.answer = network([], delete=Reply(400, GONE))
    await channel.retract(Receipt(POST))


UNDELETED: list[tuple[Reply | Fault, type[Failure], str]] = [
    (Reply(400, GONE), Rejected, "delete it on the Page"),
    (error(200), NeedsPerson, "permission"),
    (error(190, 460), NeedsPerson, "password"),
    (error(100), Rejected, "code 100"),
    (Reply(200, {"success": False}), Unknown, "does not say"),
    (Reply(200, b"fine"), Unknown, "does not say"),
]


@pytest.mark.parametrize(("answer", "kind", "words"), UNDELETED)
async def test_a_deletion_that_was_not_confirmed_is_no_deletion(
    channel: facebook.Facebook, stub: Stub, answer: Reply, kind: type[Failure], words: str
) -> None:
    """Graph says "does not exist" also of what an app may not delete: so it is looked up."""
    stub.answer = network([listed(222, TEXT)], delete=answer)
    with pytest.raises(kind) as caught:
        await channel.retract(Receipt(POST))
    assert words in caught.value.reason


@pytest.mark.parametrize("post", [None, "", "../me", "111_222?x", "111_222/comments"])
async def test_a_receipt_without_a_post_is_not_asked_for(
    channel: facebook.Facebook, stub: Stub, post: str | None
) -> None:
    """Nothing is asked of Facebook for an id that is none."""
    with pytest.raises(Rejected):
        await channel.retract(Receipt(post))
    with pytest.raises(Rejected):
        await channel.look(delivery(receipt=Receipt(post)))
    with pytest.raises(Rejected):
        await channel.correct(replace(correction(), reply_to=Receipt(post)))
    assert stub.requests == []


async def test_a_look_sees_text_counts_and_permalink(
    channel: facebook.Facebook, stub: Stub
) -> None:
    """With the Page's own token, which proves less than a look logged out: it says so."""
    post = listed(222, TEXT) | {
        "permalink_url": "https://www.facebook.com/stadt/posts/222",
        "is_published": True,
        "is_hidden": False,
        "privacy": {"value": "EVERYONE"},
        "shares": {"count": 5},
        "comments": {"data": [], "summary": {"total_count": 3}},
        "reactions": {"data": [], "summary": {"total_count": 12}},
    }
    stub.answer = network([post])
    sight = await channel.look(sent())
    assert (sight.there, sight.text, sight.altered, sight.reason) == (True, TEXT, False, None)
    assert sight.counts == {"likes": 12, "replies": 3, "shares": 5}
    assert sight.url == "https://www.facebook.com/stadt/posts/222"
    assert not sight.public


UNSEEN = [
    ({"is_published": False}, "unpublished"),
    ({"is_hidden": True}, "hidden"),
    ({"privacy": {"value": "SELF"}}, "SELF"),
]


@pytest.mark.parametrize(("more", "words"), UNSEEN)
async def test_a_post_that_not_everyone_sees_is_not_there(
    channel: facebook.Facebook, stub: Stub, more: dict[str, Any], words: str
) -> None:
    """The reason says why."""
    stub.answer = network([listed(222, TEXT) | more])
    sight = await channel.look(sent())
    assert not sight.there
    assert words in str(sight.reason)


SEEN = [{}, {"privacy": {"value": ""}}, {"privacy": []}, {"privacy": {"value": [1]}}, {"shares": 7}]


@pytest.mark.parametrize("more", SEEN)
async def test_what_facebook_leaves_out_hides_nothing(
    channel: facebook.Facebook, stub: Stub, more: dict[str, Any]
) -> None:
    """A field that is missing or odd raises no alarm."""
    stub.answer = network([listed(222, TEXT) | more])
    sight = await channel.look(sent())
    assert (sight.there, sight.counts) == (True, {})


async def test_a_deleted_post_is_not_there(channel: facebook.Facebook, stub: Stub) -> None:
    """Facebook says of a hidden one no more than of a deleted one."""
    stub.answer = network([])
    sight = await channel.look(sent())
    assert (sight.there, sight.reason) == (False, "deleted, or hidden by Facebook")


async def test_a_post_on_an_unpublished_page_is_not_there(
    channel: facebook.Facebook, stub: Stub
) -> None:
    """The post looks well, but nobody sees the Page."""
    usual = network([listed(222, TEXT)])
    page = Reply(200, {"id": PAGE, "is_published": False})
    stub.answer = lambda request: page if "/111?" in request.path else usual(request)
    sight = await channel.look(sent())
    assert (sight.there, sight.reason) == (False, "the whole Page is unpublished")


@pytest.mark.parametrize("theirs", ["Alles gut", f"Falschmeldung! {TEXT}", "", f"{TEXT} Haha"])
async def test_another_text_is_altered(channel: facebook.Facebook, stub: Stub, theirs: str) -> None:
    """Whatever is not ours, nor ours below a pointer to the same incident."""
    stub.answer = network([listed(222, theirs)])
    assert (await channel.look(sent())).altered


async def test_counts_that_may_not_be_read_hide_no_post(
    channel: facebook.Facebook, stub: Stub
) -> None:
    """Without the permission for comments the post itself is still looked up."""
    usual = network([listed(222, TEXT)])
    stub.answer = lambda one: error(10) if "reactions" in one.path else usual(one)
    sight = await channel.look(sent())
    assert (sight.there, sight.counts) == (True, {})


async def test_looks_leave_the_last_calls_to_posts(channel: facebook.Facebook, stub: Stub) -> None:
    """Near the limit nothing is looked up, but posts go out and are read back."""
    usage = {"X-App-Usage": '{"call_count": 97, "total_time": 1, "total_cputime": 1}'}
    usual = network([listed(222, TEXT)])

    def answer(request: Request) -> Reply | Fault:
        reply = usual(request)
        assert isinstance(reply, Reply)
        return replace(reply, headers=usage)

    stub.answer = answer
    await channel.send(delivery())
    with pytest.raises(NotSent) as caught:
        await channel.look(sent())
    assert "nearly used up" in caught.value.reason
    assert len(stub.requests) == 1
    assert await channel.find(delivery()) is not None
    found = await channel.probe()
    assert (found.quota_left, found.ready) == (3, True)
    assert "3 %" in str(found.remedy)


def in_days(days: float) -> int:
    """Give a moment so many days from now, as /debug_token tells it."""
    return int((NOW + timedelta(days=days)).timestamp())


def told(token: Mapping[str, Any], page: Mapping[str, Any] | None = None) -> Answers:
    """Say this of the token, and of the Page."""
    shown = {"id": PAGE, "name": "Stadt Beispiel", "is_published": True, **(page or {})}

    def answer(request: Request) -> Reply:
        debug = request.path.startswith("/v25.0/debug_token?")
        return Reply(200, {"data": token} if debug else shown)

    return answer


async def test_a_probe_says_who_we_are_and_posts_nothing(
    channel: facebook.Facebook, stub: Stub
) -> None:
    """The app asks what the token may do, the token asks for its Page."""
    stub.answer = told(inspected())
    found = await channel.probe()
    assert (found.ready, found.remedy) == (True, None)
    assert found.sentence == "Facebook knows us as the Page Stadt Beispiel."
    assert found.identity == {"id": PAGE, "handle": "Stadt Beispiel", "server": "127.0.0.1"}
    assert found.days_left == (datetime(2028, 7, 29, tzinfo=UTC) - NOW) / timedelta(days=1)
    debug, page = stub.requests
    assert debug.headers["authorization"] == f"Bearer 7|{SECRET}"
    assert query_of(debug) == {"input_token": TOKEN}
    assert page.headers["authorization"] == f"Bearer {TOKEN}"
    assert {request.method for request in stub.requests} == {"GET"}


async def test_a_probe_without_the_app_asks_who_the_token_is(stub: Stub, tmp_path: Path) -> None:
    """Then nobody knows how long it lasts, but a stranger's token is noticed."""
    channel = build(stub.url, tmp_path, app=False)
    stub.answer = told({})
    assert (await channel.probe()).ready
    assert [urlsplit(one.path).path for one in stub.requests] == ["/v25.0/me", "/v25.0/111"]
    stub.answer = told({}, {"id": "4711"})
    found = await channel.probe()
    await channel.close()
    assert not found.ready
    assert found.sentence == (
        "The token is not the one of Page 111, but of a person or of another Page."
    )


RECONNECT = "Connect it again: broadcaster channels connect city-facebook."
EXPIRED = {"code": 190, "subcode": 463, "message": "Session has expired"}
PASSWORD = {"code": 190, "subcode": 460, "message": "The password was changed"}
UNFIT = [
    pytest.param(
        {"is_valid": False, "error": EXPIRED},
        "Facebook says that the token has expired.",
        id="expired",
    ),
    pytest.param(
        {"is_valid": False, "error": PASSWORD},
        "Facebook says that the token is no longer valid.",
        id="password",
    ),
    pytest.param(
        {"scopes": ["pages_read_engagement", "pages_manage_engagement"]},
        "The token lacks the permission pages_manage_posts.",
        id="no-posting",
    ),
    pytest.param(
        {"scopes": []},
        "The token lacks the permission pages_manage_posts and pages_read_engagement.",
        id="nothing",
    ),
    pytest.param(
        {"type": "USER", "profile_id": None},
        "The token is not the one of Page 111, but of a person or of another Page.",
        id="person",
    ),
]


@pytest.mark.parametrize(("token", "sentence"), UNFIT)
async def test_a_token_that_posts_nothing_is_not_ready(
    channel: facebook.Facebook, stub: Stub, token: dict[str, Any], sentence: str
) -> None:
    """The sentence says what is wrong, the remedy how to connect the channel again."""
    stub.answer = told(inspected(**token))
    found = await channel.probe()
    assert (found.ready, found.sentence, found.remedy) == (False, sentence, RECONNECT)


async def test_a_token_that_cannot_comment_is_ready_and_says_so(
    channel: facebook.Facebook, stub: Stub
) -> None:
    """Posts go out; only a correction that may not be an edit would fail."""
    stub.answer = told(inspected(scopes=[*TO_POST]))
    found = await channel.probe()
    assert (found.ready, found.remedy) == (True, RECONNECT)
    assert found.sentence == (
        "Facebook knows us as the Page Stadt Beispiel,"
        " but without pages_manage_engagement it cannot comment."
    )


@pytest.mark.parametrize("name", ["expires_at", "data_access_expires_at"])
async def test_a_token_near_its_end_says_how_long(
    channel: facebook.Facebook, stub: Stub, name: str
) -> None:
    """From 30 days on the remedy is told while it still works; 0 means that there is no end."""
    stub.answer = told(inspected(**{name: in_days(5)}))
    found = await channel.probe()
    assert (found.ready, found.days_left) == (True, 5.0)
    assert found.remedy == f"The token ends in 5 days. {RECONNECT}"
    stub.answer = told(inspected(**{name: in_days(31)}))
    assert (await channel.probe()).remedy is None


@pytest.mark.parametrize("junk", [-1, 10**30, 1.5, "soon", True, None, [7]])
async def test_a_junk_end_is_none(channel: facebook.Facebook, stub: Stub, junk: Any) -> None:
    """Whatever Facebook says of the end, the probe says something of the channel."""
    stub.answer = told(inspected(expires_at=junk))
    assert (await channel.probe()).ready


async def test_an_unpublished_page_is_not_ready(channel: facebook.Facebook, stub: Stub) -> None:
    """Posts would go through, and nobody would see them."""
    stub.answer = told(inspected(), {"is_published": False})
    found = await channel.probe()
    assert not found.ready
    assert found.sentence == (
        "Facebook shows the Page Stadt Beispiel to nobody: it is unpublished."
    )
    assert found.remedy == "Publish the Page in its settings on Facebook."


async def test_an_old_version_of_the_api_is_told(stub: Stub, tmp_path: Path) -> None:
    """Graph answers an ended version with a newer one, and says so; before that the date is."""
    channel = build(stub.url, tmp_path, api_version="v22.0")
    body = {"id": PAGE, "name": "Stadt", "data": inspected()}
    stub.say(200, body, facebook_api_version="v23.0")
    found = await channel.probe()
    await channel.close()
    assert found.ready
    assert found.remedy == "Facebook answers v22.0 as v23.0: set api_version to that."


async def test_a_version_near_its_end_is_told(
    channel: facebook.Facebook, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The changelog names the day."""
    monkeypatch.setitem(facebook.VERSION_ENDS, "v25.0", NOW + timedelta(days=20))
    stub.answer = told(inspected())
    found = await channel.probe()
    assert found.days_left == 20.0
    assert found.remedy == "Facebook ends v25.0 on 2026-12-12: set api_version higher."


NOT_READY: list[tuple[Reply | Fault, str, str]] = [
    (error(190, 463), "token", "connect"),
    (error(10), "permission", "connect"),
    (error(368), "blocked", "Log in"),
    (error(4), "too often", "Nothing, if it passes"),
    (Reply(400, GONE), "no Page", "page_id"),
    (Reply(503, {}), "503", "Nothing, if it passes"),
    (Reply(200, {}), "could not be read", "Nothing, if it passes"),
    (Reply(200, b"["), "could not be read", "Nothing, if it passes"),
    (Fault.CLOSE, "Facebook could not be asked", "Nothing, if it passes"),
    (Fault.HANG, "Facebook could not be asked", "Nothing, if it passes"),
]


@pytest.mark.parametrize(("answer", "words", "remedy"), NOT_READY)
async def test_a_probe_never_raises_and_says_what_to_do(
    channel: facebook.Facebook, stub: Stub, answer: Reply | Fault, words: str, remedy: str
) -> None:
    """What is wrong is told in a sentence, with a remedy, before it matters."""
    usual = told(inspected())
    stub.answer = lambda one: usual(one) if "debug_token" in one.path else answer
    found = await channel.probe()
    assert not found.ready
    assert words in found.sentence
    assert found.sentence.endswith(".")
    assert remedy in str(found.remedy)
    assert "NAME" not in str(found.remedy)


async def test_an_app_that_is_not_accepted_is_not_the_tokens_fault(
    channel: facebook.Facebook, stub: Stub
) -> None:
    """A wrong app secret must not send anybody to make a new token."""
    stub.answer = lambda _: error(190)
    found = await channel.probe()
    assert found.sentence == "Facebook does not accept app_id with the app's secret."


def parameters(source: str) -> dict[tuple[str, str], set[str]]:
    """Read what Meta's lists allow, by method and edge; they know no parameters of all reads."""
    listed_in = json.loads(shared_path("contracts", source).read_text("utf-8"))
    found: dict[tuple[str, str], set[str]] = {}
    for node in ("Page", "PagePost"):
        calls = listed_in[node].get("apis") or list(listed_in[node].values())
        for call in calls:
            edge = f"{node}/{(call.get('endpoint') or '').strip('/')}"
            names = [one["name"] for one in call.get("params", [])]
            found[call["method"], edge] = {*names, *call.get("param_types", ())}
    return found


# Of every read: Graph's own guide, not the lists. v26's list leaves the reading of comments out.
ALL_READS = {"fields", "after", "limit"}
UNLISTED = {"meta-graph-v26.params.json": {("GET", "PagePost/comments")}}


@pytest.mark.parametrize("source", ["meta-graph-v25.trimmed.json", "meta-graph-v26.params.json"])
async def test_every_parameter_is_in_metas_list(
    channel: facebook.Facebook, stub: Stub, source: str
) -> None:
    """Each edge is asked by the method, and with the parameters, that its list knows."""
    known = parameters(source)
    stub.answer = network([listed(222, TEXT), *[listed(n, "x") for n in range(60)]])
    await channel.send(delivery())
    await channel.send(carded())
    await channel.find(delivery(text="not there, Nr. 26-0142/1"))
    await channel.look(sent())
    await channel.correct(correction())
    stub.answer = network([listed(222, TEXT)], edit=error(200))
    await channel.correct(correction())
    await channel.retract(Receipt(POST))
    checked = set()
    for request in stub.requests:
        node, _, edge = urlsplit(request.path).path.removeprefix("/v25.0/").partition("/")
        call = (request.method, f"{'PagePost' if '_' in node else 'Page'}/{edge}")
        if call == ("GET", "Page/") or call in UNLISTED.get(source, ()):
            continue
        given = {*query_of(request), *(said_in(request) if request.body else ())}
        assert given - (ALL_READS if request.method == "GET" else set()) <= known[call], call
        checked.add(call)
    assert {edge for _, edge in checked} >= {"Page/feed", "Page/photos", "Page/published_posts"}
    assert {method for method, _ in checked} == {"GET", "POST", "DELETE"}


def test_the_fields_asked_for_are_in_metas_list() -> None:
    """A field that is not there would be refused with all others."""
    spec = json.loads(shared_path("contracts", "meta-graph-v25.trimmed.json").read_text("utf-8"))
    known = {str(name["name"] if isinstance(name, dict) else name) for name in fields(spec)}
    assert set(facebook.POST_FIELDS.split(",")) <= known
    assert "shares" in known


def fields(spec: Mapping[str, Any]) -> list[Any]:
    """Give the fields of posts."""
    found: list[Any] = spec["PagePost"]["fields"]
    return found


PIECES = [
    "ü",
    "👩‍👩‍👧‍👦",
    "🇩🇪",
    "إنذار",
    "https://stadt.example.org/lage?x=1",
    "o\u0308",
]


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_text_is_measured_in_characters(piece: str, more: int, tmp_path: Path) -> None:
    """One below the limit and at it fits, one above does not, whatever the text is made of."""
    limits = build("https://graph.facebook.com", tmp_path).limits
    most = 63_206
    text = (piece * (most // len(piece))).ljust(most, "x")
    text = text[:more] if more < 0 else text + "x" * more
    assert length(text, limits) == most + more
    assert fits(text, limits) == (more <= 0)


async def test_a_text_of_any_kind_arrives_as_it_is(channel: facebook.Facebook, stub: Stub) -> None:
    """Umlauts, emoji, Arabic, addresses, quotes and line ends are what is sent."""
    stub.answer = network([])
    text = 'Ä "👩‍👩‍👧‍👦" إنذار\nhttps://stadt.example.org/?a=b&c=%20 \\ <b> Nr. 26-0142/1'
    await channel.send(delivery(text=text))
    await channel.send(carded(text))
    assert said_in(stub.requests[0])["message"] == text
    assert said_in(stub.requests[1])["caption"] == text


async def test_no_secret_is_shown(
    channel: facebook.Facebook, stub: Stub, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the channel's picture of itself, nor a reason, nor a log holds a token."""
    caplog.set_level(logging.DEBUG)
    shown = [repr(channel), repr(channel._graph), repr(channel.__dict__)]
    told_back = {"error": {"code": 190, "message": f"Bad token {TOKEN} {SECRET}"}}
    for answer in (Reply(401, told_back), Reply(400, told_back), Fault.CLOSE, Reply(201, {})):
        stub.answer = lambda _, answer=answer: answer  # type: ignore[misc]
        shown += [str(await does(channel, operation)) for operation in OPERATIONS]
        shown.append(repr(await channel.probe()))
    text = " ".join([*shown, caplog.text])
    assert not [one for one in (TOKEN, SECRET) if one in text]


async def test_a_connection_is_kept_warm_for_free(channel: facebook.Facebook, stub: Stub) -> None:
    """The request has no token, and the post that follows uses the same connection."""
    usual = network([])
    stub.answer = lambda one: Reply(400) if one.method == "HEAD" else usual(one)
    await channel.warm()
    await channel.send(delivery())
    warm, _ = stub.requests
    assert warm.method == "HEAD"
    assert "authorization" not in warm.headers
    assert stub.connections == 1


def test_a_page_is_set_up_by_its_id(tmp_path: Path) -> None:
    """The defaults: LANDSCAPE cards, characters, the version that is pinned."""
    channel = build("https://graph.facebook.com", tmp_path)
    assert (channel.account, channel.picture, channel.reads_back) == (PAGE, LANDSCAPE, True)
    assert (channel.limits.measure, channel.limits.maximum) == ("characters", 63_206)
    assert repr(channel._graph) == "Calls('https://graph.facebook.com/v25.0')"


WRONG = [
    {"base_url": "http://graph.facebook.com"},
    {"base_url": "https://u:p@graph.facebook.com"},
    {"page_id": "stadt"},
    {"api_version": "25"},
    {"app_id": None},
    {"app_secret_file": None},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_setting_is_refused(wrong: dict[str, Any]) -> None:
    """In the clear only to this machine; numbers for ids; the app's id with its secret."""
    right = {"page_id": PAGE, "access_token_file": "t", "app_id": "7", "app_secret_file": "s"}
    facebook.Settings.model_validate(right)
    with pytest.raises(ValidationError):
        facebook.Settings.model_validate(right | wrong)
