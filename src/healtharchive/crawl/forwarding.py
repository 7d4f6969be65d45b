"""The head of a request that is passed on for somebody else (RFC 9110 §7.6)."""

from __future__ import annotations

import re
from collections.abc import Sequence

Fields = Sequence[tuple[str, str]]

# They belong to one connection (RFC 9110 §7.6.1), or say what we say ourselves.
OURS = frozenset(
    {
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "host",
        "content-length",
        "expect",
    }
)
# Content codings that are taken off again when the archive is read.
DECODED = ("gzip", "br", "identity")
WITH_CONTENT = ("POST", "PUT", "PATCH")
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
BREAKS = re.compile(r"[\r\n\0]+")


def forwarded_head(
    method: str, path: str, authority: str, fields: Fields, content_bytes: int
) -> bytes:
    """The request line and fields, up to the empty line. ValueError when `method` is no token."""
    if not TOKEN.fullmatch(method):
        raise ValueError(f"{method[:40]!r} is no method")
    lines = [f"{method} {path} HTTP/1.1", f"Host: {authority}"]
    lines += [f"{name}: {BREAKS.sub(' ', value)}" for name, value in _passed_on(fields)]
    if content_bytes or method in WITH_CONTENT:
        lines.append(f"Content-Length: {content_bytes}")
    lines.append("Connection: keep-alive")
    return _encode("\r\n".join(lines) + "\r\n\r\n")


def _passed_on(fields: Fields) -> list[tuple[str, str]]:
    named = {
        option.strip().lower()
        for name, value in fields
        if name.lower() == "connection"
        for option in value.split(",")
    }
    passed: list[tuple[str, str]] = []
    for name, value in fields:
        lower = name.lower()
        if lower in OURS or lower in named or lower.startswith("proxy-"):
            continue
        if TOKEN.fullmatch(name):
            passed.append((name, _decoded(value) if lower == "accept-encoding" else value))
    return passed


def _decoded(codings: str) -> str:
    """An Accept-Encoding that asks for nothing but what the archive decodes."""
    kept = [each.strip() for each in codings.split(",") if _is_decoded(each)]
    return ", ".join(kept) or "identity"


def _is_decoded(coding: str) -> bool:
    name, _, weight = coding.partition(";")
    refused = weight.replace(" ", "").lower().rstrip("0.") == "q="
    return name.strip().lower() in DECODED or (name.strip() == "*" and refused)


def _encode(head: str) -> bytes:
    """Bytes as the fields were read, which is Latin-1; UTF-8 for a head that is not."""
    try:
        return head.encode("latin-1")
    except UnicodeEncodeError:
        return head.encode("utf-8")
