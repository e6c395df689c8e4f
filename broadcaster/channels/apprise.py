"""Mail, SMS, pagers and chats through apprise: exactly one target per channel.

apprise gives no id and no error class, only a log. What that log proves decides between not sent,
refused and unknown; what it does not prove is unknown. The log holds addresses, tokens and texts:
none of it ever gets into a reason.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import logging
import re
import warnings
from collections.abc import Iterable
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

import apprise
import requests
import urllib3
from apprise.exception import AppriseException
from pydantic import Field

from broadcaster.channels import Escape, Limits, Measure, Picture, Setup
from broadcaster.channels.pool import Threads
from broadcaster.config import Carries, Table, Timing
from broadcaster.delivery import (
    Delivery,
    Failure,
    Guarantee,
    NeedsPerson,
    NotSent,
    Readiness,
    Receipt,
    Rejected,
    Unknown,
)


class _Bounded(requests.adapters.HTTPAdapter):
    """Reads no more of an answer than an honest one has; the status of a longer one is kept.

    apprise would take 100 MB into memory, and gives no other place to stop it.
    """

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        response = super().send(*args, **kwargs)
        if kwargs.get("stream"):
            return response
        try:
            body = response.raw.read(ANSWER_BYTES_MAX + 1, decode_content=True)
        except urllib3.exceptions.HTTPError as error:  # as requests itself would say it
            raise requests.ConnectionError(error, request=response.request) from None
        if len(body) > ANSWER_BYTES_MAX:
            response.close()
            body = b""
        response.raw = io.BytesIO(body)
        return response


# Every service makes sessions of its own, and these make their adapters by this name.
vars(requests.sessions)["HTTPAdapter"] = _Bounded

# Every service is loaded here, at start: the first use would hold up the first alert instead.
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "'imghdr' is deprecated", DeprecationWarning)  # theirs
    apprise.Apprise.instantiate("json://localhost")

CARRIES = Carries()
ANSWER_BYTES_MAX = 1_000_000  # apprise looks at the status, and for a name at most
AT_ONCE = 2  # threads per target: one that hangs leaves one to go on with
READ_SHARE = 0.9  # of an attempt: all socket timeouts of one HTTP request together
MAIL_SHARE = 0.8  # of an attempt: each step of a mail's dialogue

Kind = Literal["mail", "sms", "pager", "chat", "public"]


class _KindRule(NamedTuple):
    template: str
    measure: Measure
    maximum: int  # no network's own limit: what people still read there
    escape: Escape
    on_unknown: Literal["resend", "hold"]


# Twice is better than never where people are woken; in public a double looks like a second alert.
KINDS = MappingProxyType(
    {
        "mail": _KindRule("mail", Measure.CHARACTERS, 20_000, Escape.MAIL, "resend"),
        "sms": _KindRule("sms", Measure.SEGMENTS, 3, Escape.NONE, "resend"),
        "pager": _KindRule("sms", Measure.CHARACTERS, 480, Escape.NONE, "resend"),
        "chat": _KindRule("chat", Measure.CHARACTERS, 2_000, Escape.CHAT, "hold"),
        "public": _KindRule("post", Measure.CHARACTERS, 2_000, Escape.CHAT, "hold"),
    }
)
# These networks have a type of their own, which can repeat or read back; apprise can do neither.
_OWN_TYPES = frozenset(
    {"mastodon", "mastodons", "toot", "toots", "bluesky", "bsky", "x", "twitter", "tweet"}
)


class Settings(Table):
    """`[channels.NAME]` of type apprise.

    `kind` sets template, measure and what follows an unknown attempt; `on_unknown` overrides the
    last. `url_file` holds exactly one apprise URL. `sms_segments_max` is for kind sms.
    """

    kind: Kind
    url_file: str
    on_unknown: Literal["resend", "hold"] | None = None
    sms_segments_max: Annotated[int, Field(ge=1, le=10)] = 3


class Target:
    """One apprise URL that messages are sent to, in threads of its own.

    Raises ValueError, with a sentence that shows nothing of the URL, if it cannot be used.
    """

    def __init__(self, url: str, timing: Timing) -> None:
        _listen()
        self._url = url
        self._timing = timing
        self._asset = apprise.AppriseAsset(
            service_timeout=0,  # the sockets' own limits end a call, in our own thread
            http_redirects=False,
            app_id="crisis-broadcaster",
            app_desc="crisis-broadcaster",
            app_url="",
        )
        _refuse_careless(url)
        self.service = self._instantiate()
        _refuse_several(self.service)
        self.threads = Threads(AT_ONCE, name="apprise", limit_seconds=timing.attempt_seconds)

    async def tell(self, subject: str, text: str) -> None:
        """Tell a person. Raises NotSent, Rejected, NeedsPerson or Unknown, and nothing else."""
        await self.deliver(subject, text, "warning")

    async def deliver(self, subject: str | None, text: str, notify_type: str) -> None:
        """Send once; ends when the thread has returned. Raises the four failures."""
        if self.threads.busy >= AT_ONCE:
            raise NotSent("nothing was sent: earlier messages to this target still hang")
        entries = await self.threads.run(partial(self._notify, subject, text, notify_type))
        if entries is not None:
            raise _verdict(entries)

    def mail_server(self) -> tuple[str, int] | None:
        """Where mail is handed over, None if this is no mail."""
        host = getattr(self.service, "smtp_host", None)
        return (str(host), int(self.service.port)) if host else None

    def _notify(self, subject: str | None, text: str, notify_type: str) -> list[_Entry] | None:
        """Send, blocking. Return None if the service took it, else what apprise wrote down."""
        _listen()
        # A service object keeps stamps and tokens without a lock: each call has its own.
        service = self._instantiate()
        title = (subject or "")[: service.title_maxlen]  # 0: it has no titles
        result = apprise.Apprise([service], asset=self._asset).notify(
            body=text,
            title=title,
            body_format="text",
            notify_type=notify_type,
            log_level=logging.DEBUG,
        )
        attempts = [attempt for one in result.results for attempt in one.attempts]
        if attempts and all(attempts):  # an optional service would call any failure a success
            return None
        return [_Entry(entry.level, entry.message) for entry in result.logs()]

    def _instantiate(self) -> Any:
        try:
            service = apprise.Apprise.instantiate(
                self._url, asset=self._asset, suppress_exceptions=False
            )
        except (AppriseException, TypeError, ValueError):
            service = None
        if service is None or not service.enabled:
            raise ValueError("is no target that apprise knows and can use; check the URL")
        service.request_rate_per_sec = 0
        service.retry = 0
        service.overflow_mode = apprise.OverflowMode.UPSTREAM  # never cut, never several messages
        attempt = self._timing.attempt_seconds
        connect = min(self._timing.connect_seconds, attempt / 3)
        mail = hasattr(service, "smtp_host")  # its one timeout counts for every step
        service.socket_connect_timeout = attempt * MAIL_SHARE if mail else connect
        service.socket_read_timeout = attempt * READ_SHARE - connect
        return service


class AppriseChannel:
    """One target that apprise reaches."""

    guarantee = Guarantee.NONE
    reads_back = False
    attempts_at_once = AT_ONCE
    picture: Picture | None = None
    by_hand: str | None = None
    paid_reads = False
    takes_data = False
    posts_per_day_max: int | None = None

    def __init__(self, setup: Setup, settings: Settings, target: Target, account: str) -> None:
        rule = KINDS[settings.kind]
        self.config = setup.config
        self.carries = setup.config.carries or CARRIES
        self.template = setup.config.template or rule.template
        self.escape = rule.escape
        self.account = account
        self.limits = _limits(settings, int(target.service.body_maxlen))
        self.resend_on_unknown = (settings.on_unknown or rule.on_unknown) == "resend"
        self.threads = target.threads
        self._target = target
        self._connect_seconds = setup.timing.connect_seconds

    async def send(self, delivery: Delivery) -> Receipt:
        """Hand the text over once."""
        if delivery.message is None:
            raise Rejected("there is no text in this delivery")
        await self._target.deliver(delivery.message.subject, delivery.message.text, "info")
        return Receipt(remote_id=None)

    async def find(self, _delivery: Delivery) -> Receipt | None:
        """Say that nobody can know: there is nothing to read back."""
        raise Unknown("what was sent this way cannot be looked up again")

    async def probe(self) -> Readiness:
        """Say what is known without a message: the URL is understood, a mail server is there."""
        server = self._target.mail_server()
        if server is None:
            sentence = "The target's URL is understood. Whether it works shows when it is used."
            return Readiness(ready=True, sentence=sentence)
        try:
            async with asyncio.timeout(self._connect_seconds):
                _, writer = await asyncio.open_connection(*server)
        except OSError:  # TimeoutError is one
            sentence = f"The mail server {server[0]} cannot be reached on port {server[1]}."
            remedy = "Check the mail server, and the address in url_file."
            return Readiness(ready=False, sentence=sentence, remedy=remedy)
        writer.transport.abort()
        sentence = f"The mail server {server[0]} takes connections."
        return Readiness(ready=True, sentence=sentence)

    async def retract(self, _receipt: Receipt) -> None:
        """Refuse: what was handed over cannot be taken back."""
        raise Rejected("what was sent this way cannot be taken back")

    async def close(self) -> None:
        """Give back nothing: threads end with their calls, and no connection is kept."""


def build(setup: Setup, settings: Settings) -> AppriseChannel:
    """Build the channel. Raises ValueError if url_file holds no usable target."""
    url = setup.secrets.read(settings.url_file)
    try:
        target = Target(url, setup.timing)
    except ValueError as error:
        raise ValueError(f"what {settings.url_file} holds {error}") from None
    return AppriseChannel(setup, settings, target, hashlib.sha256(url.encode()).hexdigest()[:12])


def _listen() -> None:
    """Let apprise's logger through to the capture of a call, and to nobody else.

    Each time, for whoever sets up logging may set its level back: then nothing could be proved.
    """
    logger = logging.getLogger("apprise")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False


def _refuse_careless(url: str) -> None:
    if len(url.split()) != 1 or re.search(r",[a-z][a-z0-9+.-]*://", url, re.IGNORECASE):
        raise ValueError("must be exactly one URL: one channel has one target")
    if url.partition("://")[0].lower() in _OWN_TYPES:
        raise ValueError("names a network that has a channel type of its own; use that type")


def _refuse_several(service: Any) -> None:
    """Refuse what names several people: half of them told is neither sent nor failed."""
    mail = hasattr(service, "smtp_host")
    if mail and not service.targets:
        raise ValueError("names no valid mail address to send to")
    if len(service) > 1 or (mail and (service.cc or service.bcc)):
        raise ValueError("names several recipients; give each a channel, or use a list address")


def _limits(settings: Settings, body_maxlen: int) -> Limits:
    rule = KINDS[settings.kind]
    if rule.measure is Measure.SEGMENTS:
        return Limits(rule.measure, settings.sms_segments_max)
    return Limits(rule.measure, min(rule.maximum, body_maxlen))


class _Entry(NamedTuple):
    level: str
    message: str


_HTTP_STATUS = re.compile(r"error=([0-9]{3})\D*$")
_BEFORE_REQUEST = re.compile(
    r"^Socket Exception: HTTPS?ConnectionPool\(.*\(Caused by (?:ProxyError\('[^']*', )?"
    r"(?:NewConnectionError|NameResolutionError|ConnectTimeoutError"
    r"|SSLError\(SSLCertVerificationError)\("
)
_SMTP_REPLY = re.compile(r"Socket Exception: \(([0-9]{3}), ")
_SMTP_REFUSED = re.compile(r": \(([0-9]{3}), b")
_SMTP_LOGIN = frozenset({530, 534, 535, 538})


def _verdict(entries: Iterable[_Entry]) -> Failure:
    """Say what apprise's log proves: one kind of failure and nothing taken, or else unknown."""
    failures: list[Failure] = []
    handed_over = True
    for level, message in entries:
        if level == "INFO" and message.startswith("Sent"):
            return Unknown("part of it was taken, part was not")
        if message.startswith("Connection error while submitting email"):
            handed_over = False  # connection, TLS or login failed: no mail was begun
        elif level in {"WARNING", "ERROR"} and (status := _HTTP_STATUS.search(message)):
            failures.append(_by_status(int(status[1])))
        elif level == "DEBUG" and message.startswith("Socket Exception: "):
            failures.append(_by_socket(message, handed_over=handed_over))
    if len({type(failure) for failure in failures}) == 1:
        return failures[0]
    return Unknown("it failed, and nothing proves that the message was not taken")


def _by_status(status: int) -> Failure:
    said = f"the service answered {status}"
    if status == 429:
        return NotSent(f"{said}: too many requests", rate_limited=True)
    if status in {401, 402, 403}:
        return NeedsPerson(f"{said}: check the target's URL, its credentials and its account")
    if 400 <= status < 500 and status != 408:
        return Rejected(f"{said}: it refuses this message")
    return Unknown(f"{said}: it may have taken the message all the same")


def _by_socket(message: str, *, handed_over: bool) -> Failure:
    if reply := _SMTP_REPLY.match(message):
        return _by_smtp({int(reply[1])}, handed_over=handed_over)
    if message.startswith("Socket Exception: {"):  # every recipient was refused
        return _by_smtp({int(code) for code in _SMTP_REFUSED.findall(message)}, handed_over=True)
    if "extension not supported by server" in message:
        return NeedsPerson("the mail server does not offer the encryption or login that is set")
    if not handed_over:
        return NotSent("nothing was sent: the mail server could not be reached")
    if _BEFORE_REQUEST.search(message):
        return NotSent("nothing was sent: the service could not be reached")
    return Unknown("the connection broke or timed out, and the message may have been taken")


def _by_smtp(codes: set[int], *, handed_over: bool) -> Failure:
    code = min(codes, default=0)
    if codes & _SMTP_LOGIN:
        return NeedsPerson(f"the mail server answered {code}: it does not accept the login")
    if 400 <= code < 500:
        return NotSent(f"the mail server answered {code}: not now")
    if code >= 500 and not handed_over:
        return NeedsPerson(f"the mail server answered {code}: it refuses to talk to us")
    if code >= 500:
        return Rejected(f"the mail server answered {code}: it refuses this mail")
    return Unknown("the mail server's answer could not be read")
