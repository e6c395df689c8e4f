"""A status is ours by its words, however an instance has made HTML of them."""

from __future__ import annotations

from html import escape
from typing import Any

import pytest

from broadcaster.channels.mastodon.statuses import says, sight_of
from tests.channels.stub import TEXT, delivery

OURS = f"<p>{escape(TEXT)}</p>"


@pytest.mark.parametrize(
    ("ours", "content", "same"),
    [
        (TEXT, OURS, True),
        (TEXT, OURS.replace(" ", "<br />"), True),
        (TEXT, OURS.replace("26-0142/1", "26-0142/12"), False),
        (TEXT, OURS.replace("schließen", "öffnen"), False),
        ("تحذير: حريق Nr. 26-0142/1", "<p>تحذير: حريق Nr. 26-0142/1</p>", True),
        ("🔥 Ho\u0308rde Nr. 26-0142/1", "<p>🔥 H\u00f6rde Nr. 26-0142/1</p>", True),
        ("Feuer @a@b.example Nr. 26-0142/1", "<p>Feuer @a Nr. 26-0142/1</p>", True),
        (
            "Lage: https://s.example/a?b=1 Nr. 26-0142/1",
            '<p>Lage: <a href="https://s.example/a?b=1">s.example/a…</a> Nr. 26-0142/1</p>',
            True,
        ),
        (TEXT, "", False),
        (TEXT, "<p><<<&&&", False),
    ],
)
def test_words_are_compared_and_links_left_out(ours: str, content: str, *, same: bool) -> None:
    """Markup, composed letters, hosts of mentions and shortened links make no other text."""
    assert says(content, delivery(text=ours)) == same


def status(**changes: Any) -> dict[str, Any]:
    """Give a status as its page shows it."""
    return {
        "content": OURS,
        "visibility": "public",
        "url": "https://ruhr.example/@stadt/1",
        "replies_count": 1,
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "there", "altered"),
    [
        ({}, True, False),
        ({"visibility": "unlisted"}, True, False),
        ({"visibility": "private"}, False, False),
        ({"visibility": "direct"}, False, False),
        ({"visibility": None}, False, False),
        ({"visibility": ["public"]}, False, False),
        ({"content": "<p>Etwas anderes</p>"}, True, True),
        ({"content": None}, True, True),
        ({"content": 7}, True, True),
    ],
)
def test_a_look_reads_visibility_and_words(
    changes: dict[str, Any], *, there: bool, altered: bool
) -> None:
    """What is not for everybody is not there; junk is no error."""
    sight = sight_of(status(**changes), delivery(), public=True)
    assert (sight.there, sight.altered, sight.public) == (there, altered, True)
    assert (sight.reason is None) == there


@pytest.mark.parametrize("url", [None, 7, "javascript:alert(1)"])
def test_only_an_address_is_a_permalink(url: object) -> None:
    """It is shown to people as a link."""
    assert sight_of(status(url=url), delivery(), public=True).url is None
    assert sight_of(status(), delivery(), public=True).url == "https://ruhr.example/@stadt/1"


def test_reactions_are_counted_by_our_names() -> None:
    """Replies, shares, likes and quotes, as the instance counts them."""
    counted = status(reblogs_count=30, favourites_count=4, quotes_count=2)
    found = sight_of(counted, delivery(), public=False)
    assert found.counts == {"replies": 1, "shares": 30, "likes": 4, "quotes": 2}
    assert not found.public
