"""Style sheets: which URLs a piece of CSS loads."""

from __future__ import annotations

import re
from collections.abc import Iterator

# Comments and namespaces come first so that the URLs in them are passed over. Every repetition is
# possessive or ends at a character it excludes: the time is linear, whatever the sheet.
LOADED = re.compile(
    r"""/\*.*?(?:\*/|\Z)
    | @namespace\b[^;{}]*+
    | (?:url\(\s*+ | @import\s++ (?:url\(\s*+)? )
      (?: "((?:[^"\\\n]|\\.)*+)"
        | '((?:[^'\\\n]|\\.)*+)'
        | ((?:[^\s"'()\\;]|\\[0-9a-f]{1,6}+\s?+|\\.)++) )
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
ESCAPE = re.compile(r"\\(?:([0-9a-fA-F]{1,6})\s?|\n|(.))", re.DOTALL)
MAX_CODE_POINT = 0x10FFFF


def urls_in_css(text: str) -> Iterator[str]:
    """The URLs of url() and @import in their order, as they are written but unescaped."""
    folded = text.lower()
    if "url(" not in folded and "@import" not in folded:
        return
    for found in LOADED.finditer(text):
        raw = found[1] or found[2] or found[3]
        if raw and not raw.startswith("data:"):
            yield ESCAPE.sub(_character, raw) if "\\" in raw else raw


def _character(escape: re.Match[str]) -> str:
    """The character an escape stands for (CSS Syntax §4.3.7)."""
    if not escape[1]:
        return escape[2] or ""
    point = int(escape[1], 16)
    surrogate = 0xD800 <= point <= 0xDFFF
    return "\ufffd" if not point or surrogate or point > MAX_CODE_POINT else chr(point)
