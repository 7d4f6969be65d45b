"""WACZ layouts as files: what the bytes of a layout are, without a server."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from healtharchive.warc.wacz import Layout, Part


class LayoutFile(io.RawIOBase):
    """A layout as a seekable file; `content` gives the bytes of a part that is no literal."""

    def __init__(self, layout: Layout, content: Callable[[Part], bytes]) -> None:
        self._layout = layout
        self._content = content
        self._at = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._layout.size_bytes}
        self._at = base[whence] + offset
        return self._at

    def tell(self) -> int:
        """Where it stands."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read some bytes."""
        stop = min(self._at + len(buffer), self._layout.size_bytes)
        data = bytes_of(self._layout, self._content, self._at, stop)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def bytes_of(layout: Layout, content: Callable[[Part], bytes], start: int, stop: int) -> bytes:
    """The bytes of a layout from `start` to before `stop`."""
    found = layout.between(start, stop)
    return b"".join(
        content(part) if part.segment or part.derived or part.places else part.literal
        for part in found
    )
