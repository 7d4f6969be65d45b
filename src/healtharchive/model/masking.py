"""Takes secrets out of text that people will read: a log, a reason. Pure."""

from __future__ import annotations

import re

MASK = "***"
USER_INFO = re.compile(r"(?<=://)[^/\s?#@]+@")
NAMED = re.compile(
    r"(?i)\b((?:[a-z0-9-]*[_-])?(?:password|passwd|pwd|secret|token|api-?_?key|signature|session-?_?id)"
    r"\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|[^\s&;,\"']+)"
)
HEADER = re.compile(
    r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie)(\s*[:=]\s*)(?:basic |bearer |digest )?\S.*"
)


def masked(text: str) -> str:
    """The text without who logs in where, values that are named like secrets, and cookies."""
    text = USER_INFO.sub(f"{MASK}@", text)
    text = HEADER.sub(rf"\1\2{MASK}", text)
    return NAMED.sub(rf"\1{MASK}", text)
