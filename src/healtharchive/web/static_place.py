"""The files that dress and enliven our own pages, at addresses that change with their content."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

STATIC = Path(__file__).parent / "static"


def has(name: str) -> bool:
    """Whether the file is there: some are fetched by scripts/."""
    return (STATIC / name).is_file()


@cache
def version(name: str) -> str:
    """What changes when, and only when, the file's content does."""
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]


def address(name: str) -> str:
    """Where a page loads the file from."""
    return f"/static/{name}?v={version(name)}"
