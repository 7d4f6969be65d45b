"""Takes secrets out of text that people will read: a log, a reason. Pure."""

from __future__ import annotations

import re

MASK = "***"
# Up to the last @: people put one into a password, too.
USER_INFO = re.compile(r"(?<=://)[^/\s?#]+@")
NAMED = re.compile(
    r"(?i)(?<![\w-])([\w-]*(?:password|passwd|passphrase|pwd|secret|token|signature|\bsig"
    r"|(?:api|access|account|private|secret)[_-]?key|sess(?:ion)?[_-]?id)"
    r"[\"']?\s*[=:]\s*)(b?\"[^\"]*\"|b?'[^']*'|[^\s&;,\"'})]+)"
)
BEARER = re.compile(r"(?i)\b(bearer\s+)[\w.~+/-]{16,}=*")
HEADER = re.compile(
    r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie)((?:[\"']\s*,|[\"']?\s*[:=])\s*)\S.*"
)


def masked(text: str) -> str:
    """The text without who logs in where, values that are named like secrets, and cookies."""
    text = USER_INFO.sub(f"{MASK}@", text)
    text = HEADER.sub(rf"\1\2{MASK}", text)
    text = BEARER.sub(rf"\1{MASK}", text)
    return NAMED.sub(rf"\1{MASK}", text)
