"""Digests as WARC writes them: `sha256:` and lower-case hex, so `sha256sum` can check them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from isal import isal_zlib

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


def crc32_file(path: Path) -> int:
    """The CRC-32 of a file as ZIP has it. OSError when it cannot be read."""
    value = 0
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            value = isal_zlib.crc32(chunk, value)
    return value
