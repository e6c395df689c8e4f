r"""LinkedIn's "little" text: what a post must be written as, so that it is shown as it is meant.

Each of the characters  \ | { } @ [ ] ( ) < > # * _ ~  must have a backslash before it, or LinkedIn
may drop the rest of the post without a word (learn.microsoft.com, "little Text Format"). The only
one left bare is the # of a hashtag that stands by itself. In links they are escaped too: where that
should harm a link (nobody documents it), a link is lost, and otherwise the end of a warning would
be.
"""

from __future__ import annotations

import re

_R = r"\\|{}@\[\]()<>#*_~"
_RESERVED = re.compile(f"[{_R}]")
# A word that begins with # and has a letter. What has a reserved character behind it is none:
# where LinkedIn would see its end is not known.
_HASHTAG = re.compile(rf"(?<!\S)#(?=\w*[^\W\d_])[^\W_]++(?![{_R}])")

_PLAIN = rf"(?:\\[{_R}]|[^{_R}])*+"
_ESCAPED = rf"\\(?P<escaped>[{_R}])"
_TEMPLATE = rf"\{{hashtag\|\\?[#\uff03]\|(?P<tag>{_PLAIN})\}}"
_MENTION = rf"@\[(?P<name>{_PLAIN})\]\(urn:li:[A-Za-z]{{1,40}}:[\w-]{{1,80}}\)"
_ELEMENT = re.compile(f"{_ESCAPED}|{_TEMPLATE}|{_MENTION}")
_INTACT = re.compile(rf"(?:{_ESCAPED}|{_TEMPLATE}|{_MENTION}|#(?=\w)|[^{_R}])*+")


def escape(text: str) -> str:
    """Return `text` as little text: LinkedIn shows all of it, and mentions nobody."""
    tags = {found.start() for found in _HASHTAG.finditer(text)}
    return _RESERVED.sub(lambda found: found[0] if found.start() in tags else f"\\{found[0]}", text)


def read(commentary: str) -> str:
    """Return what little text says; a text that was never escaped is read as it stands."""
    return _ELEMENT.sub(_said, commentary)


def _said(element: re.Match[str]) -> str:
    if element["escaped"]:
        return element["escaped"]
    if element["tag"] is not None:
        return f"#{read(element['tag'])}"
    return read(element["name"])


def is_intact(commentary: str) -> bool:
    """Say whether LinkedIn would show all of it: no reserved character stands bare in it."""
    return _INTACT.fullmatch(commentary) is not None
