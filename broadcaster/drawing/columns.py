"""Texts below one another, as large as there is room. The numbers a template gives are pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from broadcaster.drawing import fonts
from broadcaster.drawing.lines import Hyphens, Line, Words
from broadcaster.drawing.spec import CardFault

# How much of the way from the smallest to the largest size is tried.
_STEPS = tuple(step / 20 for step in range(20, -1, -1))
_CUT = 0.1  # below this, a text that may be cut is rather cut than set smaller
_LINES_MAX = 60


@dataclass(frozen=True, slots=True)
class Part:
    """One text of a column, and how it may be set.

    `size` and `least` bound the font size. `leading`: from baseline to baseline, in font sizes.
    `gap`: before it, unless it is the first. `indent`, `outdent`: at the side where lines begin,
    and where they end. `pad`: above and below. `cut`: sentences after the first may be left out.
    `whole`: down to here (1 is `size`, 0 is `least`) a word is rather set smaller than hyphenated.
    `align`: "start", "end" or "middle". Gap and pad shrink to a half with the size.
    """

    name: str
    words: Words
    size: float
    least: float
    leading: float = 1.25
    gap: float = 0.0
    indent: float = 0.0
    outdent: float = 0.0
    pad: float = 0.0
    lines: int = _LINES_MAX
    cut: bool = False
    balance: bool = False
    whole: float = 0.4
    align: str = "start"


@dataclass(frozen=True, slots=True)
class Ink:
    """One line as it is drawn: path data in thousandths of the font size, moved and scaled."""

    x: float
    y: float  # of the baseline
    width: float
    scale: float
    path: str


@dataclass(frozen=True, slots=True)
class Row:
    """A text in its place; `top` and `bottom` are those of its letters, without the pad."""

    name: str
    top: float
    bottom: float
    pad: float
    size: float
    lines: tuple[Ink, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """Texts in their places. `height` is what they need, from the top on; `rows` are by name."""

    rows: Mapping[str, Row]
    height: float


@dataclass(frozen=True, slots=True)
class _Set:
    part: Part
    size: float
    tight: float  # of gap and pad
    lines: tuple[Line, ...]

    @property
    def pad(self) -> float:
        return self.part.pad * self.tight

    @property
    def gap(self) -> float:
        return self.part.gap * self.tight

    @property
    def height(self) -> float:
        above, below = _reach(self.part)
        leading = self.part.leading * (len(self.lines) - 1)
        return self.size * (leading + above + below) + 2 * self.pad


def column(parts: Sequence[Part], *, x: float, y: float, width: float, height: float) -> Column:
    """Set texts into a box. Raises CardFault if they do not fit even at the smallest size."""
    chosen = _fit(parts, width, height)[1]
    rows: dict[str, Row] = {}
    top = y
    for number, one in enumerate(chosen):
        top += one.gap if number else 0.0
        rows[one.part.name] = _row(one, x, top, width)
        top += one.height
    return Column(rows, top - y)


def largest(parts: Sequence[Part], *, width: float, height: float) -> float:
    """Return how large texts can be in a box: 1 their full size, 0 the smallest, cut if need be.

    Less than 0 where they do not fit.
    """
    try:
        return _fit(parts, width, height)[0]
    except CardFault:
        return -1.0


def _fit(parts: Sequence[Part], width: float, height: float) -> tuple[float, list[_Set]]:
    smallest = _smallest(parts, width, height)
    if smallest is None:  # told at once, not after all sizes
        names = " and ".join(part.name for part in parts)
        raise CardFault(f"too many words for a card, even at the smallest size: {names}")
    for step in _STEPS:
        chosen = _at(parts, step, width, height)
        if chosen is None and step in {_CUT, _STEPS[-1]}:
            chosen = _with_cut(parts, step, width, height)
        if chosen is not None:
            return step, _grown(chosen, step, width, height)
    return _STEPS[-1], smallest


def _smallest(parts: Sequence[Part], width: float, height: float) -> list[_Set] | None:
    short = [replace(part, words=part.words.cut(1)) if part.cut else part for part in parts]
    return _at(short, _STEPS[-1], width, height)


def _at(parts: Sequence[Part], step: float, width: float, height: float) -> list[_Set] | None:
    """Set every text at that step, or smaller where its words are too wide; None if too high."""
    chosen = []
    for part in parts:
        one = _set(part, step, width - part.indent - part.outdent)
        if one is None:
            return None
        chosen.append(one)
    return chosen if _needed(chosen) <= height else None


def _grown(chosen: list[_Set], step: float, width: float, height: float) -> list[_Set]:
    """Let single texts, the last one first, take the room that is still left."""
    for at in reversed(range(len(chosen))):
        part = chosen[at].part
        for larger in (one for one in _STEPS if one > step):
            one = _set(part, larger, width - part.indent - part.outdent)
            others = [*chosen[:at], one, *chosen[at + 1 :]] if one else []
            if others and _needed(others) <= height:
                chosen = others
                break
    return chosen


def _needed(chosen: Sequence[_Set]) -> float:
    return sum(one.height for one in chosen) + sum(one.gap for one in chosen[1:])


def _set(part: Part, step: float, room: float) -> _Set | None:
    steps = [one for one in _STEPS if one <= step]
    tries = [(one, Hyphens.NONE) for one in steps if one >= min(part.whole, step)]
    tries += [(one, Hyphens.WORDS) for one in steps]
    tries += [(one, Hyphens.ANYWHERE) for one in steps]
    for one, hyphens in tries:
        size = part.least + one * (part.size - part.least)
        in_em = room / size * fonts.EM
        lines = part.words.broken(in_em, hyphens)
        if lines is not None and len(lines) <= part.lines:
            if part.balance:
                lines = part.words.balanced(in_em, hyphens) or lines
            return _Set(part, size, (1 + step) / 2, lines)
    return None


def _with_cut(parts: Sequence[Part], step: float, width: float, height: float) -> list[_Set] | None:
    """Leave out as few sentences as possible of the text that may be cut."""
    at = next((number for number, part in enumerate(parts) if part.cut), None)
    if at is None:
        return None
    best = None
    fewest, most = 1, parts[at].words.sentences - 1
    while fewest <= most:
        middle = (fewest + most) // 2
        short = replace(parts[at], words=parts[at].words.cut(middle))
        chosen = _at([*parts[:at], short, *parts[at + 1 :]], step, width, height)
        if chosen is None:
            most = middle - 1
        else:
            best, fewest = chosen, middle + 1
    return best


def _row(one: _Set, x: float, top: float, width: float) -> Row:
    part, scale = one.part, one.size / fonts.EM
    above = _reach(part)[0]
    inks = []
    for number, line in enumerate(one.lines):
        shape = part.words.shape(line)
        wide = shape.width * scale
        free = {"start": 0.0, "middle": 0.5, "end": 1.0}[part.align] * (
            width - part.indent - part.outdent - wide
        )
        from_start = part.indent + free
        left = x + (width - from_start - wide if part.words.from_right else from_start)
        baseline = top + one.pad + one.size * (above + part.leading * number)
        inks.append(Ink(round(left, 2), round(baseline, 2), wide, round(scale, 5), shape.path))
    bottom = top + one.height - one.pad
    return Row(part.name, top + one.pad, bottom, one.pad, one.size, tuple(inks))


def _reach(part: Part) -> tuple[float, float]:
    """Return how far letters reach above and below the baseline, in font sizes."""
    return (0.8, 0.34) if part.words.from_right else (0.76, 0.22)
