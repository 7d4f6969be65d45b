"""Reading WARC files: every record that can be read, and what is wrong with the others.

Damage never stops the reading: it is yielded as a BadRecord, and reading goes on at the next
record that can be found. OSError passes through, for an unreadable disk is no damaged record.
Memory is bounded by BLOCK_KEEP_BYTES and HEADER_LIMIT_BYTES, whatever the file claims.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from healtharchive.model.errors import BadInput
from healtharchive.warc.fields import END_OF_FIELDS, NamedFields, parse
from healtharchive.warc.members import (
    RECORD_MAGIC,
    WINDOW_BYTES,
    Damaged,
    GzipMember,
    Patience,
    PlainRegion,
    WarcBytes,
    WarcSource,
    is_compressed,
    next_member,
    next_plain,
)

HEADER_LIMIT_BYTES = 1 << 20
LEAST_WINDOW_BYTES = 1 << 12
# A block up to this size stays in memory with its record; a longer one is inflated again on demand.
BLOCK_KEEP_BYTES = 8 << 20
TRAILER_LIMIT_BYTES = 1 << 16
RECORD_END = b"\r\n\r\n"
VERSIONS = ("WARC/1.0", "WARC/1.1")
MANDATORY = ("WARC-Type", "WARC-Record-ID", "WARC-Date")
MAX_LENGTH_DIGITS = 18


@dataclass(frozen=True, slots=True)
class WarcRecord:
    """One readable record. `offset` and `length` are its bytes in the file, compressed ones.

    `problems` are faults that do not keep it from being read. The block is exactly
    `block_bytes` long.
    """

    offset: int
    length: int
    version: str
    record_type: str
    record_id: str
    target_uri: str | None
    date: datetime | None
    headers: NamedFields
    block_bytes: int
    problems: tuple[str, ...]
    _kept: bytes = field(repr=False)
    _head_bytes: int = field(repr=False)
    _compressed: bool = field(repr=False)
    _source: WarcSource = field(repr=False, compare=False)

    def block(self, max_bytes: int | None = None) -> bytes:
        """The first `max_bytes` of the block, or all of it."""
        wanted = self.block_bytes if max_bytes is None else min(max_bytes, self.block_bytes)
        if wanted <= len(self._kept):
            return self._kept[:wanted]
        pieces: list[bytes] = []
        for piece in self.block_stream():
            pieces.append(piece[:wanted])
            wanted -= len(pieces[-1])
            if not wanted:
                break
        return b"".join(pieces)

    def block_stream(self) -> Iterator[bytes]:
        """The block in pieces, in constant memory. BadInput when the file has changed since."""
        if len(self._kept) == self.block_bytes:
            yield self._kept
            return
        with WarcBytes(self._source) as source:
            try:
                yield from _stretch(self._open(source), self._head_bytes, self.block_bytes)
            except Damaged as damage:
                raise unreadable(self._source, self.offset, damage.reason) from None

    def _open(self, source: WarcBytes) -> GzipMember | PlainRegion:
        return (GzipMember if self._compressed else PlainRegion)(source, self.offset)


@dataclass(frozen=True, slots=True)
class BadRecord:
    """`length` bytes from `offset` that hold no readable record, up to the next one found.

    `torn`: the file ends before the record does. Id and URL are known if the header was readable.
    """

    offset: int
    length: int
    reason: str
    torn: bool = False
    record_id: str | None = None
    target_uri: str | None = None


def read_records(source: WarcSource, *, start: int = 0) -> Iterator[WarcRecord | BadRecord]:
    """Every record from byte `start` on. A stream must be seekable and stay open meanwhile."""
    with WarcFile(source) as warc:
        yield from warc.records(start)


def read_record(source: WarcSource, offset: int, length: int | None = None) -> WarcRecord:
    """The record at `offset`; with its `length`, in a single read. BadInput when it is damaged."""
    window_bytes = min(max(length or WINDOW_BYTES, LEAST_WINDOW_BYTES), BLOCK_KEEP_BYTES)
    with WarcFile(source, window_bytes) as warc:
        record = warc.record_at(offset)
    if isinstance(record, BadRecord):
        raise unreadable(source, offset, record.reason)
    return record


def unreadable(source: WarcSource, offset: int, reason: str) -> BadInput:
    """The error for a record that somebody asked for and that cannot be read."""
    name = getattr(source, "name", source)
    return BadInput(
        f"The WARC record at byte {offset} of {name} cannot be read: {reason}.",
        f"See what else is wrong with the file: healtharchive verify {name}",
    )


class WarcFile(WarcBytes):
    """A WARC file, compressed or plain, open for reading its records."""

    def __init__(self, source: WarcSource, window_bytes: int = WINDOW_BYTES) -> None:
        super().__init__(source, window_bytes)
        self.compressed = is_compressed(self)
        self._patience = Patience(self.size)

    def records(self, start: int = 0, stop: int | None = None) -> Iterator[WarcRecord | BadRecord]:
        """The records and the damage that begin from byte `start` to before `stop`."""
        stop = self.size if stop is None else stop
        offset = start
        while offset < stop:
            attempt = _Attempt(self, offset, self.compressed)
            record = attempt.run()
            following = attempt.end
            if following is None:
                following = self._after_damage(attempt)
            if isinstance(record, BadRecord):
                record = self._measured(record, following)
            yield record
            offset = max(following, offset + 1)

    def record_at(self, offset: int) -> WarcRecord | BadRecord:
        """What is at `offset`. The length of a damaged record is not known."""
        if not 0 <= offset < self.size:
            return BadRecord(offset, 0, f"the file has only {self.size} bytes", torn=True)
        return _Attempt(self, offset, self.compressed).run()

    def next_start(self, start: int, stop: int) -> int | None:
        """Where the first record begins, from `start` to before `stop`; None without one."""
        search = next_member if self.compressed else next_plain
        return search(self, start, stop, self._patience)

    def _after_damage(self, attempt: _Attempt) -> int:
        if not self._patience.spend(attempt.inflated_bytes):
            return self.size
        found = self.next_start(attempt.offset + 1, self.size)
        return self.size if found is None else found

    def _measured(self, record: BadRecord, following: int) -> BadRecord:
        torn = record.torn and following == self.size
        reason = record.reason
        if following == self.size and self._patience.left <= 0:
            reason += "; too much of the file is damaged to look for what follows"
        length = following - record.offset
        return BadRecord(record.offset, length, reason, torn, record.record_id, record.target_uri)


class _Attempt:
    """One try at reading a record. Afterwards `end` is where the next should begin, if known."""

    def __init__(self, source: WarcBytes, offset: int, compressed: bool) -> None:
        self.offset = offset
        self.end: int | None = None
        self._source = source
        self._compressed = compressed
        self._part = (GzipMember if compressed else PlainRegion)(source, offset)
        self._headers = NamedFields(())
        self._problems: list[str] = []

    @property
    def inflated_bytes(self) -> int:
        return self._part.inflated_bytes

    def run(self) -> WarcRecord | BadRecord:
        try:
            return self._read()
        except Damaged as damage:
            return BadRecord(
                self.offset,
                0,
                damage.reason,
                damage.torn,
                self._headers.get("WARC-Record-ID"),
                self._headers.get("WARC-Target-URI"),
            )

    def _read(self) -> WarcRecord:
        head, rest = self._read_head()
        version, self._headers = parse(head)
        self._check_header(version, head)
        block_bytes = self._block_bytes()
        if isinstance(self._part, GzipMember):
            kept, tail = self._read_block(rest, block_bytes)
            self._close_member(self._part, tail)
            length = self._part.length
        else:
            length = self._close_plain(len(head) + block_bytes)
            kept, _ = self._read_block(rest, min(block_bytes, BLOCK_KEEP_BYTES))
        return self._record(version, length, block_bytes, kept, len(head))

    def _record(
        self, version: str, length: int, block_bytes: int, kept: bytes, head_bytes: int
    ) -> WarcRecord:
        date = self._headers.get("WARC-Date")
        moment = parse_date(date) if date else None
        if date and not moment:
            self._problems.append(f"WARC-Date {date!r} is no date")
        return WarcRecord(
            offset=self.offset,
            length=length,
            version=version,
            record_type=self._headers.get("WARC-Type", "").lower(),
            record_id=self._headers.get("WARC-Record-ID", ""),
            target_uri=_target(self._headers.get("WARC-Target-URI")),
            date=moment,
            headers=self._headers,
            block_bytes=block_bytes,
            problems=tuple(self._problems),
            _kept=kept,
            _head_bytes=head_bytes,
            _compressed=self._compressed,
            _source=self._source.source,
        )

    def _read_head(self) -> tuple[bytes, bytes]:
        """The header with its empty line, and what was read of the block with it."""
        data = b""
        while len(data) < len(RECORD_MAGIC) and (more := self._part.read()):
            data += more
        if not data.startswith(RECORD_MAGIC):
            torn = not self._compressed and RECORD_MAGIC.startswith(data)
            raise Damaged("no WARC record begins here", torn=torn)
        while not (found := END_OF_FIELDS.search(data)):
            if len(data) > HEADER_LIMIT_BYTES:
                raise Damaged(f"its header is longer than {HEADER_LIMIT_BYTES} bytes")
            more = self._part.read()
            if not more:
                raise Damaged("its header has no end", torn=not self._compressed)
            data += more
        return data[: found.end()], data[found.end() :]

    def _check_header(self, version: str, head: bytes) -> None:
        if version not in VERSIONS:
            self._problems.append(f"its version {version[:20]!r} is not WARC/1.0 or WARC/1.1")
        if not head.endswith(RECORD_END):
            self._problems.append("its header lines do not all end with CR LF")
        self._problems += [f"{name} is missing" for name in MANDATORY if name not in self._headers]
        if self._headers.malformed:
            self._problems.append(f"a header line is no field: {self._headers.malformed[0][:60]!r}")

    def _block_bytes(self) -> int:
        values = set(self._headers.all("Content-Length"))
        if not values:
            raise Damaged("Content-Length is missing")
        value = values.pop()
        plain = value.isascii() and value.isdigit() and len(value) <= MAX_LENGTH_DIGITS
        if values or not plain:
            raise Damaged(f"Content-Length {value[:40]!r} is not one number")
        return int(value)

    def _read_block(self, data: bytes, block_bytes: int) -> tuple[bytes, bytes]:
        """Read the whole block: its first bytes to keep, and what was read after its end."""
        kept: list[bytes] = []
        room = BLOCK_KEEP_BYTES
        left = block_bytes
        while True:
            block = data[:left]
            kept.append(block[:room])
            room -= len(kept[-1])
            left -= len(block)
            if not left:
                return b"".join(kept), data[len(block) :]
            data = self._part.read()
            if not data:
                if isinstance(self._part, GzipMember):
                    self.end = self.offset + self._part.length
                raise Damaged(f"its block is {left} bytes shorter than its Content-Length")

    def _close_member(self, member: GzipMember, tail: bytes) -> None:
        """Read the member to its end, which proves its checksum."""
        while len(tail) <= TRAILER_LIMIT_BYTES and (more := member.read()):
            tail += more
        if len(tail) > TRAILER_LIMIT_BYTES:
            self._problems.append("its gzip member goes on after it, as if it held more records")
            return
        self.end = self.offset + member.length
        if tail != RECORD_END:
            self._problems.append(_ending_fault(tail))

    def _close_plain(self, record_bytes: int) -> int:
        """See that the record ends where it says; its length without the line breaks after it."""
        end = self.offset + record_bytes
        if end > self._source.size:
            raise Damaged("the file ends inside the record", torn=True)
        tail = self._source.exactly(end, len(RECORD_END) + len(RECORD_MAGIC))
        following = tail.lstrip(b"\r\n")
        breaks = len(tail) - len(following)
        if following and not following.startswith(RECORD_MAGIC[: len(following)]):
            raise Damaged("it does not end where its Content-Length says")
        if not tail.startswith(RECORD_END):
            self._problems.append(_ending_fault(tail[:breaks]))
        self.end = end + breaks
        return record_bytes


def _ending_fault(tail: bytes) -> str:
    after = tail.removeprefix(RECORD_END)
    if len(after) < len(tail) and after.startswith(RECORD_MAGIC):
        return "its gzip member holds more than one record: only the first can be read"
    return f"after its block come {len(tail)} bytes {tail[:12]!r} instead of two line breaks"


def _target(value: str | None) -> str | None:
    # wget 1.19 and WARC 1.0's grammar wrote <http://…>.
    if value and value.startswith("<") and value.endswith(">"):
        return value[1:-1]
    return value


def parse_date(value: str) -> datetime | None:
    """A WARC-Date as an aware moment; None when it is none. Shortened ones count from the start."""
    padded = value + {4: "-01-01", 7: "-01"}.get(len(value), "")
    try:
        moment = datetime.fromisoformat(padded)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _stretch(part: GzipMember | PlainRegion, begin: int, count: int) -> Iterator[bytes]:
    """`count` inflated bytes of a part from its byte `begin` on."""
    while count:
        data = part.read()
        if not data:
            raise Damaged("it has become shorter", torn=True)
        piece = data[begin : begin + count]
        begin = max(0, begin - len(data))
        count -= len(piece)
        if piece:
            yield piece
