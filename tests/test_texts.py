"""Templates: found, overridden, broken, and unable to do more than fill in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from broadcaster import texts
from broadcaster.config import ConfigError
from broadcaster.texts import TextError, Texts, one_line, templates_path, tidy
from tests.conftest import REPOSITORY

LANGUAGES = {"ar", "de", "de-simple", "en", "pl", "ro", "ru", "tr", "uk"}
FAMILIES = {
    *("card", "chat", "instagram", "mail", "minimal", "pager", "pointer", "post", "sms", "webhook"),
    *("x", "x-link", "youtube"),
}


def own(directory: Path, text: str, *, name: str = "de/post") -> Texts:
    """Give the city a template of its own."""
    path = directory / f"{name}.txt.j2"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return Texts(directory)


def test_every_language_has_every_family() -> None:
    """Each of them works for a warning, an update and an all-clear, and none is broken."""
    found = Texts()
    assert found.languages == LANGUAGES
    assert found.faults == ()
    shared = {path.name.removesuffix(".txt.j2") for path in (templates_path() / "shared").iterdir()}
    assert shared == FAMILIES | {"lines"}
    for language in LANGUAGES:
        assert [found.trial(language, family) for family in sorted(FAMILIES)] == [None] * 13


def test_every_language_has_the_same_words() -> None:
    """What one of them forgot would fail in the night its readers need it."""
    named = {language: set(vars(module(Texts(), language))) for language in LANGUAGES}
    everywhere = set.intersection(*named.values())
    assert {language: names - everywhere - {"months"} for language, names in named.items()} == {
        language: set() for language in LANGUAGES
    }
    assert {"title", "stamp", "number", "pointer", "marks", "levels", "over"} <= everywhere


def module(found: Texts, language: str) -> Any:
    """Return a language's words."""
    return found._templates[language, "words"].module


def test_a_languages_own_text_comes_before_a_shared_one(tmp_path: Path) -> None:
    """A city's before the project's, and even the project's before what a city shares."""
    changed = own(tmp_path, "Für alle {{ name }}", name="shared/post")
    assert changed.fill("de", "post", {"name": "Hörde"}) == ("Für alle Hörde", None)
    assert changed.fill("tr", "post", {"name": "Hörde"}) == ("Für alle Hörde", None)
    changed = own(tmp_path, "Für uns {{ name }}")
    assert changed.fill("de", "post", {"name": "Hörde"}) == ("Für uns Hörde", None)
    assert changed.fill("tr", "post", {"name": "Hörde"}) == ("Für alle Hörde", None)
    words = own(tmp_path, "{% set marks = {} %}", name="shared/words")
    assert words.languages == LANGUAGES


def test_a_broken_shared_template_is_named_once(tmp_path: Path) -> None:
    """Not once for every language."""
    broken = own(tmp_path, "{% if %}", name="shared/post")
    (fault,) = broken.faults
    assert fault.startswith("shared/post.txt.j2 cannot be read: ")


def test_what_a_template_sets_can_be_read(tmp_path: Path) -> None:
    """Each as one line; what it does not set is left out."""
    changed = own(tmp_path, "{% set level = name %}{% set alt %} a\n b {% endset %}")
    named = changed.words("de", "post", {"name": "Hörde"}, ("level", "alt", "other"))
    assert named == {"level": "Hörde", "alt": "a b"}


def test_a_trial_finds_what_would_fail_in_the_night(tmp_path: Path) -> None:
    """In a warning, an update, or only in the all-clear."""
    late = own(tmp_path, "{% if kind == 'all-clear' %}{{ words.over }}{% endif %}")
    assert late.trial("de", "post") == "de/post.txt.j2 does not work: 'words' is undefined"
    assert late.trial("de", "sms") is None
    assert late.trial("de", "psot") == "there is no template psot for de"


def test_templates_lie_in_an_installation_or_beside_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wheel carries them inside the package, a checkout beside it."""
    assert templates_path() == REPOSITORY / "templates"
    package = tmp_path / "broadcaster"
    (package / "templates").mkdir(parents=True)
    monkeypatch.setattr(texts, "__file__", str(package / "texts.py"))
    assert templates_path() == package / "templates"


def test_a_city_replaces_single_templates(tmp_path: Path) -> None:
    """Its own come first, file by file; the rest stays."""
    changed = own(tmp_path, "Achtung {{ name }}")
    assert changed.fill("de", "post", {"name": "Hörde"}) == ("Achtung Hörde", None)
    assert changed.faults == ()
    assert changed.languages == LANGUAGES


def test_a_template_sets_its_subject(tmp_path: Path) -> None:
    """A subject is one line, whatever is in it."""
    changed = own(tmp_path, "{% set subject = name %}Text")
    assert changed.fill("de", "post", {"name": "a\r\nBcc: b"}) == ("Text", "a Bcc: b")


@pytest.mark.parametrize(
    "text",
    [
        "{{ nobody }}",
        "{{ name.nothing }}",
        "{{ 1 / 0 }}",
        "{{ name + 1 }}",
        "{{ name[99] }}",
        "{% include 'nothing.txt.j2' %}",
        "{% include 'post.txt.j2' %}",
        "{{ ''.__class__.__mro__ }}",
        "{{ lines.__globals__ }}",
        "{% for _ in range(10 ** 9) %}x{% endfor %}",
        "{{ '%d' | format(name) }}",
    ],
)
def test_a_template_that_does_not_work_is_a_text_error(tmp_path: Path, text: str) -> None:
    """Whatever a city's template does, it ends as a sentence that names the template."""
    with pytest.raises(TextError, match=r"^de/post\.txt\.j2 does not work: "):
        own(tmp_path, text).fill("de", "post", {"name": "Hörde"})


def test_a_template_that_does_not_compile_is_named_at_the_start(tmp_path: Path) -> None:
    """It stops nothing but the deliveries that need it."""
    broken = own(tmp_path, "{% if %}")
    (fault,) = broken.faults
    assert fault.startswith("de/post.txt.j2 cannot be read: ")
    with pytest.raises(TextError, match="cannot be read"):
        broken.fill("de", "post", {})


def test_a_family_that_does_not_exist_is_a_text_error() -> None:
    """A mistyped name says which one, and for which language."""
    with pytest.raises(TextError, match=r"^there is no template psot for de$"):
        Texts().fill("de", "psot", {})


def test_a_language_needs_its_words(tmp_path: Path) -> None:
    """Without marks an exercise could not be told from danger: no texts in that language."""
    french = own(tmp_path, "Texte", name="fr/post")
    assert "fr" not in french.languages
    assert french.faults == ("fr needs words.txt.j2 with `marks` for Exercise, Test, System",)


@pytest.mark.parametrize("status", ["Exercise", "Test", "System"])
@pytest.mark.parametrize("blank", [True, False])
def test_a_citys_words_need_all_marks(tmp_path: Path, status: str, blank: bool) -> None:  # noqa: FBT001
    """One that is left out or empty would send a test out as if it were danger."""
    marks = {"Exercise": "ÜBUNG", "Test": "PROBEWARNUNG", "System": "PROBEWARNUNG"} | {status: " "}
    if not blank:
        del marks[status]
    broken = own(tmp_path, f"{{% set marks = {marks} %}}", name="de/words")
    assert broken.languages == LANGUAGES - {"de"}
    assert broken.faults == ("de needs words.txt.j2 with `marks` for Exercise, Test, System",)


def test_a_directory_that_is_not_there_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    """Silently taking the project's own would surprise the city."""
    with pytest.raises(ConfigError, match=r"^texts\.templates: .* is not a directory$"):
        Texts(tmp_path / "nothing")


def test_exercises_are_marked_in_every_language() -> None:
    """ÜBUNG and PROBEWARNUNG, EXERCISE and TEST; an Actual alert has no mark."""
    found = Texts()
    german = [found.mark("de", status) for status in ("Exercise", "Test", "System", "Actual")]
    english = [found.mark("en", status) for status in ("Exercise", "Test", "System", "Actual")]
    assert german == ["ÜBUNG", "PROBEWARNUNG", "PROBEWARNUNG", None]
    assert english == ["EXERCISE", "TEST", "TEST", None]
    marks = {language: found.mark(language, "Exercise") for language in LANGUAGES - {"de-simple"}}
    assert len(set(marks.values())) == len(marks)
    assert found.mark("fr", "Exercise") is None


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://www.dortmund.example/", "www.dortmund.example"),
        ("http://a.example/b?c=https://d", "a.example/b?c=https://d"),
    ],
)
def test_an_address_can_be_read_out(tmp_path: Path, address: str, shown: str) -> None:
    """Where nobody can follow a link, its scheme says nothing."""
    changed = own(tmp_path, "{{ name | bare }}")
    assert changed.fill("de", "post", {"name": address}) == (shown, None)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Raus", "Raus."),
        ("Raus! ", "Raus!"),
        ("Wohin?", "Wohin?"),
        ("اخرجوا؟", "اخرجوا؟"),
        ("", ""),
    ],
)
def test_a_sentence_ends_once(tmp_path: Path, text: str, sentence: str) -> None:
    """In any script; nothing stays nothing."""
    changed = own(tmp_path, "{{ name | full_stop }}")
    assert changed.fill("de", "post", {"name": text}) == (sentence, None)


def test_what_is_empty_leaves_no_gap() -> None:
    """Every line is stripped, and paragraphs are one empty line apart."""
    assert tidy("\n a \n\n\n\n b\n \n") == "a\n\nb"
    assert one_line(" a\n b ") == "a b"
