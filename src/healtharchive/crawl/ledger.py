"""The ledger: what is captured goes to the segment first, and then, fsynced, to the frontier.

One writer at a time: `append` runs on the event loop; `commit` and `seal` do their fsyncs and
transactions in a thread, one after another, while fetching goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from healtharchive.crawl.batch import Admission, Batch, Capture, FoundUrl
from healtharchive.crawl.frontier import Frontier
from healtharchive.crawl.segments import Segments
from healtharchive.model.clock import Clock
from healtharchive.model.orders import SealedSegment
from healtharchive.warc.record import Fields, warcinfo
from healtharchive.warc.segment import OpenSegment


@dataclass(frozen=True, slots=True)
class Committed:
    """One commit that is durable: its batch, and the segment if it was full and is sealed now."""

    batch: Batch
    sealed: SealedSegment | None


class Ledger:
    """The open segment and the batch of the next commit.

    `guard` is called before every commit and raises LeaseLost when the lease has run out.
    """

    def __init__(
        self,
        frontier: Frontier,
        segments: Segments,
        clock: Clock,
        *,
        facts: Fields,
        segment_bytes: int,
        guard: Callable[[], None],
    ) -> None:
        self.frontier = frontier
        self.segments = segments
        self.batch = Batch()
        self._clock = clock
        self._facts = facts
        self._segment_bytes = segment_bytes
        self._guard = guard
        self._segment: OpenSegment | None = None
        self._lock = asyncio.Lock()
        self._committed_at = clock.monotonic()

    @property
    def pending_bytes(self) -> int:
        """Bytes written to the open segment that no commit has confirmed yet."""
        return self._segment.size_bytes - self._segment.synced_bytes if self._segment else 0

    async def append(self, pieces: Iterable[bytes], capture: Capture) -> None:
        """Write one exchange; it counts once a later commit has confirmed it.

        The capture's offsets are relative to the span; they are placed here.
        """
        if self._segment is None:
            await self._open()
        # No await from here on: the bytes and their row are always in the same batch.
        segment = self._segment
        assert segment is not None
        offset, length = segment.append(pieces, capture.records)
        self.batch.segment = segment.name
        self.batch.captures.append(
            replace(
                capture,
                span_offset=offset,
                span_length=length,
                record_offset=offset + capture.record_offset,
                record_length=length - capture.record_offset,
            )
        )

    async def _open(self) -> None:
        async with self._lock:
            if self._segment is not None:
                return
            segment = await asyncio.to_thread(self.segments.open_next)
            head = warcinfo(segment.name, self._clock.now(), self._facts)
            offset, length = segment.append([head], 1)
            row = Capture("warcinfo", offset, length, 1, offset, length)
            self.batch.segment = segment.name
            self.batch.captures.append(row)
            self._segment = segment

    async def admit(self, found: Sequence[FoundUrl], *, pages: bool = True) -> list[Admission]:
        """See `Frontier.admit`: for whoever records answers that he was not sent for."""
        async with self._lock:
            self._guard()
            return await asyncio.to_thread(self.frontier.admit, found, pages=pages)

    async def commit(self, in_flight: Iterable[int]) -> Committed:
        """Make all that was appended so far durable.

        LeaseLost when the lease is over; OSError or sqlite3.Error when the disk fails. After any
        error this ledger writes nothing more: what was not confirmed is fetched again.
        """
        async with self._lock:
            self._guard()
            batch, self.batch = self.batch, Batch()
            segment = self._segment
            full = segment is not None and segment.size_bytes >= self._segment_bytes
            if full:
                self._segment = None
            batch.in_flight = list(in_flight)
            now = self._clock.monotonic()
            batch.elapsed_seconds = now - self._committed_at
            self._committed_at = now
            sealed = await asyncio.to_thread(self._commit, batch, segment, full)
            return Committed(batch, sealed)

    def _commit(
        self, batch: Batch, segment: OpenSegment | None, full: bool
    ) -> SealedSegment | None:
        if segment is not None:
            segment.sync()
        self.frontier.commit(batch)
        if segment is not None and full:
            return self.segments.seal(segment, self._clock.now())
        return None

    async def seal(self) -> SealedSegment | None:
        """Seal the open segment, if there is one. Everything in it is committed already."""
        async with self._lock:
            self._guard()
            segment, self._segment = self._segment, None
            if segment is None:
                return None
            return await asyncio.to_thread(self.segments.seal, segment, self._clock.now())

    def abandon(self) -> None:
        """Let go of the open segment without another write: the next attempt salvages it."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None
