"""Drawing cards, in the worker as the daemon has it: time, memory, start.

`python -m bench.cards --docs docs/cards` draws the pictures that docs/cards.md shows.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from bench import machine
from bench.samples import LANGUAGES, OTHERS, SIZES
from broadcaster.drawers import Drawers
from broadcaster.drawing import Spec, draw

_DOCS_COLOURS = 96  # of a picture in the docs, which makes it a quarter as large
_LANGUAGES_OF_ALERT = ("de", "ar")
_SIZES_OF_ALERT = (("image/png", SIZES[0]), ("image/jpeg", SIZES[2]))


@dataclass(frozen=True, slots=True)
class Measured:
    """What drawing took. An alert's cards are those of two languages in two sizes."""

    start_seconds: float  # until the first card is there
    card_ms: float  # the median
    slowest_ms: float
    alert_ms: float
    resident_mb: float


async def measure(times: int) -> Measured:
    """Draw every sample in every size that often."""
    drawers = Drawers()
    before = time.perf_counter()
    await drawers.start()
    try:
        await drawers.draw(LANGUAGES["de"])
        start_seconds = time.perf_counter() - before
        cards = [await _ms(drawers, [spec]) for _ in range(times) for spec in _every()]
        alerts = [await _ms(drawers, _cards_of_an_alert()) for _ in range(times)]
        assert drawers.pid  # noqa: S101 - it has just drawn
        resident_mb = machine.resident_mb(drawers.pid)
    finally:
        await drawers.close()
    median = statistics.median
    return Measured(start_seconds, median(cards), max(cards), median(alerts), resident_mb)


async def _ms(drawers: Drawers, specs: list[Spec]) -> float:
    started = time.perf_counter()
    await asyncio.gather(*(drawers.draw(spec) for spec in specs))
    return (time.perf_counter() - started) * 1000


def _every() -> list[Spec]:
    samples = [*LANGUAGES.values(), *OTHERS.values()]
    return [
        replace(spec, width=width, height=height) for spec in samples for width, height in SIZES
    ]


def _cards_of_an_alert() -> list[Spec]:
    return [
        replace(LANGUAGES[language], width=width, height=height, kind_of_file=kind)
        for language in _LANGUAGES_OF_ALERT
        for kind, (width, height) in _SIZES_OF_ALERT
    ]


def write_docs(directory: Path) -> None:
    """Draw every sample in every size, with fewer colours than the daemon does."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, spec in (LANGUAGES | OTHERS).items():
        for width, height in SIZES:
            data = draw(replace(spec, width=width, height=height))
            with Image.open(io.BytesIO(data)) as picture:
                small = picture.convert("RGB").quantize(_DOCS_COLOURS, dither=Image.Dither.NONE)
            small.save(directory / f"{name}-{width}x{height}.png", optimize=True)


def main() -> None:
    """Print what drawing takes, or draw the pictures of the docs."""
    parser = argparse.ArgumentParser(prog="python -m bench.cards", description=__doc__)
    parser.add_argument("--docs", type=Path, help="the directory to draw the docs' pictures into")
    parser.add_argument("--times", type=int, default=5, help="how often to draw each sample")
    asked = parser.parse_args()
    if asked.docs:
        write_docs(asked.docs)
        return
    measured = asyncio.run(measure(asked.times))
    print(f"start to first card: {measured.start_seconds:.2f} s")
    print(f"a card: median {measured.card_ms:.0f} ms, slowest {measured.slowest_ms:.0f} ms")
    print(f"the cards of an alert (2 languages, 2 sizes): {measured.alert_ms:.0f} ms")
    print(f"resident: {measured.resident_mb:.0f} MB")


if __name__ == "__main__":
    main()
