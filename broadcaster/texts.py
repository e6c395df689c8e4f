"""The templates: found, compiled once, and filled in without a chance to do more than that.

`templates/shared/<family>.txt.j2` gives a text its shape, `templates/<language>/words.txt.j2` its
words. What lies in a language's own directory comes before what is shared, and a city's own
directory of the same shape before both, file by file.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from jinja2 import BytecodeCache, FileSystemLoader, StrictUndefined, Template, TemplateError
from jinja2.bccache import Bucket
from jinja2.sandbox import ImmutableSandboxedEnvironment

from broadcaster.config import ConfigError, Fault

SUFFIX = ".txt.j2"
WORDS = "words"
SHARED = "shared"
_LANGUAGE = re.compile("[a-z]{2,3}(-simple)?")
_MARKED = ("Exercise", "Test", "System")  # what must never be taken for danger
_ENDS = frozenset(".!?…؟۔।。！？")  # noqa: RUF001 - as sentences end in several scripts
_SPECIMEN: Mapping[str, Any] = {
    **dict.fromkeys(("event", "place", "headline", "source", "contact", "web"), "-"),
    **dict.fromkeys(("description", "instruction", "first_action", "reference", "replaces"), "-"),
    **dict.fromkeys(("onset", "expires", "sent"), datetime(2026, 11, 22, tzinfo=UTC)),
    "today": date(2026, 11, 23),
    "severity": "Severe",
    "status": "Exercise",
    "headline_says_all": False,
    "hashtags": True,
}
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
        compiled = _Compiled()
        for language in _languages(places):
            rooms = [place / room for room in (language, SHARED) for place in places]
            self._compile(language, rooms, compiled)

    @property
    def languages(self) -> frozenset[str]:
        """The languages there are texts in."""
        return frozenset(self._marks)

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong with templates, in sentences for people."""
        return tuple(dict.fromkeys(self._faults.values()))

    def has(self, language: str, family: str) -> bool:
        """Say whether there is such a template, and it compiles."""
        return (language, family) in self._templates

    def trial(self, language: str, family: str) -> str | None:
        """Fill a template in with a specimen; return what is wrong with it, None if nothing is.

        Else a macro that a city's own words lack would be missed in the night it is needed.
        """
        try:
            for kind in ("alert", "update", "all-clear"):
                self._filled(language, family, {**_SPECIMEN, "kind": kind}, ())
        except TextError as error:
            return str(error)
        return None

    def mark(self, language: str, status: str) -> str | None:
        """Return what a text of this CAP status begins with, None for an Actual one."""
        return self._marks.get(language, {}).get(status)

    def fill(self, language: str, family: str, values: Mapping[str, Any]) -> tuple[str, str | None]:
        """Return the text, and the subject if the template sets one. Raises TextError."""
        text, named = self._filled(language, family, values, ("subject",))
        return tidy(text), named.get("subject")

    def words(
        self, language: str, family: str, values: Mapping[str, Any], names: Collection[str]
    ) -> dict[str, str]:
        """Return what a template sets of these names, each as one line. Raises TextError."""
        return self._filled(language, family, values, names)[1]

    def _filled(
        self, language: str, family: str, values: Mapping[str, Any], names: Collection[str]
    ) -> tuple[str, dict[str, str]]:
        template = self._templates.get((language, family))
        if template is None:
            missing = f"there is no template {family} for {language}"
            raise TextError(self._faults.get((language, family), missing))
        try:
            module = template.make_module(dict(values))
            there = {name: getattr(module, name, None) for name in names}
            named = {name: one_line(str(one)) for name, one in there.items() if one is not None}
            return str(module), named
        except _RAISED as error:
            raise TextError(f"{language}/{family}{SUFFIX} does not work: {error}") from error

    def _compile(self, language: str, places: Sequence[Path], compiled: BytecodeCache) -> None:
        environment = _environment(places, compiled)
        for name in environment.list_templates(filter_func=lambda name: name.endswith(SUFFIX)):
            key = (language, name.removesuffix(SUFFIX))
            try:
                self._templates[key] = environment.get_template(name)
            except (TemplateError, UnicodeDecodeError) as error:
                room = next((one.name for one in places if (one / name).is_file()), language)
                self._faults[key] = f"{room}/{name} cannot be read: {error}"
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


class _Compiled(BytecodeCache):
    """Keeps what is shared from being compiled once per language."""

    def __init__(self) -> None:
        self._code: dict[tuple[str, str], Any] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._code.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key, bucket.checksum] = bucket.code


def _environment(places: Sequence[Path], compiled: BytecodeCache) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(places),
        undefined=StrictUndefined,
        autoescape=False,  # plain text; `wording.harmless` knows what each network needs
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        bytecode_cache=compiled,
    )
    environment.globals["lines"] = _lines
    environment.filters["sentence"] = _sentence
    environment.filters["after"] = _after
    environment.filters["bare"] = _bare
    environment.filters["full_stop"] = _full_stop
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


def _full_stop(text: str) -> str:
    """For templates: the text, with a full stop unless it ends as a sentence already."""
    text = text.strip()
    return text if not text or text[-1] in _ENDS else f"{text}."


def _bare(address: str) -> str:
    """For templates: a web address as people read it out, without what makes it a link."""
    return re.sub(r"\Ahttps?://", "", address).removesuffix("/")
