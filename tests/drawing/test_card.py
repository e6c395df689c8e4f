"""The picture: what must be seen on it is seen, in every language and size; nothing leaves it."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree  # noqa: ICN001 - its full name says what it is

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment, FileSystemLoader
from PIL import Image, ImageChops

from bench.samples import LANGUAGES, OTHERS, SIZES
from broadcaster.drawing import CardFault, Spec, draw
from broadcaster.drawing.card import svg_of
from tests.conftest import REPOSITORY

GERMAN = LANGUAGES["de"]
EVERY = LANGUAGES | OTHERS
CATEGORIES = (
    *("Geo", "Met", "Safety", "Security", "Rescue", "Fire"),
    *("Health", "Env", "Transport", "Infra", "CBRNE", "Other"),
)
SEVERITIES = ("Extreme", "Severe", "Moderate", "Minor", "Unknown")
CARD = REPOSITORY / "templates" / "card"
COLOURS: Any = Environment(loader=FileSystemLoader(CARD), autoescape=True).get_template(
    "colours.svg.j2"
)
LEAST_CONTRAST = 4.5
MARGIN = 52  # of the template, for a card of 1200 x 675


def changed(spec: Spec, **how: Any) -> Spec:
    """Return another card, changed in fields that are named at run time."""
    return replace(spec, **how)


def elements(svg: str) -> set[str]:
    """Return which elements a picture is made of. Raises ParseError if it is no XML."""
    return {one.tag.rpartition("}")[2] for one in ElementTree.fromstring(svg).iter()}  # noqa: S314 - made here


def seen(spec: Spec) -> Image.Image:
    """Draw a card."""
    return Image.open(io.BytesIO(draw(spec))).convert("RGB")


def unit(spec: Spec) -> float:
    """Return what a pixel of the template is on this card."""
    return float((spec.width * spec.height / (1200 * 675)) ** 0.5)


def band_bottom(picture: Image.Image) -> int:
    """Return where the coloured band ends: from there on the left edge is white."""
    return next(y for y in range(picture.height) if picture.getpixel((1, y)) == (255, 255, 255))


def ink(picture: Image.Image, box: tuple[int, int, int, int]) -> tuple[int, int, int, int] | None:
    """Return the smallest box in a part of the picture that holds all that is not white."""
    part = picture.crop(box)
    return ImageChops.difference(part, Image.new("RGB", part.size, "white")).getbbox()


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours (WCAG 2.2, "contrast ratio")."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour such as #b3121d (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_contrast_is_measured_as_the_standard_does() -> None:
    """Black on white is 21 : 1, and #767676 is the lightest grey that passes on white."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") >= LEAST_CONTRAST > contrast("#777777", "#ffffff")


@pytest.mark.parametrize("severity", [*SEVERITIES, "all-clear"])
def test_every_colour_can_be_read(severity: str) -> None:
    """What is written keeps 4.5 : 1 against its ground, whatever the level."""
    colours = COLOURS.module
    look = colours.all_clear if severity == "all-clear" else colours.by_severity[severity]
    pairs = [
        (look["ink"], look["band"]),
        (look["accent"], colours.paper),
        (colours.text, colours.paper),
        (colours.quiet, colours.paper),
        (colours.text, look["tint"]),
        (colours.mark_ink, colours.mark_band),
    ]
    assert [pair for pair in pairs if contrast(*pair) < LEAST_CONTRAST] == []


def test_every_severity_has_its_colour() -> None:
    """CAP's five, and the all-clear's, are told apart."""
    looks = [*COLOURS.module.by_severity.values(), COLOURS.module.all_clear]
    assert tuple(COLOURS.module.by_severity) == SEVERITIES
    assert len({look["band"] for look in looks}) == 6


def test_colour_never_stands_alone() -> None:
    """An all-clear differs from an alert in grey as well: by its icon, with the same words."""
    cleared = replace(GERMAN, kind="all-clear")
    boxes = [seen(spec).convert("L").crop((52, 20, 160, 140)) for spec in (GERMAN, cleared)]
    flat = [box.point(lambda grey: 255 if grey > 200 else 0) for box in boxes]
    assert ImageChops.difference(*flat).getbbox() is not None


def test_every_category_has_an_icon_of_its_own() -> None:
    """Two categories share the warning triangle: Safety and Other."""
    boxes = [seen(replace(GERMAN, category=one)).crop((40, 0, 180, 150)) for one in CATEGORIES]
    assert len({box.tobytes() for box in boxes}) == len(CATEGORIES) - 1


@pytest.mark.parametrize("name", [name for name in EVERY if not EVERY[name].mark])
@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_drawn_into_the_margins(name: str, size: tuple[int, int]) -> None:
    """Not one pixel of a letter leaves the room it has, on no side."""
    spec = replace(EVERY[name], width=size[0], height=size[1])
    picture = seen(spec)
    top = band_bottom(picture) + 1
    margin = int(MARGIN * unit(spec)) - 2
    width, height = size
    assert ink(picture, (0, top, margin, height)) is None
    assert ink(picture, (width - margin, top, width, height)) is None
    assert ink(picture, (0, height - int(12 * unit(spec)), width, height)) is None
    side = 0 if spec.language == "ar" else width - margin  # the other one has the icon
    strip = picture.crop((side, 2, side + margin, top - 3))
    assert len(strip.getcolors() or ()) == 1, "the level leaves its band"


@pytest.mark.parametrize("name", ["exercise", "long-words"])
@pytest.mark.parametrize("size", SIZES)
def test_the_mark_of_an_exercise_is_on_every_side(name: str, size: tuple[int, int]) -> None:
    """Black and yellow all around, and the word above everything else; cropping hides nothing."""
    picture = seen(replace(EVERY[name], width=size[0], height=size[1]))
    width, height = size
    sides = [(0, 0, 10, height), (width - 10, 0, width, height), (0, height - 10, width, height)]
    for box in [*sides, (0, 0, width, 60)]:
        counted = {colour: count for count, colour in picture.crop(box).getcolors(1 << 20) or ()}
        total = sum(counted.values())
        assert counted.get((0, 0, 0), 0) > total * 0.05
        assert counted.get((255, 212, 0), 0) > total * 0.3
    assert COLOURS.module.mark_band == "#ffd400"


@pytest.mark.parametrize(
    ("language", "mark", "note"),
    [("de", "ÜBUNG", "Dies ist eine Übung. Ganz."), ("ar", "إنذار تجريبي", "هذا إنذار تجريبي.")],
)
def test_the_mark_stays_in_its_sign(language: str, mark: str, note: str) -> None:
    """Neither the dots of a capital nor the tails of Arabic letters are cut off."""
    picture = seen(replace(LANGUAGES[language], mark=mark, note=note))
    for box in ((350, 0, 850, 3), (350, 80, 850, 83)):
        assert picture.crop(box).getcolors() == [(1500, (255, 212, 0))]
    assert len(picture.crop((350, 20, 850, 60)).getcolors(1 << 20) or ()) > 2


def test_the_mark_is_the_word_itself() -> None:
    """Another mark is another picture, in the sign and nowhere else."""
    exercise, test = (seen(replace(OTHERS["exercise"], mark=mark)) for mark in ("ÜBUNG", "PROBE"))
    box = ImageChops.difference(exercise, test).getbbox()
    assert box is not None
    assert box[3] <= 90


def test_a_mark_that_does_not_fit_is_a_fault() -> None:
    """It is never dropped, nor cut."""
    with pytest.raises(CardFault, match="mark"):
        draw(replace(GERMAN, mark="ÜBUNG " * 60))


def test_arabic_stands_on_the_right() -> None:
    """The title's ink lies in the half where reading begins."""
    for language, right in (("ar", True), ("de", False)):
        spec = replace(LANGUAGES[language], title="خطر" if right else "Feuer")
        picture = seen(spec)
        top = band_bottom(picture) + 1
        found = ink(picture, (0, top, 1200, top + 130))
        assert found is not None
        middle = (found[0] + found[2]) / 2
        assert (middle > 600) is right


def test_every_word_of_the_card_is_drawn() -> None:
    """A change of any field changes the picture."""
    base = replace(GERMAN, mark="ÜBUNG", note="Nur eine Übung.")
    pictures = {draw(base)}
    names = ("mark", "level", "title", "place", "action", "time", "source", "reference", "note")
    for name in names:
        pictures.add(draw(changed(base, **{name: "Andere Worte"})))
    assert len(pictures) == len(names) + 1


@pytest.mark.parametrize("name", ["place", "action", "time", "source", "reference", "note"])
def test_what_is_not_said_leaves_no_gap_in_the_template(name: str) -> None:
    """A card can lack any of these."""
    draw(changed(GERMAN, **{name: ""}))
    draw(changed(OTHERS["exercise"], **{name: ""}))


@pytest.mark.parametrize("size", SIZES)
def test_a_long_place_and_a_long_action_fit(size: tuple[int, int]) -> None:
    """As much as the words of an alert are cut to before (400 characters each), on an exercise."""
    place = ("Hafen, Altstadt, Neustadt-Süd, Mühlenviertel, Auenwald, Oberbruch, " * 9)[:400]
    warning = replace(OTHERS["warning"], place=place, action=OTHERS["warning"].action[:400])
    draw(replace(warning, mark="ÜBUNG", note="Nur Übung.", width=size[0], height=size[1]))


def outcome(spec: Spec) -> tuple[set[str], str]:
    """Return what a picture is made of, or the fault in its words."""
    try:
        svg = svg_of(spec, None)
    except CardFault as fault:
        return set(), str(fault)
    return elements(svg), ""


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_word_wider_than_the_card_is_broken_in_every_language(language: str) -> None:
    """Whatever hyphenation there is for it, there is a picture."""
    word = LANGUAGES[language].title.replace(" ", "") * 12
    draw(changed(LANGUAGES[language], title=word, place=word, action=word))


HOSTILE = (
    "</svg><script>alert(1)</script>",
    "&lt; & ]]> <!-- \" ' &#0; &xxe;",
    "{{ 7 * 7 }} {% raw %} {# #}",
    "\x00\x1b[31m\r\n\u2028\ufeff",
    "x" * 4000,
    "Wort " * 800,
    "Das ist ein Satz. " * 220,
    "أ" * 4000,
    "A" + "\u0301" * 4000,
    "\u202e\u2066" * 50,
    "(" * 300,
    "\ud800 \udfff",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_never_breaks_the_picture(text: str) -> None:
    """Either it is drawn as letters, or it is a fault in a sentence; the SVG holds no text."""
    for name in ("title", "place", "action", "reference", "mark"):
        for language in ("de", "ar"):
            spec = changed(GERMAN, language=language, **{name: text})
            made, said = outcome(spec)
            assert made <= {"svg", "g", "path", "rect", "circle", "defs", "pattern"}
            assert made or said
            assert len(said) < 200


@settings(max_examples=60)
@given(st.text(max_size=200), st.text(max_size=40), st.sampled_from(["de", "ar", "tr", "ru"]))
def test_any_text_is_drawn_or_named(action: str, title: str, language: str) -> None:
    """No text whatsoever ends in anything but a picture or a CardFault."""
    made, said = outcome(replace(GERMAN, language=language, title=f"T {title}", action=action))
    assert made or "U+" in said or "too many words" in said


def own(directory: Path, name: str, text: str) -> Path:
    """Write a template of a city's own."""
    (directory / "card").mkdir()
    (directory / "card" / name).write_text(text, encoding="utf-8")
    return directory


def test_a_citys_own_template_comes_first(tmp_path: Path) -> None:
    """File by file: other colours take one file, and the rest stays."""
    colours = (CARD / "colours.svg.j2").read_text(encoding="utf-8").replace("#b3121d", "#123456")
    picture = Image.open(io.BytesIO(draw(GERMAN, own(tmp_path, "colours.svg.j2", colours))))
    assert picture.convert("RGB").getpixel((3, 3)) == (0x12, 0x34, 0x56)


@pytest.mark.parametrize(
    "template",
    [
        "{% if %}",
        "{{ card.nothing }}",
        "{{ 1 / 0 }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ column([{'text': 'x', 'weight': 500}], 0, 0, 10, 10) }}",
        "{% include 'nowhere' %}",
        "this is no SVG",
        "",
    ],
)
def test_a_broken_template_is_a_fault(template: str, tmp_path: Path) -> None:
    """People are told what is wrong; the text goes without its card."""
    with pytest.raises(CardFault, match="card's template"):
        draw(GERMAN, own(tmp_path, "card.svg.j2", template))


def test_a_template_that_is_no_text_is_a_fault(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are a fault like any other."""
    own(tmp_path, "card.svg.j2", "")
    (tmp_path / "card" / "card.svg.j2").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(CardFault, match="card's template"):
        draw(GERMAN, tmp_path)
