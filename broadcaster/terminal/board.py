"""An alert's deliveries in few lines: a row per channel, all its languages together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.text import Text

from broadcaster.delivery import CORRECTION
from broadcaster.terminal import tables
from broadcaster.terminal.output import Rows, cell

Json = Mapping[str, Any]

_NOTABLE = ("failed", "unknown", "expired", "waiting", "sending", "queued")  # said before the rest


def board(alert: Json, now: datetime) -> Rows:
    """Return the deliveries, those of a channel that do the same in one row."""
    rows = [_row(together, alert, now) for together in grouped(alert).values()]
    headings = ("channel", "what", "languages", "state", "after", "where, or why not")
    return Rows(headings, rows, tables.headline(alert), folded=frozenset(headings[-1:]))


def grouped(alert: Json) -> dict[tuple[str, bool], list[Json]]:
    """Return deliveries by channel, its corrections of older posts apart from its new posts."""
    found: dict[tuple[str, bool], list[Json]] = {}
    for one in alert["deliveries"]:
        found.setdefault((one["channel"], is_correction(one)), []).append(one)
    return found


def is_correction(delivery: Json) -> bool:
    """Whether a delivery marks an older post as overtaken."""
    return str(delivery["part"]).endswith(CORRECTION)


def _row(together: Sequence[Json], alert: Json, now: datetime) -> tuple[Text, ...]:
    first = together[0]
    return (
        cell(first["channel"], "bold"),
        cell("old post marked" if is_correction(first) else "post"),
        cell(" ".join(one["part"].removesuffix(CORRECTION) for one in together)),
        _state(together),
        cell(max((tables.after(one, alert, now) for one in together), key=_length)),
        cell(tables.what(_to_show(together), now)),
    )


def _state(together: Sequence[Json]) -> Text:
    counts = Counter(str(one["state"]) for one in together)
    worst = _worst(counts)
    if len(counts) == 1:
        return tables.state(worst)
    order = [worst, *(name for name in counts if name != worst)]
    words = ", ".join(f"{counts[name]} {name}" for name in order)
    return cell(
        f"{tables.state(worst).plain.partition(' ')[0]} {words}", str(tables.state(worst).style)
    )


def _worst(names: Mapping[str, int]) -> str:
    return next((name for name in _NOTABLE if name in names), next(iter(names)))


def _to_show(together: Sequence[Json]) -> Json:
    """Return the delivery whose place or reason is shown: one that is not out, else the first."""
    return next((one for one in together if one["state"] in _NOTABLE), together[0])


def _length(words: str) -> tuple[bool, float]:
    """Order durations as `tables.since` writes them; none comes first."""
    number, _, unit = words.partition(" ")
    return bool(words), float(number or 0) * {"s": 1, "min": 60, "h": 3600}.get(unit, 0)
