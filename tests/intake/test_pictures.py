"""What plans add to texts: cards, who posts by hand, and what marks an older post."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from broadcaster.channels import LANDSCAPE, PORTRAIT, SQUARE, Picture
from broadcaster.delivery import CORRECTION, Act, Delivery, Receipt, State, names_reference
from broadcaster.drawing import Spec
from broadcaster.intake.plan import Draft, Planner, Version
from broadcaster.record import Accepted, Planned
from broadcaster.render import CardWords, Facts, Renderer
from tests.intake.test_plan import OFFICE, RENDERER, said
from tests.kit import NOW, FakeChannel
from tests.web.door import info, settings


@dataclass
class Correcting(FakeChannel):
    """A network on which an older post can be edited."""

    async def correct(self, delivery: Delivery) -> Receipt:
        """Do as if it was edited."""
        return Receipt(delivery.id)


def planned(
    directory: Path, channels: Mapping[str, FakeChannel], *, renderer: Renderer = RENDERER
) -> Planner:
    """Return a planner for these channels."""
    return Planner(channels, settings(directory), renderer, lambda name: channels[name].limits)


def drafted(
    directory: Path, *channels: FakeChannel, version: Version | None = None, **changes: object
) -> Draft:
    """Plan an alert for these channels."""
    made = planned(directory, {one.name: one for one in channels})
    return made.draft(said(**changes), version or Version("26-0142"), OFFICE, NOW)


ENGLISH = {
    "language": "en",
    "event": "Fire",
    "headline": "Fire in Hörde",
    "description": "A warehouse is burning.",
    "instruction": "Stay in.",
}
TWO = [info(), info(**ENGLISH)]


def test_a_post_takes_the_card_of_its_language(tmp_path: Path) -> None:
    """In the form its network wants, with alt text that is never empty."""
    found = drafted(tmp_path, FakeChannel("one", picture=LANDSCAPE), info=TWO)
    assert [one.part for one in found.deliveries] == ["de", "en"]
    for one in found.deliveries:
        assert one.message is not None
        (media,) = one.message.media
        spec = Spec.from_json(found.cards[media.card].spec)
        assert spec.name() == media.card
        assert spec.language == one.part
        assert (spec.width, spec.height, spec.kind_of_file) == (1200, 675, "image/png")
        assert spec.reference.endswith("26-0142/1")
        assert media.alt
        assert "26-0142/1" in media.alt
        assert media.digest is None


def test_channels_of_one_form_share_a_card(tmp_path: Path) -> None:
    """It is drawn once for each language and form, however many channels take it."""
    channels = [
        FakeChannel("one", picture=LANDSCAPE),
        FakeChannel("two", picture=LANDSCAPE),
        FakeChannel("three", picture=replace(PORTRAIT, kind="image/jpeg")),
        FakeChannel("four", picture=SQUARE),
        FakeChannel("five"),
    ]
    found = drafted(tmp_path, *channels, info=TWO)
    assert len(found.cards) == 6
    without = [one for one in found.deliveries if one.message and not one.message.media]
    assert {one.channel for one in without} == {"five"}


def test_alt_text_fits_the_network(tmp_path: Path) -> None:
    """Cut at a word, with a mark that something is missing."""
    found = drafted(tmp_path, FakeChannel("one", picture=replace(LANDSCAPE, alt_maximum=60)))
    (one,) = found.deliveries
    assert one.message is not None
    assert len(one.message.media[0].alt) <= 60
    assert one.message.media[0].alt.endswith("…")


def test_the_same_alert_has_the_same_card_and_another_has_another(tmp_path: Path) -> None:
    """A card's name is made of what it shows."""
    channel = FakeChannel("one", picture=LANDSCAPE)
    names = {*drafted(tmp_path, channel).cards, *drafted(tmp_path, channel).cards}
    assert len(names) == 1
    other = drafted(tmp_path, channel, info=[info(event="Sturm")])
    assert names.isdisjoint(other.cards)


def test_the_hash_of_all_messages_covers_their_cards(tmp_path: Path) -> None:
    """What is shown is part of what was accepted."""
    plain = drafted(tmp_path, FakeChannel("one")).accepted.content_hash
    assert plain != drafted(tmp_path, FakeChannel("one", picture=SQUARE)).accepted.content_hash


class NoCards(Renderer):
    """A city's own card template does not work."""

    def card(self, _facts: Facts, _language: str) -> CardWords | None:
        """There are no words for it."""
        return None


@pytest.mark.parametrize("required", [True, False])
def test_where_there_is_no_card_the_text_goes_alone_or_not_at_all(
    tmp_path: Path, *, required: bool
) -> None:
    """With the reason: on the receipt, or as a delivery that is withheld and told."""
    form: Picture = replace(SQUARE, required=required)
    made = planned(tmp_path, {"one": FakeChannel("one", picture=form)}, renderer=NoCards())
    (one,) = made.draft(said(), Version("26-0142"), OFFICE, NOW).deliveries
    if required:
        assert one.state is State.WITHHELD
        assert one.tell
        assert one.reason == "the template of its card does not work"
    else:
        assert one.state is State.QUEUED
        assert one.message is not None
        assert one.message.missing is not None


def test_a_network_without_a_way_in_waits_for_a_person(tmp_path: Path) -> None:
    """Text, card and the place to post are ready."""
    by_hand = FakeChannel("one", picture=SQUARE, by_hand="https://fake.example/new")
    (one,) = drafted(tmp_path, by_hand).deliveries
    assert one.state is State.WAITING
    assert one.message is not None
    assert one.message.link == "https://fake.example/new"
    assert len(one.message.media) == 1


def following(directory: Path) -> Version:
    """Return the place of a second version, after one that went out on the channel."""
    first: Accepted = drafted(directory, Correcting("one")).accepted
    return Version("26-0142", 2, first, frozenset({"one"}), (first,))


def corrections(found: Draft) -> list[Planned]:
    """Return the deliveries that mark an older post."""
    return [one for one in found.deliveries if one.part.endswith(CORRECTION)]


@pytest.mark.parametrize("msg_type", ["Update", "Cancel"])
def test_an_older_post_is_marked_as_overtaken(tmp_path: Path, msg_type: str) -> None:
    """Beside the new post, in its language, naming the new number; only where something is out."""
    version = following(tmp_path)
    assert version.replaces is not None
    found = drafted(
        tmp_path,
        Correcting("one"),
        version=version,
        msgType=msg_type,
        references=[version.replaces.id],
    )
    (marks,) = corrections(found)
    assert len(found.deliveries) == 2
    assert marks.part == "de.correction"
    assert marks.only_if_carried
    assert marks.state is State.QUEUED
    assert marks.message is not None
    assert marks.message.act is Act.CORRECT
    assert names_reference(marks.message.text, "26-0142/2")
    assert "\n" not in marks.message.text
    assert len({one.id for one in found.deliveries}) == 2
    assert len({one.key for one in found.deliveries}) == 2


def test_nothing_is_marked_where_there_is_nothing_to(tmp_path: Path) -> None:
    """A first version has none before it; a network without edits is answered instead."""
    assert corrections(drafted(tmp_path, Correcting("one"))) == []
    version = following(tmp_path)
    assert version.replaces is not None
    update = {"msgType": "Update", "references": [version.replaces.id]}
    assert corrections(drafted(tmp_path, FakeChannel("one"), version=version, **update)) == []


def test_cards_that_a_text_would_go_without_are_drawn_first(tmp_path: Path) -> None:
    """Instagram waits for its picture, and a person for theirs; a text does not."""
    channels = {
        "insta": FakeChannel("insta", picture=replace(PORTRAIT, required=True)),
        "hand": FakeChannel("hand", picture=SQUARE, by_hand="https://fake.example/new"),
        "city": FakeChannel("city", picture=LANDSCAPE),
    }
    made = planned(tmp_path, channels)
    place = Version("26-0142")
    found = made.plan(made.draft(said(info=TWO), place, OFFICE, NOW), place)
    widths = [Spec.from_json(card.spec).width for card in found.cards]
    assert widths == [1200, 1200, 1080, 1080, 1080, 1080]
