"""What an alert becomes when it is accepted: complete, rendered, one planned delivery per post.

Pure: no database and no clock of its own. What only the accepting transaction can know (which
channels carried an earlier version, today's posts) is left to it in `Planned`.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from broadcaster import answer, policy
from broadcaster.alert import (
    Alert,
    Info,
    Severity,
    Status,
    Submission,
)
from broadcaster.auth import Caller
from broadcaster.channels import Channel, Corrects, Limits, Picture
from broadcaster.config import Config
from broadcaster.delivery import CORRECTION, Delivery, Message, State, delivery_key
from broadcaster.facts import primary
from broadcaster.intake import clearing, pictures
from broadcaster.record import Accepted, Card, Plan, Planned
from broadcaster.render import Facts, Rendered, Renderer

NEVER_CARRIED = "never carried the warning"
_EXEMPT = frozenset({Status.EXERCISE, Status.TEST})  # the same drill may be sent twice
_NO_PART = "-"


@dataclass(frozen=True, slots=True)
class Version:
    """Where an alert stands in its incident.

    `carried` are the channels of earlier versions; `before` are those versions, the newest first.
    """

    incident: str
    number: int = 1
    replaces: Accepted | None = None
    carried: frozenset[str] = frozenset()
    before: Sequence[Accepted] = ()


@dataclass(slots=True)
class Draft:
    """An alert as it would be accepted, with the channels that carried an earlier version.

    `unfit` says which channels could not carry its text.
    """

    accepted: Accepted
    caller: Caller
    carried: frozenset[str] = frozenset()
    deliveries: list[Planned] = field(default_factory=list)
    unfit: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    cards: dict[str, Card] = field(default_factory=dict)  # by name: channels share them


def ends(said: Submission, version: Version) -> bool:
    """Say whether an alert ends its incident."""
    return said.is_all_clear and version.number > 1


def new_id(now: datetime) -> str:
    """Return an id that sorts by time: a UUID of version 7 (RFC 9562)."""
    value = int(now.timestamp() * 1000) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    return str(uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62))


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans alerts for the configured channels. `limits` gives what a channel's network allows."""

    channels: Mapping[str, Channel]
    config: Config
    renderer: Renderer
    limits: Callable[[str], Limits]

    def year(self, now: datetime) -> str:
        """Return the beginning of a reference: prefix and two digits of the local year."""
        return f"{self.config.texts.reference_prefix}{self._local(now):%y}"

    def targets(self, said: Submission, carried: frozenset[str]) -> list[str]:
        """Name the channels an alert would go out on."""
        return [
            name
            for name, channel in self.channels.items()
            if name in carried or not (said.is_all_clear or policy.withheld(said, channel))
        ]

    def draft(self, said: Submission, version: Version, caller: Caller, now: datetime) -> Draft:
        """Complete, render and lay out an alert. Every text is fixed here."""
        accepted = self._accepted(said, version, caller.actor, now)
        draft, facts = Draft(accepted, caller, version.carried), self._facts(accepted, version)
        for channel in self.channels.values():
            self._lay_out(draft, facts, version, channel)
        return self._finish(draft, version)

    def plan(self, draft: Draft, version: Version) -> Plan:
        """Return what the accepting transaction writes, without the idempotency record."""
        accepted, now = draft.accepted, draft.accepted.accepted
        # Of two messages that replace the same version the second is refused as not-newest.
        exempt = accepted.alert.status in _EXEMPT or version.replaces is not None
        timing = self.config.timing
        return Plan(
            accepted,
            draft.deliveries,
            accepted.released_by,
            _answer,
            replaces=version.replaces.id if version.replaces else None,
            duplicate_since=None if exempt else now - timedelta(minutes=timing.duplicate_minutes),
            late=self._late(accepted),
            day_start=self._local(now).replace(hour=0, minute=0, second=0, microsecond=0),
            deliver_until=now + timing.all_clear if accepted.ended_at else None,
            cards=_in_order(draft),
            card_wait=timedelta(seconds=timing.card_seconds),
        )

    def _local(self, now: datetime) -> datetime:
        return now.astimezone(ZoneInfo(self.config.server.timezone))

    def _late(self, accepted: Accepted) -> list[datetime]:
        timing = self.config.timing
        first = timing.late(accepted.alert.severity)
        again = [timedelta(seconds=seconds) for seconds in timing.late_again_seconds]
        return [accepted.accepted + wait for wait in (first, *again)]

    def _accepted(self, said: Submission, version: Version, actor: str, now: datetime) -> Accepted:
        name = new_id(now)
        return Accepted(
            id=name,
            incident=version.incident,
            version=version.number,
            alert=self._complete(said, name, now),
            expires=self._expires(said, now),
            accepted=now,
            released_at=now,
            released_by=actor,
            content_key=said.content_key(),
            content_hash="",
            ended_at=now if ends(said, version) else None,
        )

    def _complete(self, said: Submission, name: str, now: datetime) -> Alert:
        """Fill in what may be left out: identifier (of our own domain) and sent."""
        host = urlsplit(self.config.server.public_url).hostname
        sent = said.sent or self._local(now).replace(microsecond=0)
        identifier = said.identifier or f"{host}.{name}"
        fields = {key: getattr(said, key) for key in Submission.model_fields}
        # Every field was validated in the submission; checking it again would cost the most here.
        return Alert.model_construct(**fields | {"identifier": identifier, "sent": sent})

    def _expires(self, said: Submission, now: datetime) -> datetime:
        timing = self.config.timing
        default = timing.all_clear if said.is_all_clear else timing.expiry(said.severity)
        return said.expires or now + default

    def _lay_out(self, draft: Draft, facts: Facts, version: Version, channel: Channel) -> None:
        """Add the deliveries of one channel: withheld by rule, withheld for its text, or queued."""
        rule, name = self._rule(draft, channel), channel.config.name
        barred = policy.barred_by_status(draft.accepted.alert, channel)
        if name not in version.carried and rule:
            _withhold(draft, channel, rule)
        elif barred:
            draft.warnings.append(f"{name}: what is out there is not updated; {barred}")
            _withhold(draft, channel, barred, by_rule=False)
        else:
            self._add(draft, facts, channel, rule)
            draft.warnings += self._left_behind(draft.accepted.alert, version, channel)

    def _add(self, draft: Draft, facts: Facts, channel: Channel, rule: str | None) -> None:
        parts = [
            self._illustrated(draft, facts, channel, one) for one in self._render(facts, channel)
        ]
        for rendered in parts:
            draft.deliveries.append(_row(draft, channel, rendered, rule=rule, by_rule=False))
            _warn(draft, f"{channel.config.name} ({rendered.part})", rendered)
        if facts.replaces and isinstance(channel, Corrects):
            draft.deliveries += self._corrections(draft, facts, channel, parts)

    def _illustrated(
        self, draft: Draft, facts: Facts, channel: Channel, rendered: Rendered
    ) -> Rendered:
        """Give a text its card, where the network takes one, and say where a person posts it."""
        message = rendered.message
        if message is None:
            return rendered
        if channel.by_hand:
            message = replace(message, link=channel.by_hand)
        if channel.picture is None:
            return replace(rendered, message=message)
        drawn = pictures.picture(self.renderer, facts, message.language, channel.picture)
        if drawn is None:
            return _without_card(rendered, message, channel.picture)
        media, card = drawn
        draft.cards[card.name] = card
        return replace(rendered, message=replace(message, media=(media,)))

    def _corrections(
        self, draft: Draft, facts: Facts, channel: Channel, parts: Sequence[Rendered]
    ) -> list[Planned]:
        """Mark what an earlier version left on a network where posts can be edited."""
        accepted, name = draft.accepted, channel.config.name
        return [
            Planned(
                id=f"{accepted.id}.{len(draft.deliveries) + number}",
                channel=name,
                type=channel.config.type,
                part=(part := f"{one.part}{CORRECTION}"),
                state=State.QUEUED,
                key=delivery_key(accepted.id, name, part),
                message=pictures.pointer(self.renderer, facts, one.message.language),
                only_if_carried=True,
                otherwise=NEVER_CARRIED,
            )
            for number, one in enumerate(parts, 1)
            if one.message
        ]

    def _left_behind(self, said: Alert, version: Version, channel: Channel) -> Iterator[str]:
        """Name the languages in which a channel showed the warning and is not told of this."""
        if channel.takes_data or channel.config.name not in version.carried:
            return
        told = self.renderer.parts(said, channel)
        shown = (self.renderer.parts(one.alert, channel) for one in version.before)
        for language in dict.fromkeys(part for parts in shown for part in parts):
            if language not in told:
                yield f"{channel.config.name}: the {language} warning is not updated"

    def _rule(self, draft: Draft, channel: Channel) -> str | None:
        """Say why a channel would not carry this; what carried the warning gets the rest."""
        if draft.accepted.ended_at:
            return NEVER_CARRIED
        if not draft.caller.may_use(channel.config.name):
            return f"{draft.caller.actor} may not post on {channel.config.name}"
        return policy.withheld(draft.accepted.alert, channel)

    def _facts(self, accepted: Accepted, version: Version) -> Facts:
        alert, before = accepted.alert, version.replaces
        names = (self.config.texts.source, *(info.sender_name for info in alert.info))
        return Facts(
            alert=alert,
            reference=accepted.reference,
            replaces=before.reference if before else None,
            accepted=accepted.accepted,
            timezone=ZoneInfo(self.config.server.timezone),
            source=next((name for name in names if name), alert.sender),
            expires=accepted.expires,
            ended=_said_before(version) if accepted.ended_at else (),
            shown=_shown(version),
        )

    def _render(self, facts: Facts, channel: Channel) -> Sequence[Rendered]:
        """Return a channel's parts. A channel that takes data takes it once, whatever the texts."""
        rendered = self.renderer.render(facts, channel, self.limits(channel.config.name))
        if not channel.takes_data:
            return rendered
        texts = [one for one in rendered if one.message is not None]
        return texts[:1] or [_plain(facts.alert, channel)]

    def _finish(self, draft: Draft, version: Version) -> Draft:
        """Fix the hash over all texts, then what our webhooks send, which names that hash."""
        draft.accepted = replace(
            draft.accepted,
            content_hash=content_hash(draft.deliveries),
            warnings=tuple(draft.warnings),
        )
        head = answer.alert_json(_as_told(draft, version), (), draft.accepted.accepted)
        for index, planned in enumerate(draft.deliveries):
            if planned.message and self.channels[planned.channel].takes_data:
                body = answer.hook_body(
                    head, as_delivery(planned, draft.accepted), draft.accepted.accepted
                )
                draft.deliveries[index] = replace(
                    planned, message=replace(planned.message, data=body)
                )
        return draft


def _shown(version: Version) -> dict[str, str]:
    """Return language -> reference of the newest version that spoke it."""
    found: dict[str, str] = {}
    for one in version.before:
        for info in one.alert.info:
            found.setdefault(primary(info.language), one.reference)
    return found


def _as_told(draft: Draft, version: Version) -> Accepted:
    """Return the alert as data: an all-clear repeats nothing of what it ends."""
    accepted = draft.accepted
    if accepted.ended_at is None:
        return accepted
    return replace(accepted, alert=clearing.told(accepted.alert, _said_before(version)))


def _said_before(version: Version) -> list[Info]:
    return [info for one in version.before for info in one.alert.info]


def _first_language(alert: Alert, channel: Channel) -> str:
    languages = channel.config.languages or [info.language for info in alert.info]
    return languages[0] if languages else _NO_PART


def _withhold(draft: Draft, channel: Channel, reason: str, *, by_rule: bool = True) -> None:
    part = _first_language(draft.accepted.alert, channel)
    draft.deliveries.append(_row(draft, channel, Rendered(part, None, reason), by_rule=by_rule))


def _plain(alert: Alert, channel: Channel) -> Rendered:
    """Data needs no text; its message names the alert, as far as that can be read."""
    language = _first_language(alert, channel)
    named = next((info.headline or info.event for info in alert.info), alert.identifier)
    return Rendered(language, Message(named, language))


def _row(
    draft: Draft,
    channel: Channel,
    rendered: Rendered,
    *,
    rule: str | None = None,
    by_rule: bool = True,
) -> Planned:
    """Return one delivery. Under a `rule` it goes out only where the warning is out.

    What the cost guard holds back is told: money withholds it, not a rule of what is carried.
    """
    accepted, name = draft.accepted, channel.config.name
    fits = rendered.message is not None
    guard = _guard(draft, channel) if fits else None
    return Planned(
        id=f"{accepted.id}.{len(draft.deliveries) + 1}",
        channel=name,
        type=channel.config.type,
        part=rendered.part,
        state=_state(channel) if fits else State.WITHHELD,
        key=delivery_key(accepted.id, name, rendered.part),
        message=rendered.message,
        reason=None if fits else rendered.reason,
        only_if_carried=fits and rule is not None,
        otherwise=rule if fits else None,
        posts_per_day_max=guard,
        tell=guard is not None or not (fits or by_rule),
    )


def _without_card(rendered: Rendered, message: Message, form: Picture) -> Rendered:
    """Let a text go alone; where there are no posts without a picture it cannot go at all."""
    reason = "the template of its card does not work"
    if form.required:
        return replace(rendered, message=None, reason=reason)
    missing = f"posted without its card: {reason}"
    return replace(rendered, message=replace(message, missing=missing))


def _in_order(draft: Draft) -> tuple[Card, ...]:
    """Return the cards as they are to be drawn: first those that a text goes without if late."""
    urgent = {
        media.card
        for one in draft.deliveries
        if one.state is State.QUEUED and one.message
        for media in one.message.media
        if not media.required
    }
    return tuple(sorted(draft.cards.values(), key=lambda card: card.name not in urgent))


def _state(channel: Channel) -> State:
    """A person posts where the network lets no program do it."""
    return State.WAITING if channel.by_hand else State.QUEUED


def _warn(draft: Draft, where: str, rendered: Rendered) -> None:
    if rendered.message is None:
        draft.unfit.append(f"{where}: {rendered.reason}")
        draft.warnings.append(f"{where}: {rendered.reason}")
    draft.warnings += [f"{where}: {warning}" for warning in rendered.warnings]


def _guard(draft: Draft, channel: Channel) -> int | None:
    """Return the cost guard of a channel. What it lets pass counts all the same.

    All-clears, what is Extreme, and what replaces a text that is or may be out there: an old
    warning must not stand because the new one costs money.
    """
    if channel.config.name in draft.carried or draft.accepted.ended_at:
        return None
    extreme = draft.accepted.alert.severity is Severity.EXTREME
    return None if extreme else channel.posts_per_day_max


def _answer(accepted: Accepted, deliveries: Sequence[Delivery]) -> bytes:
    rows = [(delivery, ()) for delivery in deliveries]
    return answer.dumps(answer.alert_json(accepted, rows, accepted.accepted))


def as_delivery(planned: Planned, accepted: Accepted) -> Delivery:
    """Return a planned delivery as its row will begin; for previews and webhook bodies."""
    queued = planned.state is State.QUEUED
    return Delivery(
        id=planned.id,
        alert=accepted.id,
        incident=accepted.incident,
        version=accepted.version,
        reference=accepted.reference,
        channel=planned.channel,
        type=planned.type,
        part=planned.part,
        state=planned.state,
        reason=planned.reason,
        message=planned.message,
        key=planned.key,
        generation=0,
        stamp=accepted.accepted,
        rank=0,
        expires=accepted.expires,
        accepted=accepted.accepted,
        due=accepted.accepted if queued else None,
    )


def content_hash(deliveries: Sequence[Planned]) -> str:
    """Return the SHA-256 over all rendered messages, in a fixed order, in hex."""
    said = sorted(
        [
            *(one.channel, one.part, one.message.subject or "", one.message.text),
            *(media.card for media in one.message.media),
        ]
        for one in deliveries
        if one.message
    )
    return hashlib.sha256(answer.dumps(said)).hexdigest()
