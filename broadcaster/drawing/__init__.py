"""The card, a picture of the alert: what it shows, and how that becomes a file.

A `Spec` holds final words. `templates/card/card.svg.j2` says where they stand; `lines` makes them
fit, `direction` orders them, `fonts` turns them into outlines, `card` has them rasterised. The
picture holds no text, so no font of the machine has a part in it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path
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


def draw(spec: Spec, templates: Path | None = None) -> bytes:
    """Return the picture as a PNG or JPEG file; the same words give the same bytes.

    `templates`: a city's own directory, whose `card/` comes before the project's, file by file.
    Blocks for some 50 ms, longer the first time. Symbols that no font has (emoji) are decoration
    and left out. Raises CardFault: a letter that no font has, words that do not fit even at the
    smallest size, a template that does not work.
    """
    # The daemon names cards and never draws one: shaper, fonts and rasteriser are not for it.
    from broadcaster.drawing.card import drawn  # noqa: PLC0415

    return drawn(spec, templates)
