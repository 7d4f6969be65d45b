"""The harvest: what the crawler recorded becomes ours, while it runs and after its end.

An exchange goes the way of every other capture: into the open segment and, fsynced, into the
frontier. How far a file was adopted is noted after that commit. Killed in between, the next
attempt reads the same exchanges again and finds their URLs done and their record ids held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from healtharchive.crawl.batch import Admission, Capture, FoundUrl, Kind
from healtharchive.crawl.container.exchanges import (
    RecordedExchange,
    Stretch,
    read_stretch,
    unpack,
)
from healtharchive.crawl.container.files import CrawlerFile, Scan, superseded
from healtharchive.crawl.container.memory import KnownPayload, Memory
from healtharchive.crawl.discovery import REDIRECTS
from healtharchive.crawl.ledger import Ledger
from healtharchive.crawl.scope import Scope
from healtharchive.crawl.traps import MAX_URL_CHARACTERS
from healtharchive.crawl.urls import canonicalize, origin_of
from healtharchive.crawl.visit import TRANSIENT_STATUSES
from healtharchive.model.clock import Clock
from healtharchive.model.orders import Report
from healtharchive.warc.reader import read_record

UNPACKED_NAME = "unpacked.warc"
PAGE_TYPES = ("text/html", "application/xhtml+xml")
BEFORE = "container: captured before, passed over"
DAMAGED = "container: record damaged, not adopted"
LONELY = "container: record that refers to one we have not, not adopted"


@dataclass(slots=True)
class Harvest:
    """One attempt's harvest of the directory in which the crawler works.

    `adopted` counts exchanges in this attempt, `pages` the pages of all attempts.
    """

    work: Path
    ledger: Ledger
    memory: Memory
    scope: Scope
    clock: Clock
    report: Callable[[Report], None]
    pages: int = 0
    adopted: int = 0
    _ends: dict[str, int] = field(default_factory=dict)  # up to where each file was read
    _closed: set[str] = field(default_factory=set)  # files of which nothing more will come
    _payloads: dict[str, KnownPayload] = field(default_factory=dict)  # of the stretch at hand
    _fresh: set[str] = field(default_factory=set)  # payloads and record ids appended in it

    async def gather(
        self, scan: Scan, *, ended: bool, quiet_seconds: float, halt: Callable[[], bool]
    ) -> bool:
        """Adopt every whole exchange there is; whether nothing is left to adopt.

        `ended`: no crawler writes here any more. `halt` ends the harvest early, between stretches.
        """
        over = {each.name for each in scan.warcs} if ended else superseded(scan.warcs)
        # A revisit may refer to a record in a file that is read after its own: once more, then.
        for last in (False, True) if ended else (False,):
            for file in scan.warcs:
                if halt():
                    return False
                await self._file(file, file.name in over, quiet_seconds, last=last, halt=halt)
        return not halt()

    async def delete_adopted(self, scan: Scan) -> None:
        """Remove closed files whose every record is in a sealed segment."""
        for file in scan.warcs:
            if file.name in self._closed and self.memory.is_sealed(file.name):
                await asyncio.to_thread(file.path.unlink, missing_ok=True)

    # -- one file ------------------------------------------------------------------------------

    async def _file(
        self,
        file: CrawlerFile,
        closed: bool,
        quiet_seconds: float,
        *,
        last: bool,
        halt: Callable[[], bool],
    ) -> None:
        if file.name in self._closed:
            return
        if file.name not in self._ends:
            self._ends[file.name] = self.memory.adopted_bytes(file.name)
        start = self._ends[file.name]
        if start >= file.size_bytes and not closed:
            return
        quiet = self.clock.now().timestamp() - file.changed_at >= quiet_seconds
        path, torn, damaged = file.path, 0, 0
        while True:
            stretch = await self._read(path, start, closed=closed, quiet=quiet)
            if stretch.packed:
                if not closed or path != file.path:
                    return  # it is looked at again when it is closed
                path = await self._unpacked(file)
                continue
            waits = await self._adopt(file, path, stretch, last=last)
            torn, damaged = torn + stretch.torn_bytes, damaged + stretch.damaged
            start = self._ends[file.name] = stretch.end
            if waits or stretch.at_end or halt():
                break
        if closed and stretch.at_end and not waits:
            self._closed.add(file.name)
            self._tell_damage(file, torn, damaged)
            if path != file.path:
                path.unlink(missing_ok=True)

    @staticmethod
    async def _read(path: Path, start: int, *, closed: bool, quiet: bool) -> Stretch:
        try:
            return await asyncio.to_thread(read_stretch, path, start, closed=closed, quiet=quiet)
        except FileNotFoundError:
            return Stretch(start)  # the crawler removed it

    async def _unpacked(self, file: CrawlerFile) -> Path:
        """A plain copy of a file whose gzip members are not its records."""
        path = self.work / UNPACKED_NAME
        await asyncio.to_thread(unpack, file.path, path)
        what = f"unpacked {file.name}, whose gzip members are not one record each"
        self.report(Report("note", what=what, evidence={"file": file.name}))
        return path

    def _tell_damage(self, file: CrawlerFile, torn_bytes: int, damaged: int) -> None:
        if not torn_bytes and not damaged:
            return
        what = f"{file.name} was torn or damaged; every whole record of it was kept"
        self.report(
            Report(
                "note",
                what=what,
                evidence={"file": file.name, "torn_bytes": torn_bytes, "damaged": damaged},
            )
        )

    # -- one stretch ---------------------------------------------------------------------------

    async def _adopt(self, file: CrawlerFile, path: Path, stretch: Stretch, *, last: bool) -> bool:
        """Bring a stretch into the ledger and make it durable; whether it waits for another file.

        Its end moves back to the exchange that waits.
        """
        self._payloads, self._fresh = {}, set()
        begun = self._ends.get(file.name, 0)
        wanted = stretch.exchanges
        admissions = await self._admit(wanted)
        waits = False
        for at, (exchange, admission) in enumerate(zip(wanted, admissions, strict=True)):
            if not await self._take(file, path, exchange, admission, last=last):
                stretch.end = _begin(exchange)
                self._put_back(admissions[at:])
                waits = True
                break
        self._remark(DAMAGED, stretch.damaged)
        if stretch.end == begun and self.ledger.batch.empty:
            return waits
        committed = await self.ledger.commit([])
        if committed.sealed is not None:
            self.report(Report("segment", segment=committed.sealed))
        payloads = list(self._payloads.values())
        await asyncio.to_thread(
            self.memory.adopted, file.name, stretch.end, committed.batch.segment, payloads
        )
        return waits

    async def _admit(self, exchanges: list[RecordedExchange]) -> list[Admission | None]:
        sound = [each for each in exchanges if each.url is not None and not each.faults]
        # An answer that was bettered a moment later stands for no URL.
        lasting = {each.url for each in sound if each.status not in TRANSIENT_STATUSES}
        asked = [
            each
            for each in sound
            if each.status not in TRANSIENT_STATUSES or each.url not in lasting
        ]
        found = [
            FoundUrl(each.url, origin_of(each.url), self._kind(each), 1)
            for each in asked
            if each.url is not None
        ]
        admitted = await self.ledger.admit(found) if found else []
        by_exchange = dict(zip(map(id, asked), admitted, strict=True))
        return [by_exchange.get(id(each)) for each in exchanges]

    def _kind(self, exchange: RecordedExchange) -> Kind:
        assert exchange.url is not None
        page = exchange.mime in PAGE_TYPES and self.scope.decide(exchange.url).in_scope
        return Kind.PAGE if page else Kind.ASSET

    def _put_back(self, admissions: list[Admission | None]) -> None:
        now = self.clock.now().timestamp()
        ours = (each.id for each in admissions if each is not None and each.ours)
        self.ledger.batch.postponed.extend((url_id, now) for url_id in ours)

    def _remark(self, what: str, number: int = 1) -> None:
        if number:
            remarks = self.ledger.batch.remarks
            remarks[what] = remarks.get(what, 0) + number

    # -- one exchange --------------------------------------------------------------------------

    async def _take(
        self,
        file: CrawlerFile,
        path: Path,
        exchange: RecordedExchange,
        admission: Admission | None,
        *,
        last: bool,
    ) -> bool:
        """Adopt an exchange or pass it over; False when it has to wait for a later harvest."""
        if exchange.faults:
            self._remark(DAMAGED)
            return True
        if admission is not None and not admission.ours:
            self._remark(BEFORE)
            self._note_payload(file, path, exchange)
            return True
        digest = exchange.payload_digest
        if exchange.record.record_type == "revisit" and exchange.claimed:
            original = await self._original(exchange.claimed)
            if original is None:
                if last:
                    self._put_back([admission])
                    self._remark(LONELY)
                return last
            digest = original
        await self._append(path, exchange, admission, digest)
        self._note_payload(file, path, exchange)
        return True

    async def _append(
        self, path: Path, exchange: RecordedExchange, admission: Admission | None, digest: str
    ) -> None:
        record = exchange.record
        url_id = admission.id if admission is not None else None
        passing = url_id is not None and exchange.status in TRANSIENT_STATUSES
        if (url_id is None or passing) and self._holds_record(record.record_id):
            return
        request, pieces = exchange.pieces(path)
        await self.ledger.append(
            _chained(request, pieces),
            Capture(
                kind=record.record_type,
                span_offset=0,
                span_length=0,
                records=2 if request else 1,
                record_offset=len(request),
                record_length=0,
                url_id=None if passing else url_id,
                record_id=record.record_id,
                status=exchange.status,
                mime=exchange.mime or None,
                payload_digest=digest or None,
                payload_bytes=exchange.payload_bytes if digest else None,
                captured_at=exchange.captured_at,
                truncated=record.headers.get("WARC-Truncated"),
            ),
        )
        self._fresh.update((record.record_id, digest))
        self.adopted += 1
        if url_id is not None:
            self._settle(exchange, url_id, passing=passing)

    def _settle(self, exchange: RecordedExchange, url_id: int, *, passing: bool) -> None:
        assert exchange.url is not None
        batch = self.ledger.batch
        if passing:  # a later try may better it: the answer is kept, the URL is not done
            now = self.clock.now().timestamp()
            batch.retries.append((url_id, now, f"answered {exchange.status}"))
            return
        self.pages += self._kind(exchange) is Kind.PAGE
        if exchange.status in REDIRECTS and exchange.location:
            target = canonicalize(exchange.location, exchange.url)
            if target is not None:
                url = self.scope.decide(target).url
                batch.redirects.append((url_id, url[:MAX_URL_CHARACTERS]))

    # -- payloads that revisits refer to -------------------------------------------------------

    def _note_payload(self, file: CrawlerFile, path: Path, exchange: RecordedExchange) -> None:
        """Keep what a later revisit may ask for: a payload under the crawler's own digest of it."""
        digest, claimed = exchange.payload_digest, exchange.claimed
        if not digest or not claimed or (claimed == digest and self._holds(digest)):
            return
        place = file.name if path == file.path else ""
        known = KnownPayload(claimed, digest, place, exchange.record.offset)
        self._payloads.setdefault(claimed, known)

    async def _original(self, claimed: str) -> str | None:
        """Our digest of the payload that a revisit speaks of, once a response of ours holds it."""
        if self._holds(claimed):
            return claimed
        known = self._payloads.get(claimed) or self.memory.payload(claimed)
        if known is None:
            return None
        if self._holds(known.payload_digest):
            return known.payload_digest
        return await self._fetch_original(known)

    def _holds_record(self, record_id: str) -> bool:
        return record_id in self._fresh or self.memory.holds_record(record_id)

    def _holds(self, digest: str) -> bool:
        return digest in self._fresh or self.memory.holds_payload(digest)

    async def _fetch_original(self, known: KnownPayload) -> str | None:
        """Adopt a response that was passed over, for the sake of what refers to it."""
        path = self.work / known.file
        if not known.file or not path.is_file():
            return None
        start = (await asyncio.to_thread(read_record, path, known.offset)).offset
        stretch = await asyncio.to_thread(read_stretch, path, start, closed=True, quiet=True)
        if not stretch.exchanges or stretch.exchanges[0].payload_digest != known.payload_digest:
            return None
        await self._append(path, stretch.exchanges[0], None, known.payload_digest)
        return known.payload_digest


def _begin(exchange: RecordedExchange) -> int:
    offset = exchange.record.offset
    return offset if exchange.request is None else min(offset, exchange.request.offset)


def _chained(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest
