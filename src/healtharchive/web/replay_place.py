"""Where archived pages run: an origin of their own, beside the site's, that holds nothing else.

Scripts of archived pages are somebody else's programs. What keeps them away from the site is the
browser's same-origin rule, so they get another origin: another port, or another name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import URL

ASSETS = Path(__file__).parent / "replay_assets"
SCRIPTS = ("ui.js", "sw.js")
# An archived page must have scripts and an origin; not the window, pop-ups and dialogs.
SANDBOX = "allow-scripts allow-same-origin allow-forms allow-downloads"
HOST = re.compile(r"[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")


@dataclass(frozen=True, slots=True)
class ReplayPlace:
    """`url` is where people reach it, without a slash at the end; empty: their host, at `port`."""

    port: int
    url: str = ""

    def origin(self, asked: URL) -> str:
        """The origin of archived pages for somebody who reached the site as `asked`."""
        return self.url or f"{asked.scheme}://{_host(asked)}:{self.port}"


def site_origin(asked: URL, public_url: str, site_port: int) -> str:
    """The site's own origin, for somebody who reached the place of archived pages as `asked`."""
    if public_url:
        named = URL(public_url)
        return f"{named.scheme}://{named.netloc}"
    return f"{asked.scheme}://{_host(asked)}:{site_port}"


def installed() -> bool:
    """Whether replayweb.page's scripts are there; `scripts/replay-web` fetches them."""
    return all((ASSETS / name).is_file() for name in SCRIPTS)


def _host(asked: URL) -> str:
    """The host as it may stand in a header: whoever asks can write anything into `Host`."""
    host = asked.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if HOST.fullmatch(host) else "localhost"
