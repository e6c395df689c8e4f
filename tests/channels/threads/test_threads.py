"""Threads: two steps, and one post whatever happens in between; with the card, or without it."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from pydantic import ValidationError

from broadcaster.channels import threads
from broadcaster.config import Timing
from broadcaster.delivery import (
    Delivery,
    Failure,
    NeedsPerson,
    NotSent,
    Receipt,
    Rejected,
    Sight,
    Unknown,
)
from broadcaster.measure import fits, length
from broadcaster.terminal.child import free_port
from tests.channels.meta.graph_stub import (
    CARD,
    GONE,
    MovingClock,
    TwoSteps,
    carded,
    error,
    error_cases,
    given_in,
    name_of,
    path_of,
)
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
from tests.conftest import shared_path

SHORT = Timing(attempt_seconds=0.8, connect_seconds=0.3)
TOKEN, SECRET = "THAA-canary-token", "canary-app-secret"
LIMIT = {"data": [{"quota_usage": 3, "config": {"quota_total": 250, "quota_duration": 86400}}]}
PROBED = {
    "me": Reply(200, {"id": "77", "username": "stadt"}),
    "me/threads_publishing_limit": Reply(200, LIMIT),
}


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    """Run a server that answers as told."""
    async with serving() as one:
        yield one


@pytest.fixture
def network(stub: Stub) -> TwoSteps:
    """Give a network in two steps, behind that server."""
    one = TwoSteps(other=dict(PROBED))
    stub.answer = one
    return one


def build(url: str, place: Path, timing: Timing = SHORT, **more: Any) -> threads.Threads:
    """Build the channel, with a clock that only waiting moves, and a token of a known end."""
    expires = (NOW + timedelta(days=50)).isoformat()
    token = keep_secret(place, "token", json.dumps({"access_token": TOKEN, "expires": expires}))
    settings = threads.Settings.model_validate(
        {"access_token_file": token, "base_url": url, **more}
    )
    setup = replace(setup_for(place, "threads", timing=timing), clock=MovingClock())
    return threads.build(setup, settings)


@pytest.fixture
async def channel(stub: Stub, tmp_path: Path) -> AsyncIterator[threads.Threads]:
    """Give a channel to that server."""
    one = build(stub.url, tmp_path)
    yield one
    await one.close()


async def prepared(channel: threads.Threads, one: Delivery) -> Delivery:
    """Take the first step as the dispatcher does: what it made comes back as JSON."""
    return replace(one, handle=json.loads(json.dumps(await channel.prepare(one))))


async def post(channel: threads.Threads, one: Delivery) -> Receipt:
    """Take both steps."""
    return await channel.send(await prepared(channel, one))


async def outcome(work: Any) -> Receipt | Failure | None:
    """Give what came of it, failures too."""
    try:
        result: Receipt | None = await work
    except Failure as failure:
        return failure
    return result


def publications(stub: Stub) -> list[Request]:
    """Give the requests that ask for a post."""
    return [one for one in stub.posts if "threads_publish" in one.path]


# Posting


async def test_a_text_is_made_and_then_published(
    channel: threads.Threads, network: TwoSteps, stub: Stub
) -> None:
    """One container, one publication; the receipt has Threads' own id and address."""
    one = await prepared(channel, delivery())
    assert network.posts == []
    receipt = await channel.send(one)
    assert receipt == Receipt("9000", "https://meta.example/@stadt/post/0")
    made = network.made[0]
    assert made["media_type"] == "TEXT"
    assert made["text"] == TEXT
    assert made["reply_control"] == "everyone"
    assert "auto_publish_text" not in made
    assert len(publications(stub)) == 1


async def test_a_card_goes_with_its_address_and_its_description(
    channel: threads.Threads, network: TwoSteps
) -> None:
    """Threads fetches the picture, and blind people hear what is on it."""
    receipt = await post(channel, carded())
    assert receipt.note is None
    assert network.made[0]["media_type"] == "IMAGE"
    assert network.made[0]["image_url"] == CARD.url
    assert network.made[0]["alt_text"] == CARD.alt


async def test_a_container_is_polled_quickly_until_it_is_ready(
    network: TwoSteps, stub: Stub, tmp_path: Path
) -> None:
    """No fixed wait: a picture that takes a moment costs a moment."""
    states = iter(["IN_PROGRESS", "IN_PROGRESS"])
    network.status_of = lambda _: next(states, "FINISHED")
    slow = Timing(attempt_seconds=15)
    one = build(stub.url, tmp_path, slow)
    clock = one._clock
    assert (await post(one, carded())).note is None
    assert clock.elapsed() < 1
    await one.close()


async def test_a_container_still_processing_is_gone_on_with(
    channel: threads.Threads, network: TwoSteps, stub: Stub
) -> None:
    """At the end of the attempt nothing was published, and the same container is asked again."""
    network.status_of = lambda _: "IN_PROGRESS"
    one = await prepared(channel, carded())
    with pytest.raises(NotSent) as caught:
        await channel.send(one)
    assert caught.value.retry_after == timedelta(seconds=1)
    assert not caught.value.afresh
    network.status_of = lambda _: "FINISHED"
    await channel.send(one)
    assert len(network.made) == len(network.posts) == len(publications(stub)) == 1


async def test_an_expired_container_is_made_afresh(
    channel: threads.Threads, network: TwoSteps, stub: Stub
) -> None:
    """After 24 hours a container is of no use; nothing is published with it."""
    one = await prepared(channel, delivery())
    network.status_of = lambda _: "EXPIRED"
    with pytest.raises(NotSent) as caught:
        await channel.send(one)
    assert caught.value.afresh
    assert publications(stub) == []


async def test_a_container_that_is_gone_is_made_afresh(
    channel: threads.Threads, network: TwoSteps
) -> None:
    """A container that Threads does not know any more was never published."""
    network.other = {"1999": GONE}
    with pytest.raises(NotSent) as caught:
        await channel.send(delivery(handle={"container": "1999"}))
    assert caught.value.afresh


@pytest.mark.parametrize("handle", [None, {}, {"container": 7}, {"container": "../me"}])
async def test_a_handle_that_names_nothing_is_made_afresh(
    channel: threads.Threads, handle: Mapping[str, Any] | None
) -> None:
    """What cannot be read back is no way to publish anything."""
    with pytest.raises(NotSent) as caught:
        await channel.send(delivery(handle=handle))
    assert caught.value.afresh


async def test_a_text_that_threads_cannot_make_is_refused_with_its_words(
    channel: threads.Threads, network: TwoSteps
) -> None:
    """With a reason it would fail again; without one it is worth another container."""
    one = await prepared(channel, delivery())
    network.status_of, network.says = lambda _: "ERROR", {"error_message": "INVALID_TEXT"}
    with pytest.raises(Rejected, match="INVALID_TEXT"):
        await channel.send(one)
    network.says = {"error_message": "UNKNOWN"}
    with pytest.raises(NotSent) as caught:
        await channel.send(one)
    assert caught.value.afresh


async def test_a_receipt_needs_no_permalink(channel: threads.Threads, network: TwoSteps) -> None:
    """The post is out: that its address could not be read spoils nothing."""
    network.other = {"9000": error(2)}
    assert await post(channel, delivery()) == Receipt("9000")
    network.other = {"9001": Reply(200, b"junk")}
    assert await post(channel, delivery()) == Receipt("9001")


async def test_a_moment_too_early_is_asked_again(
    network: TwoSteps, stub: Stub, tmp_path: Path
) -> None:
    """Not found the moment after it was made proves that nothing was published."""
    early = iter([error(24, 4279009), error(24, 4279009)])
    network.instead = lambda one: next(early, None) if "publish" in one.path else None
    slow = build(stub.url, tmp_path, Timing(attempt_seconds=15))
    await post(slow, delivery())
    assert len(publications(stub)) == 3
    assert len(network.posts) == 1
    await slow.close()


# The card, or the text without it


async def test_a_picture_that_cannot_be_fetched_leaves_the_text(
    channel: threads.Threads, network: TwoSteps
) -> None:
    """The container of the picture is in error: one of text is made at once, and it is said."""
    network.status_of = lambda container: "ERROR" if container == "1801" else "FINISHED"
    network.says = {"error_message": "FAILED_DOWNLOADING_IMAGE"}
    receipt = await post(channel, carded())
    assert receipt.note is not None
    assert receipt.note.startswith("posted without its card: ")
    assert "FAILED_DOWNLOADING_IMAGE" in receipt.note
    assert [made["media_type"] for made in network.made] == ["IMAGE", "TEXT"]
    assert len(network.posts) == 1


async def test_a_picture_that_is_refused_leaves_the_text(
    channel: threads.Threads, network: TwoSteps
) -> None:
    """An error that names the picture's address is no reason not to warn."""

    def refuse(request: Request) -> Reply | None:
        image = given_in(request).get("image_url")
        return error(100, message="Param image_url could not be fetched") if image else None

    network.instead = refuse
    one = replace(carded(), reply_to=Receipt("555"))
    receipt = await post(channel, one)
    assert receipt.note == "posted without its card: Threads could not fetch the picture"
    assert network.made[0]["reply_to_id"] == "555"


async def test_a_picture_in_error_later_is_left_out_at_the_next_attempt(
    channel: threads.Threads, network: TwoSteps, stub: Stub
) -> None:
    """The handle is dropped, and what is prepared then has no picture; nothing was published."""
    states = iter(["IN_PROGRESS", "ERROR"])
    network.status_of = lambda one: next(states, "ERROR") if one == "1801" else "FINISHED"
    first = await prepared(channel, carded())
    with pytest.raises(NotSent) as caught:
        await channel.send(first)
    assert caught.value.afresh
    assert publications(stub) == []
    receipt = await post(channel, carded())
    assert receipt.note is not None
    assert network.made[-1]["media_type"] == "TEXT"
    assert len(network.posts) == 1


async def test_a_picture_that_takes_too_long_is_left_out(
    channel: threads.Threads, network: TwoSteps
) -> None:
    """A warning does not wait for a picture longer than people can."""
    network.status_of = lambda one: "IN_PROGRESS" if one == "1801" else "FINISHED"
    one = await prepared(channel, carded())
    await channel._clock.sleep(threads.PICTURE_PATIENCE.seconds + 1)
    with pytest.raises(NotSent) as caught:
        await channel.send(one)
    assert caught.value.afresh
    assert "45 s" in str((await post(channel, carded())).note)


async def test_a_picture_whose_state_is_not_told_keeps_its_container(
    channel: threads.Threads, network: TwoSteps
) -> None:
    """A hiccup of that read is no reason for a second container: it is read again later."""
    network.other = {"1801": error(2)}
    one = await prepared(channel, carded())
    network.other = {}
    assert (await channel.send(one)).note is None
    assert len(network.made) == 1


async def test_a_post_that_is_gone_is_not_replied_to(
    channel: threads.Threads, network: TwoSteps
) -> None:
    """The update goes out on its own, and the receipt says so."""

    def refuse(request: Request) -> Reply | None:
        return GONE if "reply_to_id" in given_in(request) else None

    network.instead = refuse
    receipt = await post(channel, carded(reply_to=Receipt("555")))
    assert receipt.note == "posted on its own: Threads took it for no reply"
    assert network.made[0]["media_type"] == "IMAGE"


async def test_an_update_answers_the_post_before_it(
    channel: threads.Threads, network: TwoSteps
) -> None:
    """Threads has replies: the newer version stands below the older one."""
    receipt = await post(channel, delivery(reply_to=Receipt("555")))
    assert receipt.note is None
    assert network.made[0]["reply_to_id"] == "555"


async def test_more_links_than_threads_takes_are_refused_before_sending(
    channel: threads.Threads, network: TwoSteps, stub: Stub
) -> None:
    """Six distinct links never reach Threads; five, and one of them twice, do."""
    links = [f"https://stadt.example/{number}" for number in range(6)]
    with pytest.raises(Rejected, match="6 different links"):
        await channel.prepare(delivery(text=" ".join(links)))
    assert stub.requests == []
    await channel.prepare(delivery(text=" ".join([*links[:5], links[0]])))
    assert len(network.made) == 1


# One post, whatever happens


async def test_a_crash_between_the_steps_makes_one_post(
    stub: Stub, network: TwoSteps, tmp_path: Path
) -> None:
    """Another process goes on with the stored container, and makes no second one."""
    first = build(stub.url, tmp_path)
    one = await prepared(first, carded())
    await first.close()
    second = build(stub.url, tmp_path)
    assert await second.find(one) is None
    await second.send(one)
    await second.close()
    assert len(network.made) == len(network.posts) == len(publications(stub)) == 1


async def test_a_crash_after_publishing_makes_no_second_post(
    stub: Stub, network: TwoSteps, tmp_path: Path
) -> None:
    """The container says that it is published: its post is found, by `find` as by `send`."""
    first = build(stub.url, tmp_path)
    one = await prepared(first, delivery())
    receipt = await first.send(one)
    await first.close()
    second = build(stub.url, tmp_path)
    assert await second.find(one) == receipt
    assert await second.send(one) == receipt
    await second.close()
    assert len(network.posts) == len(publications(stub)) == 1


async def test_a_lost_answer_is_unknown_and_then_found(
    channel: threads.Threads, network: TwoSteps
) -> None:
    """The connection ends after the post was made: nothing is repeated, and it is found."""
    network.lose = True
    one = await prepared(channel, delivery())
    with pytest.raises(Unknown):
        await channel.send(one)
    found = await channel.find(one)
    assert found is not None
    assert found.remote_id == "9000"
    assert len(network.posts) == 1


async def test_a_lost_request_is_provably_not_there(
    channel: threads.Threads, network: TwoSteps
) -> None:
    """Ready, and on no list: it was not published, and may be now."""
    one = await prepared(channel, delivery())
    network.instead = lambda one: Fault.CLOSE if "publish" in one.path else None
    with pytest.raises(Unknown):
        await channel.send(one)
    assert await channel.find(one) is None
    network.instead = lambda _: None
    await channel.send(one)
    assert len(network.posts) == 1


async def test_nothing_prepared_is_nothing_published(channel: threads.Threads) -> None:
    """Without a container there can be no post."""
    assert await channel.find(delivery()) is None


@pytest.mark.parametrize("status", ["IN_PROGRESS", "PUBLISHED", "SOMETHING_NEW"])
async def test_a_container_of_which_the_list_knows_nothing_is_undecided(
    channel: threads.Threads, network: TwoSteps, stub: Stub, status: str
) -> None:
    """Published but not listed, or being published: neither is an absence."""
    one = await prepared(channel, delivery())
    network.status_of = lambda _: status
    with pytest.raises(NotSent):
        await channel.find(one)
    if status == "PUBLISHED":
        with pytest.raises(Unknown):
            await channel.send(one)
    assert publications(stub) == []


async def test_a_reply_is_found_on_the_list_of_replies(
    channel: threads.Threads, network: TwoSteps
) -> None:
    """Threads lists replies by themselves; the other list does not have them."""
    one = await prepared(channel, delivery(reply_to=Receipt("555")))
    receipt = await channel.send(one)
    reply = network.posts[0]
    network.other = {
        "me/threads": Reply(200, {"data": []}),
        "me/replies": Reply(200, {"data": [reply]}),
    }
    assert await channel.find(one) == receipt


async def test_only_this_part_of_this_alert_is_found(
    channel: threads.Threads, network: TwoSteps
) -> None:
    """Another language, another version and an older post of the same text are others."""
    one = await prepared(channel, delivery())
    old = NOW - timedelta(minutes=3)
    texts = [(TEXT.replace("Fenster", "Windows"), NOW), (f"{TEXT}2", NOW), (TEXT, old)]
    network.posts = [
        {"id": str(number), "text": text, "timestamp": at.isoformat()}
        for number, (text, at) in enumerate(texts)
    ]
    assert await channel.find(one) is None
    network.posts.append({"id": "9", "text": TEXT, "timestamp": NOW.isoformat()})
    found = await channel.find(one)
    assert found is not None
    assert found.remote_id == "9"


async def test_a_list_is_read_page_by_page(channel: threads.Threads, network: TwoSteps) -> None:
    """The post may stand on a later page; a page without end is no absence."""
    one = await prepared(channel, delivery())
    receipt = await channel.send(one)
    other = {"id": "5", "text": "anderes", "timestamp": NOW.isoformat()}
    paging = {"cursors": {"after": "c1"}, "next": "https://graph.example/"}

    def pages(request: Request) -> Reply | None:
        if path_of(request) != "me/threads":
            return None
        rows = network.posts if given_in(request).get("after") == "c1" else [other]
        return Reply(200, {"data": rows, "paging": paging})

    network.instead = pages
    assert await channel.find(one) == receipt
    network.posts = [other]
    with pytest.raises(Unknown):
        await channel.find(one)


# The table of answers

EXPECTED: dict[str, type[Failure | Receipt]] = {
    "sent": Receipt,
    "rejected": Rejected,
    "auth": NeedsPerson,
    "ambiguous": Unknown,
    "not_sent_retry": NotSent,
}


def answering(row: Mapping[str, Any]) -> Reply | Fault:
    """Give the answer of a row."""
    if row["http_status"] == "timeout-after-send":
        return Fault.HANG
    return Reply(row["http_status"], row["body"])


async def operate(channel: threads.Threads, network: TwoSteps, row: Mapping[str, Any]) -> Any:
    """Do what the row is about, with its answer in the right place."""
    operation = row["operation"]
    if operation == "delete":
        network.other = {"1801": answering(row)}
        return await channel.retract(Receipt("1801"))
    if operation == "create_container":
        network.other = {"me/threads": answering(row)}
        return await channel.prepare(delivery())
    one = await prepared(channel, delivery())
    place = "1801" if operation == "get_container" else "me/threads_publish"
    network.other = {place: answering(row)}
    return await channel.send(one)


ROWS = [row for row in error_cases("threads") if row["http_status"] != "connect-refused"]
SINGLE = [row for row in ROWS if row["expect"] in EXPECTED and row["operation"] != "any"]


@pytest.mark.parametrize("row", SINGLE, ids=name_of)
async def test_each_error_case_has_its_outcome(
    row: dict[str, Any], channel: threads.Threads, network: TwoSteps
) -> None:
    """Every row of the table of Threads' answers comes out as the delivery contract maps it."""
    expected = EXPECTED[row["expect"]]
    try:
        found: Any = await operate(channel, network, row)
    except Failure as failure:
        found = failure
    status = (row["body"] or {}).get("status")
    if status == "PUBLISHED":  # sent, but which post it is only the list tells
        expected = Unknown
    if status == "EXPIRED":  # this container is of no use: "new container", says the row
        assert isinstance(found, NotSent)
        assert found.afresh
    elif row["operation"] == "delete":
        assert found is None
    else:
        assert type(found) is expected


@pytest.mark.parametrize("row", [row for row in ROWS if row["expect"] == "processing"], ids=name_of)
async def test_what_is_processing_is_no_end(
    row: dict[str, Any], channel: threads.Threads, network: TwoSteps
) -> None:
    """A container was made, or is being made ready: neither a receipt nor a refusal."""
    if row["operation"] == "create_container":
        assert (await operate(channel, network, row))["container"] == "1800"
    elif row["body"]["status"] == "FINISHED":
        assert isinstance(await operate(channel, network, row), Receipt)
    else:
        with pytest.raises(NotSent):
            await operate(channel, network, row)
        assert network.posts == []


@pytest.mark.parametrize("row", [row for row in ROWS if row["operation"] == "any"], ids=name_of)
async def test_a_refused_token_is_told_at_every_request(
    row: dict[str, Any], channel: threads.Threads, network: TwoSteps
) -> None:
    """Making, publishing, finding, looking, deleting, probing: a person must act."""
    one = await prepared(channel, delivery())
    network.instead = lambda _: answering(row)
    for work in (
        channel.prepare(one),
        channel.send(one),
        channel.find(one),
        channel.look(replace(one, receipt=Receipt("9000"))),
        channel.retract(Receipt("9000")),
    ):
        assert isinstance(await outcome(work), NeedsPerson)
    found = await channel.probe()
    assert not found.ready
    assert found.remedy is not None
    assert "connect" in found.remedy


async def test_a_refused_connection_is_not_sent(tmp_path: Path) -> None:
    """Nobody listens: nothing was made, and nothing published."""
    channel = build(f"http://127.0.0.1:{free_port()}", tmp_path)
    for work in (channel.prepare(delivery()), channel.send(delivery(handle={"container": "1"}))):
        assert isinstance(await outcome(work), NotSent)
    await channel.close()


def test_the_table_has_rows_for_threads() -> None:
    """The parametrised tests above hold something where the shared data is there."""
    shared_path("contracts", "derived")
    assert len(ROWS) >= 11


async def test_an_answer_without_end_is_unknown(
    channel: threads.Threads, network: TwoSteps
) -> None:
    """More than a megabyte is not read; the post may be there."""
    one = await prepared(channel, delivery())
    network.other = {"me/threads_publish": Reply(200, b" " * 2_000_000)}
    with pytest.raises(Unknown):
        await channel.send(one)
    network.other = {"1801": Reply(200, b" " * 2_000_000)}
    with pytest.raises(NotSent):
        await channel.send(one)


async def test_both_steps_end_within_an_attempt(
    channel: threads.Threads, network: TwoSteps
) -> None:
    """A network that hangs at any request never holds an attempt beyond its limit."""
    for path in ("me/threads", "1801", "me/threads_publish"):
        network.made.clear()
        network.other = {path: Fault.HANG}
        began = time.monotonic()
        assert isinstance(await outcome(post(channel, delivery())), NotSent | Unknown)
        assert time.monotonic() - began < SHORT.attempt_seconds + 0.3


# Looking, taking down, readiness


async def test_a_post_is_looked_up_with_its_counts(
    channel: threads.Threads, network: TwoSteps
) -> None:
    """What it says, its address, and what people did with it; seen as its author."""
    receipt = await post(channel, delivery())
    rows = [{"name": "likes", "values": [{"value": 7}]}, {"name": "views", "values": []}]
    network.other = {"9000/insights": Reply(200, {"data": rows})}
    sight = await channel.look(delivery(receipt=receipt))
    assert sight == Sight(there=True, text=TEXT, counts={"likes": 7}, url=receipt.url, public=False)
    network.posts[0]["text"] = "etwas anderes"
    network.other = {"9000/insights": error(10)}
    sight = await channel.look(delivery(receipt=receipt))
    assert sight.altered
    assert sight.counts == {}


async def test_a_post_that_is_gone_is_seen_to_be(
    channel: threads.Threads, network: TwoSteps
) -> None:
    """Only Graph's own words say that a post is not there; a hiccup says nothing."""
    sight = await channel.look(delivery(receipt=Receipt("9000")))
    assert not sight.there
    network.other = {"9000": Reply(404, b"<html>")}
    with pytest.raises(NotSent):
        await channel.look(delivery(receipt=Receipt("9000")))


async def test_looking_stops_before_the_calls_are_used_up(
    channel: threads.Threads, network: TwoSteps, stub: Stub
) -> None:
    """From 95 % on the calls that are left are for posts, and `probe` says so."""
    usage = {"X-App-Usage": json.dumps({"call_count": 96})}
    network.other = {**PROBED, "me": Reply(200, {"id": "77", "username": "stadt"}, usage)}
    found = await channel.probe()
    assert found.ready
    assert "96 %" in found.sentence
    before = len(stub.requests)
    with pytest.raises(NotSent):
        await channel.look(delivery(receipt=Receipt("9000")))
    assert len(stub.requests) == before
    assert isinstance(await post(channel, delivery()), Receipt)


async def test_a_post_is_taken_down_once(channel: threads.Threads, network: TwoSteps) -> None:
    """Done if it is gone already; but the same words about a post that is there are a refusal."""
    await channel.retract(Receipt("9000"))
    network.other = {"9000": GONE}
    await channel.retract(Receipt("9000"))
    network.other = {}
    there = Reply(200, {"id": "9000"})
    network.instead = lambda one: GONE if one.method == "DELETE" else there
    with pytest.raises(Rejected):
        await channel.retract(Receipt("9000"))
    with pytest.raises(Rejected):
        await channel.retract(Receipt(None))


async def test_readiness_says_who_we_are_and_what_is_left(
    channel: threads.Threads, network: TwoSteps, stub: Stub
) -> None:
    """Account, posts left today and days left of the token; nothing is posted."""
    found = await channel.probe()
    assert found.ready
    assert found.sentence == "Threads knows us as @stadt."
    assert found.account == "@stadt"
    assert found.quota_left == 247
    assert found.days_left == pytest.approx(50, abs=0.1)
    assert found.identity == {"id": "77", "handle": "stadt", "server": stub.url}
    assert stub.posts == []
    assert network.made == []


async def test_readiness_ends_where_no_post_would_go(
    channel: threads.Threads, network: TwoSteps
) -> None:
    """A used-up limit, a missing permission and a strange answer are said plainly."""
    used = {"data": [{"quota_usage": 250, "config": {"quota_total": 250}}]}
    limit = "me/threads_publishing_limit"
    for answer, word in (
        (Reply(200, used), "used up"),
        (error(10), "threads_content_publish"),
        (Reply(200, b"<html>"), "could not be read"),
    ):
        network.other = {**PROBED, limit: answer}
        found = await channel.probe()
        assert not found.ready
        assert word in found.sentence
        assert found.remedy


async def test_a_token_of_another_account_is_no_readiness(
    stub: Stub, network: TwoSteps, tmp_path: Path
) -> None:
    """The configured account is the one that posts, or none."""
    channel = build(stub.url, tmp_path, user_id="78")
    network.other = {**PROBED, "78/threads_publishing_limit": Reply(200, LIMIT)}
    found = await channel.probe()
    assert not found.ready
    assert "@stadt" in found.sentence
    await channel.close()


async def test_a_connection_is_kept_warm_without_the_token(
    channel: threads.Threads, stub: Stub
) -> None:
    """The free request carries nothing of ours."""
    await channel.warm()
    assert [one.method for one in stub.requests] == ["HEAD"]
    assert TOKEN not in str(stub.requests)


# Tokens


async def test_a_bare_token_is_renewed_at_its_first_use(
    stub: Stub, network: TwoSteps, tmp_path: Path
) -> None:
    """Nobody knows its end: a new one is asked for, kept, and used from then on."""
    keep_secret(tmp_path, "bare", TOKEN)
    network.other = {
        **PROBED,
        "refresh_access_token": Reply(200, {"access_token": "new", "expires_in": 5_184_000}),
    }
    channel = build(stub.url, tmp_path, access_token_file="bare")
    found = await channel.probe()
    assert found.days_left == pytest.approx(60, abs=0.1)
    await channel.close()
    again = build(stub.url, tmp_path, access_token_file="bare")
    await again.probe()
    await again.close()
    asked = [path_of(one) for one in stub.requests]
    assert asked.count("refresh_access_token") == 1
    assert [given_in(one)["access_token"] for one in stub.requests] == [TOKEN, *["new"] * 4]
    kept = tmp_path / "city-threads.token"
    assert kept.stat().st_mode & 0o777 == 0o600


async def test_a_token_near_its_end_is_renewed_and_told_where_that_fails(
    stub: Stub, network: TwoSteps, tmp_path: Path
) -> None:
    """Thirty days ahead a new one is asked for; without one people read how long it lasts."""
    ends = {"access_token": TOKEN, "expires": (NOW + timedelta(days=20)).isoformat()}
    keep_secret(tmp_path, "soon", json.dumps(ends))
    network.other = {**PROBED, "refresh_access_token": error(2)}
    channel = build(stub.url, tmp_path, access_token_file="soon")
    found = await channel.probe()
    assert found.ready
    assert found.remedy is not None
    assert "20 days" in found.remedy
    await channel.close()


@pytest.mark.parametrize(
    ("days", "hours_old", "renewals"), [(29, 24, 1), (29, 23, 0), (31, 48, 0), (29, None, 1)]
)
async def test_a_token_is_renewed_thirty_days_ahead_but_not_on_its_first_day(
    stub: Stub,
    network: TwoSteps,
    tmp_path: Path,
    *,
    days: int,
    hours_old: int | None,
    renewals: int,
) -> None:
    """Threads refuses to renew a younger one; a later one is left as little to chance as can be."""
    token = {"access_token": TOKEN, "expires": (NOW + timedelta(days=days)).isoformat()}
    if hours_old is not None:
        token["obtained"] = (NOW - timedelta(hours=hours_old)).isoformat()
    keep_secret(tmp_path, "soon", json.dumps(token))
    fresh = Reply(200, {"access_token": "new", "expires_in": 5_184_000})
    network.other = {**PROBED, "refresh_access_token": fresh}
    channel = build(stub.url, tmp_path, access_token_file="soon")
    await channel.probe()
    await channel.close()
    asked = [path_of(one) for one in stub.requests]
    assert asked.count("refresh_access_token") == renewals


async def test_an_expired_token_is_told_in_a_sentence(
    stub: Stub, network: TwoSteps, tmp_path: Path
) -> None:
    """Sixty days without renewal: only a person can connect it again."""
    over = {"access_token": TOKEN, "expires": (NOW - timedelta(days=1)).isoformat()}
    keep_secret(tmp_path, "over", json.dumps(over))
    network.other = {**PROBED, "refresh_access_token": error(190, 463)}
    channel = build(stub.url, tmp_path, access_token_file="over")
    found = await channel.probe()
    assert not found.ready
    assert "expired" in found.sentence
    assert isinstance(await outcome(channel.prepare(delivery())), NeedsPerson)
    await channel.close()


async def test_a_person_connects_the_account(stub: Stub, tmp_path: Path) -> None:
    """A code becomes a token of an hour, and that one of sixty days."""
    app = keep_secret(tmp_path, "app", SECRET)
    token = keep_secret(tmp_path, "token", TOKEN)
    settings = threads.Settings(
        access_token_file=token, app_id="12", app_secret_file=app, base_url=stub.url
    )
    oauth = threads.oauth(setup_for(tmp_path, "threads"), settings)
    page = urlsplit(oauth.authorize("https://a.example/back", "s1"))
    asked = dict(parse_qsl(page.query))
    assert asked["client_id"] == "12"
    assert asked["response_type"] == "code"
    assert {"threads_content_publish", "threads_delete"} <= set(asked["scope"].split(","))

    def answer(request: Request) -> Reply:
        if path_of(request) == "oauth/access_token":
            return Reply(200, {"access_token": "hour", "user_id": 77})
        return Reply(200, {"access_token": "long", "expires_in": 5_184_000})

    stub.answer = answer
    grant = await oauth.exchange("code1#_", "https://a.example/back")
    assert grant.access_token == "long"
    assert grant.expires == NOW + timedelta(days=60)
    assert given_in(stub.requests[0])["code"] == "code1"
    assert given_in(stub.requests[1])["access_token"] == "hour"
    without = threads.Settings(access_token_file=token)
    with pytest.raises(ValueError, match="app_id"):
        threads.oauth(setup_for(tmp_path, "threads"), without)
    with pytest.raises(ValidationError):
        threads.Settings(access_token_file=token, app_id="12")


async def test_no_secret_is_in_what_a_failure_says(
    channel: threads.Threads, network: TwoSteps, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither a reason nor a log line nor a repr shows the token."""
    caplog.set_level(logging.DEBUG)
    one = await prepared(channel, delivery())
    for reply in (error(190, message=TOKEN), error(100, message=TOKEN), Reply(500)):
        network.other = {"me/threads_publish": reply}
        found = await outcome(channel.send(one))
        assert isinstance(found, Failure)
        assert TOKEN not in found.reason
    assert TOKEN not in caplog.text + repr(channel) + channel.account


# The contract and the measure


def collection() -> dict[tuple[str, str], set[str]]:
    """Read Meta's Postman collection: method and path, and the parameters of all its examples."""
    path = shared_path("contracts", "threads", "threads-api.postman_collection.json")
    found: dict[tuple[str, str], set[str]] = {}

    def walk(folder: Mapping[str, Any]) -> None:
        for item in folder.get("item", []):
            walk(item)
            if request := item.get("request"):
                url = request["url"]
                place = "/".join(part for part in url["path"] if part)
                names = {one["key"] for one in url.get("query", [])}
                found.setdefault((request["method"], place), set()).update(names)

    walk(json.loads(path.read_text("utf-8")))
    return found


def as_in_collection(request: Request) -> tuple[str, str]:
    """Name a request as the collection does."""
    path = path_of(request)
    if path.isdecimal():
        name = "{{container_id}}" if path.startswith("18") else "{{thread_id}}"
        return request.method, name
    return request.method, path.replace("9000", "{{thread_id}}")


async def test_every_request_is_one_of_metas_own_collection(
    channel: threads.Threads, network: TwoSteps, stub: Stub
) -> None:
    """Method, path and each parameter's name are in the official collection."""
    one = await prepared(channel, carded(reply_to=Receipt("555")))
    receipt = await channel.send(one)
    await post(channel, delivery())
    await channel.find(one)
    await channel.look(replace(one, receipt=receipt))
    await channel.probe()
    await channel.retract(receipt)
    fresh = {"access_token": "new", "expires_in": 5_184_000}
    network.other = {"refresh_access_token": Reply(200, fresh)}
    assert await channel._tokens.renew(TOKEN) == "new"
    official = collection()
    login = {"access_token"}  # with every request: the collection's own way to log in
    seen = set()
    for request in stub.requests:
        name = as_in_collection(request)
        assert name in official, name
        assert set(given_in(request)) - login <= official[name], name
        seen.add(name)
    assert {method for method, _ in seen} == {"GET", "POST", "DELETE"}
    assert len(seen) >= 8


@pytest.mark.parametrize("unit", ["ü", "ж", "ح", "漢", "👨‍👩‍👧", "🇩🇪", "1️⃣", "⚠️", "🔥"])
def test_the_limit_is_held_to_the_unit(unit: str) -> None:
    """At the limit a text fits, one below it too, one above it not; emoji count their bytes."""
    limits = threads.Threads.limits
    emoji = len(unit.encode()) if length(unit, limits) > len(unit) else None
    size = emoji or len(unit)
    assert length(unit, limits) == size
    whole = unit + "a" * (limits.maximum - size)
    assert fits(whole, limits)
    assert fits(whole[:-1], limits)
    assert not fits(whole + "a", limits)


def test_links_are_limited_beside_the_length() -> None:
    """Five distinct links fit, six do not; the same one twice is one."""
    limits = threads.Threads.limits
    links = [f"https://s.example/{number}" for number in range(6)]
    assert fits(" ".join(links[:5] + links[:1]), limits)
    assert not fits(" ".join(links), limits)


def test_a_margin_is_kept_below_what_threads_takes() -> None:
    """Meta says 500, and not how it finds an emoji."""
    assert threads.Threads.limits.maximum < 500


async def test_a_delivery_without_a_text_is_refused(channel: threads.Threads) -> None:
    """Nothing to say is nothing to post."""
    with pytest.raises(Rejected):
        await channel.prepare(replace(delivery(), message=None))
    with pytest.raises(Rejected):
        await channel.look(delivery())
