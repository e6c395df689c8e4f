"""Tables: what people see of an alert is right, whole and does not depend on colours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from broadcaster.delivery import State
from broadcaster.terminal import tables
from tests.terminal.conftest import alert, delivery

LINK = "https://www.youtube.com/channel/UC1/community"
NOW = datetime(2026, 11, 22, 2, 49, 10, tzinfo=UTC)


@pytest.mark.parametrize("name", list(State))
def test_every_state_has_a_symbol_beside_its_word(name: State) -> None:
    """Nobody needs to see colours to read a state."""
    symbol, _, word = tables.state(name).plain.partition(" ")
    assert (len(symbol), word) == (1, name)
    assert symbol != "·"


def test_a_state_of_a_later_version_is_shown_as_it_came() -> None:
    """A state this version does not know is no reason to fail."""
    assert tables.state("translated").plain == "· translated"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.44, "0.4 s"),
        (59.96, "60.0 s"),
        (61, "1 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (-3, "0.0 s"),
    ],
)
def test_durations_are_short_words(seconds: float, words: str) -> None:
    """Seconds with a tenth, then minutes, then hours; never negative when clocks differ."""
    at = NOW + timedelta(seconds=seconds)
    assert tables.since(NOW.isoformat(), at) == words


def test_a_delivery_that_is_out_shows_when_and_where() -> None:
    """Time since acceptance ends with the attempt that brought it out."""
    (row,) = tables.deliveries(alert(delivery()), NOW).rows
    assert [one.plain for one in row] == [
        "x", "x", "de", "✓ sent", "1", "0.5 s", "https://x.com/i/web/status/1860",
    ]  # fmt: skip


def test_an_open_delivery_shows_how_long_it_has_been_open() -> None:
    """The time of what is not out keeps running."""
    (row,) = tables.deliveries(alert(delivery(state="unknown", reason="answer lost")), NOW).rows
    assert (row[5].plain, row[6].plain) == ("10.0 s", "answer lost")


def test_a_queued_delivery_says_when_it_is_tried_again() -> None:
    """Retry-After is visible as the time of the next try, with the reason."""
    due = (NOW + timedelta(seconds=13)).isoformat()
    one = delivery(state="queued", due=due, reason="HTTP 429")
    assert tables.what(one, NOW) == f"again at {tables.clock(due, NOW)}: HTTP 429"


def test_the_last_error_stands_in_for_a_missing_reason() -> None:
    """Whoever looks sees what the network said last."""
    one = delivery(state="queued", attempts=[{"number": 1, "error": "connection refused"}])
    assert tables.what(one, NOW) == "connection refused"


def test_a_withheld_delivery_shows_the_reason_and_no_time() -> None:
    """What never goes out has no time to run."""
    one = delivery(state="withheld", reason="carries only Extreme and Severe", message=None)
    (row,) = tables.deliveries(alert(one), NOW).rows
    assert [cell.plain for cell in row[3:]] == [
        "- withheld",
        "",
        "",
        "carries only Extreme and Severe",
    ]


def test_a_taken_post_without_a_link_says_so() -> None:
    """Mail and webhooks name nothing, which is no fault."""
    assert "no link" in tables.what(delivery(url=None, remote_id=None), NOW)


def test_what_waits_for_a_person_says_where() -> None:
    """The link to the place where it is to be posted."""
    one = delivery("youtube", "waiting", message={"link": LINK}, attempts=[])
    assert tables.what(one, NOW) == f"post it by hand: {LINK}"


def test_what_is_not_as_planned_stands_beside_the_link() -> None:
    """A post without its card is out, and people read that it has none."""
    one = delivery(note="posted without its card: the card was not drawn in time")
    assert tables.what(one, NOW).endswith(
        "1860 (posted without its card: the card was not drawn in time)"
    )


def test_a_time_of_another_day_names_its_day() -> None:
    """A clock time alone would be taken for today's."""
    assert tables.clock("2026-11-21T02:49:00+00:00", NOW).startswith("21.11.2026 ")
    assert len(tables.clock("2026-11-22T02:49:00+00:00", NOW)) == len("02:49:00")
    assert tables.clock(None, NOW) == ""
    assert tables.clock("yesterday", NOW) == ""


def test_exercises_are_named_in_the_headline() -> None:
    """Nobody takes an exercise for the real thing, or the other way round."""
    assert "Exercise" in tables.headline(alert(status="Exercise"))
    assert "Actual" not in tables.headline(alert())


def test_attempts_are_all_shown() -> None:
    """Every try, what came of it and what the network said."""
    tries = [
        {"number": 1, "started": "2026-11-22T02:49:00+00:00", "finished": None, "outcome": None},
    ]
    (row,) = tables.attempts(alert(delivery(attempts=tries)), NOW).rows
    assert row[5].plain == "under way"


def test_a_preview_shows_text_length_and_limit() -> None:
    """Whoever releases an alert reads the exact text and how much room is left."""
    one = delivery(state="queued")
    (shown,) = tables.texts(alert(one))
    assert shown == ("x  x  de  9 of 280", "Großbrand")
    one["message"]["subject"] = "Warnung"
    (shown,) = tables.texts(alert(one))
    assert shown[1] == "Subject: Warnung\nGroßbrand"


def test_counts_name_the_worst_first() -> None:
    """A list of alerts says at a glance what is not well."""
    assert tables.counts({"counts": {"sent": 3, "failed": 1}}) == "1 failed, 3 sent"
    assert tables.counts(alert(delivery(), delivery("y", "unknown"))) == "1 unknown, 1 sent"


def test_channels_that_are_not_ready_come_first() -> None:
    """What needs doing is at the top, with what to do."""
    ready = {"ready": True, "sentence": "Ready."}
    dry = {"ready": False, "sentence": "No credit.", "remedy": "Buy some."}
    listed = [
        {"name": "city-bluesky", "type": "bluesky", "readiness": ready},
        {"name": "x", "type": "x", "readiness": dry},
    ]
    rows = tables.channels(listed, NOW).rows
    assert [row[0].plain for row in rows] == ["x", "city-bluesky"]
    assert rows[0][4].plain == "No credit. Buy some."
    assert rows[0][2].plain == "✗ no"


def test_keys_show_what_they_may_and_whether_they_still_hold() -> None:
    """A revoked key says since when."""
    listed: list[dict[str, Any]] = [
        {"name": "leitstelle", "id": "k1", "role": "trigger", "senders": ["*"]},
        {"name": "old", "id": "k2", "role": "read", "revoked": "2026-11-22T02:00:00+00:00"},
    ]
    first, second = tables.keys(listed, NOW).rows
    assert (first[3].plain, first[-1].plain) == ("*", "in use")
    assert second[-1].plain.startswith("revoked ")


def test_alerts_are_listed_with_what_became_of_them() -> None:
    """A row says which, how grave, and how its deliveries stand."""
    (row,) = tables.alerts([alert()], NOW, "Active alerts").rows
    assert [row[0].plain, row[2].plain, row[5].plain] == ["26-0142/1", "Severe", "1 sent"]
    assert row[6].plain == "Großbrand"
