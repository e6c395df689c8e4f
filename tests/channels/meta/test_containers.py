"""The second of two steps: polled, published once, found again; within the limit of an attempt."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from broadcaster.channels import http
from broadcaster.channels.meta import calls as meta
from broadcaster.channels.meta.containers import Container, Steps, Ways, permalink, within
from broadcaster.channels.tokens import Tokens
from broadcaster.config import Timing
from broadcaster.delivery import Failure, NotSent, Receipt, Rejected, Unknown
from tests.channels.meta.graph_stub import GONE, MovingClock, TwoSteps, error, given_in, path_of
from tests.channels.stub import NOW, TEXT, Reply, Request, Stub, delivery, serving

LIMIT_SECONDS = 15.0
FINISHED = Container("1801", "FINISHED")


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    """Run a server that answers as told."""
    async with serving() as one:
        yield one


@pytest.fixture
def network(stub: Stub) -> TwoSteps:
    """Give a network in two steps, with one container."""
    one = TwoSteps(made=[{"text": TEXT}])
    stub.answer = one
    return one


@pytest.fixture
async def steps(stub: Stub, tmp_path: Path) -> AsyncIterator[Steps]:
    """Give the second step on that network."""
    client, clock = http.Client(Timing()), MovingClock()
    tokens = Tokens(tmp_path / "token", "canary", clock, None, ahead=timedelta(0))
    api = meta.Api("Threads", f"{stub.url}/v1.0", client, tokens, clock, in_header=True)

    def refusal(answer: http.Answer) -> Failure | None:
        return None if b"9007" in answer.body else api.failure(answer)

    ways = Ways(
        publish="me/threads_publish",
        status="status",
        said="error_message",
        text="text",
        lists=("me/threads",),
        publish_failure=refusal,
        broken=lambda found: Rejected(found.said),
    )
    yield Steps(api, ways, clock, LIMIT_SECONDS)
    await client.close()


async def test_polls_grow_apart_and_end_in_time(
    steps: Steps, network: TwoSteps, stub: Stub
) -> None:
    """From 0.2 s to 1 s between two, and never beyond the share of the attempt."""
    network.status_of = lambda _: "IN_PROGRESS"
    found = await steps.settled(delivery(), "1801", 0.5)
    assert found.status == "IN_PROGRESS"
    assert steps.clock.elapsed() <= 0.5 * LIMIT_SECONDS
    assert 8 <= len(stub.requests) <= 12


async def test_the_second_step_has_what_the_first_has_left(steps: Steps) -> None:
    """Both belong to one attempt; a later attempt has its whole limit again."""
    one = delivery()
    await steps.prepared(one, steps.clock.sleep(5))
    with steps.second(one):
        assert steps.left(one, 0.9) == pytest.approx(13.5 - 5)
    with steps.second(one):
        assert steps.left(one, 0.9) == pytest.approx(13.5)
    await steps.prepared(one, steps.clock.sleep(0))
    await steps.clock.sleep(LIMIT_SECONDS + 1)  # it came to no second step in that attempt
    with steps.second(one):
        assert steps.left(one, 0.9) == pytest.approx(13.5)


async def test_attempts_that_never_ended_are_forgotten(steps: Steps) -> None:
    """What is remembered of attempts has an end."""
    for number in range(1100):
        await steps.prepared(delivery(id=f"d{number}"), asyncio.sleep(0))
    assert len(steps._began) == 1000


async def test_what_takes_too_long_is_given_up() -> None:
    """The limit is real time, and the failure is the one that was named."""
    began = time.monotonic()
    with pytest.raises(Unknown):
        await within(0.05, asyncio.sleep(5), Unknown("late"))
    assert time.monotonic() - began < 1


async def test_a_container_is_published_once_it_is_ready(steps: Steps, network: TwoSteps) -> None:
    """The note of what was left out goes into the receipt."""
    receipt = await steps.published(delivery(), FINISHED, "posted without its card: x")
    assert receipt.note == "posted without its card: x"
    assert len(network.posts) == 1


@pytest.mark.parametrize(
    ("status", "kind", "afresh"),
    [
        ("IN_PROGRESS", NotSent, False),
        ("SOMETHING_NEW", NotSent, False),
        ("EXPIRED", NotSent, True),
        ("ERROR", Rejected, False),
        ("PUBLISHED", Unknown, False),
    ],
)
async def test_nothing_is_published_that_is_not_ready(
    steps: Steps, network: TwoSteps, *, status: str, kind: type[Failure], afresh: bool
) -> None:
    """Each state but one ends without a post."""
    with pytest.raises(kind) as caught:
        await steps.published(delivery(), Container("1801", status, "why"), None)
    assert getattr(caught.value, "afresh", False) == afresh
    assert network.posts == []


async def test_not_ready_yet_is_tried_again_until_the_time_is_over(
    steps: Steps, network: TwoSteps, stub: Stub
) -> None:
    """A refusal that proves that nothing was published is no reason to wait for a next attempt."""
    network.other = {"me/threads_publish": error(9007)}
    with pytest.raises(NotSent) as caught:
        await steps.published(delivery(), FINISHED, None)
    assert caught.value.retry_after == timedelta(seconds=1)
    assert 1 < len(stub.posts) < 15
    assert steps.clock.elapsed() < 0.6 * LIMIT_SECONDS


@pytest.mark.parametrize(
    ("status", "listed", "expected"),
    [
        ("FINISHED", False, None),
        ("EXPIRED", False, None),
        ("ERROR", False, None),
        ("FINISHED", True, Receipt),
        ("IN_PROGRESS", True, Receipt),
        ("IN_PROGRESS", False, NotSent),
        ("PUBLISHED", False, NotSent),
        ("SOMETHING_NEW", False, NotSent),
    ],
)
async def test_only_what_is_provably_unpublished_is_absent(
    steps: Steps, network: TwoSteps, *, status: str, listed: bool, expected: type | None
) -> None:
    """The list wins over the container's word; without either, nothing is known."""
    network.status_of = lambda _: status
    if listed:
        post = {"id": "9000", "text": TEXT, "timestamp": NOW.isoformat()}
        network.posts.append(post)
    try:
        found: object = await steps.find(delivery(), "1801", None)
    except Failure as failure:
        found = failure
    assert found is None if expected is None else isinstance(found, expected)


async def test_a_post_without_the_reference_is_nobodys(steps: Steps, network: TwoSteps) -> None:
    """Equal words are no proof by themselves: the number of the alert has to be among them."""
    network.posts.append({"id": "9000", "text": "Feuer aus", "timestamp": NOW.isoformat()})
    assert await steps.find(delivery(text="Feuer aus"), "1801", None) is None


async def test_a_container_that_is_gone_proves_nothing(steps: Steps, network: TwoSteps) -> None:
    """What it was before it went nobody knows; but the list may know its post."""
    network.other = {"1801": GONE}
    with pytest.raises(NotSent):
        await steps.find(delivery(), "1801", None)
    network.posts.append({"id": "9000", "text": TEXT, "timestamp": NOW.isoformat()})
    found = await steps.find(delivery(), "1801", None)
    assert found is not None
    assert found.remote_id == "9000"


async def test_a_hiccup_of_either_read_proves_nothing(steps: Steps, network: TwoSteps) -> None:
    """Neither a container nor a list that could not be read is an absence."""
    for path in ("1801", "me/threads"):
        for reply in (error(2), Reply(500), Reply(200, b"<html>"), Reply(200, {"data": 1})):
            network.other = {path: reply}
            with pytest.raises(NotSent):
                await steps.find(delivery(), "1801", None)


async def test_old_posts_end_the_reading(steps: Steps, network: TwoSteps) -> None:
    """A list is read back to the first intent, not to the account's beginning."""
    pages: list[str] = []
    old = (NOW - timedelta(days=1)).isoformat()

    def answer(request: Request) -> Reply | None:
        if path_of(request) != "me/threads":
            return None
        pages.append(given_in(request).get("after", ""))
        rows = [{"id": str(number), "text": "alt", "timestamp": old} for number in range(25)]
        paging = {"cursors": {"after": f"c{len(pages)}"}, "next": "https://graph.example/"}
        return Reply(200, {"data": rows, "paging": paging})

    network.instead = answer
    assert await steps.find(delivery(), "1801", None) is None
    assert len(pages) == 1


@pytest.mark.parametrize(
    "url", [None, 7, "http://meta.example/1", "javascript:alert(1)", "https://" + "a" * 500]
)
def test_only_a_web_address_is_a_permalink(url: object) -> None:
    """What is shown to people as a link is one."""
    assert permalink({"permalink": url}) is None
    assert permalink({"permalink": "https://meta.example/1"}) == "https://meta.example/1"
