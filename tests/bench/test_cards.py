"""The docs show every sample in every size, as cards are drawn now."""

from __future__ import annotations

import re
from pathlib import Path

from PIL import Image, ImageChops

from bench.cards import write_docs
from bench.samples import LANGUAGES, OTHERS, SIZES
from tests.conftest import REPOSITORY

DOCS = REPOSITORY / "docs"
FAR = 64  # of 256 shades: less is the edge of a letter, as another processor rounds it
ROUNDED = 0.0001  # of all pixels
NAMES = {f"{name}-{width}x{height}.png" for name in LANGUAGES | OTHERS for width, height in SIZES}


def test_every_picture_of_the_docs_is_there() -> None:
    """Nine languages and the hard cases in three sizes, below 3 MB together; no link is dead."""
    pictures = list((DOCS / "cards").iterdir())
    assert {picture.name for picture in pictures} == NAMES
    assert sum(picture.stat().st_size for picture in pictures) < 3_000_000
    linked = re.findall(r"\]\(cards/([^)]+)\)", (DOCS / "cards.md").read_text(encoding="utf-8"))
    assert set(linked) <= NAMES
    assert {f"{name}-1200x675.png" for name in LANGUAGES | OTHERS} <= set(linked)


def test_the_docs_show_cards_as_they_are_drawn_now(tmp_path: Path) -> None:
    """Whoever changes the drawing draws the docs anew."""
    write_docs(tmp_path)
    for name in NAMES:
        with Image.open(tmp_path / name) as now, Image.open(DOCS / "cards" / name) as shown:
            apart = ImageChops.difference(now.convert("L"), shown.convert("L"))
        far = sum(apart.histogram()[FAR:])
        assert far < ROUNDED * apart.width * apart.height, name
