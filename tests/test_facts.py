"""What is known of an alert, as a network takes it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from broadcaster.alert import Alert
from broadcaster.channels import Escape
from broadcaster.facts import Facts, Words, borrowed, by_language, primary, words_of

SENT = datetime(2026, 11, 22, 17, 5, tzinfo=UTC)


def alert(info: dict[str, Any] | None = None, **fields: Any) -> Alert:
    """Make an alert with one German block and these changes."""
    block = {
        "language": "de",
        "category": ["Fire"],
        "event": "Großbrand",
        "urgency": "Immediate",
        "severity": "Severe",
        "certainty": "Observed",
        "headline": "Großbrand: @feuerwehr warnt",
        "description": "Es brennt. Siehe dortmund.de heute.",
        "instruction": "Fenster schließen. Siehe https://a.de dazu.",
        "contact": "info@stadt.example",
        "area": [{"areaDesc": "Hörde"}],
    }
    message = {
        "identifier": "1",
        "sender": "leitstelle@stadt.example",
        "sent": SENT,
        "status": "Actual",
        "msgType": "Alert",
        "info": [block | (info or {})],
    }
    return Alert.model_validate(message | fields)


def words(one: Alert, *, links: bool = True, escape: Escape = Escape.NONE, **known: Any) -> Words:
    """Return the words of an alert's first block."""
    facts = Facts(
        alert=one,
        reference="26-0142/1",
        replaces=None,
        accepted=SENT,
        timezone=ZoneInfo("Europe/Berlin"),
        source=known.get("source"),
        expires=SENT + timedelta(hours=6),
        ended=known.get("ended", ()),
    )
    return words_of(facts, one.info[0], escape, links=links)


def test_the_source_is_the_block_then_the_configuration_then_the_sender() -> None:
    """Who warns is said by the one who knows best."""
    named = alert({"senderName": "Feuerwehr Dortmund"})
    assert words(named, source="Stadt").values["source"] == "Feuerwehr Dortmund"
    assert words(alert(), source=" Stadt\nDortmund ").values["source"] == "Stadt Dortmund"
    assert words(alert()).values["source"] == "leitstelle@stadt.example"


def test_an_end_is_shown_only_where_the_alert_names_one() -> None:
    """The default lifetime is ours, no promise of the one who warns."""
    assert words(alert()).values["expires"] is None
    ends = SENT + timedelta(hours=2)
    shown = words(alert({"expires": ends})).values["expires"]
    assert (shown, shown.hour) == (ends, 20)


def test_a_beginning_is_shown_only_while_it_lies_ahead() -> None:
    """What has begun needs no time to begin."""
    later = SENT + timedelta(hours=1)
    assert words(alert({"onset": later})).values["onset"] == later
    assert words(alert({"onset": SENT})).values["onset"] is None


def test_an_all_clear_takes_over_nothing_of_the_warning() -> None:
    """No instruction, headline, contact, end, or sentence that was said before."""
    ended = alert()
    over = words(
        alert({"description": "Es brennt. Das Feuer ist aus."}, msgType="Cancel"), ended=ended.info
    )
    assert over.instruction == []
    assert over.description == ["Das Feuer ist aus."]
    gone = ("headline", "contact", "onset", "expires")
    assert [over.values[name] for name in gone] == [None] * 4
    assert over.values["kind"] == "all-clear"


def test_a_response_type_can_make_an_update_an_all_clear() -> None:
    """An all-clear is known by its type too, not only by Cancel."""
    one = alert({"responseType": ["AllClear"]}, msgType="Update")
    assert words(one).values["kind"] == "all-clear"
    assert words(alert(msgType="Update")).values["kind"] == "update"


def test_without_links_only_the_first_action_may_hold_one() -> None:
    """A sentence with a link or a bare domain is left out, never the first action."""
    plain = words(alert(), links=False)
    assert plain.description == ["Es brennt. "]
    assert plain.instruction == ["Fenster schließen. "]
    first = words(alert({"instruction": "Siehe a.de sofort. Fenster zu."}), links=False)
    assert first.instruction == ["Siehe a.de sofort. ", "Fenster zu."]


def test_every_word_of_an_alert_is_made_harmless() -> None:
    """No field is forgotten by the escape of a network."""
    fields = ("event", "headline", "description", "instruction", "contact", "senderName")
    everywhere: dict[str, Any] = dict.fromkeys(fields, "@name")
    one = alert(everywhere | {"area": [{"areaDesc": "@name"}]})
    safe = words(one, escape=Escape.MENTIONS)
    said = [str(value) for value in safe.values.values()] + [*safe.description, *safe.instruction]
    assert sum("@\u200bname" in text for text in said) == 7
    assert not any("@name" in text for text in said)


def test_a_headline_says_all_when_it_names_event_and_place() -> None:
    """Only then it can stand for both in the first line."""
    assert not words(alert()).values["headline_says_all"]
    assert words(alert({"headline": "Großbrand in Hörde"})).values["headline_says_all"]


def test_a_block_without_areas_takes_the_place_of_another() -> None:
    """Names of places are better than no place."""
    german = alert().info[0]
    english = german.model_copy(update={"language": "en", "area": []})
    both = alert().model_copy(update={"info": [english, german]})
    assert words(both).values["place"] == "Hörde"


def test_blocks_are_taken_by_primary_language() -> None:
    """A region makes no other language; the channel's order counts, else the alert's."""
    german = alert().info[0]
    blocks = [
        german.model_copy(update={"language": tag}) for tag in ("de-DE", "en-GB", "de-AT", "TR")
    ]
    both = alert().model_copy(update={"info": blocks})
    assert list(by_language(both, None)) == ["de", "en", "tr"]
    assert by_language(both, None)["de"] is blocks[0]
    assert list(by_language(both, ("tr", "fr", "de-CH"))) == ["tr", "de"]


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("DE-LS", "de-simple"),
        ("de-ls", "de-simple"),
        ("de-simple", "de-simple"),
        ("de-x-ls", "de-simple"),
        ("de-DE-simple", "de-simple"),
        ("de-DE", "de"),
        ("en-simple", "en-simple"),
        ("en-LS", "en"),
        ("zh-Hant-TW", "zh"),
    ],
)
def test_leichte_sprache_is_a_language_of_its_own(tag: str, language: str) -> None:
    """However its tag is written; its readers must not be given a text in heavy German."""
    assert primary(tag) == language


LONG = "Es brennt in einer Lagerhalle, und Rauch zieht nach Nordosten."


@pytest.mark.parametrize(
    ("said", "copies"),
    [
        ({"de": LONG, "en": LONG, "tr": LONG}, {"en": "de", "tr": "de"}),
        ({"en": LONG, "de": LONG}, {"en": "de"}),
        ({"en": LONG, "tr": LONG}, {"tr": "en"}),
        ({"de": LONG, "DE-LS": LONG}, {"de-simple": "de"}),
        ({"de": LONG, "en": "A warehouse is burning, and smoke is drifting north-east."}, {}),
        ({"de": "Stromausfall", "en": "Stromausfall"}, {}),
        ({"de": LONG[:40], "en": LONG[:40]}, {"en": "de"}),
        ({"de": LONG[:39].strip(), "en": LONG[:39].strip()}, {}),
        ({"de": None, "en": None}, {}),
        ({"de": LONG, "de-AT": LONG}, {}),
    ],
)
def test_a_description_repeated_word_for_word_is_borrowed(
    said: dict[str, str | None], copies: dict[str, str]
) -> None:
    """From the German block or else the first; short ones may be the same in two languages."""
    block = alert().info[0]
    blocks = [
        block.model_copy(update={"language": language, "description": text})
        for language, text in said.items()
    ]
    assert borrowed(alert().model_copy(update={"info": blocks})) == copies
