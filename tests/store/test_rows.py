"""Rows: what goes in comes out again, whatever text it holds."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from broadcaster.delivery import Media, Message, Outcome, Receipt
from broadcaster.store import End, Store
from broadcaster.store.rows import (
    as_far_as_readable,
    delivery_of,
    from_us,
    message_from_json,
    message_to_json,
    plain,
    receipt_from_json,
    receipt_to_json,
    to_us,
)
from broadcaster.store.tables import delivery
from tests.kit import plan

ANY = st.text()
MAYBE = st.none() | ANY
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | ANY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY, inner, max_size=3),
    max_leaves=6,
)
MESSAGES = st.builds(
    Message,
    ANY,
    ANY,
    MAYBE,
    MAYBE,
    st.lists(st.builds(Media, ANY, ANY), max_size=2).map(tuple),
    st.none() | st.integers(),
    st.none() | st.integers(),
)
RECEIPTS = st.builds(Receipt, MAYBE, MAYBE, st.dictionaries(ANY, JSON, max_size=3))
HALF = "a\ud83dz"  # the first half of a pair, as JSON can spell it


@given(MESSAGES)
@example(Message("Großbrand\u2028\0\x7f🔥", "de"))
def test_a_message_comes_back_as_it_was_written(message: Message) -> None:
    """The exact text of a post is fixed when the alert is accepted."""
    assert message_from_json(message_to_json(message)) == message


@given(RECEIPTS)
def test_a_receipt_comes_back_as_it_was_written(receipt: Receipt) -> None:
    """A reply or a retraction needs every detail the network gave."""
    assert receipt_from_json(receipt_to_json(receipt)) == receipt


def test_nothing_comes_back_as_nothing() -> None:
    """A row without text or proof has none."""
    assert message_from_json(message_to_json(None)) is None
    assert receipt_from_json(receipt_to_json(None)) is None


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31)))  # noqa: DTZ001 - made aware below
def test_a_time_comes_back_to_the_microsecond(moment: datetime) -> None:
    """Bluesky's record key is made of the stored time: rounding would change it."""
    aware = moment.replace(tzinfo=UTC)
    assert from_us(to_us(aware)) == aware


@given(st.text(st.characters(exclude_categories=())))
def test_a_plain_text_is_taken_by_both_databases(text: str) -> None:
    """Neither NUL nor half a character is left, and sound text is not touched."""
    cleaned = plain(text)
    assert "\0" not in cleaned
    assert cleaned.encode().decode() == cleaned
    if "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text):
        assert cleaned == text


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(message=MESSAGES, receipt=RECEIPTS)
async def test_text_of_any_kind_survives_the_database(
    store: Store, message: Message, receipt: Receipt
) -> None:
    """Both databases give back the very text and proof they were given."""
    drawn = tuple(replace(one, digest=one.digest or "drawn") for one in message.media)
    message = replace(message, media=drawn)  # what is not drawn by its first claim stays behind
    wanted = plan(["one"])
    await store.accept(replace(wanted, deliveries=[replace(wanted.deliveries[0], message=message)]))
    (claimed,) = (await store.claim({"one": 1}, timedelta(0))).deliveries
    assert claimed.message == message
    await store.record(claimed, End(Outcome.ACCEPTED, receipt=receipt))
    view = await store.view(claimed.alert)
    assert view is not None
    assert view.deliveries[0][0].receipt == receipt
    assert view.deliveries[0][0].message == message


@pytest.mark.parametrize("said", ["a\0b", HALF])
async def test_what_a_network_says_is_stored_whatever_it_holds(store: Store, said: str) -> None:
    """NUL and half characters, in a reason or a receipt, stop neither this row nor another."""
    await store.accept(plan(["one"]))
    (first,) = (await store.claim({"one": 1}, timedelta(0))).deliveries
    now = datetime.now(UTC)
    await store.record(first, End(Outcome.UNKNOWN, said, due=now))
    await store.read_again(first, now, 1, said)
    (row,) = await store.to_read("one", 5)
    await store.found(row.delivery, Receipt(said, f"https://fake.example/{said}", {said: said}))
    await store.pause("one", now, said)
    await store.switch_off("one", said)
    view = await store.view(first.alert)
    assert view is not None
    shown, attempts = view.deliveries[0]
    assert shown.receipt is not None
    assert shown.state == "sent"
    assert attempts[0].error == plain(said)
    assert json.dumps([shown.receipt.remote_id, shown.receipt.url], ensure_ascii=False).encode()
    assert store.trouble is None


async def test_a_name_nobody_gave_is_just_not_found(store: Store) -> None:
    """A strange name in an address costs nobody the connection."""
    await store.accept(plan(["one"], incident="26-0001"))
    for name in ("\0", "26-0001\0", "\ud800", "26-0001/99999999", "%", "'"):
        assert await store.find_alert(name) is None
        assert await store.view(name) is None
    assert store.trouble is None


async def test_a_damaged_row_shows_what_can_be_read(store: Store) -> None:
    """A page may show a row that must never be sent."""
    await store.accept(plan(["one"]))
    row = (await store._engine.read(lambda db: db.rows(delivery.select())))[0]
    damaged = row | {"message": "{", "receipt": "[", "due": 2**62}
    with pytest.raises(ValueError, match="Expecting"):
        delivery_of(damaged)
    shown = as_far_as_readable(damaged)
    assert (shown.id, shown.message, shown.receipt, shown.due) == (row["id"], None, None, None)
