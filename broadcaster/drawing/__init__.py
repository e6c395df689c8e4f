"""The card, a picture of the alert: what it shows, and how that becomes a file.

A `Spec` holds final words. `templates/card/card.svg.j2` says where they stand; `lines` makes them
fit, `direction` orders them, `fonts` turns them into outlines, `card` has them rasterised. The
picture holds no text, so no font of the machine has a part in it.
"""

from __future__ import annotations

from pathlib import Path

from broadcaster.drawing.spec import DRAWING_VERSION, CardFault, Spec

__all__ = ["DRAWING_VERSION", "CardFault", "Spec", "draw"]


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
