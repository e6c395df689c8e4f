r"""Little text: whatever is written comes out whole at the other end.

`shown` below is LinkedIn's side, written from its description ("little Text Format") and from what
people report of it: a reserved character that is neither escaped nor part of an element ends the
text, without a word. It shares nothing with the code that escapes.
"""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from broadcaster.channels.linkedin import little
from tests.conftest import count

RESERVED = set("\\|{}@[]()<>#*_~")


class Shown:
    """What readers see: the text, and what in it became a mention or a hashtag."""

    def __init__(self) -> None:
        self.text = ""
        self.mentions: list[str] = []
        self.hashtags: list[str] = []
        self.cut = False


def shown(commentary: str) -> Shown:
    """Show a commentary as LinkedIn would."""
    result, at = Shown(), 0
    while at < len(commentary):
        step = _escaped(commentary, at, result) or _template(commentary, at, result)
        step = step or _mention(commentary, at, result) or _hashtag(commentary, at, result)
        if not step and commentary[at] in RESERVED:
            result.cut = True
            return result
        if not step:
            result.text += commentary[at]
        at += step or 1
    return result


def _escaped(commentary: str, at: int, result: Shown) -> int:
    if commentary[at] != "\\" or at + 1 == len(commentary) or commentary[at + 1] not in RESERVED:
        return 0
    result.text += commentary[at + 1]
    return 2


def _template(commentary: str, at: int, result: Shown) -> int:
    if not commentary.startswith("{hashtag|", at):
        return 0
    end = commentary.find("}", at)
    parts = commentary[at + 1 : end].replace("\\", "").split("|")
    if end < 0 or len(parts) != 3 or parts[1] not in {"#", "\uff03"}:
        return 0
    result.text += "#" + parts[2]
    result.hashtags.append(parts[2])
    return end + 1 - at


def _mention(commentary: str, at: int, result: Shown) -> int:
    if not commentary.startswith("@[", at):
        return 0
    name, _, rest = commentary[at + 2 :].partition("](")
    urn, closed, _ = rest.partition(")")
    if not closed or not urn.startswith("urn:li:"):
        return 0
    result.text += name
    result.mentions.append(name)
    return 2 + len(name) + 2 + len(urn) + 1


def _hashtag(commentary: str, at: int, result: Shown) -> int:
    if commentary[at] != "#":
        return 0
    end = at + 1
    while end < len(commentary) and commentary[end].isalnum():
        end += 1
    if end == at + 1:
        return 0
    result.text += commentary[at:end]
    result.hashtags.append(commentary[at + 1 : end])
    return end - at


NASTY = [
    "",
    "\\",
    "\\\\",
    "Ende mit \\",
    "\\(",
    "\\\\(Rauch)",
    "(Nordseite)",
    "Rauch (auch Ruß",
    ")",
    "#",
    "##",
    "# ",
    "#1",
    "#Feuer",
    "#Feuer #Dortmund, #Hörde.",
    "(#Feuer)",
    "#Feuer_wehr",
    "#Feuer#Wasser",
    "a#b",
    "#Feuer(Nord)",
    "#\u0627\u0644\u062d\u0631\u064a\u0642",
    "#Ho\u0308rde",
    "#\U0001f525",
    "{hashtag|#|Feuer}",
    "{hashtag|\\#|Feuer}",
    "@[Stadt](urn:li:organization:1)",
    "@Feuerwehr und post@stadt.example.org",
    "https://stadt.example.org/lage?a=1&b=2",
    "https://stadt.example.org/lage_2026~neu(1)#abschnitt",
    "https://stadt.example.org/#Abschnitt",
    "<b>*fett*</b> ~nein~ _ja_ | [x]",
    "\uff03Feuer \uff20Stadt \uff08Nord\uff09",
    "Zeile 1\n\n(Zeile 2)\n#Zeile3\n",
    "👩‍👩‍👧 (👍🏽) 🇩🇪",
    "\u0645\u0631\u062d\u0628\u0627 (\u0633\u0644\u0627\u0645) #\u0633",
    "\u202eRTL(\u202c \u2066(x)\u2069",
    "\x00(\x01",
    "\\" * 999 + "(",
    "(" * 3000,
    "".join(sorted(RESERVED)) * 100,
]
# Texts of which most are made of what matters.
PIECES = st.sampled_from(
    [*RESERVED, "#a", " #a", "hashtag", "|#|", "](urn:li:person:1)", " ", "\n"]
)
TEXTS = st.one_of(
    st.text(), st.lists(st.one_of(PIECES, st.text(max_size=3)), max_size=40).map("".join)
)


def comes_out_whole(text: str) -> None:
    """Hold what escaping promises."""
    commentary = little.escape(text)
    seen = shown(commentary)
    assert not seen.cut, commentary
    assert seen.text == text
    assert seen.mentions == []
    assert little.read(commentary) == text
    assert little.is_intact(commentary)


@pytest.mark.parametrize("text", NASTY)
def test_a_nasty_text_comes_out_whole(text: str) -> None:
    """Nothing is cut, nobody is mentioned, and reading gives the text back."""
    comes_out_whole(text)


@pytest.mark.soak
@settings(max_examples=count(1_000, 10_000))
@given(TEXTS)
@example("\\")
def test_every_text_comes_out_whole(text: str) -> None:
    """Nothing is cut, nobody is mentioned, and reading gives the text back: 10,000 random texts."""
    comes_out_whole(text)


@pytest.mark.parametrize(
    "bare", ["Rauch (Nord)", "a_b", "x~y", "@Stadt", "{", "#", "\\x", "[a]", "<", "*", "|"]
)
def test_the_model_cuts_what_linkedin_would(bare: str) -> None:
    """The model above can fail: what is not escaped is lost in it, and known to be."""
    assert shown(bare).cut
    assert not little.is_intact(bare)


@pytest.mark.parametrize(
    ("text", "hashtags"),
    [
        ("#Feuer in #Hörde: Nr. 26-0142/1", ["Feuer", "Hörde"]),
        ("Feuer.\n#Warnung2026", ["Warnung2026"]),
        ("#\u0627\u0644\u062d\u0631\u064a\u0642", ["\u0627\u0644\u062d\u0631\u064a\u0642"]),
        ("Haus #7, C#, a#b, ##x, (#y), #a_b, https://x.example/#z", []),
    ],
)
def test_hashtags_that_stand_by_themselves_stay_hashtags(text: str, hashtags: list[str]) -> None:
    """A word that begins with # is one; a number, and a # inside of something, is none."""
    assert shown(little.escape(text)).hashtags == hashtags


@pytest.mark.parametrize(
    "link",
    ["https://stadt.example.org/lage?id=26-0142&v=1", "http://a.example/%28x%29", "https://ä.de/ü"],
)
def test_a_link_without_reserved_characters_stays_as_it_is(link: str) -> None:
    """LinkedIn makes a link of it only if it finds it as it is."""
    assert little.escape(link) == link


def test_reserved_characters_in_a_link_are_escaped_too() -> None:
    """The end of a warning is worth more than a link that can be clicked."""
    link = "https://stadt.example.org/a_b(1)#c"
    assert little.escape(link) == r"https://stadt.example.org/a\_b\(1\)\#c"


@pytest.mark.parametrize(
    ("commentary", "text"),
    [
        (r"{hashtag|\#|Feuer} in {hashtag|#|Hörde}.", "#Feuer in #Hörde."),
        ("{hashtag|\\\uff03|Feuer}", "#Feuer"),
        (r"{hashtag|\#|a\_b}", "#a_b"),
        (r"Dank an @[Stadt \(Nord\)](urn:li:organization:12)!", "Dank an Stadt (Nord)!"),
        ("Rauch (Nord) und a_b", "Rauch (Nord) und a_b"),
        (r"C:\Lage", r"C:\Lage"),
    ],
)
def test_what_linkedin_gives_back_is_read(commentary: str, text: str) -> None:
    """It turns hashtags into templates; what was never escaped is read as it stands."""
    assert little.read(commentary) == text


@pytest.mark.parametrize(
    "text", ["#" * 99_999, "@[" * 50_000, "{hashtag|#|" * 9_999, "\\" * 99_999, "#a" * 50_000]
)
@pytest.mark.limit(10)
def test_no_text_takes_long(text: str) -> None:
    """What comes from outside may be made to be slow to read."""
    assert little.read(little.escape(text)) == text
    little.read(text)
    little.is_intact(text)
