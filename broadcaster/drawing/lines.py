"""Lines of words: broken where they may be, as large as there is room, ordered, and as outlines."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from broadcaster.drawing import direction, fonts, words

# No letter is narrower, with its marks counted: what is far too long need not be measured.
_LEAST_WIDTH = 40.0


class Hyphens(IntEnum):
    """How words that are wider than a line may be broken."""

    NONE = 0
    WORDS = 1  # as the language hyphenates
    ANYWHERE = 2


@dataclass(frozen=True, slots=True)
class Line:
    """Words that stand in one line: where they begin and end in their text."""

    start: int
    end: int
    hyphen: bool = False


@dataclass(slots=True)
class Words:
    """A text to be set. Widths are in thousandths of the font size."""

    text: str
    weight: int
    language: str
    from_right: bool
    _levels: list[int] = field(init=False)
    _pieces: list[tuple[int, int]] = field(init=False)
    _widths: dict[tuple[int, int], float] = field(default_factory=dict)
    _broken: dict[tuple[int, Hyphens], tuple[Line, ...] | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Find out once what all sizes need."""
        if direction.turns(self.text):
            self.text = words.read_on(self.text)
        self._levels = direction.levels(self.text, from_right=self.from_right)
        self._pieces = words.breaks(self.text)

    @property
    def sentences(self) -> int:
        """How many sentences it has, as far as one can tell."""
        return len(words.sentence_ends(self.text)) + 1

    def cut(self, sentences: int) -> Words:
        """Return its first sentences, and "…" if there are more."""
        ends = words.sentence_ends(self.text)
        if sentences > len(ends):
            return self
        kept = f"{self.text[: ends[sentences - 1]]} …"
        return Words(kept, self.weight, self.language, self.from_right)

    def broken(self, room: float, hyphens: Hyphens) -> tuple[Line, ...] | None:
        """Return lines that are at most `room` wide, None if a word is wider and has no break."""
        key = (int(room), hyphens)
        if key not in self._broken:
            self._broken[key] = self._break(room, hyphens)
        return self._broken[key]

    def balanced(self, room: float, hyphens: Hyphens) -> tuple[Line, ...] | None:
        """Return as many lines as `broken`, of about the same width."""
        best = self.broken(room, hyphens)
        if best is None or len(best) == 1:
            return best
        low, high = room / len(best), room
        while high - low > fonts.EM / 8:
            middle = (low + high) / 2
            lines = self.broken(middle, Hyphens.NONE)
            if lines is None or len(lines) > len(best):
                low = middle
            else:
                best, high = lines, middle
        return best

    def shape(self, line: Line) -> fonts.Shape:
        """Return a line's outline, its runs in the order they are seen."""
        pen, paths = 0.0, []
        for text, backwards in self._runs(line):
            run = fonts.shape(text, self.weight, self.language, backwards=backwards)
            paths.append(_moved(run.path, pen))
            pen += run.width
        return fonts.Shape(pen, "".join(paths))

    def width(self, line: Line) -> float:
        """Return how wide a line is."""
        return sum(
            fonts.width(text, self.weight, self.language, backwards=backwards)
            for text, backwards in self._runs(line)
        )

    def _runs(self, line: Line) -> list[tuple[str, bool]]:
        levels = self._levels[line.start : line.end]
        runs = [
            (self.text[start:end], backwards)
            for start, end, backwards in direction.visual(line.start, levels)
        ]
        if line.hyphen:
            at = 0 if levels[-1] % 2 else len(runs)
            runs.insert(at, ("-", bool(levels[-1] % 2)))
        return runs

    def _between(self, start: int, end: int) -> float:
        key = (start, end)
        if key not in self._widths:
            self._widths[key] = self.width(Line(start, end))
        return self._widths[key]

    def _break(self, room: float, hyphens: Hyphens) -> tuple[Line, ...] | None:
        lines: list[Line] = []
        start = end = -1  # of the line that is being filled
        taken = 0.0
        for piece_start, piece_end in self._pieces:
            if start >= 0 and not self._too_wide(piece_start, piece_end, room):
                gap = self._between(end, piece_start) if end < piece_start else 0.0
                more = gap + self._between(piece_start, piece_end)
                if taken + more <= room:
                    end, taken = piece_end, taken + more
                    continue
            if start >= 0:
                lines.append(Line(start, end))
            parts = self._parts(piece_start, piece_end, room, hyphens)
            if parts is None:
                return None
            lines += parts[:-1]
            start, end = parts[-1].start, parts[-1].end
            taken = self._between(start, end)
        return (*lines, Line(start, end)) if start >= 0 else ()

    def _parts(self, start: int, end: int, room: float, hyphens: Hyphens) -> list[Line] | None:
        """Return a piece as one line, or, if it is too wide, as several."""
        parts: list[Line] = []
        while self._too_wide(start, end, room):
            if hyphens is Hyphens.NONE:
                return None
            part = self._head(start, end, room, hyphens)
            if part is None:
                return None
            parts.append(part)
            start = part.end
        return [*parts, Line(start, end)]

    def _head(self, start: int, end: int, room: float, hyphens: Hyphens) -> Line | None:
        end = min(end, start + int(room / _LEAST_WIDTH) + 1)
        word = self.text[start:end]
        places = words.hyphenation(word, self.language)
        hyphen = not self.from_right  # Arabic knows none
        found = self._longest(start, places, room, hyphen=True)
        if found is None and hyphens is Hyphens.ANYWHERE:
            found = self._longest(start, words.anywhere(word), room, hyphen=hyphen)
        return found

    def _too_wide(self, start: int, end: int, room: float) -> bool:
        return (end - start) * _LEAST_WIDTH > room or self._between(start, end) > room

    def _takes_hyphen(self, at: int) -> bool:
        return self.text[at].isalpha() or self.text[at] == "\u00ad"

    def _longest(
        self, start: int, places: Sequence[int], room: float, *, hyphen: bool
    ) -> Line | None:
        """Return the longest head of a word that has room, and its hyphen with it."""
        heads = [
            Line(start, start + at, hyphen and self._takes_hyphen(start + at - 1)) for at in places
        ]
        fitting = bisect_right(heads, room, key=self.width)
        return heads[fitting - 1] if fitting else None


def _moved(path: str, by: float) -> str:
    """Move glyphs to the right; each begins with the only absolute step it has."""
    if not by:
        return path
    glyphs = []
    for glyph in path.split("M")[1:]:
        x, rest = glyph.split(" ", 1)
        glyphs.append(f"M{int(x) + round(by)} {rest}")
    return "".join(glyphs)
