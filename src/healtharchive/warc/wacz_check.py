"""A WACZ compared with itself as it streams by: the SHA-256 of each of its files, and of it all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from healtharchive.model.errors import BadInput
from healtharchive.warc.wacz import Layout, Placed


class Check:
    """Pieces of a whole WACZ, passed on. Its `sha256` is known when all of them were taken."""

    def __init__(self, layout: Layout, pieces: Iterable[bytes]) -> None:
        self._entries = iter(layout.entries)
        self._pieces = pieces
        self._whole = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Of all that has passed, in hex."""
        return self._whole.hexdigest()

    def passed(self) -> Iterator[bytes]:
        """The pieces. BadInput as soon as a file in them is not what it must be."""
        entry = next(self._entries, None)
        digest = hashlib.sha256()
        at = 0
        for piece in self._pieces:
            self._whole.update(piece)
            view, start = memoryview(piece), at
            at += len(piece)
            while entry is not None and entry.start <= at:
                end = entry.start + entry.size_bytes
                digest.update(view[max(0, entry.start - start) : max(0, end - start)])
                if end > at:
                    break
                _compare(entry, digest.hexdigest())
                entry, digest = next(self._entries, None), hashlib.sha256()
            yield piece


def _compare(entry: Placed, sha256: str) -> None:
    if sha256 != entry.sha256:
        raise BadInput(
            f"{entry.name} is not what was sealed: its SHA-256 is {sha256}, not {entry.sha256}.",
            "`healtharchive verify` names the damage.",
        )
