"""The all-clear that came without a content says what is over, and nothing of what to do."""

from __future__ import annotations

from typing import Any

from broadcaster.intake.clearing import all_clear
from tests.kit import alert
from tests.web.door import info


def both(**changes: Any) -> Any:
    """Return an alert in German and English."""
    return alert(info=[info(**changes), info(language="en", event="Major fire")])


def test_an_all_clear_says_its_text_in_one_language() -> None:
    """A German sentence does not appear under an English heading."""
    german, english = all_clear(both(), "Feuer aus.", None)
    assert (german.description, english.description) == ("Feuer aus.", None)
    german, english = all_clear(both(), "Fire is out.", "EN")
    assert (german.description, english.description) == (None, "Fire is out.")


def test_an_all_clear_keeps_event_and_place_and_drops_the_instruction() -> None:
    """Never the old instruction, and never louder than the lowest level."""
    german = all_clear(both(senderName="Feuerwehr"), None, None)[0]
    assert (german.event, german.place) == ("Großbrand", "Dortmund-Hörde")
    assert (german.instruction, german.headline) == (None, None)
    assert german.sender_name == "Feuerwehr"
    assert german.severity == "Minor"
    assert german.response_type == ["AllClear"]
