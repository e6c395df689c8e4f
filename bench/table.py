"""The table: what was measured against what was to be reached, and on which machine."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Row:
    """One thing measured, a median per round. `base` stays empty where there is no baseline.

    `target` bounds the ratio to the baseline, or the value itself where there is none: from above,
    or from below if `at_least`. None: nothing is promised.
    """

    what: str
    unit: str
    base_name: str = ""
    target: float | None = None
    at_least: bool = False
    own: list[float] = field(default_factory=list)
    base: list[float] = field(default_factory=list)

    def add(self, own: float, base: float | None = None) -> None:
        """Take in one round."""
        self.own.append(own)
        if base is not None:
            self.base.append(base)

    @property
    def value(self) -> float:
        """What the target is held against: the ratio of the medians, or the median."""
        own = statistics.median(self.own)
        return own / statistics.median(self.base) if self.base else own

    @property
    def span(self) -> tuple[float, float]:
        """The least and the greatest of the rounds."""
        pairs = zip(self.own, self.base, strict=True) if self.base else ()
        values = [own / base for own, base in pairs] or self.own
        return min(values), max(values)

    @property
    def reached(self) -> bool | None:
        """Say whether the target was reached; None where there is none."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target

    def to_json(self) -> dict[str, Any]:
        """Return all of it."""
        return {
            "what": self.what,
            "unit": self.unit,
            "measured": self.own,
            "baseline": self.base or None,
            "value": self.value,
            "span": self.span,
            "target": self.target,
            "reached": self.reached,
        }


_HEAD = ("what", "measured", "against", "ratio or value (min-max)", "target", "")


def text(rows: Sequence[Row], facts: dict[str, str], rounds: int) -> str:
    """Return the whole as plain text, in Markdown's form, so that a README can quote it."""
    lines = [_HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(_HEAD))]
    shown = [_line(line, widths) for line in lines]
    shown.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    machine = ", ".join(f"{name} {value}" for name, value in facts.items())
    return "\n".join([*shown, "", f"{rounds} interleaved rounds, medians. {machine}."])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return f"| {' | '.join(padded)} |"


def _cells(row: Row) -> tuple[str, ...]:
    least, most = row.span
    base = f"{_number(statistics.median(row.base))} ({row.base_name})" if row.base else ""
    sign = ">=" if row.at_least else "<="
    return (
        row.what,
        f"{_number(statistics.median(row.own))} {row.unit}",
        base,
        f"{_number(row.value)} ({_number(least)}-{_number(most)})",
        "" if row.target is None else f"{sign} {row.target:g}",
        {None: "", True: "reached", False: "NOT reached"}[row.reached],
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
