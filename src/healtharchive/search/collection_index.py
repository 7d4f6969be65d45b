"""The index of a collection: the sorted CDXJ files of its segments, merged line by line."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from healtharchive.model.collection import CollectionSegment
from healtharchive.model.errors import SetupError
from healtharchive.model.layout import CDX_NAME, cdxj_name
from healtharchive.warc.wacz_holes import Holes

OPEN_AT_ONCE = 200  # a process may have 1,024 files open, and a source more segments


def cdxj_of(segment: CollectionSegment) -> Path:
    """Where the index child has written the segment's CDXJ."""
    return Path(segment.output_dir) / CDX_NAME / cdxj_name(segment.name)


def lines_of(segment: CollectionSegment, holes: Holes) -> Iterator[bytes]:
    """The sorted lines of a segment, without what is left out. SetupError when there are none."""
    path = cdxj_of(segment)
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        raise SetupError(
            f"The index of {segment.name} is not there: {path}.",
            f"`healtharchive reindex-job --id {segment.job_id}` makes it anew.",
        ) from None
    with stream:
        yield from holes.lines(stream)


def merged(sources: Sequence[Iterable[bytes]], scratch: Path) -> Iterator[bytes]:
    """The lines of sorted sources in one order; with many, over files in `scratch`."""
    with ExitStack() as opened:
        while len(sources) > OPEN_AT_ONCE:
            shorter: list[Iterable[bytes]] = []
            for start in range(0, len(sources), OPEN_AT_ONCE):
                path = scratch / f"merge-{len(sources)}-{start}"
                with path.open("w+b") as stream:
                    stream.writelines(heapq.merge(*sources[start : start + OPEN_AT_ONCE]))
                shorter.append(opened.enter_context(path.open("rb")))
                path.unlink()  # it lives as long as it is open
            sources = shorter
        yield from heapq.merge(*sources)
