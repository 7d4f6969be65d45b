"""The heartbeat of one attempt: renews its lease and carries its reports, in its own thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from sqlalchemy import Connection

from healtharchive.model.errors import LeaseLost
from healtharchive.model.journal import record
from healtharchive.model.leases import Claim, check_fence, heartbeat
from healtharchive.model.orders import Counts, Report, SealedSegment, Wait
from healtharchive.model.progress import note_counts, note_segments, note_wait, settled_urls
from healtharchive.work.means import Means
from healtharchive.work.outage import OUTAGES, describe

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
MOST_NOTES = 200  # of one attempt in the journal; the crawl's own log has them all


class Heart:
    """Beats while used as a context manager. Its thread alone talks to the database meanwhile.

    A database that hangs can hang this thread, never the one that watches the child: that one asks
    `lapsed` and `lost`, which only look at the clock and at a flag.
    """

    def __init__(self, claim: Claim, means: Means) -> None:
        self._claim = claim
        self._means = means
        self._lease_until = means.clock.monotonic() + means.settings.lease_seconds
        self._ended = threading.Event()
        self._wake = threading.Event()  # something to write that others wait for
        self._got_on = False
        self._lost = threading.Event()
        self._guard = threading.Lock()  # over all that the two threads share below
        self._counts: Counts | None = None
        self._counts_written: Counts | None = None
        self._wait: Wait | None = None
        self._wait_written: Wait | None = None
        self._segments: list[SealedSegment] = []
        self._notes: list[Report] = []
        self._notes_taken = 0
        self._on_renewal: Callable[[float], None] = lambda _seconds: None
        self.trouble = ""
        self.requested = ""
        self._thread = threading.Thread(target=self._run, name=f"heart-{claim.job.id}", daemon=True)

    # -- asked by the watcher ---------------------------------------------------------------

    @property
    def lost(self) -> bool:
        """Whether the database said that the job is another's by now."""
        return self._lost.is_set()

    @property
    def lapsed(self) -> bool:
        """Whether the lease ran out by our own clock because it could not be renewed."""
        return self._means.clock.monotonic() >= self._lease_until

    @property
    def counts(self) -> Counts | None:
        """The newest counts that were reported."""
        return self._counts

    def on_renewal(self, tell: Callable[[float], None]) -> None:
        """From now on tell the child how long its lease lasts, each time it is renewed."""
        self._on_renewal = tell

    def note(self, report: Report) -> None:
        """Take a report along to the database with the next beat."""
        with self._guard:
            if report.counts is not None:
                self._counts = report.counts
                self._wait = report.waiting
            if report.segment is not None:
                self._segments.append(report.segment)
            self._segments.extend(report.segments)
            if self._is_first_progress(report):
                self._got_on = True
                self._wake.set()
            if report.kind == "note" and self._notes_taken < MOST_NOTES:
                self._notes.append(report)
                self._notes_taken += 1

    def _is_first_progress(self, report: Report) -> bool:
        """Whether the attempt has got on for the first time: a recovering target waits for that."""
        if self._got_on or report.counts is None:
            return False
        return settled_urls(report.counts) > settled_urls(self._claim.job.counts)

    # -- the thread ---------------------------------------------------------------------------

    def __enter__(self) -> Heart:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._wake.set()
        # It may hang in a database that does not answer; its lease is what bounds the harm.
        self._thread.join(timeout=self._means.settings.heartbeat_seconds)

    def _run(self) -> None:
        pause = 0.0
        while True:
            self._wake.wait(pause)
            self._wake.clear()
            if self._ended.is_set():
                return
            pause = self._beat_or_note_why_not()
            if self._lost.is_set():
                return

    def _beat_or_note_why_not(self) -> float:
        """Beat once; how long to wait for the next."""
        usual = self._means.settings.heartbeat_seconds
        try:
            self.beat()
        except LeaseLost as error:
            self.trouble = str(error)
            self._lost.set()
        except OUTAGES as error:
            if not self.trouble:
                logger.warning("job %d: no heartbeat: %s", self._claim.job.id, describe(error))
            self.trouble = describe(error)
            return min(RETRY_SECONDS, usual)
        except Exception:
            logger.exception("job %d: the heartbeat has a bug", self._claim.job.id)
        return usual

    def beat(self) -> None:
        """Renew the lease, tell the child, and write what was reported. LeaseLost, outages."""
        settings, clock = self._means.settings, self._means.clock
        began = clock.monotonic()
        with self._means.database.begin() as connection:
            requested = heartbeat(
                self._means.database,
                connection,
                self._claim.job.id,
                self._claim.fence,
                settings.lease_seconds,
            )
        # Counted from before the question: the database may have answered any time since.
        self._lease_until = began + settings.lease_seconds
        self.trouble = ""
        self.requested = requested or ""
        left = self._lease_until - clock.monotonic()
        if left > 0:
            self._on_renewal(left)
        self.flush()

    def flush(self) -> None:
        """Write what was reported and is not in the database yet. LeaseLost, outages."""
        with self._guard:
            counts, segments, notes = self._counts, tuple(self._segments), tuple(self._notes)
            wait = self._wait
        fresh = counts if counts != self._counts_written else None
        if fresh is None and wait == self._wait_written and not segments and not notes:
            return
        with self._means.database.begin() as connection:
            self._write(connection, fresh, segments, notes)
            if wait != self._wait_written:
                fence = self._claim.fence
                note_wait(self._means.database, connection, self._claim.job.id, fence, wait)
        with self._guard:
            self._counts_written, self._wait_written = counts, wait
            del self._segments[: len(segments)]
            del self._notes[: len(notes)]

    def _write(
        self,
        connection: Connection,
        counts: Counts | None,
        segments: tuple[SealedSegment, ...],
        notes: tuple[Report, ...],
    ) -> None:
        database, actor = self._means.database, self._means.actor
        job_id, fence = self._claim.job.id, self._claim.fence
        check_fence(connection, job_id, fence)
        if counts is not None:
            note_counts(database, connection, job_id, fence, counts)
        note_segments(database, connection, job_id, fence, segments, actor=actor)
        for report in notes:
            record(
                connection,
                at=database.now(connection),
                actor=actor,
                subject="job",
                subject_id=job_id,
                what="note",
                why=": ".join(filter(None, (report.what, report.reason))),
                evidence={**report.evidence, "fence": fence},
                caused_by=self._claim.event_id,
            )
