"""Answers that need not be sent again: ETag and Last-Modified (RFC 9110 §8.8, §13)."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from email.utils import format_datetime

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from healtharchive.crawl.dates import moment_of

HASHED = ("/api/", "/timemap/")  # their answers are small and made anew each time
GETS = ("GET", "HEAD")


def validators(etag: str, modified: datetime) -> dict[str, str]:
    """The headers of an answer that a later request can be compared with."""
    moment = modified.astimezone(UTC).replace(microsecond=0)
    return {"ETag": etag, "Last-Modified": format_datetime(moment, usegmt=True)}


def unchanged(asked: Headers, etag: str, modified: datetime | None = None) -> bool:
    """Whether the asker has this answer already. A date counts only where no tag is given."""
    if (given := asked.get("if-none-match")) is not None:
        tags = [each.strip().removeprefix("W/") for each in given.split(",")]
        return "*" in tags or etag.removeprefix("W/") in tags
    since = asked.get("if-modified-since")
    if since is None or modified is None:
        return False
    known = moment_of(since)
    return known is not None and modified.replace(microsecond=0) <= known


class Validated:
    """Gives each whole JSON answer the weak tag of its body, and 304 to who has it already."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        plain = scope["type"] == "http" and scope["method"] in GETS
        if not plain or not scope["path"].startswith(HASHED):
            await self._app(scope, receive, send)
            return
        held: list[Message] = []

        async def send_tagged(message: Message) -> None:
            if message["type"] == "http.response.start" and _is_taggable(message):
                held.append(message)
                return
            if held and message["type"] == "http.response.body":
                start = held.pop()
                if not message.get("more_body"):  # a streamed answer goes as it comes
                    message = _tag(start, message, Headers(scope=scope))
                await send(start)
            await send(message)

        await self._app(scope, receive, send_tagged)


def _is_taggable(start: Message) -> bool:
    return start["status"] == 200 and "etag" not in Headers(raw=start["headers"])


def _tag(start: Message, body: Message, asked: Headers) -> Message:
    headers = MutableHeaders(scope=start)
    etag = f'W/"{hashlib.sha256(body.get("body", b"")).hexdigest()[:32]}"'
    headers["ETag"] = etag
    if not unchanged(asked, etag):
        return body
    start["status"] = 304
    for name in ("Content-Length", "Content-Type"):
        if name in headers:
            del headers[name]
    return {"type": "http.response.body", "body": b""}
