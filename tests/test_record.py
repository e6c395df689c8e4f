"""What is written down: references, roles, and refusals that say which alert to look at."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from itertools import pairwise

import pytest

from broadcaster.record import Key, NoticeKind, Refused, Role
from tests.kit import plan


def test_the_reference_is_incident_and_version() -> None:
    """People quote it, and posts are found by it."""
    first = plan(incident="26-0142").accepted
    second = plan(after=first).accepted
    assert first.reference == "26-0142/1"
    assert second.reference == "26-0142/2"


def test_an_accepted_alert_never_changes() -> None:
    """Rows are changed in the store alone; what it gives back is frozen."""
    accepted = plan().accepted
    with pytest.raises(FrozenInstanceError):
        accepted.version = 2  # type: ignore[misc]


def test_each_role_includes_the_ones_before_it() -> None:
    """Read, trigger, approve, admin, in this order, and never the other way round."""
    assert [role.value for role in Role] == ["read", "trigger", "approve", "admin"]
    for less, more in pairwise(Role):
        assert more.includes(less)
        assert not less.includes(more)
    assert all(role.includes(role) for role in Role)
    assert Role.ADMIN.includes(Role.READ)
    assert not Role.READ.includes(Role.ADMIN)


def test_a_key_without_limits_has_none() -> None:
    """Empty severities and channels mean no limit, and there is no sender it may speak for."""
    key = Key("id", "control room", Role.READ, "digest")
    assert (key.senders, key.severities, key.channels, key.revoked) == ((), (), (), None)


def test_a_refusal_names_its_code_and_the_alert_to_look_at() -> None:
    """The caller learns why, and where to look."""
    refused = Refused("not-newest", "26-0142/2 is newer", "01")
    assert (refused.code, refused.detail, refused.alert) == (
        *("not-newest", "26-0142/2 is newer", "01"),
    )
    assert str(refused) == "26-0142/2 is newer"


def test_there_is_a_notice_for_everything_people_are_told() -> None:
    """The contract's reasons: each is a notice of its own kind."""
    kinds = {kind.value for kind in NoticeKind}
    assert {"failed", "unknown", "expired", "needs-person", "gone", "late", "withheld"} <= kinds
