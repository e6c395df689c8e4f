"""Lines are never wider than their room, and break where they may."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.drawing import fonts
from broadcaster.drawing.lines import Hyphens, Line, Words

COMPOUND = "Donaudampfschifffahrtsgesellschaftskapitän"


def words(text: str, language: str = "de") -> Words:
    """Return a text to be set."""
    return Words(text, 500, language, language == "ar")


def shown(of: Words, lines: tuple[Line, ...] | None) -> list[str]:
    """Return the lines as text."""
    assert lines is not None
    return [of.text[line.start : line.end] + "-" * line.hyphen for line in lines]


def test_words_stay_whole_while_they_fit() -> None:
    """A word goes to the next line rather than being hyphenated."""
    of = words("Schließen Sie Fenster und Türen")
    room = of.width(Line(0, len("Schließen Sie")))
    assert shown(of, of.broken(room, Hyphens.WORDS)) == ["Schließen Sie", "Fenster und", "Türen"]


def test_a_word_wider_than_a_line_is_hyphenated_as_german_does() -> None:
    """Each line but the last ends with a hyphen between syllables, none is too wide."""
    of = words(COMPOUND)
    assert of.broken(9000, Hyphens.NONE) is None
    lines = of.broken(9000, Hyphens.WORDS)
    assert shown(of, lines) == ["Donaudampf-", "schifffahrtsgesell-", "schaftskapitän"]
    assert lines is not None
    assert all(line.hyphen for line in lines[:-1])
    assert not lines[-1].hyphen
    assert all(of.width(line) <= 9000 for line in lines)
    assert "".join(shown(of, lines)).replace("-", "") == COMPOUND


def test_a_soft_hyphen_is_seen_where_a_line_ends() -> None:
    """And nowhere else: what somebody marked as a place to break is broken there."""
    of = words("Hochwasser\u00adrückhaltebecken")
    room = of.width(Line(0, len(of.text))) - 1
    lines = of.broken(room, Hyphens.WORDS)
    assert shown(of, lines) == ["Hochwasser\u00ad-", "rückhaltebecken"]
    assert of.width(Line(0, 11, hyphen=True)) == of.width(Line(0, 10, hyphen=True))


def test_a_word_without_syllables_is_broken_at_worst() -> None:
    """Only where nothing else is left, and an Arabic one without a hyphen."""
    of = words("xqzxqzxqzxqzxqz")
    assert of.broken(4000, Hyphens.WORDS) is None
    assert "".join(shown(of, of.broken(4000, Hyphens.ANYWHERE))).replace("-", "") == of.text
    arabic = words("أغلقواالنوافذوالأبواب", "ar")
    assert "-" not in "".join(shown(arabic, arabic.broken(4000, Hyphens.ANYWHERE)))


@given(
    st.text("abcdefg äß-.,/0 خطرة Опас", max_size=120),
    st.integers(3000, 20_000),
    st.sampled_from(["de", "ar", "ru"]),
)
def test_no_line_is_wider_than_its_room_and_no_letter_is_lost(
    text: str, room: int, language: str
) -> None:
    """Whatever the text, its lines together have all of it, in order."""
    of = words(" ".join(text.split()), language)
    lines = of.broken(room, Hyphens.ANYWHERE)
    if lines is None:
        return
    assert all(of.width(line) <= room + 0.01 * (line.end - line.start) for line in lines)
    kept = "".join(of.text[line.start : line.end] for line in lines)
    assert kept.replace(" ", "") == of.text.replace(" ", "")


def test_lines_are_balanced() -> None:
    """A title of two lines has no single word in its last one."""
    of = words("Hochwasser an Rhein und Nebenflüssen")
    room = of.width(Line(0, len("Hochwasser an Rhein und")))
    assert shown(of, of.broken(room, Hyphens.NONE)) == ["Hochwasser an Rhein und", "Nebenflüssen"]
    assert shown(of, of.balanced(room, Hyphens.NONE)) == ["Hochwasser an Rhein", "und Nebenflüssen"]


def test_a_text_is_cut_behind_a_sentence() -> None:
    """Half an instruction may be a wrong one."""
    of = words("Gehen Sie ins Haus. Nehmen Sie niemanden mit. Warten Sie.")
    assert of.sentences == 3
    assert of.cut(1).text == "Gehen Sie ins Haus. …"
    assert of.cut(2).text == "Gehen Sie ins Haus. Nehmen Sie niemanden mit. …"
    assert of.cut(3).text == of.text


def test_a_number_reads_the_same_beside_arabic() -> None:
    """A reference behind Arabic letters is not turned round: 26-0142/1 stays 26-0142/1."""
    for language in ("ar", "de"):
        of = words("الرقم 26-0142/1", language)
        outline = of.shape(Line(0, len(of.text))).path
        number = fonts.shape("26-0142/1", 500, language, backwards=False).path
        steps = [glyph.split(" ", 1)[1] for glyph in number.split("M")[1:]]
        in_line = [glyph.split(" ", 1)[1] for glyph in outline.split("M")[1:]]
        assert any(
            in_line[at : at + len(steps)] == steps for at in range(len(in_line) - len(steps) + 1)
        )


@pytest.mark.parametrize("language", ["de", "ar"])
def test_a_line_is_as_wide_as_its_outline(language: str) -> None:
    """What was measured when the line was broken is what is drawn."""
    of = words("Köln, حيّا Hafen 112", language)
    line = Line(0, len(of.text))
    assert of.shape(line).width == pytest.approx(of.width(line))


def test_a_word_of_four_thousand_letters_is_no_trouble() -> None:
    """It is broken without measuring all of it again and again."""
    of = words("x" * 4000)
    lines = of.broken(30_000, Hyphens.ANYWHERE)
    assert lines is not None
    assert len(lines) > 60
