"""Pictures and clips that came with posts, kept in memory and shown at `/_sandbox/pictures/ID`.

Some networks fetch a picture from its public address: `fetch` really does, but from this machine
alone, so that no stand-in ever reaches anyone else.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass

import aiohttp
from PIL import Image
from yarl import URL

BYTES_KEPT = 268_435_456
FETCH_BYTES_MAX = 8_388_608  # what Instagram takes, the smallest limit of those that fetch
FETCH_SECONDS = 10.0
HERE = frozenset({"127.0.0.1", "localhost", "::1"})
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP")


@dataclass(frozen=True, slots=True)
class Picture:
    """A file as it came. `width` and `height` in pixels; both 0 where it is no picture."""

    data: bytes
    kind: str
    width: int
    height: int


class Pictures:
    """All that were kept, the newest `BYTES_KEPT` of them, under a name made of their content."""

    def __init__(self) -> None:
        self._pictures: dict[str, Picture] = {}
        self._bytes = 0
        self._session: aiohttp.ClientSession | None = None

    def keep(self, data: bytes, kind: str) -> str:
        """Keep a file, and return its id: the same content and kind have the same id."""
        identity = hashlib.sha256(f"{kind}\n".encode() + data).hexdigest()[:32]
        if identity not in self._pictures:
            self._pictures[identity] = Picture(data, kind, *size_of(data))
            self._bytes += len(data)
            while self._bytes > BYTES_KEPT and len(self._pictures) > 1:
                self._bytes -= len(self._pictures.pop(next(iter(self._pictures))).data)
        return identity

    def get(self, identity: str) -> Picture | None:
        """Return what was kept under an id, None if there is no such thing (any more)."""
        return self._pictures.get(identity)

    async def fetch(self, url: str) -> str | None:
        """GET a file and keep it; None if there is no such thing on this machine, or it is late."""
        try:
            address = URL(url)
        except ValueError:
            return None
        if address.scheme not in {"http", "https"} or address.host not in HERE:
            return None
        try:
            return await self._fetched(address)
        except (aiohttp.ClientError, OSError):
            return None

    async def _fetched(self, address: URL) -> str | None:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=FETCH_SECONDS)
            self._session = aiohttp.ClientSession(timeout=timeout)
        async with self._session.get(address, allow_redirects=False) as got:
            if got.status != 200:
                return None
            data = bytearray()
            async for chunk in got.content.iter_any():
                data += chunk
                if len(data) > FETCH_BYTES_MAX:
                    return None
            return self.keep(bytes(data), got.content_type)

    async def close(self) -> None:
        """Close the connections of `fetch`."""
        if self._session:
            await self._session.close()
            self._session = None


def size_of(data: bytes) -> tuple[int, int]:
    """Return width and height of a PNG, JPEG, GIF or WebP in pixels; 0, 0 for anything else."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
                return picture.size
    except (OSError, ValueError, Image.DecompressionBombWarning, Image.DecompressionBombError):
        return 0, 0
