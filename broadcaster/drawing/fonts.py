"""The fonts of the card: who has a letter, how wide words are, and their outlines.

Every number is in thousandths of the font size (em); y grows downwards, as in SVG.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from itertools import groupby
from typing import Any

import uharfbuzz

from broadcaster.drawing.spec import CardFault

EM = 1000
# In this order a letter is looked for. Inter first, since it is drawn for signs and screens.
ARABIC = "fontpkg_noto_sans_arabic"
PACKAGES = ("fontpkg_inter", "fontpkg_noto_sans", ARABIC)
_NO_GLYPH = 0  # what a font draws as a box
BOLD = 600  # from here on letters are cut for large sizes
# Inter would join the t of "Stadtteile" and make an arrow of "->".
_AS_WRITTEN = {"liga": False, "clig": False, "calt": False}
_JOINS = frozenset({"Mn", "Mc", "Me", "Cf"})  # has no place of its own: belongs to the one before


@dataclass(frozen=True, slots=True)
class Shape:
    """Words as outlines, the pen starting at 0 0 on the baseline."""

    width: float
    path: str  # SVG path data


def missing(text: str) -> str | None:
    """Return the first character that cannot be drawn, None if all can be.

    A letter and its marks must be in one font: `_package` says which.
    """
    for cluster in _clusters(text):
        unicodes = _unicodes(_package(cluster))
        for one in cluster:
            private = unicodedata.category(one) == "Co"  # means in each font something else
            if private or (ord(one) not in unicodes and not unseen(one)):
                return one
    return None


def unseen(character: str) -> bool:
    """Say whether a character only tells how others are to be set."""
    return unicodedata.category(character) == "Cf"


@lru_cache(maxsize=8192)
def width(text: str, weight: int, language: str, *, backwards: bool) -> float:
    """Return how wide a run of one direction is. Raises CardFault as `shape` does."""
    return sum(
        advance
        for package, piece in _by_font(text)
        for _, _, _, advance in _glyphs(package, weight, piece, language, backwards=backwards)
    )


def shape(text: str, weight: int, language: str, *, backwards: bool) -> Shape:
    """Shape a run of one direction. `backwards`: from right to left.

    Raises CardFault where a font has each character but no glyph for them together.
    """
    pieces = list(_by_font(text))
    pen, paths = 0.0, []
    for package, piece in reversed(pieces) if backwards else pieces:
        for glyph, x, y, advance in _glyphs(package, weight, piece, language, backwards=backwards):
            outline = _outline(package, weight, glyph)
            if outline:
                paths.append(f"M{round(pen + x)} {round(-y)}{outline}")
            pen += advance
    return Shape(pen, "".join(paths))


def _by_font(text: str) -> Iterator[tuple[str, str]]:
    for package, group in groupby(_clusters(text), key=_package):
        yield package, "".join(group)


def _clusters(text: str) -> list[str]:
    """Split into characters, each with the marks that belong to it."""
    clusters: list[str] = []
    for one in text:
        if clusters and unicodedata.category(one) in _JOINS:
            clusters[-1] += one
        else:
            clusters.append(one)
    return clusters


@lru_cache(maxsize=4096)
def _package(cluster: str) -> str:
    """Return the first font that has all of it, or else its first character."""
    seen = [one for one in cluster if not unseen(one)]
    whole = (name for name in PACKAGES if all(ord(one) in _unicodes(name) for one in seen))
    first = (name for name in PACKAGES if seen and ord(seen[0]) in _unicodes(name))
    return next(whole, next(first, PACKAGES[0]))


def _glyphs(
    package: str, weight: int, text: str, language: str, *, backwards: bool
) -> Iterator[tuple[int, float, float, float]]:
    """Give each glyph from left to right: its number, its offset (x, y) and its advance."""
    buffer = uharfbuzz.Buffer()
    buffer.add_str("".join(one for one in text if one not in "\u200e\u200f\u061c\u00ad"))
    buffer.guess_segment_properties()
    buffer.direction = "rtl" if backwards else "ltr"
    buffer.language = language
    font = _font(package, weight)
    uharfbuzz.shape(font, buffer, None if package == ARABIC else _AS_WRITTEN)
    unit = EM / font.face.upem
    for info, place in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
        if info.codepoint == _NO_GLYPH:
            raise CardFault(f"no font has a glyph for all of {text!r}")
        yield info.codepoint, place.x_offset * unit, place.y_offset * unit, place.x_advance * unit


@cache
def _face(package: str) -> Any:
    place = files(package) / "files"
    [path] = [
        one
        for one in place.iterdir()
        if one.name.endswith("wght].ttf") and "Italic" not in one.name
    ]
    return uharfbuzz.Face(uharfbuzz.Blob(path.read_bytes()))


@cache
def _unicodes(package: str) -> frozenset[int]:
    return frozenset(_face(package).unicodes)


@cache
def _font(package: str, weight: int) -> Any:
    font = uharfbuzz.Font(_face(package))
    font.set_variations({"wght": weight, "opsz": 32 if weight >= BOLD else 14})
    return font


@cache
def _outline(package: str, weight: int, glyph: int) -> str:
    """Return a glyph's outline as path data in relative steps, to be put behind an M."""
    font = _font(package, weight)
    pen = _Pen(EM / font.face.upem)
    font.draw_glyph(glyph, _draw_functions(), pen)
    return "".join(pen.steps)


class _Pen:
    """Writes down where the outline goes, each step from the end of the last."""

    def __init__(self, unit: float) -> None:
        self.steps: list[str] = []
        self._unit = unit
        self._at = self._start = (0, 0)

    def step(self, letter: str, *points: float) -> None:
        """Take points in font units, y upwards."""
        at_x, at_y = self._at
        whole = [round(one * self._unit) for one in points]
        pairs = [(x, -y) for x, y in zip(whole[::2], whole[1::2], strict=True)]
        self.steps.append(letter + " ".join(f"{x - at_x} {y - at_y}" for x, y in pairs))
        self._at = pairs[-1]
        if letter == "m":
            self._start = self._at

    def close(self) -> None:
        """Go back to where the contour began."""
        self.steps.append("z")
        self._at = self._start


@cache
def _draw_functions() -> Any:
    functions = uharfbuzz.DrawFuncs()
    functions.set_move_to_func(lambda x, y, pen: pen.step("m", x, y))
    functions.set_line_to_func(lambda x, y, pen: pen.step("l", x, y))
    functions.set_quadratic_to_func(lambda *given: given[-1].step("q", *given[:-1]))
    functions.set_cubic_to_func(lambda *given: given[-1].step("c", *given[:-1]))
    functions.set_close_path_func(lambda pen: pen.close())
    return functions
