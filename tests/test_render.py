# ruff: noqa: RUF001 - dashes are part of the texts
"""Texts that fit, say what must be said, and read well: the promises of rendering."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

import grapheme
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from twitter_text import extract_urls, parse_tweet

from broadcaster import measure as measuring
from broadcaster.alert import Alert, MsgType
from broadcaster.channels import SQUARE, Channel, Escape, Limits, Measure
from broadcaster.config import ChannelConfig
from broadcaster.delivery import Message, names_reference
from broadcaster.facts import primary
from broadcaster.intake.clearing import all_clear, completed
from broadcaster.measure import fits, is_gsm, length
from broadcaster.render import Facts, Rendered, Renderer
from broadcaster.texts import Texts
from broadcaster.wording import SENTENCES_MAX, gsm_spelling, harmless, sentences
from tests.conftest import shared_path

BERLIN = ZoneInfo("Europe/Berlin")
SENT = datetime(2026, 11, 22, 17, 5, tzinfo=UTC)  # 18:05 in Berlin
REFERENCE, REPLACED = "26-0142/2", "26-0142/1"
ENOUGH = Limits(Measure.CHARACTERS, 100_000)
GERMAN: dict[str, Any] = {
    "language": "de",
    "category": ["Fire"],
    "event": "Großbrand",
    "urgency": "Immediate",
    "severity": "Severe",
    "certainty": "Observed",
    "expires": "2026-11-22T20:00:00+01:00",
    "senderName": "Feuerwehr Dortmund",
    "headline": "Großbrand in Dortmund-Hörde: Fenster und Türen schließen",
    "description": "In Hörde brennt eine Lagerhalle. Rauch zieht nach Nordosten.",
    "instruction": "Schließen Sie Fenster und Türen. Schalten Sie Lüftungen aus.",
    "web": "https://www.dortmund.example/warnung",
    "contact": "Bürgertelefon 0231 50-0",
    "area": [{"areaDesc": "Dortmund-Hörde"}],
}
ENGLISH = GERMAN | {
    "language": "en",
    "event": "Major fire",
    "senderName": "Dortmund Fire Service",
    "headline": "Major fire in Dortmund-Hörde: close windows and doors",
    "description": "A warehouse is burning in Hörde. Smoke is drifting north-east.",
    "instruction": "Close windows and doors. Switch off ventilation.",
    "contact": "City hotline 0231 50-0",
}
FORMS: dict[str, tuple[str, Limits, Escape]] = {
    "mastodon": ("post", Limits(Measure.MASTODON, 500, link_length=23), Escape.MENTIONS),
    "bluesky": ("post", Limits(Measure.GRAPHEMES, 300, bytes_maximum=3000), Escape.MENTIONS),
    "x": ("x", Limits(Measure.WEIGHTED, 280), Escape.MENTIONS),
    "x-link": ("x-link", Limits(Measure.WEIGHTED, 280), Escape.MENTIONS),
    "mail": ("mail", Limits(Measure.CHARACTERS, 20_000), Escape.MAIL),
    "sms": ("sms", Limits(Measure.SEGMENTS, 2), Escape.NONE),
    "pager": ("pager", Limits(Measure.CHARACTERS, 240), Escape.NONE),
    "chat": ("chat", Limits(Measure.CHARACTERS, 600), Escape.CHAT),
    "webhook": ("webhook", Limits(Measure.CHARACTERS, 10_000), Escape.NONE),
}
RENDERER = Renderer()


def channel(family: str, escape: Escape = Escape.NONE, **config: Any) -> Channel:
    """Make a channel of which only what rendering asks for is there."""
    settings = ChannelConfig(name="one", type="one", **config)
    made = SimpleNamespace(config=settings, template=family, escape=escape, picture=None)
    return cast("Channel", made)


def alert(*infos: dict[str, Any], **fields: Any) -> Alert:
    """Make the scenario's alert, or one with these blocks."""
    message = {
        "identifier": "1",
        "sender": "leitstelle@feuerwehr.example",
        "sent": SENT,
        "status": "Actual",
        "msgType": "Alert",
        "info": list(infos or (GERMAN, ENGLISH)),
    }
    return Alert.model_validate(message | fields)


def facts(one: Alert, **changes: Any) -> Facts:
    """Make the facts of an alert that is accepted when it is sent."""
    expires = one.expires or SENT + timedelta(hours=6)
    known = Facts(one, REFERENCE, None, SENT, BERLIN, "Stadt Dortmund", expires)
    return replace(known, **changes)


def text_of(rendered: Rendered) -> str:
    """Return the text, which must be there."""
    assert rendered.message, rendered.reason
    return rendered.message.text


def german(one: Alert, family: str = "post", limits: Limits = ENOUGH, **changes: Any) -> str:
    """Render the first part of an alert."""
    return text_of(RENDERER.render(facts(one, **changes), channel(family), limits)[0])


class TestTheScenario:
    """The alert of the night, its update and its all-clear, as people read them."""

    def test_an_alert_reads_hazard_place_source_action_time(self) -> None:
        """The whole text of a post in German."""
        assert german(alert(), reference="26-0142/1").splitlines() == [
            "Gefahr: Großbrand in Dortmund-Hörde: Fenster und Türen schließen",
            "Feuerwehr Dortmund, Stand 18:05 Uhr",
            "",
            "In Hörde brennt eine Lagerhalle. Rauch zieht nach Nordosten.",
            "",
            "Schließen Sie Fenster und Türen. Schalten Sie Lüftungen aus.",
            "",
            "Gilt bis 20:00 Uhr. Nr. 26-0142/1",
            "Mehr: https://www.dortmund.example/warnung",
            "Kontakt: Bürgertelefon 0231 50-0",
        ]

    def test_the_english_text_is_a_text_of_its_own(self) -> None:
        """No word of German is left but names."""
        _, second = RENDERER.render(facts(alert()), channel("x"), ENOUGH)
        assert second.part == "en"
        assert text_of(second).splitlines() == [
            "Danger: Major fire in Dortmund-Hörde: close windows and doors",
            "A warehouse is burning in Hörde. Smoke is drifting north-east.",
            "Close windows and doors. Switch off ventilation.",
            "Dortmund Fire Service, as of 18:05, in force until 20:00",
            "No. 26-0142/2",
        ]

    def test_an_update_begins_so_and_names_what_it_replaces(self) -> None:
        """A day that is not today is named."""
        block = GERMAN | {
            "headline": "Der Wind hat gedreht",
            "expires": "2026-11-23T06:00:00+01:00",
        }
        said = german(alert(block, msgType="Update"), replaces=REPLACED)
        assert said.startswith("Aktualisierung – Gefahr: Großbrand – Dortmund-Hörde\n")
        assert "\nDer Wind hat gedreht\n" in said
        assert "\nGilt bis 23.11., 06:00 Uhr. Nr. 26-0142/2, ersetzt Nr. 26-0142/1\n" in said

    def test_an_all_clear_is_quiet(self) -> None:
        """It says that it is over, and nothing of what was to be done."""
        block = GERMAN | {"description": "Das Feuer ist gelöscht."}
        said = german(alert(block, msgType="Cancel"), replaces=REPLACED)
        assert said.splitlines() == [
            "Entwarnung: Großbrand – Dortmund-Hörde",
            "Feuerwehr Dortmund, Stand 18:05 Uhr",
            "",
            "Die Warnung ist aufgehoben.",
            "Das Feuer ist gelöscht.",
            "",
            "Nr. 26-0142/2, hebt Nr. 26-0142/1 auf",
            "Mehr: https://www.dortmund.example/warnung",
        ]

    def test_mail_has_a_subject(self) -> None:
        """The subject is the first line; other families have none."""
        first, second = RENDERER.render(facts(alert()), channel("mail"), ENOUGH)
        assert first.message
        assert first.message.subject == first.message.text.splitlines()[0]
        assert "Das sollten Sie jetzt tun:\nSchließen Sie" in first.message.text
        assert "What you should do now:\nClose windows" in text_of(second)
        assert RENDERER.render(facts(alert()), channel("post"), ENOUGH)[0].message == Message(
            german(alert()), "de", length=len(german(alert())), limit=100_000
        )

    @pytest.mark.parametrize(
        ("later", "stand"),
        [
            ({"days": 1}, "Stand 22.11., 18:05 Uhr"),
            ({"days": 365}, "Stand 22.11.2026, 18:05 Uhr"),
        ],
    )
    def test_a_day_that_is_not_today_is_named(self, later: dict[str, int], stand: str) -> None:
        """With the year where it is not this one: only an all-clear can be so late."""
        over = alert(msgType="Cancel")
        assert stand in german(over, accepted=SENT + timedelta(**later))

    def test_time_is_told_in_the_configured_zone(self) -> None:
        """An alert of yesterday says so in its time."""
        late = german(alert(), timezone=ZoneInfo("Asia/Tokyo"), accepted=SENT - timedelta(hours=9))
        assert "Stand 23.11., 02:05 Uhr" in late
        assert "Stand 18:05 Uhr" in german(alert())

    @pytest.mark.parametrize(
        ("severity", "level"),
        [
            ("Extreme", "Extreme Gefahr: "),
            ("Severe", "Gefahr: "),
            ("Moderate", "Warnung: "),
            ("Minor", "Gefahreninformation: "),
            ("Unknown", "Warnung: "),
        ],
    )
    def test_the_level_is_a_word_people_know(self, severity: str, level: str) -> None:
        """No bare numbers, no CAP jargon."""
        assert german(alert(GERMAN | {"severity": severity})).startswith(level)


class TestAllClear:
    """What is over is not said again."""

    @pytest.mark.parametrize("form", FORMS)
    def test_it_never_repeats_the_old_instruction(self, form: str) -> None:
        """In no family and no language, even where the Cancel carries it along."""
        family, limits, escape = FORMS[form]
        over = facts(alert(msgType="Cancel"), replaces=REPLACED, ended=alert().info)
        for rendered in RENDERER.render(over, channel(family, escape), limits):
            said = text_of(rendered)
            assert said.startswith(("Entwarnung: ", "All clear: "))
            for old in ("Fenster", "Lüftung", "windows", "ventilation", "brennt", "burning"):
                assert old not in said

    def test_its_own_words_are_kept(self) -> None:
        """Sentences that the warning had are left out, new ones stay."""
        block = GERMAN | {"description": "In Hörde brennt eine Lagerhalle. Das Feuer ist aus."}
        said = german(alert(block, msgType="Cancel"), ended=alert().info)
        assert "Das Feuer ist aus." in said
        assert "brennt" not in said

    def test_a_tight_all_clear_names_what_it_ends_to_the_last(self) -> None:
        """The minimal text still does; only where even that is too long it is dropped."""
        over = facts(alert(msgType="Cancel"), replaces=REPLACED)
        full = german(over.alert, replaces=REPLACED)
        sizes = (Limits(Measure.CHARACTERS, size) for size in range(len(full), 0, -1))
        texts = [RENDERER.render(over, channel("x"), limits)[0] for limits in sizes]
        fitting = [one for one in texts if one.message]
        naming = [one for one in fitting if names_reference(text_of(one), REPLACED)]
        assert fitting[: len(naming)] == naming
        assert naming[-1].warnings == ("only the minimal text fits",)
        assert len(fitting) > len(naming)


class TestExercises:
    """A text of an exercise can never be taken for danger."""

    @pytest.mark.parametrize("message", ["Alert", "Update", "Cancel"])
    @pytest.mark.parametrize(
        ("status", "marks"),
        [
            ("Exercise", ("ÜBUNG", "EXERCISE")),
            ("Test", ("PROBEWARNUNG", "TEST")),
            ("System", ("PROBEWARNUNG", "TEST")),
        ],
    )
    def test_the_mark_is_never_lost(
        self, status: str, marks: tuple[str, str], message: str
    ) -> None:
        """In every family, at every limit at which there is a text, and in the subject."""
        drill = facts(alert(status=status, msgType=message))
        for family in ("post", "x", "mail", "sms", "chat", "webhook", "pager"):
            for maximum in (100, 120, 150, 200, 300, 1000):
                limits = Limits(Measure.CHARACTERS, maximum)
                for rendered, mark in zip(
                    RENDERER.render(drill, channel(family), limits), marks, strict=True
                ):
                    if rendered.message:
                        assert rendered.message.text.startswith(f"{mark} – ")
                        assert (rendered.message.subject or mark).startswith(mark)

    def test_a_citys_template_cannot_forget_it(self, tmp_path: Path) -> None:
        """The mark is put before whatever a template says."""
        own = city(tmp_path, "{{ event }} {{ reference }}")
        (part,) = own.render(facts(alert(GERMAN, status="Test")), channel("post"), ENOUGH)
        assert text_of(part) == "PROBEWARNUNG – Großbrand 26-0142/2"

    def test_an_actual_alert_has_no_mark(self) -> None:
        """Nothing stands before the level of a real alert."""
        assert german(alert()).startswith("Gefahr: ")


class TestFitting:
    """Whole details go, in a fixed order, and never what must stay."""

    def test_a_text_at_its_limit_is_whole(self) -> None:
        """Exactly at the limit and one above nothing is dropped; one below something is."""
        whole = german(alert())
        for measure in (Measure.CHARACTERS, Measure.GRAPHEMES, Measure.WEIGHTED, Measure.MASTODON):
            size = length(whole, Limits(measure, 1))
            assert german(alert(), limits=Limits(measure, size + 1)) == whole
            assert german(alert(), limits=Limits(measure, size)) == whole
            assert german(alert(), limits=Limits(measure, size - 1)) != whole

    def test_detail_goes_in_a_fixed_order(self) -> None:
        """Contact, link, description from its end, instructions from their end, headline."""
        details = [
            "Kontakt:",
            "Mehr:",
            "Rauch zieht",
            "In Hörde brennt",
            "Schalten Sie",
            "Fenster und Türen schließen",
            "ersetzt",
            "Gefahr:",
            "gilt bis",
        ]
        update = alert(msgType="Update")
        lost: list[str] = []
        for maximum in range(420, 0, -1):
            limits = Limits(Measure.CHARACTERS, maximum)
            first = RENDERER.render(facts(update, replaces=REPLACED), channel("post"), limits)[0]
            if not first.message:
                break
            gone = [one for one in details if one.lower() not in first.message.text.lower()]
            assert gone[: len(lost)] == lost
            lost = gone
        assert lost == details

    def test_no_sentence_is_ever_cut(self) -> None:
        """At every limit each sentence is there from its first to its last word, or not at all."""
        sentences = [
            "In Hörde brennt eine Lagerhalle.",
            "Rauch zieht nach Nordosten.",
            "Schließen Sie Fenster und Türen.",
            "Schalten Sie Lüftungen aus.",
        ]
        for maximum in range(110, 420):
            said = german(alert(), limits=Limits(Measure.CHARACTERS, maximum))
            for sentence in sentences:
                assert (sentence in said) or (sentence[:12] not in said)

    def test_the_minimal_text_says_what_must_be_said(self) -> None:
        """Event, place, first sentence of the instruction, source, time, reference."""
        shortest, part = least(alert(), "post")
        assert text_of(part).splitlines() == [
            "Großbrand – Dortmund-Hörde",
            "Schließen Sie Fenster und Türen.",
            "Feuerwehr Dortmund, Stand 18:05 Uhr",
            "Nr. 26-0142/2",
        ]
        assert part.warnings == ("only the minimal text fits",)
        assert part.message
        assert (part.message.length, part.message.limit) == (shortest, shortest)

    @pytest.mark.parametrize("family", ["post", "x", "mail", "sms", "chat", "webhook"])
    def test_what_cannot_fit_is_withheld_with_its_length(self, family: str) -> None:
        """One below the minimal text there is a reason that names length and limit."""
        shortest, _ = least(alert(), family)
        limits = Limits(Measure.CHARACTERS, shortest - 1)
        part = RENDERER.render(facts(alert()), channel(family), limits)[0]
        assert part == Rendered(
            "de",
            None,
            f"even the minimal text needs {shortest} characters; only {shortest - 1} fit",
        )

    def test_a_limit_on_bytes_is_named_as_such(self) -> None:
        """Who reads the reason must not look for characters."""
        limits = Limits(Measure.GRAPHEMES, 300, bytes_maximum=50)
        part = RENDERER.render(facts(alert()), channel("post"), limits)[0]
        assert part.reason == "even the minimal text needs 115 bytes; only 50 fit"

    def test_one_language_that_does_not_fit_withholds_itself_alone(self) -> None:
        """The other one goes out."""
        long = GERMAN | {"event": "Sehr " * 15 + "großer Brand"}
        limits = Limits(Measure.CHARACTERS, 160)
        first, second = RENDERER.render(facts(alert(long, ENGLISH)), channel("post"), limits)
        assert (first.message, second.reason) == (None, None)
        assert second.message

    def test_sms_stay_in_gsm(self) -> None:
        """Dashes and quotes are spelled plainly, so that a German warning fits one SMS."""
        said = german(alert(), "sms", Limits(Measure.SEGMENTS, 1))
        assert said.splitlines() == [
            "Gefahr: Großbrand - Dortmund-Hörde",
            "Schließen Sie Fenster und Türen.",
            "Feuerwehr Dortmund, Stand 18:05 Uhr, gilt bis 20:00 Uhr",
            "Nr. 26-0142/2",
        ]

    def test_a_listed_first_action_is_kept_whole(self) -> None:
        """What announces a list belongs to its first item."""
        block = GERMAN | {"instruction": "Bitte jetzt:\n- Fenster schließen\n- Lüftung aus"}
        _, part = least(alert(block), "post")
        assert "Bitte jetzt:\n- Fenster schließen\nFeuerwehr" in text_of(part)


class TestX:
    """One post that stands on its own, and costs no more than it must."""

    def test_it_carries_no_link(self) -> None:
        """Neither the alert's link nor one in a sentence, unless the other family is configured."""
        block = GERMAN | {"description": "Es brennt. Mehr auf dortmund.de heute. Rauch zieht."}
        said = german(alert(block), "x")
        assert extract_urls(said) == []
        assert "Es brennt. Rauch zieht." in said
        assert german(alert(block), "x-link").endswith("\nhttps://www.dortmund.example/warnung")

    def test_a_link_in_the_first_action_stays_and_is_told(self) -> None:
        """The first action is never dropped, but who pays is warned."""
        block = GERMAN | {"instruction": "Prüfen Sie auf dortmund.de Ihre Adresse. Warten Sie."}
        (part,) = RENDERER.render(facts(alert(block)), channel("x"), ENOUGH)
        assert "Prüfen Sie auf dortmund.de Ihre Adresse." in text_of(part)
        assert part.warnings == ("the first action holds a link, which X bills",)


class TestLanguages:
    """Only what the alert says in a language is posted in it."""

    def test_the_channel_filters_and_orders(self) -> None:
        """One part per language, named by its primary tag."""
        regional = alert(GERMAN | {"language": "de-DE"}, ENGLISH | {"language": "en-GB"})
        both = RENDERER.render(facts(regional), channel("post"), ENOUGH)
        assert [part.part for part in both] == ["de", "en"]
        turned = channel("post", languages=("en", "tr", "de"))
        assert [part.part for part in RENDERER.render(facts(regional), turned, ENOUGH)] == [
            "en",
            "de",
        ]
        one = RENDERER.render(facts(regional), channel("post", languages=("en",)), ENOUGH)
        assert [part.message and part.message.language for part in one] == ["en"]

    def test_a_channel_without_its_language_is_withheld(self) -> None:
        """No other language stands in."""
        (part,) = RENDERER.render(facts(alert()), channel("post", languages=("tr", "ar")), ENOUGH)
        reason = "the alert has no text in the language of this channel (tr, ar)"
        assert part == Rendered("tr", None, reason)

    def test_a_language_without_texts_is_named_in_a_warning(self) -> None:
        """The others go out; alone it is withheld."""
        french = ENGLISH | {"language": "fr"}
        (part,) = RENDERER.render(facts(alert(french, GERMAN)), channel("post"), ENOUGH)
        assert (part.part, part.warnings) == (
            "de",
            ("not posted in fr: there are no texts for it",),
        )
        (alone,) = RENDERER.render(facts(alert(french)), channel("post"), ENOUGH)
        assert alone.reason == "there are no texts for the language of the alert (fr)"


class TestHalfTranslated:
    """What BBK calls English is often German with one English sentence."""

    HALF = ENGLISH | {"description": GERMAN["description"]}
    WHY = "its description is the de one, not translated"

    def test_it_is_not_posted_and_named(self) -> None:
        """The German text goes out, the English one does not."""
        both = alert(self.HALF, GERMAN)
        (part,) = RENDERER.render(facts(both), channel("post"), ENOUGH)
        assert (part.part, part.warnings) == ("de", (f"not posted in en: {self.WHY}",))
        assert RENDERER.parts(both, channel("post")) == ["de"]
        assert RENDERER.card(facts(both), "en") is None

    def test_a_channel_for_that_language_alone_is_withheld(self) -> None:
        """With the reason, so that somebody can translate it."""
        english = channel("post", languages=("en",))
        (part,) = RENDERER.render(facts(alert(GERMAN, self.HALF)), english, ENOUGH)
        assert part == Rendered("en", None, f"not posted in en: {self.WHY}")

    def test_an_instruction_alone_is_whole(self) -> None:
        """Fixed parts and a translated instruction make a text without a foreign word."""
        block = {name: value for name, value in ENGLISH.items() if name != "description"}
        parts = RENDERER.render(facts(alert(GERMAN, block)), channel("post"), ENOUGH)
        assert [one.part for one in parts] == ["de", "en"]
        assert "brennt" not in text_of(parts[1])

    def test_an_all_clear_goes_by_its_fixed_text(self) -> None:
        """It says enough without the description that is not its own."""
        said = {"description": "Das Feuer ist gelöscht, die Straßen sind wieder frei."}
        over = alert(GERMAN | said, ENGLISH | said, msgType="Cancel")
        german, english = RENDERER.render(facts(over), channel("post"), ENOUGH)
        assert "Das Feuer ist gelöscht" in text_of(german)
        assert german.warnings == (f"only the fixed text in en: {self.WHY}",)
        assert text_of(english).splitlines() == [
            "All clear: Major fire – Dortmund-Hörde",
            "Dortmund Fire Service, as of 18:05",
            "",
            "The warning has been lifted.",
            "",
            "No. 26-0142/2",
            "More: https://www.dortmund.example/warnung",
        ]

    @pytest.mark.parametrize("own", [True, False], ids=["own words", "no words"])
    def test_an_all_clear_speaks_every_language_the_warning_spoke(self, own: bool) -> None:  # noqa: FBT001
        """Also where its sender wrote one language, or nothing at all; nothing else is in it."""
        tags = ("de", "DE-LS", "en", "tr", "ar", "uk", "pl", "ro", "ru")
        warning = alert(*(GERMAN | {"language": tag, "description": tag * 30} for tag in tags))
        text = "Das Feuer ist gelöscht."
        infos = all_clear([warning], text, "de")
        if own:
            said = alert(GERMAN | {"description": text}, msgType="Cancel")
            infos = completed(said.info, [warning])
        over = warning.model_copy(update={"info": infos, "msg_type": MsgType.CANCEL})
        known = facts(over, replaces=REPLACED, ended=warning.info)
        parts = RENDERER.render(known, channel("post"), ENOUGH)
        languages = [primary(tag) for tag in tags]
        assert [one.part for one in parts] == languages
        assert [one.part for one in parts if text in text_of(one)] == ["de"]
        assert not [one for one in parts if "Fenster" in text_of(one) or one.warnings]

    def test_a_real_message_of_bbk_is_not_posted_half_translated(self) -> None:
        """Nine languages, of which eight have the German description."""
        real = json.loads(
            shared_path("data/nina/warning-mowas-cancel-hessen-9lang.json").read_text("utf-8")
        )
        blocks = [
            GERMAN
            | {"language": one["language"], "description": html.unescape(one["description"])}
            | {"instruction": one["instruction"]}
            for one in real["info"]
        ]
        parts = RENDERER.render(facts(alert(*blocks)), channel("post"), ENOUGH)
        assert [one.part for one in parts] == ["de"]
        assert len(parts[0].warnings) == 8


class TestParts:
    """Several languages on one channel: posts of their own, replies, or one post."""

    NINE = ("de", "de-simple", "en", "tr", "ar", "uk", "pl", "ro", "ru")

    def nine(self) -> Facts:
        """Give an alert in nine languages."""
        return facts(
            alert(*(GERMAN | {"language": one, "description": one * 30} for one in self.NINE))
        )

    def test_replies_answer_the_first(self) -> None:
        """The first language is the post, every further one answers it."""
        parts = RENDERER.render(self.nine(), channel("post", parts="replies"), ENOUGH)
        assert [one.part for one in parts] == list(self.NINE)
        assert [one.message and one.message.after for one in parts] == [None, *["de"] * 8]
        posts = RENDERER.render(self.nine(), channel("post"), ENOUGH)
        assert {one.message and one.message.after for one in posts} == {None}
        assert [text_of(one) for one in posts] == [text_of(one) for one in parts]

    def test_replies_answer_the_first_that_goes_out(self) -> None:
        """One that fits nowhere is no post to answer."""
        long = GERMAN | {"event": "Sehr " * 15 + "großer Brand"}
        limits = Limits(Measure.CHARACTERS, 160)
        three = alert(long, ENGLISH, GERMAN | {"language": "tr", "description": "Yangın."})
        parts = RENDERER.render(facts(three), channel("post", parts="replies"), limits)
        after = [(one.part, one.message.after) for one in parts if one.message]
        assert (parts[0].message, after) == (None, [("en", None), ("tr", "en")])

    def test_one_post_holds_all_languages_in_order(self) -> None:
        """Each text whole, a line between them, and every reference in it."""
        one = facts(alert())
        order = channel("post", parts="one", languages=("en", "de"))
        (part,) = RENDERER.render(one, order, ENOUGH)
        apart = RENDERER.render(one, channel("post", languages=("en", "de")), ENOUGH)
        assert part.part == "en+de"
        assert part.message
        assert part.message.language == "en"
        assert part.message.text == "\n—\n".join(map(text_of, apart))
        assert part.message.length == len(part.message.text)
        assert part.warnings == ()

    @pytest.mark.parametrize("status", ["Actual", "Exercise"])
    def test_languages_in_one_post_are_cut_together(self, status: str) -> None:
        """None says more than another, and each keeps at least its minimal text."""
        one, least_seen = facts(alert(status=status)), 0
        parts: list[Rendered] = []
        for maximum in range(760, 100, -1):
            limits = Limits(Measure.CHARACTERS, maximum)
            parts = RENDERER.render(one, channel("post", parts="one"), limits)
            if len(parts) > 1:
                break
            least_seen = maximum
            german, english = text_of(parts[0]).split("\n—\n")
            assert ("Rauch zieht" in german) == ("Smoke is" in english)
            assert ("Schalten Sie" in german) == ("Switch off" in english)
            assert ("Kontakt:" in german) == ("Contact:" in english)
            for said, first, mark in (
                (german, "Schließen Sie Fenster und Türen.", "ÜBUNG – "),
                (english, "Close windows and doors.", "EXERCISE – "),
            ):
                assert first in said
                assert names_reference(said, REFERENCE)
                assert said.startswith(mark) == (status == "Exercise")
        assert 200 < least_seen < 300
        need = f"even the minimal text needs {least_seen} characters; only {least_seen - 1} fit"
        assert [one.part for one in parts] == ["de", "en"]
        assert parts[0].warnings == (f"the languages are posts of their own: {need}",)
        assert len(text_of(parts[0])) > least_seen / 2

    def test_one_language_is_one_post_as_ever(self) -> None:
        """There is nothing to join."""
        one = facts(alert(GERMAN))
        (part,) = RENDERER.render(one, channel("post", parts="one"), ENOUGH)
        assert part.part == "de"
        assert [part] == RENDERER.render(one, channel("post"), ENOUGH)

    def test_one_sms_stays_in_gsm(self) -> None:
        """The line between two languages is spelled plainly too."""
        limits = Limits(Measure.SEGMENTS, 4)
        (part,) = RENDERER.render(facts(alert()), channel("sms", parts="one"), limits)
        assert is_gsm(text_of(part))
        assert "\n-\n" in text_of(part)

    def test_one_broken_language_does_not_take_the_others_along(self, tmp_path: Path) -> None:
        """Its template withholds it alone."""
        own = city(tmp_path, "{{ nobody }}")
        parts = own.render(facts(alert()), channel("post", parts="one"), ENOUGH)
        assert [one.message is None for one in parts] == [True, False]
        assert parts[0].warnings[0].startswith("the languages are posts of their own: de/post")

    @pytest.mark.parametrize("parts", ["threads", "", None])
    def test_there_are_three_ways(self, parts: str | None) -> None:
        """Anything else is a fault of the configuration."""
        with pytest.raises(ValidationError):
            channel("post", parts=parts)


class TestVideos:
    """A title as YouTube takes it: 100 characters, and no angle brackets anywhere."""

    @pytest.mark.parametrize("status", ["Actual", "Exercise"])
    @pytest.mark.parametrize("event", ["Großbrand", "5 < 6 > 4 " * 9 + "Ende"])
    def test_title_and_text(self, status: str, event: str) -> None:
        """The mark stays in front, and words are cut whole."""
        one = alert(GERMAN | {"event": event.strip(), "headline": None}, status=status)
        (part,) = RENDERER.render(facts(one), channel("youtube"), ENOUGH)
        assert part.message
        title = part.message.subject
        assert title
        assert len(title) <= 100
        assert not set("<>") & set(title + part.message.text)
        assert title.startswith("ÜBUNG – Gefahr: " if status == "Exercise" else "Gefahr: ")
        assert title.endswith("…") == (event != "Großbrand")


def city(directory: Path, text: str, name: str = "post") -> Renderer:
    """Give the city a German template of its own."""
    (directory / "de").mkdir(exist_ok=True)
    (directory / "de" / f"{name}.txt.j2").write_text(text, "utf-8")
    return Renderer(directory)


class TestTemplates:
    """Alert texts are values, and a city's templates can break nothing but themselves."""

    def test_an_alert_is_never_a_template(self) -> None:
        """What looks like one stays as it was written."""
        block = GERMAN | {"event": "{{7*7}}", "description": "{% raw %} {{ config }} {# x #}"}
        said = german(alert(block))
        assert "{{7*7}}" in said
        assert "{% raw %} {{ config }} {# x #}" in said

    @pytest.mark.parametrize("text", ["{{ nobody }}", "{{ 1/0 }}", "{% if %}", "{{ event.x.y }}"])
    def test_a_broken_template_withholds_that_delivery_alone(
        self, tmp_path: Path, text: str
    ) -> None:
        """Accepting goes on; the reason names the template."""
        own = city(tmp_path, text)
        first, second = own.render(facts(alert()), channel("post"), ENOUGH)
        assert first.message is None
        assert first.reason
        assert "de/post.txt.j2" in first.reason
        assert second.message
        assert own.render(facts(alert()), channel("x"), ENOUGH)[0].message

    def test_a_channel_may_name_another_template(self, tmp_path: Path) -> None:
        """The configuration's template comes before the type's family."""
        own = city(tmp_path, "Kurz: {{ event }} {{ reference }}", "kurz")
        named = channel("post", template="kurz", languages=("de",))
        assert text_of(own.render(facts(alert()), named, ENOUGH)[0]) == "Kurz: Großbrand 26-0142/2"
        missing = channel("post", template="lang", languages=("de",))
        (part,) = own.render(facts(alert()), missing, ENOUGH)
        assert part.reason == "there is no template lang for de"

    def test_a_template_without_the_reference_is_refused(self, tmp_path: Path) -> None:
        """A post without it could never be found again after a lost answer."""
        own = city(tmp_path, "{{ event }}")
        part = own.render(facts(alert()), channel("post"), ENOUGH)[0]
        assert part.reason == "the template post (de) leaves out the reference"

    def test_hashtags_are_the_first_to_go(self, tmp_path: Path) -> None:
        """A city may add its own; none are there by default."""
        own = city(
            tmp_path,
            "{{ reference }} {{ contact or '' }}{% if hashtags %} #dobombe{% endif %}",
        )
        block = GERMAN | {"contact": "0231"}
        size = len("26-0142/2 0231 #dobombe")
        for maximum, expected in ((size, "26-0142/2 0231 #dobombe"), (size - 1, "26-0142/2 0231")):
            limits = Limits(Measure.CHARACTERS, maximum)
            assert text_of(own.render(facts(alert(block)), channel("post"), limits)[0]) == expected
        assert "#" not in german(alert())


class TestMisses:
    """What a channel is configured for and nobody wrote is known before it is needed."""

    def test_what_is_there_is_not_missed(self) -> None:
        """Every family of the project exists in all its languages."""
        for family, _, _ in FORMS.values():
            assert RENDERER.misses(channel(family)) == []
            assert RENDERER.misses(channel(family, languages=["de-DE", "en"])) == []
        pictured = channel("instagram")
        pictured.picture = SQUARE
        assert RENDERER.misses(pictured) == []

    def test_a_mistyped_template_is_missed_in_every_language(self) -> None:
        """It would withhold every alert there."""
        found = RENDERER.misses(channel("post", template="psot", languages=["de", "DE-LS"]))
        assert found == [
            "there is no template psot for de",
            "there is no template psot for de-simple",
        ]
        assert len(RENDERER.misses(channel("post", template="psot"))) == 9

    def test_a_language_without_texts_is_missed(self) -> None:
        """Its parts would never go out."""
        missed = ["there are no texts for the language fr"]
        assert RENDERER.misses(channel("post", languages=["de", "fr-FR"])) == missed

    def test_a_citys_language_needs_the_minimal_text_too(self, tmp_path: Path) -> None:
        """A long alert falls back on it, and it needs words."""
        (tmp_path / "fr").mkdir()
        marks = '{"Exercise": "EXERCICE", "Test": "TEST", "System": "TEST"}'
        (tmp_path / "fr" / "words.txt.j2").write_text(f"{{% set marks = {marks} %}}", "utf-8")
        (tmp_path / "fr" / "post.txt.j2").write_text("{{ event }} {{ reference }}", "utf-8")
        (found,) = Renderer(tmp_path).misses(channel("post", languages=["fr"]))
        assert found.startswith("fr/minimal.txt.j2 does not work: ")

    def test_a_broken_card_is_missed_where_a_card_is_taken(self, tmp_path: Path) -> None:
        """Else its posts would go without, and nobody knew why."""
        own = city(tmp_path, "{{ nobody }}", "card")
        assert own.misses(channel("post", languages=["de"])) == []
        pictured = channel("post", languages=["de"])
        pictured.picture = SQUARE
        (found,) = own.misses(pictured)
        assert found.startswith("de/card.txt.j2 does not work: ")


class TestSharing:
    """Two hundred webhooks cost one rendering."""

    def test_the_same_form_is_rendered_once_per_alert(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Per family, language, limits and escape; another alert is rendered anew."""
        calls: list[tuple[str, str]] = []
        fill = Texts.fill

        def counted(self: Texts, language: str, family: str, values: Any) -> Any:
            calls.append((language, family))
            return fill(self, language, family, values)

        monkeypatch.setattr(Texts, "fill", counted)
        one = alert()
        for _ in range(200):
            RENDERER.render(facts(one), channel("webhook"), ENOUGH)
        assert sorted(calls) == [("de", "webhook"), ("en", "webhook")]
        RENDERER.render(facts(one), channel("webhook", Escape.CHAT), ENOUGH)
        RENDERER.render(facts(one, reference="26-0143/1"), channel("webhook"), ENOUGH)
        assert len(calls) == 6


def least(one: Alert, family: str) -> tuple[int, Rendered]:
    """Find the smallest limit at which there is a text, and that text."""
    for maximum in range(1, 1000):
        limits = Limits(Measure.CHARACTERS, maximum)
        part = RENDERER.render(facts(one), channel(family), limits)[0]
        if part.message:
            return maximum, part
    raise AssertionError("nothing fits")


WORDS = st.sampled_from(
    [
        *(
            "Großbrand",
            "Übung",
            "O'Brien",
            "5 < 6",
            "@stadt",
            "#Hörde",
            "z. B.",
            "Nr. 5",
            "–",
            "\\",
        ),
        *("🔥", "👨‍👩‍👧‍👦", "🇩🇪", "حريق", "أغلق النوافذ", "https://a.example/x?y=1", "dortmund.de"),
        *(
            "Donaudampfschifffahrtsgesellschaftskapitän" * 2,
            "{{7*7}}",
            "**",
            "<b>",
            "한국",
            "&amp;",
        ),
        *("Fenster", "schließen", "06:00 Uhr", "e\u0301", "info@stadt.example", "_x_", "`", "ﬁ"),
        *("„so“", "ca. 3 km"),
    ]
)
LINES = st.lists(WORDS, min_size=1, max_size=3).map(" ".join)
PARAGRAPHS = st.lists(
    st.lists(WORDS, min_size=1, max_size=8).map(lambda words: " ".join(words) + ". "), max_size=12
).map("".join)
OPTIONAL = {"headline": LINES, "description": PARAGRAPHS, "instruction": PARAGRAPHS}


@st.composite
def alerts(draw: st.DrawFn) -> Alert:
    """Make alerts as they come through the door, in both languages."""
    blocks: list[dict[str, Any]] = []
    for language in ("de", "en"):
        block = {key: GERMAN[key] for key in ("category", "urgency", "severity", "certainty")}
        block |= {"language": language, "event": draw(LINES), "area": [{"areaDesc": draw(LINES)}]}
        block |= {"senderName": draw(LINES)} | {
            name: draw(some) for name, some in OPTIONAL.items() if draw(st.booleans())
        }
        if blocks and block.get("description") == blocks[0].get("description"):
            block.pop("description", None)  # it would be half translated
        blocks.append({name: value for name, value in block.items() if value})
    message = {
        "msgType": draw(st.sampled_from(["Alert", "Update", "Cancel"])),
        "status": draw(st.sampled_from(["Actual", "Actual", "Exercise"])),
    }
    try:
        return alert(*blocks, **message)
    except ValidationError:
        return alert(**message)  # a long line is refused at the door


@pytest.mark.parametrize("form", FORMS)
@given(one=alerts())
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_every_text_fits_and_says_what_must_be_said(form: str, one: Alert) -> None:
    """Within the limits, with event, place, first action, source, time and reference."""
    family, limits, escape = FORMS[form]
    parts = RENDERER.render(facts(one, replaces=REPLACED), channel(family, escape), limits)
    assert [part.part for part in parts] == ["de", "en"]
    for info, part in zip(one.info, parts, strict=True):
        if part.message is None:
            assert part.reason
            assert part.reason.startswith("even the minimal text needs ")
            continue
        said = part.message.text
        assert fits(said, limits)
        assert part.message.length == length(said, limits)
        assert names_reference(said, REFERENCE)
        assert ("Stand 18:05 Uhr" if part.part == "de" else "as of 18:05") in said
        action = sentences(info.instruction or "")[:1] if not one.is_all_clear else []
        for must in (info.event, info.place, info.sender_name, *action):
            assert must
            spelled = harmless(must.strip(), escape)
            assert (gsm_spelling(spelled) if form == "sms" else spelled) in said


@given(one=alerts())
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_x_would_take_every_text_for_it(one: Alert) -> None:
    """The network's own parser finds each text valid, and nobody is mentioned."""
    _, limits, escape = FORMS["x"]
    for part in RENDERER.render(facts(one), channel("x", escape), limits):
        if part.message:
            assert parse_tweet(part.message.text).valid
            assert " @stadt" not in part.message.text


HOSTILE = [
    "xn--" * 900 + ".de",
    "xn--" * 240 + ".de ä. " * 4,
    "a\u200d" * 2000,
    "한. " * 1333,
    "- a\n" * 1000,
    "あ。" * 2000,
    "ä" * 3990 + " a.de",
    "a_" * 1990 + ".de",
    "가" * 900 + " a.de",
    "👍🏽" * 2000,
    "नमस्ते " * 570,
    ("https://a.invalid/" + "ä" * 470 + " ") * 8,
]
WORK_MAX = 20_000  # characters that the libraries look at, for all families and both languages


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:8]))
@pytest.mark.parametrize("field", ["description", "instruction"])
def test_no_text_keeps_the_door_waiting(
    monkeypatch: pytest.MonkeyPatch, field: str, text: str
) -> None:
    """Measuring takes a few readings of the text, and gives no tangle to X's library."""
    seen: list[str] = []
    _watch(monkeypatch, grapheme, "length", seen)
    for name in ("extract_urls", "parse_tweet"):
        _watch(monkeypatch, measuring, name, seen)
    measuring._in_word.cache_clear()
    measuring._weight.cache_clear()
    said = {field: text[:4000]}
    one = facts(alert(GERMAN | said, ENGLISH | said))
    for family, limits, escape in FORMS.values():
        RENDERER.render(one, channel(family, escape), limits)
    assert sum(map(len, seen)) <= WORK_MAX
    assert not [one for one in seen if "." in one and re.search(r"[^\s./]{64}(?=\S*\.)", one)]
    assert len(sentences(text[:4000])) <= SENTENCES_MAX


def _watch(monkeypatch: pytest.MonkeyPatch, place: Any, name: str, seen: list[str]) -> None:
    inner = getattr(place, name)

    def watched(text: str, *rest: Any) -> Any:
        seen.append(text)
        return inner(text, *rest)

    monkeypatch.setattr(place, name, watched)
