"""The configuration: all of it loads, every fault is named at once, and no secret is shown."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from broadcaster import channels
from broadcaster.alert import Severity, Status
from broadcaster.app import Parts, prepare
from broadcaster.config import (
    Carries,
    ChannelConfig,
    Config,
    ConfigError,
    OnCallTarget,
    Secrets,
    Server,
    StoreTable,
    Texts,
    Timing,
    load,
    parse,
)
from tests.conftest import REPOSITORY

EXAMPLE = REPOSITORY / "deploy" / "broadcaster.toml"
CANARY = "canary-4711"
SECRETS = {
    "mastodon-token": CANARY,
    "bluesky-app-password": CANARY,
    "press-mail-url": f"mailto://warnung:{CANARY}@mail.example.org?to=presse@example.org",
    "fire-brigade-secret": "whsec_Y2FuYXJ5LTQ3MTEtY2FuYXJ5LTQ3MTEtMQ==",
    "fire-brigade-secret-new": "whsec_Y2FuYXJ5LTQ3MTItY2FuYXJ5LTQ3MTItMg==",
    "x-consumer-key": CANARY,
    "x-consumer-secret": CANARY,
    "x-access-token": f"1234-{CANARY}",
    "x-access-token-secret": CANARY,
    "x-bearer-token": CANARY,
    **dict.fromkeys(
        (
            *("threads-token", "threads-app-secret", "facebook-page-token", "facebook-app-secret"),
            *("instagram-token", "instagram-app-secret", "linkedin-token"),
            *("linkedin-client-secret", "youtube-client-secret", "youtube-refresh-token"),
            "youtube-api-key",
        ),
        CANARY,
    ),
    "pager-url": f"json://{CANARY}@pager.example.org/one",
    "second-pager-url": f"json://{CANARY}@pager.example.org/two",
}
LEAST: Mapping[str, Any] = {
    "server": {"public_url": "https://warnung.example.org", "timezone": "Europe/Berlin"},
    "store": {"url": "sqlite:///var/lib/broadcaster/broadcaster.db"},
}
LEAST_TOML = """
[server]
public_url = "https://warnung.example.org"
timezone = "Europe/Berlin"
[store]
url = "sqlite:///var/lib/broadcaster/broadcaster.db"
"""


def keep(place: Path, secrets: Mapping[str, str]) -> None:
    """Write secrets that their owner alone may read."""
    for name, content in secrets.items():
        (place / name).write_text(content, "utf-8")
        (place / name).chmod(0o600)


def written(place: Path, text: str) -> Path:
    """Write a configuration."""
    path = place / "broadcaster.toml"
    path.write_text(text, "utf-8")
    return path


def faults(place: Path, text: str) -> dict[str, str]:
    """Give what is wrong with a configuration and all that stands on it, by place."""
    with pytest.raises(ConfigError) as error:
        prepare(written(place, text))
    found = {fault.where: fault.what for fault in error.value.faults}
    assert len(found) == len(error.value.faults), "one fault was named twice"
    assert str(error.value).splitlines() == [str(fault) for fault in error.value.faults]
    return found


def refused(tables: Mapping[str, Any]) -> list[str]:
    """Give where parsed tables are at fault."""
    with pytest.raises(ConfigError) as error:
        parse(tables)
    return [fault.where for fault in error.value.faults]


# The example


def example(*, whole: bool, either: bool = False) -> str:
    """Give the example; `whole`: with all that may be left out.

    `either`: also with what goes only instead of something else, so that it cannot be loaded.
    """
    text = EXAMPLE.read_text("utf-8")
    left_out = r"^#(?=[a-z])" if either else r"^#(?=[a-z])(?!oauth2_)"
    return re.sub(left_out, "", text, flags=re.MULTILINE) if whole else text


@pytest.mark.parametrize("whole", [False, True], ids=["as it is", "with every key"])
def test_the_example_loads(tmp_path: Path, *, whole: bool) -> None:
    """Whoever copies it and puts the secrets beside it has a configuration that works."""
    keep(tmp_path, SECRETS)
    text = example(whole=whole).replace("/etc/broadcaster/templates", str(tmp_path))
    parts = prepare(written(tmp_path, text))
    names = ["mastodon", "bluesky", "threads", "facebook", "instagram", "linkedin", "youtube"]
    others = ["press-mail", "fire-brigade", "x"]
    assert list(parts.channels) == [*(f"city-{name}" for name in names), *others]
    assert [target.name for target in parts.targets] == ["duty officer", "head of operations"]
    assert [target.after for target in parts.targets] == [timedelta(0), timedelta(seconds=120)]


def test_what_the_example_gives_as_defaults_are_the_defaults() -> None:
    """A mark removed and nothing changed leaves everything as it was."""
    plain, whole = (parse(tomllib.loads(example(whole=one))) for one in (False, True))
    assert plain.timing == whole.timing == Timing()
    assert plain.server == whole.server
    assert plain.store.ballast_bytes == whole.store.ballast_bytes
    assert plain.store.directory == whole.store.directory
    assert plain.texts.reference_prefix == whole.texts.reference_prefix
    for name in plain.channels:
        kind = __import__(
            f"broadcaster.channels.{plain.channels[name].type}", fromlist=["Settings"]
        )
        defaults = {key: one.default for key, one in kind.Settings.model_fields.items()}
        for key, said in whole.channels[name].settings.items():
            value = tuple(said) if isinstance(said, list) else said
            if defaults[key] is not None and key not in plain.channels[name].settings:
                assert value == defaults[key], f"channels.{name}.{key}"


def keys(model: type[BaseModel], *, but: frozenset[str] = frozenset()) -> set[str]:
    """Give the keys of a table."""
    return set(model.model_fields) - but


def tables() -> Iterator[tuple[str, set[str]]]:
    """Give every table that the code knows, with its keys."""
    for name, field in Config.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield name, keys(kind)
    yield "target", keys(OnCallTarget)
    yield "carries", keys(Carries)
    yield "channel", keys(ChannelConfig, but=frozenset({"name", "settings"}))
    for kind_name in channels.types():
        module: Any = __import__(f"broadcaster.channels.{kind_name}", fromlist=["Settings"])
        yield kind_name, keys(module.Settings)


def named() -> dict[str, set[str]]:
    """Give every table of the whole example, with its keys."""
    read = tomllib.loads(example(whole=True, either=True))
    found = {name: set(table) for name, table in read.items() if name != "channels"}
    found["target"] = set().union(*read["on_call"]["targets"])
    shared = keys(ChannelConfig, but=frozenset({"name", "settings"}))
    found["channel"] = set().union(*read["channels"].values()) & shared
    one_of_each = {table["type"]: table for table in read["channels"].values()}
    found |= {kind: set(table) - shared for kind, table in one_of_each.items()}
    found["carries"] = set(one_of_each["mastodon"]["carries"])
    return found


def test_the_example_names_every_key_there_is() -> None:
    """No key of the code is missing from it, and it names none that the code does not know."""
    assert named() == dict(tables())


def test_the_example_says_of_every_key_what_it_does() -> None:
    """Behind the key or in the line above it."""
    lines = EXAMPLE.read_text("utf-8").splitlines()
    for above, line in zip(["", *lines], lines, strict=False):
        if re.match(r"#?[a-z_.]+ = ", line) and not line.startswith(("type = ", "targets")):
            assert " # " in line or above.startswith("# "), line


# Tables


def test_the_least_configuration_has_the_contracts_times() -> None:
    """Where nothing is said, the delivery contract's waits and limits hold."""
    config = parse(LEAST)
    timing = config.timing
    assert (timing.attempt_seconds, timing.connect_seconds) == (15, 5)
    assert list(timing.waits_seconds) == [0, 2, 5, 10, 20, 40, 60]
    assert list(timing.read_back_seconds) == [3, 30, 90]
    assert timing.server_key_trusted_seconds == 50 * 60
    assert (timing.order_hold_seconds, timing.drain_seconds) == (20, 20)
    assert list(timing.late_again_seconds) == [300, 900]
    assert timing.next_target_seconds == 60
    assert timing.all_clear == timedelta(hours=72)
    assert timing.duplicate_minutes == 10
    assert (timing.probe_seconds, timing.probe_x_seconds) == (600, 6 * 3600)
    for severity in Severity:
        assert timing.expiry(severity) == timedelta(hours=6)
        assert timing.late(severity) == timedelta(seconds=60)
    assert config.on_call.targets == ()
    assert config.channels == {}
    assert (config.server.host, config.server.port) == ("127.0.0.1", 8080)


def test_times_of_one_severity_leave_the_others_as_they_are() -> None:
    """What is said of Extreme says nothing of Minor."""
    times = {"late_seconds": {"Extreme": 20}, "expires_hours": {"Minor": 2}}
    timing = parse({**LEAST, "timing": times}).timing
    assert timing.late(Severity.EXTREME) == timedelta(seconds=20)
    assert timing.late(Severity.MINOR) == timedelta(seconds=60)
    assert timing.expiry(Severity.MINOR) == timedelta(hours=2)
    assert timing.expiry(Severity.EXTREME) == timedelta(hours=6)


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [("0.0.0.0:80", "0.0.0.0", 80), ("[::1]:0", "::1", 0), ("localhost:65535", "localhost", 65535)],  # noqa: S104
)
def test_an_address_is_host_and_port(listen: str, host: str, port: int) -> None:
    """IPv6 stands in brackets; port 0 takes a free one."""
    server = Server(listen=listen, public_url="https://a.example/", timezone="UTC")
    assert (server.host, server.port) == (host, port)
    assert server.public_url == "https://a.example"


def test_the_state_is_where_the_database_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless said otherwise: beside the SQLite file, else where the service keeps its state."""
    assert StoreTable(url="sqlite:////a/b.db").directory == Path("/a")
    assert StoreTable(url="sqlite:///a/b.db").path == Path("/a/b.db")
    assert StoreTable(url="sqlite:////a/b.db", state_directory=Path("/c")).directory == Path("/c")
    postgresql = StoreTable(url="postgresql://user@host1,host2/db")
    assert postgresql.path is None
    monkeypatch.setenv("STATE_DIRECTORY", "/state")
    assert postgresql.directory == Path("/state")
    monkeypatch.delenv("STATE_DIRECTORY")
    assert postgresql.directory == Path("/var/lib/broadcaster")


def test_a_socket_has_room_for_its_path() -> None:
    """Exactly as much as the system takes, in bytes."""
    longest = "d" * (107 - len("//broadcaster.sock"))
    StoreTable(url="sqlite:////a/b.db", state_directory=Path(f"/{longest}"))
    for longer in (f"{longest}d", "ü" + longest[1:]):
        with pytest.raises(ValueError, match=r"has 108 bytes.*choose a shorter state_directory"):
            StoreTable(url="sqlite:////a/b.db", state_directory=Path(f"/{longer}"))


WRONG: list[tuple[str, str, object]] = [
    ("server", "listen", "8080"),
    ("server", "listen", "127.0.0.1:65536"),
    ("server", "listen", "127.0.0.1:٨٠"),
    ("server", "listen", 8080),
    ("server", "public_url", "warnung.example.org"),
    ("server", "public_url", "ftp://warnung.example.org"),
    ("server", "timezone", "Berlin"),
    ("server", "timezone", ""),
    ("server", "timezone", "../../etc/passwd"),
    ("server", "timezone", 1),
    ("server", "trusted_proxies", "10.0.0.1"),
    ("server", "open_metrics", "perhaps"),
    ("server", "json_bytes_max", 1),
    ("server", "json_bytes_max", 1.5),
    ("server", "cap_bytes_max", "many"),
    ("server", "body_seconds", 0),
    ("store", "url", "mysql://a/b"),
    ("store", "url", "sqlite:///a.db?mode=ro"),
    ("store", "url", ""),
    ("store", "ballast_bytes", -1),
    ("store", "state_directory", 1),
    ("on_call", "targets", "pager-url"),
    ("on_call", "targets", [{"after": 0}]),
    ("on_call", "targets", [{"url_file": "a", "after": -1}]),
    ("on_call", "targets", [{"url_file": "a", "when": 0}]),
    ("texts", "source", ""),
    ("texts", "source", "a" * 101),
    ("texts", "reference_prefix", "do"),
    ("texts", "reference_prefix", "ABCDE"),
    ("timing", "attempt_seconds", 0),
    ("timing", "attempt_seconds", -1),
    ("timing", "attempt_seconds", float("nan")),
    ("timing", "attempt_seconds", float("inf")),
    ("timing", "attempt_seconds", "long"),
    ("timing", "all_clear_hours", 1e12),
    ("timing", "waits_seconds", []),
    ("timing", "waits_seconds", [0, -1]),
    ("timing", "read_back_seconds", [3, 30]),
    ("timing", "late_seconds", {"Grave": 60}),
    ("timing", "late_seconds", 60),
    ("timing", "circuit_failures", 0),
]


@pytest.mark.parametrize(("table", "key", "value"), WRONG)
def test_a_wrong_value_is_named_by_its_place(table: str, key: str, value: object) -> None:
    """The fault says table and key, so that one finds it in the file."""
    (where,) = refused({**LEAST, table: {**LEAST.get(table, {}), key: value}})
    assert where.startswith(f"{table}.{key}")


def test_two_targets_of_one_name_are_refused() -> None:
    """Who was told is kept by name: the second would never be called. Numbers count as names."""
    for first, second in (("duty", "duty"), ("on-call-2", None)):
        targets = [{"url_file": "a", "name": first}, {"url_file": "b"}]
        targets[1] |= {"name": second} if second else {}
        assert refused({**LEAST, "on_call": {"targets": targets}}) == ["on_call"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("carries", {"status": ["Draft"]}),
        ("carries", {"severity": ["severe"]}),
        ("carries", {"colour": ["red"]}),
        ("carries", ["Actual"]),
        ("languages", "de"),
        ("languages", []),
        ("template", "../x"),
    ],
)
def test_wrong_shared_keys_of_a_channel_are_named(key: str, value: object) -> None:
    """Every type takes them, and none takes nonsense; a Draft is carried nowhere."""
    (where,) = refused({**LEAST, "channels": {"city": {"type": "x", key: value}}})
    assert where.startswith(f"channels.city.{key}")


@pytest.mark.parametrize("name", ["City", "a b", "-a", "a.b", "", "ä", "a" * 64])
def test_a_channels_name_is_plain(name: str) -> None:
    """It is part of keys, file names and metrics."""
    assert refused({**LEAST, "channels": {name: {"type": "x"}}}) == [f"channels.{name}.name"]


def test_a_channel_carries_what_it_says_and_actual_alone_by_default() -> None:
    """A field left out means any value."""
    assert Carries().status == (Status.ACTUAL,)
    assert Carries().severity is None
    said = {"status": ["Actual", "Test"], "severity": ["Extreme"]}
    table = {"type": "webhook", "carries": said, "url": "https://a.example"}
    one = parse({**LEAST, "channels": {"city": table}}).channels["city"]
    assert one.carries == Carries(status=("Actual", "Test"), severity=("Extreme",))
    assert one.settings == {"url": "https://a.example"}


@pytest.mark.parametrize("table", ["server", "store", "on_call", "texts", "timing"])
def test_an_unknown_key_is_a_fault(table: str) -> None:
    """A misspelt key would otherwise be the default in silence."""
    wrong = {**LEAST, table: {**LEAST.get(table, {}), "colour": 1}}
    assert refused(wrong) == [f"{table}.colour"]
    assert refused({**LEAST, "servers": {}}) == ["servers"]


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3))
def test_whatever_tables_hold_they_parse_or_are_faults(content: dict[str, Any]) -> None:
    """No content of a file is anything but a configuration or a list of faults."""
    for name in ("server", "timing", "channels", "on_call"):
        with suppress(ConfigError):
            assert parse({**LEAST, name: content}).server.timezone == "Europe/Berlin"


# The file


def test_a_file_with_bom_and_crlf_is_read(tmp_path: Path) -> None:
    """As editors of other systems write it."""
    path = tmp_path / "broadcaster.toml"
    path.write_bytes(b"\xef\xbb\xbf" + LEAST_TOML.replace("\n", "\r\n").encode())
    assert load(path) == parse(LEAST)


@pytest.mark.parametrize("content", [b"x = ", b"\xff\xfe", b"[a]\n[a]\n", b'a = "\x00"'])
def test_what_is_no_toml_is_one_fault(tmp_path: Path, content: bytes) -> None:
    """It says that, and at which line if that can be said."""
    path = tmp_path / "broadcaster.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="is not TOML"):
        load(path)


def test_a_file_that_cannot_be_read_is_one_fault(tmp_path: Path) -> None:
    """Missing, or a directory."""
    for path in (tmp_path / "missing.toml", tmp_path):
        with pytest.raises(ConfigError, match="cannot read"):
            load(path)


# Secrets


def test_a_secret_is_read_without_what_editors_add(tmp_path: Path) -> None:
    """BOM, CRLF and blanks at its ends are no part of it."""
    (tmp_path / "token").write_bytes(b"\xef\xbb\xbf  canary \r\n\r\n")
    (tmp_path / "token").chmod(0o600)
    assert Secrets(tmp_path).read("token") == "canary"


@pytest.mark.parametrize("content", [b"", b" \r\n", b"\xef\xbb\xbf\n", b"a\x00b", b"\xff\xfe"])
def test_a_secret_that_says_nothing_is_refused(tmp_path: Path, content: bytes) -> None:
    """Empty, blank, binary or in another encoding."""
    (tmp_path / "token").write_bytes(content)
    (tmp_path / "token").chmod(0o600)
    with pytest.raises(ValueError, match=r"empty|cannot be read"):
        Secrets(tmp_path).read("token")


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o601, 0o644, 0o777])
def test_a_secret_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    """Readable by everybody is no secret; the sentence says what to run."""
    keep(tmp_path, {"token": CANARY})
    (tmp_path / "token").chmod(mode)
    with pytest.raises(ValueError, match="chmod 600 token"):
        Secrets(tmp_path).read("token")


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o440, 0o640])
def test_owner_and_group_may_read_a_secret(tmp_path: Path, mode: int) -> None:
    """As a supervisor hands it out."""
    keep(tmp_path, {"token": CANARY})
    (tmp_path / "token").chmod(mode)
    assert Secrets(tmp_path).read("token") == CANARY


def test_a_secret_is_a_plain_file(tmp_path: Path) -> None:
    """A FIFO would hang the start, a directory holds no secret; a link to a file is one."""
    os.mkfifo(tmp_path / "fifo", 0o600)
    (tmp_path / "directory").mkdir(mode=0o700)
    for name in ("fifo", "directory", ""):
        with pytest.raises(ValueError, match="is not a plain file"):
            Secrets(tmp_path).read(name)
    keep(tmp_path, {"token": CANARY})
    (tmp_path / "link").symlink_to("token")
    assert Secrets(tmp_path).read("link") == CANARY
    (tmp_path / "loop").symlink_to("loop")
    for name in ("loop", "missing", "a" * 5000, "a\x00b"):
        with pytest.raises(ValueError, match="there is no such file"):
            Secrets(tmp_path).read(name)


def test_secrets_lie_beside_the_configuration_or_in_the_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside it first, then where the supervisor put them; an absolute path is that path."""
    beside, credentials, elsewhere = (tmp_path / one for one in ("etc", "credentials", "other"))
    for number, place in enumerate((beside, credentials, elsewhere)):
        place.mkdir()
        keep(place, {"both": f"secret-{number}", f"only-{number}": f"only-{number}"})
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    secrets = Secrets(beside)
    assert secrets.read("both") == "secret-0"
    assert secrets.read("only-1") == "only-1"
    assert secrets.read(str(elsewhere / "only-2")) == "only-2"
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    with pytest.raises(ValueError, match="there is no such file"):
        Secrets(beside).read("only-1")


# Everything at once

ALL_WRONG = """
[server]
listen = "127.0.0.1:99999"
public_url = "https://warnung.example.org"
timezone = "Berlin"
colour = "red"
[stor]
[on_call]
targets = [{ url_file = "pager-url" }, { url_file = "missing" }]
[timing]
attempt_seconds = 0
[texts]
templates = "/nowhere/at/all"
[channels.one]
type = "mastodon"
languages = "de"
api_base_url = "http://not-safe.example"
access_token_file = "missing"
colour = "red"
[channels.two]
type = "telegraph"
[channels.three]
type = "webhook"
url = "https://a.example/x"
secret_file = "open-secret"
[channels.four]
type = "bluesky"
app_password_file = "bluesky-app-password"
[channels.five]
type = "apprise"
kind = "mail"
url_file = "empty"
[channels."a.b"]
type = "x"
"""


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    """One start tells all: tables, keys, channels, their settings, secrets, targets, templates."""
    keep(tmp_path, {**SECRETS, "open-secret": CANARY, "empty": ""})
    (tmp_path / "open-secret").chmod(0o644)
    assert set(faults(tmp_path, ALL_WRONG)) == {
        "server.listen",
        "server.timezone",
        "server.colour",
        "store",
        "stor",
        "on_call.targets.1.url_file",
        "timing.attempt_seconds",
        "texts.templates",
        "channels.one.languages",
        "channels.one.api_base_url",
        "channels.one.access_token_file",
        "channels.one.colour",
        "channels.two.type",
        "channels.three.secret_file",
        "channels.four.handle",
        "channels.five.url_file",
        "channels.a.b.name",
    }


def test_no_fault_shows_a_secret(tmp_path: Path) -> None:
    """Not from a file, nor where one was written into the configuration by mistake."""
    keep(tmp_path, {"token": f"{CANARY} {CANARY}", "url": f"nosuch://{CANARY}@{CANARY}"})
    text = (
        LEAST_TOML
        + f"""
    [on_call]
    targets = [{{ url_file = "url" }}, {{ url = "json://{CANARY}@a.example" }}]
    [channels.one]
    type = "mastodon"
    api_base_url = "https://{CANARY}@a.example"
    access_token_file = "{CANARY}"
    access_token = "{CANARY}"
    [channels.two]
    type = "mastodon"
    api_base_url = "https://a.example"
    access_token_file = "token"
    [channels.three]
    type = "webhook"
    url = "https://user:{CANARY}@a.example"
    secret_file = "token"
    [channels.four]
    type = "apprise"
    kind = "{CANARY}"
    url_file = "url"
    [channels.five]
    type = "apprise"
    kind = "chat"
    url_file = "url"
    """
    )
    found = faults(tmp_path, text)
    assert {where.rpartition(".")[0] for where in found} >= {"channels.one", "on_call.targets.1"}
    assert CANARY not in str(found)


def test_two_channels_on_one_account_are_a_fault(tmp_path: Path) -> None:
    """Everything would be posted twice; two accounts on one network are none."""
    keep(tmp_path, {"token": CANARY, "copy": CANARY, "other": "other"})
    channel = '[channels.{}]\ntype = "mastodon"\napi_base_url = "{}"\naccess_token_file = "{}"\n'
    first = LEAST_TOML + channel.format("one", "https://a.example", "token")
    assert faults(tmp_path, first + channel.format("two", "https://a.example/", "copy")) == {
        "channels.two": "is the same account as channels.one: it would post twice"
    }
    for url, file in (("https://b.example", "token"), ("https://a.example", "other")):
        parts = prepare(written(tmp_path, first + channel.format("two", url, file)))
        assert isinstance(parts, Parts)
        assert set(parts.channels) == {"one", "two"}


def test_texts_have_no_source_of_their_own() -> None:
    """Nobody is invented: without one, the alert's sender is named."""
    assert Texts().source is None
    assert Texts().reference_prefix == ""
