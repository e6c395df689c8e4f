"""The wiring: the daemon's life, the check that posts nothing, and commands without a daemon."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from broadcaster.app import (
    CONFIG_EXIT,
    FAULT_EXIT,
    Finding,
    Service,
    check,
    local_client,
    prepare,
    serve,
)
from broadcaster.clock import SystemClock
from broadcaster.config import SOCKET_NAME, ConfigError, StoreTable
from broadcaster.delivery import Readiness
from broadcaster.record import StoreUnavailable
from broadcaster.store import Store
from broadcaster.terminal.child import free_port
from broadcaster.web import listening
from tests.channels.stub import Stub, keep_secret, serving
from tests.kit import alert, eventually

ALERTS = "http://localhost/v1/alerts"
STATUS = "http://localhost/control/status"


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    """Give a receiver of webhooks that takes everything."""
    async with serving() as one:
        yield one


def written(place: Path, url: str, more: str = "") -> Path:
    """Write a configuration with one webhook, and its secrets."""
    keep_secret(place, "signing", "whsec_" + "Y2FuYXJ5" * 4)
    keep_secret(place, "pager-url", f"json://{url.removeprefix('http://')}/pager")
    path = place / "broadcaster.toml"
    path.write_text(
        f"""
[server]
listen = "127.0.0.1:0"
public_url = "https://warnung.example.org"
timezone = "Europe/Berlin"
[store]
url = "sqlite:///{place}/test.db"
ballast_bytes = 0
[on_call]
targets = [{{ url_file = "pager-url" }}]
[channels.fire-brigade]
type = "webhook"
url = "{url}/hooks"
secret_file = "signing"
{more}""",
        "utf-8",
    )
    return path


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    """Give findings by what they are about."""
    return {finding[0]: finding for finding in findings}


async def trigger(session: aiohttp.ClientSession, said: dict[str, Any], key: str) -> Any:
    """Hand an alert in; it must be accepted."""
    async with session.post(ALERTS, json=said, headers={"Idempotency-Key": key}) as answer:
        body = await answer.json()
        assert answer.status == 202, body
        return body


# check


async def test_a_good_configuration_is_ready_in_every_point(stub: Stub, tmp_path: Path) -> None:
    """Configuration, store, each channel and on-call; and nothing was posted."""
    findings = by_name(await check(written(tmp_path, stub.url)))
    assert list(findings) == ["configuration", "store", "cards", "channel fire-brigade", "on-call"]
    assert all(ready and sentence for _, ready, sentence, _ in findings.values())
    assert stub.requests == []


async def test_a_channel_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    """With a sentence and what to do; the rest is ready all the same."""
    findings = by_name(await check(written(tmp_path, f"http://127.0.0.1:{free_port()}")))
    _, ready, sentence, remedy = findings.pop("channel fire-brigade")
    assert not ready
    assert "cannot be reached" in sentence
    assert remedy
    assert all(one[1] for one in findings.values())


async def test_a_bad_configuration_is_nothing_but_its_faults(tmp_path: Path, stub: Stub) -> None:
    """Each fault is one finding, by its place; no store is made, nobody is asked."""
    table = '[channels.x]\ntype = "x"\ncolour = 1\nmax_posts_per_day = 0\n'
    path = written(tmp_path, stub.url, table)
    text = path.read_text("utf-8").replace("Europe/Berlin", "Berlin")
    path.write_text(text, "utf-8")
    findings = await check(path)
    assert {finding[0] for finding in findings} == {
        "server.timezone",
        "channels.x.colour",
        "channels.x.max_posts_per_day",
    }
    assert not any(finding[1] for finding in findings)
    assert not (tmp_path / "test.db").exists()
    assert stub.connections == 0


async def test_a_configuration_that_is_not_there_is_a_finding(tmp_path: Path) -> None:
    """It has no place inside the file, so it is about the configuration as a whole."""
    ((what, ready, sentence, _),) = await check(tmp_path / "missing.toml")
    assert (what, ready) == ("configuration", False)
    assert "cannot read" in sentence


async def test_without_an_on_call_target_the_check_warns(stub: Stub, tmp_path: Path) -> None:
    """Alerts go out all the same, but nobody is told when one does not."""
    path = written(tmp_path, stub.url)
    text = path.read_text("utf-8").replace('{ url_file = "pager-url" }', "")
    path.write_text(text, "utf-8")
    _, ready, sentence, remedy = by_name(await check(path))["on-call"]
    assert ready
    assert "nobody is told" in sentence
    assert remedy


async def test_a_language_without_texts_is_named(stub: Stub, tmp_path: Path) -> None:
    """A channel that waits for texts nobody wrote would stay silent in the night."""
    path = written(tmp_path, stub.url)
    name = next(iter(prepare(path).channels))
    text = path.read_text("utf-8").replace(
        f"[channels.{name}]", f'[channels.{name}]\nlanguages = ["de", "xx"]'
    )
    path.write_text(text, "utf-8")
    _, ready, sentence, remedy = by_name(await check(path))[f"texts of {name}"]
    assert not ready
    assert "xx" in sentence
    assert remedy


async def test_a_store_in_another_process_hands_is_named(stub: Stub, tmp_path: Path) -> None:
    """If that is the daemon, all is well; if nobody answers on its socket, it is not."""
    path = written(tmp_path, stub.url)
    store = await Store.open(prepare(path).config.store, SystemClock())
    try:
        assert not by_name(await check(path))["store"][1]
        with socket.socket(socket.AF_UNIX) as daemon:
            daemon.bind(str(tmp_path / SOCKET_NAME))
            daemon.listen()
            finding = by_name(await check(path))["store"]
    finally:
        await store.close()
    assert finding == ("store", True, "in use by the running daemon", None)


async def test_a_store_that_is_broken_is_named(stub: Stub, tmp_path: Path) -> None:
    """A file that is no database: the finding says so, and what to do."""
    path = written(tmp_path, stub.url)
    (tmp_path / "test.db").write_bytes(b"no database" * 1000)
    _, ready, sentence, remedy = by_name(await check(path))["store"]
    assert not ready
    assert sentence
    assert remedy


# Without a daemon


async def test_what_is_accepted_without_a_daemon_goes_out_when_it_starts(
    stub: Stub, tmp_path: Path
) -> None:
    """It is queued durably, nothing is sent meanwhile, and then it is sent once."""
    path = written(tmp_path, stub.url)
    async with local_client(path) as session:
        said = alert().to_json()
        del said["sent"]  # now
        body = await trigger(session, said, "key-0001")
        await asyncio.sleep(0.1)
        async with session.get(f"{ALERTS}/{body['id']}") as answer:
            shown = await answer.json()
    assert [one["state"] for one in shown["deliveries"]] == ["queued"]
    assert stub.posts == []
    daemon = asyncio.create_task(serve(path))
    await eventually(lambda: len(stub.posts) == 1, seconds=20)
    await asyncio.sleep(0.1)
    await end(daemon)
    (post,) = stub.posts
    assert json.loads(post.body)["data"]["id"] == body["id"]
    async with local_client(path) as session, session.get(f"{ALERTS}/{body['id']}") as answer:
        shown = await answer.json()
    assert [one["state"] for one in shown["deliveries"]] == ["sent"]
    assert len(stub.posts) == 1


async def test_a_local_client_needs_no_key_and_leaves_nothing_open(
    stub: Stub, tmp_path: Path
) -> None:
    """The kernel says who calls; afterwards the store is free for the next."""
    path = written(tmp_path, stub.url)
    for _ in range(2):
        async with local_client(path) as session, session.get(STATUS) as answer:
            assert answer.status == 200
            assert (await answer.json())["alerts"] == []
    assert not (tmp_path / SOCKET_NAME).exists()


async def test_two_local_clients_cannot_share_a_store(stub: Stub, tmp_path: Path) -> None:
    """The second one is refused, and the first goes on."""
    path = written(tmp_path, stub.url)
    async with local_client(path) as session:
        with pytest.raises(StoreUnavailable):
            await local_client(path).__aenter__()
        async with session.get(STATUS) as answer:
            assert answer.status == 200


async def test_a_local_client_of_a_bad_configuration_says_every_fault(tmp_path: Path) -> None:
    """As the daemon would."""
    path = tmp_path / "broadcaster.toml"
    path.write_text('[server]\ntimezone = "Berlin"\n', "utf-8")
    with pytest.raises(ConfigError) as error:
        async with local_client(path):
            pass
    assert {fault.where for fault in error.value.faults} == {
        "server.public_url",
        "server.timezone",
        "store",
    }


# The daemon


async def end(daemon: asyncio.Task[int]) -> None:
    """Ask the daemon to end, as a supervisor does; it must end well."""
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(20):
        assert await daemon == 0


async def test_the_daemon_says_when_it_is_ready_and_ends_on_a_signal(
    stub: Stub, tmp_path: Path
) -> None:
    """Port, channels and its own process id; then its socket answers; SIGTERM ends it with 0."""
    path = written(tmp_path, stub.url)
    with capture_logs() as log:
        daemon = asyncio.create_task(serve(path))
        await eventually(lambda: any(one["event"] == "ready" for one in log), seconds=20)
        ready = next(one for one in log if one["event"] == "ready")
        connector = aiohttp.UnixConnector(str(tmp_path / SOCKET_NAME))
        async with aiohttp.ClientSession(connector=connector) as session:
            async with session.get(STATUS) as answer:
                status = await answer.json()
            async with session.get(f"http://127.0.0.1:{ready['port']}/") as answer:
                assert answer.status < 500
        await end(daemon)
    assert ready["channels"] == ["fire-brigade"]
    assert ready["pid"] == os.getpid()
    assert status["ready"]
    assert not any(one["event"] == "no_on_call_target" for one in log)


async def test_a_daemon_without_an_on_call_target_warns(stub: Stub, tmp_path: Path) -> None:
    """At every start."""
    path = written(tmp_path, stub.url)
    text = path.read_text("utf-8").replace('{ url_file = "pager-url" }', "")
    path.write_text(text, "utf-8")
    with capture_logs() as log:
        daemon = asyncio.create_task(serve(path))
        await eventually(lambda: any(one["event"] == "ready" for one in log), seconds=20)
        await end(daemon)
    assert any(one["event"] == "no_on_call_target" for one in log)


async def test_a_wrong_configuration_starts_nothing(tmp_path: Path) -> None:
    """Every fault is one line of the log; starting again would not help, says the exit code."""
    path = tmp_path / "broadcaster.toml"
    path.write_text("[server]\n", "utf-8")
    with capture_logs() as log:
        assert await serve(path) == CONFIG_EXIT
    assert {one["where"] for one in log} == {"server.public_url", "server.timezone", "store"}


async def test_a_second_daemon_on_one_store_does_not_start(stub: Stub, tmp_path: Path) -> None:
    """Two would send everything twice; the exit code lets the supervisor try again."""
    path = written(tmp_path, stub.url)
    table = StoreTable(url=f"sqlite:///{tmp_path}/test.db", ballast_bytes=0)
    store = await Store.open(table, SystemClock())
    try:
        with capture_logs() as log:
            assert await serve(path) == FAULT_EXIT
    finally:
        await store.close()
    assert [one["event"] for one in log] == ["store_cannot_be_opened"]


async def test_targets_have_the_names_that_notices_keep(stub: Stub, tmp_path: Path) -> None:
    """Numbered in their order where the configuration gives none."""
    path = written(tmp_path, stub.url)
    keep_secret(tmp_path, "second", "json://127.0.0.1:9/second")
    said = '{ url_file = "pager-url" }, { url_file = "second", name = "head", after = 120 }'
    text = path.read_text("utf-8").replace('{ url_file = "pager-url" }', said)
    path.write_text(text, "utf-8")
    targets = prepare(path).targets
    assert [one.name for one in targets] == ["on-call-1", "head"]
    assert [one.after.total_seconds() for one in targets] == [0, 120]


async def test_the_limits_a_network_named_outlast_a_restart(stub: Stub, tmp_path: Path) -> None:
    """Texts fit it from the first alert on, before any probe, and without a daemon too."""
    keep_secret(tmp_path, "token", "canary-4711")
    more = '[channels.city]\ntype = "mastodon"\naccess_token_file = "token"\n'
    path = written(tmp_path, stub.url, f'{more}api_base_url = "{stub.url}"\n')
    async with local_client(path):
        pass
    parts = prepare(path)
    assert parts.channels["city"].limits.maximum == 500
    store = await Store.open(parts.config.store, SystemClock())
    await store.probed("city", Readiness(True, "ready"), {"maximum": 5000})
    service = await Service.over(parts, store)
    assert service.parts.channels["city"].limits.maximum == 5000
    await store.close()


async def test_a_port_that_is_taken_is_one_plain_line(stub: Stub, tmp_path: Path) -> None:
    """The daemon ends in order, and says where it could not listen and why."""
    path = written(tmp_path, stub.url)
    with socket.socket() as other, capture_logs() as said:
        other.bind(("127.0.0.1", 0))
        other.listen()
        where = f"127.0.0.1:{other.getsockname()[1]}"
        path.write_text(path.read_text().replace("127.0.0.1:0", where))
        assert await serve(path) == FAULT_EXIT
    (line,) = (one for one in said if one["log_level"] == "critical")
    assert (line["event"], line["where"]) == ("cannot_listen", where)
    assert "already in use" in line["reason"]


async def test_a_socket_that_cannot_be_opened_is_named(
    stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody looks for another program on the port when the directory is the trouble."""

    def refused(_path: Path) -> socket.socket:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(listening, "bind_private", refused)
    with capture_logs() as said:
        assert await serve(written(tmp_path, stub.url)) == FAULT_EXIT
    (line,) = (one for one in said if one["log_level"] == "critical")
    assert line["socket"] == str(tmp_path / SOCKET_NAME)
    assert line["reason"] == "Permission denied"
