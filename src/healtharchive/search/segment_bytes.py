"""A stretch of a segment's bytes, from the local disk or from whichever copy can be read.

As with `stored`: whoever calls this may hang on a dead mount, so it is for children with a
deadline.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from healtharchive.model.blame import EngineMissing, classify
from healtharchive.model.errors import BadInput, HealthArchiveError
from healtharchive.model.target import SegmentCopy, TargetKind
from healtharchive.search.stored import CONNECT_SECONDS, OutOfReach, Stored, out_of_reach, rank
from healtharchive.storage.object_look import require_identity
from healtharchive.storage.places import place_for

PIECE_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Stretch:
    """`stored.length` bytes of a segment that has `file_bytes` bytes in all."""

    stored: Stored
    file_bytes: int


def read_stretch(stretch: Stretch) -> Iterator[bytes]:
    """Exactly the stretch's bytes, in pieces; where one place fails, the next one goes on.

    A file of another size is not the segment. OutOfReach, BadInput, FileNotFoundError or OSError
    as `stored.find` raises them, perhaps after some pieces.
    """
    troubles: list[Exception] = []
    left = stretch
    for pieces in _places(stretch):
        try:
            for piece in pieces(left):
                piece = piece[: left.stored.length]
                yield piece
                left = _after(left, len(piece))
                if not left.stored.length:
                    return
        except (OutOfReach, BadInput, OSError) as error:
            troubles.append(error)
    if left.stored.length:
        raise min(troubles, key=rank) if troubles else _short(stretch)


def _places(stretch: Stretch) -> Iterator[Callable[[Stretch], Iterator[bytes]]]:
    yield _local
    for copy in stretch.stored.copies:
        yield lambda left, copy=copy: _from_copy(left, copy)  # type: ignore[misc]


def _after(left: Stretch, count: int) -> Stretch:
    stored = left.stored
    moved = replace(stored, offset=stored.offset + count, length=stored.length - count)
    return replace(left, stored=moved)


def _local(left: Stretch) -> Iterator[bytes]:
    stored = left.stored
    descriptor = os.open(stored.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check_size(stored.path, os.fstat(descriptor).st_size, left.file_bytes)
        offset, end = stored.offset, stored.offset + stored.length
        while offset < end:
            piece = os.pread(descriptor, min(PIECE_BYTES, end - offset), offset)
            if not piece:
                raise OSError(errno.EIO, "the file has become shorter", stored.path)
            yield piece
            offset += len(piece)
    finally:
        os.close(descriptor)


def _from_copy(left: Stretch, copy: SegmentCopy) -> Iterator[bytes]:
    if copy.sick:
        raise out_of_reach(copy, "its breaker is not closed")
    try:
        yield from _fetched(left, copy)
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = classify(error).reason
    except (EngineMissing, HealthArchiveError) as error:
        if isinstance(error, BadInput):
            raise
        reason = str(error)
    else:
        return
    raise out_of_reach(copy, reason)


def _fetched(left: Stretch, copy: SegmentCopy) -> Iterator[bytes]:
    kind, root = copy.target.kind, copy.target.root
    if kind is TargetKind.LOCAL and not os.path.isdir(root):
        raise OSError(errno.ENODEV, "its directory is not there", root)  # and is not made
    with contextlib.closing(place_for(copy.target, os.environ, CONNECT_SECONDS)) as place:
        require_identity(place, copy.target, copy.identity)
        size = place.size(copy.name)
        if size is None:
            raise FileNotFoundError(errno.ENOENT, "it is not there", copy.name)
        _check_size(copy.name, size, left.file_bytes)
        yield from place.read(copy.name, left.stored.offset, left.stored.length)


def _check_size(name: str, size: int, file_bytes: int) -> None:
    if size != file_bytes:
        raise BadInput(f"{name} has {size} bytes; when it was sealed it had {file_bytes}.")


def _short(stretch: Stretch) -> OSError:
    return OSError(errno.EIO, "the file ended early", stretch.stored.path)
