"""Requests to X's API v2: with the account's login, or app-only, as the public sees things."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from yarl import URL

from broadcaster.channels import http
from broadcaster.channels.x.login import Login, Method
from broadcaster.config import Timing
from broadcaster.delivery import Failure

Ask = Callable[[dict[str, str]], Awaitable[http.Answer]]


class Api:
    """X at `base_url`. `bearer_token` is the app's own; without it nothing is read app-only."""

    def __init__(
        self, base_url: str, login: Login, bearer_token: str | None, timing: Timing
    ) -> None:
        self.login = login
        self.reads_app_only = bearer_token is not None
        self._base = base_url.rstrip("/")
        self._bearer_token = bearer_token
        self._client = http.Client(timing)

    @property
    def server(self) -> str:
        """The name of the server."""
        return URL(self._base).host or self._base

    async def post(self, path: str, body: Mapping[str, Any]) -> http.Answer:
        """Post JSON. Raises NotSent, NeedsPerson or Unknown."""
        data = json.dumps(body, ensure_ascii=False).encode()
        return await self.post_bytes(path, data, "application/json")

    async def post_bytes(self, path: str, data: bytes, kind: str) -> http.Answer:
        """Post bytes of a MIME type. Raises NotSent, NeedsPerson or Unknown."""
        url, how = self._address(path), {"Content-Type": kind}
        return await self._as_us(
            "POST", url, lambda who: self._client.post(_exact(url), data, who | how)
        )

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> http.Answer:
        """Read with the account's login. Raises NotSent or NeedsPerson."""
        url = self._address(path, query)
        return await self._as_us("GET", url, lambda who: self._client.get(_exact(url), who))

    async def get_app_only(self, path: str, query: Mapping[str, str]) -> http.Answer:
        """Read as nobody in particular. Raises NotSent."""
        headers = {"Authorization": f"Bearer {self._bearer_token}"}
        return await self._client.get(_exact(self._address(path, query)), headers)

    async def delete(self, path: str) -> http.Answer:
        """Delete. Raises NotSent, NeedsPerson or Unknown."""
        url = self._address(path)
        return await self._as_us("DELETE", url, lambda who: self._client.delete(_exact(url), who))

    async def warm(self) -> None:
        """Keep a connection open, and the token fresh, so that no alert has to wait for either."""
        await self._client.warm(_exact(self._address("/2/tweets")))
        with suppress(Failure):  # it is told by the probe, and tried again by the post
            await self.login.header("GET", self._base)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _as_us(self, method: Method, url: str, ask: Ask) -> http.Answer:
        """Ask with the account's login; once more where that is refused and can be renewed."""
        header = await self.login.header(method, url)
        answer = await ask({"Authorization": header})
        if answer.status == 401 and answer.whole and await self.login.renewed(header):
            answer = await ask({"Authorization": await self.login.header(method, url)})
        return answer

    def _address(self, path: str, query: Mapping[str, str] | None = None) -> str:
        return f"{self._base}{path}" + (f"?{urlencode(query)}" if query else "")


def _exact(url: str) -> URL:
    return URL(url, encoded=True)  # what was signed is what is asked, to the letter
