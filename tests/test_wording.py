# ruff: noqa: RUF001 - look-alikes are what this is about
"""Sentences stay whole, and what people may rightly write stays readable and harmless."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.channels import Escape
from broadcaster.measure import is_gsm
from broadcaster.wording import SENTENCES_MAX, gsm_spelling, harmless, sentences


@pytest.mark.parametrize(
    "whole",
    [
        "In z. B. Hörde brennt es, ca. 3 km entfernt.",
        "Rufen Sie Tel. 0231 50 an.",
        "Am 5. Mai und am 22./23. November wird geprüft.",
        "Das gilt bis 06:00 Uhr morgens.",
        "Siehe Nr. 5 der Liste.",
        "Die Hermannstr. 12 ist gesperrt.",
        "Der e. V. Nachbarschaft hilft, d. h. er fährt.",
        "Mehr auf https://example.org/a.b/c?d=1. bald",
        "Dr. Müller u. a. Ärzte sind da.",
        "Schließen Sie bitte alle Fenster und\nTüren.",
        "Bitte beachten:\n- Fenster schließen",
        "Bis Sonntag dürfen\n- Parks\n- Wälder\nnicht betreten werden.",
        "Es dürfen:\n- Parks\n- Wälder\n\nnicht betreten werden.",
        "Call Mr. Smith at No. 5, e.g. Hall 2, approx. 3 miles away.",
        "A text without any end",
        "Wylot ul. Hermannstraße, ok. 3 km od al. Hermanna, jest zamknięty do godz. 20:00.",
        "Str. Hermann și șos. Hörde, aprox. 3 km, sunt închise.",
        "Hermann Cad. No. 5 ile Hörde Mah. arası yakl. 3 km kapalı.",
        "Закрыты ул. Германа и пл. Хёрде, прибл. 3 км, тел. 0231.",
        "Закрито вул. Германа та пл. Герде, див. Додаток, тел. 0231.",
    ],
)
def test_a_sentence_is_not_split(whole: str) -> None:
    """Abbreviations, ordinal numbers, times, links and wrapped lines do not end a sentence."""
    assert sentences(whole) == (whole,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Wählen Sie 112. Bleiben Sie ruhig!", ["Wählen Sie 112. ", "Bleiben Sie ruhig!"]),
        ("Bis 06:00 Uhr. Danach nicht.", ["Bis 06:00 Uhr. ", "Danach nicht."]),
        ("Er rief: „Raus!“ Dann kam Rauch.", ["Er rief: „Raus!“ ", "Dann kam Rauch."]),
        ("Siehe https://a.de/b.c. Danach warten.", ["Siehe https://a.de/b.c. ", "Danach warten."]),
        ("Raus hier! Wohin? Zur Schule.", ["Raus hier! ", "Wohin? ", "Zur Schule."]),
        ("Erstens.\nZweitens.", ["Erstens.\n", "Zweitens."]),
        ("Ein Absatz\n\nNoch einer", ["Ein Absatz\n\n", "Noch einer"]),
        ("- Fenster zu\n- Türen zu", ["- Fenster zu\n", "- Türen zu"]),
        ("Bitte:\n1. Raus\n2. Weg\nDanke.", ["Bitte:\n1. Raus\n", "2. Weg\nDanke."]),
        ("أغلق النوافذ. ابق في المنزل؟ نعم", ["أغلق النوافذ. ", "ابق في المنزل؟ ", "نعم"]),
        ("请关闭门窗。请勿外出！", ["请关闭门窗。", "请勿外出！"]),
        ("", []),
    ],
)
def test_sentences_are_split_where_they_end(text: str, expected: list[str]) -> None:
    """A mark, a paragraph or a list item ends a sentence, in several scripts."""
    assert list(sentences(text)) == expected


@given(st.text(alphabet="aÄ5z.B!?…: \n-„“()。؟", max_size=80))
def test_sentences_joined_give_the_text(text: str) -> None:
    """Splitting loses nothing and makes no empty sentence."""
    pieces = sentences(text)
    assert "".join(pieces) == text
    assert all(pieces)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@stadt hilft", "@\u200bstadt hilft"),
        ("(@stadt@ruhr.example)", "(@\u200bstadt@ruhr.example)"),
        ("@@stadt", "@@\u200bstadt"),
        ("＠stadt", "＠\u200bstadt"),  # X takes the full-width @ for an @
        ("ü@stadt", "ü@\u200bstadt"),
        ("https://a.de,@stadt", "https://a.de,@\u200bstadt"),
    ],
)
def test_a_name_pings_nobody(text: str, expected: str) -> None:
    """An invisible break behind the @ keeps a mention from being one."""
    assert harmless(text, Escape.MENTIONS) == expected


@pytest.mark.parametrize(
    "text",
    [
        "info@stadt.example",
        "vorname.nachname+warnung@stadt.example",
        "https://ruhr.example/@stadt",
        '5 < 6 > 3, O\'Brien & Co, #Hörde, "so", 100 %, 🔥, 3 @ 5 Euro',
        "snake_case und a|b",
    ],
)
@pytest.mark.parametrize("escape", list(Escape))
def test_what_people_may_rightly_write_stays_as_it_is(text: str, escape: Escape) -> None:
    """Mail addresses, links, comparisons, quotes and emoji are left alone everywhere."""
    assert harmless(text, escape) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@everyone @here", "@\u200beveryone @\u200bhere"),
        ("a@everyone", "a@\u200beveryone"),
        ("<!here> <@123> <b>x</b>", "‹!here› ‹@123› ‹b›x‹/b›".replace("@1", "@\u200b1")),
        ("**fett** und Bürger*innen", "∗∗fett∗∗ und Bürger∗innen"),
        ("_so_ nicht", "＿so＿ nicht"),
        ("~5 km, `x`", "∼5 km, ˋxˋ"),
        ("[hier](https://a.de)", "[hier]\u200b(https://a.de)"),
        ("||geheim||", "|\u200b|geheim|\u200b|"),
        ("# Titel\n> Zitat", "\u200b# Titel\n\u200b> Zitat"),
        ("&lt;b&gt;", "&\u200blt;b&\u200bgt;"),
        ("https://a.de/x_y_*z*", "https://a.de/x_y_*z*"),
    ],
)
def test_a_chat_shows_markup_as_written(text: str, expected: str) -> None:
    """No markdown, no HTML, no call to everyone; links are not touched."""
    assert harmless(text, Escape.CHAT) == expected


def test_sms_spelling_keeps_german_in_gsm() -> None:
    """Dashes, quotes and dots get plain equivalents; umlauts stay umlauts."""
    assert gsm_spelling("Übung – „Hörde“ … ‚so‘") == "Übung - \"Hörde\" ... 'so'"
    assert is_gsm(gsm_spelling("Gefahr: Großbrand – „Hörde“\u00a0… 5\u202fkm"))
    assert gsm_spelling("жара 🔥") == "жара 🔥"


def test_a_text_of_a_thousand_sentences_ends_in_a_long_one() -> None:
    """Nobody writes it, and nothing of it is lost."""
    text = "Aus. " * 800
    pieces = sentences(text)
    assert len(pieces) == SENTENCES_MAX
    assert "".join(pieces) == text
    assert set(pieces[:-1]) == {"Aus. "}
