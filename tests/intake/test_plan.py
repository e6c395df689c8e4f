"""What an alert becomes: complete, one planned delivery per post, with the reasons in words."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from broadcaster.alert import Submission
from broadcaster.auth import Caller
from broadcaster.channels import Limits, Measure
from broadcaster.config import Carries
from broadcaster.delivery import State
from broadcaster.intake.plan import Draft, Planner, Version, content_hash, new_id
from broadcaster.record import Accepted, Planned, Role
from broadcaster.render import Renderer
from tests.kit import NOW, FakeChannel
from tests.web.door import alert, channels, info, settings

RENDERER = Renderer()
OFFICE = Caller("key:office", "key:1", Role.TRIGGER, senders=("*",))


def planner(directory: Path, made: dict[str, FakeChannel] | None = None) -> Planner:
    """Return a planner for these channels."""
    found = made if made is not None else channels()
    return Planner(found, settings(directory), RENDERER, lambda name: found[name].limits)


def said(**changes: Any) -> Submission:
    """Return an alert as it was read."""
    return Submission.model_validate(alert(**changes), by_alias=True, by_name=False)


def draft(directory: Path, body: Submission, version: Version | None = None) -> Draft:
    """Plan an alert as at NOW."""
    place = version or Version("26-0142")
    return planner(directory).draft(body, place, OFFICE, NOW)


def before(directory: Path) -> Accepted:
    """Return an accepted first version."""
    return draft(directory, said()).accepted


def by_channel(found: Draft) -> dict[str, Planned]:
    """Return channel -> its delivery."""
    return {planned.channel: planned for planned in found.deliveries}


def test_what_was_left_out_is_filled_in(tmp_path: Path) -> None:
    """Identifier of our own domain, sent, scope, and an end by severity."""
    accepted = draft(tmp_path, said()).accepted
    assert accepted.alert.identifier == f"warnung.example.org.{accepted.id}"
    assert accepted.alert.sent == NOW
    assert accepted.alert.scope == "Public"
    assert accepted.expires == NOW + timedelta(hours=6)
    assert accepted.reference == "26-0142/1"


def test_what_was_given_is_kept(tmp_path: Path) -> None:
    """The caller's own identifier and times count."""
    body = said(
        identifier="mine",
        sent="2026-11-22T02:40:00+01:00",
        info=[info(expires="2026-11-22T20:00:00+01:00")],
    )
    accepted = draft(tmp_path, body).accepted
    assert accepted.alert.identifier == "mine"
    assert accepted.alert.to_json()["sent"] == "2026-11-22T02:40:00+01:00"
    assert accepted.expires == datetime(2026, 11, 22, 19, tzinfo=UTC)


def test_a_channel_that_does_not_carry_it_is_withheld_with_the_reason(tmp_path: Path) -> None:
    """In words, and without a warning: a rule is no accident."""
    found = draft(tmp_path, said(info=[info(severity="Minor")]))
    crisis = by_channel(found)["crisis"]
    assert crisis.state is State.WITHHELD
    assert "Minor" in str(crisis.reason)
    assert not crisis.tell
    assert found.accepted.warnings == ()


def test_a_text_that_does_not_fit_is_withheld_named_and_told(tmp_path: Path) -> None:
    """That channel alone; people hear of it."""
    made = channels()
    made["city"].limits = Limits(Measure.GRAPHEMES, 10)
    found = planner(tmp_path, made).draft(said(), Version("26-0142"), OFFICE, NOW)
    rows = by_channel(found)
    assert (rows["city"].state, rows["city"].tell) == (State.WITHHELD, True)
    assert rows["crisis"].state is State.QUEUED
    assert found.accepted.warnings[0].startswith("city (de): ")
    assert found.unfit == list(found.accepted.warnings)


def test_a_channel_that_takes_data_gets_the_whole_alert_once(tmp_path: Path) -> None:
    """Whatever languages it has, and also where no text would fit."""
    made = channels()
    made["fire-brigade"].limits = Limits(Measure.GRAPHEMES, 1)
    both = said(info=[info(), info(language="en")])
    found = planner(tmp_path, made).draft(both, Version("26-0142"), OFFICE, NOW)
    rows = [one for one in found.deliveries if one.channel == "fire-brigade"]
    assert len(rows) == 1
    assert rows[0].message is not None
    body = json.loads(rows[0].message.data or "")
    assert body["type"] == "alert.issued"
    assert body["data"]["content_hash"] == found.accepted.content_hash
    assert [one["channel"] for one in body["data"]["deliveries"]] == ["fire-brigade"]
    assert [info["language"] for info in body["data"]["info"]] == ["de", "en"]


def test_an_update_goes_where_the_warning_is_out_whatever_its_severity(tmp_path: Path) -> None:
    """Policy decides for new channels only; the transaction has the last word."""
    version = Version("26-0142", 2, before(tmp_path), frozenset({"city", "crisis"}))
    body = said(msgType="Update", references=["x"], info=[info(severity="Minor")])
    rows = by_channel(draft(tmp_path, body, version))
    assert (rows["crisis"].state, rows["crisis"].only_if_carried) == (State.QUEUED, True)
    assert "Minor" in str(rows["crisis"].otherwise)
    assert not rows["city"].only_if_carried
    assert not rows["fire-brigade"].only_if_carried


@pytest.mark.parametrize("kind", ["Update", "Cancel"])
def test_a_drill_stays_off_a_channel_that_no_longer_names_drills(tmp_path: Path, kind: str) -> None:
    """Though an earlier version is out there: withheld and named, and people are told."""
    made = channels()
    version = Version("26-0142", 2, before(tmp_path), frozenset({"city"}))
    body = said(msgType=kind, references=["x"], status="Exercise")
    made["crisis"].carries = Carries.model_validate({"status": ["Exercise"]})
    found = planner(tmp_path, made).draft(body, version, OFFICE, NOW)
    city = by_channel(found)["city"]
    assert (city.state, city.tell) == (State.WITHHELD, True)
    assert "this alert is Exercise" in str(city.reason)
    assert [one for one in found.accepted.warnings if one.startswith("city: ")]
    assert not by_channel(found)["fire-brigade"].tell


def test_an_all_clear_goes_nowhere_else(tmp_path: Path) -> None:
    """A channel that never showed the warning would only alarm people."""
    version = Version("26-0142", 2, before(tmp_path), frozenset({"crisis"}))
    body = said(msgType="Cancel", references=["x"])
    found = draft(tmp_path, body, version)
    rows = by_channel(found)
    assert (rows["crisis"].state, rows["crisis"].only_if_carried) == (State.QUEUED, True)
    assert rows["city"].reason == rows["crisis"].otherwise == "never carried the warning"
    assert found.accepted.expires == NOW + timedelta(hours=72)
    assert found.accepted.ended_at == NOW


@pytest.mark.parametrize("kind", ["Cancel", "Update"])
def test_data_of_an_all_clear_repeats_nothing_of_the_warning(tmp_path: Path, kind: str) -> None:
    """Whoever shows the data would warn once more; what is stored stays as it was sent."""
    first = before(tmp_path)
    newest = replace(first, version=2, alert=first.alert.model_copy(update={"info": []}))
    version = Version("26-0142", 3, newest, frozenset({"fire-brigade"}), (newest, first))
    old = "In Hörde brennt eine Lagerhalle. Das Feuer ist aus. Schließen Sie Fenster und Türen."
    block = info(description=old, responseType=["AllClear"])
    found = draft(tmp_path, said(msgType=kind, references=["x"], info=[block]), version)
    message = by_channel(found)["fire-brigade"].message
    assert message is not None
    (told,) = json.loads(message.data or "")["data"]["info"]
    assert told["description"] == "Das Feuer ist aus."
    assert "instruction" not in told
    assert "headline" not in told
    assert "Schließen Sie" not in message.text
    (stored,) = found.accepted.alert.info
    assert (stored.description, bool(stored.instruction), bool(stored.headline)) == (
        old,
        True,
        True,
    )


def test_an_update_that_clears_all_is_an_all_clear(tmp_path: Path) -> None:
    """Recognised before any severity rule, and tried for 72 hours."""
    version = Version("26-0142", 2, before(tmp_path), frozenset({"city"}))
    block = info(responseType=["AllClear"], expires="2026-11-22T03:00:00+01:00")
    body = said(msgType="Update", references=["x"], info=[block])
    found = draft(tmp_path, body, version)
    assert by_channel(found)["crisis"].reason == "never carried the warning"
    assert found.accepted.expires == NOW + timedelta(minutes=11)
    assert planner(tmp_path).plan(found, version).deliver_until == NOW + timedelta(hours=72)


@pytest.mark.parametrize(("severity", "guard"), [("Severe", 20), ("Extreme", None)])
def test_the_cost_guard_never_stops_an_extreme_alert(
    tmp_path: Path, severity: str, guard: int | None
) -> None:
    """Money is no reason where lives are at stake."""
    found = draft(tmp_path, said(info=[info(severity=severity)]))
    assert by_channel(found)["crisis"].posts_per_day_max == guard


def test_the_cost_guard_never_stops_an_all_clear(tmp_path: Path) -> None:
    """Nor where a warning must come down."""
    version = Version("26-0142", 2, before(tmp_path), frozenset({"crisis"}))
    found = draft(tmp_path, said(msgType="Cancel", references=["x"]), version)
    assert by_channel(found)["crisis"].posts_per_day_max is None


def test_the_cost_guard_never_leaves_an_old_warning_standing(tmp_path: Path) -> None:
    """What replaces an earlier version passes; on a channel that is new to it, the guard counts."""
    body = said(msgType="Update", references=["x"])
    version = Version("26-0142", 2, before(tmp_path), frozenset({"crisis"}))
    assert by_channel(draft(tmp_path, body, version))["crisis"].posts_per_day_max is None
    elsewhere = replace(version, carried=frozenset({"city"}))
    assert by_channel(draft(tmp_path, body, elsewhere))["crisis"].posts_per_day_max == 20


def test_the_plan_says_when_people_hear_of_what_is_late(tmp_path: Path) -> None:
    """60 s after acceptance, and again after 5 and 15 minutes; the day begins at local midnight."""
    found = draft(tmp_path, said())
    plan = planner(tmp_path).plan(found, Version("26-0142"))
    assert [(moment - NOW).total_seconds() for moment in plan.late] == [60, 300, 900]
    assert plan.day_start == datetime(2026, 11, 21, 23, tzinfo=UTC)
    assert plan.duplicate_since == NOW - timedelta(minutes=10)
    answer = json.loads(plan.answer(found.accepted, []))
    assert (answer["id"], answer["deliveries"]) == (found.accepted.id, [])


@pytest.mark.parametrize("status", ["Exercise", "Test"])
def test_a_drill_may_be_repeated(tmp_path: Path, status: str) -> None:
    """The same drill twice within ten minutes is no mistake."""
    found = draft(tmp_path, said(status=status))
    assert planner(tmp_path).plan(found, Version("26-0142")).duplicate_since is None


def test_the_reference_begins_with_the_local_year(tmp_path: Path) -> None:
    """New Year comes in the city's own time zone."""
    eve = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)
    assert planner(tmp_path).year(eve) == "27"


def test_ids_sort_by_time_and_are_uuids_of_version_7() -> None:
    """A page of the list goes on where the last one ended."""
    early, late = new_id(NOW), new_id(NOW + timedelta(milliseconds=1))
    assert early < late
    assert re.fullmatch(
        r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", late
    )
    assert new_id(NOW) != new_id(NOW)


def test_the_hash_covers_every_text(tmp_path: Path) -> None:
    """One letter changed in one message gives another hash; the order of channels does not."""
    rows = draft(tmp_path, said()).deliveries
    assert content_hash(rows) == content_hash(rows[::-1])
    message = rows[0].message
    assert message is not None
    changed = replace(rows[0], message=replace(message, text=message.text + "!"))
    assert content_hash([changed, *rows[1:]]) != content_hash(rows)


def test_no_two_deliveries_share_an_id_or_a_key(tmp_path: Path) -> None:
    """Each is exactly one post."""
    rows = draft(tmp_path, said(info=[info(), info(language="en", description="Fire.")])).deliveries
    assert len({row.id for row in rows}) == len({row.key for row in rows}) == len(rows)
    assert [row.part for row in rows if row.channel == "city"] == ["de", "en"]


def test_targets_are_the_channels_that_would_post(tmp_path: Path) -> None:
    """Those of the policy, and those that carried an earlier version."""
    made = planner(tmp_path)
    minor = said(info=[info(severity="Minor")])
    assert made.targets(minor, frozenset()) == ["city", "fire-brigade"]
    assert made.targets(minor, frozenset({"crisis"})) == ["city", "crisis", "fire-brigade"]
