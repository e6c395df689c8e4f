"""What can be wrong with a request, in words and with the place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SHOWN_MAX = 100  # faults in one answer; the rest is counted


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong: a JSON pointer (RFC 6901), a sentence, and a stable code."""

    pointer: str
    detail: str
    code: str

    def to_json(self) -> dict[str, str]:
        """Return it as an answer's `errors[]` shows it."""
        return {"pointer": self.pointer, "detail": self.detail, "code": self.code}


class Unfit(Exception):  # noqa: N818 - an answer, not a malfunction
    """The request cannot be taken; nothing was stored. `status` is the answer's."""

    status: int

    def __init__(self, code: str, detail: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.faults = faults


class Malformed(Unfit):
    """The body is no JSON, or JSON that two readers would read differently."""

    status = 400


class Invalid(Unfit):
    """The body is JSON, but not an alert that can be sent."""

    status = 422


class Forbidden(Unfit):
    """The caller may not do this."""

    status = 403


def invalid(faults: Sequence[Fault]) -> Invalid:
    """Return the refusal that names all faults of a request."""
    more = len(faults) - SHOWN_MAX
    rest = f" {more} more are not shown." if more > 0 else ""
    count = "one fault" if len(faults) == 1 else f"{len(faults)} faults"
    return Invalid(
        "invalid", f"The request has {count}; nothing was sent.{rest}", faults[:SHOWN_MAX]
    )


def pointer(*parts: object) -> str:
    """Return the JSON pointer to a place."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)
