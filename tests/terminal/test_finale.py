"""The end of the demo: what arrived is counted per network, and what failed is said."""

from __future__ import annotations

from typing import Any

from broadcaster.terminal import finale
from broadcaster.terminal.proof import Night, Proof
from tests.terminal.conftest import Screen, alert


def post(network: str = "facebook", text: str = "Nr. 26-0142/1", **more: Any) -> dict[str, Any]:
    """Give a post as the sandbox lists it."""
    return {
        "network": network,
        "id": text,
        "text": text,
        "first_text": text,
        "language": None,
        "media": [],
        "edited": False,
        "deleted": False,
    } | more


def night(*posts: dict[str, Any]) -> Night:
    """Give a night of one alert, four times."""
    same = alert()
    return Night(same, same, same, same, list(posts), frozenset(), [], [], 4.0)


def test_each_network_has_a_line_of_counts() -> None:
    """Posts, cards, edits and comments, each counted by itself; the newest post in short."""
    card = {"id": "c1", "alt": "Karte"}
    rows = finale.arrived(
        night(
            post(media=[card], language="de", edited=True),
            post(text="x" * 99, language="en"),
            post(text="Überholt", kind="comment", language="tr"),
        )
    )
    line = next(row for row in rows.rows if row[0].plain == "facebook")
    assert [one.plain for one in line] == ["facebook", "2", "1", "1", "1", "de en", "x" * 60]
    empty = next(row for row in rows.rows if row[0].plain == "x")
    assert [one.plain for one in empty] == ["x", "0", "", "", "", "", ""]


def test_a_webhook_says_what_it_carried() -> None:
    """Its body is data; what people read is its type and the reference."""
    body = '{"type": "alert.issued", "data": {"reference": "26-0142/1"}}'
    assert finale.gist(body) == "alert.issued Nr. 26-0142/1"
    assert finale.gist("Feuer\n\nin  Hörde") == "Feuer in Hörde"


def test_what_does_not_hold_is_said_with_what_came_twice(screen: Screen) -> None:
    """A night that went wrong ends with what went wrong."""
    held = [Proof("All arrived.", holds=True), Proof("None twice.", holds=False)]
    one = post("x")
    finale.show(screen.output, night(one, one), held, {"all timelines": "http://127.0.0.1:1/"})
    assert "  ✓ All arrived." in screen.out
    assert "  ✗ None twice." in screen.out
    assert "x: 2 posts of 26-0142/1, not 4" in screen.out
    assert "all timelines    http://127.0.0.1:1/" in screen.out


def test_programs_get_the_whole_night() -> None:
    """Checks, doubles, posts, alerts and places in one document."""
    held = [Proof("All arrived.", holds=False)]
    told = finale.summary(night(), held, {"API": "http://127.0.0.1:1/"})
    assert told["as_expected"] is False
    assert told["checks"] == [{"what": "All arrived.", "ok": False}]
    assert told["look_at"] == {"API": "http://127.0.0.1:1/"}
    assert len(told["alerts"]) == 4
