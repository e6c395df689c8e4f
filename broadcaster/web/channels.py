"""The channels: what each carries, which account it is bound to, and whether it would post now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from broadcaster import answer
from broadcaster.auth import Caller
from broadcaster.channels import Channel
from broadcaster.record import ChannelRow, Role
from broadcaster.store import Store
from broadcaster.web.alerts import shown
from broadcaster.web.routes import Route


@dataclass(frozen=True, slots=True)
class Channels:
    """The route of channels."""

    store: Store
    channels: Mapping[str, Channel]

    def routes(self) -> list[Route]:
        """Give the route of this room."""
        return [
            Route(
                "GET",
                "/v1/channels",
                "channels",
                "Every configured channel with its rule, account and readiness.",
                self.show,
                Role.READ,
                answers={200: "ChannelList"},
            )
        ]

    async def show(self, _request: web.Request, _caller: Caller) -> web.Response:
        """GET /v1/channels."""
        return shown({"channels": await self.listed()})

    async def listed(self) -> list[dict[str, Any]]:
        """Return all configured channels as an answer shows them."""
        rows = {row.name: row for row in await self.store.channels()}
        return [channel_json(channel, rows.get(name)) for name, channel in self.channels.items()]


def channel_json(channel: Channel, row: ChannelRow | None) -> dict[str, Any]:
    """Return one channel: configuration first, then what the store knows."""
    config, limits = channel.config, channel.limits
    return {
        "name": config.name,
        "type": config.type,
        "carries": channel.carries.model_dump(mode="json", exclude_none=True),
        "languages": list(config.languages) if config.languages else None,
        "template": config.template or channel.template,
        "guarantee": channel.guarantee,
        "posts_per_day_max": channel.posts_per_day_max,
        "limits": {
            "measure": limits.measure,
            "maximum": limits.maximum,
            "bytes_maximum": limits.bytes_maximum,
        },
        "readiness": answer.stored_channel_json(row),
    }
