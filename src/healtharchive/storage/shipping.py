"""Shipping: a sealed segment gets a copy on a target that is known to be good."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from healtharchive.model.shipments import Parcel, Receipt
from healtharchive.storage import manifest
from healtharchive.storage.places import PIECE_BYTES, Place, Watch, digest, partial_name
from healtharchive.storage.refusals import Differs, LocalTrouble, Occupied, local_file

if TYPE_CHECKING:
    from hashlib import _Hash

# Told what is being done ("sending", "published", "reading back") and how many bytes of it.
Tell = Callable[[str, int], None]


def ship_one(
    place: Place, segment: Parcel, *, token: str = "", throttle: Watch, tell: Tell
) -> Receipt:
    """Make the target have the segment, re-read whole and in its manifest; returns the receipt.

    The local file is only read. Whatever ends this in the midst, calling it again finishes it, and
    no byte is seen under the final name before all are there. `throttle` is called with the size of
    each piece that is sent or read back; it may wait, and what it raises ends the shipping.

    Differs: the copy was bad, and was removed. LocalTrouble: the local file is. Occupied: the name
    belongs to another archive. Any other OSError is the target's, with its errno.
    """
    began = time.monotonic()
    resumed_at = sent = 0
    present = _is_there(place, segment, _counting(throttle, tell, "reading back"))
    if not present:
        resumed_at, sent = _send(place, segment, partial_name(segment.name, token), throttle, tell)
        tell("published", segment.size_bytes)
        _read_back(place, segment, _counting(throttle, tell, "reading back"))
    manifest.note(place, segment)
    return Receipt(
        segment.name,
        segment.size_bytes,
        segment.sha256,
        already_there=present,
        resumed_at_bytes=resumed_at,
        sent_bytes=sent,
        elapsed_seconds=time.monotonic() - began,
    )


def _is_there(place: Place, segment: Parcel, watch: Watch) -> bool:
    """Whether the final file is there and good: a rename whose answer was lost, for one.

    A bad one is left until the good one takes its place.
    """
    size = place.size(segment.name)
    if size is None:
        return False
    line = manifest.line_for(place, segment.name)
    is_ours = line is None or line.get("sha256") == segment.sha256
    if size != segment.size_bytes and is_ours:
        return False
    found, size = digest(place, segment.name, watch)
    if line is not None and not is_ours and line.get("sha256") == found:
        raise Occupied(segment.name)
    return (found, size) == (segment.sha256, segment.size_bytes)


def _send(
    place: Place, segment: Parcel, partial: str, throttle: Watch, tell: Tell
) -> tuple[int, int]:
    """Write the partial and publish it; (where it was resumed, bytes sent)."""
    seen = hashlib.sha256()
    with local_file(segment.path):
        source: BinaryIO = open(segment.path, "rb")  # noqa: SIM115 (closed by the next block)
    with source:
        _expect_size(segment, os.fstat(source.fileno()).st_size)
        start = place.agreed(partial, source, throttle)
        _hash_prefix(segment, source, start, seen)
        place.write(partial, _pieces(segment, source, seen, throttle, tell), start)
    if seen.hexdigest() != segment.sha256:
        place.remove(partial)
        what = f"its SHA-256 is {seen.hexdigest()}, at its seal it was {segment.sha256}"
        raise LocalTrouble(errno.EBADMSG, what, segment.path)
    written = place.size(partial)
    if written != segment.size_bytes:
        place.remove(partial)
        raise Differs(segment.name, f"{written} bytes arrived of {segment.size_bytes}")
    place.publish(partial, segment.name)
    return start, segment.size_bytes - start


def _expect_size(segment: Parcel, size: int) -> None:
    if size != segment.size_bytes:
        what = f"it has {size} bytes, at its seal it had {segment.size_bytes}"
        raise LocalTrouble(errno.EBADMSG, what, segment.path)


def _hash_prefix(segment: Parcel, source: BinaryIO, size: int, seen: _Hash) -> None:
    with local_file(segment.path):
        source.seek(0)
        while size and (piece := source.read(min(size, PIECE_BYTES))):
            seen.update(piece)
            size -= len(piece)


def _pieces(
    segment: Parcel, source: BinaryIO, seen: _Hash, throttle: Watch, tell: Tell
) -> Iterator[bytes]:
    done = source.tell()
    while True:
        with local_file(segment.path):
            piece = source.read(PIECE_BYTES)
        if not piece:
            return
        throttle(len(piece))
        seen.update(piece)
        yield piece
        done += len(piece)
        tell("sending", done)


def _read_back(place: Place, segment: Parcel, watch: Watch) -> None:
    """Compare all bytes of the copy with the seal; a bad copy is removed."""
    found, size = digest(place, segment.name, watch)
    if (found, size) == (segment.sha256, segment.size_bytes):
        return
    place.remove(segment.name)
    what = (
        f"read back {size} bytes with SHA-256 {found} after sending {segment.size_bytes} with "
        f"{segment.sha256}; the copy was removed"
    )
    raise Differs(segment.name, what)


def _counting(throttle: Watch, tell: Tell, step: str) -> Watch:
    done = 0

    def watch(size_bytes: int) -> None:
        nonlocal done
        throttle(size_bytes)
        done += size_bytes
        tell(step, done)

    return watch
