"""What stands beside a text: the words of its card, a video's title, the line before an old post.

All of it is made of templates, like the texts. A picture shows only so much, so a place or an
action that is far too long ends in "…" here; the text beside it has it whole.
"""

from __future__ import annotations

from dataclasses import dataclass

from broadcaster.delivery import names_reference
from broadcaster.facts import Facts, Words, plain_values
from broadcaster.fitting import context, whole
from broadcaster.texts import TextError, Texts, one_line

CARD, POINTER, YOUTUBE = "card", "pointer", "youtube"
ALT_MAX = 1000  # characters; what X takes, and Instagram
TITLE_MAX = 100  # characters of a video's title, none of them < or > (YouTube Data API v3)
NO_ANGLES = str.maketrans("<>", "‹›")  # noqa: RUF001 - look-alikes: YouTube refuses the others
_ROOMS = (400, 200, 100, 40)  # characters for place and action each, until the alt text fits
_NAMES = ("level", "title", "action", "time", "number", "note", "alt")


@dataclass(frozen=True, slots=True)
class CardWords:
    """The words of a card in one language, each in one line.

    `action` is "" where the alert asks for nothing; `mark` and `note` are None for what is in
    earnest. `alt` says all of it in sentences, at most ALT_MAX characters, and is never empty.
    """

    level: str
    title: str
    place: str
    action: str
    time: str
    source: str
    reference: str
    mark: str | None
    note: str | None
    alt: str


def card(texts: Texts, words: Words, language: str) -> CardWords:
    """Return the words of a card. Raises TextError if its template does not work."""
    values = context(words, whole([words])) | {"replaces": None}
    mark = texts.mark(language, values["status"])
    said: dict[str, str] = {}
    short: dict[str, str] = {}
    place, action = one_line(values["place"]), one_line(values["first_action"])
    for room in _ROOMS:
        short = {"place": at_most(place, room), "first_action": at_most(action, room)}
        said = dict.fromkeys(_NAMES, "") | texts.words(language, CARD, values | short, _NAMES)
        if len(marked(said["alt"], mark)) <= ALT_MAX:
            break
    if not said["alt"]:
        raise TextError(f"the template {CARD} ({language}) sets no `alt`")
    return CardWords(
        level=said["level"],
        title=said["title"],
        place=short["place"],
        action=said["action"],
        time=said["time"],
        source=values["source"],
        reference=said["number"],
        mark=mark,
        note=said["note"] or None,
        alt=at_most(marked(said["alt"], mark), ALT_MAX),
    )


def pointer(texts: Texts, facts: Facts, language: str) -> str:
    """Return the line before an older post; it names the number that counts now, whatever happens.

    It is made of fixed words alone, so the alert needs no text in that language.
    """
    try:
        text = one_line(texts.fill(language, POINTER, plain_values(facts))[0])
    except TextError:
        text = ""  # a city's own template is broken: an arrow and the number say enough
    if not names_reference(text, facts.reference):
        text = f"→ {facts.reference}"
    return marked(text, texts.mark(language, facts.alert.status.value))


def titled(subject: str) -> str:
    """Make a title as YouTube takes it."""
    return at_most(subject.translate(NO_ANGLES), TITLE_MAX)


def marked(text: str, mark: str | None) -> str:
    """Put ÜBUNG or PROBEWARNUNG before a text: no template can forget it, no cut drop it."""
    return f"{mark} \N{EN DASH} {text}" if mark else text


def at_most(text: str, room: int) -> str:
    """Return `text`, or its first words and "…", in at most `room` characters."""
    if len(text) <= room:
        return text
    return f"{text[: room - 1].rsplit(maxsplit=1)[0].rstrip(' ,;:–-')}…"  # noqa: RUF001 - a dash
