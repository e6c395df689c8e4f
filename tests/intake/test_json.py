"""Strict JSON: one text, one meaning. The bad-input table has the many refusals."""

from __future__ import annotations

import json as plain
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.alert import Submission
from broadcaster.intake import json
from broadcaster.intake.faults import Malformed

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**14), 10**14) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_what_is_plain_json_is_read_as_it_is(value: object) -> None:
    """Strictness changes no value."""
    assert json.read(plain.dumps(value, ensure_ascii=False).encode()) == value
    assert json.read(plain.dumps(value).encode()) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """There is no third way: no recursion error, no overflow, no crash."""
    with suppress(Malformed):
        assert json.read(body) == plain.loads(body)


def test_every_key_that_is_there_twice_is_named() -> None:
    """All at once, each with its place."""
    with pytest.raises(Malformed) as refused:
        json.read(b'{"a": 1, "a": 2, "b": [{"c": 1, "d": 0, "c": 1}]}')
    assert [fault.pointer for fault in refused.value.faults] == ["/a", "/b/0/c"]


def test_a_key_twice_in_a_text_that_is_cut_is_no_json() -> None:
    """The second reading may find what the first did not reach."""
    with pytest.raises(Malformed) as refused:
        json.read(b'{"a": {"b": 1, "b": 2}')
    assert refused.value.code == "json-syntax"


def test_brackets_in_texts_are_no_depth() -> None:
    """A text of a hundred brackets is flat."""
    assert json.read(plain.dumps({"a": "[" * 100 + '\\"{'}).encode()) == {"a": "[" * 100 + '\\"{'}


def test_thirty_two_levels_are_read() -> None:
    """The limit itself is allowed."""
    assert json.read(b"[" * 32 + b"]" * 32)


def test_a_pair_of_surrogates_is_one_character() -> None:
    """Escaped emoji are right; only half of one is not."""
    assert json.read(rb'{"a": "\ud83d\udd25"}') == {"a": "🔥"}


def test_the_place_of_a_surrogate_is_named() -> None:
    """Also deep inside."""
    with pytest.raises(Malformed) as refused:
        json.read(rb'{"info": [{"event": "\ud800"}]}')
    assert [fault.pointer for fault in refused.value.faults] == ["/info/0/event"]


def test_only_the_names_of_the_wire_are_taken() -> None:
    """CAP says msgType; Python's own name for it is an unknown field."""
    _, faults = json.model(Submission, {"msg_type": "Alert"})
    assert {fault.pointer: fault.code for fault in faults}["/msg_type"] == "unknown-field"


def test_a_fault_in_a_union_is_said_once_and_at_its_place() -> None:
    """References are a text or a list; which of both was meant shows."""
    said = {"sender": "a", "status": "Actual", "msgType": "Update"}
    _, faults = json.model(Submission, said | {"references": [1]})
    assert [(fault.pointer, fault.code) for fault in faults] == [("/references/0", "type")]
    _, faults = json.model(Submission, said | {"references": []})
    assert [(fault.pointer, fault.code) for fault in faults] == [("/references", "too-short")]


def test_no_fault_repeats_a_long_key() -> None:
    """An answer names a key, but not a page of it."""
    _, faults = json.model(Submission, {"x" * 5000: 1})
    assert max(len(fault.pointer) for fault in faults) < 100
