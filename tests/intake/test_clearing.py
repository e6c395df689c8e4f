"""The all-clear that came without a content says what is over, and nothing of what to do."""

from __future__ import annotations

from typing import Any

from broadcaster.intake.clearing import all_clear, completed
from tests.kit import alert
from tests.web.door import info


def both(**changes: Any) -> Any:
    """Return an alert in German and English."""
    return alert(info=[info(**changes), info(language="en", event="Major fire")])


def test_an_all_clear_says_its_text_in_one_language() -> None:
    """A German sentence does not appear under an English heading."""
    german, english = all_clear([both()], "Feuer aus.", None)
    assert (german.description, english.description) == ("Feuer aus.", None)
    german, english = all_clear([both()], "Fire is out.", "EN")
    assert (german.description, english.description) == (None, "Fire is out.")


def test_an_all_clear_keeps_event_and_place_and_drops_the_instruction() -> None:
    """Never the old instruction, and never louder than the lowest level."""
    german = all_clear([both(senderName="Feuerwehr")], None, None)[0]
    assert (german.event, german.place) == ("Großbrand", "Dortmund-Hörde")
    assert (german.instruction, german.headline) == (None, None)
    assert german.sender_name == "Feuerwehr"
    assert german.severity == "Minor"
    assert german.response_type == ["AllClear"]


def test_an_all_clear_speaks_every_language_any_version_spoke() -> None:
    """Each from the newest version that has it: a post in a dropped language is still out."""
    german_only = alert(info=[info(event="Großbrand, Stufe 2")])
    german, english = all_clear([german_only, both()], "Fire is out.", "en")
    assert (german.event, german.description) == ("Großbrand, Stufe 2", None)
    assert (english.event, english.description) == ("Major fire", "Fire is out.")


def test_an_all_clear_of_its_own_words_gets_the_languages_it_lacks() -> None:
    """What is added says no more than that it is over, and agrees with the sender's levels."""
    own = alert(info=[info(severity="Moderate", area=None, description="Feuer aus.")]).info
    german, english = completed(own, [both()])
    assert (german.description, german.place) == ("Feuer aus.", "Dortmund-Hörde")
    assert (english.event, english.description, english.instruction) == ("Major fire", None, None)
    assert (english.severity, english.urgency) == (german.severity, german.urgency)
