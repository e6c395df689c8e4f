"""A container on Threads: what is kept of it between the steps, and what its errors mean."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from broadcaster.channels import http
from broadcaster.channels.meta import graph
from broadcaster.channels.meta.containers import Container
from broadcaster.delivery import Delivery, Failure, NotSent, Rejected

_PASSING = frozenset({"", "UNKNOWN"})  # what a container in error says when it says nothing
_MEDIA_NOT_FOUND = 24  # seen where a container is published the moment after it was made


@dataclass(frozen=True, slots=True)
class Handle:
    """What `prepare` has made. `made` counts the time that a picture is taking."""

    container: str
    picture: bool = False
    made: datetime | None = None
    note: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what is stored with the row."""
        made = self.made.isoformat() if self.made else None
        return {
            "container": self.container,
            "picture": self.picture,
            "made": made,
            "note": self.note,
        }

    @classmethod
    def of(cls, delivery: Delivery) -> Handle:
        """Read it back. Raises NotSent(afresh) for one that is none."""
        kept = delivery.handle or {}
        container, note = kept.get("container"), kept.get("note")
        if not graph.is_id(container):
            raise NotSent("what was prepared names no container", afresh=True)
        made = graph.moment(kept.get("made"))
        text = note if isinstance(note, str) else None
        return cls(str(container), kept.get("picture") is True, made, text)


def is_not_ready(answer: http.Answer) -> bool:
    """Say whether Threads refuses to publish a container because it does not find it (yet)."""
    found = graph.Problem.of(answer)
    return 400 <= answer.status < 500 and found.code == _MEDIA_NOT_FOUND


def names_picture(answer: http.Answer) -> bool:
    """Say whether an error is about the picture, as far as its words tell."""
    if graph.is_gone(answer):  # "media not found" is about the post that is replied to
        return False
    words = graph.Problem.of(answer).words
    return any(word in words for word in ("image", "picture", "photo", "media", "url", "alt_text"))


def without_card(why: str) -> str:
    """Say in a receipt that the card was left out."""
    return f"posted without its card: {why}"


def error_of(found: Container) -> str:
    """Say what is wrong with a container of a picture; its words only where they are a code."""
    said = found.said if found.said.replace("_", "").isalnum() and len(found.said) < 60 else ""
    return f"Threads says {said}" if said not in _PASSING else "Threads could not take the picture"


def broken(found: Container) -> Failure:
    """Give what a container of text in error means: without a reason it is worth another one."""
    if found.said in _PASSING:
        return NotSent("Threads could not make the post, and does not say why", afresh=True)
    return Rejected(f"Threads could not make the post: {found.said[:80]}")
