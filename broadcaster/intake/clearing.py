"""The content of an all-clear: what its sender left out, from the versions it ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from broadcaster.alert import Alert, Certainty, Info, ResponseType, Severity, Urgency
from broadcaster.facts import primary, unsaid


def all_clear(ended: Sequence[Alert], text: str | None, language: str | None) -> list[Info]:
    """Return the content of a Cancel that has none of its own, from the incident it ends.

    `ended` are all versions, the newest first: what any of them said in a language is still out
    there. Event, area and languages stay, the old instruction does not. `text` becomes the
    description in `language`, or in the first one.
    """
    blocks = [*ended[0].info, *lacking(ended[0].info, ended[1:])]
    languages = [info.language.lower() for info in blocks]
    wanted = (language or "").lower()
    at = languages.index(wanted) if wanted in languages else 0
    return [_cleared(info, text if index == at else None) for index, info in enumerate(blocks)]


def completed(said: Sequence[Info], ended: Sequence[Alert]) -> list[Info]:
    """Return an all-clear's own content with areas, and with a block for every language warned in.

    What is added agrees with the sender's own blocks in urgency, severity and certainty.
    """
    own = [_with_area(info, ended) for info in said]
    levels = {name: getattr(own[0], name) for name in ("urgency", "severity", "certainty")}
    added = (_cleared(info, None) for info in lacking(own, ended))
    return own + [info.model_copy(update=levels) for info in added]


def told(said: Alert, ended: Sequence[Info]) -> Alert:
    """Return an all-clear as our webhooks are given it: without what the ended alert said.

    It has no instruction at all: whoever shows the data would else warn once more. The stored alert
    stays as it was sent.
    """
    return said.model_copy(update={"info": [_told(info, ended) for info in said.info]})


def _told(info: Info, ended: Sequence[Info]) -> Info:
    left = {
        name: "".join(unsaid(getattr(info, name) or "", ended)).strip() or None
        for name in ("headline", "description")
    }
    return info.model_copy(update=left | {"instruction": None})


def lacking(infos: Iterable[Info], ended: Iterable[Alert]) -> list[Info]:
    """Return the blocks of the languages that `infos` lack, each from the newest that has it."""
    known = {primary(info.language) for info in infos}
    found: dict[str, Info] = {}
    for info in (info for alert in ended for info in alert.info):
        if primary(info.language) not in known:
            found.setdefault(primary(info.language), info)
    return list(found.values())


def _cleared(info: Info, text: str | None) -> Info:
    return Info(
        language=info.language,
        category=info.category,
        event=info.event,
        response_type=[ResponseType.ALL_CLEAR],
        urgency=Urgency.PAST,
        severity=Severity.MINOR,
        certainty=Certainty.OBSERVED,
        sender_name=info.sender_name,
        description=text,
        area=info.area,
    )


def _with_area(info: Info, ended: Sequence[Alert]) -> Info:
    """Take the area from the newest block of its language, or else from any."""
    known = [block for alert in ended for block in alert.info if block.area]
    there = [block for block in known if primary(block.language) == primary(info.language)]
    if info.area or not known:
        return info
    return info.model_copy(update={"area": (there or known)[0].area})
