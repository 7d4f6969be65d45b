"""What a record carries: the HTTP head of its block, and the body after it without its chunks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from healtharchive.warc.fields import END_OF_FIELDS, NamedFields, parse
from healtharchive.warc.reader import WarcRecord

HTTP_TYPES = ("request", "response", "revisit")
HTTP_SCHEMES = ("http:", "https:")
# More than any server sends; a longer block without an empty line is taken as all body-less head.
HEAD_LIMIT_BYTES = 1 << 20
SIZE_LINE_LIMIT_BYTES = 1 << 14
SIZE_LIMIT_DIGITS = 16
HEX_DIGITS = frozenset(b"0123456789abcdefABCDEF")


@dataclass(frozen=True, slots=True)
class HttpHead:
    """The first line and fields of an HTTP message; `size_bytes` includes the empty line."""

    start_line: str
    headers: NamedFields
    size_bytes: int

    @property
    def status(self) -> int | None:
        """The status code of a response; None for a request or an unreadable line."""
        words = self.start_line.split(None, 2)
        plain = len(words) > 1 and words[1].isascii() and words[1].isdigit()
        return int(words[1]) if plain and len(words[1]) == 3 else None

    @property
    def chunked(self) -> bool:
        """Whether the body after it is framed in chunks (RFC 9112 §6.1: the last coding)."""
        return self.transfer_codings[-1:] == ("chunked",)

    @property
    def transfer_codings(self) -> tuple[str, ...]:
        """The transfer codings in the order they were put on.

        `identity` is none: RFC 2616 had it, and some servers say it beside a length that holds.
        """
        said = ",".join(self.headers.all("Transfer-Encoding")).lower().split(",")
        return tuple(each.strip() for each in said if each.strip() not in ("", "identity"))


def http_head(record: WarcRecord) -> HttpHead | None:
    """The HTTP head of a request, response or revisit; None for other records and empty blocks."""
    if record.record_type not in HTTP_TYPES or not record.block_bytes:
        return None
    said = record.headers.get("Content-Type", "").lower().startswith("application/http")
    if not said and not (record.target_uri or "").lower().startswith(HTTP_SCHEMES):
        return None
    return parse_head(record.block(HEAD_LIMIT_BYTES))


def parse_head(block: bytes) -> HttpHead:
    """The HTTP head a block begins with; all of the block if it has no empty line."""
    found = END_OF_FIELDS.search(block)
    head = block[: found.end()] if found else block
    start_line, headers = parse(head)
    return HttpHead(start_line, headers, len(head))


def payload_stream(record: WarcRecord) -> Iterator[bytes]:
    """The payload (WARC 1.1 §2): the HTTP body without its chunks, or the block of others.

    Content codings (gzip, br) stay as they were sent.
    """
    head = http_head(record)
    unread = head.size_bytes if head else 0
    dechunker = Dechunker() if head and head.chunked else None
    for piece in record.block_stream():
        body = piece[unread:]
        unread = max(0, unread - len(piece))
        yield dechunker.feed(body) if dechunker else body


class Dechunker:
    """Takes the chunks' framing off a body that comes in pieces (RFC 9112 §7.1).

    Where the framing breaks, the body ends: `malformed` is then True. Trailers are dropped.
    """

    def __init__(self) -> None:
        self.finished = False
        self.malformed = False
        self._line = b""
        self._left = 0
        self._after_chunk = False

    def feed(self, data: bytes) -> bytes:
        """The body bytes that these framed bytes add."""
        body: list[bytes] = []
        while data and not self.finished:
            if not self._left:
                data = self._read_line(data)
                continue
            body.append(data[: self._left])
            data = data[self._left :]
            self._left -= len(body[-1])
        return b"".join(body)

    def _read_line(self, data: bytes) -> bytes:
        """Take up to one line off `data`: a chunk's size, or the line break after a chunk."""
        line, feed, rest = data.partition(b"\n")
        self._line += line
        if not feed:
            self._stop(malformed=len(self._line) > SIZE_LINE_LIMIT_BYTES)
            return b""
        text, self._line = self._line.strip(), b""
        if self._after_chunk:
            self._after_chunk = False
            self._stop(malformed=bool(text))
        else:
            self._begin_chunk(text.partition(b";")[0].strip())
        return rest

    def _begin_chunk(self, size: bytes) -> None:
        if not size or len(size) > SIZE_LIMIT_DIGITS or not HEX_DIGITS.issuperset(size):
            self._stop(malformed=True)
            return
        self._left = int(size, 16)
        self._after_chunk = True
        self.finished = not self._left

    def _stop(self, *, malformed: bool) -> None:
        self.malformed = self.finished = malformed
