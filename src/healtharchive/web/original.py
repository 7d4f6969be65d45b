"""The URL of a page as it stands in one of our addresses, with its own query and escapes.

/timegate/http://example.org/a%20b?q=1              as it is: all that follows is the page's
/timegate/http%3A%2F%2Fexample.org%2Fa%2520b        escaped once more; a query would be ours
"""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import quote, unquote

from fastapi import Request

from healtharchive.web.doorway import WIDEST_URL, timestamp14
from healtharchive.web.trouble import Missing

WEB = ("http://", "https://")
SCHEME = re.compile(r"(https?):/+", re.IGNORECASE)  # some proxies make one slash of two
ESCAPED = re.compile(r"https?%3A", re.IGNORECASE)
# All that stands in an ASCII URL but what would end it in a Link header or in an address.
KEPT = "!$%&'()*+,-./:;=?@[]_~|"


def original_url(request: Request, depth: int) -> str:
    """The page's URL after `depth` slashes of the path; Missing when it is none of the web."""
    raw = request.scope.get("raw_path") or quote(request.url.path).encode()
    parts = raw.decode("latin-1").split("/", depth)
    url = parts[depth] if len(parts) > depth else ""
    if ESCAPED.match(url):
        url = unquote(url)
    elif query := request.scope.get("query_string", b""):
        url = f"{url}?{query.decode('latin-1')}"
    url = SCHEME.sub(r"\1://", url, count=1)
    if not is_usable(url):
        raise Missing("trouble.404.page")
    return url


def url_in(address: str) -> str:
    """The page's URL in an address such as `Doorway` gives: /at/20260124062801/http%3A%2F%2F…"""
    return unquote(address.split("/", 3)[3])


def is_usable(url: str) -> bool:
    """Whether this can be the URL of a captured page at all."""
    return url.lower().startswith(WEB) and url.isprintable() and len(url) <= WIDEST_URL


def written(url: str) -> str:
    """A URL as it may stand in a header and at the end of an address."""
    return quote(url, safe=KEPT)


def memento_path(url: str, moment: datetime) -> str:
    """The address of the archived body that was captured in that second."""
    return f"/at/{timestamp14(moment)}/{written(url)}"


def base_of(request: Request) -> str:
    """What stands before a path of ours in a whole address."""
    public: str = request.app.state.site.settings.public_url
    return (public or str(request.base_url)).rstrip("/")
