"""Where a command writes: words for people, one JSON document for programs.

With `--json` standard output carries that document and nothing else; words go to standard error.
Colours and live tables appear only on a terminal; elsewhere the same rows come as plain lines.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import TextIOWrapper
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

FOLDED_WIDTH_MIN = 14
# A text from outside must not move the cursor or recolour the screen of whoever reads it.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def now() -> datetime:
    """Return the time here."""
    return datetime.now(UTC)


def harmless(value: object) -> str:
    """Return a value as text without terminal control characters."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", str(value))


def cell(value: object, style: str = "") -> Text:
    """Return one cell of a table; nothing in it is read as markup."""
    return Text("" if value is None else harmless(value), style)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows under headings: a table on a terminal, aligned lines elsewhere."""

    headings: tuple[str, ...]
    rows: Sequence[tuple[Text, ...]]
    title: str | None = None
    caption: str | None = None
    folded: frozenset[str] = field(default=frozenset())  # columns that may break into lines

    def table(self) -> Table:
        """Return the rows as rich shows them."""
        table = Table(
            title=self.title,
            caption=self.caption,
            title_justify="left",
            caption_justify="left",
            title_style="bold",
            caption_style="dim",
            box=SIMPLE_HEAD,
            pad_edge=False,
            collapse_padding=True,
        )
        for name in self.headings:
            fold = name in self.folded
            least = FOLDED_WIDTH_MIN if fold else None
            table.add_column(name, no_wrap=not fold, overflow="fold", min_width=least)
        for row in self.rows:
            table.add_row(*row)
        return table

    def lines(self) -> list[str]:
        """Return the rows as lines of plain text, columns two spaces apart."""
        grid = [list(self.headings), *([one.plain for one in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
        aligned = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in grid)
        return [*([self.title] if self.title else []), *aligned]


@dataclass(frozen=True, slots=True)
class Output:
    """Both streams of a command, and whether a program reads."""

    out: Console
    err: Console
    json: bool = False

    @property
    def live(self) -> bool:
        """Whether a person watches standard output."""
        return self.out.is_terminal and not self.json

    @property
    def people(self) -> Console:
        """The stream for words."""
        return self.err if self.json else self.out

    def document(self, value: Any) -> None:
        """Write the command's one JSON document, if a program reads."""
        if self.json:
            self.out.file.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
            self.out.file.flush()

    def say(self, text: str = "", style: str = "") -> None:
        """Write a line for people."""
        _write(self.people, text, style)

    def warn(self, text: str) -> None:
        """Write a line to standard error: what went wrong, and what to do."""
        _write(self.err, text, "yellow")

    def error(self, text: str) -> None:
        """Write a line to standard error: why the command ends here."""
        _write(self.err, text, "bold red")

    def show(self, rows: Rows) -> None:
        """Write rows for people."""
        if self.people.is_terminal:
            self.people.print(rows.table())
        else:
            for line in rows.lines():
                self.say(line)


def _write(console: Console, text: str, style: str) -> None:
    """Write text; a terminal breaks it between words, and a single word (a key) not at all."""
    whole = not console.is_terminal or " " not in text
    console.print(Text(harmless_lines(text), style), soft_wrap=whole)


def harmless_lines(text: str) -> str:
    """Return a text of several lines without terminal control characters."""
    return "\n".join(harmless(line) for line in text.split("\n"))


def terminal(*, as_json: bool = False) -> Output:
    """Return the output of this process. What its encoding cannot show becomes a `?`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    plain: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
    return Output(Console(**plain), Console(stderr=True, **plain), as_json)
