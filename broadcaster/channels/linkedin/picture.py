"""A card for LinkedIn: a place is asked for, the bytes are put there, and are processed."""

from __future__ import annotations

from dataclasses import dataclass

from yarl import URL

from broadcaster.channels import http
from broadcaster.channels.linkedin.api import Api, encoded
from broadcaster.delivery import Failure, NeedsPerson, Unknown

LOOK_SECONDS = 0.25  # between two looks at a picture that is being processed

_UNFINISHED = frozenset({"PROCESSING", "WAITING_UPLOAD"})


class NoPicture(Exception):  # noqa: N818 - no error: the text goes without it
    """A picture cannot be uploaded; its text says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a picture goes: its URN, and the address that takes its bytes."""

    image: str
    address: URL


async def upload(api: Api, owner: str, data: bytes, kind: str) -> str:
    """Upload a picture of this MIME type, and return its URN once it is processed.

    Raises NoPicture; NeedsPerson, or NotSent where LinkedIn was not reached at all.
    """
    place = await _place(api, owner)
    headers = {"Content-Type": kind}
    if _is_linkedins(api, place.address):
        headers["Authorization"] = f"Bearer {await api.tokens.current()}"
    try:
        answer = await api.client.put(place.address, data, headers)
    except Failure as failure:
        raise NoPicture(failure.reason) from None
    if not 200 <= answer.status < 300:
        raise NoPicture(f"LinkedIn answered the upload with {answer.status}")
    while (state := await _state(api, place.image)) in _UNFINISHED:
        await api.clock.sleep(LOOK_SECONDS)
    if state == "PROCESSING_FAILED":
        raise NoPicture("LinkedIn could not process the picture")
    return place.image


async def _place(api: Api, owner: str) -> Place:
    body = {"initializeUploadRequest": {"owner": owner}}
    try:
        answer = await api.post("images", body, "action=initializeUpload")
    except Unknown as failure:
        raise NoPicture(failure.reason) from None
    value = http.as_object(answer).get("value")
    if answer.status != 200 or not isinstance(value, dict):
        refusal = api.refused(answer)
        # A 403 may be about pictures alone: whether it is about the text too, the post will tell.
        stops = isinstance(refusal, NeedsPerson) and answer.status != 403
        raise refusal if stops else NoPicture(refusal.reason)
    image, address = value.get("image"), _safe(api, value.get("uploadUrl"))
    if not isinstance(image, str) or not image.startswith("urn:li:image:") or address is None:
        raise NoPicture("LinkedIn named no place for the picture")
    return Place(image, address)


def _safe(api: Api, address: object) -> URL | None:
    """Return an address that may be given the picture: https, or that of a stand-in itself.

    It comes from outside, and must not lead anywhere else.
    """
    try:
        url = URL(str(address), encoded=True)
        known = url.scheme == "https" or url.origin() == api.base.origin()
    except ValueError:
        return None
    return url if known and url.host else None


def _is_linkedins(api: Api, url: URL) -> bool:
    """Say whether an address may be given the token too."""
    own = url.scheme == "https" and f".{url.host}".endswith(".linkedin.com")
    return own or url.origin() == api.base.origin()


async def _state(api: Api, image: str) -> str | None:
    """Ask how far a picture is; None if LinkedIn does not say: then the post will tell."""
    try:
        answer = await api.get(f"images/{encoded(image)}")
    except Failure:
        return None
    return str(http.as_object(answer).get("status")) if answer.status == 200 else None
