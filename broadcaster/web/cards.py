"""The cards: served to the networks that fetch them, and shown before anything is sent."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import hdrs, web

from broadcaster.alert import Submission
from broadcaster.auth import Caller
from broadcaster.config import Server
from broadcaster.drawing import CardFault
from broadcaster.intake.alerts import Intake
from broadcaster.record import Refused, Role
from broadcaster.web.limits import read_body, require_json
from broadcaster.web.problems import Problem
from broadcaster.web.routes import Parameter, Route

_NAME = re.compile(r"([0-9a-f]{64})\.(png|jpeg)")
_FOREVER = "public, max-age=31536000, immutable"  # another picture has another name

Picture = Callable[[str, str], Awaitable[Path | None]]
Draw = Callable[[str], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Cards:
    """The routes of cards. `picture` gives a file by digest and MIME type; `draw` draws a spec."""

    picture: Picture
    draw: Draw
    intake: Intake
    server: Server

    def routes(self) -> list[Route]:
        """Give the routes of this room."""
        return [
            Route(
                "GET",
                "/cards/{name}",
                "card",
                "A drawn card, named by the sha256 of its content.",
                self.show,
                parameters=(_FILE,),
                answers={200: None},
                refusals=(404,),
            ),
            Route(
                "POST",
                "/v1/preview/card",
                "preview_card",
                "Draw the card of an alert for one channel and language. Nothing is stored.",
                self.preview,
                Role.TRIGGER,
                (_CHANNEL, _PART),
                Submission,
                answers={200: None},
                refusals=(400, 403, 404, 408, 409, 413, 415, 422),
            ),
        ]

    async def show(self, request: web.Request, _caller: Caller) -> web.StreamResponse:
        """GET /cards/{digest}.{png or jpeg}."""
        name = _NAME.fullmatch(request.match_info["name"])
        try:
            path = await self.picture(name[1], f"image/{name[2]}") if name else None
        except CardFault as fault:
            raise Problem(503, "not-drawn", str(fault)) from None
        if name is None or path is None:
            raise Problem(404, "unknown-card", "There is no such card.")
        # Whole, also where a part is asked for: Facebook asks for all from byte 0 on, and is
        # reported to refuse a 206.
        data = await asyncio.to_thread(path.read_bytes)
        headers = {hdrs.CACHE_CONTROL: _FOREVER}
        return web.Response(body=data, content_type=f"image/{name[2]}", headers=headers)

    async def preview(self, request: web.Request, caller: Caller) -> web.Response:
        """POST /v1/preview/card?channel=NAME&part=de."""
        require_json(request)
        body = await read_body(request, self.server.json_bytes_max, self.server.body_seconds)
        channel, part = request.query.get("channel"), request.query.get("part")
        card = await self.intake.preview_card(body, caller, channel, part)
        if card is None:
            raise Refused("no-card", "No channel of that name takes a card in that language.")
        try:
            data = await self.draw(card.spec)
        except CardFault as fault:
            raise Problem(422, "card-unfit", str(fault)) from None
        return web.Response(body=data, content_type=card.kind)


_FILE = Parameter(
    "name", "path", "sha256 in hex, and png or jpeg.", {"type": "string"}, required=True
)
_CHANNEL = Parameter("channel", "query", "A channel's name; the first one.", {"type": "string"})
_PART = Parameter("part", "query", "A language; default the first.", {"type": "string"})
