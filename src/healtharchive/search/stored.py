"""Reading one stored record wherever it lies: on the local disk, or else in a copy on a target.

Whoever calls this may hang on a dead mount: it is for children with a deadline. A child without
one fetches with `fetch_in_child`, which has its own. Run as a program, this is that child.
"""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from healtharchive.model.blame import EngineMissing, classify
from healtharchive.model.errors import BadInput, HealthArchiveError, SetupError
from healtharchive.model.target import SegmentCopy, TargetKind
from healtharchive.model.wire import from_line, to_line
from healtharchive.storage.errand import abandon
from healtharchive.storage.object_look import require_identity
from healtharchive.storage.places import place_for
from healtharchive.warc.reader import WarcRecord, read_record

MEMORY_BYTES = 16 << 20  # a longer record that was fetched lies in a temporary file
PIECE_BYTES = 1 << 18
# So that a server which does not answer is told from our own side, before the reader's deadline.
CONNECT_SECONDS = 5.0
CHILD_SECONDS = 60.0
COMMAND = (sys.executable, "-P", "-m", "healtharchive.search.stored")


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a record lies: `length` bytes of a WARC file from byte `offset` on.

    The file is at `path` until it is released from the local disk; `copies` are the same file.
    """

    path: str
    offset: int
    length: int
    copies: tuple[SegmentCopy, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A record that was read, and the file or stream that its bytes lie in."""

    record: WarcRecord
    source: str | BinaryIO
    length: int

    def raw(self) -> Iterator[bytes]:
        """The record's bytes as they lie in the file, in pieces."""
        with contextlib.ExitStack() as undo:
            source = self.source
            file = undo.enter_context(open(source, "rb")) if isinstance(source, str) else source
            file.seek(self.record.offset)
            left = self.length
            while left and (piece := file.read(min(left, PIECE_BYTES))):
                left -= len(piece)
                yield piece


class OutOfReach(SetupError):
    """A target has the record and cannot be read now; nothing is wrong with the record."""


# The bytes of a stored record in one of its copies. OSError, EngineMissing or a HealthArchiveError
# when the copy cannot be read.
Fetch = Callable[[Stored, SegmentCopy], Iterable[bytes]]


def fetch(stored: Stored, copy: SegmentCopy) -> Iterator[bytes]:
    """Just the record's bytes, from the target itself."""
    kind, root = copy.target.kind, copy.target.root
    if kind is TargetKind.LOCAL and not os.path.isdir(root):
        raise OSError(errno.ENODEV, "its directory is not there", root)  # and is not made
    with contextlib.closing(place_for(copy.target, os.environ, CONNECT_SECONDS)) as place:
        require_identity(place, copy.target, copy.identity)
        yield from place.read(copy.name, stored.offset, stored.length)


def find(stored: Stored, fetch: Fetch = fetch) -> Found:
    """The record from the first place that has it whole, the local disk before the copies.

    OutOfReach: one that may have it cannot be read now. BadInput: it is damaged wherever it is.
    FileNotFoundError: no place has it. Another OSError is the local disk's.
    """
    troubles: list[Exception] = []
    try:
        record = read_record(stored.path, stored.offset, stored.length)
        return Found(record, stored.path, stored.length)
    except (OSError, BadInput) as error:
        troubles.append(error)
    for copy in stored.copies:
        try:
            return _from_copy(stored, copy, fetch)
        except (OutOfReach, BadInput, FileNotFoundError) as error:
            troubles.append(error)
    # Raised here, where no error is being handled: the classifier would ask its context first.
    raise min(troubles, key=rank)


def rank(trouble: Exception) -> int:
    """Which trouble counts: what may pass before what is damaged before what is not there."""
    if isinstance(trouble, OutOfReach):
        return 0
    if isinstance(trouble, FileNotFoundError):
        return 3
    return 1 if isinstance(trouble, OSError) else 2


def _from_copy(stored: Stored, copy: SegmentCopy, fetch: Fetch) -> Found:
    if copy.sick:
        raise out_of_reach(copy, "its breaker is not closed")
    kept = cast(BinaryIO, tempfile.SpooledTemporaryFile(MEMORY_BYTES))  # noqa: SIM115 (the record's)
    reason = ""
    try:
        for piece in fetch(stored, copy):
            kept.write(piece)
    except FileNotFoundError:
        raise
    except (OSError, EngineMissing, HealthArchiveError) as error:
        reason = str(error) if isinstance(error, HealthArchiveError) else classify(error).reason
    if reason:
        raise out_of_reach(copy, reason)
    return Found(read_record(kept, 0, stored.length), kept, stored.length)


def out_of_reach(copy: SegmentCopy, reason: str) -> OutOfReach:
    """The error for a copy that cannot be read now."""
    return OutOfReach(
        f"{copy.name} is needed from target '{copy.target.name}', which cannot be read: {reason}.",
        "`healtharchive storage status` shows how it is.",
    )


# -- in a child ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Order:
    stored: Stored
    copy: SegmentCopy


@dataclass(frozen=True, slots=True)
class _Told:
    """The child's first line; the bytes come after it."""

    errno: int = 0
    reason: str = ""


def fetch_in_child(stored: Stored, copy: SegmentCopy) -> list[bytes]:
    """The same by a child that is killed after a deadline, and left behind if it cannot die."""
    process = subprocess.Popen(
        COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, cwd="/"
    )
    try:
        output, _ = process.communicate(to_line(_Order(stored, copy)), CHILD_SECONDS)
    except subprocess.TimeoutExpired:
        abandon(process)
        raise OSError(errno.ETIMEDOUT, "no answer within the deadline", copy.name) from None
    line, _, record = output.partition(b"\n")
    if not line:
        raise OSError(errno.EIO, "its reader ended without an answer", copy.name)
    told = from_line(_Told, line)
    if told.errno:
        raise OSError(told.errno, told.reason, copy.name)
    if told.reason:
        raise SetupError(told.reason)
    return [record]


def main() -> int:
    """Fetch one record: its order on stdin, an answer and the bytes on stdout."""
    order = from_line(_Order, sys.stdin.buffer.readline())
    try:
        record = b"".join(fetch(order.stored, order.copy))
        told = _Told()
    except OSError as error:
        record, told = b"", _Told(error.errno or errno.EIO, error.strerror or str(error))
    except (EngineMissing, HealthArchiveError) as error:
        record, told = b"", _Told(reason=str(error))
    sys.stdout.buffer.write(to_line(told) + record)
    return 0


if __name__ == "__main__":
    sys.exit(main())
