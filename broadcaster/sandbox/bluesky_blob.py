"""Pictures on the Bluesky stand-in: blobs that records name, and the names of content (CIDs).

A blob's CID is the real one, sha256 of its bytes; in a record it is a link, which DAG-CBOR keeps in
a form of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import libipld

from broadcaster.sandbox.pictures import Pictures

UPLOAD_BYTES_MAX = 5_242_880  # of a data server
IMAGE_BYTES_MAX = 1_000_000  # of a picture in a post
IMAGES_MAX = 4
KEPT = 1_000

_RECORD, _RAW = b"\x01\x71\x12\x20", b"\x01\x55\x12\x20"


def cid_of(record: Mapping[str, Any]) -> str:
    """Return the content id of a record: CIDv1, dag-cbor, sha256."""
    digest = hashlib.sha256(libipld.encode_dag_cbor(_with_links(record))).digest()
    return str(libipld.encode_cid(_RECORD + digest))


def _with_links(value: Any) -> Any:
    """Put a link in the place of every {"$link": cid}."""
    if isinstance(value, Mapping):
        if set(value) == {"$link"}:
            return _cid_bytes(str(value["$link"]))
        return {name: _with_links(one) for name, one in value.items()}
    return [_with_links(one) for one in value] if isinstance(value, list) else value


def _cid_bytes(cid: str) -> bytes:
    """Return a CID as bytes. Raises ValueError for what is none."""
    parts = libipld.decode_cid(cid)
    digest = parts["hash"]["digest"]
    head = bytes([parts["version"], parts["codec"], parts["hash"]["code"], len(digest)])
    return head + bytes(digest)


class Blobs:
    """What was uploaded, by its CID; the newest are kept."""

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures
        self._kept: dict[str, tuple[str, dict[str, Any]]] = {}

    def keep(self, data: bytes, kind: str) -> dict[str, Any]:
        """Keep bytes, and return the blob as a record is to name it."""
        cid = str(libipld.encode_cid(_RAW + hashlib.sha256(data).digest()))
        blob = {"$type": "blob", "ref": {"$link": cid}, "mimeType": kind, "size": len(data)}
        self._kept[cid] = (self._pictures.keep(data, kind), blob)
        if len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        return blob

    def missing(self, record: Mapping[str, Any]) -> str | None:
        """Return the CID of a picture that a record names and nobody has uploaded."""
        cids = [_cid(image) for image in images_of(record)]
        return next((cid for cid in cids if cid not in self._kept), None)

    def media(self, record: Mapping[str, Any]) -> list[dict[str, str]]:
        """Return a record's pictures as posts keep them."""
        return [
            {"id": self._kept[_cid(image)][0], "alt": image["alt"]} for image in images_of(record)
        ]


def images_of(record: Mapping[str, Any]) -> list[Any]:
    """Return the pictures that a record embeds, none for any other embed."""
    embed = record.get("embed")
    if not isinstance(embed, dict) or embed.get("$type") != "app.bsky.embed.images":
        return []
    images = embed.get("images")
    return images if isinstance(images, list) else []


def embed_fault(record: Mapping[str, Any]) -> str | None:
    """Say what is wrong with a record's pictures, as the lexicon has it; None if nothing."""
    images = images_of(record)
    if len(images) > IMAGES_MAX:
        return f"Record/embed/images must not have more than {IMAGES_MAX} elements"
    for number, image in enumerate(images):
        place = f"Record/embed/images/{number}"
        if not isinstance(image, dict) or not isinstance(image.get("alt"), str):
            return f'{place} must have the property "alt"'
        if fault := _blob_fault(image.get("image")) or _ratio_fault(image.get("aspectRatio")):
            return f"{place}/{fault}"
    return None


def _blob_fault(blob: Any) -> str | None:
    ref = blob.get("ref") if isinstance(blob, dict) and blob.get("$type") == "blob" else None
    if not isinstance(ref, dict) or not isinstance(ref.get("$link"), str):
        return "image should be a blob ref"
    try:
        _cid_bytes(ref["$link"])
    except ValueError:
        return "image should be a blob ref"
    if not str(blob.get("mimeType", "")).startswith("image/"):
        return 'image Expected a blob of "image/*"'
    size = blob.get("size")
    if type(size) is not int or size > IMAGE_BYTES_MAX:
        return f"image This file is too large. It must not exceed {IMAGE_BYTES_MAX} bytes"
    return None


def _ratio_fault(ratio: Any) -> str | None:
    if ratio is None:
        return None
    sides = [ratio.get("width"), ratio.get("height")] if isinstance(ratio, dict) else [None]
    if all(type(side) is int and side >= 1 for side in sides):
        return None
    return "aspectRatio must be two integers from 1 on"


def _cid(image: Mapping[str, Any]) -> str:
    return str(image["image"]["ref"]["$link"])
