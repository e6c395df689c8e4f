"""The wiring: the only module that knows everybody.

`serve` is the daemon's life; `local_client` is the same service on a private socket, without
sending, for commands while no daemon runs; `check` examines without posting.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import aiohttp
import structlog

from broadcaster import config as configuration
from broadcaster.auth import Keyring
from broadcaster.cards import Cards
from broadcaster.channels import Channel, Limits, build
from broadcaster.channels.apprise import Target as AppriseTarget
from broadcaster.clock import DRIFT_MAX, Clock, SystemClock
from broadcaster.config import SOCKET_NAME, Config, ConfigError, Fault, Secrets
from broadcaster.delivery import Act, Delivery, Rejected
from broadcaster.dispatcher import Dispatcher
from broadcaster.drawers import Drawers
from broadcaster.drawing import CardFault, Spec
from broadcaster.intake.alerts import Intake
from broadcaster.intake.plan import Planner
from broadcaster.notices import Notices, Target
from broadcaster.probes import Probes, probed
from broadcaster.record import Acceptance, NoticeKind, Plan, StoreBroken, StoreUnavailable
from broadcaster.render import Renderer
from broadcaster.store import NewNotice, Store
from broadcaster.visibility import Visibility
from broadcaster.web import Services, make_app
from broadcaster.web.listening import listening
from broadcaster.web.metrics import make_metrics

log = structlog.get_logger(__name__)

MIND_SECONDS = 1.0
FORGET_SECONDS = 3600.0
OURSELVES = "broadcaster"  # in the place of a channel's name, in notices about the daemon itself
FAULT_EXIT = 70  # EX_SOFTWARE: the supervisor starts the process again
CONFIG_EXIT = 78  # EX_CONFIG: starting again will not help


@dataclass(slots=True)
class Parts:
    """Everything that is built from a configuration, before anything runs."""

    config: Config
    clock: Clock
    secrets: Secrets
    channels: dict[str, Channel]
    targets: list[Target]
    renderer: Renderer


class Service:
    """A whole service over an open store; nothing runs before `start`."""

    def __init__(self, parts: Parts, store: Store) -> None:
        timing, clock = parts.config.timing, parts.clock
        self.parts = parts
        self.store = store
        self.dispatcher = Dispatcher(store, parts.channels, timing, clock, observe=self._observe)
        self.notices = Notices(store, parts.targets, timing, clock)
        self.probes = Probes(store, parts.channels, timing, clock, self.dispatcher.pauses.hold)
        self.visibility = Visibility(
            store,
            parts.channels,
            timing,
            clock,
            self._observe_visible,
            self.dispatcher.pauses.strange,
        )
        self.cards = Cards(
            store,
            Drawers(parts.config.texts.templates),
            parts.config.store.directory,
            parts.config.server.public_url,
            clock,
            self.dispatcher.wake,
        )
        self.keyring = Keyring(store.keys, clock)
        self.metrics = make_metrics(
            store, clock, readiness=self.readiness, stuck_threads=self._stuck
        )
        planner = Planner(parts.channels, parts.config, parts.renderer, self._limits)
        self.intake = Intake(store, planner, clock, self._commit)
        self._untold = 0
        self._forget_at = 0.0
        # Perhaps told before a restart: taken back as soon as all is seen to be well.
        self._told = {NoticeKind.CLOCK, NoticeKind.STORAGE}
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def over(cls, parts: Parts, store: Store) -> Service:
        """Wire a service over an open store that knows its channels and keys."""
        await store.know_channels({name: one.config.type for name, one in parts.channels.items()})
        kept = {row.name: row.limits for row in await store.channels() if row.limits}
        if kept:  # only now is it known what the networks last said of their limits
            parts.channels.update(build(parts.config, parts.secrets, parts.clock, kept))
        service = cls(parts, store)
        await service.keyring.reload()
        return service

    def _observe(self, channel: str, outcome: str, seconds: float) -> None:
        self.metrics.attempt_seconds.labels(channel, outcome).observe(seconds)

    def _observe_visible(self, channel: str, seconds: float) -> None:
        self.metrics.visible_seconds.labels(channel).observe(seconds)

    def _limits(self, channel: str) -> Limits:
        return self.parts.channels[channel].limits

    def _stuck(self) -> Mapping[str, int]:
        return {name: len(lane.stuck) for name, lane in self.dispatcher.lanes.items()}

    def readiness(self) -> Sequence[str]:
        """Why no alert could be accepted, or nobody be told; empty: ready."""
        reasons = [self.store.trouble] if self.store.trouble else []
        if self.dispatcher.fault is not None:
            reasons.append("the dispatcher has stopped")
        if self._untold and self.parts.targets:
            reasons.append(f"{self._untold} notices have reached nobody")
        return reasons

    async def _commit(self, plan: Plan) -> Acceptance:
        """Have a plan accepted and sent; one log line per alert."""
        acceptance = await self.dispatcher.accept(plan)
        self.cards.begin(plan.cards)
        alert = acceptance.accepted
        log.info(
            "accepted",
            alert=alert.id,
            reference=alert.reference,
            msg_type=alert.alert.msg_type.value,
            deliveries=len(acceptance.deliveries),
            by=alert.released_by,
        )
        return acceptance

    async def take_down(self, delivery: Delivery) -> None:
        """Take a post off its network. Raises a Failure."""
        channel = self.parts.channels.get(delivery.channel)
        if channel is None or delivery.receipt is None:
            raise Rejected("there is nothing of this delivery that could be taken down from here")
        if delivery.message and delivery.message.act is Act.CORRECT:
            raise Rejected("this marked an older post: taking it down would take that post down")
        await channel.retract(delivery.receipt)

    async def preview(self, spec: str) -> bytes:
        """Draw what a card shows (JSON), after the cards of alerts. Raises CardFault."""
        return await self.cards.drawers.preview(Spec.from_json(spec))

    async def resume(self, channel: str) -> None:
        """A person says that a channel's trouble is mended; its cards are drawn again as well."""
        await self.dispatcher.pauses.resume(channel)
        await self.cards.take_up()

    async def release(self, channel: str, actor: str) -> bool:
        """A person says that a channel's account is right; the next good probe binds it anew."""
        known = await self.dispatcher.pauses.release(channel, actor)
        if known and channel in self.parts.channels:
            await self.probes.look(self.parts.channels[channel])
        return known

    async def start(self) -> None:
        """Resolve what a crash left, then send, tell, draw, probe, look and mind."""
        await self.dispatcher.start()
        await self.cards.start()
        self._tasks = [
            asyncio.create_task(self.notices.run()),
            asyncio.create_task(self.visibility.run()),
            asyncio.create_task(self._mind()),
        ]
        self.probes.start()

    async def stop(self) -> None:
        """Claim nothing new, let running attempts finish, and give everything back."""
        await self.probes.stop()
        await self.dispatcher.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.notices.finish()

    async def failed(self) -> None:
        """Return once the service cannot go on: storage is broken, or a task of its own ended."""
        broken = asyncio.create_task(self.dispatcher.failed.wait())
        await asyncio.wait([broken, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        broken.cancel()

    async def _mind(self) -> None:
        """Look after clock and disk, and count who was not told."""
        while self.store.trouble is None or "disk is full" in self.store.trouble:
            try:
                await self._mind_once()
            except StoreUnavailable as error:
                log.warning("store_unavailable", error=str(error))
            await self.parts.clock.sleep(MIND_SECONDS)

    async def _mind_once(self) -> None:
        if (now := self.parts.clock.elapsed()) >= self._forget_at:
            self._forget_at = now + FORGET_SECONDS
            await self.store.forget()
            await asyncio.to_thread(self.cards.prune)
        self._untold = await self.notices.untold()
        drift = self.store.drift()
        wrong = f"the wall clock is {drift.total_seconds():+.0f} s off elapsed time"
        await self._tell_while(NoticeKind.CLOCK, wrong if abs(drift) > DRIFT_MAX else None)
        full = self.store.trouble
        text = f"{full}: no new alert is accepted, open ones are finished" if full else None
        await self._tell_while(NoticeKind.STORAGE, text)

    async def _tell_while(self, kind: NoticeKind, text: str | None) -> None:
        """Tell people once of a trouble of the daemon itself, and take it back when it is over."""
        if text is not None:
            await self.store.tell(NewNotice(kind, text, channel=OURSELVES))
            self._told.add(kind)
        elif kind in self._told:
            await self.store.untell(OURSELVES, kind)
            self._told.discard(kind)


def prepare(path: Path, clock: Clock | None = None) -> Parts:
    """Read the configuration and build all that stands on it; every fault at once.

    Raises ConfigError.
    """
    tables = configuration.read(path)
    faults: list[Fault] = []
    try:
        config = configuration.parse(tables)
    except ConfigError as error:
        faults += error.faults
        config = configuration.without(tables, error.faults)
    secrets = Secrets(path.resolve().parent)
    clock = clock or SystemClock()
    channels: dict[str, Channel] = {}
    try:
        channels = build(config, secrets, clock)
    except ConfigError as error:
        faults += error.faults
    targets, target_faults = _targets(config, secrets)
    renderer, template_faults = _renderer(config)
    faults += [*target_faults, *template_faults]
    if faults or renderer is None:
        raise ConfigError(faults)
    return Parts(config, clock, secrets, channels, targets, renderer)


def _targets(config: Config, secrets: Secrets) -> tuple[list[Target], list[Fault]]:
    targets: list[Target] = []
    faults = []
    named = zip(config.on_call.names, config.on_call.targets, strict=True)
    for place, (name, one) in enumerate(named):
        try:
            teller = AppriseTarget(secrets.read(one.url_file), config.timing)
        except ValueError as error:
            faults.append(Fault(f"on_call.targets.{place}.url_file", str(error)))
            continue
        targets.append(Target(name, timedelta(seconds=one.after), teller))
    return targets, faults


def _renderer(config: Config) -> tuple[Renderer | None, list[Fault]]:
    try:
        renderer = Renderer(config.texts.templates)
    except ConfigError as error:
        return None, error.faults
    return renderer, [Fault("texts.templates", one) for one in renderer.faults]


def web_services(service: Service) -> Services:
    """What the web stands on."""
    parts = service.parts
    return Services(
        service.store,
        service.intake,
        service.keyring,
        parts.channels,
        parts.config.server,
        parts.clock,
        service.readiness,
        service.metrics,
        service.take_down,
        service.resume,
        service.release,
        service.cards.picture,
        service.preview,
    )


async def serve(path: Path) -> int:
    """Run the daemon until SIGTERM or SIGINT; return the exit code."""
    try:
        parts = prepare(path)
    except ConfigError as error:
        for fault in error.faults:
            log.critical("configuration_fault", where=fault.where, what=fault.what)
        return CONFIG_EXIT
    try:
        store = await Store.open(parts.config.store, parts.clock)
    except (StoreUnavailable, StoreBroken) as error:
        log.critical("store_cannot_be_opened", reason=str(error))
        return FAULT_EXIT
    service = await Service.over(parts, store)
    return await _run(service)


async def _run(service: Service) -> int:
    ended = _ended_by_signal()
    try:
        await service.start()
        async with AsyncExitStack() as doors:
            if (port := await _open(service, doors)) is not None:
                _announce(service, port)
                await _first(ended.wait(), service.failed())
                log.info("stopping", reason="signal" if ended.is_set() else "fault")
                service.dispatcher.halt()
    finally:
        await service.stop()
        await _give_back(service)
    return 0 if ended.is_set() and service.dispatcher.fault is None else FAULT_EXIT


async def _open(service: Service, doors: AsyncExitStack) -> int | None:
    """Open the doors; return the port, None if somebody else has it, which is said."""
    config = service.parts.config
    address, socket_path = (config.server.host, config.server.port), config.store.socket
    app = make_app(web_services(service))
    try:
        there = listening(app, address=address, socket_path=socket_path)
        return (await doors.enter_async_context(there)).port
    except OSError as error:
        where, reason = f"{config.server.host}:{config.server.port}", error.strerror or str(error)
        log.critical("cannot_listen", where=where, socket=str(socket_path), reason=reason)
        return None


async def _first(*waits: Coroutine[object, object, object]) -> None:
    tasks = [asyncio.create_task(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


async def _give_back(service: Service) -> None:
    for channel in service.parts.channels.values():
        await channel.close()
    await service.cards.close()
    await service.store.close()


def _ended_by_signal() -> asyncio.Event:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, ended.set)
    return ended


def _announce(service: Service, port: int) -> None:
    gc.collect()
    gc.freeze()  # what is loaded now stays: the collector need not look at it during an alert
    config = service.parts.config
    if not config.on_call.targets:
        log.warning("no_on_call_target", detail="nobody is told when a delivery fails")
    for what, _, sentence, _remedy in _check_texts(service.parts):
        log.warning("texts_missing", what=what, detail=sentence)
    log.info(
        "ready",
        port=port,
        url=config.server.public_url,
        channels=sorted(service.parts.channels),
        pid=os.getpid(),
    )


@asynccontextmanager
async def local_client(path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """Give a session that speaks to the API over a private socket, while no daemon runs.

    What is accepted here is queued; it goes out when the daemon starts. Raises ConfigError,
    StoreUnavailable or StoreBroken.
    """
    parts = prepare(path)
    store = await Store.open(parts.config.store, parts.clock)
    service = await Service.over(parts, store)
    app = make_app(web_services(service))
    try:
        with tempfile.TemporaryDirectory(prefix="broadcaster-") as place:
            socket_path = Path(place) / SOCKET_NAME
            async with listening(app, address=None, socket_path=socket_path):
                connector = aiohttp.UnixConnector(str(socket_path))
                async with aiohttp.ClientSession(connector=connector) as session:
                    yield session
    finally:
        await _give_back(service)


Finding = tuple[str, bool, str, str | None]  # what, is it ready, a sentence, what to do


async def check(path: Path) -> list[Finding]:
    """Examine configuration, store and every channel; nothing is posted."""
    try:
        parts = prepare(path)
    except ConfigError as error:
        return [(one.where or "configuration", False, one.what, None) for one in error.faults]
    findings: list[Finding] = [("configuration", True, "complete", None)]
    findings += _check_texts(parts)
    findings.append(await _check_store(parts))
    findings.append(await _check_cards(parts))
    findings += await asyncio.gather(*(_check_channel(one) for one in parts.channels.values()))
    findings.append(_check_on_call(parts))
    for channel in parts.channels.values():
        await channel.close()
    return findings


def _check_texts(parts: Parts) -> list[Finding]:
    """Languages and templates that a channel names and that do not exist."""
    remedy = "Add the template in [texts] templates, or take it out of the channel's configuration."
    return [
        (f"texts of {name}", False, miss, remedy)
        for name, channel in parts.channels.items()
        for miss in parts.renderer.misses(channel)
    ]


async def _check_store(parts: Parts) -> Finding:
    try:
        store = await Store.open(parts.config.store, parts.clock)
    except StoreUnavailable as error:
        if _daemon_runs(parts.config.store.socket):
            return ("store", True, "in use by the running daemon", None)
        return ("store", False, str(error), "Start the database, or stop the other process.")
    except StoreBroken as error:
        return ("store", False, str(error), "Restore a backup.")
    await store.close()
    return ("store", True, "opens, and keeps what durability rests on", None)


def _daemon_runs(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


# Every letter of the languages there are texts in is in some word of it.
_SAMPLE = Spec(
    language="de",
    kind="alert",
    severity="Severe",
    category="Fire",
    mark="PROBEWARNUNG",
    level="Gefahr, Danger, Tehlike",
    title="Großbrand, пожежа, пожар",
    place="حريق كبير، دورتموند",
    action="Pożar, zamknij okna. Închideți ferestrele.",
    time="02:49",
    source="check",
    reference="Nr. 26-0000/1",
)


async def _check_cards(parts: Parts) -> Finding:
    """Fonts and templates of cards are there, and a card is drawn."""
    drawers = Drawers(parts.config.texts.templates)
    await drawers.start()
    try:
        data = await drawers.draw(_SAMPLE)
    except CardFault as fault:
        remedy = "Install the program again with all it needs, or mend card/ in your templates."
        return ("cards", False, f"No card can be drawn: {fault}", remedy)
    finally:
        await drawers.close()
    return ("cards", True, f"A card was drawn: {len(data) // 1000} kB.", None)


async def _check_channel(channel: Channel) -> Finding:
    found = await probed(channel)
    return (f"channel {channel.config.name}", found.ready, found.sentence, found.remedy)


def _check_on_call(parts: Parts) -> Finding:
    if parts.targets:
        return ("on-call", True, f"{len(parts.targets)} targets", None)
    sentence = "WARNING: nobody is told when a delivery fails."
    return ("on-call", True, sentence, "Name at least one target in [on_call].")
