"""What is left out of a text, what must not be, and where words may be broken."""

# ruff: noqa: RUF001 - letters of other alphabets are what this is about

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.drawing import CardFault, words


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("🔥 Großbrand 🚒", "Großbrand"),
        ("Feuer 👩🏽‍🚒 hier", "Feuer hier"),
        ("Warnung \u26a0\ufe0f", "Warnung \u26a0"),
        ("🇩🇪 Köln", "Köln"),
        ("1\ufe0f\u20e3 Fenster zu", "1 Fenster zu"),
        ("A\tB\nC\x00D\u2028E", "A B C D E"),
        ("\u202eabc\u202c \u2066def\u2069", "abc def"),
        ("Mu\u0308hle", "Mühle"),
        ("5\u00a0km", "5\u00a0km"),
        ("a" + "\u0316" * 1000, "a\u0316\u0316"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("", ""),
    ],
)
def test_decoration_is_left_out(text: str, left: str) -> None:
    """Emoji, controls and heaps of marks cost no card; a joiner within a word is kept."""
    assert words.cleaned(text) == left


def test_a_letter_is_never_left_out() -> None:
    """A letter that cannot be drawn is named with its number: without it the text says less."""
    with pytest.raises(CardFault, match=r"card's place has U\+5317 \(CJK UNIFIED .*-5317\)"):
        words.checked("place", "北京")


@given(st.text(max_size=80))
def test_cleaned_text_is_one_line_and_stays_as_it_is(text: str) -> None:
    """Whatever comes in, cleaning it once is enough."""
    line = words.cleaned(text)
    assert words.cleaned(line) == line
    assert not any(unicodedata.category(one) in {"Cc", "Zl", "Zp"} for one in line)


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("اتصلوا على 0221 97480-0.", "اتصلوا على \u200e0221 97480-0\u200e."),
        ("Nr. 26-0142/1", "Nr. \u200e26-0142/1\u200e"),
        ("+49 (221) 97480", "\u200e+49 (221) 97480\u200e"),
        ("10-12", "10-12"),
        ("B264142x", "B264142x"),
    ],
)
def test_long_numbers_are_held_together(text: str, held: str) -> None:
    """A telephone number or a reference reads the same in an Arabic sentence."""
    assert words.read_on(text) == held


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Gehen Sie ins Haus. Bleiben Sie dort.", "Gehen Sie ins Haus."),
        ("Meiden Sie z. B. den Rhein. Und den Hafen.", "Meiden Sie z. B. den Rhein."),
        ("Am 3. Mai gilt das. Danach nicht.", "Am 3. Mai gilt das."),
        ("Die Hauptstr. ist gesperrt. Bitte umfahren.", "Die Hauptstr. ist gesperrt."),
        ("Achtung! Gehen Sie weg.", "Achtung!"),
        ("ابقوا في المنزل؟ لا تخرجوا.", "ابقوا في المنزل؟"),
        ("Ein Satz ohne Ende", "Ein Satz ohne Ende"),
    ],
)
def test_a_sentence_ends_where_it_does(text: str, first: str) -> None:
    """An abbreviation, or a date, is no place to cut an instruction."""
    ends = [*words.sentence_ends(text), len(text)]
    assert text[: ends[0]] == first


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Köln-Mülheim brennt", ["Köln-", "Mülheim", "brennt"]),
        ("Nr. 26-0142/1", ["Nr.", "26-0142/1"]),
        ("Hafen/Altstadt", ["Hafen/", "Altstadt"]),
        ("5\u00a0km weit", ["5\u00a0km", "weit"]),
        ("-a -", ["-a", "-"]),
        ("", []),
    ],
)
def test_a_line_may_end_at_blanks_and_hyphens(text: str, pieces: list[str]) -> None:
    """A number with hyphens stays whole, and a blank that holds is none."""
    assert [text[start:end] for start, end in words.breaks(text)] == pieces


def test_words_are_hyphenated_as_the_language_does() -> None:
    """German compounds break between their words; where someone put soft hyphens, there."""
    word = "Dampfschifffahrt"
    assert "Dampf" in [word[:at] for at in words.hyphenation(word, "de")]
    soft = "Stau\u00adanlage"
    assert [soft[:at] for at in words.hyphenation(soft, "de")] == ["Stau\u00ad"]
    assert words.hyphenation("опасность", "ru")
    turkish = "Afyonkarahisar"
    parts = [turkish[:at] for at in words.hyphenation(turkish, "tr")]
    assert parts == ["Afyon", "Afyonka", "Afyonkara", "Afyonkarahi"]
    assert words.hyphenation("المنزل", "ar") == []


def test_at_worst_a_word_breaks_between_letters_only() -> None:
    """Never before a mark that belongs to a letter, nor with one or two letters alone."""
    assert words.anywhere("abcde\u0301fgh") == [3, 4, 6]
