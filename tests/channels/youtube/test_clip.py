"""The clip made from a card: what a network can play, made once, within its time."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import math
import re
import struct
import subprocess
import sys
import wave
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broadcaster.channels.youtube import clip

needs_ffmpeg = pytest.mark.skipif(
    importlib.util.find_spec("imageio_ffmpeg") is None,
    reason="needs imageio-ffmpeg, which makes clips",
)


def png(path: Path, width: int = 1200, height: int = 675) -> str:
    """Write a picture with edges and colours; return its sha256."""
    rows = b"".join(b"\x00" + bytes([(y // 9 * 40) % 256, 30, 200]) * width for y in range(height))
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def tone(path: Path, seconds: float) -> Path:
    """Write a sound: a sine of 440 Hz."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        count = int(8000 * seconds)
        waves = (int(12_000 * math.sin(i * 440 * math.tau / 8000)) for i in range(count))
        file.writeframes(b"".join(struct.pack("<h", one) for one in waves))
    return path


def described(path: Path, *more: str) -> str:
    """Return what ffmpeg says of a file."""
    command = [clip.ffmpeg(), "-hide_banner", "-i", str(path), *more]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


@pytest.fixture
async def clips(tmp_path: Path) -> AsyncIterator[clip.Clips]:
    """Give what makes silent clips."""
    one = clip.Clips(tmp_path)
    yield one
    await one.close()


@needs_ffmpeg
async def test_a_clip_is_what_every_network_plays(clips: clip.Clips, tmp_path: Path) -> None:
    """H.264 in yuv420p with AAC, 1280x720, eight seconds, small, and to be streamed at once."""
    card = png(tmp_path / "card.png")
    path = await clips.made(tmp_path / "card.png", card)
    assert path == tmp_path / "cards" / f"{card}-silent.mp4"
    said = described(path)
    assert re.search(r"Duration: 00:00:08\.\d\d", said)
    assert re.search(r"Video: h264 .*yuv420p.*1280x720", said)
    assert re.search(r"Audio: aac .*44100 Hz, stereo", said)
    assert path.stat().st_size < clip.BYTES_MAX
    assert path.read_bytes().find(b"moov") < path.read_bytes().find(b"mdat")


@needs_ffmpeg
async def test_a_silent_clip_is_silent(clips: clip.Clips, tmp_path: Path) -> None:
    """Without a sound file nobody hears anything."""
    path = await clips.made(tmp_path / "card.png", png(tmp_path / "card.png"))
    assert "max_volume: -91.0 dB" in described(path, "-af", "volumedetect", "-f", "null", "-")


@needs_ffmpeg
@pytest.mark.parametrize("seconds", [2.0, 12.0])
async def test_a_sound_is_heard_and_does_not_change_the_length(
    seconds: float, tmp_path: Path
) -> None:
    """A given sound is cut, or followed by silence, to the clip's length; the file's name tells."""
    sound = tone(tmp_path / "siren.wav", seconds)
    clips = clip.Clips(tmp_path, sound)
    card = png(tmp_path / "card.png")
    path = await clips.made(tmp_path / "card.png", card)
    await clips.close()
    assert path.name == f"{card}-{hashlib.sha256(sound.read_bytes()).hexdigest()[:16]}.mp4"
    said = described(path, "-af", "volumedetect", "-f", "null", "-")
    assert re.search(r"Duration: 00:00:08\.\d\d", said)
    loudest = re.search(r"max_volume: (-?[\d.]+) dB", said)
    assert loudest
    assert float(loudest[1]) > -30


@needs_ffmpeg
async def test_a_clip_is_made_once(
    clips: clip.Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two who want it at a time, and one who comes later, get the same file from one run."""
    runs = []
    run = clips._run

    async def counted(program: str, *arguments: str) -> None:
        runs.append(program)
        await run(program, *arguments)

    monkeypatch.setattr(clips, "_run", counted)
    card = png(tmp_path / "card.png")
    both = await asyncio.gather(*(clips.made(tmp_path / "card.png", card) for _ in range(2)))
    assert both[0] == both[1] == await clips.made(tmp_path / "card.png", card)
    assert len(runs) == 1
    assert [one.name for one in (tmp_path / "cards").iterdir()] == [both[0].name]


@needs_ffmpeg
async def test_the_same_card_gives_the_same_bytes(clips: clip.Clips, tmp_path: Path) -> None:
    """An upload that broke off can go on with a clip that had to be made again."""
    card = png(tmp_path / "card.png")
    path = await clips.made(tmp_path / "card.png", card)
    first = path.read_bytes()
    path.unlink()
    assert (await clips.made(tmp_path / "card.png", card)).read_bytes() == first


@needs_ffmpeg
async def test_a_picture_of_another_shape_is_not_distorted(
    clips: clip.Clips, tmp_path: Path
) -> None:
    """A card that is not 16:9 gets bars beside it."""
    path = await clips.made(tmp_path / "card.png", png(tmp_path / "card.png", 1081, 1351))
    assert "1280x720" in described(path)


@needs_ffmpeg
async def test_whoever_gives_up_waiting_leaves_the_clip_being_made(
    clips: clip.Clips, tmp_path: Path
) -> None:
    """On a slow machine the next attempt finds what the first one began."""
    card = png(tmp_path / "card.png")
    waiting = asyncio.create_task(clips.made(tmp_path / "card.png", card))
    async with asyncio.timeout(10):
        while not clips._making:
            await asyncio.sleep(0.001)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(clips._making) == 1
    assert (await clips.made(tmp_path / "card.png", card)).exists()
    await asyncio.sleep(0)
    assert clips._making == {}


@needs_ffmpeg
async def test_a_card_that_is_no_picture_makes_no_clip(clips: clip.Clips, tmp_path: Path) -> None:
    """What ffmpeg cannot read is a fault in a sentence, and leaves no file."""
    (tmp_path / "card.png").write_bytes(b"no picture")
    with pytest.raises(clip.ClipError, match="could not make a clip"):
        await clips.made(tmp_path / "card.png", "ab" * 32)
    assert list((tmp_path / "cards").iterdir()) == []


def program(place: Path, text: str) -> str:
    """Write a program that stands for ffmpeg; its last argument is where the clip goes."""
    path = place / "stand-in"
    path.write_text(f"#!{sys.executable}\nimport sys, time\n{text}\n", "utf-8")
    path.chmod(0o700)
    return str(path)


async def test_a_program_that_does_not_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit holds, and no process is left behind."""
    pid = tmp_path / "pid"
    text = f"import os\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"
    stand_in = program(tmp_path, text)
    monkeypatch.setattr(clip, "ffmpeg", lambda: stand_in)
    clips = clip.Clips(tmp_path, limit_seconds=1.0)
    with pytest.raises(clip.ClipError, match="time limit"):
        await clips.made(tmp_path / "card.png", "ab" * 32)
    assert not Path(f"/proc/{pid.read_text('utf-8')}").exists()


async def test_closing_ends_what_is_being_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon does not wait for a clip at its end."""
    pid = tmp_path / "pid"
    text = f"import os\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"
    stand_in = program(tmp_path, text)
    monkeypatch.setattr(clip, "ffmpeg", lambda: stand_in)
    clips = clip.Clips(tmp_path)
    waiting = asyncio.create_task(clips.made(tmp_path / "card.png", "ab" * 32))
    async with asyncio.timeout(10):
        while not pid.exists() or not pid.read_text("utf-8"):
            await asyncio.sleep(0.01)
    await clips.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not Path(f"/proc/{pid.read_text('utf-8')}").exists()


@pytest.mark.parametrize("size", [0, clip.BYTES_MAX + 1])
async def test_a_clip_of_an_odd_size_is_not_kept(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty or a huge file is never uploaded."""
    text = f"open(sys.argv[-1].removeprefix('file:'), 'wb').write(b'x' * {size})"
    stand_in = program(tmp_path, text)
    monkeypatch.setattr(clip, "ffmpeg", lambda: stand_in)
    clips = clip.Clips(tmp_path)
    with pytest.raises(clip.ClipError, match=f"{size} bytes"):
        await clips.made(tmp_path / "card.png", "ab" * 32)
    assert list((tmp_path / "cards").iterdir()) == []


async def test_without_the_package_a_sentence_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Video is an extra of the installation."""
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(clip.ProgramMissing, match="imageio-ffmpeg"):
        await clip.Clips(tmp_path).made(tmp_path / "card.png", "ab" * 32)


def test_a_sound_that_is_not_there_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    """It is noticed at the start, not in the crisis."""
    with pytest.raises(ValueError, match="sound"):
        clip.Clips(tmp_path, tmp_path / "missing.wav")


def test_a_clip_never_lies_outside_its_place(tmp_path: Path) -> None:
    """A name that was stored is a name, never a way to another directory."""
    assert clip.Clips(tmp_path).path("../../secret.mp4") == tmp_path / "cards" / "secret.mp4"
