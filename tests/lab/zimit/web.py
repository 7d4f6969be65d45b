"""The web as the test image's crawler sees it: raw exchanges, and the links in what they bring."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

LONGEST = 64_000_000
CSS_LINK = re.compile(r"url\(\s*['\"]?([^'\")]+)['\"]?\s*\)|@import\s+['\"]([^'\"]+)['\"]")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
NOT_LOADED = ("search", "dns-prefetch", "preconnect")


class NoAnswer(Exception):
    """The site did not answer."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer as they went over the wire."""

    url: str
    request: bytes
    response: bytes
    ip: str

    @property
    def status(self) -> int:
        return int(self.response.split(b" ", 2)[1])

    @property
    def head(self) -> bytes:
        return self.response.partition(b"\r\n\r\n")[0]

    @property
    def body(self) -> bytes:
        return self.response.partition(b"\r\n\r\n")[2]

    def header(self, name: str) -> str:
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.decode("latin-1").partition(":")
            if key.strip().lower() == name:
                return value.strip()
        return ""


def fetch(url: str, agent: str, timeout: float) -> Exchange:
    """Ask for a URL over a connection of its own."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    request = (
        f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: {agent}\r\n"
        "Accept: */*\r\nConnection: close\r\n\r\n"
    ).encode()
    try:
        where = (parts.hostname or "", parts.port or 80)
        with socket.create_connection(where, timeout) as connection:
            ip = connection.getpeername()[0]
            connection.sendall(request)
            pieces: list[bytes] = []
            while (piece := connection.recv(1 << 16)) and sum(map(len, pieces)) < LONGEST:
                pieces.append(piece)
    except OSError as error:
        raise NoAnswer(str(error)) from error
    response = b"".join(pieces)
    if not response.startswith(b"HTTP/1.") or b"\r\n\r\n" not in response:
        raise NoAnswer("net::ERR_EMPTY_RESPONSE")
    return Exchange(url, request, response, ip)


def links(exchange: Exchange) -> tuple[list[str], list[str]]:
    """The pages and the page requisites that an answer leads to, absolute, without fragments."""
    mime = exchange.header("content-type").lower()
    text = exchange.body.decode("utf-8", "replace")
    if "text/css" in mime:
        found = [one or two for one, two in CSS_LINK.findall(COMMENT.sub("", text))]
        return [], _absolute(exchange.url, found)
    if "text/html" not in mime:
        return [], []
    reader = _Reader()
    reader.feed(text)
    return _absolute(exchange.url, reader.pages), _absolute(exchange.url, reader.assets)


def _absolute(base: str, found: list[str]) -> list[str]:
    urls = (urljoin(base, each.strip()).partition("#")[0] for each in found)
    return [url for url in dict.fromkeys(urls) if url.startswith("http://")]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.pages: list[str] = []
        self.assets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in ("a", "area") and "href" in given:
            self.pages.append(given["href"])
        elif tag == "form" and "action" in given:
            self.pages.append(given["action"])
        elif tag == "link" and "href" in given:
            rels = given.get("rel", "").lower().split()
            if any(rel in NOT_LOADED for rel in rels):
                return
            page = any(rel in ("next", "prev", "canonical", "alternate", "author") for rel in rels)
            plain = not any(rel in ("stylesheet", "icon") for rel in rels)
            (self.pages if page or plain else self.assets).append(given["href"])
        elif tag in ("img", "script", "iframe") and "src" in given:
            self.assets.append(given["src"])
