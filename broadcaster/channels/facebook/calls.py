"""What is asked of Graph in the name of one Page, and what the answers tell beside their content.

The token goes in a header: what is in an address ends up in the logs of whoever passes it on.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlencode

from yarl import URL

from broadcaster.channels import Setup, http
from broadcaster.channels.meta import graph
from broadcaster.delivery import Failure, NeedsPerson, Unknown

PAGES_MAX = 40  # of one list
# So long nothing is looked up once nearly all calls are used: the rest of them is for posts.
LOOKS_PAUSE_SECONDS = 300.0


class Calls:
    """The calls of one channel. `root` is the address with the version.

    `app_token` is "id|secret" of the app, None where they are not configured. `percent_left`: of
    the calls that Facebook allows, None before it has told.
    """

    def __init__(self, setup: Setup, root: str, token: str, app_token: str | None) -> None:
        self._root = root
        self._token = token
        self._app_token = app_token
        self._clock = setup.clock
        self._client = http.Client(setup.timing)
        self.percent_left: int | None = None
        self._looks_again = 0.0  # elapsed seconds

    def __repr__(self) -> str:
        return f"Calls({self._root!r})"

    @property
    def nearly_used_up(self) -> bool:
        """Say whether the calls that are left must be kept for posts."""
        return self._clock.elapsed() < self._looks_again

    async def write(self, path: str, body: Mapping[str, Any]) -> http.Answer:
        """Send a request that changes something. Raises NotSent or Unknown."""
        data = json.dumps(body, ensure_ascii=False).encode()
        headers = _signed(self._token) | {"Content-Type": "application/json"}
        return self._noted(await self._client.post(self._url(path), data, headers))

    async def read(self, path: str, query: Mapping[str, str]) -> http.Answer:
        """Read. Raises NotSent where no whole answer came."""
        return self._noted(await self._client.get(self._url(path, query), _signed(self._token)))

    async def delete(self, path: str) -> http.Answer:
        """Delete. Raises NotSent or Unknown."""
        return self._noted(await self._client.delete(self._url(path), _signed(self._token)))

    async def pages(
        self, path: str, query: Mapping[str, str]
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """Give a list page by page, to its end. Raises NotSent, NeedsPerson or Unknown."""
        asked = dict(query)
        for _ in range(PAGES_MAX):
            answer = await self.read(path, asked)
            found = graph.page_of(http.as_object(answer))
            if answer.status != 200 or found is None:
                raise self._unread(answer)
            yield found.rows
            if found.after is None:
                return
            asked["after"] = found.after
        raise Unknown("Facebook lists more than can be read back")

    def object_of(self, answer: http.Answer) -> dict[str, Any]:
        """Return the object, with an id, that was read. Raises NotSent or NeedsPerson."""
        found = http.as_object(answer)
        if answer.status != 200 or not graph.is_id(found.get("id")):
            raise self._unread(answer)
        return found

    async def inspected(self) -> Mapping[str, Any]:
        """Read what the token is good for, in the words of GET /debug_token.

        Without the app's token only whose it is. Raises NotSent or NeedsPerson.
        """
        if self._app_token is None:
            me = self.object_of(await self.read("me", {"fields": "id,name"}))
            return {"profile_id": me["id"]}
        url = self._url("debug_token", {"input_token": self._token})
        answer = await self._client.get(url, _signed(self._app_token))
        data = http.as_object(answer).get("data")
        if answer.status == 200 and isinstance(data, dict):
            return data
        failure = self._unread(answer)
        if isinstance(failure, NeedsPerson):
            raise NeedsPerson("Facebook does not accept app_id with the app's secret") from None
        raise failure

    def refused(self, answer: http.Answer) -> Failure:
        """Give what an answer to a write means that is no success."""
        return graph.failure_for(answer, "Facebook", self._clock.now())

    async def warm(self) -> None:
        """Keep a connection open; nothing is asked that counts."""
        await self._client.warm(URL(self._root, encoded=True))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _unread(self, answer: http.Answer) -> Failure:
        return graph.unread_for(answer, "Facebook", self._clock.now())

    def _url(self, path: str, query: Mapping[str, str] | None = None) -> URL:
        asked = f"?{urlencode(query)}" if query else ""
        return URL(f"{self._root}/{path}{asked}", encoded=True)

    def _noted(self, answer: http.Answer) -> http.Answer:
        used = graph.used_percent(answer.headers)
        if used is not None:
            self.percent_left = max(0, 100 - used)
            pause = LOOKS_PAUSE_SECONDS if used >= graph.BRAKE_PERCENT else 0.0
            self._looks_again = self._clock.elapsed() + pause
        return answer


def _signed(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
