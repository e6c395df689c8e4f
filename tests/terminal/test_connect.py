"""Channels from the terminal: the OAuth walk against stand-ins, the list, and a release."""

from __future__ import annotations

import asyncio
import json
import re
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from broadcaster.channels.tokens import Grant
from broadcaster.config import ConfigError
from broadcaster.sandbox import Sandbox, module
from broadcaster.sandbox.configuration import configuration
from broadcaster.terminal.child import free_port
from broadcaster.terminal.connect import (
    Declined,
    Way,
    code_of,
    connect_channel,
    list_channels,
    rebind,
)
from broadcaster.terminal.target import Misuse, Target
from tests.terminal.conftest import Daemon, Screen

# Channels with a flow: the stand-in's network, and the file that is made.
FLOWS = {
    "city-facebook": ("facebook", "facebook-page-token"),
    "city-threads": ("threads", "threads-token"),
    "city-instagram": ("instagram", "instagram-token"),
    "city-linkedin": ("linkedin", "linkedin-token"),
    "city-youtube-video": ("youtube", "youtube-refresh-token"),
}


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """Run the stand-ins."""
    running = Sandbox()
    await running.start()
    yield running
    await running.close()


@pytest.fixture
def config(sandbox: Sandbox, tmp_path: Path) -> Path:
    """Give a configuration of all channels, also of the one for videos, without their tokens."""
    more = module("youtube").video_channel(f"{sandbox.url}/youtube")
    path = configuration(sandbox, tmp_path, more=more)
    for _, file in FLOWS.values():
        (tmp_path / file).unlink(missing_ok=True)
    return path


async def page_of(screen: Screen) -> str:
    """Wait for the address of the page to open, as a person reads it."""
    async with asyncio.timeout(5):
        while not (found := re.search(r"https?://\S+state=\S+", screen.out)):
            await asyncio.sleep(0.01)
    return found[0]


@pytest.mark.parametrize("name", FLOWS)
async def test_a_person_is_walked_to_a_token(config: Path, screen: Screen, name: str) -> None:
    """The network leads the browser back, the token is written for its owner alone, and works."""
    way = Way(free_port())
    walking = asyncio.create_task(connect_channel(config, name, way, screen.output))
    page = await page_of(screen)
    async with aiohttp.ClientSession() as browser, browser.get(page) as led:
        assert led.status == 200
        assert str(led.url).startswith(way.address)
        assert "can be closed" in await led.text()
    assert await walking == 0, screen.out + screen.err
    file = config.parent / FLOWS[name][1]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    grant = Grant.read(file.read_text())
    assert grant.access_token not in screen.out
    assert "5. Ready: " in screen.out


@pytest.mark.parametrize("name", FLOWS)
async def test_the_address_can_be_pasted(
    config: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Where the browser is on another machine, a person copies where it was led to."""
    screen = Screen(json=True)
    redirect = f"http://127.0.0.1:{free_port()}/anything"

    class Person:
        def readline(self) -> str:
            return asyncio.run_coroutine_threadsafe(self.led(), other).result(10)

        async def led(self) -> str:
            page = re.findall(r"https?://\S+state=\S+", screen.err)[0]
            async with (
                aiohttp.ClientSession() as browser,
                browser.get(page, allow_redirects=False) as answer,
            ):
                return answer.headers["Location"] + "\n"

    def walk() -> int:
        return asyncio.run(connect_channel(config, name, Way(redirect=redirect), screen.output))

    other = asyncio.get_running_loop()
    monkeypatch.setattr("sys.stdin", Person())
    assert await asyncio.to_thread(walk) == 0, screen.err
    assert json.loads(screen.out)["ready"] is True
    assert (config.parent / FLOWS[name][1]).exists()


async def test_another_state_is_no_answer_of_ours(config: Path, screen: Screen) -> None:
    """Whoever leads a browser here without our state connects nothing; the person still can."""
    way = Way(free_port())
    walking = asyncio.create_task(connect_channel(config, "city-facebook", way, screen.output))
    page = await page_of(screen)
    async with aiohttp.ClientSession() as browser:
        for query in ("code=sandbox-evil&state=guess", "error=access_denied&state=guess", ""):
            async with browser.get(f"{way.address}?{query}") as answer:
                assert answer.status == 400
        assert not walking.done()
        async with browser.get(page) as led:
            assert led.status == 200
    assert await walking == 0


async def test_a_person_who_declines_leaves_everything_as_it_was(
    config: Path, screen: Screen
) -> None:
    """The network's no ends it with its reason, and nothing is written."""
    way = Way(free_port())
    walking = asyncio.create_task(connect_channel(config, "city-facebook", way, screen.output))
    state = re.findall(r"state=([\w-]+)", await page_of(screen))[0]
    async with (
        aiohttp.ClientSession() as browser,
        browser.get(f"{way.address}?error=access_denied&state={state}") as answer,
    ):
        assert answer.status == 400
    assert await walking == 1
    assert "Nothing was written: the network said: access_denied." in screen.err
    assert not (config.parent / "facebook-page-token").exists()


async def test_a_person_who_never_agrees_is_not_waited_for_for_ever(
    config: Path, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time ends it, and nothing is written."""
    monkeypatch.setattr("broadcaster.terminal.connect.WAIT_SECONDS", 0.05)
    assert await connect_channel(config, "city-facebook", Way(free_port()), screen.output) == 1
    assert "Nothing was written: nobody was led back in time." in screen.err
    assert not (config.parent / "facebook-page-token").exists()


async def test_a_code_that_is_not_exchanged_is_said(config: Path, screen: Screen) -> None:
    """A code that the network does not know ends with the network's reason."""
    way = Way(free_port())
    walking = asyncio.create_task(connect_channel(config, "city-facebook", way, screen.output))
    state = re.findall(r"state=([\w-]+)", await page_of(screen))[0]
    async with (
        aiohttp.ClientSession() as browser,
        browser.get(f"{way.address}?code=unknown&state={state}") as answer,
    ):
        assert answer.status == 200
    assert await walking == 1
    assert "Nothing was written: the code was not exchanged: " in screen.err
    assert not (config.parent / "facebook-page-token").exists()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nobody", "there are: city-mastodon, "),
        ("city-mastodon", "mastodon-token (access_token_file) (chmod 600)"),
        ("fire-brigade", "fire-brigade-secret (secret_file)"),
        ("city-youtube", "there is nothing to connect"),
        ("x", "x cannot be connected: its four files of OAuth 1.0a"),
    ],
)
async def test_where_nobody_is_walked_the_sentence_says_what_to_do(
    config: Path, screen: Screen, name: str, says: str
) -> None:
    """A channel that there is not, a network without such a flow, a channel that needs none."""
    with pytest.raises(Misuse, match=re.escape(says)):
        await connect_channel(config, name, Way(free_port()), screen.output)


async def test_a_missing_app_secret_is_said(config: Path, screen: Screen) -> None:
    """What the flow itself needs must be there; the sentence names no secret."""
    (config.parent / "facebook-app-secret").unlink()
    with pytest.raises(Misuse, match="city-facebook cannot be connected: there is no such file"):
        await connect_channel(config, "city-facebook", Way(free_port()), screen.output)


async def test_a_fault_in_the_channels_table_is_told(config: Path, screen: Screen) -> None:
    """A slip in the settings is named with its place."""
    text = config.read_text().replace('type = "facebook"\n', 'type = "facebook"\npage = 1\n')
    config.write_text(text)
    with pytest.raises(ConfigError, match=r"channels\.city-facebook\.page"):
        await connect_channel(config, "city-facebook", Way(free_port()), screen.output)


async def test_a_port_in_use_is_said(config: Path, sandbox: Sandbox, screen: Screen) -> None:
    """Another port can be chosen."""
    port = int(sandbox.url.rpartition(":")[2])
    with pytest.raises(Misuse, match=r"Cannot listen on port \d+: .*--port"):
        await connect_channel(config, "city-facebook", Way(port), screen.output)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("https://a.example/cb?code=c", "state differs"),
        ("https://a.example/cb?code=c&state=s2", "state differs"),
        ("https://a.example/cb?code=c&state=%C3%A4", "state differs"),
        ("c", "state differs"),
        ("", "state differs"),
        ("https://a.example/cb?state=s", "no code came back"),
        ("https://a.example/cb?state=s&error=denied&error_description=not+today", "not today"),
    ],
)
def test_an_address_without_our_code_connects_nothing(address: str, says: str) -> None:
    """Only the answer to this very question is taken."""
    with pytest.raises(Declined, match=says):
        code_of(address, "s")


def test_meta_puts_a_mark_behind_the_code() -> None:
    """Threads and Instagram end the address with `#_`, which is no part of the code."""
    assert code_of("https://a.example/cb?code=abc&state=s#_", "s") == "abc"


@pytest.fixture
def target(daemon: Daemon, tmp_path: Path) -> Target:
    """Give the scripted daemon as a command line names it."""
    key = tmp_path / "key"
    key.write_text("bcast_0123456789_secret_abcdef\n")
    return Target(server=daemon.url, key_file=key)


READINESS = {"ready": True, "sentence": "Posts as @stadt."}
CHANNEL = {"name": "x", "type": "x", "readiness": READINESS}


async def test_channels_are_listed(daemon: Daemon, target: Target, screen: Screen) -> None:
    """With what was found when they were asked last."""
    daemon.says("GET", "/v1/channels", {"channels": [CHANNEL]})
    assert await list_channels(target, screen.output) == 0
    assert "Posts as @stadt." in screen.out


async def test_a_channel_is_released(daemon: Daemon, target: Target, screen: Screen) -> None:
    """And the person reads what comes next."""
    daemon.says("POST", "/control/channels/x/rebind", CHANNEL)
    assert await rebind(target, "x", screen.output) == 0
    assert "the next good probe binds it" in screen.out


async def test_a_channel_that_there_is_not_cannot_be_released(
    daemon: Daemon, target: Target, screen: Screen
) -> None:
    """A slip in the name is told with the names there are."""
    daemon.says("GET", "/v1/channels", {"channels": [CHANNEL]})
    with pytest.raises(Misuse, match="no channel 'y'; there are: x"):
        await rebind(target, "y", screen.output)
