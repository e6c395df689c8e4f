"""What a card shows, and what keeps one from being drawn."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from typing import Any, Self

DRAWING_VERSION = "1"  # to be raised when the same words are drawn otherwise
LEAST_PIXELS, MOST_PIXELS = 320, 2400  # of a side
KINDS_OF_FILE = ("image/png", "image/jpeg")


class CardFault(Exception):  # noqa: N818 - as the failures of a delivery, it is a finding
    """A card that cannot be drawn, in a sentence for people."""


@dataclass(frozen=True, slots=True)
class Spec:
    """Everything a card shows, in final words of its language, and the file it becomes.

    `language` is BCP 47 ("de", "de-simple", "ar"), `kind` "alert", "update" or "all-clear".
    `severity` and `category` are CAP 1.2's and choose colour and icon. `mark` says that it is an
    exercise or a test, None if it is neither. `level` is the severity in words. `width` and
    `height` are pixels.
    """

    language: str
    kind: str
    severity: str
    category: str
    mark: str | None
    level: str
    title: str
    place: str
    action: str
    time: str
    source: str
    reference: str
    note: str | None = None
    width: int = 1200
    height: int = 675
    kind_of_file: str = "image/png"

    def to_json(self) -> str:
        """Return it as canonical JSON: sorted keys, no blanks, ASCII."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote. Raises CardFault for anything else."""
        try:
            given: Any = json.loads(text)
            return cls(**given)
        except (TypeError, ValueError) as error:
            raise CardFault(f"what the card shows cannot be read: {error}") from error

    def name(self) -> str:
        """Return the sha256 (hex) of what it shows and of how cards are drawn now."""
        return sha256(f"{DRAWING_VERSION}\n{self.to_json()}".encode()).hexdigest()

    def check(self) -> None:
        """Raise CardFault where a field is of the wrong type, or a size out of bounds."""
        for field in fields(self):
            value, optional = getattr(self, field.name), field.name in {"mark", "note"}
            whole = field.name in {"width", "height"}
            if not isinstance(value, int if whole else str) and not (optional and value is None):
                raise CardFault(f"the card's {field.name} is {value!r}")
        if not all(LEAST_PIXELS <= side <= MOST_PIXELS for side in (self.width, self.height)):
            raise CardFault(f"a card of {self.width} x {self.height} pixels cannot be drawn")
        if self.kind_of_file not in KINDS_OF_FILE:
            raise CardFault(f"a card cannot be a file of type {self.kind_of_file}")
