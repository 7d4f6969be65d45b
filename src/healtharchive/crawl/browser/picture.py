"""Pictures of a page: all of it, and a small one of its first screen."""

from __future__ import annotations

import base64
from typing import Any

from playwright.async_api import CDPSession

MEDIA_TYPE = "image/jpeg"
HIGHEST = 10_000  # pixels of the whole page
THUMBNAIL_WIDTH = 320
QUALITY = 75


async def take(devtools: CDPSession) -> tuple[bytes, bytes]:
    """The whole page and the thumbnail. Bounded by the caller; playwright's Error if not had."""
    metrics: dict[str, Any] = await devtools.send("Page.getLayoutMetrics")
    view, content = metrics["cssLayoutViewport"], metrics["cssContentSize"]
    width, screen = max(view["clientWidth"], 1), max(view["clientHeight"], 1)
    height = min(max(content["height"], screen), HIGHEST)
    thumbnail = await _shot(devtools, width, screen, THUMBNAIL_WIDTH / width)
    return await _shot(devtools, width, height, 1.0), thumbnail


async def _shot(devtools: CDPSession, width: float, height: float, scale: float) -> bytes:
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": scale}
    asked = {"format": "jpeg", "quality": QUALITY, "clip": clip, "captureBeyondViewport": True}
    answer: dict[str, Any] = await devtools.send("Page.captureScreenshot", asked)
    return base64.b64decode(answer["data"])
