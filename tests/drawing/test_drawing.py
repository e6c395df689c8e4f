"""The same words give the same file, and what cannot be drawn is refused in a sentence."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from bench.samples import LANGUAGES, OTHERS, SIZES
from broadcaster.drawing import CardFault, draw

GERMAN = LANGUAGES["de"]
EVERY = LANGUAGES | OTHERS
WITHOUT_HEAVY_LIBRARIES = """
import sys, broadcaster.drawing, broadcaster.drawers
heavy = {"PIL", "jinja2", "pyphen", "resvg_py", "uharfbuzz"}
print(sorted(heavy & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"width": 319}, "319 x 675 pixels"),
        ({"height": 100_000}, "100000 pixels"),
        ({"kind_of_file": "image/gif"}, "image/gif"),
        ({"title": None}, "title is None"),
        ({"width": "1200"}, "width is '1200'"),
        ({"title": ""}, "no title"),
        ({"title": "🔥"}, "no title"),
        ({"level": " \n"}, "no level"),
        ({"mark": "🔥"}, "mark"),
        ({"action": "x" * 5001}, "5001 characters"),
    ],
)
def test_a_card_that_makes_no_sense_is_refused(change: dict[str, Any], says: str) -> None:
    """Sizes, types and what must not be empty are checked before anything is drawn."""
    with pytest.raises(CardFault, match=says):
        draw(replace(GERMAN, **change))


@pytest.mark.parametrize("name", EVERY)
def test_every_sample_is_drawn_in_every_size(name: str) -> None:
    """Nine languages, three sizes, words that are hard to set: a PNG of just that size."""
    for width, height in SIZES:
        data = draw(replace(EVERY[name], width=width, height=height))
        with Image.open(io.BytesIO(data)) as picture:
            assert (picture.format, picture.size) == ("PNG", (width, height))
        assert len(data) < 500_000  # Bluesky takes 1,000,000 bytes, the others more


def test_a_jpeg_is_whole_and_small_enough() -> None:
    """Instagram takes JPEG in sRGB below 8 MB."""
    data = draw(replace(GERMAN, width=1080, height=1350, kind_of_file="image/jpeg"))
    assert len(data) < 1_000_000
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (1080, 1350))


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg"])
def test_the_same_words_give_the_same_bytes(kind: str) -> None:
    """A picture is found by its own hash, so it can be drawn again years later, by any process."""
    spec = replace(LANGUAGES["ar"], kind_of_file=kind)
    program = (
        "import sys, hashlib; from broadcaster.drawing import Spec, draw;"
        "print(hashlib.sha256(draw(Spec.from_json(sys.argv[1]))).hexdigest())"
    )
    command = [sys.executable, "-c", program, spec.to_json()]
    other = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert other.stdout.strip() == hashlib.sha256(draw(spec)).hexdigest()


def test_naming_a_card_loads_nothing_that_draws() -> None:
    """The daemon's memory is not for shaper, fonts and rasteriser: only the worker draws."""
    command = [sys.executable, "-c", WITHOUT_HEAVY_LIBRARIES]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
