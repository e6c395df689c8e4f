"""What a key may send: every limit it breaks is named, and no limit holds up an all-clear."""

from __future__ import annotations

from typing import Any

import pytest

from broadcaster.auth import Caller
from broadcaster.intake.faults import Forbidden
from broadcaster.intake.permits import permit, permit_sender
from broadcaster.record import Role
from tests.kit import alert


def caller(**limits: Any) -> Caller:
    """Return a caller who may trigger, with these limits."""
    return Caller("key:a", "key:1", Role.TRIGGER, **limits)


def test_every_broken_limit_is_named() -> None:
    """Severity and channels, in one answer."""
    bound = caller(severities=("Minor",), channels=("city",))
    with pytest.raises(Forbidden) as refused:
        permit(alert(), bound, ["x", "mail"])
    codes = [fault.code for fault in refused.value.faults]
    assert codes == ["severity-not-allowed", "channel-not-allowed"]
    assert "Minor" in refused.value.detail
    assert "mail" in refused.value.detail


def test_a_key_within_its_limits_passes() -> None:
    """Limits only forbid what is beyond them."""
    permit(alert(), caller(severities=("Severe",), channels=("city",)), ["city", "x"])
    permit(alert(), caller(), ["anything"])


def test_no_limit_holds_up_an_all_clear() -> None:
    """Whoever may speak for the sender may take a warning back everywhere."""
    bound = caller(severities=("Minor",), channels=("city",))
    permit(alert(msgType="Cancel", references=["x"]), bound, ["city", "x"])


def test_a_sender_must_be_the_keys_own() -> None:
    """Nobody warns in another's name."""
    with pytest.raises(Forbidden) as refused:
        permit_sender(alert(), caller(senders=("other@example.org",)))
    assert refused.value.faults[0].pointer == "/sender"
    permit_sender(alert(), caller(senders=("*",)))
