"""What a browser's request is about: the rules that need nothing but the request, or its answer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from healtharchive.crawl.browser.incoming import Fields
from healtharchive.crawl.browser.proxy import ProxyRequest
from healtharchive.crawl.exchange import Exchange
from healtharchive.crawl.recorder import mime_of
from healtharchive.crawl.urls import canonicalize

# An answer to them says "as you know already", which is nothing to keep.
CONDITIONS = ("if-none-match", "if-modified-since")
STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Asking:
    """A request and what follows from it.

    `canonical` is the frontier's form of its URL, empty when it has none. `plain`: a GET of the
    whole, which is the capture of its URL.
    """

    request: ProxyRequest
    canonical: str
    plain: bool
    navigation: bool

    @classmethod
    def of(cls, request: ProxyRequest) -> Asking:
        """What this request is about."""
        return cls(
            request=request,
            canonical=canonicalize(request.url) or "",
            plain=request.method == "GET" and not request.value("range"),
            navigation=_navigates(request),
        )

    @property
    def fields(self) -> Fields:
        """The fields to send on: a GET asks for the answer, whatever the browser has of it."""
        if not self.plain:
            return self.request.fields
        return tuple(each for each in self.request.fields if each[0].lower() not in CONDITIONS)

    @property
    def wants_page(self) -> bool:
        """Whether it is for a document, as a frame's is, on sites without Sec-Fetch-* too."""
        return "text/html" in self.request.value("accept").lower()

    def is_document(self, exchange: Exchange, *, again: bool) -> bool:
        """Whether its answer is a page's, or may lead to one: HTML, or none yet (`again`) to a
        frame."""
        if exchange.status < 300 and not again:
            return "html" in mime_of(exchange)
        return self.wants_page and (exchange.status < 400 or again)

    @property
    def streams(self) -> bool:
        """Whether it asks for an answer that never ends (EventSource)."""
        return STREAM in self.request.value("accept").lower()

    @property
    def identity(self) -> str:
        """What makes it the same as another one."""
        words = (self.request.method, self.request.url, self.request.value("range"))
        digest = hashlib.sha256("\n".join(words).encode("utf-8", "replace"))
        digest.update(b"\n" + self.request.body)
        return digest.hexdigest()


def _navigates(request: ProxyRequest) -> bool:
    """Whether the top frame, or a new window, is to go there.

    Chromium says so to https and to loopback only; of other sites the browser's side must know.
    """
    return (
        request.value("sec-fetch-mode") == "navigate"
        and request.value("sec-fetch-dest") == "document"
    )
