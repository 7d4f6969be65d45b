"""What is said of a page that nothing is shown of: nothing is there, or it is not shown."""

from __future__ import annotations

from sqlalchemy import Connection

from healtharchive.model.withheld import require_shown
from healtharchive.web.trouble import Missing


def absent(connection: Connection, url_key: str, url: str) -> Missing:
    """What to raise when a page has no capture to show. Suppressed when the archive has some."""
    require_shown(connection, url_key)
    return Missing("trouble.404.url", live_url=url, url=url)
