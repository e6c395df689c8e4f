"""What Facebook tells of posts, in any shape: read without a fault, and never believed too much."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.channels.facebook import post
from broadcaster.channels.meta import graph
from broadcaster.delivery import Receipt, Rejected
from tests.channels.stub import TEXT, delivery

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
NAMES = ("message", "created_time", "permalink_url", "is_published", "is_hidden", "privacy")
COUNTED = ("shares", "comments", "reactions")


@given(st.fixed_dictionaries(dict.fromkeys((*NAMES, *COUNTED), JUNK)))
def test_no_shape_is_a_fault(shape: dict[str, Any]) -> None:
    """Whatever Facebook makes of its fields one day, a look ends in words and numbers."""
    shape["id"] = "111_222"
    assert isinstance(post.text_of(shape), str)
    assert post.created(shape).tzinfo is not None
    assert post.permalink(shape).startswith("https://")
    assert all(isinstance(count, int) for count in post.counts(shape).values())
    assert post.hidden(shape) is None or isinstance(post.hidden(shape), str)


@given(st.text(max_size=60), st.text(max_size=60))
def test_a_text_says_itself_and_points_to_itself(text: str, other: str) -> None:
    """The comparison holds for every text, whatever it is made of."""
    assert post.says(text, text, delivery())
    if graph.comparable(text):
        assert post.points(f"{text}\n\n{other}", text)


SAYS = [
    (TEXT, True),
    (f"Überholt: siehe Nr. 26-0142/2\n\n{TEXT}", True),
    (f"Überholt: siehe Nr. 26-0143/2\n\n{TEXT}", False),
    (f"Nr. 126-0142/2\n\n{TEXT}", False),
    (f"{TEXT}\n\nNr. 26-0142/2", False),
    ("", False),
]


@pytest.mark.parametrize(("seen", "ours"), SAYS)
def test_only_a_pointer_to_the_same_incident_may_stand_before(seen: str, *, ours: bool) -> None:
    """Whatever else is put before or behind a warning changes what it says."""
    assert post.says(seen, TEXT, delivery()) is ours


def test_a_time_without_zone_is_in_utc_and_none_is_never_too_old() -> None:
    """Facebook writes +0000."""
    moment = datetime(2026, 11, 22, 1, 47, tzinfo=UTC)
    for told in ("2026-11-22T01:47:00+0000", "2026-11-22T01:47:00"):
        assert post.created({"created_time": told}) == moment
    assert post.created({}) > moment


@pytest.mark.parametrize("identity", ["111_222", "222"])
def test_an_id_is_a_number_or_two(identity: str) -> None:
    """A comment's and a photo's may have one."""
    assert post.post_of(Receipt(identity)) == identity


@pytest.mark.parametrize("receipt", [None, Receipt(None), Receipt("1_2_3"), Receipt("1/2")])
def test_anything_else_names_no_post(receipt: Receipt | None) -> None:
    """It never gets into an address."""
    with pytest.raises(Rejected):
        post.post_of(receipt)


@pytest.mark.parametrize("url", [None, "http://www.facebook.com/1", "javascript:x", 7])
def test_a_permalink_is_a_secure_address(url: Any) -> None:
    """It is shown to people as a link: any other is made of the post's id."""
    shown = post.permalink({"id": "111_222", "permalink_url": url})
    assert shown == "https://www.facebook.com/111_222"
