"""What a caller may send: whose alerts, how severe, on which channels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from broadcaster.alert import Submission
from broadcaster.auth import Caller
from broadcaster.intake.faults import Fault, Forbidden


def permit_sender(said: Submission, caller: Caller) -> None:
    """Raise Forbidden unless the caller may speak for the alert's sender."""
    if not caller.speaks_for(said.sender):
        fault = Fault("/sender", f"this key may not speak for {said.sender}", "sender-not-allowed")
        raise _forbidden([fault])


def permit(said: Submission, caller: Caller, targets: Sequence[str]) -> None:
    """Raise Forbidden naming every limit of the key that an alert breaks.

    `targets` are the channels it would go out on; a key for only some of them has it withheld on
    the others, and one for none of them is refused. An all-clear is never held up by a limit:
    whoever may speak for the sender may take a warning back everywhere.
    """
    if said.is_all_clear and said.references is not None:
        return
    faults = [*_severity(said, caller), *_channels(caller, targets)]
    if faults:
        raise _forbidden(faults)


def _severity(said: Submission, caller: Caller) -> Iterator[Fault]:
    if not caller.may_be_as_severe_as(said.severity):
        allowed = ", ".join(caller.severities)
        detail = f"severity {said.severity} is beyond this key; it may send {allowed}"
        yield Fault("/info/0/severity", detail, "severity-not-allowed")


def _channels(caller: Caller, targets: Sequence[str]) -> Iterator[Fault]:
    if targets and not any(caller.may_use(name) for name in targets):
        detail = f"it would go out on {', '.join(targets)}, and this key may use none of them"
        yield Fault("", detail, "channel-not-allowed")


def _forbidden(faults: Sequence[Fault]) -> Forbidden:
    said = "; ".join(fault.detail for fault in faults)
    return Forbidden("forbidden", f"Nothing was sent: {said}.", faults)
