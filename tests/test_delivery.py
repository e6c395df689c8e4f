"""A delivery's states, keys, waits and references are those of the delivery contract."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.delivery import (
    JITTER,
    MAY_BE_OUT,
    OPEN,
    OUT,
    TRANSITIONS,
    WAITS_SECONDS,
    Failure,
    Media,
    Message,
    NeedsPerson,
    NotSent,
    Outcome,
    Receipt,
    Rejected,
    State,
    Unknown,
    backoff,
    delivery_key,
    names_reference,
    noted,
)
from tests.channels.stub import delivery

ARROWS = """
queued -> sending, superseded, expired, failed
sending -> sent, queued, failed, unknown, superseded, expired
unknown -> sent, queued, superseded, expired, failed
waiting -> sent, superseded, expired
sent -> visible, retracted
visible -> sent, retracted
failed -> queued
"""
STATES = [
    *("withheld", "queued", "sending", "unknown", "waiting", "sent"),
    *("visible", "failed", "expired", "superseded", "retracted"),
]


def arrows() -> set[tuple[str, str]]:
    """Read the contract's arrows as pairs."""
    lines = [line.split(" -> ") for line in ARROWS.strip().splitlines()]
    return {(before, after) for before, many in lines for after in many.split(", ")}


def test_the_states_are_the_contracts() -> None:
    """These eleven and no other."""
    assert [state.value for state in State] == STATES
    assert set(TRANSITIONS) == set(State)


@pytest.mark.parametrize("before", STATES)
def test_the_transitions_are_the_contracts_and_no_other(before: str) -> None:
    """Every pair of states is either an arrow of the contract or refused."""
    for after in STATES:
        assert (State(after) in TRANSITIONS[State(before)]) == ((before, after) in arrows())


def test_nobody_can_change_the_transitions() -> None:
    """The table is read-only while the daemon runs."""
    with pytest.raises(TypeError):
        TRANSITIONS[State.SENT] = frozenset()  # type: ignore[index]


def test_a_state_that_may_be_out_is_never_an_end_without_proof() -> None:
    """What may be out is what was on the wire or is proven; what is out was named."""
    assert {state.value for state in OPEN} == {"queued", "sending", "unknown"}
    assert {state.value for state in OUT} == {"sent", "visible"}
    assert {state.value for state in MAY_BE_OUT} == {"sending", "unknown", "sent", "visible"}


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (NotSent("a"), "not-sent"),
        (Rejected("a"), "rejected"),
        (NeedsPerson("a"), "needs-person"),
        (Unknown("a"), "unknown"),
    ],
)
def test_failures_are_four_and_say_why(failure: Failure, outcome: str) -> None:
    """Each is one outcome of the contract, and its text is the reason for people."""
    assert failure.outcome is Outcome(outcome)
    assert failure.reason == str(failure) == "a"
    assert len(Failure.__subclasses__()) == 4


PICTURE = Media("c1", "Rauch", "image/png", 1200, 675, digest="d1", url="https://a/b.png")


def test_a_message_shows_what_goes_out() -> None:
    """An answer shows text, language and pictures, and lengths where a network has a limit."""
    plain = Message("Feuer", "de")
    assert plain.to_json() == {"text": "Feuer", "language": "de", "media": []}
    full = Message("Feuer", "de", "Betreff", "{}", (PICTURE,), 5, 280)
    assert full.to_json() == {
        "text": "Feuer",
        "language": "de",
        "media": [
            {
                "url": "https://a/b.png",
                "alt": "Rauch",
                "type": "image/png",
                "width": 1200,
                "height": 675,
            }
        ],
        "subject": "Betreff",
        "length": 5,
        "limit": 280,
    }


# Keys


def test_a_key_is_the_hash_of_length_prefixed_fields() -> None:
    """The contract's sha256 over "v1", alert id, channel name, part and generation."""
    fields = [b"v1", "01ä".encode(), b"city-x", b"de.2", b"3"]
    said = b"".join(len(one).to_bytes(4, "big") + one for one in fields)
    assert delivery_key("01ä", "city-x", "de.2", 3) == hashlib.sha256(said).hexdigest()


def test_a_key_stays_the_same_on_every_machine() -> None:
    """A network compares it across restarts and versions: it must never change."""
    assert delivery_key("a1", "city", "de") == (
        "36df37b0544f7feecc1e1d0279f5b7cde55be0c45ad95f2783f9f305ba3c9c10"
    )


FIELDS = st.tuples(
    st.text("ab1", max_size=4),
    st.text("ab1", max_size=4),
    st.text("ab1", max_size=4),
    st.integers(min_value=0, max_value=30),
)


@given(FIELDS, FIELDS)
def test_no_two_deliveries_share_a_key(
    one: tuple[str, str, str, int], other: tuple[str, str, str, int]
) -> None:
    """Keys are equal where every field is, and nowhere else."""
    assert (delivery_key(*one) == delivery_key(*other)) == (one == other)


@given(st.text("ab1", min_size=1, max_size=6))
def test_no_two_splits_of_one_text_share_a_key(text: str) -> None:
    """Where one field ends and the next begins is part of the key."""
    places = range(len(text) + 1)
    splits = [(text[:a], text[a:b], text[b:]) for a, b in product(places, places) if a <= b]
    assert len({delivery_key(*split) for split in splits}) == len(splits)


# Waits


@pytest.mark.parametrize(
    ("attempts", "seconds"),
    [(0, 0), (1, 2), (2, 5), (3, 10), (4, 20), (5, 40), (6, 60), (7, 60), (1000, 60)],
)
def test_the_waits_are_the_contracts(attempts: int, seconds: float) -> None:
    """0, 2, 5, 10, 20, 40, 60 s, then every 60 s."""
    assert backoff(attempts, spread=0) == timedelta(seconds=seconds)


@pytest.mark.parametrize("attempts", range(len(WAITS_SECONDS)))
def test_the_waits_spread_by_a_fifth(attempts: int) -> None:
    """+-20 %, and no more."""
    least, most = backoff(attempts, spread=-1), backoff(attempts, spread=1)
    assert least == timedelta(seconds=WAITS_SECONDS[attempts] * 0.8)
    assert most == timedelta(seconds=WAITS_SECONDS[attempts] * 1.2)
    assert all(least <= backoff(attempts) <= most for _ in range(200))
    assert JITTER == 0.2


def test_the_waits_are_spread_at_all() -> None:
    """Channels that failed together do not come back together."""
    assert len({backoff(3) for _ in range(50)}) > 40


def test_other_waits_are_used_as_they_are_configured() -> None:
    """The last configured wait is repeated for ever."""
    assert [backoff(n, (1, 3), spread=0).total_seconds() for n in range(4)] == [1, 3, 3, 3]


def test_a_network_may_ask_for_a_longer_wait_but_not_for_a_shorter_one() -> None:
    """Retry-After counts exactly where it is longer; a shorter or negative one does not."""
    minute, second = timedelta(minutes=1), timedelta(seconds=1)
    assert backoff(1, retry_after=minute, spread=0) == minute
    assert backoff(1, retry_after=second, spread=0) == timedelta(seconds=2)
    for junk in (timedelta(0), -minute, None):
        assert backoff(1, retry_after=junk, spread=0) == timedelta(seconds=2)


# References


@pytest.mark.parametrize(
    "text",
    [
        "26-0142/1",
        "Großbrand in Hörde. Nr. 26-0142/1",
        "Nr. 26-0142/1.",
        "(26-0142/1)",
        "Nr.\u00a026-0142/1, Stadt Dortmund",
        "26-0142/1\nersetzt 26-0141/3",
        "126-0142/1, richtig: 26-0142/1",
    ],
)
def test_a_reference_is_found_in_a_text(text: str) -> None:
    """Whatever mark or blank stands beside it."""
    assert names_reference(text, "26-0142/1")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "26-0142",
        "26-0142/2",
        "26-0142/12",
        "26-0142/1a",
        "26-0142/1ß",
        "126-0142/1",
        "DO26-0142/1",
        "ö26-0142/1",
        "1-26-0142/1",
        "26-0142/1٣",
        "26-0142-1",
    ],
)
def test_another_reference_is_not_taken_for_it(text: str) -> None:
    """No digit and no letter beside it: another installation's or version's is another one."""
    assert not names_reference(text, "26-0142/1")


def test_a_prefix_is_part_of_the_reference() -> None:
    """An installation with a prefix finds its own posts, and not the other one's."""
    assert names_reference("Nr. DO26-0142/1", "DO26-0142/1")
    assert not names_reference("Nr. 26-0142/1", "DO26-0142/1")
    assert not names_reference("Nr. XDO26-0142/1", "DO26-0142/1")


@pytest.mark.parametrize(
    ("said", "missing", "shown"),
    [(None, None, None), (None, "late", "late"), ("mine", "late", "mine"), ("mine", None, "mine")],
)
def test_a_receipt_says_what_its_message_lacks(
    said: str | None, missing: str | None, shown: str | None
) -> None:
    """Unless the channel itself had something to say."""
    one = delivery(message=Message("Feuer", "de", missing=missing))
    assert noted(Receipt("1", note=said), one).note == shown
