"""The board: an alert of many deliveries in few lines, and nothing bad is hidden in them."""

from __future__ import annotations

from datetime import UTC, datetime

from broadcaster.terminal.board import board, grouped
from tests.terminal.conftest import alert, delivery

NOW = datetime(2026, 11, 22, 2, 49, 10, tzinfo=UTC)


def lines(*deliveries: dict[str, object]) -> list[list[str]]:
    """Give the cells of the board as people read them."""
    return [[one.plain for one in row] for row in board(alert(*deliveries), NOW).rows]


def test_the_languages_of_a_channel_share_a_row() -> None:
    """Three posts on one network are one line, and the first one's link is shown."""
    rows = lines(*(delivery(part=part) for part in ("de", "en", "tr")), delivery("y"))
    assert [row[0] for row in rows] == ["x", "y"]
    assert rows[0][1:4] == ["post", "de en tr", "✓ sent"]
    assert rows[0][5] == "https://x.com/i/web/status/1860"


def test_old_posts_that_are_marked_have_a_row_of_their_own() -> None:
    """A correction is no post."""
    shown = alert(delivery(part="de"), delivery(part="de.correction"), delivery(part="en"))
    assert [(name, len(ones)) for name, ones in grouped(shown).items()] == [
        (("x", False), 2),
        (("x", True), 1),
    ]
    assert lines(*shown["deliveries"])[1][1:3] == ["old post marked", "de"]


def test_the_worst_of_a_row_comes_first_with_its_reason() -> None:
    """One language that failed is not hidden by two that are out."""
    failed = delivery(state="failed", part="en", reason="refused: too long")
    (row,) = lines(delivery(), failed, delivery(part="tr"))
    assert row[3] == "✗ 1 failed, 2 sent"
    assert row[5] == "refused: too long"


def test_the_longest_time_is_the_rows_time() -> None:
    """A row is as late as its last post."""
    late = delivery(part="en", attempts=[{"finished": "2026-11-22T02:51:30+00:00"}])
    (row,) = lines(delivery(), late)
    assert row[4] == "2 min"
    (row,) = lines(delivery(state="withheld", reason="carries only crises"))
    assert row[4:] == ["", "carries only crises"]
