"""The progress reconciler: samples of every running crawl's counts, thinned as they grow old."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from healtharchive.model.progress_samples import (
    MOST_IDS,
    delete_samples,
    running_crawl_ids,
    sampled_jobs,
    samples_of,
    surplus,
    take_samples,
)
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.rounds import Caps, Step

PACE_SECONDS = 30.0
FULL = timedelta(days=2)  # every sample is kept so long
KEPT = timedelta(days=90)  # one in ten minutes is kept so long
THIN_SECONDS = 600.0
LOOK_SECONDS = 6 * 3600.0  # between two looks for samples that are not kept
MOST_AT_ONCE = 20_000  # removed in one step; the next look finds the rest

SAMPLE, THIN = "sample", "thin"
CAPS = Caps()


@dataclass(slots=True)
class Progress:
    """Samples while a crawl runs, and a few times a day removes what nobody needs any more."""

    means: StewardMeans
    name: str = "progress"
    caps: Caps = CAPS
    _looked_at: float = float("-inf")

    def every_seconds(self) -> float:
        """About as often as a chart has points."""
        return PACE_SECONDS

    def plan(self) -> Sequence[Step]:
        """A sample of what runs; and a thinning, when old samples were not looked at for long."""
        with self.means.database.read() as connection:
            running = running_crawl_ids(connection)
        steps = []
        if running:
            jobs = ", ".join(str(each) for each in running)
            why = f"{_number(len(running), 'crawl')} running: job {jobs}"
            steps.append(Step(SAMPLE, "progress", "jobs", why, quiet=True))
        if self.means.clock.monotonic() - self._looked_at >= LOOK_SECONDS:
            number = len(self._surplus())
            if number:
                why = f"{_number(number, 'sample')} older than is kept in full"
                steps.append(Step(THIN, "progress", "samples", why, {"samples": number}))
            else:
                self._looked_at = self.means.clock.monotonic()
        return steps

    def apply(self, step: Step) -> str:
        """Write the samples, or remove the old ones in small batches."""
        database = self.means.database
        if step.what == SAMPLE:
            with database.begin() as connection:
                return f"{take_samples(database, connection)} samples were taken"
        ids = self._surplus()
        removed = 0
        for first in range(0, len(ids), MOST_IDS):
            if self.means.stop.asked:
                break
            with database.begin() as connection:
                removed += delete_samples(connection, ids[first : first + MOST_IDS])
        if len(ids) < MOST_AT_ONCE:
            self._looked_at = self.means.clock.monotonic()
        return f"{removed} samples were removed"

    def _surplus(self) -> list[int]:
        found: list[int] = []
        with self.means.database.read() as connection:
            now = self.means.database.now(connection)
            for job_id in sampled_jobs(connection, now - FULL):
                samples = samples_of(connection, job_id, before=now - FULL)
                found += surplus(samples, every_seconds=THIN_SECONDS, keep_from=now - KEPT)
                if len(found) >= MOST_AT_ONCE:
                    break
        return found[:MOST_AT_ONCE]


def _number(count: int, noun: str) -> str:
    return f"1 {noun} is" if count == 1 else f"{count} {noun}s are"
