"""How channels are built: their types, their accounts, and the limits they begin with."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic.types import StringConstraints

from broadcaster.channels import SERVER, Channel, Measure, Setup, build, types
from broadcaster.config import Carries, ConfigError, Secrets, Table, Timing, parse
from tests.channels.stub import FixedClock, keep_secret, setup_for

ATTRIBUTES = (
    *("config", "carries", "guarantee", "limits", "escape", "template", "account"),
    *("attempts_at_once", "takes_data", "posts_per_day_max", "resend_on_unknown", "reads_back"),
)
METHODS = ("send", "find", "probe", "retract", "close")

TABLES: dict[str, dict[str, Any]] = {
    "mastodon": {"api_base_url": "https://ruhr.example", "access_token_file": "token"},
    "bluesky": {"handle": "stadt.example.org", "app_password_file": "token"},
    "x": {
        f"{one}_file": "token"
        for one in ("consumer_key", "consumer_secret", "access_token", "access_token_secret")
    },
    "webhook": {"url": "https://fire.example.org/hooks", "secret_file": "signing"},
    "apprise": {"kind": "chat", "url_file": "url"},
    "youtube": {"channel_id": "UC0123456789abcdefghijkl"},
    "facebook": {"page_id": "4711", "access_token_file": "token"},
    "threads": {"access_token_file": "token"},
    "instagram": {"login": "instagram", "ig_user_id": "4711", "access_token_file": "token"},
    "linkedin": {"organization_id": "4711", "access_token_file": "token"},
}


@pytest.fixture
def secrets(tmp_path: Path) -> Secrets:
    """Give a directory with the secrets of every type."""
    keep_secret(tmp_path, "token", "canary-4711")
    keep_secret(tmp_path, "signing", "whsec_" + "Y2FuYXJ5" * 4)
    keep_secret(tmp_path, "url", "json://canary@a.example/one")
    return Secrets(tmp_path)


async def built(
    secrets: Secrets,
    place: Path,
    tables: Mapping[str, Any],
    limits: Mapping[str, Mapping[str, int]] | None = None,
) -> dict[str, Channel]:
    """Build channels of these tables; they are closed again, for nothing is sent."""
    config = parse(
        {
            "server": {"public_url": "https://a.example", "timezone": "Europe/Berlin"},
            "store": {"url": f"sqlite:///{place}/test.db"},
            "channels": tables,
        }
    )
    made = build(config, secrets, FixedClock(), limits)
    for channel in made.values():
        await channel.close()
    return made


def test_every_module_of_the_room_is_a_type_but_the_tools() -> None:
    """A channel is one file or folder, and its name is the configuration's type."""
    assert types() == sorted(TABLES)


@pytest.mark.parametrize("kind", sorted(TABLES))
def test_a_type_has_settings_carries_and_build(kind: str) -> None:
    """That is all that a further channel must have."""
    module = importlib.import_module(f"broadcaster.channels.{kind}")
    assert issubclass(module.Settings, Table)
    assert isinstance(module.CARRIES, Carries)
    assert callable(module.build)


@pytest.mark.parametrize("kind", sorted(TABLES))
async def test_a_channel_has_all_that_the_protocol_names(
    kind: str, secrets: Secrets, tmp_path: Path
) -> None:
    """Whoever stands on a channel may ask for each of these."""
    made = await built(secrets, tmp_path, {"city": {"type": kind, **TABLES[kind]}})
    channel = made["city"]
    assert all(hasattr(channel, name) for name in ATTRIBUTES)
    assert all(callable(getattr(channel, name)) for name in METHODS)
    assert channel.config.name == "city"
    assert isinstance(channel.limits.measure, Measure)
    assert channel.limits.maximum > 0
    assert channel.attempts_at_once > 0
    assert "canary" not in channel.account


@pytest.mark.parametrize("kind", sorted(TABLES))
async def test_what_the_configuration_says_counts(
    kind: str, secrets: Secrets, tmp_path: Path
) -> None:
    """Carries and template of the configuration come before the type's own."""
    said = {"carries": {"status": ["Test"]}, "template": "minimal"}
    made = await built(secrets, tmp_path, {"city": {"type": kind, **TABLES[kind], **said}})
    assert made["city"].carries == Carries(status=("Test",))
    assert made["city"].config.template == made["city"].template == "minimal"


async def test_a_channel_begins_with_the_limits_last_read(secrets: Secrets, tmp_path: Path) -> None:
    """What a network once said of its limits holds from the first alert after a restart."""
    tables = {"city": {"type": "mastodon", **TABLES["mastodon"]}}
    fresh = await built(secrets, tmp_path, tables)
    known = await built(secrets, tmp_path, tables, {"city": {"maximum": 5000}})
    assert fresh["city"].limits.maximum == 500
    assert known["city"].limits.maximum == 5000


async def test_a_type_that_does_not_exist_names_those_that_do(
    secrets: Secrets, tmp_path: Path
) -> None:
    """The tools of the room are no types either."""
    for kind in ("telegraph", "wire", "http"):
        with pytest.raises(ConfigError) as error:
            await built(secrets, tmp_path, {"city": {"type": kind}})
        assert str(error.value) == (
            "channels.city.type: there is no such type; "
            "there are apprise, bluesky, facebook, instagram, linkedin, mastodon, threads, "
            "webhook, x, youtube"
        )


async def test_every_channels_faults_are_named_together(secrets: Secrets, tmp_path: Path) -> None:
    """Wrong settings and missing secrets, of one channel and of all."""
    one = {"type": "mastodon", "api_base_url": "nowhere", "access_token_file": "missing"}
    two = {"type": "apprise", "kind": "loud", "url_file": "url"}
    with pytest.raises(ConfigError) as error:
        await built(secrets, tmp_path, {"one": one, "two": two})
    assert {fault.where for fault in error.value.faults} == {
        "channels.one.api_base_url",
        "channels.one.access_token_file",
        "channels.two.kind",
    }


@pytest.mark.parametrize("kind", sorted(TABLES))
async def test_one_account_is_one_channel(kind: str, secrets: Secrets, tmp_path: Path) -> None:
    """The second of two channels on one account is named: everything would be posted twice."""
    table = {"type": kind, **TABLES[kind]}
    with pytest.raises(ConfigError) as error:
        await built(secrets, tmp_path, {"one": table, "two": table, "three": table})
    assert [fault.where for fault in error.value.faults] == ["channels.two", "channels.three"]
    assert all("same account as channels.one" in one.what for one in error.value.faults)


@pytest.mark.parametrize(
    "url",
    [
        "https://bsky.social",
        "https://a.example:8443/base",
        "http://127.0.0.1:9000/mastodon",
        "http://localhost",
        "http://[::1]:80",
    ],
)
def test_a_network_is_asked_over_tls_or_on_this_machine(url: str) -> None:
    """Tests and the sandbox run in the clear, here alone."""
    assert _server().validate_python(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://bsky.social",
        "http://127.0.0.1.example.org",
        "http://localhost.example.org",
        "http://127.0.0.1:80@a.example",
        "https://user:password@a.example",
        "https://a.example/?token=1",
        "https://a.example#x",
        "https://",
        "ftp://a.example",
        "bsky.social",
        "https://a b",
    ],
)
def test_no_secret_travels_in_the_clear(url: str) -> None:
    """Nor is an address taken that only looks like this machine, or holds a password."""
    with pytest.raises(ValidationError):
        _server().validate_python(url)


def _server() -> TypeAdapter[Any]:
    return TypeAdapter(Annotated[str, StringConstraints(pattern=SERVER)])


def test_a_setup_knows_the_limit_of_an_attempt(tmp_path: Path) -> None:
    """As the configuration's timing says."""
    setup: Setup = setup_for(tmp_path, "x", timing=Timing(attempt_seconds=3))
    assert setup.attempt == timedelta(seconds=3)
