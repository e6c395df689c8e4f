"""Accepting: once per key, in one transaction, and an all-clear that always finds its way."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from broadcaster.auth import Caller
from broadcaster.channels import Limits, Measure
from broadcaster.delivery import Outcome, names_reference
from broadcaster.intake import alerts
from broadcaster.intake.alerts import Answer, Request, fingerprint
from broadcaster.intake.faults import Forbidden, Invalid
from broadcaster.record import Refused, Role
from tests.kit import states
from tests.web.door import Door, alert, info

OFFICE = Caller("key:office", "key:1", Role.TRIGGER, ("*",))


async def submit(
    door: Door, body: dict[str, Any], key: str = "k", *, strict: bool = False, **wanted: Any
) -> Answer:
    """Submit an alert as the office."""
    data = json.dumps(body).encode()
    request = Request(key, fingerprint(data), strict=strict, **wanted)
    return await door.intake.submit(data, OFFICE, request)


async def test_what_is_accepted_is_stored_told_and_audited(door: Door) -> None:
    """Before the answer: alert, deliveries, audit entry, and the dispatcher knows."""
    given = await submit(door, alert())
    view = await door.store.view(given.alert)
    assert view is not None
    assert states(view.deliveries) == dict.fromkeys(("city", "crisis", "fire-brigade"), "queued")
    assert [acceptance.accepted.id for acceptance in door.accepted] == [given.alert]
    entry = (await door.store.audit())[0]
    assert (entry.actor, entry.action, entry.object) == ("key:office", "accept", given.alert)


async def test_the_same_key_gives_the_same_answer_again(door: Door) -> None:
    """Byte for byte, and nothing new is accepted."""
    body = alert()
    first, again = await submit(door, body), await submit(door, body)
    assert again == Answer(first.alert, first.body, replayed=True)
    assert len(door.accepted) == 1


async def test_a_repeat_is_answered_though_it_would_be_refused_by_now(door: Door) -> None:
    """The answer counts, not the hour: a repeat is looked up before it is read."""
    data = json.dumps(alert()).encode()
    request = Request("k", fingerprint(data))
    first = await door.intake.submit(data, OFFICE, request)
    again = await door.intake.submit(b"no JSON any more", OFFICE, request)
    assert again.alert == first.alert


async def test_the_same_key_with_another_body_is_refused(door: Door) -> None:
    """A key belongs to one request."""
    await submit(door, alert())
    with pytest.raises(Invalid) as refused:
        await submit(door, alert())
    assert refused.value.code == "idempotency-key-reused"


async def test_two_credentials_may_use_the_same_key(door: Door) -> None:
    """Keys of two callers never meet."""
    await submit(door, alert())
    other = Caller("key:other", "key:2", Role.TRIGGER, ("*",))
    data = json.dumps(alert()).encode()
    given = await door.intake.submit(data, other, Request("k", fingerprint(data)))
    assert not given.replayed


async def test_a_refused_request_leaves_its_key_free(door: Door) -> None:
    """Mend the alert and use the same key."""
    with pytest.raises(Invalid):
        await submit(door, alert(info=[]))
    assert not (await submit(door, alert())).replayed


@pytest.mark.parametrize(
    ("named", "code", "place"),
    [
        (["no"], "unknown-reference", "/references/0"),
        ("x", "form", "/references"),
        ([7], "type", "/references/0"),
    ],
)
async def test_references_are_looked_at_though_the_rest_has_faults(
    door: Door, named: Any, code: str, place: str
) -> None:
    """All faults at once, those only the store knows of too; each is named once."""
    body = alert(msgType="Update", references=named, info=[info(headline="x" * 161)])
    with pytest.raises(Invalid) as refused:
        await submit(door, body)
    found = {fault.pointer: fault.code for fault in refused.value.faults}
    assert found == {"/info/0/headline": "too-long", place: code}


async def test_of_two_requests_with_one_key_at_once_one_waits(door: Door) -> None:
    """The second is told to come back; it then gets the first one's answer."""
    body = alert()
    results = await asyncio.gather(submit(door, body), submit(door, body), return_exceptions=True)
    given = [one for one in results if isinstance(one, Answer)]
    refused = [one for one in results if isinstance(one, Refused)]
    assert [one.code for one in refused] == ["in-progress"]
    assert (await submit(door, body)).alert == given[0].alert


async def test_the_same_warning_by_another_hand_is_held_up(door: Door) -> None:
    """Two dispatchers, one fire: the second is shown the first, and may insist."""
    body = alert()
    first = await submit(door, body)
    with pytest.raises(Refused) as refused:
        await submit(door, body, "k2")
    assert (refused.value.code, refused.value.alert) == ("possible-duplicate", first.alert)
    again = await submit(door, body, "k3", allow_duplicate_of=first.alert)
    assert again.alert != first.alert


async def test_numbers_rise_by_one(door: Door) -> None:
    """Nr. 26-0001, 26-0002; a preview takes none."""
    await door.intake.preview(json.dumps(alert()).encode(), OFFICE)
    numbers = [json.loads((await submit(door, alert(), f"k{n}")).body)["incident"] for n in (1, 2)]
    assert [number.partition("-")[2] for number in numbers] == ["0001", "0002"]


async def test_preview_stores_nothing_and_shows_every_text(door: Door) -> None:
    """With its length against the limit, and the reason where nothing goes out."""
    shown = await door.intake.preview(
        json.dumps(alert(info=[info(severity="Minor")])).encode(), OFFICE
    )
    rows = {row["channel"]: row for row in shown["deliveries"]}
    assert rows["city"]["message"]["length"] <= rows["city"]["message"]["limit"] == 500
    assert "Minor" in rows["crisis"]["reason"]
    assert await door.store.alerts() == []
    assert door.accepted == []


async def test_a_text_too_long_for_one_channel_is_accepted_with_a_warning(door: Door) -> None:
    """Unless the caller asked to be strict."""
    door.channels["city"].limits = Limits(Measure.GRAPHEMES, 10)
    with pytest.raises(Invalid) as refused:
        await submit(door, alert(), strict=True)
    assert refused.value.code == "channel-unfit"
    answer = json.loads((await submit(door, alert())).body)
    assert answer["warnings"][0].startswith("city (de): ")
    kinds = [matter.notice.kind for matter in await door.store.open_notices()]
    assert "withheld" in kinds


async def test_an_alert_that_no_channel_can_carry_is_refused(door: Door) -> None:
    """Nothing would go out, so nobody must believe it did."""
    del door.channels["fire-brigade"]
    for channel in door.channels.values():
        channel.limits = Limits(Measure.GRAPHEMES, 10)
    with pytest.raises(Invalid) as refused:
        await submit(door, alert())
    assert refused.value.code == "no-channel"
    assert len(refused.value.faults) == 2


async def test_an_alert_that_rules_withhold_everywhere_is_accepted_and_says_so(door: Door) -> None:
    """A Test that no channel carries reaches nobody, as was decided; that is no fault."""
    answer = json.loads((await submit(door, alert(status="Test"))).body)
    assert {row["state"] for row in answer["deliveries"]} == {"withheld"}
    assert all("Test" in row["reason"] for row in answer["deliveries"])


async def test_an_all_clear_follows_the_warning_and_only_it(door: Door) -> None:
    """Where it is or may be out; elsewhere withheld, and what was queued is superseded."""
    first = await submit(door, alert())
    await door.send("city")
    await door.send("crisis", outcome=Outcome.UNKNOWN)
    given = await door.intake.cancel(first.alert, OFFICE, text="Feuer aus.")
    rows = {row["channel"]: row for row in json.loads(given.body)["deliveries"]}
    assert (rows["city"]["state"], rows["crisis"]["state"]) == ("queued", "queued")
    assert rows["fire-brigade"]["reason"] == "never carried the warning"
    assert "Feuer aus." in rows["city"]["message"]["text"]
    assert "Schließen Sie" not in rows["city"]["message"]["text"]
    before = await door.store.view(first.alert)
    assert before is not None
    assert states(before.deliveries)["fire-brigade"] == "superseded"


async def test_the_cost_guard_holds_a_new_warning_back_and_tells_people(door: Door) -> None:
    """The update of one that is out passes; the next warning does not, and somebody hears of it."""
    door.channels["crisis"].posts_per_day_max = 1
    first = await submit(door, alert())
    await door.send("crisis")
    body = alert(msgType="Update", references=[first.alert])
    update = json.loads((await submit(door, body, "u")).body)
    second = json.loads((await submit(door, alert(), "k2")).body)
    rows = {row["channel"]: row for row in (*update["deliveries"], *second["deliveries"])}
    assert [row["state"] for row in update["deliveries"] if row["channel"] == "crisis"] == [
        "queued"
    ]
    assert "limit of 1 posts a day" in rows["crisis"]["reason"]
    matters = [one.notice for one in await door.store.open_notices()]
    told = [one.delivery for one in matters if one.kind == "withheld"]
    assert told == [rows["crisis"]["id"]]


async def test_an_all_clear_reaches_a_language_that_an_update_dropped(door: Door) -> None:
    """German and English went out, the update spoke German; both posts are called off."""
    english = info(language="en", description="A warehouse is burning.")
    first = await submit(door, alert(info=[info(), english]))
    await door.send("city")
    update = await submit(
        door,
        alert(msgType="Update", references=[first.alert], info=[info(severity="Moderate")]),
        "u",
    )
    assert "city: the en warning is not updated" in json.loads(update.body)["warnings"]
    await door.send("city")
    ended = json.loads((await door.intake.cancel(update.alert, OFFICE)).body)
    rows = [row for row in ended["deliveries"] if row["channel"] == "city"]
    assert {row["part"]: row["state"] for row in rows} == {"de": "queued", "en": "queued"}
    german, english = (row["message"]["text"] for row in rows)
    assert names_reference(german, f"{ended['incident']}/2")
    assert names_reference(english, f"{ended['incident']}/1")  # what its readers know
    assert ended["warnings"] == []


async def test_a_cancel_with_words_of_its_own_reaches_every_language(door: Door) -> None:
    """Also an Update that clears all: what the sender left unsaid is said for them."""
    for kind in ("Cancel", "Update"):
        first = await submit(door, alert(info=[info(), info(language="en")]), f"a{kind}")
        await door.send("city")
        block = info(responseType=["AllClear"], description="Feuer aus.")
        body = alert(msgType=kind, references=[first.alert], info=[block])
        ended = json.loads((await submit(door, body, f"c{kind}")).body)
        rows = {row["part"]: row for row in ended["deliveries"] if row["channel"] == "city"}
        assert "Feuer aus." in rows["de"]["message"]["text"]
        assert "Feuer aus" not in rows["en"]["message"]["text"]


async def test_cancelling_twice_gives_the_existing_cancel(door: Door) -> None:
    """By id of any version, by its own path or as a Cancel; also two at once."""
    first = await submit(door, alert())
    one, two = await asyncio.gather(
        door.intake.cancel(first.alert, OFFICE), door.intake.cancel(first.alert, OFFICE)
    )
    assert one.alert == two.alert
    assert [one.replayed, two.replayed].count(True) == 1
    third = await submit(door, alert(msgType="Cancel", references=[first.alert], info=[]), "k2")
    assert (third.alert, third.replayed) == (one.alert, True)
    fourth = await door.intake.cancel(one.alert, OFFICE)
    assert fourth.alert == one.alert


@pytest.mark.parametrize("changes", [{}, {"identifier": "end-of-26"}])
async def test_of_cancels_at_once_all_are_given_the_one(door: Door, changes: Any) -> None:
    """Under keys of their own, with or without one identifier: one is new, the others repeat it."""
    first = await submit(door, alert())
    bodies = [
        alert(msgType="Cancel", references=[first.alert], info=[]) | changes for _ in range(4)
    ]
    given = await asyncio.gather(*(submit(door, one, f"c{at}") for at, one in enumerate(bodies)))
    assert len({one.alert for one in given}) == 1
    assert sorted(one.replayed for one in given) == [False, True, True, True]


async def test_the_key_of_a_repeated_cancel_is_not_free_for_another(door: Door) -> None:
    """It was answered with a 202; the same body gets it again, another body does not."""
    first = await submit(door, alert())
    await door.intake.cancel(first.alert, OFFICE)
    body = alert(msgType="Cancel", references=[first.alert], info=[])
    given = await submit(door, body, "again")
    assert await submit(door, body, "again") == given
    with pytest.raises(Invalid) as refused:
        await submit(door, alert(), "again")
    assert refused.value.code == "idempotency-key-reused"


async def test_only_so_many_repeated_keys_are_kept_in_mind(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory ends somewhere: the oldest is forgotten first."""
    monkeypatch.setattr(alerts, "_NOTES_MAX", 1)
    first = await submit(door, alert())
    await door.intake.cancel(first.alert, OFFICE)
    for key in ("one", "two"):
        body = alert(msgType="Cancel", references=[first.alert], info=[])
        await submit(door, body, key)
    assert not (await submit(door, alert(), "one")).replayed
    with pytest.raises(Invalid):
        await submit(door, alert(), "two")


async def test_of_two_updates_at_once_one_wins(door: Door) -> None:
    """The other is told what the newest is."""
    first = await submit(door, alert())
    results = await asyncio.gather(
        *(
            submit(door, alert(msgType="Update", references=[first.alert]), f"u{number}")
            for number in (1, 2)
        ),
        return_exceptions=True,
    )
    won = [one for one in results if isinstance(one, Answer)]
    lost = [one for one in results if isinstance(one, Refused)]
    assert len(won) == 1
    assert [(one.code, one.alert) for one in lost] == [("not-newest", won[0].alert)]


async def test_an_all_clear_ends_what_came_between(door: Door) -> None:
    """Whichever version was newest when the order came, the incident is over."""
    first = await submit(door, alert())
    update = submit(door, alert(msgType="Update", references=[first.alert]), "u")
    _, given = await asyncio.gather(
        update, door.intake.cancel(first.alert, OFFICE), return_exceptions=True
    )
    assert isinstance(given, Answer)
    newest = await door.store.newest(json.loads(given.body)["incident"])
    assert newest is not None
    assert newest.id == given.alert


async def test_nobody_cancels_in_anothers_name(door: Door) -> None:
    """The sender of the warning takes it back."""
    first = await submit(door, alert())
    other = Caller("key:other", "key:2", Role.TRIGGER, ("other@example.org",))
    with pytest.raises(Forbidden):
        await door.intake.cancel(first.alert, other)


@pytest.mark.parametrize("name", ["nosuch", "a\x00b", "26-9999"])
async def test_there_is_nothing_to_cancel_where_there_is_no_alert(door: Door, name: str) -> None:
    """Refused in words."""
    with pytest.raises(Refused) as refused:
        await door.intake.cancel(name, OFFICE)
    assert refused.value.code == "unknown-alert"


async def test_a_fingerprint_tells_where_one_part_ends(door: Door) -> None:
    """Body, type and path cannot be shifted into each other."""
    assert fingerprint(b"ab", b"c") != fingerprint(b"a", b"bc")
    assert door.intake.store is door.store
