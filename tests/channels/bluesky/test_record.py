"""A record is made of its delivery alone, and what is read of one is judged without surprise."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from broadcaster.channels.bluesky.record import (
    COLLECTION,
    is_blob,
    record_key,
    record_of,
    reply_to,
    same,
    sight_of,
    uri_of,
)
from broadcaster.delivery import Message, Receipt, Rejected
from tests.channels.stub import NOW, TEXT, carded, delivery

BLOB = {"$type": "blob", "ref": {"$link": "bafy"}, "mimeType": "image/png", "size": 7}
FIRE = "🔥 Großbrand in #Hörde: Fenster zu! Mehr: https://www.dortmund.de/warnung. Nr. 26-0142/1"


def test_a_record_key_is_a_tid_and_sorts_by_time() -> None:
    """13 letters of the sortable alphabet; later is greater, and the key decides the last bits."""
    keys = [record_key(NOW + timedelta(microseconds=n), "ffff") for n in (0, 1, 10**6, 10**12)]
    assert keys == sorted(set(keys))
    assert all(
        len(key) == 13 and set(key) <= set("234567abcdefghijklmnopqrstuvwxyz") for key in keys
    )
    assert record_key(NOW, "0") < record_key(NOW, "1") < record_key(NOW, "3ff")
    assert record_key(NOW, "7ff") == record_key(NOW, "3ff")
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert record_key(epoch, "0") == "2222222222222"
    assert record_key(epoch + timedelta(microseconds=1), "1") == "22222222223" + "23"


def test_a_record_is_made_of_its_delivery_alone(tmp_path: Path) -> None:
    """Twice the same, with its card; another handle is another record."""
    one = carded(tmp_path, text=FIRE, language="de-simple", handle={"blob": BLOB})
    record = record_of(one)
    assert record == record_of(one)
    assert (record["$type"], record["langs"]) == (COLLECTION, ["de-simple"])
    assert record["createdAt"] == "2026-11-22T01:47:00.000Z"
    (image,) = record["embed"]["images"]
    assert image["image"] == BLOB
    assert image["aspectRatio"] == {"width": 1200, "height": 675}
    assert one.message
    assert image["alt"] == one.message.media[0].alt
    assert "embed" not in record_of(replace(one, handle={"note": "why"}))
    assert "embed" not in record_of(replace(one, handle=None))
    assert "embed" not in record_of(delivery(handle={"blob": BLOB}))


def test_a_record_needs_a_text() -> None:
    """There is nothing to post without one."""
    with pytest.raises(Rejected):
        record_of(delivery(message=None))


def test_a_reply_names_both_ends_of_its_thread() -> None:
    """The root is the first post's; a receipt without a content id is no parent."""
    here, root = {"uri": "at://a", "cid": "b"}, {"uri": "at://r", "cid": "c"}
    assert reply_to(Receipt("at://a", None, {**here, "root": root})) == {
        "root": root,
        "parent": here,
    }
    assert reply_to(Receipt("at://a", None, here)) == {"root": here, "parent": here}
    assert reply_to(Receipt("at://a")) is None
    assert reply_to(None) is None


@pytest.mark.parametrize(
    ("found", "ours"),
    [
        ({}, True),
        ({"embed": {"any": 1}, "facets": []}, True),
        ({"text": "other"}, False),
        ({"langs": ["en"]}, False),
        ({"createdAt": "2026"}, False),
        ({"reply": {}}, False),
    ],
)
def test_a_record_is_ours_by_its_words_and_time(found: dict[str, Any], *, ours: bool) -> None:
    """Links and cards may differ from one attempt to the next."""
    record = record_of(delivery())
    assert same(record | found, record) == ours
    assert not same("no record", record)


@pytest.mark.parametrize(
    ("value", "good"),
    [
        (BLOB, True),
        (BLOB | {"$type": "other"}, False),
        (BLOB | {"ref": "bafy"}, False),
        (BLOB | {"ref": {"$link": 7}}, False),
        ([], False),
        (None, False),
    ],
)
def test_a_blob_is_named_as_records_name_it(value: object, *, good: bool) -> None:
    """Anything else would make a record that the server refuses."""
    assert is_blob(value) == good


@pytest.mark.parametrize(
    "uri", ["at://stadt.example/app.bsky.feed.post/3k", "at://did:plc:a/x/../y", "", "https://x"]
)
def test_only_the_address_of_a_record_is_looked_up(uri: str) -> None:
    """With the account's own id, so that a new handle changes nothing."""
    with pytest.raises(Rejected):
        uri_of(Receipt(uri))
    good = "at://did:plc:abc/app.bsky.feed.post/3n2uinnh5c22k"
    assert uri_of(Receipt(good)) == good


@pytest.mark.parametrize(
    ("post", "there", "altered"),
    [
        ({"record": {"text": TEXT}}, True, False),
        ({"record": {"text": f"{TEXT} "}}, True, True),
        ({"record": {"text": 7}}, True, True),
        ({"record": None}, True, True),
        ({"record": {"text": TEXT}, "labels": "!hide"}, True, False),
        ({"record": {"text": TEXT}, "labels": [{"val": ["!hide"]}]}, True, False),
        ({"record": {"text": TEXT}, "labels": [{"val": "porn"}]}, True, False),
        ({"record": {"text": TEXT}, "labels": [{"val": "!hide"}]}, False, False),
        ({"record": {"text": TEXT}, "author": {"labels": [{"val": "!suspend"}]}}, False, False),
    ],
)
def test_a_look_reads_words_and_labels(post: dict[str, Any], *, there: bool, altered: bool) -> None:
    """Only a label that hides from everybody hides; junk is none, and never an error."""
    sight = sight_of(post, delivery())
    assert (sight.there, sight.altered) == (there, altered)


def test_junk_counts_are_none() -> None:
    """What is no number of people is left out."""
    post = {"record": {"text": TEXT}, "likeCount": 4, "replyCount": "2", "repostCount": -1}
    assert sight_of(post, delivery()).counts == {"likes": 4}


def test_without_a_message_nothing_is_altered() -> None:
    """There is nothing to compare with."""
    assert not sight_of({"record": {"text": "x"}}, delivery(message=None)).altered
    assert sight_of({"record": {"text": "x"}}, delivery(message=Message("y", "de"))).altered
