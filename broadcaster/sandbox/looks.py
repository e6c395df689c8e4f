"""How a network is named and coloured on the pages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Look:
    """A network's heading: `colour` is its own, as `#rrggbb`; `empty` stands where no posts are."""

    name: str
    title: str
    colour: str
    empty: str = "No posts yet."
