"""Instagram: the card in two steps, one post, and what either of the two logins cannot do."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from broadcaster.channels import instagram
from broadcaster.config import Timing
from broadcaster.delivery import (
    Act,
    Delivery,
    Failure,
    Message,
    NeedsPerson,
    NotSent,
    Receipt,
    Rejected,
    Sight,
    Unknown,
)
from broadcaster.measure import fits
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
    instagram_network,
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
TOKEN, SECRET, USER = "IGAA-canary-token", "canary-app-secret", "1784"
POINTER = "Überholt: siehe Nr. 26-0142/2"
LIMIT = {"data": [{"quota_usage": 3, "config": {"quota_total": 50, "quota_duration": 86400}}]}
GRANTED = ("instagram_basic", "instagram_content_publish", "instagram_manage_comments")
PROBED: Mapping[str, Reply | Fault] = {
    "me": Reply(200, {"id": "99", "user_id": USER, "username": "stadt"}),
    USER: Reply(200, {"id": USER, "username": "stadt"}),
    f"{USER}/content_publishing_limit": Reply(200, LIMIT),
}


def permissions(*granted: str) -> Reply:
    """Answer what a person has agreed to, and one thing they have not."""
    rows = [{"permission": one, "status": "granted"} for one in granted]
    return Reply(200, {"data": [*rows, {"permission": "email", "status": "declined"}]})


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    """Run a server that answers as told."""
    async with serving() as one:
        yield one


@pytest.fixture
def network(stub: Stub) -> TwoSteps:
    """Give a network in two steps, behind that server."""
    one = instagram_network(other=dict(PROBED))
    stub.answer = one
    return one


def build(url: str, place: Path, timing: Timing = SHORT, **more: Any) -> instagram.Instagram:
    """Build the channel, with a clock that only waiting moves, and a token of a known end."""
    expires = (NOW + timedelta(days=50)).isoformat()
    token = keep_secret(place, "token", json.dumps({"access_token": TOKEN, "expires": expires}))
    given = {"login": "instagram", "ig_user_id": USER, "access_token_file": token, "base_url": url}
    settings = instagram.Settings.model_validate(given | more)
    setup = replace(setup_for(place, "instagram", timing=timing), clock=MovingClock())
    return instagram.build(setup, settings)


@pytest.fixture
async def channel(stub: Stub, tmp_path: Path) -> AsyncIterator[instagram.Instagram]:
    """Give a channel to that server, with Instagram Login."""
    one = build(stub.url, tmp_path)
    yield one
    await one.close()


@pytest.fixture
async def by_facebook(stub: Stub, tmp_path: Path) -> AsyncIterator[instagram.Instagram]:
    """Give a channel to that server, with Facebook Login."""
    one = build(stub.url, tmp_path, login="facebook")
    yield one
    await one.close()


async def prepared(channel: instagram.Instagram, one: Delivery | None = None) -> Delivery:
    """Take the first step as the dispatcher does: what it made comes back as JSON."""
    one = one or carded()
    return replace(one, handle=json.loads(json.dumps(await channel.prepare(one))))


async def outcome(work: Any) -> Any:
    """Give what came of it, failures too."""
    try:
        return await work
    except Failure as failure:
        return failure


def publications(stub: Stub) -> list[Request]:
    """Give the requests that ask for a post."""
    return [one for one in stub.posts if "media_publish" in one.path]


def correction() -> Delivery:
    """Give a delivery that marks the post of the version before as overtaken."""
    return delivery(message=Message(POINTER, "de", act=Act.CORRECT), reply_to=Receipt("9000"))


# Posting


async def test_a_card_is_made_and_then_published(
    channel: instagram.Instagram, network: TwoSteps, stub: Stub
) -> None:
    """One container, one publication: picture, description and caption are the alert's own."""
    one = await prepared(channel)
    assert network.posts == []
    receipt = await channel.send(one)
    assert receipt == Receipt("9000", "https://meta.example/@stadt/post/0")
    assert network.made == [{"image_url": CARD.url, "caption": TEXT, "alt_text": CARD.alt}]
    assert len(publications(stub)) == 1


async def test_there_is_no_post_before_its_card(
    channel: instagram.Instagram, network: TwoSteps, stub: Stub
) -> None:
    """Instagram has no posts without a picture: until it is drawn nothing is asked."""
    for media in ((), (replace(CARD, url=None, digest=None),)):
        with pytest.raises(NotSent, match="its card is not drawn yet"):
            await channel.prepare(delivery(message=Message(TEXT, "de", media=media)))
    assert stub.requests == []
    assert network.made == []
    assert channel.picture is not None
    assert channel.picture.required
    assert channel.picture.kind == "image/jpeg"


async def test_a_picture_in_progress_is_waited_for_and_then_gone_on_with(
    channel: instagram.Instagram, network: TwoSteps, stub: Stub
) -> None:
    """The same container is asked again at the next attempt."""
    network.status_of = lambda _: "IN_PROGRESS"
    one = await prepared(channel)
    with pytest.raises(NotSent) as caught:
        await channel.send(one)
    assert caught.value.retry_after == timedelta(seconds=1)
    assert not caught.value.afresh
    network.status_of = lambda _: "FINISHED"
    await channel.send(one)
    assert len(network.made) == len(network.posts) == len(publications(stub)) == 1


@pytest.mark.parametrize("doubtful", [False, True])
async def test_a_container_that_stays_in_progress_is_replaced(
    channel: instagram.Instagram, network: TwoSteps, *, doubtful: bool
) -> None:
    """After five minutes; but not one that may have been published meanwhile."""
    network.status_of = lambda _: "IN_PROGRESS"
    one = replace(await prepared(channel), doubtful=doubtful)
    await channel._clock.sleep(299)
    with pytest.raises(NotSent) as early:
        await channel.send(one)
    await channel._clock.sleep(2)
    with pytest.raises(NotSent) as late:
        await channel.send(one)
    assert not early.value.afresh
    assert late.value.afresh is not doubtful


async def test_a_container_that_is_not_ready_is_published_a_moment_later(
    network: TwoSteps, stub: Stub, tmp_path: Path
) -> None:
    """9007/2207027 proves that nothing was published: polled on, within the attempt."""
    early = iter([error(9007, 2207027)] * 2)
    network.instead = lambda one: next(early, None) if "publish" in one.path else None
    channel = build(stub.url, tmp_path, Timing(attempt_seconds=15))
    await channel.send(await prepared(channel))
    assert len(network.posts) == 1
    assert len(publications(stub)) == 3
    await channel.close()


async def test_a_container_that_stays_not_ready_is_gone_on_with(
    channel: instagram.Instagram, network: TwoSteps
) -> None:
    """At the end of the attempt the container is kept, and tried again a second later."""
    one = await prepared(channel)
    network.other = {f"{USER}/media_publish": error(9007, 2207027)}
    with pytest.raises(NotSent) as caught:
        await channel.send(one)
    assert caught.value.retry_after == timedelta(seconds=1)
    assert not caught.value.afresh


@pytest.mark.parametrize(
    ("says", "kind"),
    [
        ("Error: Media upload has failed with error code 2207052", Rejected),
        ("Error: Media upload has failed with error code 2207003", NotSent),
        ("Error", Rejected),
        ("", Rejected),
    ],
)
async def test_a_container_in_error_is_taken_by_its_code(
    channel: instagram.Instagram, network: TwoSteps, says: str, kind: type[Failure]
) -> None:
    """What another container may mend is made afresh; the rest is refused, in words."""
    one = await prepared(channel)
    network.status_of, network.says = lambda _: "ERROR", {"status": says}
    found = await outcome(channel.send(one))
    assert type(found) is kind
    assert getattr(found, "afresh", False) == (kind is NotSent)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a" * 2201, "2201 characters"),
        (" ".join(["#a"] * 31), "31 hashtags"),
        (" ".join(["@a"] * 21), "21 accounts"),
    ],
)
async def test_a_caption_with_too_much_is_refused_before_sending(
    channel: instagram.Instagram, network: TwoSteps, text: str, word: str
) -> None:
    """Instagram's own limits are held here, so that the reason is a plain one."""
    with pytest.raises(Rejected, match=word):
        await channel.prepare(carded(text))
    assert network.made == []


@pytest.mark.parametrize(
    "text", ["a" * 2200, "ü" * 2200, "🔥" * 2200, "ح" * 2200, "#a " * 30 + "@a " * 20]
)
async def test_a_caption_at_its_limits_goes_out(
    channel: instagram.Instagram, network: TwoSteps, text: str
) -> None:
    """2,200 characters of any script, 30 hashtags and 20 names are taken."""
    await channel.prepare(carded(text))
    assert network.made[0]["caption"] == text


@pytest.mark.parametrize("unit", ["ü", "ح", "👨‍👩‍👧", "https://s.example/1 "])
def test_the_limit_is_held_to_the_character(unit: str) -> None:
    """At the limit a text fits, one below it too, one above it not."""
    limits = instagram.Instagram.limits
    whole = unit + "a" * (limits.maximum - len(unit))
    assert fits(whole, limits)
    assert fits(whole[:-1], limits)
    assert not fits(whole + "a", limits)


# One post, whatever happens


async def test_a_crash_between_the_steps_makes_one_post(
    stub: Stub, network: TwoSteps, tmp_path: Path
) -> None:
    """Another process goes on with the stored container, and makes no second one."""
    first = build(stub.url, tmp_path)
    one = await prepared(first)
    await first.close()
    second = build(stub.url, tmp_path)
    assert await second.find(one) is None
    receipt = await second.send(one)
    assert await second.find(one) == receipt
    assert await second.send(one) == receipt
    await second.close()
    assert len(network.made) == len(network.posts) == len(publications(stub)) == 1


async def test_a_lost_answer_is_unknown_and_then_found(
    channel: instagram.Instagram, network: TwoSteps
) -> None:
    """The connection ends after the post was made: nothing is repeated, and it is found."""
    network.lose = True
    one = await prepared(channel)
    with pytest.raises(Unknown):
        await channel.send(one)
    found = await channel.find(one)
    assert found is not None
    assert found.remote_id == "9000"
    assert len(network.posts) == 1


async def test_a_lost_request_is_provably_not_there(
    channel: instagram.Instagram, network: TwoSteps
) -> None:
    """Ready, and on no list: it was not published, and may be now."""
    one = await prepared(channel)
    network.instead = lambda one: Fault.RESET if "publish" in one.path else None
    with pytest.raises(Unknown):
        await channel.send(one)
    assert await channel.find(one) is None
    assert await channel.find(carded()) is None
    network.instead = lambda _: None
    await channel.send(one)
    assert len(network.posts) == 1


async def test_published_but_not_listed_stays_undecided(
    channel: instagram.Instagram, network: TwoSteps, stub: Stub
) -> None:
    """Which post it is only the list tells: nothing is published again meanwhile."""
    one = await prepared(channel)
    await channel.send(one)
    network.posts.clear()
    with pytest.raises(NotSent):
        await channel.find(one)
    with pytest.raises(Unknown):
        await channel.send(one)
    assert len(publications(stub)) == 1


async def test_both_steps_end_within_an_attempt(
    channel: instagram.Instagram, network: TwoSteps
) -> None:
    """A network that hangs at any request never holds an attempt beyond its limit."""
    for path in (f"{USER}/media", "1801", f"{USER}/media_publish"):
        network.made.clear()
        network.other = {path: Fault.HANG}
        began = time.monotonic()
        found = await outcome(prepared(channel))
        if isinstance(found, Delivery):
            found = await outcome(channel.send(found))
        assert isinstance(found, NotSent | Unknown)
        assert time.monotonic() - began < SHORT.attempt_seconds + 0.3


# The table of answers

EXPECTED: dict[str, type[Failure | Receipt]] = {
    "sent": Receipt,
    "rejected": Rejected,
    "auth": NeedsPerson,
    "blocked": NeedsPerson,
    "ambiguous": Unknown,
    "not_sent_retry": NotSent,
}


def answering(row: Mapping[str, Any]) -> Reply | Fault:
    """Give the answer of a row."""
    if row["http_status"] == "timeout-after-send":
        return Fault.HANG
    return Reply(row["http_status"], row["body"])


async def operate(channel: instagram.Instagram, network: TwoSteps, row: Mapping[str, Any]) -> Any:
    """Do what the row is about, with its answer in the right place."""
    if row["operation"] == "create_container":
        network.other = {f"{USER}/media": answering(row)}
        return await channel.prepare(carded())
    one = await prepared(channel)
    place = "1801" if row["operation"] == "get_container" else f"{USER}/media_publish"
    network.other = {place: answering(row)}
    return await channel.send(one)


ROWS = [row for row in error_cases("instagram") if row["http_status"] != "connect-refused"]


@pytest.mark.parametrize("row", [row for row in ROWS if row["expect"] in EXPECTED], ids=name_of)
async def test_each_error_case_has_its_outcome(
    row: dict[str, Any], channel: instagram.Instagram, network: TwoSteps
) -> None:
    """Every row of the table of Instagram's answers comes out as the delivery contract maps it."""
    found = await outcome(operate(channel, network, row))
    status = (row["body"] or {}).get("status_code")
    if status == "PUBLISHED":  # sent, but which post it is only the list tells
        assert isinstance(found, Unknown)
    elif status == "EXPIRED":  # this container is of no use: "new container", says the row
        assert isinstance(found, NotSent)
        assert found.afresh
    else:
        assert type(found) is EXPECTED[row["expect"]]
        assert getattr(found, "afresh", False) == (row["expect"] == "not_sent_retry")


@pytest.mark.parametrize("row", [row for row in ROWS if row["expect"] == "processing"], ids=name_of)
async def test_what_is_processing_is_no_end(
    row: dict[str, Any], channel: instagram.Instagram, network: TwoSteps
) -> None:
    """A container was made, or is being made ready: neither a receipt nor a refusal."""
    found = await outcome(operate(channel, network, row))
    if row["operation"] == "create_container":
        assert found == {"container": "1790", "made": NOW.isoformat()}
    elif row["body"].get("status_code") == "FINISHED":
        assert isinstance(found, Receipt)
    else:
        assert isinstance(found, NotSent)
        assert not found.afresh


def test_the_table_has_rows_for_instagram() -> None:
    """The parametrised tests above hold something where the shared data is there."""
    shared_path("contracts", "derived")
    assert len(ROWS) >= 24


async def test_a_refused_connection_is_not_sent(tmp_path: Path) -> None:
    """Nobody listens: nothing was made, and nothing published."""
    channel = build(f"http://127.0.0.1:{free_port()}", tmp_path)
    for work in (channel.prepare(carded()), channel.send(carded(handle={"container": "1"}))):
        assert isinstance(await outcome(work), NotSent)
    await channel.close()


async def test_an_answer_without_end_is_unknown(
    channel: instagram.Instagram, network: TwoSteps
) -> None:
    """More than a megabyte is not read; the post may be there."""
    one = await prepared(channel)
    network.other = {f"{USER}/media_publish": Reply(200, b" " * 2_000_000)}
    assert isinstance(await outcome(channel.send(one)), Unknown)


# Corrections, looks, taking down


async def test_an_older_post_is_marked_in_a_comment_once(
    channel: instagram.Instagram, network: TwoSteps, stub: Stub
) -> None:
    """A caption cannot be edited. What an earlier attempt has left there is found."""
    assert await channel.find(correction()) is None
    comments: list[dict[str, Any]] = [{"id": "5", "text": f"{POINTER}3"}]

    def answer(request: Request) -> Reply:
        if request.method == "POST":
            comments.append({"id": "17", "text": given_in(request)["message"]})
            return Reply(200, {"id": "17"})
        return Reply(200, {"data": comments})

    network.instead = lambda one: answer(one) if path_of(one) == "9000/comments" else None
    receipt = await channel.correct(correction())
    assert receipt.remote_id == "17"
    assert receipt.note is not None
    assert await channel.find(correction()) == receipt
    assert len([one for one in stub.posts if "comments" in one.path]) == 1


async def test_a_post_that_everybody_comments_on_is_marked_all_the_same(
    channel: instagram.Instagram, network: TwoSteps
) -> None:
    """In a crisis there are more comments than can be read, and reading them proves nothing."""
    paging = {"cursors": {"after": "x"}, "next": "https://graph.example/next"}
    many = {"data": [{"id": "5", "text": "?"}] * 25, "paging": paging}
    network.other = {"9000/comments": Reply(200, many)}
    assert isinstance(await outcome(channel.find(correction())), Unknown)
    network.instead = lambda one: Reply(200, {"id": "17"}) if one.method == "POST" else None
    assert (await channel.correct(correction())).remote_id == "17"


async def test_a_comment_that_fails_says_what_it_proves(
    channel: instagram.Instagram, network: TwoSteps
) -> None:
    """A lost answer is unknown, a missing permission a person's, a post that is gone refused."""

    def answers(reply: Reply | Fault) -> None:
        network.instead = lambda one: reply if one.method == "POST" else None

    for reply, kind in (
        (Fault.CLOSE, Unknown),
        (error(10), NeedsPerson),
        (GONE, Rejected),
        (error(4), NotSent),
        (Reply(200, {}), Unknown),
    ):
        answers(reply)
        assert isinstance(await outcome(channel.correct(correction())), kind)
    network.instead = lambda _: Fault.HANG
    assert isinstance(await outcome(channel.correct(correction())), Unknown)
    with pytest.raises(Rejected):
        await channel.correct(replace(correction(), reply_to=None))


async def test_a_post_is_looked_up_with_its_counts(
    channel: instagram.Instagram, network: TwoSteps
) -> None:
    """What it says, its address, and what people did with it; seen as its author."""
    receipt = await channel.send(await prepared(channel))
    network.posts[0] |= {"like_count": 7, "comments_count": 0}
    rows = [{"name": "reach", "values": [{"value": 90}]}]
    network.other = {"9000/insights": Reply(200, {"data": rows})}
    sight = await channel.look(delivery(receipt=receipt))
    counts = {"reach": 90, "likes": 7, "replies": 0}
    assert sight == Sight(there=True, text=TEXT, counts=counts, url=receipt.url, public=False)
    network.posts[0]["caption"] = "etwas anderes"
    network.other = {"9000/insights": error(10)}
    sight = await channel.look(delivery(receipt=receipt))
    assert sight.altered
    assert sight.counts == {"likes": 7, "replies": 0}
    network.posts.clear()
    assert not (await channel.look(delivery(receipt=receipt))).there
    network.other = {"9000": Reply(404, b"<html>")}
    with pytest.raises(NotSent):
        await channel.look(delivery(receipt=receipt))
    with pytest.raises(Rejected):
        await channel.look(delivery())


async def test_instagram_login_takes_no_post_down(channel: instagram.Instagram, stub: Stub) -> None:
    """People are told to do it by hand; nothing is asked in vain."""
    with pytest.raises(Rejected, match="Instagram Login cannot take a post down"):
        await channel.retract(Receipt("9000"))
    assert stub.requests == []


async def test_facebook_login_takes_a_post_down_once(
    by_facebook: instagram.Instagram, network: TwoSteps
) -> None:
    """Done if it is gone already; but the same words about a post that is there are a refusal."""
    await by_facebook.retract(Receipt("9000"))
    network.other = {"9000": GONE}
    await by_facebook.retract(Receipt("9000"))
    there = Reply(200, {"id": "9000"})
    network.instead = lambda one: GONE if one.method == "DELETE" else there
    with pytest.raises(Rejected):
        await by_facebook.retract(Receipt("9000"))
    network.instead = lambda _: error(10)
    with pytest.raises(NeedsPerson):
        await by_facebook.retract(Receipt("9000"))


# Readiness and tokens


async def test_readiness_says_what_instagram_login_cannot_do(
    channel: instagram.Instagram, network: TwoSteps, stub: Stub
) -> None:
    """Account, posts left today, days left; and that taking down is done by hand."""
    found = await channel.probe()
    assert found.ready
    assert found.sentence.startswith("Instagram knows us as @stadt; Instagram Login cannot")
    assert found.quota_left == 47
    assert found.days_left == pytest.approx(50, abs=0.1)
    assert found.identity == {"id": USER, "handle": "stadt", "server": stub.url}
    assert stub.posts == []
    assert network.made == []


async def test_readiness_says_what_facebook_login_lacks(
    by_facebook: instagram.Instagram, network: TwoSteps
) -> None:
    """Each permission that was not granted is named with what it is for."""
    network.other = {**PROBED, "me/permissions": permissions(*GRANTED)}
    found = await by_facebook.probe()
    assert found.ready
    assert "cannot take posts down (no instagram_manage_contents)" in found.sentence
    everything = permissions(*GRANTED, "instagram_manage_contents")
    network.other = {**PROBED, "me/permissions": everything}
    assert (await by_facebook.probe()).sentence == "Instagram knows us as @stadt."
    network.other = {**PROBED, "me/permissions": permissions("instagram_basic")}
    found = await by_facebook.probe()
    assert not found.ready
    assert "instagram_content_publish" in found.sentence
    network.other = {**PROBED, "me/permissions": error(10)}
    found = await by_facebook.probe()
    assert found.ready
    assert "could not be read" in found.sentence


async def test_readiness_ends_where_no_post_would_go(
    channel: instagram.Instagram, network: TwoSteps
) -> None:
    """A used-up limit, a missing permission, another account and a strange answer."""
    used = {"data": [{"quota_usage": 50, "config": {"quota_total": 50}}]}
    limit = f"{USER}/content_publishing_limit"
    other = {"id": "1", "user_id": "2", "username": "anderswo"}
    for place, answer, word in (
        (limit, Reply(200, used), "used up"),
        (limit, error(10), "instagram_business_content_publish"),
        ("me", Reply(200, other), "somebody else"),
        ("me", error(190, 463), "expired"),
        ("me", Reply(200, b"<html>"), "could not be read"),
    ):
        network.other = {**PROBED, place: answer}
        found = await channel.probe()
        assert not found.ready
        assert word in found.sentence
        assert found.remedy


async def test_calls_nearly_used_up_are_told_and_kept_for_posts(
    channel: instagram.Instagram, network: TwoSteps, stub: Stub
) -> None:
    """From 95 % on nothing is looked up any more."""
    rows = [{"type": "instagram", "call_count": 97, "total_cputime": 1, "total_time": 1}]
    usage = {"X-Business-Use-Case-Usage": json.dumps({USER: rows})}
    limit = Reply(200, LIMIT, usage)
    network.other = {**PROBED, f"{USER}/content_publishing_limit": limit}
    found = await channel.probe()
    assert found.ready
    assert "97 %" in found.sentence
    before = len(stub.requests)
    with pytest.raises(NotSent):
        await channel.look(delivery(receipt=Receipt("9000")))
    assert len(stub.requests) == before


async def test_a_token_of_instagram_login_is_renewed(
    stub: Stub, network: TwoSteps, tmp_path: Path
) -> None:
    """A bare token is exchanged at its first use; one of Facebook Login only by a person."""
    keep_secret(tmp_path, "bare", TOKEN)
    fresh = {"access_token": "new", "expires_in": 5_184_000, "permissions": "x"}
    network.other = {**PROBED, "refresh_access_token": Reply(200, fresh)}
    channel = build(stub.url, tmp_path, access_token_file="bare")
    assert (await channel.probe()).days_left == pytest.approx(60, abs=0.1)
    await channel.close()
    assert stub.requests[0].path.split("?")[0] == "/refresh_access_token"
    assert stub.requests[1].headers["authorization"] == "Bearer new"
    stub.requests.clear()
    (tmp_path / "city-instagram.token").unlink()
    other = build(stub.url, tmp_path, access_token_file="bare", login="facebook")
    assert (await other.probe()).days_left is None
    assert "refresh_access_token" not in str(stub.requests)
    await other.close()


@pytest.mark.parametrize("login", ["instagram", "facebook"])
async def test_a_person_connects_the_account(login: str, stub: Stub, tmp_path: Path) -> None:
    """Either login turns a code into a token of an hour, and that one into one of sixty days."""
    app, token = keep_secret(tmp_path, "app", SECRET), keep_secret(tmp_path, "token", TOKEN)
    given = {"login": login, "ig_user_id": USER, "access_token_file": token, "app_id": "12"}
    settings = instagram.Settings.model_validate(
        given | {"app_secret_file": app, "base_url": stub.url}
    )
    oauth = instagram.oauth(setup_for(tmp_path, "instagram"), settings)
    page = oauth.authorize("https://a.example/back", "s1")
    assert "content_publish" in page
    assert "state=s1" in page
    assert oauth.advice.endswith(".")
    hour = (
        {"data": [{"access_token": "hour"}]} if login == "instagram" else {"access_token": "hour"}
    )
    replies = iter(
        [Reply(200, hour), Reply(200, {"access_token": "long", "expires_in": 5_184_000})]
    )
    stub.answer = lambda _: next(replies)
    grant = await oauth.exchange("code1", "https://a.example/back")
    assert grant.access_token == "long"
    assert grant.expires == NOW + timedelta(days=60)
    assert given_in(stub.requests[0])["code"] == "code1"
    asked = given_in(stub.requests[1])
    assert asked["access_token" if login == "instagram" else "fb_exchange_token"] == "hour"
    without = instagram.Settings.model_validate(given | {"app_id": None})
    with pytest.raises(ValueError, match="app_id"):
        instagram.oauth(setup_for(tmp_path, "instagram"), without)
    with pytest.raises(ValidationError):
        instagram.Settings.model_validate(given)


def test_each_login_has_its_own_host() -> None:
    """The two set-ups speak to different servers, unless told otherwise."""
    given = {"ig_user_id": USER, "access_token_file": "t"}
    hosts = {
        login: instagram.Settings.model_validate({**given, "login": login}).base
        for login in ("instagram", "facebook")
    }
    assert hosts["instagram"] == "https://graph.instagram.com"
    assert hosts["facebook"] == "https://graph.facebook.com"


async def test_no_secret_is_in_what_a_failure_says(
    channel: instagram.Instagram, network: TwoSteps, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither a reason nor a log line nor a repr shows the token, nor does any address."""
    caplog.set_level(logging.DEBUG)
    one = await prepared(channel)
    for reply in (error(190, message=TOKEN), error(100, message=TOKEN), Reply(500)):
        network.other = {f"{USER}/media_publish": reply}
        found = await outcome(channel.send(one))
        assert isinstance(found, Failure)
        assert TOKEN not in found.reason
    assert TOKEN not in caplog.text + repr(channel) + channel.account


# The contract

ALWAYS = {"fields", "limit", "after"}  # what every read of Graph takes


def official(version: str) -> dict[tuple[str, str], set[str]]:
    """Read what an Instagram user and a post take: method and edge, and the parameters."""
    if version == "v25.0":
        path = shared_path("contracts", "meta-graph-v25.trimmed.json")
        nodes = json.loads(path.read_text("utf-8"))
        return {
            (one["method"], one.get("endpoint") or ""): {each["name"] for each in one["params"]}
            for name in ("IGUser", "IGMediaForIGOnlyAPI", "IGMedia")
            for one in nodes[name]["apis"]
        }
    path = shared_path("contracts", "meta-graph-v26.params.json")
    nodes = json.loads(path.read_text("utf-8"))
    return {
        (one["method"], one["endpoint"].strip("/")): set(one["param_types"])
        for name in ("IGUser", "IGMedia")
        for one in nodes[name].values()
    }


async def test_instagram_login_keeps_to_its_own_parameters(
    stub: Stub, network: TwoSteps, tmp_path: Path
) -> None:
    """The other set-up has lists of its own: no deletion, and a renewal of the token."""
    path = shared_path("contracts", "meta-graph-v25.trimmed.json")
    nodes = json.loads(path.read_text("utf-8"))
    known = {
        (one["method"], (one.get("endpoint") or "").replace("mediapublish", "media_publish")): {
            each["name"] for each in one["params"]
        }
        for name in ("IGUserForIGOnlyAPI", "IGMediaForIGOnlyAPI")
        for one in nodes[name]["apis"]
    }
    (renewal,) = nodes["IGRefreshAccessTokenForIGOnlyAPI"]["apis"]
    keep_secret(tmp_path, "bare", TOKEN)
    fresh = Reply(200, {"access_token": "new", "expires_in": 5_184_000})
    network.other = {**PROBED, "refresh_access_token": fresh}
    channel = build(stub.url, tmp_path, access_token_file="bare")
    one = await prepared(channel)
    receipt = await channel.send(one)
    await channel.find(one)
    await channel.look(replace(one, receipt=receipt))
    await channel.probe()
    network.other = {"9000/comments": Reply(200, {"data": []})}
    assert await channel.find(correction()) is None
    network.instead = lambda one: Reply(200, {"id": "17"}) if one.method == "POST" else None
    assert isinstance(await channel.correct(correction()), Receipt)
    await channel.close()
    renewed, *rest = stub.requests
    assert set(given_in(renewed)) == {each["name"] for each in renewal["params"]}
    for request in rest:
        edge = path_of(request).partition("/")[2]
        assert set(given_in(request)) - ALWAYS <= known[(request.method, edge)], request.path
    assert len(rest) >= 9


@pytest.mark.parametrize("version", ["v25.0", "v26.0"])
async def test_every_request_keeps_to_metas_own_parameters(
    version: str, stub: Stub, network: TwoSteps, tmp_path: Path
) -> None:
    """Each edge and each parameter sent is in the list of both versions."""
    channel = build(stub.url, tmp_path, login="facebook", api_version=version)
    network.other = {**PROBED, "me/permissions": permissions(*GRANTED)}
    one = await prepared(channel)
    receipt = await channel.send(one)
    await channel.find(one)
    await channel.look(replace(one, receipt=receipt))
    await channel.probe()
    network.other = {}
    assert await channel.find(correction()) is None
    network.instead = lambda one: Reply(200, {"id": "17"}) if one.method == "POST" else None
    assert isinstance(await channel.correct(correction()), Receipt)
    network.instead = lambda _: None
    await channel.retract(receipt)
    await channel.close()
    known = official(version)
    not_listed = {"insights", "permissions"} | ({"comments"} if version == "v26.0" else set())
    edges: set[tuple[str, str]] = set()
    for request in stub.requests:
        assert request.path.startswith(f"/{version}/")
        edge = path_of(request).partition("/")[2]
        edges.add((request.method, edge))
        if request.method == "GET" and edge in not_listed:
            continue  # a read that the extract leaves out
        assert set(given_in(request)) - ALWAYS <= known[(request.method, edge)]
    posted = {("POST", "media"), ("POST", "media_publish"), ("POST", "comments"), ("DELETE", "")}
    assert posted < edges
