"""Answers show one alert in the same words everywhere."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from broadcaster import answer
from broadcaster.alert import ResponseType
from broadcaster.delivery import Attempt, Delivery, Message, Outcome, Receipt, State
from broadcaster.intake.plan import as_delivery
from broadcaster.record import Accepted, ChannelRow, Event, View
from tests.kit import NOW, alert, plan

LATER = NOW + timedelta(hours=1)


def accepted(**changes: Any) -> Accepted:
    """Return an accepted alert."""
    return replace(plan(now=NOW).accepted, **changes)


def delivery(**changes: Any) -> Delivery:
    """Return one of its deliveries."""
    made = plan(now=NOW)
    return replace(as_delivery(made.deliveries[0], made.accepted), **changes)


def test_an_alert_has_every_field_of_the_published_surface() -> None:
    """Clients find the fields they were promised, with CAP's own names."""
    shown = answer.alert_json(accepted(), [(delivery(), ())], NOW)
    promised = (
        "id reference incident identifier sender sent status msgType expires state released_at "
        "released_by content_hash info warnings deliveries"
    )
    assert set(promised.split()) <= set(shown)
    fields = "id channel type part state reason due message remote_id url since told attempts"
    assert set(shown["deliveries"][0]) == {*fields.split(), "note", "seen"}
    assert set(shown["deliveries"][0]["message"]) == {"text", "language", "media"}


def test_what_was_left_out_of_an_alert_stays_out_of_its_answer() -> None:
    """Nobody reads rows of empty lists; scope is always said."""
    shown = answer.alert_json(accepted(), (), NOW)
    assert "polygon" not in shown["info"][0]["area"][0]
    assert "note" not in shown
    assert shown["scope"] == "Public"


def test_an_attempt_shows_how_it_ended() -> None:
    """A person sees number, times, outcome and error of each try."""
    tried = Attempt(1, NOW, LATER, Outcome.UNKNOWN, "the answer was lost")
    shown = answer.delivery_json(delivery(receipt=Receipt("7", "https://x/7")), [tried])
    assert shown["attempts"] == [
        {
            "number": 1,
            "started": "2026-11-22T01:49:00.000+00:00",
            "finished": "2026-11-22T02:49:00.000+00:00",
            "outcome": "unknown",
            "error": "the answer was lost",
        }
    ]
    assert (shown["remote_id"], shown["url"]) == ("7", "https://x/7")


@pytest.mark.parametrize(
    ("changes", "states", "expected"),
    [
        ({}, [State.SENT], "active"),
        ({"expires": NOW}, [State.SENT], "expired"),
        ({"expires": NOW}, [State.UNKNOWN], "active"),
        ({"expires": NOW}, [State.WAITING, State.FAILED], "expired"),
        ({"superseded_by": "x"}, [State.SENDING], "ended"),
        ({"ended_at": NOW}, [State.QUEUED], "ended"),
    ],
)
def test_the_state_of_an_alert_follows_from_its_row_and_its_deliveries(
    changes: dict[str, Any], states: list[State], expected: str
) -> None:
    """Ended by an all-clear or a newer version; active while in force or something is open."""
    assert answer.alert_state(accepted(**changes), states, NOW) == expected


def test_a_list_counts_deliveries_instead_of_showing_them() -> None:
    """A page of fifty alerts stays small."""
    shown = answer.listed_json(accepted(), {"sent": 9, "failed": 1}, NOW)
    assert shown["counts"] == {"sent": 9, "failed": 1}
    assert "deliveries" not in shown


def test_a_view_names_the_newest_of_its_incident() -> None:
    """Whoever looks at an old version sees where to go."""
    assert answer.view_json(View(accepted(), (), "newest-id"), NOW)["newest"] == "newest-id"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (alert(), "alert.issued"),
        (alert(msgType="Update", references=["x"]), "alert.updated"),
        (alert(msgType="Cancel", references=["x"]), "alert.cancelled"),
    ],
)
def test_a_webhook_says_what_became_of_the_alert(said: Any, expected: str) -> None:
    """The type is one of three, and the data is the alert with this one delivery."""
    head = answer.alert_json(accepted(alert=said), (), NOW)
    one = delivery(message=Message("text", "de", data="{}"))
    body = json.loads(answer.hook_body(head, one, NOW))
    assert body["type"] == expected
    assert body["timestamp"] == "2026-11-22T01:49:00.000+00:00"
    assert [shown["id"] for shown in body["data"]["deliveries"]] == [one.id]


def test_an_update_that_clears_all_is_cancelled_for_webhooks() -> None:
    """A receiver that only reads the type must not take an all-clear for a warning."""
    block = alert().info[0].model_copy(update={"response_type": [ResponseType.ALL_CLEAR]})
    said = alert(msgType="Update", references=["x"]).model_copy(update={"info": [block]})
    head = answer.alert_json(accepted(alert=said), (), NOW)
    assert json.loads(answer.hook_body(head, delivery(), NOW))["type"] == "alert.cancelled"


def test_times_are_given_with_their_offset() -> None:
    """A time without an offset would be read in the reader's own zone."""
    assert answer.moment(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00.000+00:00"
    assert answer.moment(None) is None


def test_references_are_written_as_cap_triples() -> None:
    """Sender, identifier and time, separated by commas; alerts by spaces."""
    one, two = alert(identifier="a"), alert(identifier="b")
    assert answer.references_text([one, two]) == (
        "leitstelle@feuerwehr.example.org,a,2026-11-22T02:49:00+01:00 "
        "leitstelle@feuerwehr.example.org,b,2026-11-22T02:49:00+01:00"
    )


def test_a_channel_that_was_never_probed_says_so() -> None:
    """No row and no probe are not the same as ready."""
    shown = answer.stored_channel_json(None)
    assert (shown["ready"], shown["sentence"]) == (None, "not probed yet")
    assert answer.stored_channel_json(ChannelRow("a", "x", paused_until=NOW))["paused_until"]


def test_an_event_names_both_states() -> None:
    """A follower sees what changed into what, and where the post is."""
    event = Event(7, "a", "d", "city", "de", NOW, State.SENT, State.SENDING, None, "https://x/7")
    shown = answer.event_json(event)
    assert (shown["id"], shown["before"], shown["state"]) == (7, "sending", "sent")
