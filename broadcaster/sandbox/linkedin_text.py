r"""Little text as LinkedIn's readers get to see it.

    \x                      the reserved character x
    #word                   a hashtag
    {hashtag|\#|word}       the same; LinkedIn gives hashtags back so
    @[Name](urn:li:...)     a mention

Any other reserved character ends the text, and nobody is told: the answer is a 201 all the same.
"""

from __future__ import annotations

RESERVED = frozenset("\\|{}@[]()<>#*_~")
_SIGNS = frozenset({"#", "\\#", "\uff03", "\\\uff03"})


def seen(commentary: str) -> str:
    """Return what readers see of a commentary."""
    return "".join(text for text, _ in _pieces(commentary))


def given_back(commentary: str) -> str:
    """Return a commentary as the API gives it back: whole, with hashtags as templates."""
    pieces = _pieces(commentary)
    rest = commentary[sum(len(source) for _, source in pieces) :]
    return "".join(map(_source, pieces)) + rest


def _source(piece: tuple[str, str]) -> str:
    text, source = piece
    is_hashtag = len(source) > 1 and source[0] == "#"
    return f"{{hashtag|\\#|{text[1:]}}}" if is_hashtag else source


def _pieces(commentary: str) -> list[tuple[str, str]]:
    """Take a commentary apart into what is seen and what stands for it, to where it is cut."""
    pieces: list[tuple[str, str]] = []
    at = 0
    while at < len(commentary):
        piece = _piece(commentary, at)
        if piece is None:
            break
        pieces.append(piece)
        at += len(piece[1])
    return pieces


def _piece(commentary: str, at: int) -> tuple[str, str] | None:
    sign = commentary[at]
    if sign not in RESERVED:
        return sign, sign
    if sign == "\\":
        escaped = commentary[at + 1 : at + 2]
        return (escaped, sign + escaped) if escaped in RESERVED else None
    if sign == "#":
        return _hashtag(commentary, at)
    if sign == "{":
        return _template(commentary, at)
    return _mention(commentary, at) if sign == "@" else None


def _hashtag(commentary: str, at: int) -> tuple[str, str] | None:
    end = at + 1
    while end < len(commentary) and commentary[end].isalnum():
        end += 1
    word = commentary[at:end]
    return (word, word) if len(word) > 1 else None


def _template(commentary: str, at: int) -> tuple[str, str] | None:
    end = commentary.find("}", at)
    source = commentary[at : end + 1]
    parts = source[1:-1].split("|")
    if end < 0 or len(parts) != 3 or parts[0] != "hashtag" or parts[1] not in _SIGNS:
        return None
    return "#" + parts[2].replace("\\", ""), source


def _mention(commentary: str, at: int) -> tuple[str, str] | None:
    name, found, _ = commentary[at + 1 :].partition("](urn:li:")
    end = commentary.find(")", at + 1 + len(name))
    if not found or not name.startswith("[") or end < 0:
        return None
    return name[1:].replace("\\", ""), commentary[at : end + 1]
