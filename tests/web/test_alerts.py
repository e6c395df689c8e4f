"""The routes of alerts, over HTTP."""

from __future__ import annotations

import json

import pytest

from broadcaster.channels import Limits, Measure
from broadcaster.delivery import NeedsPerson, NotSent, Outcome, Receipt, Rejected
from tests.web.door import Door, alert, info


async def test_a_202_shows_what_was_understood_and_where_it_is(door: Door) -> None:
    """The alert, every text or reason, and a Location that leads there."""
    status, shown, headers = await door.ask("POST", "/v1/alerts", body=alert())
    assert status == 202
    assert headers["Location"] == f"/v1/alerts/{shown['id']}"
    assert shown["released_by"] == "key:office"
    assert "Großbrand" in shown["deliveries"][0]["message"]["text"]
    status, looked, _ = await door.ask("GET", headers["Location"], key="reader")
    assert (status, looked["id"]) == (200, shown["id"])


async def test_a_repeat_is_marked_as_one(door: Door) -> None:
    """The same bytes again, with a header that says so."""
    body, headers = alert(), {"Idempotency-Key": "once"}
    _, first, _ = await door.ask("POST", "/v1/alerts", body=body, headers=headers)
    status, again, given = await door.ask("POST", "/v1/alerts", body=body, headers=headers)
    assert (status, again, given["Idempotent-Replayed"]) == (202, first, "true")


async def test_the_same_body_as_another_type_is_another_request(door: Door) -> None:
    """The fingerprint covers body, content type and path."""
    body, headers = alert(), {"Idempotency-Key": "once"}
    await door.ask("POST", "/v1/alerts", body=body, headers=headers)
    other = headers | {"Content-Type": "application/json; charset=utf-8"}
    status, problem, _ = await door.ask("POST", "/v1/alerts", body=body, headers=other)
    assert (status, problem["code"]) == (422, "idempotency-key-reused")


async def test_a_possible_duplicate_names_the_first_and_may_be_insisted_on(door: Door) -> None:
    """The caller looks, and repeats with Allow-Duplicate-Of if it is meant."""
    body = alert()
    _, first, _ = await door.ask("POST", "/v1/alerts", body=body)
    status, problem, _ = await door.ask("POST", "/v1/alerts", body=body)
    assert (status, problem["code"], problem["alert"]) == (409, "possible-duplicate", first["id"])
    allowed = {"Allow-Duplicate-Of": problem["alert"]}
    status, second, _ = await door.ask("POST", "/v1/alerts", body=body, headers=allowed)
    assert (status, second["id"] != first["id"]) == (202, True)


@pytest.mark.parametrize("prefer", ["handling=strict", "wait=10, handling=strict"])
async def test_a_strict_caller_is_refused_where_a_channel_cannot_carry_it(
    door: Door, prefer: str
) -> None:
    """And accepted where all can; a language without templates is one that cannot."""
    door.channels["city"].limits = Limits(Measure.GRAPHEMES, 10)
    headers = {"Prefer": prefer}
    status, problem, _ = await door.ask("POST", "/v1/alerts", body=alert(), headers=headers)
    assert (status, problem["code"]) == (422, "channel-unfit")
    status, shown, _ = await door.ask("POST", "/v1/alerts", body=alert())
    assert (status, len(shown["warnings"])) == (202, 1)


async def test_a_preview_stores_nothing(door: Door) -> None:
    """And says of every channel what would go out, or why not."""
    status, shown, _ = await door.ask("POST", "/v1/preview", body=alert())
    assert status == 200
    assert {row["state"] for row in shown["deliveries"]} == {"queued"}
    _, listed, _ = await door.ask("GET", "/v1/alerts")
    assert listed == {"alerts": [], "next": None}


async def test_a_list_has_pages_and_filters(door: Door) -> None:
    """The newest first; `next` leads to the page after."""
    ids = [(await door.accept())["id"] for _ in range(3)]
    test = await door.accept(status="Exercise")
    _, page, _ = await door.ask("GET", "/v1/alerts?limit=2", key="reader")
    assert [one["id"] for one in page["alerts"]] == [test["id"], ids[2]]
    assert page["alerts"][1]["counts"] == {"queued": 3}
    _, rest, _ = await door.ask("GET", f"/v1/alerts?limit=2&before={page['next']}")
    assert [one["id"] for one in rest["alerts"]] == [ids[1], ids[0]]
    _, drills, _ = await door.ask("GET", "/v1/alerts?status=Exercise&state=active")
    assert [one["id"] for one in drills["alerts"]] == [test["id"]]
    _, none, _ = await door.ask("GET", "/v1/alerts?sender=nobody@example.org")
    assert none["alerts"] == []


async def test_an_alert_is_found_by_reference_and_identifier(door: Door) -> None:
    """What a citizen quotes leads to the alert."""
    made = await door.accept()
    for name in (made["reference"].replace("/", "%2F"), made["incident"], made["identifier"]):
        status, shown, _ = await door.ask("GET", f"/v1/alerts/{name}")
        assert (status, shown["id"]) == (200, made["id"])


async def test_an_all_clear_by_its_own_path(door: Door) -> None:
    """With or without a text; the second time the same one again."""
    made = await door.accept()
    await door.send("city")
    path = f"/v1/alerts/{made['id']}/cancel"
    status, first, headers = await door.ask("POST", path, body={"text": "Feuer aus."})
    assert (status, first["msgType"], "Idempotent-Replayed" in headers) == (202, "Cancel", False)
    status, again, headers = await door.ask("POST", path)
    assert (status, again["id"], headers["Idempotent-Replayed"]) == (202, first["id"], "true")
    _, old, _ = await door.ask("GET", f"/v1/alerts/{made['id']}")
    assert (old["state"], old["newest"]) == ("ended", first["id"])


async def test_an_all_clear_takes_no_field_it_does_not_know(door: Door) -> None:
    """A typing error in its text must not be lost silently."""
    made = await door.accept()
    path = f"/v1/alerts/{made['id']}/cancel"
    status, problem, _ = await door.ask("POST", path, body={"txt": "Feuer aus."})
    assert (status, problem["errors"][0]["code"]) == (422, "unknown-field")


async def test_a_failed_delivery_is_put_back_by_order(door: Door) -> None:
    """By someone of role approve; the dispatcher is woken, the order is in the audit trail."""
    made = await door.accept()
    delivery = (await door.send("city", outcome=Outcome.REJECTED))[0]
    path = f"/v1/alerts/{made['id']}/deliveries/{delivery.id}/retry"
    assert (await door.ask("POST", path, key="office"))[0] == 403
    status, shown, _ = await door.ask("POST", path, key="approver")
    assert (status, shown["deliveries"][0]["state"]) == (200, "queued")
    assert door.woken
    assert (await door.store.audit())[0].actor == "key:approver"


async def test_a_delivery_that_did_not_fail_is_not_put_back(door: Door) -> None:
    """It would be a second post."""
    made = await door.accept()
    delivery = (await door.send("city"))[0]
    path = f"/v1/alerts/{made['id']}/deliveries/{delivery.id}/retry"
    status, problem, _ = await door.ask("POST", path, key="approver")
    assert (status, problem["code"]) == (409, "not-failed")


async def test_an_old_version_is_not_put_back(door: Door) -> None:
    """An old warning never appears after a newer one."""
    made = await door.accept()
    delivery = (await door.send("city", outcome=Outcome.REJECTED))[0]
    newer = await door.accept(msgType="Update", references=[made["id"]])
    path = f"/v1/alerts/{made['id']}/deliveries/{delivery.id}/retry"
    status, problem, _ = await door.ask("POST", path, key="approver")
    assert (status, problem["code"], problem["alert"]) == (409, "not-newest", newer["id"])


async def test_a_person_confirms_what_the_network_did_not_say(door: Door) -> None:
    """With the address where it is."""
    made = await door.accept()
    delivery = (await door.send("city", outcome=Outcome.UNKNOWN))[0]
    path = f"/v1/alerts/{made['id']}/deliveries/{delivery.id}/confirm"
    status, problem, _ = await door.ask("POST", path, body={"url": "javascript:x"}, key="approver")
    assert (status, problem["errors"][0]["pointer"]) == (422, "/url")
    said = {"url": "https://ruhr.example/@stadt/1"}
    status, shown, _ = await door.ask("POST", path, body=said, key="approver")
    row = shown["deliveries"][0]
    assert (status, row["state"], row["url"]) == (200, "sent", said["url"])


async def test_a_post_is_taken_down_by_order(door: Door) -> None:
    """First on the network, then in the books; what is not out is left alone."""
    made = await door.accept()
    delivery = (await door.send("city"))[0]
    path = f"/v1/alerts/{made['id']}/deliveries/{delivery.id}/retract"
    assert len(door.channels["city"].posts) == 1
    status, shown, _ = await door.ask("POST", path, key="approver")
    assert (status, shown["deliveries"][0]["state"]) == (200, "retracted")
    assert door.channels["city"].posts == []
    status, problem, _ = await door.ask("POST", path, key="approver")
    assert (status, problem["code"]) == (409, "not-out")


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (NotSent("the network did not answer"), 503, "not-taken-down"),
        (Rejected("mail cannot be called back"), 409, "cannot-be-taken-down"),
        (NeedsPerson("the token was revoked"), 409, "cannot-be-taken-down"),
    ],
)
async def test_a_post_that_stays_up_is_not_called_retracted(
    door: Door, monkeypatch: pytest.MonkeyPatch, failure: Exception, status: int, code: str
) -> None:
    """The reason is said, and the row stays as it is."""
    made = await door.accept()
    delivery = (await door.send("city"))[0]

    async def retract(_receipt: Receipt) -> None:
        raise failure

    monkeypatch.setattr(door.channels["city"], "retract", retract)
    path = f"/v1/alerts/{made['id']}/deliveries/{delivery.id}/retract"
    seen, problem, _ = await door.ask("POST", path, key="approver")
    assert (seen, problem["code"], problem["detail"]) == (status, code, str(failure))
    _, shown, _ = await door.ask("GET", f"/v1/alerts/{made['id']}")
    assert shown["deliveries"][0]["state"] == "sent"


async def test_a_delivery_is_only_reached_through_its_own_alert(door: Door) -> None:
    """The path must be true in both its parts."""
    one, two = await door.accept(), await door.accept()
    theirs = two["deliveries"][0]["id"]
    path = f"/v1/alerts/{one['id']}/deliveries/{theirs}/retry"
    status, problem, _ = await door.ask("POST", path, key="approver")
    assert (status, problem["code"]) == (404, "unknown-delivery")


async def test_all_faults_come_in_one_answer(door: Door) -> None:
    """Each with its pointer, a sentence and a code."""
    bad = alert(status="Nonsense", info=[info(area=[], headline="x" * 161)])
    status, problem, _ = await door.ask("POST", "/v1/alerts", body=bad)
    assert status == 422
    assert {(one["pointer"], one["code"]) for one in problem["errors"]} == {
        ("/status", "value"),
        ("/info/0/area", "missing"),
        ("/info/0/headline", "too-long"),
    }
    assert all(one["detail"] for one in problem["errors"])


async def test_numbers_in_json_need_no_rounding(door: Door) -> None:
    """Bytes in, bytes out: an alert as large as allowed is accepted."""
    body = json.dumps(alert()).encode()
    padded = body + b" " * (65_536 - len(body))
    status, _, _ = await door.ask("POST", "/v1/alerts", body=padded)
    assert status == 202
