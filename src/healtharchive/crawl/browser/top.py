"""What the top frame of a page loads: the page's own document, not too often, and nothing else.

A browser tells its proxy of a navigation only where the site is secure or on loopback, so it is
stopped here (CDP, Fetch). What takes another way, as a blob or a service worker's answer, is seen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from playwright.async_api import CDPSession

from healtharchive.crawl.browser import world
from healtharchive.crawl.urls import canonicalize

MOST_DOCUMENTS = 3  # loads of the page itself, then it stays as it is
MOST_REDIRECTS = 20


class TopFrame:
    """The documents of one page's top frame.

    `on_own` is called when the page loads itself, `on_other` with the URL of what it does not get.
    `left` is set when a document that is not the page's took its place all the same.
    """

    def __init__(
        self,
        devtools: CDPSession,
        url: str,
        *,
        on_own: Callable[[], None],
        on_other: Callable[[str], None],
        spawn: Callable[[Awaitable[object]], None],
    ) -> None:
        self.documents = 0
        self.held = False
        self.left = False
        self._devtools = devtools
        self._own = canonicalize(url)
        self._on_own, self._on_other, self._spawn = on_own, on_other, spawn
        self._frame = ""
        self._redirects = 0

    async def watch(self) -> None:
        """Begin, before the page is opened."""
        self._frame = (await world.frames(self._devtools))[0]
        self._devtools.on("Fetch.requestPaused", self._on_paused)
        self._devtools.on("Page.frameNavigated", self._on_committed)
        patterns = [{"urlPattern": "*", "resourceType": "Document"}]
        await self._devtools.send("Fetch.enable", {"patterns": patterns})

    def is_own(self, url: str) -> bool:
        """Whether this is the page's URL, however it is written."""
        return self._own is not None and canonicalize(url) == self._own

    def admits(self, method: str, url: str) -> bool:
        """Whether a document may be loaded now."""
        many = self.held or self.documents >= MOST_DOCUMENTS
        return method == "GET" and self.is_own(url) and not many

    def _on_paused(self, event: dict[str, Any]) -> None:
        method, more = self._decide(event)
        self._spawn(self._devtools.send(method, {"requestId": event["requestId"], **more}))

    def _decide(self, event: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        if event.get("frameId") != self._frame:
            return "Fetch.continueRequest", {}
        url = str(event["request"]["url"])
        if event["request"]["method"] != "GET" or not self.is_own(url):
            self._on_other(url)
        elif "redirectedRequestId" in event:
            self._redirects += 1
            if self._redirects > MOST_REDIRECTS:
                return "Fetch.failRequest", {"errorReason": "Aborted"}
            return "Fetch.continueRequest", {}
        elif self.admits("GET", url):
            self.documents += 1
            self._redirects = 0
            self._on_own()
            return "Fetch.continueRequest", {}
        else:
            self.held = True
            self._on_other(url)
        return "Fetch.fulfillRequest", {"responseCode": 204}  # the document that is there stays

    def _on_committed(self, event: dict[str, Any]) -> None:
        frame = event["frame"]
        if "parentId" not in frame and not self.is_own(str(frame["url"])):
            self.left = True
