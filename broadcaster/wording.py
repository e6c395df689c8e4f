# ruff: noqa: RUF001 - look-alikes are what this room is about
"""Words on their way into a text: sentences kept whole, characters made harmless or cheaper.

Nothing here cuts anything; it says where a text may be cut, and how a network must be given it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import islice

from broadcaster.channels import Escape

_CLOSING = '"“”’»«)\\]'
_BREAK = re.compile(
    rf"(?<![.!?…؟۔।])(?P<mark>[.!?…؟۔।]+)[{_CLOSING}]*\s+|(?P<wide>[。！？]+)[」』）]*\s*|(?P<line>\n\s*)"
)
_ABBREVIATIONS = frozenset(
    re.findall(
        r"\w+",
        "abs abt approx art aug bhf bspw bzgl bzw ca dec dept dez dr einschl etc evtl feb fr"
        " ggf hbf hr inkl insb jan jul jun max min mio mr mrs ms mär nov nr no nrn oct okt pl"
        " prof red sep sept sog st std str tel u usw vgl vs zzgl zzt"
        " al godz itd np ok tj tzn tzw ul woj zob"  # Polish
        " alin aprox bld șos"  # Romanian
        " cad doç mah no örn sok vb yakl"  # Turkish
        " бул вул гр див др им ім млн напр обл пер пл пр просп прибл рис рр см ст стр тел тис тыс"
        " ул",  # Ukrainian and Russian
    )
)
_ORDINAL = re.compile(r"(?:\d{1,2}\.[/–-]?)+")  # 5. Mai, 22./23. November
_INITIAL = re.compile(r"(?:[^\W\d_]\.)+")  # z. B., z.B., e. V.
_ITEM = r"[ \t]*(?:[-–•*·▪]|\d{1,2}[.)])\s"
_BULLET = re.compile(_ITEM)
_LIST = re.compile(rf":\s*\n{_ITEM}")
_ITEMS = re.compile(rf"\A(?:{_ITEM}.*\n\s*)*")
# 4,000 characters hold some sixty sentences; what looks like a thousand is not prose.
SENTENCES_MAX = 100
_BREAKS_MAX = 4 * SENTENCES_MAX


@lru_cache(maxsize=64)  # every channel of an alert asks for the same few texts
def sentences(text: str) -> tuple[str, ...]:
    """Split into sentences that joined give `text` again; each keeps the blanks behind it.

    When in doubt it does not split: a longer unit is dropped whole, a wrong cut would mislead.
    Abbreviations, ordinal numbers, times and links do not end a sentence; neither does the line
    break of a text that was merely wrapped. Of a text with far more than anyone writes, the rest is
    one sentence.
    """
    pieces: list[str] = []
    start = 0
    for found in islice(_BREAK.finditer(text), _BREAKS_MAX):
        if len(pieces) == SENTENCES_MAX - 1:
            break
        if text[start : found.end()].strip() and _ends(text, start, found):
            pieces.append(text[start : found.end()])
            start = found.end()
    return (*pieces, text[start:]) if text[start:] else tuple(pieces)


def _ends(text: str, start: int, found: re.Match[str]) -> bool:
    following = text[found.end() :]
    if not following or found["wide"]:
        return True
    if found["line"]:
        return _line_ends(text[start : found.start()], found["line"], following)
    if found.group().count("\n") > 1 or _BULLET.match(following):
        return True
    if following[0].islower():
        return False
    return found["mark"] != "." or not _abbreviated(text[start : found.end("mark")])


def _line_ends(before: str, line: str, following: str) -> bool:
    """Say whether a line break without a mark before it ends a paragraph or a list item.

    Items are apart only in a proper list: "You may not use - parks - woods" is one sentence, and
    so is a list behind which a sentence goes on; cut at an item they would say the opposite.
    """
    rest = _ITEMS.sub("", following, count=1)
    if before.rstrip().endswith(":") or rest[:1].islower():
        return False  # what is announced belongs to it, and what goes on has not ended
    if line.count("\n") > 1:
        return True
    in_list = _BULLET.match(before) or _LIST.search(before)
    return bool(in_list and _BULLET.match(following))


def _abbreviated(before: str) -> bool:
    token = before.rsplit(maxsplit=1)[-1].lstrip("(\"„“'[»«")
    word = token.removesuffix(".").lower()
    return (
        word in _ABBREVIATIONS
        or word.endswith("str")
        or _ORDINAL.fullmatch(token) is not None
        or _INITIAL.fullmatch(token) is not None
    )


# U+200B behind an @ breaks a mention everywhere: no network's pattern for names has it, Discord's
# own libraries do the same, and X counts it as one. The full-width @ does not help: X takes it for
# an @. U+2060 would do too, but weighs two on X.
_BREAKER = "\u200b"
_MENTION = re.compile(
    r"(?P<link>https?://[^\s@]*(?:(?<=[/=])@[^\s@]*)*)|(?<![A-Za-z0-9_])[@＠](?=[A-Za-z0-9_])"
)
_TO_ALL = re.compile(r"[@＠](?=everyone|here|channel|all\b)", re.IGNORECASE)
_LINK = re.compile(r"(https?://[^\s<>]+)")
_MARKUP = (
    (re.compile(r"<(?=[^\s\d<])([^<>]*)>"), r"‹\1›"),  # <b>, <!here>, <@1>; not 5 < 6
    (re.compile(r"&(?=#?\w+;)"), f"&{_BREAKER}"),
    (re.compile(r"\\(?=[^\w\s])"), "＼"),
    (re.compile(r"\*"), "∗"),  # also the star of Bürger*innen, which would turn italic
    (re.compile(r"`"), "ˋ"),
    (re.compile(r"~"), "∼"),
    (re.compile(r"(?<![^\W_])_|_(?![^\W_])"), "＿"),
    (re.compile(r"\|(?=\|)"), f"|{_BREAKER}"),
    (re.compile(r"\](?=\()"), f"]{_BREAKER}"),
    (re.compile(r"^(?=[ ]{0,3}(?:>|#{1,6}\s|-#\s))", re.MULTILINE), _BREAKER),
)


def harmless(text: str, escape: Escape) -> str:
    """Return `text` so that the network shows it as written and pings nobody.

    Mail addresses and links stay as they are. For chats, characters that would be read as markup
    are replaced by their look-alikes, because backslashes would show on half of the services.
    """
    if escape is Escape.MENTIONS:
        return _unmentioned(text)
    if escape is Escape.CHAT:
        return _unmarked(_TO_ALL.sub(rf"\g<0>{_BREAKER}", _unmentioned(text)))
    return text


def _unmentioned(text: str) -> str:
    if "@" not in text and "＠" not in text:
        return text
    return _MENTION.sub(lambda found: found["link"] or found.group() + _BREAKER, text)


def _unmarked(text: str) -> str:
    pieces = _LINK.split(text)
    for at in range(0, len(pieces), 2):
        for pattern, instead in _MARKUP:
            pieces[at] = pattern.sub(instead, pieces[at])
    return "".join(pieces)


_GSM_SPELLING = str.maketrans(
    dict.fromkeys("–—−‐‑•·▪", "-")
    | dict.fromkeys("„“”«»‟″", '"')
    | dict.fromkeys("‚‘’‛‹›′´`", "'")
    | dict.fromkeys("\u00a0\u2007\u2009\u202f", " ")
    | dict.fromkeys("\u200b\u200c\u2060", "")
    | {"…": "...", "×": "x", "∗": "*", "∼": "~"}
)


def gsm_spelling(text: str) -> str:
    """Write typographic characters as GSM-7 has them, where that loses no meaning.

    One dash would else turn a whole SMS to UCS-2 and more than halve its space. German umlauts are
    in GSM-7 as they are.
    """
    return text.translate(_GSM_SPELLING)
