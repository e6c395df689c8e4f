"""How a person gives Threads or Instagram a token: consent, a code, a token of an hour, of 60 days.

Facebook's own login exchanges in other words than the two networks, to the same end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from yarl import URL

from broadcaster.channels import Setup, http
from broadcaster.channels.meta import graph
from broadcaster.channels.meta.calls import granted
from broadcaster.channels.tokens import Grant
from broadcaster.delivery import Unknown


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """One network's addresses and words for it.

    `page` is where the person agrees, `code_url` takes the code, `long_url` the token of an hour.
    `grant_type` says which exchange that is: fb_exchange_token is Facebook's own login.
    """

    setup: Setup
    who: str
    page: str
    code_url: str
    long_url: str
    grant_type: str
    scopes: Sequence[str]
    app_id: str
    app_secret: str

    def authorize(self, redirect: str, state: str) -> str:
        """Give the page on which the person agrees."""
        query = {
            "client_id": self.app_id,
            "redirect_uri": redirect,
            "scope": ",".join(self.scopes),
            "response_type": "code",
            "state": state,
        }
        return f"{self.page}?{urlencode(query)}"

    async def exchange(self, code: str, redirect: str) -> Grant:
        """Make a grant of 60 days of the code. Raises a Failure."""
        client = http.Client(self.setup.timing)
        try:
            short = await self._short(client, code.removesuffix("#_"), redirect)
            return await self._long(client, short)
        finally:
            await client.close()

    async def _short(self, client: http.Client, code: str, redirect: str) -> str:
        app = {"client_id": self.app_id, "client_secret": self.app_secret}
        given = app | {"code": code, "redirect_uri": redirect}
        if self.grant_type == "fb_exchange_token":
            answer = await client.get(_asked(self.code_url, given), {})
        else:
            form = urlencode(given | {"grant_type": "authorization_code"}).encode()
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = await client.post(URL(self.code_url, encoded=True), form, kind)
        if answer.status != 200:
            raise graph.unread_for(answer, self.who, self.setup.clock.now())
        token = _token(http.as_object(answer))
        if token is None:
            raise Unknown(f"{self.who} answered, but not with a token")
        return token

    async def _long(self, client: http.Client, short: str) -> Grant:
        query = {"grant_type": self.grant_type, "client_secret": self.app_secret}
        if self.grant_type == "fb_exchange_token":
            query |= {"client_id": self.app_id, "fb_exchange_token": short}
        else:
            query |= {"access_token": short}
        answer = await client.get(_asked(self.long_url, query), {})
        return granted(answer, self.who, self.setup.clock.now())


def _asked(url: str, query: Mapping[str, str]) -> URL:
    return URL(f"{url}?{urlencode(query)}", encoded=True)


def _token(said: Mapping[str, object]) -> str | None:
    """Read the token of an hour; Instagram has begun to give it in a list."""
    rows = said.get("data")
    first = rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else said
    token = first.get("access_token")
    return token if isinstance(token, str) and token else None
