"""What is measured is what is drawn, and a box is never drawn."""

# ruff: noqa: RUF001 - letters of other alphabets are what this is about

from __future__ import annotations

import re

import pytest

from broadcaster.drawing import CardFault, fonts

LETTERS = {
    "de": "ÄÖÜäöüßẞ„“–…",
    "tr": "ÇĞİÖŞÜçğıöşü",
    "pl": "ĄĆĘŁŃÓŚŹŻąćęłńóśźż",
    "ro": "ĂÂÎȘȚăâîșț",
    "uk": "АБВГҐДЕЄЖЗИІЇЙКЛМНОПРСТУФХЦЧШЩЬЮЯґєії’№",
    "ru": "ЁЪЫЭёъыэ",
    "ar": "ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهوىي،؛؟ًٌٍَُِّْ٠١٢٣٤٥٦٧٨٩",
    "signs": "→←↑↓≥≤±×°€%§½²•!?#@&<>\"'",
}


@pytest.mark.parametrize("language", LETTERS)
def test_every_letter_of_the_languages_is_there(language: str) -> None:
    """The installed fonts have all that the nine languages write with."""
    assert fonts.missing(LETTERS[language]) is None
    for letter in LETTERS[language]:
        backwards = language == "ar"
        shape = fonts.shape(letter, 500, "de", backwards=backwards)
        assert shape.path, letter


@pytest.mark.parametrize("text", ["北京", "Ort: 中", "ไทย", "\ud800", "\ue000", "\U0010ffff"])
def test_a_letter_no_font_has_is_found(text: str) -> None:
    """Whatever cannot be drawn is named before it could become a box."""
    missing = fonts.missing(text)
    assert missing is not None
    assert missing in text


def test_a_mark_must_be_in_the_font_of_its_letter() -> None:
    """An Arabic sign over a Cyrillic letter has no glyph, though each of them has one."""
    assert fonts.missing("д") is fonts.missing("ب\u0651") is None
    assert fonts.missing("д\u0651") == "\u0651"


def test_a_box_is_never_drawn() -> None:
    """Where the check before was passed over, shaping refuses."""
    with pytest.raises(CardFault, match="no font has a glyph"):
        fonts.shape("中", 500, "de", backwards=False)


def test_arabic_is_joined() -> None:
    """A word is not its letters side by side: they change their form."""
    word = "حريق"
    joined = fonts.shape(word, 500, "ar", backwards=True)
    alone = [fonts.shape(letter, 500, "ar", backwards=True) for letter in word]
    assert joined.width < sum(shape.width for shape in alone)
    forms = {outline for shape in alone for outline in re.split("M", shape.path)[1:]}
    in_word = {outline.split(" ", 1)[1] for outline in re.split("M", joined.path)[1:]}
    assert not in_word <= {outline.split(" ", 1)[1] for outline in forms}


def test_an_arabic_word_runs_from_right_to_left() -> None:
    """The first letter stands at the right end."""
    alif, lam = "ا", "دددد"
    word = fonts.shape(alif + lam, 500, "ar", backwards=True)
    places = [int(found) for found in re.findall(r"M(-?\d+) ", word.path)]
    assert max(places) > fonts.shape(lam, 500, "ar", backwards=True).width * 0.9


def test_what_is_measured_is_what_is_drawn() -> None:
    """A run has the same width before it has an outline."""
    for text, backwards in [("Großbrand", False), ("خطر 112", True), ("Опасность → A3", False)]:
        shape = fonts.shape(text, 800, "de", backwards=backwards)
        assert shape.width == fonts.width(text, 800, "de", backwards=backwards) > 0


def test_bold_is_bolder() -> None:
    """The weight of a variable font is really set."""
    thin, bold = (fonts.width("Gefahr", weight, "de", backwards=False) for weight in (600, 900))
    assert bold > thin * 1.05


def test_nothing_is_changed_into_an_arrow() -> None:
    """What somebody wrote is what is seen: no ligature makes another sign of it."""
    apart = sum(fonts.width(one, 500, "de", backwards=False) for one in "->")
    assert fonts.width("->", 500, "de", backwards=False) == pytest.approx(apart, abs=60)
    two = fonts.shape("->", 500, "de", backwards=False)
    assert two.path.count("M") == 2
    assert two.path.startswith(fonts.shape("-", 500, "de", backwards=False).path)


def test_marks_of_direction_take_no_room() -> None:
    """LRM and its like order letters and are not seen."""
    assert fonts.width("\u200e26\u200e", 500, "de", backwards=False) == fonts.width(
        "26", 500, "de", backwards=False
    )
