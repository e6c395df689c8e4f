"""The words of a card before they are set: cleaned, checked, and where they may be broken."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

import pyphen

from broadcaster.drawing import fonts
from broadcaster.drawing.spec import CardFault

_DIRECTIONS = "\u200e\u200f\u061c"  # LRM, RLM and ALM, which say how a number is to be read
_KEPT = frozenset(
    f"{_DIRECTIONS}\u200c\u200d\u00ad"
)  # with those that shape words, and soft hyphens
_NO_BREAK = "\u00a0\u202f\u2007"  # blanks that hold words together
_BLANKS = re.compile(rf"[^\S{_NO_BREAK}]+")
_LONELY = re.compile(r"(?<!\w)[\u200c\u200d]+|[\u200c\u200d]+(?!\w)")  # left over from emoji
_MARKS_MAX = 2  # on one letter: more of them would reach into other lines
_NUMBER = re.compile(r"(?<!\w)\+?\d[\d ()/.-]{4,}\d(?!\w)")
_NUMBER_DIGITS = 6
_SENTENCE = re.compile("(?:(?<=[^\\W\\d_]{3})\\.|[!?\u061f\u06d4])[)\"'“”»]*(?=\\s+\\S)")
_HYPHENS = "-\u2010\u2013/"
_TURKISH = re.compile("(?=[bcçdfgğhjklmnprsştvyz][aeıioöuü])", re.IGNORECASE)  # noqa: RUF001
_LEAST_LETTERS = 3  # on either side of a hyphen


def cleaned(text: str) -> str:
    """Return it in one line, normalised (NFC), without what cannot or must not be drawn.

    Left out: emoji and other symbols that no font has, which are decoration; variation selectors;
    control and format characters, among them embeddings, overrides and isolates of direction.
    """
    kept = [one for one in unicodedata.normalize("NFC", text) if not _left_out(one)]
    line = "".join(" " if _is_blank(one) else one for one in kept)
    line = _LONELY.sub("", line)
    return _few_marks(_BLANKS.sub(" ", line)).strip(f" {_NO_BREAK}")


def checked(field: str, text: str) -> str:
    """Return it cleaned. Raises CardFault if it has a character that no font has."""
    text = cleaned(text)
    one = fonts.missing(text)
    if one is None:
        return text
    name = unicodedata.name(one, "no character")
    raise CardFault(f"the card's {field} has U+{ord(one):04X} ({name}), which no font has")


def read_on(text: str) -> str:
    """Keep long numbers (telephone, reference, date) from being turned round beside Arabic."""

    def held(found: re.Match[str]) -> str:
        number = found.group()
        if sum(one.isdigit() for one in number) < _NUMBER_DIGITS:
            return number
        return f"\u200e{number}\u200e"

    return _NUMBER.sub(held, text)


def sentence_ends(text: str) -> list[int]:
    """Return where sentences end, the last one excepted.

    A full stop behind a number or two letters, or before a small letter, may be an abbreviation's.
    """
    ends = [found.end() for found in _SENTENCE.finditer(text)]
    return [end for end in ends if not text[end:].lstrip()[:1].islower()]


def breaks(text: str) -> list[tuple[int, int]]:
    """Return where the pieces that stay together begin and end, without the blanks after them.

    A line may end at a blank, and behind a hyphen or a slash between two letters.
    """
    pieces = []
    for word in re.finditer(r"[^ ]+", text):
        start = word.start()
        for at in range(word.start() + 1, word.end() - 1):
            if text[at] in _HYPHENS and text[at - 1].isalpha() and text[at + 1].isalpha():
                pieces.append((start, at + 1))
                start = at + 1
        pieces.append((start, word.end()))
    return pieces


def hyphenation(word: str, language: str) -> list[int]:
    """Return where a word takes a hyphen: its own soft hyphens, or else the dictionary's."""
    soft = [at + 1 for at, one in enumerate(word) if one == "\u00ad"]
    if soft:
        return soft
    places = []
    for letters in re.finditer(r"[^\W\d_]+", word):
        found = _syllables(letters.group(), language.partition("-")[0])
        places += [letters.start() + at for at in found]
    return places


def anywhere(word: str) -> list[int]:
    """Return where a word may be broken at worst: between letters, never before a mark."""
    return [
        at
        for at in range(_LEAST_LETTERS, len(word) - _LEAST_LETTERS + 1)
        if not unicodedata.category(word[at]).startswith(("M", "C"))
    ]


@cache
def _dictionary(language: str) -> pyphen.Pyphen | None:
    name = pyphen.language_fallback(language)
    return pyphen.Pyphen(lang=name, left=_LEAST_LETTERS, right=_LEAST_LETTERS) if name else None


def _syllables(word: str, language: str) -> list[int]:
    """Return where syllables begin. Turkish ones take one consonant before their vowel."""
    if language == "tr":
        ends = range(_LEAST_LETTERS, len(word) - _LEAST_LETTERS + 1)
        return [found.start() for found in _TURKISH.finditer(word) if found.start() in ends]
    dictionary = _dictionary(language)
    return list(dictionary.positions(word)) if dictionary else []


def _left_out(one: str) -> bool:
    category = unicodedata.category(one)
    if category == "Cf":
        return one not in _KEPT
    if unicodedata.name(one, "").startswith(("VARIATION SELECTOR", "COMBINING ENCLOSING")):
        return True
    symbol = category in {"So", "Sk"}  # Sk: the skin tones
    return symbol and fonts.missing(one) is not None


def _is_blank(one: str) -> bool:
    return unicodedata.category(one) in {"Cc", "Zl", "Zp"}


def _few_marks(text: str) -> str:
    kept: list[str] = []
    marks = 0
    for one in text:
        marks = marks + 1 if unicodedata.category(one).startswith("M") else 0
        if marks <= _MARKS_MAX:
            kept.append(one)
    return "".join(kept)
