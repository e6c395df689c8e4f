"""What plans add to texts: the card that goes along, and the pointer an older post gets."""

from __future__ import annotations

from broadcaster.captions import at_most
from broadcaster.channels import Picture
from broadcaster.delivery import Act, Media, Message
from broadcaster.drawing import Spec
from broadcaster.facts import Facts
from broadcaster.record import Card
from broadcaster.render import CardWords, Renderer


def picture(
    renderer: Renderer, facts: Facts, language: str, form: Picture
) -> tuple[Media, Card] | None:
    """Return the picture a post takes along, and the card to be drawn; None where words lack.

    The same words in the same form are one card, whichever channels take it.
    """
    words = renderer.card(facts, language)
    if words is None:
        return None
    spec = _spec(facts, language, words, form)
    alt = at_most(words.alt, form.alt_maximum)
    media = Media(spec.name(), alt, form.kind, form.width, form.height, form.required)
    return media, Card(spec.name(), spec.to_json(), form.kind)


def _spec(facts: Facts, language: str, words: CardWords, form: Picture) -> Spec:
    first = facts.alert.info[0]
    return Spec(
        language=language,
        kind=facts.kind,
        severity=first.severity.value,
        category=first.category[0].value,
        mark=words.mark or None,
        level=words.level,
        title=words.title,
        place=words.place,
        action=words.action,
        time=words.time,
        source=words.source,
        reference=words.reference,
        note=words.note or None,
        width=form.width,
        height=form.height,
        kind_of_file=form.kind,
    )


def pointer(renderer: Renderer, facts: Facts, language: str) -> Message:
    """Return what an older post is made to begin with."""
    return Message(renderer.pointer(facts, language), language, act=Act.CORRECT)
