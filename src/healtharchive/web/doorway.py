"""The archive's own addresses for what an archived page points at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import quote, urldefrag, urljoin, urlsplit

NOTHING = "data:,"  # an address that holds nothing and asks nobody
EMBEDDED = ("data:image/", "data:font/", "data:application/font")
WIDEST_URL = 8_000  # characters; servers refuse longer request lines


@dataclass(frozen=True, slots=True)
class Doorway:
    """Where a capture's references lead: always into the archive, never to the live web.

    `page_url` is the captured page's own URL, `timestamp` its moment in 14 digits, `language`
    the interface's. `base_url` is what `<base href>` named, if anything.
    """

    page_url: str
    timestamp: str
    language: str
    base_url: str = ""

    def based_on(self, href: str) -> Doorway:
        """The same doorway for a page that has `<base href>`."""
        resolved = self._resolve(href.strip())
        return replace(self, base_url=resolved) if resolved else self

    def requisite(self, reference: str) -> str | None:
        """The address of an image, style or font; None when it must not be loaded."""
        reference = reference.strip()
        if reference.lower().startswith(EMBEDDED) or reference.startswith("#"):
            return reference
        url = self._resolve(reference)
        if url is None:
            return None
        address, fragment = urldefrag(url)
        inside = f"#{quote(fragment)}" if fragment else ""
        return f"/at/{self.timestamp}/{quote(address, safe='')}{inside}"

    def page(self, reference: str) -> str | None:
        """The address of the page a link leads to; None when it leads out of the web's pages."""
        url = self._resolve(reference.strip())
        if url is None:
            return None
        address, fragment = urldefrag(url)
        if fragment and address == urldefrag(self.page_url).url:
            return f"#{fragment}"
        return f"/{self.language}/at/{self.timestamp}/{quote(address, safe='')}"

    def _resolve(self, reference: str) -> str | None:
        try:
            url = urljoin(self.base_url or self.page_url, reference)
            parts = urlsplit(url)
        except ValueError:  # an address such as http://[bad
            return None
        if parts.scheme.lower() not in ("http", "https") or not parts.netloc:
            return None
        return url if len(url) <= WIDEST_URL else None


def timestamp14(moment: datetime) -> str:
    """A moment in the 14 digits that web archives put into addresses."""
    return moment.astimezone(UTC).strftime("%Y%m%d%H%M%S")
