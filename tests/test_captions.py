# ruff: noqa: RUF001 - dashes are part of the texts
"""The words of a card, its text for who cannot see it, and the line before an older post."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from broadcaster.captions import ALT_MAX, CardWords, at_most
from broadcaster.delivery import names_reference
from broadcaster.render import Renderer
from tests.test_languages import ALL_CLEAR, SAID, cases
from tests.test_render import ENGLISH, GERMAN, REPLACED, SENT, alert, city, facts

RENDERER = Renderer()


def german(**changes: object) -> CardWords:
    """Return the words of a German alert's card."""
    found = RENDERER.card(facts(alert(GERMAN | changes)), "de")
    assert found
    return found


def test_a_card_says_all_that_must_be_said() -> None:
    """Level, hazard, place, action, time with its day, source and reference, each on its own."""
    assert german() == CardWords(
        level="Gefahr",
        title="Großbrand",
        place="Dortmund-Hörde",
        action="Schließen Sie Fenster und Türen.",
        time="Stand 22.11.2026, 18:05 Uhr, gilt bis 20:00 Uhr",
        source="Feuerwehr Dortmund",
        reference="Nr. 26-0142/2",
        mark=None,
        note=None,
        alt=(
            "Text im Bild: Gefahr: Großbrand – Dortmund-Hörde. Schließen Sie Fenster und Türen."
            " Feuerwehr Dortmund, Stand 22.11.2026, 18:05 Uhr, gilt bis 20:00 Uhr. Nr. 26-0142/2."
        ),
    )


@pytest.mark.parametrize("language", SAID)
def test_who_cannot_see_a_card_is_told_all_of_it(language: str) -> None:
    """In every language, for an alert, an update and an all-clear, in earnest or not."""
    for one in cases(language):
        card = RENDERER.card(one, language)
        assert card
        over = one.alert.is_all_clear
        event, place, sender, _, instruction = SAID[language]
        assert (card.place, card.source) == (place, sender)
        assert card.title.endswith(event)
        assert (card.title == event) == (one.alert.msg_type != "Update")
        assert (card.level == ALL_CLEAR[language]) == over
        assert instruction.startswith(card.action) != over
        shown = {field.name: getattr(card, field.name) for field in fields(CardWords)}
        del shown["alt"], shown["title"]
        for must in (event, *shown.values()):
            assert (must or "") in card.alt
        assert bool(card.mark) == bool(card.note) == (one.alert.status == "Exercise")
        assert card.alt.startswith(card.mark or "")
        assert names_reference(card.reference, one.reference)
        assert not names_reference(card.reference, REPLACED)
        assert "\n" not in card.alt
        assert len(card.alt) <= ALT_MAX


def test_a_card_without_an_instruction_has_no_action() -> None:
    """Nothing is made up, and no gap is left."""
    card = german(instruction=None)
    assert card.action == ""
    assert "Hörde. Feuerwehr" in card.alt


def test_far_too_long_words_are_cut_where_a_card_shows_them() -> None:
    """Level, hazard, source, time and reference stay whole, whatever the rest is."""
    places = [{"areaDesc": f"Ortsteil {number} von Dortmund"} for number in range(200)]
    long = {"event": "Brand " * 16, "senderName": "Stadt " * 33, "instruction": "Gehen Sie " * 399}
    card = german(area=places, **long)
    assert len(card.alt) <= ALT_MAX
    assert card.alt.endswith("Nr. 26-0142/2.")
    assert card.place.endswith("…")
    assert card.action.startswith("Gehen Sie")
    for must in (card.level, card.title, card.place, card.action, card.source, card.time):
        assert must in card.alt


def test_a_language_that_is_not_posted_has_no_card() -> None:
    """Neither one the alert does not speak nor one there are no texts for."""
    french = ENGLISH | {"language": "fr"}
    one = facts(alert(GERMAN, french))
    assert RENDERER.card(one, "en") is None
    assert RENDERER.card(one, "fr") is None
    assert RENDERER.card(one, "de-DE") == RENDERER.card(one, "de")


@pytest.mark.parametrize("text", ["{{ nobody }}", "{% if %}", "{% set level = 'x' %}"])
def test_a_broken_card_leaves_the_text_alone(tmp_path: Path, text: str) -> None:
    """It goes without a picture; also where a city forgot the text for who cannot see it."""
    assert city(tmp_path, text, "card").card(facts(alert()), "de") is None


def test_cards_are_made_once_per_alert() -> None:
    """Another alert has another card."""
    one = facts(alert())
    assert RENDERER.card(one, "de") is RENDERER.card(one, "de")
    other = RENDERER.card(replace(one, reference="26-0143/1"), "de")
    assert other
    assert other.reference == "Nr. 26-0143/1"


@pytest.mark.parametrize(
    ("kind", "language", "line"),
    [
        ("Update", "de", "Überholt – siehe Nr. 26-0142/2 (Stand 18:05 Uhr)"),
        ("Cancel", "de", "Entwarnung: Diese Warnung ist aufgehoben (Nr. 26-0142/2, 18:05 Uhr)"),
        ("Update", "en-GB", "Out of date – see No. 26-0142/2 (as of 18:05)"),
        ("Cancel", "uk", "Небезпека минула: це попередження скасовано (№ 26-0142/2, 18:05)"),
    ],
)
def test_an_older_post_is_made_to_point_on(kind: str, language: str, line: str) -> None:
    """Also in a language that the newer alert has no text in."""
    assert RENDERER.pointer(facts(alert(GERMAN, msgType=kind)), language) == line


@pytest.mark.parametrize("language", SAID)
def test_a_pointer_is_one_line_with_the_number(language: str) -> None:
    """In every language; the mark of an exercise stays in front."""
    for one in cases(language):
        line = RENDERER.pointer(one, language)
        assert names_reference(line, one.reference)
        assert "\n" not in line
        assert len(line) <= 120
        card = RENDERER.card(one, language)
        assert card
        assert line.startswith(card.mark or "")
        assert "18:05" in line


@pytest.mark.parametrize("text", ["{{ nobody }}", "Überholt"])
def test_a_broken_pointer_still_names_the_number(tmp_path: Path, text: str) -> None:
    """An old warning must not stand unmarked because of a template."""
    own = city(tmp_path, text, "pointer")
    drill = facts(alert(status="Exercise", msgType="Update"), accepted=SENT)
    assert own.pointer(drill, "de") == "ÜBUNG – → 26-0142/2"
    assert own.pointer(drill, "fr") == "→ 26-0142/2"


@pytest.mark.parametrize(
    ("text", "room", "cut"),
    [
        ("Hörde", 5, "Hörde"),
        ("Hörde brennt", 11, "Hörde…"),
        ("Hörde, Aplerbeck", 10, "Hörde…"),
        ("Donaudampfschiff", 6, "Donau…"),
    ],
)
def test_words_are_cut_whole(text: str, room: int, cut: str) -> None:
    """A word that fills all the room is cut as it is."""
    assert at_most(text, room) == cut
    assert len(cut) <= room
