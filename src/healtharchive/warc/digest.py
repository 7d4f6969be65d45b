"""Digests as WARC writes them: `sha256:` and lower-case hex, so `sha256sum` can check them."""

from __future__ import annotations

import hashlib
from pathlib import Path

CHUNK_BYTES = 1 << 20


def label(hex_digest: str) -> str:
    """A digest as a WARC header value (WARC 1.1 §5.8: algorithm ":" value)."""
    return f"sha256:{hex_digest}"


def sha256_hex(data: bytes) -> str:
    """The SHA-256 of some bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> tuple[str, int]:
    """The SHA-256 of a file in hex, and its size in bytes. OSError when it cannot be read."""
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size
