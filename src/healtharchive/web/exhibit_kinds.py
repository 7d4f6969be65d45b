"""How each media type is shown: rewritten, as it is, as plain text, or for download only."""

from __future__ import annotations

import re

HTML = ("text/html", "application/xhtml+xml")
CSS = "text/css"
# Shown as they are: what a browser draws without running it. SVG cannot run scripts behind the
# sandbox of the answer's Content-Security-Policy.
SHOWN = ("image/", "font/", "audio/", "video/", "application/font", "application/x-font")
AS_TEXT = re.compile(r"text/|application/([\w.+-]+\+)?(json|xml|javascript|ecmascript)$")


def has_words(media_type: str | None) -> bool:
    """Whether its text can be compared with another's."""
    kind = (media_type or "text/html").lower()
    return kind in HTML or kind == "application/pdf" or bool(AS_TEXT.match(kind))


def is_framed(media_type: str | None) -> bool:
    """Whether a browser shows it in the frame; the rest (a PDF) can only be downloaded there."""
    kind = (media_type or "text/html").lower()
    return kind in HTML or kind.startswith(SHOWN) or bool(AS_TEXT.match(kind))
