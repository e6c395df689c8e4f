"""The sessions of the Bluesky stand-in: JWTs as a PDS makes them, refresh tokens that rotate."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from typing import Any

from aiohttp.web import Request, Response

from broadcaster.clock import Clock
from broadcaster.sandbox.answers import answer
from broadcaster.sandbox.posts import PREFIX

ACCESS_SECONDS = 2 * 3600
REFRESH_SECONDS = 90 * 24 * 3600
REFRESH_KEPT = 10_000
SERVICE = "did:web:sandbox.invalid"


class Refused(Exception):  # noqa: N818 - it is an answer, not an error of ours
    """The request's session is not good; `answer` says so in the PDS's words."""

    def __init__(self, status: int, name: str, message: str) -> None:
        super().__init__(message)
        self.answer: Response = answer({"error": name, "message": message}, status)


def did_of(handle: str) -> str:
    """Return the DID of a handle: always the same one, in the form of did:plc."""
    digest = base64.b32encode(hashlib.sha256(handle.encode()).digest()).decode()
    return f"did:plc:{digest[:24].lower()}"


class Sessions:
    """Tokens that this process made, and which refresh tokens are still good."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._good: dict[str, None] = {}

    def open(self, handle: str, password: str) -> dict[str, Any]:
        """Log in. Raises Refused."""
        if "." not in handle or not password.startswith(PREFIX):
            message = "Invalid identifier or password"
            raise Refused(401, "AuthenticationRequired", message)
        return self._tokens(handle)

    def refresh(self, request: Request) -> dict[str, Any]:
        """Exchange a refresh token for new tokens. Raises Refused."""
        claims = self._claims(request, "com.atproto.refresh")
        if claims["jti"] not in self._good:
            raise Refused(400, "ExpiredToken", "Token has been revoked")
        del self._good[claims["jti"]]
        return self._tokens(claims["handle"])

    def handle(self, request: Request) -> str:
        """Return whose access token a request carries. Raises Refused."""
        return str(self._claims(request, "com.atproto.access")["handle"])

    def _tokens(self, handle: str) -> dict[str, Any]:
        jti = secrets.token_urlsafe(24)
        self._good[jti] = None
        if len(self._good) > REFRESH_KEPT:
            del self._good[next(iter(self._good))]
        access = self._jwt(handle, "com.atproto.access", ACCESS_SECONDS)
        refresh = self._jwt(handle, "com.atproto.refresh", REFRESH_SECONDS, jti=jti)
        return {
            "accessJwt": access,
            "refreshJwt": refresh,
            "handle": handle,
            "did": did_of(handle),
            "active": True,
        }

    def _jwt(self, handle: str, scope: str, seconds: int, **more: str) -> str:
        now = int(self._clock.now().timestamp())
        claims = {
            "scope": scope,
            "sub": did_of(handle),
            "aud": SERVICE,
            "iat": now,
            "exp": now + seconds,
            "handle": handle,
        } | more
        kind = "at+jwt" if scope == "com.atproto.access" else "refresh+jwt"
        signed = f"{_segment({'typ': kind, 'alg': 'HS256'})}.{_segment(claims)}"
        return f"{signed}.{self._signature(signed)}"

    def _signature(self, signed: str) -> str:
        return _base64(hmac.new(self._secret, signed.encode(), hashlib.sha256).digest())

    def _claims(self, request: Request, scope: str) -> dict[str, Any]:
        header = request.headers.get("Authorization", "")
        if not header.startswith("Bearer "):
            raise Refused(401, "AuthMissing", "Authentication Required")
        signed, _, given = header.removeprefix("Bearer ").rpartition(".")
        if not hmac.compare_digest(self._signature(signed).encode(), given.encode()):
            raise Refused(400, "InvalidToken", "Token could not be verified")
        payload = signed.partition(".")[2]
        claims: dict[str, Any] = json.loads(
            base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        )
        if claims["scope"] != scope:
            raise Refused(400, "InvalidToken", "Bad token scope")
        if claims["exp"] <= self._clock.now().timestamp():
            raise Refused(400, "ExpiredToken", "Token has expired")
        return claims


def _segment(value: dict[str, Any]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
