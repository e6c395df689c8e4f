"""The templates: found, compiled once, and filled in without a chance to do more than that.

`templates/<language>/<family>.txt.j2`; a city's own directory of the same shape comes first, file
by file. Every language has `words.txt.j2` with the words all its texts share.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from broadcaster.config import ConfigError, Fault

SUFFIX = ".txt.j2"
WORDS = "words"
_LANGUAGE = re.compile("[a-z]{2,3}")
_MARKED = ("Exercise", "Test", "System")  # what must never be taken for danger
# What a city's own template can raise while it is filled in; anything else is a fault of ours.
_RAISED = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


class TextError(Exception):
    """A template that is missing or does not work, in a sentence for people."""


def templates_path() -> Path:
    """Where the project's own templates are: inside an installation, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "templates"
    return inside if inside.is_dir() else package.parent / "templates"


class Texts:
    """All templates, compiled. `own`: a city's own, which come before the project's.

    Raises ConfigError when that directory does not exist. A template that does not compile is named
    in `faults`, and is an error only for who needs it.
    """

    def __init__(self, own: Path | None = None) -> None:
        if own and not own.is_dir():
            raise ConfigError([Fault("texts.templates", f"{own} is not a directory")])
        places = [*([own] if own else []), templates_path()]
        self._templates: dict[tuple[str, str], Template] = {}
        self._faults: dict[tuple[str, str], str] = {}
        self._marks: dict[str, Mapping[str, str]] = {}
        for language in _languages(places):
            self._compile(language, [place / language for place in places])

    @property
    def languages(self) -> frozenset[str]:
        """The languages there are texts in."""
        return frozenset(self._marks)

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong with templates, in sentences for people."""
        return tuple(self._faults.values())

    def has(self, language: str, family: str) -> bool:
        """Say whether there is such a template, and it compiles."""
        return (language, family) in self._templates

    def mark(self, language: str, status: str) -> str | None:
        """Return what a text of this CAP status begins with, None for an Actual one."""
        return self._marks[language].get(status)

    def fill(self, language: str, family: str, values: Mapping[str, Any]) -> tuple[str, str | None]:
        """Return the text, and the subject if the template sets one. Raises TextError."""
        template = self._templates.get((language, family))
        if template is None:
            missing = f"there is no template {family} for {language}"
            raise TextError(self._faults.get((language, family), missing))
        try:
            module = template.make_module(dict(values))
            subject = getattr(module, "subject", None)
            return tidy(str(module)), None if subject is None else one_line(str(subject))
        except _RAISED as error:
            raise TextError(f"{language}/{family}{SUFFIX} does not work: {error}") from error

    def _compile(self, language: str, places: Sequence[Path]) -> None:
        environment = _environment(places)
        for name in environment.list_templates(filter_func=lambda name: name.endswith(SUFFIX)):
            key = (language, name.removesuffix(SUFFIX))
            try:
                self._templates[key] = environment.get_template(name)
            except (TemplateError, UnicodeDecodeError) as error:
                self._faults[key] = f"{language}/{name} cannot be read: {error}"
        self._read_marks(language)

    def _read_marks(self, language: str) -> None:
        """Without its words a language has no texts: an exercise could not be told from danger."""
        try:
            given = vars(self._templates[language, WORDS].module)["marks"].items()
            marks = {str(status): one_line(str(mark)) for status, mark in given}
        except KeyError:
            marks = {}
        except _RAISED as error:
            self._faults[language, WORDS] = f"{language}/{WORDS}{SUFFIX} does not work: {error}"
            return
        if all(marks.get(status) for status in _MARKED):
            self._marks[language] = marks
        else:
            need = f"{language} needs {WORDS}{SUFFIX} with `marks` for {', '.join(_MARKED)}"
            self._faults.setdefault((language, WORDS), need)


def tidy(text: str) -> str:
    """Strip every line and keep at most one empty one between two paragraphs."""
    lines = "\n".join(line.strip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip()


def one_line(text: str) -> str:
    """Join everything into one line with single blanks."""
    return " ".join(text.split())


def _languages(places: Sequence[Path]) -> list[str]:
    found = {path.parent.name for place in places for path in place.glob(f"*/*{SUFFIX}")}
    return sorted(name for name in found if _LANGUAGE.fullmatch(name))


def _environment(places: Sequence[Path]) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(places),
        undefined=StrictUndefined,
        autoescape=False,  # plain text; `wording.harmless` knows what each network needs
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals["lines"] = _lines
    environment.filters["sentence"] = _sentence
    environment.filters["after"] = _after
    return environment


def _lines(*texts: object) -> str:
    """For templates: the texts that are there, one per line."""
    stripped = (str(text).strip() for text in texts if text)
    return "\n".join(text for text in stripped if text)


def _sentence(text: str) -> str:
    """For templates: with a capital and a full stop, or nothing."""
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _after(text: str, before: str) -> str:
    """For templates: the text behind `before`, or nothing."""
    return f"{before}{text}" if text else ""
