"""The alert in CAP's words: what is taken, what is made harmless, and what is refused."""

from __future__ import annotations

import copy
import json
import unicodedata
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from broadcaster.alert import (
    Alert,
    CapTime,
    Category,
    Certainty,
    Line,
    MsgType,
    ResponseType,
    Scope,
    Severity,
    Status,
    Submission,
    Urgency,
    cap_time,
    clean,
)

WORDS: dict[type[StrEnum], str] = {
    Status: "Actual Exercise System Test Draft",
    MsgType: "Alert Update Cancel Ack Error",
    Scope: "Public Restricted Private",
    Category: "Geo Met Safety Security Rescue Fire Health Env Transport Infra CBRNE Other",
    ResponseType: "Shelter Evacuate Prepare Execute Avoid Monitor Assess AllClear None",
    Urgency: "Immediate Expected Future Past Unknown",
    Severity: "Extreme Severe Moderate Minor Unknown",
    Certainty: "Observed Likely Possible Unlikely Unknown",
}

INFO: dict[str, Any] = {
    "language": "de",
    "category": ["Fire"],
    "event": "Großbrand",
    "urgency": "Immediate",
    "severity": "Severe",
    "certainty": "Observed",
    "area": [{"areaDesc": "Dortmund-Hörde"}],
}
BODY: dict[str, Any] = {
    "sender": "leitstelle@feuerwehr.example.org",
    "status": "Actual",
    "msgType": "Alert",
    "info": [INFO],
}


def body(inside: Any = None, **fields: Any) -> dict[str, Any]:
    """Give an alert's JSON with other fields, inside its block or outside it."""
    return copy.deepcopy(BODY) | {"info": [INFO | dict(inside or {})]} | fields


def read(value: dict[str, Any]) -> Submission:
    """Read an alert as it comes over the wire."""
    return Submission.model_validate_json(json.dumps(value))


def refusals(value: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Give where an alert is at fault."""
    with pytest.raises(ValidationError) as error:
        read(value)
    return [fault["loc"] for fault in error.value.errors()]


# CAP's own words


@pytest.mark.parametrize("kind", WORDS, ids=lambda kind: kind.__name__)
def test_the_words_are_those_of_cap(kind: type[StrEnum]) -> None:
    """Every list of values is CAP 1.2's, in its order, and no more."""
    assert [word.value for word in kind] == WORDS[kind].split()


PLACES: list[tuple[str, type[StrEnum], bool]] = [
    ("status", Status, False),
    ("msgType", MsgType, False),
    ("scope", Scope, False),
    ("category", Category, True),
    ("responseType", ResponseType, True),
    ("urgency", Urgency, False),
    ("severity", Severity, False),
    ("certainty", Certainty, False),
]


@pytest.mark.parametrize(("name", "kind", "many"), PLACES)
def test_exactly_the_words_of_cap_are_taken(name: str, kind: type[StrEnum], *, many: bool) -> None:
    """Each word is taken as CAP writes it; another case, a blank or another type is refused."""

    def said(word: object) -> dict[str, Any]:
        value = {name: [word] if many else word}
        return body(value) if name in INFO or many else body(**value)

    for word in kind:
        shown = read(said(word.value)).model_dump(mode="json", by_alias=True)
        assert (shown | shown["info"][0])[name] == ([word.value] if many else word.value)
    first = next(iter(kind)).value
    junk: list[object] = [first.lower(), f" {first}", "", 1, None, True, [], {}]
    for wrong in junk:
        assert refusals(said(wrong))


def test_the_deprecated_very_likely_is_refused() -> None:
    """CAP 1.1's certainty is none of CAP 1.2's values."""
    assert refusals(body({"certainty": "Very Likely"})) == [("info", 0, "certainty")]


def test_severities_have_a_rank() -> None:
    """The gravest comes first: it is what the queue is sorted by."""
    assert sorted(Severity, key=lambda one: one.rank) == list(Severity)
    assert [one.rank for one in Severity] == [0, 1, 2, 3, 4]


def test_unknown_fields_are_refused_at_every_depth() -> None:
    """A misspelt field must not be lost in silence."""
    assert refusals(body(msgtype="Alert")) == [("msgtype",)]
    assert refusals(body({"headLine": "x"})) == [("info", 0, "headLine")]
    area = [{"areaDesc": "Hörde", "areadesc": "x"}]
    assert refusals(body({"area": area})) == [("info", 0, "area", 0, "areadesc")]


def test_all_faults_are_named_at_once() -> None:
    """Whoever writes an alert in a hurry learns everything from one answer."""
    wrong = body({"severity": "Bad", "event": "", "category": []}, status="actual", sender="a b")
    places = {".".join(map(str, one)) for one in refusals(wrong)}
    assert places == {"status", "sender", "info.0.severity", "info.0.event", "info.0.category"}


@pytest.mark.parametrize(
    ("field", "value"),
    [("event", 1), ("headline", True), ("category", "Fire"), ("area", {}), ("expires", 1795312020)],
)
def test_no_type_is_taken_for_another(field: str, value: object) -> None:
    """A number is no text and a text no list: nothing is guessed."""
    assert refusals(body({field: value})) == [("info", 0, field)]


def test_an_alert_never_changes() -> None:
    """What was accepted is frozen; a change is a new alert."""
    one = read(body())
    with pytest.raises(ValidationError, match="frozen"):
        one.sender = "other"  # type: ignore[misc]


def test_an_alert_is_shown_with_caps_names_and_without_what_was_left_out() -> None:
    """What the API gives can be read again, and is the same alert."""
    one = Alert.model_validate_json(json.dumps(body(identifier="1", sent="2026-11-22T02:49:00Z")))
    shown = one.to_json()
    assert shown["msgType"] == "Alert"
    assert "note" not in shown
    assert "headline" not in shown["info"][0]
    assert shown["info"][0]["area"][0]["areaDesc"] == "Dortmund-Hörde"
    assert Alert.model_validate_json(json.dumps(shown)) == one


@pytest.mark.parametrize("missing", ["identifier", "sent"])
def test_an_accepted_alert_is_complete(missing: str) -> None:
    """What a caller may leave out, the accepted alert has."""
    whole = body(identifier="1", sent="2026-11-22T02:49:00Z")
    del whole[missing]
    read(whole)
    with pytest.raises(ValidationError, match=missing):
        Alert.model_validate_json(json.dumps(whole))


# Text: refused, or made harmless

CONTROLS = [chr(code) for code in (*range(32), *range(0x7F, 0xA0)) if code not in (9, 10, 13, 0x85)]
BIDI = list("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
SURROGATES = ["\ud800", "\udbff", "\udc00", "\udfff"]
NONCHARACTERS = [chr(code) for code in range(0xFDD0, 0xFDF0)] + [
    chr(plane * 0x10000 + last) for plane in range(17) for last in (0xFFFE, 0xFFFF)
]


@pytest.mark.parametrize(
    "characters",
    [CONTROLS, BIDI, SURROGATES, NONCHARACTERS, ["\U000e0001"]],
    ids=["controls", "bidi", "surrogates", "noncharacters", "language tag"],
)
def test_what_makes_a_text_read_differently_is_refused(characters: list[str]) -> None:
    """The refusal says which character it is, and where."""
    for character in characters:
        with pytest.raises(PydanticCustomError) as refusal:
            clean(f"Feuer{character}")
        assert refusal.value.type == "text_character"
        assert refusal.value.context == {"code": f"U+{ord(character):04X}", "position": 5}


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("Ho\u0308rde", "Hörde"),
        ("e\u200b\u0301", "é"),
        ("a\r\nb\rc\u0085d\u2028e\u2029f", "a\nb\nc\nd\ne\nf"),
        ("Rauch\u200bzug\u2060 \ufeffim\u00ad Ort", "Rauchzug im Ort"),
        ("\ufeffFeuer", "Feuer"),
        ("a\tb", "a b"),
        ("  Feuer \n", "Feuer"),
    ],
    ids=["NFC", "accent behind a filler", "breaks", "zero-width", "BOM", "tab", "margins"],
)
def test_what_is_harmless_is_put_right(written: str, kept: str) -> None:
    """People may write it so; what goes out is plain."""
    assert clean(written) == kept


@pytest.mark.parametrize(
    "text",
    [
        'O\'Brien & Söhne: <b>, @stadt, #Hörde, "Halle" – 100 % …',  # noqa: RUF001
        "👩\u200d🚒 🏳\ufe0f\u200d🌈 1\ufe0f\u20e3",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "می\u200cخواهم",  # noqa: RUF001
        "ที่นี่",
        "שָׁלוֹם",
        "{{7*7}} %s ${x}",
    ],
)
def test_what_people_rightly_write_stays_as_it_is(text: str) -> None:
    """Quotes, markup, emoji and other scripts are text; each network's part escapes them."""
    assert clean(text) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    "marks",
    ["\u0316", "\u20dd", "\u0316\u034f", "\u0316\u200d", "\u0316\u200c"],
    ids=["below", "enclosing", "joined by CGJ", "by ZWJ", "by ZWNJ"],
)
def test_stacked_marks_are_refused(marks: str) -> None:
    """A tower of marks hides the lines around it, whatever stands between its floors."""
    with pytest.raises(PydanticCustomError) as refusal:
        clean("q" + marks * 5)
    assert refusal.value.type == "text_combining"


def test_four_marks_may_stack() -> None:
    """The limit is below no script's need: four pass, five do not, and a letter begins anew."""
    four = "q\u0316\u0317\u0318\u0319"
    assert clean(four * 3) == four * 3
    with pytest.raises(PydanticCustomError):
        clean(four + "\u031c")


@given(st.text())
def test_what_was_cleaned_stays_clean(text: str) -> None:
    """Cleaning twice changes nothing, and what comes out is NFC with plain line feeds."""
    try:
        once = clean(text)
    except PydanticCustomError:
        return
    assert clean(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert not set(once) & {"\r", "\t", "\u2028", "\u200b", "\ufeff"}


def test_a_line_is_one_line() -> None:
    """Line breaks and runs of blanks become one blank where people read one line."""
    assert TypeAdapter(Line).validate_python("Groß-\r\n  brand\u2028 in   Hörde") == (
        "Groß- brand in Hörde"
    )


def test_a_description_keeps_its_lines() -> None:
    """Paragraphs of description, instruction and note stay."""
    one = read(body({"description": "a\r\n\r\nb", "instruction": "c\rd"}, note="e\u2028f"))
    assert (one.info[0].description, one.info[0].instruction, one.note) == (
        "a\n\nb",
        "c\nd",
        "e\nf",
    )


@pytest.mark.parametrize("blank", ["", "   ", "\n\t", "\u200b", "\u00ad\ufeff", "\u00a0"])
@pytest.mark.parametrize("field", ["event", "headline", "description", "instruction"])
def test_a_text_must_say_something(field: str, blank: str) -> None:
    """Nothing but blanks or invisible fillers is no text."""
    assert refusals(body({field: blank})) == [("info", 0, field)]


LENGTHS = [
    ("event", 100),
    ("headline", 160),
    ("description", 4000),
    ("instruction", 4000),
    ("senderName", 200),
    ("audience", 200),
    ("contact", 200),
]


@pytest.mark.parametrize(("field", "most"), LENGTHS)
def test_lengths_are_held_where_they_end(field: str, most: int) -> None:
    """One below and at the limit is taken, one above refused; margins do not count."""
    for length in (most - 1, most):
        read(body({field: "ß" * length}))
    read(body({field: "  " + "o\u0308" * most + "\r\n"}))
    assert refusals(body({field: "ß" * (most + 1)})) == [("info", 0, field)]


@pytest.mark.parametrize(("field", "most"), [("source", 200), ("note", 1000), ("incidents", 500)])
def test_lengths_outside_the_block_are_held_too(field: str, most: int) -> None:
    """As inside it."""
    read(body(**{field: "ß" * most}))
    assert refusals(body(**{field: "ß" * (most + 1)})) == [(field,)]


@pytest.mark.parametrize(
    ("field", "one", "most"),
    [
        ("category", "Fire", 12),
        ("responseType", "Shelter", 9),
        ("area", {"areaDesc": "Hörde"}, 200),
        ("eventCode", {"valueName": "a", "value": "b"}, 50),
        ("parameter", {"valueName": "a", "value": "b"}, 100),
    ],
)
def test_lists_are_held_where_they_end(field: str, one: object, most: int) -> None:
    """No list is endless."""
    read(body({field: [one] * most}))
    assert refusals(body({field: [one] * (most + 1)})) == [("info", 0, field)]


# Names, links and places


@pytest.mark.parametrize("name", ["", " ", "a b", "a,b", "a<b", "a&b", "a\nb", "\u200b", "\u00a0"])
@pytest.mark.parametrize("field", ["sender", "identifier"])
def test_names_hold_nothing_that_references_are_built_of(field: str, name: str) -> None:
    """CAP forbids blanks, commas, < and & there, and a name of nothing is none."""
    assert refusals(body(**{field: name})) == [(field,)]


def test_names_are_held_to_their_length() -> None:
    """200 characters are a name, 201 are not."""
    read(body(sender="a" * 200, identifier="b" * 200))
    assert refusals(body(sender="a" * 201)) == [("sender",)]


@pytest.mark.parametrize("language", ["de", "de-DE", "zh-Hant-TW", "gsw", "DE-LS", "de-x-ls"])
def test_languages_are_tags(language: str) -> None:
    """A language is written as on the Web."""
    assert read(body({"language": language})).info[0].language == language


@pytest.mark.parametrize("language", ["", "d", "deutsch", "de_DE", "de-", "de DE", "../de"])
def test_what_is_no_language_is_refused(language: str) -> None:
    """A template's directory is found by it."""
    assert refusals(body({"language": language})) == [("info", 0, "language")]


def test_a_link_leads_somewhere_on_the_web() -> None:
    """Nothing but http and https, with a host, without user and password; 500 characters."""
    for good in ("https://www.dortmund.de/warnung?a=1#b", "http://a", "https://" + "a" * 500):
        assert read(body({"web": good})).info[0].web == good
    for bad in (
        "javascript:alert(1)",
        "ftp://a.example",
        "https://",
        "https:///weg",
        "https://\u200b",
        "https://dortmund.de@böse.example",
        "https://a b",
        "https://a<b",
        "www.dortmund.de",
        "https://" + "a" * 501,
    ):
        assert refusals(body({"web": bad})) == [("info", 0, "web")]


def test_an_area_has_the_shapes_of_cap() -> None:
    """A polygon is at least four points, a circle a point and a radius, in plain digits."""
    good = {"polygon": ["51.4,7.5 51.5,7.5 51.5,7.6 51.4,7.5"], "circle": ["51.4,7.5 0.5"]}
    read(body({"area": [{"areaDesc": "Hörde", **good}]}))
    for wrong in (
        {"polygon": ["51.4,7.5 51.5,7.5 51.4,7.5"]},
        {"polygon": ["51.4 7.5"]},
        {"circle": ["51.4,7.5"]},
        {"circle": ["51.4,7.5 -1"]},
        {"circle": ["\u0665\u0661,\u0667 \u0661"]},
    ):
        assert refusals(body({"area": [{"areaDesc": "Hörde", **wrong}]}))


def test_the_place_is_all_areas_in_one_line() -> None:
    """People read the areas' descriptions one after the other."""
    areas = [{"areaDesc": "Hörde"}, {"areaDesc": "Aplerbeck"}]
    assert read(body({"area": areas})).info[0].place == "Hörde, Aplerbeck"


# Times


def time(value: object) -> datetime:
    """Read one time as it comes over the wire."""
    return TypeAdapter(CapTime).validate_json(json.dumps(value))


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-22T20:00:60Z",
        "2026-06-30T23:59:60Z",
        "2026-11-22T24:00:00Z",
        "2026-W47-7T20:00:00Z",
        "2026-326T20:00:00Z",
        "2026-11-22T20:00:00",
        "2026-11-22T20:00Z",
        "2026-11-22",
        "2026-11-22 20:00:00Z",
        "20261122T200000Z",
        "2026-11-22T20:00:00z",
        "2026-11-22T20:00:00,5Z",
        "2026-11-22T20:00:00+24:00",
        "2026-11-22T20:00:00+1",
        "2026-02-29T20:00:00Z",
        "2026-13-01T20:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-14:00",
        "10000-01-01T00:00:00Z",
        "-2026-11-22T20:00:00Z",
        "٢٠٢٦-11-22T20:00:00Z",
        " 2026-11-22T20:00:00Z",
        "2026-11-22T20:00:00Z\n",
        "now",
        "",
        1795312020,
        None,
        True,
        ["2026-11-22T20:00:00Z"],
    ],
)
def test_what_is_no_time_with_a_zone_is_refused(value: object) -> None:
    """CAP's dateTime and nothing else: no leap second, week date, local time or year 10000."""
    with pytest.raises(ValidationError) as refusal:
        time(value)
    assert [fault["type"] for fault in refusal.value.errors()] == ["date_time"]


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-11-22T20:00:00Z", datetime(2026, 11, 22, 20, tzinfo=UTC)),
        ("2026-11-22T20:00:00+01:00", datetime(2026, 11, 22, 19, tzinfo=UTC)),
        ("2026-11-22T20:00:00-00:00", datetime(2026, 11, 22, 20, tzinfo=UTC)),
        ("2024-02-29T23:59:59Z", datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC)),
        ("2026-11-22T20:00:00.9Z", datetime(2026, 11, 22, 20, tzinfo=UTC)),
        ("2026-11-22T20:00:59.999999Z", datetime(2026, 11, 22, 20, 0, 59, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_times_are_read_to_the_whole_second(value: str, moment: datetime) -> None:
    """Fractions are dropped, never rounded up; the zone that was written is kept."""
    assert time(value) == moment


@given(st.datetimes(min_value=datetime(1970, 1, 2), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_time_that_was_written_reads_the_same(moment: datetime) -> None:
    """Writing and reading again loses nothing but the fraction."""
    assert time(cap_time(moment)) == moment.replace(microsecond=0)


def test_the_offset_is_written_as_it_came() -> None:
    """References are compared by it, and people read it."""
    sent = "2026-11-22T02:49:00+01:00"
    assert read(body(sent=sent)).model_dump(mode="json")["sent"] == sent


# What an alert as a whole says


def test_an_alert_expires_with_its_last_block() -> None:
    """The latest of all blocks counts; without any there is none."""
    assert read(body()).expires is None
    blocks = [
        INFO | {"language": language, "expires": f"2026-11-22T{hour}:00:00Z"}
        for language, hour in (("de", "06"), ("en", "08"))
    ]
    several = read(copy.deepcopy(BODY) | {"info": [*blocks, INFO | {"language": "tr"}]})
    assert several.expires == datetime(2026, 11, 22, 8, tzinfo=UTC)


def test_a_cancel_and_an_all_clear_end_an_alert() -> None:
    """Both are an all-clear; a warning that asks for shelter is none."""
    assert read(body(msgType="Cancel")).is_all_clear
    assert read(body({"responseType": ["AllClear"]}, msgType="Update")).is_all_clear
    assert not read(body({"responseType": ["Shelter"]})).is_all_clear
    assert not read(body()).is_all_clear


def test_the_severity_is_that_of_the_blocks() -> None:
    """A Cancel may have no block: nothing is known of its severity."""
    assert read(body({"severity": "Extreme"})).severity is Severity.EXTREME
    assert read(body(msgType="Cancel", info=[])).severity is Severity.UNKNOWN


def key(**changes: Any) -> str:
    """Give the content key of an alert with these changes."""
    return read(body(changes.pop("info", None), **changes)).content_key()


def test_the_content_key_ignores_times_and_identifiers() -> None:
    """The same warning written twice has the same key, whenever and by whomever."""
    moment = "2026-11-22T20:00:00Z"
    times = dict.fromkeys(("expires", "effective", "onset"), moment)
    twice = key(info=times, sent=moment, identifier="other", sender="another@example.org")
    assert twice == key()
    assert key(info={"event": " Großbrand\u200b"}) == key()


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "Exercise"},
        {"msgType": "Update"},
        {"references": ["a"]},
        *(
            {"info": change}
            for change in (
                {"language": "en"},
                {"category": ["Fire", "Env"]},
                {"event": "Brand"},
                {"responseType": ["Shelter"]},
                {"urgency": "Expected"},
                {"severity": "Extreme"},
                {"certainty": "Likely"},
                {"headline": "Feuer"},
                {"description": "Feuer"},
                {"instruction": "Feuer"},
                {"web": "https://a.example"},
                {"contact": "112"},
                {"senderName": "Stadt"},
                {"area": [{"areaDesc": "Aplerbeck"}]},
            )
        ),
    ],
    ids=str,
)
def test_the_content_key_tells_other_content_apart(changes: dict[str, Any]) -> None:
    """Whatever people would read differently is another warning."""
    assert key(**changes) != key()


def test_references_are_a_text_of_triples_or_a_list_of_ids() -> None:
    """Both ways of CAP and ours are taken, neither empty."""
    assert read(body(references="a@b,1,2026-11-22T02:49:00+01:00")).references
    assert read(body(references=["01"])).references == ["01"]
    for wrong in ("", [], [""], [1], 5, ["a"] * 51):
        assert refusals(body(references=wrong))


def test_times_a_day_apart_are_still_one_content() -> None:
    """A warning that is only prolonged says nothing new."""
    later = datetime(2026, 11, 22, tzinfo=UTC) + timedelta(days=1)
    assert key(info={"expires": cap_time(later)}) == key()
