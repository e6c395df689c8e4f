"""The person of the demo: acts on what the daemon told, and on nothing else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from broadcaster.sandbox import Sandbox
from broadcaster.terminal import person as room
from broadcaster.terminal.child import Failed
from broadcaster.terminal.client import Client
from broadcaster.terminal.person import Person
from tests.sandbox.client import picture
from tests.terminal.conftest import Daemon, alert, delivery


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """Run the stand-ins."""
    running = Sandbox()
    await running.start()
    yield running
    await running.close()


def waiting(*, told: bool = True, url: str | None = None) -> dict[str, Any]:
    """Give a delivery that waits for a person, its card drawn or not."""
    message = {"text": "Großbrand", "media": [{"url": url, "alt": "Karte"}]}
    return delivery("youtube", "waiting", message=message, told=told, attempts=[])


async def test_nobody_posts_before_being_told_and_having_the_card(
    daemon: Daemon, client: Client
) -> None:
    """The daemon is asked until people know and the picture is there."""
    ready = alert(delivery(), waiting(url="http://127.0.0.1/cards/a.png"))
    stages = (alert(waiting(told=False)), alert(waiting()), ready)
    daemon.says("GET", "/v1/alerts/a1", *stages[1:])
    after, due = await Person(client, "").told(stages[0])
    assert after == ready
    assert [one["id"] for one in due] == ["d-youtube"]


async def test_where_nobody_is_told_the_demo_fails(
    daemon: Daemon, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that tells nobody is no demo that went well."""
    monkeypatch.setattr(room, "TOLD_SECONDS", 0.05)
    daemon.says("GET", "/v1/alerts/a1", alert(waiting(told=False)))
    with pytest.raises(Failed, match="nobody was told"):
        await Person(client, "").told(alert(waiting(told=False)))


async def test_text_and_card_are_posted_and_the_link_confirmed(
    daemon: Daemon, client: Client, sandbox: Sandbox
) -> None:
    """What arrives has the card with its alt text; what is confirmed is its own link."""
    card = sandbox.pictures.keep(picture(), "image/png")
    one = waiting(url=f"{sandbox.url}/_sandbox/pictures/{card}")
    daemon.says("POST", "/v1/alerts/a1/deliveries/d-youtube/confirm", alert())
    link, after = await Person(client, sandbox.url).posts(alert(one), one)
    (post,) = sandbox.posts.of("youtube")
    assert (post.text, post.media[0]["alt"], after) == ("Großbrand", "Karte", alert())
    assert link.endswith(post.id)
    assert [json.loads(body) for _, _, body in daemon.asked] == [{"url": link}]


async def test_a_card_that_cannot_be_fetched_fails_the_demo(
    client: Client, sandbox: Sandbox
) -> None:
    """The person sees that the card is not there, and says so."""
    one = waiting(url=f"{sandbox.url}/_sandbox/pictures/none")
    with pytest.raises(Failed, match="could not post on YouTube"):
        await Person(client, sandbox.url).posts(alert(one), one)
