"""The configuration: TOML in, a frozen `Config` out, or every fault at once.

Secrets come only from files (`*_file`), relative to the configuration or to
`$CREDENTIALS_DIRECTORY`, and are never part of the `Config` itself.
"""

from __future__ import annotations

import ipaddress
import os
import stat
import tomllib
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from broadcaster.alert import Category, Certainty, Severity, Status, Urgency


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with the configuration: where (dotted path) and what, with what to do."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


class ConfigError(Exception):
    """The configuration cannot be used; `faults` names everything that is wrong with it."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


_LONGEST = 31_536_000.0  # a year of seconds; much more, and sums of times would overflow
Positive = Annotated[float, Field(gt=0, le=_LONGEST)]
NotNegative = Annotated[float, Field(ge=0, le=_LONGEST)]
Waits = Annotated[tuple[NotNegative, ...], Field(min_length=1)]


class Table(BaseModel):
    """A frozen table; a key it does not know is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name!r}; write it like Europe/Berlin") from None
    return name


def _listen(address: str) -> str:
    if int(address.rpartition(":")[2]) > 65_535:
        raise ValueError("there is no such port; the highest is 65535")
    return address


def _public_url(url: str) -> str:
    return url.rstrip("/")


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is no address or network like 10.0.0.0/8") from None
    return text


class Server(Table):
    """`[server]`: where it listens and how it is reached."""

    listen: Annotated[
        str,
        StringConstraints(pattern=r"^(\S+|\[[0-9a-f:]+\]):[0-9]{1,5}$"),
        AfterValidator(_listen),
    ] = "127.0.0.1:8080"
    public_url: Annotated[
        str, StringConstraints(pattern=r"^https?://[^\s/]+(/\S*)?$"), AfterValidator(_public_url)
    ]
    timezone: Annotated[str, AfterValidator(_timezone)]
    trusted_proxies: tuple[Annotated[str, AfterValidator(_network)], ...] = ()
    open_metrics: bool = False
    json_bytes_max: Annotated[int, Field(ge=1024, le=10_485_760)] = 65_536
    cap_bytes_max: Annotated[int, Field(ge=1024, le=10_485_760)] = 262_144
    body_seconds: Positive = 10.0

    @property
    def host(self) -> str:
        """The address to listen on."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port to listen on; 0 takes a free one."""
        return int(self.listen.rpartition(":")[2])


SOCKET_NAME = "broadcaster.sock"
SOCKET_BYTES_MAX = 107  # Linux takes no longer path of a socket

# An SQLite path has at least one directory: a bare name would end up beside the system's own files.
_STORE_URL = r"^(sqlite:////?[^\s?/]+(/[^\s?/]+)+|postgresql://\S+)$"


class StoreTable(Table):
    """`[store]`: the database, and the directory for socket, sessions and ballast."""

    url: Annotated[str, StringConstraints(pattern=_STORE_URL)]
    state_directory: Path | None = None
    ballast_bytes: Annotated[int, Field(ge=0)] = 16 * 1024 * 1024

    @property
    def path(self) -> Path | None:
        """The SQLite file, None for PostgreSQL.

        Always absolute, with three slashes or four: the command line, run in another directory,
        must never open another database.
        """
        scheme, _, rest = self.url.partition("://")
        return Path("/", rest.lstrip("/")) if scheme == "sqlite" else None

    @property
    def directory(self) -> Path:
        """Where socket, sessions and ballast live."""
        if self.state_directory:
            return self.state_directory
        if self.path:
            return self.path.parent
        return Path(os.environ.get("STATE_DIRECTORY", "/var/lib/broadcaster"))

    @property
    def socket(self) -> Path:
        """Where the daemon takes orders from this machine."""
        return self.directory / SOCKET_NAME

    @model_validator(mode="after")
    def _socket_fits(self) -> StoreTable:
        length = len(os.fsencode(self.socket))
        if length > SOCKET_BYTES_MAX:
            raise ValueError(
                f"the path of its {SOCKET_NAME} has {length} bytes, and a socket's has at most"
                f" {SOCKET_BYTES_MAX}: choose a shorter state_directory"
            )
        return self


class OnCallTarget(Table):
    """One on-call target: an apprise URL in a file, told `after` seconds if the matter is open."""

    url_file: str
    after: NotNegative = 0.0
    name: str | None = None


class OnCall(Table):
    """`[on_call]`: who is told, in this order."""

    targets: tuple[OnCallTarget, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What each target is called, in their order."""
        return tuple(one.name or f"on-call-{place}" for place, one in enumerate(self.targets, 1))

    @model_validator(mode="after")
    def _told_apart(self) -> OnCall:
        if len(set(self.names)) < len(self.names):
            raise ValueError("two targets have the same name: the second would never be told")
        return self


class Texts(Table):
    """`[texts]`: what every text needs and no alert carries."""

    source: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    reference_prefix: Annotated[str, StringConstraints(pattern=r"^[A-Z]{0,4}$")] = ""
    templates: Path | None = None


def _by_severity(extreme: float, severe: float, other: float) -> dict[str, float]:
    return {"Extreme": extreme, "Severe": severe} | dict.fromkeys(
        ("Moderate", "Minor", "Unknown"), other
    )


class Timing(Table):
    """`[timing]`: every wait and limit in seconds; the defaults are the delivery contract's."""

    attempt_seconds: Positive = 15.0
    connect_seconds: Positive = 5.0
    waits_seconds: Waits = (0, 2, 5, 10, 20, 40, 60)
    server_key_read_seconds: Positive = 5.0
    caller_id_read_seconds: Positive = 1.0
    two_steps_read_seconds: Positive = 5.0
    read_back_seconds: tuple[Positive, Positive, Positive] = (3, 30, 90)
    server_key_trusted_seconds: Positive = 3000.0
    order_hold_seconds: Positive = 20.0
    late_seconds: dict[Severity, Positive] = Field(
        default_factory=lambda: {Severity(k): v for k, v in _by_severity(60, 60, 60).items()}
    )
    late_again_seconds: tuple[Positive, ...] = (300, 900)
    unknown_told_seconds: Positive = 30.0
    next_target_seconds: Positive = 60.0
    expires_hours: dict[Severity, Positive] = Field(
        default_factory=lambda: {Severity(k): v for k, v in _by_severity(6, 6, 6).items()}
    )
    all_clear_hours: Positive = 72.0
    duplicate_minutes: Positive = 10.0
    circuit_failures: Annotated[int, Field(ge=1)] = 3
    pause_seconds: Positive = 60.0
    probe_seconds: Positive = 600.0
    probe_x_seconds: Positive = 21_600.0
    warm_seconds: Positive = 45.0
    card_seconds: Positive = 0.5
    looks_seconds: Waits = (1, 2, 3, 5, 10, 20, 30)
    unseen_told_seconds: Positive = 120.0
    look_again_seconds: Positive = 300.0
    remind_seconds: Positive = 300.0
    drain_seconds: Positive = 20.0

    @property
    def all_clear(self) -> timedelta:
        """How long an all-clear is tried, whatever its `expires`."""
        return timedelta(hours=self.all_clear_hours)

    def expiry(self, severity: Severity) -> timedelta:
        """How long an alert without `expires` is in force."""
        return timedelta(hours=self.expires_hours.get(severity, 6.0))

    def late(self, severity: Severity) -> timedelta:
        """How long after acceptance a delivery that is not out is late."""
        return timedelta(seconds=self.late_seconds.get(severity, 60.0))


class Carries(Table):
    """Which alerts a channel carries: CAP values per field; a field left out means any value."""

    status: tuple[Status, ...] = (Status.ACTUAL,)
    severity: tuple[Severity, ...] | None = None
    urgency: tuple[Urgency, ...] | None = None
    certainty: tuple[Certainty, ...] | None = None
    category: tuple[Category, ...] | None = None

    @model_validator(mode="after")
    def _no_drafts(self) -> Carries:
        if Status.DRAFT in self.status:
            raise ValueError("a channel can never carry Draft alerts")
        return self


class ChannelConfig(Table):
    """`[channels.NAME]`: what every type shares; the rest is `settings`, read by the type's file.

    `carries` None means the type's own default (for `x` the crisis rule, else Actual only).
    `parts`: how several languages go out: as posts of their own, the further ones as replies to the
    first, or all in one post.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    type: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
    carries: Carries | None = None
    languages: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    template: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+$")] | None = None
    parts: Literal["posts", "replies", "one"] = "posts"
    settings: dict[str, Any] = {}


_SHARED_KEYS = frozenset(ChannelConfig.model_fields) - {"settings", "name"}
_OPTIONAL_KEYS = _SHARED_KEYS - {"type"}


class Config(Table):
    """The whole configuration."""

    server: Server
    store: StoreTable
    on_call: OnCall = OnCall()
    texts: Texts = Texts()
    timing: Timing = Timing()
    channels: dict[str, ChannelConfig] = Field(
        default_factory=dict, validation_alias=AliasChoices("channels")
    )


class Secrets:
    """Reads secret files for channels and on-call targets, and refuses careless ones."""

    def __init__(self, directory: Path) -> None:
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        self._places = [directory, *([Path(credentials)] if credentials else [])]

    def read(self, name: str) -> str:
        """Return the content of a secret file, stripped.

        Raises ValueError with a sentence for people when it is missing, no plain file, empty,
        not UTF-8, or readable by everybody.
        """
        path = self._find(name)
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise ValueError(f"{name} is not a plain file")
        if mode & stat.S_IRWXO:
            raise ValueError(f"{name} can be read by everybody; run: chmod 600 {name}")
        try:
            text = path.read_text("utf-8-sig").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{name} cannot be read: {type(error).__name__}") from None
        if not text or "\x00" in text:
            raise ValueError(f"{name} is empty or no text; put the secret on its first line")
        return text

    def _find(self, name: str) -> Path:
        for place in self._places:
            with suppress(OSError):  # no name of a file at all, or a directory that is shut
                if (path := place / name).exists():
                    return path
        # Without the name: a secret put there by mistake, instead of in a file, must not be shown.
        raise ValueError("there is no such file beside the configuration or in the credentials")


def load(path: Path) -> Config:
    """Read a configuration file.

    Raises ConfigError with every fault of its tables. Channel settings, which only the type's own
    file knows, are read later by `channels.build`.
    """
    return parse(read(path))


def read(path: Path) -> dict[str, Any]:
    """Return a configuration file's tables. Raises ConfigError if it is no readable TOML."""
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise ConfigError([Fault("", f"cannot read {path}: {error.strerror}")]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([Fault("", f"{path} is not TOML: {error}")]) from None


_STAND_INS = {
    "server": {"public_url": "http://localhost", "timezone": "UTC"},
    "store": {"url": "sqlite:///unused/unused.db"},
}


def without(tables: Mapping[str, Any], faults: Sequence[Fault]) -> Config:
    """Return a configuration of the tables that are sound, so that these can be examined further.

    It is good for nothing else: tables that are required and faulty are stood in for.
    """
    places = [fault.where for fault in faults]
    sound = {name: one for name, one in tables.items() if not _hit(name, places)}
    if isinstance(channels := tables.get("channels"), dict):
        sound["channels"] = {
            name: _without_optional(one, f"channels.{name}", places)
            for name, one in channels.items()
            if not _hit(f"channels.{name}", places, but=_OPTIONAL_KEYS)
        }
    return parse({**_STAND_INS, **sound})


def _hit(table: str, places: Sequence[str], but: Collection[str] = ()) -> bool:
    """Say whether a fault lies in a table, in whose keys `but` it does not matter."""
    # By prefix: a table's name may itself have dots.
    keys = (at.removeprefix(table)[1:] for at in places if f"{at}.".startswith(f"{table}."))
    return any(key.partition(".")[0] not in but for key in keys)


def _without_optional(table: Any, where: str, places: Sequence[str]) -> Any:
    """Leave faulty keys that need not be there out, so that the others are examined too."""
    return {key: one for key, one in table.items() if not _hit(f"{where}.{key}", places)}


def parse(tables: Mapping[str, Any]) -> Config:
    """Turn parsed TOML into a Config, or raise ConfigError with every fault."""
    tables = dict(tables)
    channels = tables.get("channels")
    if isinstance(channels, dict):
        tables["channels"] = {name: _split(name, table) for name, table in channels.items()}
    try:
        return Config.model_validate(tables)
    except ValidationError as error:
        raise ConfigError(faults_of(error)) from None


def _split(name: str, table: object) -> object:
    if not isinstance(table, dict):
        return table
    shared = {key: value for key, value in table.items() if key in _SHARED_KEYS}
    rest = {key: value for key, value in table.items() if key not in _SHARED_KEYS}
    return shared | {"name": name, "settings": rest}


def faults_of(error: ValidationError, where: str = "") -> list[Fault]:
    """Turn a pydantic error into faults; no value is repeated, for it might be a secret."""
    return [
        Fault(".".join([*([where] if where else []), *map(str, one["loc"])]), _say(dict(one)))
        for one in error.errors(include_url=False, include_input=False, include_context=False)
    ]


def _say(one: Mapping[str, Any]) -> str:
    if one["type"] == "extra_forbidden":
        return "unknown key; see the example configuration for the keys there are"
    if one["type"] == "missing":
        return "is required"
    return str(one["msg"]).removeprefix("Value error, ")
