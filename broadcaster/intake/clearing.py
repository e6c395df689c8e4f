"""The content of an all-clear that came without any: from the alert it ends."""

from __future__ import annotations

from broadcaster.alert import Alert, Certainty, Info, ResponseType, Severity, Urgency


def all_clear(ended: Alert, text: str | None, language: str | None) -> list[Info]:
    """Return the content of a Cancel that has none of its own, from the alert it ends.

    Event, area and languages stay, the old instruction does not. `text` becomes the description in
    `language`, or in the first one.
    """
    languages = [info.language.lower() for info in ended.info]
    wanted = (language or "").lower()
    at = languages.index(wanted) if wanted in languages else 0
    return [_cleared(info, text if index == at else None) for index, info in enumerate(ended.info)]


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
