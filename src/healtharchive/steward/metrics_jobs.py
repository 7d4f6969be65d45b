"""Metrics of jobs and campaigns."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from healtharchive.model.standing import Standing
from healtharchive.model.standing_jobs import UnsettledJob
from healtharchive.model.states import JobStatus
from healtharchive.steward.metrics_declared import Value, Values, declared, one

JOBS = declared("jobs", "Jobs by source and state.", "source", "state")
PARKED = declared(
    "parked_jobs",
    "Parked jobs by the target they wait for; none: they wait for something else.",
    "target",
)
BLAMED = declared(
    "parked_jobs_by_blame",
    "Parked jobs by whose fault it was that they stopped: site, target, host …; none: not known.",
    "blame",
)
CLAIMABLE = declared("claimable_jobs", "Waiting jobs that a worker could run now.")
FOR_WORKERS = declared(
    "worker_waiting_jobs",
    "Jobs that a worker could get on with now: due, or said to run; without those of runs of one "
    "job and those that wait for a target.",
)
RUNNING = declared("crawl_running_jobs", "Jobs that a worker has now.")
INFO = declared(
    "job_info",
    "1 for each job that is not at its end; target is what it needs first, place where its bytes "
    "lie.",
    "job_id",
    "source",
    "campaign",
    "target",
    "place",
)
URLS = declared(
    "job_urls",
    "URLs of a running job, as its crawl reported them last: queued, done, failed.",
    "job_id",
    "source",
    "state",
)
PAGES = declared(
    "job_pages_total",
    "URLs of a job that is not at its end, done or failed so far.",
    "job_id",
    "source",
    "result",
    kind="counter",
)
BYTES = declared("job_written_bytes", "Bytes a running job has written.", "job_id", "source")
PROGRESS = declared(
    "job_progress_timestamp_seconds",
    "When a running job last got on (Unix time).",
    "job_id",
    "source",
)
IDLE = declared(
    "job_idle_seconds",
    "How long a running job has not got on, since it was started or later.",
    "job_id",
    "source",
)
STALL = declared(
    "job_stall_seconds",
    "How long a running job may not get on before it counts as stalled.",
    "job_id",
    "source",
)
JOB_PARKED = declared(
    "job_parked",
    "1 for a job that is parked, 0 for others that are not at their end.",
    "job_id",
    "source",
)
JOB_INDEX_LAG = declared(
    "job_index_lag_seconds",
    "How long a job's captures have waited to be searchable, where they do.",
    "job_id",
    "source",
)
INDEX_LAG = declared(
    "index_lag_seconds", "How long the captures that have waited the longest wait to be searchable."
)
COMPARISON_LAG = declared(
    "comparison_lag_seconds",
    "How long the indexed job that has waited the longest waits to be compared.",
)
CLAIMS = declared("claims_total", "Attempts that workers began.", "source", kind="counter")
PARKS = declared(
    "parks_total", "Times that a job was parked, to back off.", "source", kind="counter"
)
RESCUES = declared(
    "rescues_total", "Times that a job was taken from a lost worker.", "source", kind="counter"
)
DONE = declared(
    "pages_total", "URLs of all jobs, done or failed.", "source", "result", kind="counter"
)
WRITTEN = declared("written_bytes_total", "Bytes that crawls wrote.", "source", kind="counter")
CAPTURES = declared("captures", "Captures that jobs have written.")
READY = declared("campaign_ready", "1 when a campaign is ready for search, else 0.", "campaign")
SETTLED = declared(
    "campaign_settled", "1 when nothing happens to a campaign's jobs any more, else 0.", "campaign"
)
DECLARED = (
    JOBS, PARKED, BLAMED, CLAIMABLE, FOR_WORKERS, RUNNING, INFO, URLS, PAGES, BYTES, PROGRESS,
    IDLE, STALL, JOB_PARKED, JOB_INDEX_LAG, INDEX_LAG, COMPARISON_LAG, CLAIMS, PARKS, RESCUES,
    DONE, WRITTEN, CAPTURES, READY, SETTLED,
)  # fmt: skip


def values(found: Standing, stall_seconds: float) -> Values:
    """What is to be told of each; `stall_seconds` where a source has no rule of its own."""
    jobs, now = found.jobs, found.now
    blamed = Counter(each.blame or "none" for each in jobs.unsettled if _is_parked(each))
    claimable = [each for each in jobs.unsettled if each.could_run(now, found.storage.open_targets)]
    late = [(each, each.unsearchable_since) for each in jobs.unsettled]
    lags = [(each, _seconds(since, now)) for each, since in late if since is not None]
    uncompared = jobs.uncompared_since
    return {
        JOBS: [(key, count) for key, count in jobs.by_state.items()],
        PARKED: [((target,), count) for target, count in jobs.parked.items()],
        BLAMED: [((blame,), count) for blame, count in sorted(blamed.items())],
        CLAIMABLE: one(len(claimable)),
        FOR_WORKERS: one(max(0, jobs.for_workers - found.operation.runs)),
        RUNNING: one(len(jobs.running)),
        INFO: [(_info(each), 1.0) for each in jobs.unsettled],
        URLS: [each for job in jobs.running for each in _urls(job)],
        PAGES: [each for job in jobs.unsettled for each in _pages(job)],
        BYTES: [(_of(job), job.bytes_written) for job in jobs.running],
        PROGRESS: [
            (_of(job), job.progress_at.timestamp()) for job in jobs.running if job.progress_at
        ],
        IDLE: [(_of(job), idle) for job in jobs.running if (idle := _idle(job, now)) is not None],
        STALL: [(_of(job), _stall(job, stall_seconds)) for job in jobs.running],
        JOB_PARKED: [(_of(job), float(_is_parked(job))) for job in jobs.unsettled],
        JOB_INDEX_LAG: [(_of(job), lag) for job, lag in lags],
        INDEX_LAG: one(max((lag for _, lag in lags), default=0.0)),
        COMPARISON_LAG: one(0.0 if uncompared is None else _seconds(uncompared, now)),
        CLAIMS: [((source,), spent.claims) for source, spent in jobs.spent.items()],
        PARKS: [((source,), spent.parks) for source, spent in jobs.spent.items()],
        RESCUES: [((source,), spent.rescues) for source, spent in jobs.spent.items()],
        DONE: [
            ((source, result), number)
            for source, spent in jobs.spent.items()
            for result, number in (("done", spent.urls_done), ("failed", spent.urls_failed))
        ],
        WRITTEN: [((source,), spent.bytes_written) for source, spent in jobs.spent.items()],
        CAPTURES: one(jobs.captures),
        READY: [((each.name,), float(each.ready)) for each in jobs.campaigns],
        SETTLED: [((each.name,), float(each.settled)) for each in jobs.campaigns],
    }


def _of(job: UnsettledJob) -> tuple[str, str]:
    return str(job.id), job.source


def _info(job: UnsettledJob) -> tuple[str, ...]:
    return (*_of(job), job.campaign, job.needs, job.place)


def _is_parked(job: UnsettledJob) -> bool:
    return job.status is JobStatus.PARKED


def _urls(job: UnsettledJob) -> list[Value]:
    counts = {"queued": job.urls_queued, "done": job.urls_done, "failed": job.urls_failed}
    return [((*_of(job), state), count) for state, count in counts.items()]


def _pages(job: UnsettledJob) -> list[Value]:
    return [((*_of(job), "done"), job.urls_done), ((*_of(job), "failed"), job.urls_failed)]


def _seconds(since: datetime, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds())


def _idle(job: UnsettledJob, now: datetime) -> float | None:
    moments = (job.began_at, job.progress_at, job.not_before)  # the last: a polite wait's end
    known = [each for each in moments if each is not None]
    return _seconds(max(known), now) if known else None


def _stall(job: UnsettledJob, default: float) -> float:
    of_source = (job.definition.get("stall") or {}).get("seconds")
    return default if of_source is None else float(of_source)
