"""CORS: what is public may be read by the scripts of any site, without cookies or passwords."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SHARED = ("/api/", "/timemap/", "/timegate/", "/at/", "/raw/", "/warc/")
READS = ("GET", "HEAD")
SHARED_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": (
        "Content-Length, Content-Location, Content-Range, ETag, Link, Location, "
        "Memento-Datetime, Retry-After, Vary"
    ),
    "Cross-Origin-Resource-Policy": "cross-origin",
}
# What a browser asks before it sends Accept-Datetime or a condition along.
PREFLIGHT_HEADERS = {
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": (
        "Accept-Datetime, If-Modified-Since, If-None-Match, If-Range, Range"
    ),
    "Access-Control-Max-Age": "86400",
}


class Shared:
    """Opens the addresses for reading by programs to scripts of every origin."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(SHARED):
            await self._app(scope, receive, send)
            return
        asks = scope["method"] == "OPTIONS"
        if asks and "access-control-request-method" in Headers(scope=scope):
            start: Message = {"type": "http.response.start", "status": 204, "headers": []}
            MutableHeaders(scope=start).update({**SHARED_HEADERS, **PREFLIGHT_HEADERS})
            await send(start)
            await send({"type": "http.response.body", "body": b""})
            return

        async def send_shared(message: Message) -> None:
            if message["type"] == "http.response.start" and scope["method"] in READS:
                MutableHeaders(scope=message).update(SHARED_HEADERS)
            await send(message)

        await self._app(scope, receive, send_shared)
