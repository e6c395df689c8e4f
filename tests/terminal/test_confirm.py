"""A person says where a post is: the right delivery is meant, or none is touched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from broadcaster.terminal.confirm import Posted, by_hand, confirm, due
from broadcaster.terminal.target import Misuse, Target
from tests.terminal.conftest import Daemon, Screen, alert, delivery

LINK = "https://www.youtube.com/post/Ugkx1"


def waiting(part: str = "de", state: str = "waiting") -> dict[str, Any]:
    """Give a delivery that waits for a person."""
    return delivery("youtube", state, id=f"d-{part}", part=part)


async def test_what_waits_is_confirmed_with_its_link(
    daemon: Daemon, tmp_path: Path, screen: Screen
) -> None:
    """The daemon is told the link, and the person sees how the alert stands then."""
    (tmp_path / "key").write_text("bcast_0123456789_secret_abcdef\n")
    target = Target(server=daemon.url, key_file=tmp_path / "key")
    path = "/v1/alerts/a1/deliveries/d-de/confirm"
    daemon.says("GET", "/v1/alerts/26-0142%2F1", alert(delivery(), waiting()))
    daemon.says("POST", path, alert(delivery(), delivery("youtube", "sent", url=LINK)))
    assert await confirm(target, Posted("26-0142/1", "youtube", LINK), screen.output) == 0
    assert [json.loads(body) for body in daemon.bodies(path)] == [{"url": LINK}]
    assert f"youtube/de of Nr. 26-0142/1 is out: {LINK}" in screen.out


def test_a_lost_answer_can_be_confirmed_too() -> None:
    """What was seen on the account is out, although its answer was lost."""
    one = waiting(state="unknown")
    assert due(alert(one), Posted("a1", "youtube", LINK)) is one


def test_the_part_tells_several_apart() -> None:
    """In two languages two posts wait; the one that is named is meant."""
    german, english = waiting(), waiting("en")
    shown = alert(german, english)
    assert due(shown, Posted("a1", "youtube", LINK, "en")) is english
    with pytest.raises(Misuse, match="--part: de, en"):
        due(shown, Posted("a1", "youtube", LINK))
    shown = alert(waiting(state="sent"), english)
    assert due(shown, Posted("a1", "youtube", LINK)) is english


@pytest.mark.parametrize(
    ("posted", "says"),
    [
        (Posted("a1", "yt", LINK), "no channel 'yt', but: x, youtube"),
        (Posted("a1", "x", LINK), "Nothing of x waits to be confirmed: de is sent"),
        (Posted("a1", "youtube", LINK, "tr"), "waits to be confirmed: de is waiting"),
    ],
)
def test_what_does_not_wait_is_not_confirmed(posted: Posted, says: str) -> None:
    """The sentence says what there is instead."""
    with pytest.raises(Misuse, match=says):
        due(alert(delivery(), waiting()), posted)


def test_what_waits_for_a_person_says_where_and_what_to_post() -> None:
    """The link, the card, the text, and the command that ends the waiting."""
    message = {
        "text": "Großbrand",
        "language": "de",
        "link": "https://www.youtube.com/channel/UC1/community",
        "media": [{"url": "https://warnung.example.org/cards/ab.png", "alt": "Karte"}],
    }
    one = delivery("youtube", "waiting", message=message, attempts=[])
    ((heading, lines),) = by_hand(alert(delivery(), one))
    assert heading == "To be posted by hand: youtube/de"
    assert lines.splitlines() == [
        "Where: https://www.youtube.com/channel/UC1/community",
        "Card:  https://warnung.example.org/cards/ab.png",
        "",
        "Großbrand",
        "",
        "Then:  broadcaster confirm 26-0142/1 youtube LINK --part de",
    ]
