"""The headers every answer carries, and HEAD for every page, as two thin ASGI layers."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Our own pages: one stylesheet, one icon, the frame of the archived page; most have no script.
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# A page with a script of ours, which may ask us for more.
SCRIPTED_POLICY = f"{PAGE_POLICY}; script-src 'self'; connect-src 'self'"
# An archived body: an origin of its own, no scripts, no forms, and only the archive to load from.
# Links may move the whole window, for the archived page's links lead to other captures' pages.
ARCHIVED_POLICY = (
    "sandbox allow-top-navigation-by-user-activation; default-src 'none'; img-src 'self' data:; "
    "style-src 'self' 'unsafe-inline' data:; font-src 'self' data:; media-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-DNS-Prefetch-Control": "off",
}
STATIC = "/static/"  # our style sheet dresses the sandboxed pages of trouble, too
PAGE_HEADERS = {
    **EVERYWHERE,
    "Content-Security-Policy": PAGE_POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
}
# A sandboxed page has an opaque origin, so its images and fonts count as cross-origin there. What
# they hold was public on the web, and no cookie is ever set or read.
ARCHIVED_HEADERS = {
    **EVERYWHERE,
    "Content-Security-Policy": ARCHIVED_POLICY,
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Access-Control-Allow-Origin": "*",
    "X-Robots-Tag": "noindex, nofollow",
}


HEAD = "healtharchive.head"  # in the scope of a HEAD that is answered as GET


class SafeHeaders:
    """Adds the headers of our own pages to each answer that does not bring its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if scope["path"].startswith(STATIC):
                    headers["Cross-Origin-Resource-Policy"] = "cross-origin"
                for name, value in PAGE_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_safely)


class HeadAsGet:
    """Answers HEAD as GET without the body (RFC 9110 §9.3.2); a long body is not even read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] != "http.response.body":
                await send(message)
                return
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            if message.get("more_body"):
                raise _HeadersSent

        try:
            await self._app({**scope, "method": "GET", HEAD: True}, receive, send_head)
        except (_HeadersSent, ClientDisconnect):  # Starlette turns the first into the second
            return


class _HeadersSent(OSError):
    """Stops a streaming answer, as a reader who has hung up does."""
