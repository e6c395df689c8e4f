"""A short clip from a drawn card, for networks that take no picture: silent, or with a given sound.

Made by an ffmpeg that comes from the package imageio-ffmpeg (the extra `video`), in a process of
its own with a time limit, and only once per card and sound: the file is kept beside the cards.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib
import os
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

SECONDS = 8
WIDTH, HEIGHT = 1280, 720
FRAMES_PER_SECOND = 10  # a picture that stands still; more only takes longer to make
BYTES_MAX = 2_000_000
MAKING_SECONDS_MAX = 60.0
SOUND_BYTES_MAX = 50_000_000
SAID_MAX = 300

_FRAME = (
    f"scale={WIDTH}:{HEIGHT}:force_original_aspect_ratio=decrease:flags=lanczos,"
    f"pad={WIDTH}:{HEIGHT}:-1:-1,setsar=1,format=yuv420p"
)
_SILENCE = ("-f", "lavfi", "-i", "anullsrc=channel_layout=stereo:sample_rate=44100")
# One thread and no names of programs or dates: the same card gives the same bytes again.
_FILM = (
    *("-map", "0:v:0", "-map", "1:a:0", "-t", str(SECONDS), "-vf", _FRAME, "-af", "apad"),
    *("-c:v", "libx264", "-preset", "veryfast", "-tune", "stillimage", "-threads", "1"),
    *("-maxrate", "1500k", "-bufsize", "3000k", "-c:a", "aac", "-b:a", "64k", "-ac", "2"),
    *("-ar", "44100", "-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact"),
    *("-flags:a", "+bitexact", "-movflags", "+faststart", "-f", "mp4"),
)


class ClipError(Exception):
    """No clip could be made; its text is a sentence for on-call staff."""


class ProgramMissing(ClipError):  # noqa: N818 - what it is, says more
    """There is no ffmpeg: a person must install the extra `video`."""


class Clips:
    """Makes clips from cards, each only once. `sound` is a file that ffmpeg can read.

    Raises ValueError with a sentence where the sound cannot be read.
    """

    def __init__(
        self,
        state_directory: Path,
        sound: Path | None = None,
        *,
        limit_seconds: float = MAKING_SECONDS_MAX,
    ) -> None:
        self._cards = state_directory / "cards"
        self._sound = sound
        self._sound_name = _digest(sound)[:16] if sound else "silent"
        self._limit_seconds = limit_seconds
        self._making: dict[str, asyncio.Task[None]] = {}
        self._one_at_a_time = asyncio.Semaphore(1)

    def name(self, card: str) -> str:
        """Give the file's name of a card's clip; `card` is the drawn card's sha256."""
        return f"{card}-{self._sound_name}.mp4"

    def path(self, name: str) -> Path:
        """Say where a clip lies."""
        return self._cards / Path(name).name

    async def made(self, picture: Path, card: str) -> Path:
        """Return the clip of a card, made first if need be.

        Whoever waits may give up: the clip is made to its end, or to the time limit, all the same.
        Raises ClipError.
        """
        path = self.path(self.name(card))
        if await asyncio.to_thread(path.exists):
            return path
        if path.name not in self._making:
            task = asyncio.create_task(self._make(picture, path))
            self._making[path.name] = task
            task.add_done_callback(lambda _: self._making.pop(path.name, None))
        await asyncio.shield(self._making[path.name])
        return path

    async def close(self) -> None:
        """End what is being made."""
        making = list(self._making.values())
        for task in making:
            task.cancel()
        await asyncio.gather(*making, return_exceptions=True)

    async def _make(self, picture: Path, path: Path) -> None:
        program = await asyncio.to_thread(ffmpeg)
        place = path.with_name(f".{path.stem}.{os.getpid()}.mp4")
        await asyncio.to_thread(path.parent.mkdir, mode=0o700, parents=True, exist_ok=True)
        # "file:" keeps a name from being taken for an address or a pattern.
        card = ("-f", "image2", "-pattern_type", "none", "-loop", "1")
        rate = ("-framerate", str(FRAMES_PER_SECOND), "-i", f"file:{picture}")
        sound = ("-i", f"file:{self._sound}") if self._sound else _SILENCE
        quiet = ("-nostdin", "-hide_banner", "-loglevel", "error", "-y", "-xerror")
        try:
            async with self._one_at_a_time:
                await self._run(program, *quiet, *card, *rate, *sound, *_FILM, f"file:{place}")
            await asyncio.to_thread(_keep, place, path)
        finally:
            await asyncio.to_thread(place.unlink, missing_ok=True)

    async def _run(self, program: str, *arguments: str) -> None:
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(self._limit_seconds):
                _, said = await process.communicate()
        except TimeoutError:
            raise ClipError("the clip was not made within its time limit") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if process.returncode != 0:
            words = said[-SAID_MAX:].decode("utf-8", "replace")
            log.warning("clip_not_made", status=process.returncode, said=words)
            raise ClipError("ffmpeg could not make a clip of the card")


def ffmpeg() -> str:
    """Return the path of the packaged ffmpeg; blocking. Raises ProgramMissing."""
    try:
        package = importlib.import_module("imageio_ffmpeg")
        return str(package.get_ffmpeg_exe())
    except ImportError:
        raise ProgramMissing("the package imageio-ffmpeg, which makes clips, is missing") from None
    except (RuntimeError, OSError):
        raise ProgramMissing("imageio-ffmpeg has no program for this machine") from None


def _keep(place: Path, path: Path) -> None:
    """Put a clip in its place, whole. It can be made anew, so it is not synced."""
    size = place.stat().st_size
    if not 0 < size <= BYTES_MAX:
        raise ClipError(f"the clip has {size} bytes; at most {BYTES_MAX} are uploaded")
    place.replace(path)


def _digest(sound: Path) -> str:
    try:
        if sound.stat().st_size > SOUND_BYTES_MAX:
            raise ValueError(f"sound is larger than {SOUND_BYTES_MAX // 1_000_000} MB")
        return hashlib.sha256(sound.read_bytes()).hexdigest()
    except OSError as error:
        raise ValueError(f"sound cannot be read: {type(error).__name__}") from None
