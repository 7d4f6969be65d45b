"""Where an HTTP/1.1 response ends in the bytes that come in (RFC 9112 §6), byte for byte.

Tolerant as browsers are: bare line feeds end lines, a wrong length is taken at its word.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from healtharchive.warc.fields import END_OF_FIELDS
from healtharchive.warc.payload import HEX_DIGITS, SIZE_LIMIT_DIGITS, HttpHead, parse_head

HEAD_LIMIT_BYTES = 256 * 1024
LINE_LIMIT_BYTES = 16 * 1024
BODILESS = (204, 304)


class Malformed(ValueError):
    """The bytes are no HTTP/1.x response."""


@dataclass(frozen=True, slots=True)
class Fed:
    """What became of some bytes: how many belong to this response, and the entity in them."""

    consumed: int
    entity: tuple[bytes, ...]


def take_head(buffer: bytes | bytearray) -> HttpHead | None:
    """The response head that the buffer begins with; None while it is not whole.

    Malformed when it cannot become one.
    """
    if not b"HTTP/".startswith(bytes(buffer[:5])) and buffer[:5] != b"HTTP/":
        raise Malformed("it does not begin with HTTP/")
    found = END_OF_FIELDS.search(buffer)
    if found is None:
        if len(buffer) > HEAD_LIMIT_BYTES:
            raise Malformed(f"its head is longer than {HEAD_LIMIT_BYTES} bytes")
        return None
    head = parse_head(bytes(buffer[: found.end()]))
    if head.status is None:
        raise Malformed(f"its status line is {head.start_line[:80]!r}")
    return head


def keeps_alive(head: HttpHead) -> bool:
    """Whether the connection may carry another request after this response (RFC 9112 §9.3)."""
    options = ",".join(head.headers.all("Connection")).lower()
    if "close" in options:
        return False
    return head.start_line.startswith("HTTP/1.1") or "keep-alive" in options


class Body:
    """Counts the bytes of one response's body. `ended` when all have been fed.

    `needs_close`: only the end of the connection ends it. `broken`: its framing is not readable.
    """

    needs_close = False
    ended = False
    broken = False

    def feed(self, data: bytes) -> Fed:
        """Take the bytes that belong to this body from the beginning of `data`."""
        raise NotImplementedError


class NoBody(Body):
    """A response that has none, whatever its fields say."""

    ended = True

    def feed(self, data: bytes) -> Fed:
        return Fed(0, ())


class SizedBody(Body):
    """A body of a length known beforehand."""

    def __init__(self, length: int) -> None:
        self._left = length
        self.ended = length == 0

    def feed(self, data: bytes) -> Fed:
        piece = data[: self._left]
        self._left -= len(piece)
        self.ended = self._left == 0
        return Fed(len(piece), (piece,))


class ClosedBody(Body):
    """A body that lasts as long as its connection."""

    needs_close = True

    def feed(self, data: bytes) -> Fed:
        return Fed(len(data), (data,))


class _Expecting(Enum):
    SIZE = "size"
    DATA = "data"
    DATA_END = "data end"
    TRAILER = "trailer"


class ChunkedBody(Body):
    """A body in chunks (RFC 9112 §7.1), with extensions and trailers."""

    def __init__(self) -> None:
        self._expecting = _Expecting.SIZE
        self._left = 0
        self._line = b""

    def feed(self, data: bytes) -> Fed:
        at = 0
        entity: list[bytes] = []
        while at < len(data) and not self.ended and not self.broken:
            if self._expecting is _Expecting.DATA:
                piece = data[at : at + self._left]
                entity.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._expecting = _Expecting.DATA_END
            else:
                at = self._read_line(data, at)
        return Fed(at, tuple(entity))

    def _read_line(self, data: bytes, at: int) -> int:
        feed = data.find(b"\n", at)
        end = len(data) if feed < 0 else feed + 1
        self._line += data[at:end]
        if len(self._line) > LINE_LIMIT_BYTES:
            self.broken = True
        elif feed >= 0:
            line, self._line = self._line.strip(), b""
            self._take_line(line)
        return end

    def _take_line(self, line: bytes) -> None:
        if self._expecting is _Expecting.TRAILER:
            self.ended = not line
        elif self._expecting is _Expecting.DATA_END:
            self.broken = bool(line)
            self._expecting = _Expecting.SIZE
        else:
            self._take_size(line.partition(b";")[0].strip())

    def _take_size(self, size: bytes) -> None:
        if not size or len(size) > SIZE_LIMIT_DIGITS or not HEX_DIGITS.issuperset(size):
            self.broken = True
            return
        self._left = int(size, 16)
        self._expecting = _Expecting.DATA if self._left else _Expecting.TRAILER


def body_of(head: HttpHead, method: str = "GET") -> Body:
    """How the body after this head of an answer to such a request is framed (RFC 9112 §6.3)."""
    status = head.status or 0
    if method == "HEAD" or status in BODILESS or status < 200:
        return NoBody()
    if head.chunked:
        return ChunkedBody()
    if head.transfer_codings:
        return ClosedBody()  # whatever length it names
    lengths = {
        each.strip() for value in head.headers.all("Content-Length") for each in value.split(",")
    }
    if len(lengths) == 1:
        (length,) = lengths
        if length.isascii() and length.isdigit() and len(length) < 19:
            return SizedBody(int(length))
    # No length, or lengths that contradict each other: what comes until the end is the body.
    return ClosedBody()
