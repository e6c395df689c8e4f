# ruff: noqa: RUF001 - dashes are what is counted
"""How long a text is, held against the networks' own conformance cases and slow counts."""

from __future__ import annotations

import unicodedata
from typing import Any

import grapheme
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from twitter_text import parse_tweet
from twitter_text.config import config as x_configurations

from broadcaster.channels import Limits, Measure
from broadcaster.measure import (
    fits,
    graphemes,
    has_link,
    is_gsm,
    length,
    links,
    mastodon,
    segments,
    threads,
    weighted,
)
from tests.conftest import SHARED

_CASES = SHARED / "contracts" / "twitter-text" / "validate.yml"
_VERSIONS = {
    "WeightedTweetsWithDiscountedEmojiCounterTest": "version3",
    "UnicodeDirectionalMarkerCounterTest": "version3",
    "WeightedTweetsCounterTest": "version2",
}
FAMILY = "👨‍👩‍👧‍👦"
# What real texts are made of, and what counts are got wrong by.
ODD = st.sampled_from(
    [
        *(
            "ä",
            "é",
            "e\u0301",
            "ß",
            "–",
            "…",
            "„",
            "“",
            "€",
            "©",
            "®",
            "™",
            "1",
            "#",
            "\u20e3",
            "\ufe0f",
        ),
        *(
            "🔥",
            FAMILY,
            "🇩🇪",
            "👍🏽",
            "\u200d",
            "\u200b",
            "\u200c",
            "م",
            "ि",
            "한",
            "日",
            "\n",
            " ",
            "@",
        ),
        *(
            "example.org",
            "https://a.de/x?y=1",
            "z. B. ",
            "z.B.",
            ".",
            "dortmund.de",
            "http://",
            "a",
        ),
    ]
)
TEXTS = st.lists(ODD, max_size=40).map("".join)


def conformance() -> list[Any]:
    """Read the published cases; one that is skipped where the shared data are not there."""
    if not _CASES.exists():
        skip = pytest.mark.skip(
            reason="needs ../shared/contracts, which is not beside this checkout"
        )
        return [pytest.param("", {}, "version3", marks=skip)]
    groups = yaml.safe_load(_CASES.read_text("utf-8"))["tests"]
    return [
        pytest.param(case["text"], case["expected"], version, id=f"{group}: {case['description']}")
        for group, version in _VERSIONS.items()
        for case in groups[group]
    ]


@pytest.mark.parametrize(("text", "expected", "version"), conformance())
def test_x_counts_as_the_published_cases_say(
    text: str, expected: dict[str, Any], version: str
) -> None:
    """The weighted length is twitter-text's, in configuration 3 and in 2."""
    options = {"emoji_parsing_enabled": False} | x_configurations[version]
    assert weighted(text, options) == expected["weightedLength"]
    assert parse_tweet(text, options).valid is expected["valid"]


def test_all_published_cases_of_x_are_there() -> None:
    """A group that went missing would pass silently: there are 22, 2 and 20 cases."""
    cases = conformance()
    if len(cases) > 1:
        assert len(cases) == 44


@given(TEXTS)
def test_x_counts_fast_what_it_counts_slowly(text: str) -> None:
    """The fast path of the weighted length gives the library's own result."""
    text = unicodedata.normalize("NFC", text)
    assert weighted(text) == parse_tweet(text).weightedLength


@given(TEXTS)
def test_graphemes_count_fast_what_they_count_slowly(text: str) -> None:
    """The fast path of graphemes gives the library's own result."""
    assert graphemes(text) == grapheme.length(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Größe", 5), (FAMILY, 1), ("🇩🇪👍🏽", 2), ("e\u0301", 1), ("a\nb", 3), ("نص", 2), ("", 0)],
)
def test_a_grapheme_is_what_a_reader_takes_for_one_character(text: str, expected: int) -> None:
    """Bluesky counts grapheme clusters, however many code points they have."""
    assert graphemes(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://example.org/a/very/long/path?with=query", 23),
        ("http://a.de", 23),
        ("Mehr: https://a.de.", 6 + 23 + 1),
        ("(https://a.de)", 25),
        ("https://a.de https://b.de", 47),
        ("example.org", 11),
        ("@stadt@ruhr.example", 6),
        ("Hallo @stadt@ruhr.example!", 13),
        ("info@stadt.example", 18),
        (FAMILY, 1),
    ],
)
def test_mastodon_counts_links_alike_and_mentions_without_their_server(
    text: str, expected: int
) -> None:
    """A link counts 23 however long it is, and of @user@domain only @user counts."""
    assert mastodon(text) == expected


def test_an_instance_may_count_links_otherwise() -> None:
    """The length of a link is read from the instance."""
    limits = Limits(Measure.MASTODON, 500, link_length=30)
    assert length("https://example.org", limits) == 30


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("äöüßÄÖÜ" * 22 + "éà", 1),
        ("€" * 80, 1),
        ("€" * 80 + "a", 2),
        ("a" * 152 + "€" + "a" * 152, 3),  # the pair would lie over the border of two segments
        ("ж" * 70, 1),
        ("ж" * 71, 2),
        ("ж" * 134, 2),
        ("ж" * 135, 3),
        ("🔥" * 35, 1),
        ("🔥" * 36, 2),
        ("ж" * 66 + "🔥" + "ж" * 66, 3),  # a surrogate pair is not split
        ("a" * 70 + "–", 2),
    ],
)
def test_sms_are_counted_in_segments(text: str, expected: int) -> None:
    """GSM-7 has 160 characters or 153 joined, UCS-2 has 70 or 67; a pair is never split."""
    assert segments(text) == expected


def test_german_is_in_the_alphabet_of_sms() -> None:
    """Umlauts need no UCS-2, typographic dashes do."""
    assert is_gsm("Größe, Übung, weiß: 5 €")
    assert not is_gsm("Hörde – Nord")


@pytest.mark.parametrize("measure", list(Measure))
def test_every_measure_has_a_count(measure: Measure) -> None:
    """A text fits up to its limit and not beyond."""
    text = "Gefahr " * 50
    size = length(text, Limits(measure, 1))
    assert size > 1
    assert fits(text, Limits(measure, size))
    assert fits(text, Limits(measure, size + 1))
    assert not fits(text, Limits(measure, size - 1))


def test_a_limit_on_bytes_counts_beside_the_other() -> None:
    """Bluesky also limits the bytes in UTF-8."""
    assert fits("ää", Limits(Measure.GRAPHEMES, 300, bytes_maximum=4))
    assert not fits("ää", Limits(Measure.GRAPHEMES, 300, bytes_maximum=3))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Größe, Übung: 5 €", 17),
        ("\u0441\u0432\u0456\u0442\u043b\u043e", 6),
        ("تحذير", 5),
        ("e\u0301", 2),  # no emoji: each character counts, however it is composed
        ("🔥", 4),
        ("⚠️", 6),
        ("🇩🇪", 8),
        ("1️⃣", 7),
        ("👨‍👩‍👧", 18),
        ("👍🏽", 8),
        ("1 2 3", 5),  # digits can be emoji, and are none here
        ("a 🔥 b 🔥", 13),
        ("https://stadt.example/größe", 27),
    ],
)
def test_threads_counts_an_emoji_as_its_bytes(text: str, expected: int) -> None:
    """Every other character is one, whatever its script, and a link as long as it is."""
    assert threads(text) == expected


@given(st.text(alphabet="ab ü🔥👨\u200d👩🏽⚠\ufe0f1\u20e3🇩\nح\u0301"))
def test_threads_counts_words_as_it_counts_texts(text: str) -> None:
    """Counting word by word is a short cut, and never too low."""
    whole = 0
    for cluster in grapheme.graphemes(text):
        emoji = any(ord(one) > 0x1F000 or one in "⚠\ufe0f\u20e3" for one in cluster)
        whole += len(cluster.encode()) if emoji else len(cluster)
    assert whole <= threads(text) <= len(text.encode())


def test_a_limit_on_links_counts_distinct_ones() -> None:
    """Threads takes five; the same link twice is one."""
    limits = Limits(Measure.THREADS, 500, links_maximum=1)
    assert fits("https://a.example https://a.example.", limits)
    assert not fits("https://a.example https://b.example", limits)
    assert links("kein Link, auch nicht z.B. dortmund.de") == frozenset()


def test_a_link_is_what_x_makes_one_of() -> None:
    """A bare domain becomes a link on X, an abbreviation does not."""
    assert has_link("Mehr auf dortmund.de heute")
    assert not has_link("z.B. um 6.30 Uhr. Danach")


@pytest.mark.parametrize("text", ["a." * 2000, "www." * 1000, "ä.ö." * 1000, "\u200d🔥" * 2000])
@pytest.mark.limit(2)
def test_no_text_takes_long_to_count(text: str) -> None:
    """Whoever writes an alert could else stop the whole program with one; estimated is enough."""
    for measure in Measure:
        assert length(text, Limits(measure, 1)) > 1
    assert weighted(text) >= len(text)
    assert has_link(text) is ("." in text)


@pytest.mark.parametrize("text", ["xn--" * 30 + ".de", "ä" * 64 + ".de", "a.de/" + "x" * 64])
def test_what_no_domain_has_is_estimated_and_never_too_low(text: str) -> None:
    """Labels end at 63 characters; the library takes seconds for longer ones."""
    assert weighted(text) >= int(parse_tweet(text).weightedLength)
    assert has_link(text)


def test_a_link_may_have_a_long_path() -> None:
    """A page's title in a link is 23 like any other."""
    text = "Mehr: https://www.dortmund.de/" + "warnung-" * 20
    assert weighted(text) == len("Mehr: ") + 23


def test_graphemes_far_beyond_the_limit_are_estimated_and_never_too_low() -> None:
    """Up to twice the limit every count is exact."""
    limits = Limits(Measure.GRAPHEMES, 5)
    assert length(FAMILY, limits) == 1
    assert length(FAMILY * 10, limits) == len(FAMILY) * 10
    assert not fits(FAMILY * 10, limits)


def test_a_text_with_letters_beyond_the_limit_does_not_fit_whatever_else_is_in_it() -> None:
    """Letters in no link weigh one at least, so nothing else needs a look."""
    limits = Limits(Measure.WEIGHTED, 280)
    assert not fits("п" * 281 + " 🔥", limits)
    assert fits("п" * 277 + " 🔥", limits)
    assert length("п" * 281 + " 🔥", limits) == 284
