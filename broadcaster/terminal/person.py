"""The person of the demo, who posts where no program may: told by the daemon, confirming to it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import aiohttp

from broadcaster.delivery import State
from broadcaster.terminal.child import Failed
from broadcaster.terminal.client import Client, Json
from broadcaster.terminal.confirm import confirmed

TOLD_SECONDS = 10.0
LOOK_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody on call, with the app of the YouTube stand-in; `sandbox` is its sandbox's address.

    Raises Failed where the daemon, or the stand-in, does not do its part.
    """

    client: Client
    sandbox: str

    async def told(self, alert: Json) -> tuple[Json, list[Json]]:
        """Wait to be told of what waits for a person, and for its cards; return what waits."""
        try:
            async with asyncio.timeout(TOLD_SECONDS):
                while any(map(_not_ready, alert["deliveries"])):
                    await asyncio.sleep(LOOK_SECONDS)
                    alert = await self.client.alert(alert["id"])
        except TimeoutError:
            raise Failed("nobody was told of what waits for a person, or has its card") from None
        return alert, [one for one in alert["deliveries"] if one["state"] == State.WAITING]

    async def posts(self, alert: Json, one: Json) -> tuple[str, Json]:
        """Post one text with its card, and confirm it; return the link, and the alert after it."""
        message = one["message"]
        body = {"text": message["text"]}
        for card in message["media"]:
            body |= {"picture": card["url"], "alt": card["alt"]}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.sandbox}/youtube/_post", json=body) as answer,
        ):
            if answer.status >= 300:
                raise Failed(f"the person could not post on YouTube: {await answer.text()}")
            link = str((await answer.json())["url"])
        return link, await confirmed(self.client, alert, one, link)


def _not_ready(one: Json) -> bool:
    """Whether a delivery waits for a person who does not know of it, or has not got its card."""
    if one["state"] != State.WAITING:
        return False
    return not one["told"] or any(card["url"] is None for card in one["message"]["media"])
