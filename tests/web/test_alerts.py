"""The routes of alerts, over HTTP."""

from __future__ import annotations

import json

import pytest

from broadcaster.channels import Limits, Measure
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


async def test_a_key_for_some_channels_posts_on_no_other(door: Door) -> None:
    """It is withheld there, with the reason; an all-clear by another key still goes everywhere."""
    status, shown, _ = await door.ask("POST", "/v1/alerts", body=alert(), key="cityonly")
    assert status == 202
    found = {one["channel"]: (one["state"], one["reason"]) for one in shown["deliveries"]}
    assert found["city"] == ("queued", None)
    assert found["crisis"] == ("withheld", "key:cityonly may not post on crisis")
    assert shown["warnings"] == []


async def test_a_preview_stores_nothing(door: Door) -> None:
    """And says of every channel what would go out, or why not."""
    status, shown, _ = await door.ask("POST", "/v1/preview", body=alert())
    assert status == 200
    assert {row["state"] for row in shown["deliveries"]} == {"queued"}
    _, listed, _ = await door.ask("GET", "/v1/alerts")
    assert listed == {"alerts": [], "next": None}


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


async def test_faults_of_headers_and_body_are_named_together(door: Door) -> None:
    """One answer, with the status of the gravest: nobody mends a request fault by fault."""
    body = alert(info=[info(headline="x" * 161)], msgType="Update", references=["no"])
    raw = json.dumps(body).encode()
    head = {"Authorization": door.bearer(), "Content-Type": "application/json"}
    head["Allow-Duplicate-Of"] = "a b"
    async with door.http.post(door.url + "/v1/alerts", data=raw, headers=head) as answer:
        status, shown = answer.status, await answer.json(content_type=None)
    assert (status, shown["code"]) == (400, "idempotency-key-missing")
    assert {fault["pointer"]: fault["code"] for fault in shown["errors"][2:]} == {
        "/info/0/headline": "too-long",
        "/references/0": "unknown-reference",
    }
    codes = [fault["code"] for fault in shown["errors"][:2]]
    assert codes == ["idempotency-key-missing", "allow-duplicate-of-form"]


@pytest.mark.parametrize(
    ("body", "code"), [(b"{", "json-syntax"), (json.dumps(alert(sender="a b")).encode(), "form")]
)
async def test_a_request_without_key_hears_of_its_body_too(
    door: Door, body: bytes, code: str
) -> None:
    """Also where the body cannot be read at all."""
    head = {"Authorization": door.bearer(), "Content-Type": "application/json"}
    async with door.http.post(door.url + "/v1/alerts", data=body, headers=head) as answer:
        shown = await answer.json(content_type=None)
    assert [fault["code"] for fault in shown["errors"]] == ["idempotency-key-missing", code]
