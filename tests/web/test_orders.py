"""What a person orders of a delivery: put back, confirmed, taken down."""

from __future__ import annotations

import pytest

from broadcaster.delivery import NeedsPerson, NotSent, Outcome, Receipt, Rejected
from tests.web.door import Door


async def test_a_failed_delivery_is_put_back_by_order(door: Door) -> None:
    """By someone of role approve; the dispatcher is woken, the order is in the audit trail."""
    made = await door.accept()
    delivery = (await door.send("city", outcome=Outcome.REJECTED))[0]
    path = f"/v1/alerts/{made['id']}/deliveries/{delivery.id}/retry"
    assert (await door.ask("POST", path, key="office"))[0] == 403
    status, shown, _ = await door.ask("POST", path, key="approver")
    assert (status, shown["deliveries"][0]["state"]) == (200, "queued")
    assert door.woken == [delivery.channel]
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
