"""LinkedIn: an older post is marked as overtaken, by an edit or else by a comment; never twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from broadcaster.channels import linkedin
from broadcaster.channels.linkedin import little
from broadcaster.config import Timing
from broadcaster.delivery import Failure, NeedsPerson, NotSent, Receipt, Rejected, Unknown
from tests.channels.linkedin.company_page import (
    OLD,
    POINTER,
    US,
    Page,
    build,
    correction,
    listed,
    sent_to,
)
from tests.channels.stub import Fault, Reply, Request, Stub, serving

TEXT = r"Rauch \(Nord\) {hashtag|\#|Feuer} Nr. 26-0142/1"
NOTE = "LinkedIn refused to edit the post: marked as overtaken in a comment instead"
REFUSED = Reply(422, {"message": "ERROR :: /patch"})


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    """Run a stand-in for LinkedIn."""
    async with serving() as one:
        yield one


@pytest.fixture
def page(stub: Stub) -> Page:
    """Give the page one older post."""
    stub.answer = one = Page([listed(OLD, TEXT)])
    return one


@pytest.fixture
async def channel(stub: Stub, tmp_path: Path) -> AsyncIterator[linkedin.LinkedIn]:
    """Give a channel to the stand-in."""
    one = build(stub.url, tmp_path)
    yield one
    await one.close()


def edits(answer: Reply | Fault) -> Any:
    """Answer edits so."""
    return lambda request: answer if _edits(request) else None


def _edits(request: Request) -> bool:
    return request.headers.get("x-restli-method") == "PARTIAL_UPDATE"


async def test_the_pointer_comes_before_the_text(channel: linkedin.LinkedIn, page: Page) -> None:
    """What was there stays as LinkedIn gave it, and is not escaped a second time."""
    receipt = await channel.correct(correction())
    assert receipt == Receipt(OLD, f"https://www.linkedin.com/feed/update/{OLD}/")
    said = page.posts[0]["commentary"]
    assert said == f"{little.escape(POINTER)}\n\n{TEXT}"
    assert little.read(said) == f"{POINTER}\n\nRauch (Nord) #Feuer Nr. 26-0142/1"


async def test_a_text_that_comes_back_bare_is_escaped(
    channel: linkedin.LinkedIn, page: Page
) -> None:
    """Written back as it is, everything behind the bracket would be lost."""
    page.posts[0]["commentary"] = "Rauch (Nord) Nr. 26-0142/1"
    await channel.correct(correction())
    said = page.posts[0]["commentary"]
    assert little.is_intact(said)
    assert little.read(said) == f"{POINTER}\n\nRauch (Nord) Nr. 26-0142/1"


async def test_what_is_done_is_not_done_again(
    channel: linkedin.LinkedIn, stub: Stub, page: Page
) -> None:
    """An edit whose answer was lost is found, and left as it is."""
    page.instead = edits(Fault.CLOSE)
    with pytest.raises(Unknown):
        await channel.correct(correction())
    page.instead = lambda _: None
    assert await channel.find(correction()) is None
    await channel.correct(correction())
    before = page.posts[0]["commentary"]
    found = await channel.find(correction())
    assert found is not None
    assert (found.remote_id, found.note) == (OLD, None)
    await channel.correct(correction())
    assert page.posts[0]["commentary"] == before
    assert len([one for one in stub.requests if _edits(one)]) == 2


async def test_a_longer_number_is_no_pointer(channel: linkedin.LinkedIn, page: Page) -> None:
    """Nr. 26-0142/12 is another version than Nr. 26-0142/1."""
    page.posts[0]["commentary"] = "Siehe Nr. 26-0142/12"
    assert await channel.find(correction(pointer="Siehe Nr. 26-0142/1")) is None


@pytest.mark.parametrize(
    "answer",
    [
        REFUSED,
        Reply(400, {"code": "FIELD_LENGTH_TOO_LONG"}),
        Reply(403, {"code": "ACCESS_DENIED"}),
        Reply(404, {}),
    ],
)
async def test_a_refused_edit_becomes_a_comment(
    channel: linkedin.LinkedIn, stub: Stub, page: Page, answer: Reply
) -> None:
    """The receipt says so; after a lost answer the comment is found, and none is added."""
    page.instead = edits(answer)
    receipt = await channel.correct(correction())
    assert (receipt.remote_id, receipt.details, receipt.note) == ("700", {"on": OLD}, NOTE)
    assert page.comments[OLD] == [{"id": "700", "actor": US, "message": {"text": POINTER}}]
    assert await channel.correct(correction(doubtful=True)) == receipt
    assert await channel.find(correction()) == receipt
    assert len(sent_to(stub, "POST", "/comments")) == 1


@pytest.mark.parametrize("comments", [Reply(403, {"code": "ACCESS_DENIED"}), Fault.HANG])
async def test_comments_that_cannot_be_read_stop_no_first_attempt(
    channel: linkedin.LinkedIn, page: Page, comments: Reply | Fault
) -> None:
    """None of ours can be there; and an all-clear waits behind a channel that was paused."""

    def instead(request: Request) -> Reply | Fault | None:
        if request.method == "GET" and "/comments" in request.path:
            return comments
        return REFUSED if _edits(request) else None

    page.instead = instead
    assert (await channel.correct(correction())).remote_id == "700"


async def test_only_our_own_comment_counts(channel: linkedin.LinkedIn, page: Page) -> None:
    """Anybody may repeat our words, on any page of the comments."""
    theirs = {"id": "1", "actor": "urn:li:person:x", "message": {"text": POINTER}}
    odd: list[dict[str, Any]] = [
        {"id": "2", "actor": US},
        {"id": "3", "actor": US, "message": {"text": 7}},
    ]
    page.comments[OLD] = [theirs, *odd] * 15
    assert await channel.find(correction()) is None
    page.comments[OLD].append({"id": "9", "actor": US, "message": {"text": POINTER}})
    found = await channel.find(correction())
    assert found is not None
    assert found.remote_id == "9"


async def test_a_comment_without_an_id_proves_nothing(
    channel: linkedin.LinkedIn, page: Page
) -> None:
    """It may be there all the same; the header or the body may name it."""

    def instead(request: Request) -> Reply | None:
        if request.method != "POST":
            return None
        return REFUSED if _edits(request) else answers.pop(0)

    answers = [Reply(201, b""), Reply(201, {"id": "7012"})]
    page.instead = instead
    with pytest.raises(Unknown):
        await channel.correct(correction())
    assert (await channel.correct(correction())).remote_id == "7012"


UNTOLD: list[tuple[Reply | Fault, type[Failure]]] = [
    (Reply(500, {}), Unknown),
    (Reply(409, {"code": "CONFLICT"}), Unknown),
    (Fault.HANG, Unknown),
    (Reply(429, {}), NotSent),
    (Reply(401, {}), NeedsPerson),
]


@pytest.mark.parametrize(("answer", "kind"), UNTOLD)
async def test_an_edit_that_may_be_done_is_no_reason_to_comment(
    channel: linkedin.LinkedIn, page: Page, answer: Reply | Fault, kind: type[Failure]
) -> None:
    """Both would be there."""
    page.instead = edits(answer)
    with pytest.raises(kind):
        await channel.correct(correction())
    assert page.comments == {}


async def test_a_post_that_is_gone_cannot_be_corrected(
    channel: linkedin.LinkedIn, page: Page
) -> None:
    """Nobody reads it any more."""
    page.posts.clear()
    for work in (channel.correct(correction()), channel.find(correction())):
        with pytest.raises(Rejected, match="not there"):
            await work
    with pytest.raises(Rejected):
        await channel.correct(correction("701"))


async def test_a_slow_correction_ends_within_the_attempt(
    channel: linkedin.LinkedIn, page: Page
) -> None:
    """It takes several requests, and no more time than one."""

    def instead(request: Request) -> Reply | Fault | None:
        if request.method == "GET" and "/comments" in request.path:
            return Fault.HANG  # by itself, a read that hangs is NotSent
        return REFUSED if _edits(request) else None

    timing = Timing(attempt_seconds=0.2, connect_seconds=0.2)
    channel._setup = replace(channel._setup, timing=timing)
    page.instead = instead
    with pytest.raises(Unknown, match="limit"):
        await channel.correct(correction(doubtful=True))


async def test_a_look_at_a_correction_sees_the_pointer(
    channel: linkedin.LinkedIn, page: Page
) -> None:
    """The old post's own text below it is not this delivery's."""
    done = correction(receipt=await channel.correct(correction()))
    assert not (await channel.look(done)).altered
    page.posts[0]["commentary"] = TEXT
    assert (await channel.look(done)).altered


async def test_a_look_at_a_comment_finds_it(channel: linkedin.LinkedIn, page: Page) -> None:
    """Or says that it is gone."""
    page.instead = edits(REFUSED)
    done = correction(receipt=await channel.correct(correction()))
    assert (await channel.look(done)).there
    page.comments.clear()
    sight = await channel.look(done)
    assert (sight.there, sight.reason) == (False, "the comment is gone")


async def test_comments_without_end_are_undecided(channel: linkedin.LinkedIn, page: Page) -> None:
    """A list that never ends proves no absence, and is not read for ever."""
    again = Reply(200, {"elements": [{"id": "1", "actor": "urn:li:person:x"}]})
    page.instead = lambda one: again if "/comments" in one.path else None
    with pytest.raises(Unknown):
        await channel.find(correction())
