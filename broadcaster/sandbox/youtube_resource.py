"""What the YouTube stand-in shows: videos, items of a playlist, channels, and lists of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from broadcaster.sandbox.posts import Account, Post
from broadcaster.sandbox.youtube_access import channel_id

KIND = "video"  # of a post that is one; what a person posted is of another kind


def is_video(post: Post) -> bool:
    """Say whether a post is a video."""
    return post.details.get("kind") == KIND


def video(post: Post, parts: frozenset[str], *, processed: bool) -> dict[str, Any]:
    """Return a video with the parts that were asked for."""
    hidden = post.concealed and post.details["privacy"] != "unlisted"
    every: dict[str, Any] = {
        "snippet": _snippet(post) | {"liveBroadcastContent": "none"} | _tagged(post),
        "status": {
            "uploadStatus": "processed" if processed else "uploaded",
            "privacyStatus": "private" if hidden else post.details["privacy"],
            "license": "youtube",
            "embeddable": True,
            "publicStatsViewable": True,
            "madeForKids": False,
            "selfDeclaredMadeForKids": False,
        },
        "statistics": {"viewCount": "0", "likeCount": "0", "commentCount": "0"},
    }
    shown = {name: every[name] for name in every if name in parts}
    return {"kind": "youtube#video", "etag": "e", "id": post.id, **shown}


def item(post: Post) -> dict[str, Any]:
    """Return a video as an item of its channel's uploads."""
    where = {"kind": "youtube#video", "videoId": post.id}
    playlist = f"UU{channel_id(post.account)[2:]}"
    snippet = _snippet(post) | {"resourceId": where, "playlistId": playlist, "position": 0}
    return {
        "kind": "youtube#playlistItem",
        "etag": "e",
        "id": f"{playlist}.{post.id}",
        "snippet": snippet,
    }


def channel_of(author: Account, parts: frozenset[str]) -> dict[str, Any]:
    """Return an account's channel with the parts that were asked for."""
    every = {
        "snippet": {"title": author.name, "customUrl": f"@{author.handle}", "description": ""},
        "status": {"privacyStatus": "public", "isLinked": True, "longUploadsStatus": "allowed"},
    }
    shown = {name: every[name] for name in every if name in parts}
    return {"kind": "youtube#channel", "etag": "e", "id": channel_id(author), **shown}


def listing(
    kind: str, items: Sequence[Mapping[str, Any]], total: int | None = None
) -> dict[str, Any]:
    """Return a list; `total` where it is only a page."""
    count = len(items) if total is None else total
    page = {"totalResults": count, "resultsPerPage": len(items)}
    return {
        "kind": f"youtube#{kind}ListResponse",
        "etag": "e",
        "pageInfo": page,
        "items": list(items),
    }


def _snippet(post: Post) -> dict[str, Any]:
    return {
        "publishedAt": post.created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "channelId": channel_id(post.account),
        "channelTitle": post.account.name,
        "title": post.details["title"],
        "description": post.text,
        "thumbnails": {},
    }


def _tagged(post: Post) -> dict[str, Any]:
    more: dict[str, Any] = {"categoryId": post.details["categoryId"]}
    if post.details["tags"]:
        more["tags"] = post.details["tags"]
    if post.language:
        more["defaultLanguage"] = post.language
    return more | {"localized": {"title": post.details["title"], "description": post.text}}
