"""The stalls reconciler: starts a crawl anew that gets nowhere, as its source's profile says.

A crawl is judged by itself and nothing is done to any other. The attempt is asked to stop in good
order; its job is queued again with its frontier and its whole retry budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from healtharchive.model.actions import DAY, done_within
from healtharchive.model.progress_samples import Sample, samples_of
from healtharchive.model.restarts import request_restart
from healtharchive.model.running_crawls import RunningCrawl, running_crawls
from healtharchive.model.source import SourceDefinition
from healtharchive.settings import Settings
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.progress import PACE_SECONDS
from healtharchive.steward.rounds import Caps, Step

RESTART = "restart_stalled"
HOUR_SECONDS = 3600.0
LEAST_URLS = 50  # settled in the window, before the share of errors says anything
# A container has rules of its own; the outer rule only sees what those could not mend.
CONTAINER_TIMES = 3.0
# A polite crawl may wait so many times the source's longest delay between two URLs.
POLITE_TIMES = 3.0
CAPS = Caps(cooldown_seconds=60.0)
LATE_SECONDS = 3 * PACE_SECONDS  # a newest sample that is older tells nothing of now


@dataclass(frozen=True, slots=True)
class StallPolicy:
    """When one crawl counts as stalled, and how often that is mended without a person.

    `error_share` and `pages_per_hour` are 0 where they do not count.
    """

    seconds: float
    error_share: float
    window_seconds: float
    pages_per_hour: float
    restarts_per_day: int
    starts_per_hour: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A running crawl as it is seen now: its attempt's samples, and what was done about it."""

    crawl: RunningCrawl
    policy: StallPolicy
    samples: tuple[Sample, ...] = ()  # of this attempt, the oldest first
    restarts_in_day: int = 0


@dataclass(frozen=True, slots=True)
class Trouble:
    """How a crawl has stalled, and the numbers that tell of it."""

    words: str
    evidence: dict[str, float | int | str]


def policy_of(source: SourceDefinition, engine: str, settings: Settings) -> StallPolicy:
    """When a crawl of the source by this engine counts as stalled.

    A host may ask to be left alone for longer (Retry-After): its crawl says so, and the time counts
    from the end of such a wait.
    """
    rules, polite = source.stall, source.politeness
    seconds = settings.stall_seconds if rules.seconds is None else rules.seconds
    longest_wait = max(polite.delay_seconds, polite.max_delay_seconds) + polite.timeout_seconds
    seconds = max(seconds, POLITE_TIMES * longest_wait)
    per_day = rules.restarts_per_day
    if per_day is None:
        per_day = settings.stall_restarts_per_day
    contained = engine == "container"
    if contained:
        seconds = max(seconds, CONTAINER_TIMES * source.container.stall_seconds)
    return StallPolicy(
        seconds=seconds,
        error_share=0.0 if contained else rules.error_share,
        window_seconds=rules.window_seconds,
        pages_per_hour=0.0 if contained else rules.pages_per_hour,
        restarts_per_day=per_day,
        starts_per_hour=settings.starts_per_hour,
    )


# -- what is wrong, and what follows: pure -----------------------------------------------------


def plan(watched: Sequence[Watched], now: datetime) -> list[Step]:
    """The steps for crawls that have stalled; none for a healthy one, whatever the others do."""
    steps = []
    for each in watched:
        trouble = look(each, now)
        if trouble is not None:
            steps.append(_step(each, trouble))
    return steps


def look(watched: Watched, now: datetime) -> Trouble | None:
    """How the crawl has stalled; None when it has not, or is minded already."""
    crawl = watched.crawl
    lapsed = crawl.lease_expires_at is None or crawl.lease_expires_at <= now
    if crawl.sick_target or crawl.requested_stop or lapsed:
        return None
    if not _seen_now(watched.samples, now):
        return None
    return _idle(watched, now) or _failing(watched) or _slow(watched, now)


def progress_of(watched: Watched) -> datetime:
    """When the attempt last got on: settled a URL, wrote something, or began; or when it will be
    free to, after a polite wait."""
    known = [watched.crawl.started_at, watched.crawl.progress_at, watched.crawl.waits_until]
    for before, after in zip(watched.samples, watched.samples[1:], strict=False):
        if _counts(before) != _counts(after):
            known.append(after.at)
    return max(each for each in known if each is not None)


def _seen_now(samples: Sequence[Sample], now: datetime) -> bool:
    """Whether two looks in a row tell how it is now: one may have met it between two reports."""
    if len(samples) < 2:
        return False
    return (now - samples[-1].at).total_seconds() <= LATE_SECONDS


def _idle(watched: Watched, now: datetime) -> Trouble | None:
    since = progress_of(watched)
    idle = (now - since).total_seconds()
    if idle < watched.policy.seconds or _counts(watched.samples[-2]) != _counts(
        watched.samples[-1]
    ):
        return None
    words = f"no URL was settled for {_long(idle)}"
    return Trouble(words, {"idle_seconds": round(idle), "since": f"{since:%Y-%m-%dT%H:%M:%SZ}"})


def _failing(watched: Watched) -> Trouble | None:
    policy = watched.policy
    ends = _ends(watched.samples, policy.window_seconds)
    if not policy.error_share or ends is None:
        return None
    first, last = ends
    failed, done = last.urls_failed - first.urls_failed, last.urls_done - first.urls_done
    if failed + done < LEAST_URLS or failed < policy.error_share * (failed + done):
        return None
    words = f"{failed} of {failed + done} URLs failed in {_long(policy.window_seconds)}"
    return Trouble(
        words, {"failed": failed, "done": done, "window_seconds": round(policy.window_seconds)}
    )


def _slow(watched: Watched, now: datetime) -> Trouble | None:
    least, waited = watched.policy.pages_per_hour, watched.crawl.waits_until
    ends = _ends(watched.samples, HOUR_SECONDS)
    if not least or ends is None:
        return None
    if waited is not None and (now - waited).total_seconds() < HOUR_SECONDS:
        return None  # part of that hour was a polite wait
    first, last = ends
    done = last.urls_done - first.urls_done
    enough_to_do = min(first.urls_queued, last.urls_queued) >= least
    if done >= least or not enough_to_do:
        return None
    words = f"{done} URLs were done in an hour, and at least {least:g} should be"
    return Trouble(words, {"done": done, "pages_per_hour": least, "queued": last.urls_queued})


def _ends(samples: Sequence[Sample], window_seconds: float) -> tuple[Sample, Sample] | None:
    """The newest sample and the last one that is a whole window older; None without such a one."""
    last = samples[-1]
    start = last.at - timedelta(seconds=window_seconds)
    older = [each for each in samples if each.at <= start]
    if not older or (start - older[-1].at).total_seconds() > LATE_SECONDS:
        return None
    return older[-1], last


def _step(watched: Watched, trouble: Trouble) -> Step:
    crawl = watched.crawl
    return Step(
        RESTART,
        "job",
        str(crawl.job_id),
        f"{crawl.source.code} has stalled: {trouble.words}",
        {"fence": crawl.fence, "restarts_in_day": watched.restarts_in_day, **trouble.evidence},
        held=_held(watched),
    )


def _held(watched: Watched) -> str:
    """Why it is not started anew once more; empty when it is."""
    policy = watched.policy
    if watched.restarts_in_day >= policy.restarts_per_day:
        times = f"it was started anew {watched.restarts_in_day} times in the last day"
        return f"a person must look: {times}, and that did not help"
    if watched.crawl.starts_in_hour >= policy.starts_per_hour:
        return "it would have to wait: it was started as often as it may be in an hour"
    return ""


def _counts(sample: Sample) -> tuple[int, int, int]:
    return sample.urls_done, sample.urls_failed, sample.bytes_written


def _long(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"


# -- the reconciler ------------------------------------------------------------------------


@dataclass(slots=True)
class Stalls:
    """Looks at every running crawl by its samples."""

    means: StewardMeans
    name: str = "stalls"
    caps: Caps = CAPS

    def every_seconds(self) -> float:
        """As often as there are new samples."""
        return PACE_SECONDS

    def plan(self) -> Sequence[Step]:
        """Each crawl that has stalled, started anew or held back with the reason."""
        with self.means.database.read() as connection:
            now = self.means.database.now(connection)
            watched = []
            for crawl in running_crawls(connection, now):
                policy = policy_of(crawl.source, crawl.engine, self.means.settings)
                past = max(policy.seconds, policy.window_seconds, HOUR_SECONDS) + LATE_SECONDS
                since = now - timedelta(seconds=past)
                samples = samples_of(connection, crawl.job_id, since=since, fence=crawl.fence)
                job = str(crawl.job_id)
                watched.append(
                    Watched(
                        crawl=crawl,
                        policy=policy,
                        samples=tuple(samples),
                        restarts_in_day=done_within(connection, "job", job, RESTART, DAY, now),
                    )
                )
        return plan(watched, now)

    def apply(self, step: Step) -> str:
        """Ask the attempt to stop in good order, if it is still the one that was seen."""
        with self.means.database.begin() as connection:
            asked = request_restart(
                self.means.database,
                connection,
                int(step.subject_id),
                int(step.evidence["fence"]),
                actor=self.means.actor,
                why=step.why,
            )
        if not asked:
            return "it had ended, or was asked to stop already"
        return "its attempt was asked to stop in good order; its frontier continues"
