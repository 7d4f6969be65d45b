"""The child that reads stored records for the web server: orders come in, answers go out.

It may hang on a dead mount or die of what it parses; its parent, `reading.Readers`, expects both.
"""

from __future__ import annotations

import itertools
import resource
import signal
import sys
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from healtharchive.model.errors import BadInput
from healtharchive.model.wire import from_line, to_line
from healtharchive.search.segment_bytes import Stretch, read_stretch
from healtharchive.search.stored import OutOfReach, find
from healtharchive.web.exhibit import Exhibit, exhibit, picture
from healtharchive.web.reading import LENGTH_BYTES, Answer, ReadOrder

PIECE_BYTES = 1 << 18
MEMORY_BYTES = 2 << 30  # a hostile page may ask for any amount


def main() -> int:
    """Answer orders until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    _bound_memory()
    for line in sys.stdin.buffer:
        found = _obey(from_line(ReadOrder, line))
        _send(sys.stdout.buffer, found.answer, found.body)
    return 0


def _obey(order: ReadOrder) -> Exhibit:
    try:
        if order.want == "record":
            raw = find(order.record).raw()  # it was read: there is one, and it is whole
            return Exhibit(Answer("application/warc", attachment=True), raw)
        if order.want == "range":
            pieces = read_stretch(Stretch(order.record, order.file_bytes))
            return _begun("application/octet-stream", pieces)
        if order.one_page is not None:
            # Late: it needs what takes half of a start, and few ask for it.
            from healtharchive.search.collection_page import one_page

            return _begun("application/zip", one_page(order.one_page))
        return picture(order) if order.want == "picture" else exhibit(order)
    except FileNotFoundError:
        return Exhibit(Answer(refused="missing"))
    except OutOfReach as away:
        return Exhibit(Answer(refused="out_of_reach", reason=away.what))
    except BadInput:  # the record is damaged
        return Exhibit(Answer(refused="unreadable"))
    except (MemoryError, RecursionError):
        return Exhibit(Answer(refused="too_large"))


def _begun(media_type: str, pieces: Iterator[bytes]) -> Exhibit:
    """Bytes whose first piece is read, so that what is away is refused in good time."""
    first = next(pieces, b"")
    return Exhibit(Answer(media_type, attachment=True), itertools.chain((first,), pieces))


def _send(stream: BinaryIO, answer: Answer, body: Iterable[bytes]) -> None:
    _send_piece(stream, to_line(answer))
    for piece in body:
        for start in range(0, len(piece), PIECE_BYTES):
            _send_piece(stream, piece[start : start + PIECE_BYTES])
    _send_piece(stream, b"")


def _send_piece(stream: BinaryIO, piece: bytes) -> None:
    stream.write(len(piece).to_bytes(LENGTH_BYTES, "big") + piece)
    stream.flush()


def _bound_memory() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    if most == resource.RLIM_INFINITY or most > MEMORY_BYTES:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, most))


if __name__ == "__main__":
    sys.exit(main())
