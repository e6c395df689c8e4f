# ruff: noqa: RUF001 - other scripts and dashes are what this is about
"""Nine languages: every text in each of them is whole, fits, and says what must be said."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from broadcaster.channels import Escape, Limits, Measure
from broadcaster.delivery import names_reference
from broadcaster.facts import Facts
from broadcaster.measure import fits
from broadcaster.render import Rendered, Renderer
from broadcaster.texts import Texts
from broadcaster.wording import gsm_spelling, sentences
from tests.test_render import (
    ENOUGH,
    FORMS,
    GERMAN,
    REFERENCE,
    REPLACED,
    SENT,
    alert,
    channel,
    facts,
    text_of,
)

RENDERER = Renderer()
TEXTS = Texts()
FAMILIES: dict[str, tuple[str, Limits, Escape]] = FORMS | {
    "sms": ("sms", Limits(Measure.SEGMENTS, 3), Escape.NONE),
    "threads": ("post", Limits(Measure.THREADS, 500, links_maximum=5), Escape.MENTIONS),
    "instagram": ("instagram", Limits(Measure.CHARACTERS, 2200), Escape.MENTIONS),
    "youtube": ("youtube", Limits(Measure.CHARACTERS, 5000, bytes_maximum=5000), Escape.NONE),
}
SAID: dict[str, tuple[str, str, str, str, str]] = {
    "de": (
        "Großbrand",
        "Dortmund-Hörde",
        "Feuerwehr Dortmund",
        "In Hörde brennt eine Lagerhalle. Giftiger Rauch zieht nach Nordosten.",
        "Schließen Sie Fenster und Türen. Schalten Sie Lüftungen aus. Bleiben Sie im Haus.",
    ),
    "de-simple": (
        "Großes Feuer",
        "Dortmund-Hörde",
        "Feuer-Wehr Dortmund",
        "In Hörde brennt eine große Halle. Der Rauch ist giftig. Der Rauch zieht durch Hörde.",
        "Gehen Sie ins Haus. Machen Sie alle Fenster zu. Machen Sie alle Türen zu.",
    ),
    "en": (
        "Major fire",
        "Dortmund-Hörde",
        "Dortmund Fire Service",
        "A warehouse is burning in Hörde. Toxic smoke is drifting north-east.",
        "Close windows and doors. Switch off ventilation. Stay indoors.",
    ),
    "tr": (
        "Büyük yangın",
        "Dortmund-Hörde",
        "Dortmund İtfaiyesi",
        "Hörde'de bir depo yanıyor. Zehirli duman kuzeydoğuya doğru ilerliyor.",
        "Pencereleri ve kapıları kapatın. Havalandırmayı kapatın. Evde kalın.",
    ),
    "ar": (
        "حريق كبير",
        "دورتموند هورده",
        "إطفاء دورتموند",
        "يحترق مستودع في هورده. يتجه دخان سام نحو الشمال الشرقي.",
        "أغلقوا النوافذ والأبواب. أوقفوا أجهزة التهوية. ابقوا في منازلكم.",
    ),
    "uk": (
        "Велика пожежа",
        "Дортмунд-Герде",
        "Пожежна служба Дортмунда",
        "У районі Герде горить склад. Отруйний дим поширюється на північний схід.",
        "Зачиніть вікна та двері. Вимкніть вентиляцію. Залишайтеся в приміщенні.",
    ),
    "pl": (
        "Duży pożar",
        "Dortmund-Hörde",
        "Straż Pożarna w Dortmundzie",
        "W dzielnicy Hörde płonie hala magazynowa. Trujący dym przesuwa się na północny wschód.",
        "Zamknijcie okna i drzwi. Wyłączcie wentylację. Pozostańcie w domu.",
    ),
    "ro": (
        "Incendiu de proporții",
        "Dortmund-Hörde",
        "Pompierii din Dortmund",
        "În Hörde arde un depozit. Fumul toxic se deplasează spre nord-est.",
        "Închideți ferestrele și ușile. Opriți ventilația. Rămâneți în casă.",
    ),
    "ru": (
        "Крупный пожар",
        "Дортмунд-Хёрде",
        "Пожарная служба Дортмунда",
        "В районе Хёрде горит склад. Ядовитый дым распространяется на северо-восток.",
        "Закройте окна и двери. Выключите вентиляцию. Оставайтесь в помещении.",
    ),
}
ALL_CLEAR = {
    "de": "Entwarnung",
    "de-simple": "Die Gefahr ist vorbei",
    "en": "All clear",
    "tr": "Tehlike geçti",
    "ar": "زوال الخطر",
    "uk": "Небезпека минула",
    "pl": "Koniec zagrożenia",
    "ro": "Pericolul a trecut",
    "ru": "Опасность миновала",
}
GERMAN_WORDS = {
    *("Stand", "Mehr", "Kontakt", "Uhr", "gilt", "Gilt", "bis", "Warnung", "Gefahr", "Übung"),
    *("Nummer", "Dies", "Das", "Bild"),
}
SCRIPTS = {"ar": "ARABIC", "uk": "CYRILLIC", "ru": "CYRILLIC"}


def block(language: str) -> dict[str, Any]:
    """Return a realistic warning in a language."""
    event, place, sender, description, instruction = SAID[language]
    said = {"event": event, "senderName": sender, "description": description}
    said |= {"headline": f"{event} – {place}", "contact": "+49 231 50-0"}
    where = {"area": [{"areaDesc": place}], "language": language}
    return GERMAN | said | where | {"instruction": instruction}


def cases(*languages: str) -> Iterator[Facts]:
    """Give an alert, an update and an all-clear, in earnest and as an exercise."""
    for kind in ("Alert", "Update", "Cancel"):
        for status in ("Actual", "Exercise"):
            one = alert(*map(block, languages), msgType=kind, status=status)
            ended = one.info if kind == "Cancel" else ()
            yield facts(one, replaces=None if kind == "Alert" else REPLACED, ended=ended)


def rendered(one: Facts, form: str, **config: Any) -> list[Rendered]:
    """Render it for one network."""
    family, limits, escape = FAMILIES[form]
    return RENDERER.render(one, channel(family, escape, **config), limits)


@pytest.mark.parametrize("language", SAID)
@pytest.mark.parametrize("form", FAMILIES)
def test_a_realistic_text_fits_and_says_what_must_be_said(form: str, language: str) -> None:
    """Hazard, place, first action, source, time, reference and mark, within the limits."""
    for one in cases(language):
        (part,) = rendered(one, form)
        said = text_of(part)
        assert part.message
        assert (part.part, part.message.language) == (language, language)
        assert fits(said, FAMILIES[form][1])
        assert names_reference(said, REFERENCE)
        event, place, sender, _, instruction = SAID[language]
        over = one.alert.is_all_clear
        first, *_ = sentences(instruction)
        for must in (event, place, sender, "18:05", *([] if over else [first.strip()])):
            assert (gsm_spelling(must) if form == "sms" else must) in said
        mark = TEXTS.mark(language, one.alert.status)
        assert mark is None or said.startswith(f"{mark} ")
        head = said if mark is None else said[len(f"{mark} – ") :]
        assert head.startswith(ALL_CLEAR[language]) == over
        assert not over or first.strip() not in said


@pytest.mark.parametrize("language", SAID)
@pytest.mark.parametrize("form", ["mastodon", "threads", "mail", "instagram"])
def test_a_realistic_warning_needs_no_cut(form: str, language: str) -> None:
    """Where there are some 500 characters, everything is said, what to read further included."""
    for one in cases(language):
        said = text_of(rendered(one, form)[0])
        _, _, _, description, instruction = SAID[language]
        if not one.alert.is_all_clear:
            assert description in said
            assert instruction in said
            assert "20:00" in said
            assert "+49 231 50-0" in said
        assert "www.dortmund.example/warnung" in said
        assert one.replaces is None or names_reference(said, REPLACED)
        assert ("https://" in said) == (form != "instagram")


@pytest.mark.parametrize("language", SAID)
@pytest.mark.parametrize("form", FAMILIES)
def test_no_word_of_another_language_is_left(form: str, language: str) -> None:
    """Fixed parts are translated whole: in their own script, and without German words."""
    for one in cases(language):
        later = replace(one, accepted=SENT + timedelta(days=400))
        for text in (text_of(rendered(later, form)[0]), RENDERER.pointer(later, language)):
            fixed = text
            for own in (*SAID[language], *sentences(SAID[language][3]), "Nr. ", "https", "www"):
                fixed = fixed.replace(own.strip(), "")
            for own in sentences(SAID[language][4]):
                fixed = fixed.replace(own.strip(), "")
            fixed = fixed.replace("dortmund.example/warnung", "")
            if language not in {"de", "de-simple", "pl"}:  # Polish has "Kontakt" too
                assert not GERMAN_WORDS & set(fixed.replace(":", " ").split())
            letters = {unicodedata.name(one).split()[0] for one in fixed if one.isalpha()}
            assert letters == {SCRIPTS.get(language, "LATIN")}


def test_ukrainian_is_not_russian() -> None:
    """Letters that the other alphabet does not have."""
    ukrainian = text_of(rendered(next(cases("uk")), "mail")[0])
    russian = text_of(rendered(next(cases("ru")), "mail")[0])
    assert not set("ыэъё") & set(ukrainian.lower())
    assert not set("іїєґ") & set(russian.lower())


@pytest.mark.parametrize("form", FAMILIES)
def test_a_number_in_arabic_is_shown_as_it_is_written(form: str) -> None:
    """Unicode's bidi rule W2: behind an Arabic letter 26-0142/1 would be shown as 0142/1-26.

    So the letter before it is a Latin one. Control characters would be lost on some networks.
    """
    for one in cases("ar"):
        card = RENDERER.card(one, "ar")
        assert card
        texts = [text_of(rendered(one, form)[0]), RENDERER.pointer(one, "ar")]
        for text in (*texts, card.alt, card.reference):
            assert REFERENCE in text
            for number in (REFERENCE, REPLACED):
                before = text.split(number)[:-1]
                assert all(_last_strong(piece) == "L" for piece in before)
            assert not set(text) & set("\u200e\u200f\u202a\u202b\u202c\u2066\u2067\u2069")


def _last_strong(text: str) -> str:
    kinds = (unicodedata.bidirectional(one) for one in reversed(text.splitlines()[-1]))
    return next(kind for kind in kinds if kind in {"L", "R", "AL"})


@pytest.mark.parametrize(
    ("language", "today", "next_year"),
    [
        ("de", "Stand 18:05 Uhr", "Stand 22.11.2026, 18:05 Uhr"),
        ("de-simple", "Zeit: 18:05 Uhr", "Zeit: 22. November 2026, 18:05 Uhr"),
        ("en", "as of 18:05", "as of 22 November 2026, 18:05"),
        ("tr", "saat 18:05 itibarıyla", "22 Kasım 2026, saat 18:05 itibarıyla"),
        ("ar", "آخر تحديث: الساعة 18:05", "آخر تحديث: الساعة 18:05 يوم 22/11/2026"),
        ("uk", "станом на 18:05", "станом на 18:05 22 листопада 2026 року"),
        ("pl", "stan na godz. 18:05", "stan na 22 listopada 2026 r., godz. 18:05"),
        ("ro", "actualizat la ora 18:05", "actualizat la 22 noiembrie 2026, ora 18:05"),
        ("ru", "по состоянию на 18:05", "по состоянию на 18:05 22 ноября 2026 года"),
    ],
)
def test_times_are_told_as_people_tell_them(language: str, today: str, next_year: str) -> None:
    """The day where it is not today, the year where it is another; a card always has both."""
    *_, one, _ = cases(language)
    later = replace(one, accepted=SENT + timedelta(days=365))
    for said, stamp in ((one, today), (later, next_year)):
        lines = text_of(RENDERER.render(said, channel("post"), ENOUGH)[0]).splitlines()
        assert [line for line in lines if line.endswith(stamp)]
    card = RENDERER.card(one, language)
    assert card
    assert card.time == next_year


def test_leichte_sprache_says_one_thing_per_line() -> None:
    """Short sentences and simple words, and never the German of others."""
    heavy, simple = RENDERER.render(next(cases("de", "de-simple")), channel("post"), ENOUGH)
    assert (heavy.part, simple.part) == ("de", "de-simple")
    assert text_of(simple).splitlines() == [
        "Achtung: Gefahr! Großes Feuer – Dortmund-Hörde",
        "Von: Feuer-Wehr Dortmund",
        "Zeit: 18:05 Uhr",
        "",
        "In Hörde brennt eine große Halle. Der Rauch ist giftig. Der Rauch zieht durch Hörde.",
        "",
        "Das müssen Sie jetzt tun:",
        "Gehen Sie ins Haus. Machen Sie alle Fenster zu. Machen Sie alle Türen zu.",
        "",
        "Das gilt bis 20:00 Uhr.",
        "Nummer: 26-0142/2",
        "Mehr lesen: https://www.dortmund.example/warnung",
        "Fragen und Hilfe: +49 231 50-0",
    ]
    tagged = alert(block("de") | {"language": "DE-LS"})
    only = channel("post", languages=("de-LS",))
    assert [one.part for one in RENDERER.render(facts(tagged), only, ENOUGH)] == ["de-simple"]
    plain = channel("post", languages=("de",))
    (withheld,) = RENDERER.render(facts(tagged), plain, ENOUGH)
    assert withheld.reason == "the alert has no text in the language of this channel (de)"
