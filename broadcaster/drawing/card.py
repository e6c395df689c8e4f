"""From a card's words to its file: template, raster, file type."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import resvg_py
from jinja2 import FileSystemLoader, StrictUndefined, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from PIL import Image

from broadcaster.drawing import columns, direction
from broadcaster.drawing.lines import Line, Words
from broadcaster.drawing.spec import CardFault, Spec
from broadcaster.drawing.words import checked

TEMPLATE = "card.svg.j2"
JPEG_QUALITY = 90
FIELD_MAX = 5000  # characters
_UNIT_PIXELS = 900.0  # of a card whose template's numbers are pixels: the root of 1200 x 675
_WORDS = ("mark", "level", "title", "place", "action", "time", "source", "reference", "note")
_NEVER_EMPTY = ("level", "title")
# What a city's own template can raise while it is filled in; anything else is a fault of ours.
_RAISED = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
)


def drawn(spec: Spec, templates: Path | None) -> bytes:
    """Return the picture; see `broadcaster.drawing.draw`."""
    svg = svg_of(spec, templates)
    try:
        png = resvg_py.svg_to_bytes(
            svg_string=svg, width=spec.width, height=spec.height, skip_system_fonts=True
        )
    except ValueError as error:
        raise CardFault(f"the card's template makes no SVG: {error}") from error
    return png if spec.kind_of_file == "image/png" else _jpeg(png)


def svg_of(spec: Spec, templates: Path | None) -> str:
    """Return the picture as SVG, its words as outlines. Raises CardFault."""
    spec.check()
    page = _Page(spec, _checked_words(spec))
    try:
        return _template(templates).render(page.names())
    except CardFault:
        raise
    except _RAISED as error:
        raise CardFault(f"the card's template does not work: {error}") from error


def _checked_words(spec: Spec) -> dict[str, str]:
    given = {name: getattr(spec, name) or "" for name in _WORDS}
    for name, text in given.items():
        if len(text) > FIELD_MAX:
            raise CardFault(f"the card's {name} has {len(text)} characters")
    found = {name: checked(name, text) for name, text in given.items()}
    for name in _NEVER_EMPTY:
        if not found[name]:
            raise CardFault(f"the card has no {name}")
    if spec.mark and not found["mark"]:
        raise CardFault("nothing of the card's mark can be drawn")
    return found


@cache
def _template(templates: Path | None) -> Template:
    package = Path(__file__).resolve().parents[1]
    inside = package / "templates"  # in an installation; in a checkout they lie beside it
    own = inside if inside.is_dir() else package.parent / "templates"
    places = [place / "card" for place in (templates, own) if place]
    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(places),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    return environment.get_template(TEMPLATE)


@dataclass(frozen=True, slots=True)
class _Page:
    """What a template has at hand."""

    spec: Spec
    words: Mapping[str, str]

    def names(self) -> dict[str, Any]:
        """Return what it may use, by name; its comments say how."""
        spec = self.spec
        return {
            "card": SimpleNamespace(**self.words),
            "kind": spec.kind,
            "severity": spec.severity,
            "category": spec.category,
            "width": spec.width,
            "height": spec.height,
            "unit": math.sqrt(spec.width * spec.height) / _UNIT_PIXELS,
            "from_right": direction.right_to_left(spec.language),
            "column": self.column,
            "largest": self.largest,
            "wide": self.wide,
        }

    def column(
        self, parts: list[dict[str, Any]], x: float, y: float, width: float, height: float
    ) -> columns.Column:
        """For templates: texts in a box. Those without words are left out."""
        made = [self._part(**part) for part in parts if part["text"]]
        return columns.column(made, x=x, y=y, width=width, height=height)

    def largest(self, parts: list[dict[str, Any]], width: float, height: float) -> float:
        """For templates: how large texts can be in a box, from 1 to 0; less if they do not fit."""
        made = [self._part(**part) for part in parts if part["text"]]
        return columns.largest(made, width=width, height=height)

    def wide(self, text: str, size: float, weight: int) -> float:
        """For templates: how many pixels a text takes in one line."""
        words = self._set(text, weight)
        return words.width(Line(0, len(words.text))) * size / 1000 if text else 0.0

    def _part(self, text: str, weight: int, **how: Any) -> columns.Part:
        return columns.Part(words=self._set(text, weight), **how)

    def _set(self, text: str, weight: int) -> Words:
        language = self.spec.language
        return Words(text, weight, language, direction.right_to_left(language))


def _jpeg(png: bytes) -> bytes:
    """Return it as JPEG in sRGB, which is what a JPEG without a profile is."""
    file = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        flat = picture.convert("RGB")
        flat.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True)
    return file.getvalue()
