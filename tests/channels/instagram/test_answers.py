"""Instagram's own error table: the subcode decides, for its codes have other meanings on Graph."""

from __future__ import annotations

import pytest

from broadcaster.channels import http
from broadcaster.channels.instagram import answers
from broadcaster.channels.meta.containers import Container
from broadcaster.delivery import Failure, NeedsPerson, NotSent, Rejected, Unknown
from tests.channels.meta.graph_stub import error
from tests.channels.stub import NOW


def answer(code: int, subcode: int, status: int = 400) -> http.Answer:
    """Give Graph's error envelope."""
    return http.Answer(status, {}, error(code, subcode).raw().partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize(
    ("code", "subcode", "kind"),
    [
        (4, 2207051, NeedsPerson),  # 4 alone would be "too many requests"
        (4, 0, NotSent),
        (9, 2207042, NeedsPerson),
        (24, 2207008, NotSent),
        (24, 2207006, Rejected),
        (-1, 2207001, Unknown),
        (-1, 2207032, NotSent),
        (100, 2207023, Rejected),
        (9004, 2207052, Rejected),
        (190, 463, NeedsPerson),
    ],
)
def test_the_subcode_comes_before_the_code(code: int, subcode: int, kind: type[Failure]) -> None:
    """Spam is no rate limit, an expired container no refusal."""
    assert type(answers.failure_for(answer(code, subcode), NOW)) is kind


def test_a_servers_fault_is_unknown_whatever_it_says() -> None:
    """Behind a 5xx the post may stand."""
    assert isinstance(answers.failure_for(answer(24, 2207008, 500), NOW), Unknown)
    assert not answers.is_not_ready(answer(9007, 2207027, 500))


def test_only_one_answer_means_not_ready_yet() -> None:
    """Everything else ends the attempt."""
    assert answers.is_not_ready(answer(9007, 2207027))
    assert not answers.is_not_ready(answer(9007, 2207008))
    assert not answers.is_not_ready(answer(24, 2207027))


@pytest.mark.parametrize("subcode", sorted(answers.ACTS))
def test_what_a_person_must_do_is_said(subcode: int) -> None:
    """Each block comes with its remedy."""
    found = answers.failure_for(answer(1, subcode), NOW)
    assert isinstance(found, NeedsPerson)
    assert answers.ACTS[subcode][0] in found.reason
    assert answers.ACTS[subcode][1].endswith(".")


def test_a_container_in_error_is_taken_by_the_code_in_its_words() -> None:
    """A code of the table that another container mends, and one that it does not."""
    again = answers.broken(Container("1", "ERROR", "Error: code 2207020"))
    assert isinstance(again, NotSent)
    assert again.afresh
    wrong = answers.broken(Container("1", "ERROR", "Error: code 2207009"))
    assert isinstance(wrong, Rejected)
    assert "shape" in wrong.reason
    assert isinstance(answers.broken(Container("1", "ERROR", "22070999")), Rejected)


def test_a_caption_is_measured_by_all_three_limits() -> None:
    """Length, hashtags and names: at each limit it goes, one above it does not."""
    for fine in ("a" * 2200, "#a " * 30, "@a " * 20, "# 1 @ 2 " * 100):
        assert answers.fault_of(fine) is None
    for wrong in ("a" * 2201, "#a " * 31, "@a " * 21):
        assert answers.fault_of(wrong)
