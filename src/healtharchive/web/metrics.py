"""/metrics for Prometheus: how the archive stands, by a few cheap questions to the database.

Only clients on this machine, or of the networks in `metrics_clients`, are answered: what is parked
and why is the operator's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.responses import Response

from healtharchive.model.standing import RunningJob, Standing, TargetStanding, standing
from healtharchive.model.states import TargetState
from healtharchive.web.limits import client_of, is_in, networks
from healtharchive.web.trouble import Missing
from healtharchive.web.visit import SiteDep

router = APIRouter(include_in_schema=False)
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Declared:
    """One metric: its name by Prometheus' conventions, what it says, and its labels."""

    name: str
    help: str
    labels: tuple[str, ...] = ()


JOBS = Declared("healtharchive_jobs", "Jobs by source and state.", ("source", "state"))
PARKED = Declared(
    "healtharchive_parked_jobs",
    "Parked jobs by the target they wait for; none: they wait for something else.",
    ("target",),
)
RUNNING = Declared("healtharchive_crawl_running_jobs", "Jobs that a worker has now.")
URLS = Declared(
    "healtharchive_job_urls",
    "URLs of a running job, as its crawl reported them last: queued, done, failed.",
    ("job", "source", "state"),
)
BYTES = Declared(
    "healtharchive_job_written_bytes", "Bytes a running job has written.", ("job", "source")
)
PROGRESS = Declared(
    "healtharchive_job_progress_timestamp_seconds",
    "When a running job last got on (Unix time).",
    ("job", "source"),
)
CAPTURES = Declared("healtharchive_captures", "Captures that jobs have written.")
SEGMENTS = Declared("healtharchive_segments", "WARC files by state.", ("state",))
SEGMENT_BYTES = Declared("healtharchive_segments_bytes", "Their bytes, by state.", ("state",))
UNINDEXED = Declared("healtharchive_unindexed_segments", "WARC files that are not indexed yet.")
COPIES = Declared(
    "healtharchive_copies_bytes", "Bytes of copies by target and state.", ("target", "state")
)
BREAKER = Declared(
    "healtharchive_target_breaker_state",
    "1 for the state a target's breaker is in, 0 for the others.",
    ("target", "state"),
)
PROBED = Declared(
    "healtharchive_target_probed_timestamp_seconds",
    "When a target was last looked at (Unix time).",
    ("target",),
)
HEALTHY = Declared(
    "healtharchive_target_last_healthy_timestamp_seconds",
    "When a target was last seen healthy (Unix time).",
    ("target",),
)
APPLIED = Declared(
    "healtharchive_target_last_apply_timestamp_seconds",
    "When a target was last mended (Unix time).",
    ("target",),
)
DECLARED = (
    JOBS, PARKED, RUNNING, URLS, BYTES, PROGRESS, CAPTURES, SEGMENTS, SEGMENT_BYTES, UNINDEXED,
    COPIES, BREAKER, PROBED, HEALTHY, APPLIED,
)  # fmt: skip

Value = tuple[tuple[str, ...], float]


@router.get("/metrics")
def metrics(request: Request, site: SiteDep) -> Response:
    """Every metric of DECLARED, in Prometheus' text format."""
    settings = site.settings
    client = client_of(request.scope, networks(settings.trusted_proxies))
    allowed = networks(settings.metrics_clients, "METRICS_CLIENTS")
    if client is not None and not client.is_loopback and not is_in(client, allowed):
        raise Missing("trouble.404.page")
    with site.database.read() as connection:
        found = standing(connection)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(families(found)))
    headers = {"Cache-Control": "no-store"}
    return Response(generate_latest(registry), media_type=MEDIA_TYPE, headers=headers)


class _Once(Collector):
    """What one scrape is told."""

    def __init__(self, told: Iterable[Metric]) -> None:
        self._told = told

    def collect(self) -> Iterator[Metric]:
        yield from self._told


def families(found: Standing) -> list[Metric]:
    """The standing as Prometheus' families, in the order they are declared."""
    values: dict[Declared, list[Value]] = {
        JOBS: [(key, count) for key, count in found.jobs.items()],
        PARKED: [((target,), count) for target, count in found.parked.items()],
        RUNNING: [((), len(found.running))],
        URLS: [each for job in found.running for each in _urls(job)],
        BYTES: [(_of(job), job.bytes_written) for job in found.running],
        PROGRESS: [(_of(job), _unix(job.progress_at)) for job in found.running if job.progress_at],
        CAPTURES: [((), found.captures)],
        SEGMENTS: [((state,), amount.count) for state, amount in found.segments.items()],
        SEGMENT_BYTES: [((state,), amount.size_bytes) for state, amount in found.segments.items()],
        UNINDEXED: [((), found.unindexed_segments)],
        COPIES: [(key, amount.size_bytes) for key, amount in found.copies.items()],
        BREAKER: [each for target in found.targets for each in _breaker(target)],
        PROBED: _moments((each.name, each.probed_at) for each in found.targets),
        HEALTHY: _moments((each.name, each.last_healthy_at) for each in found.targets),
        APPLIED: _moments((each.name, each.last_apply_at) for each in found.targets),
    }
    return [_family(declared, values[declared]) for declared in DECLARED]


def _family(declared: Declared, values: Iterable[Value]) -> Metric:
    family = GaugeMetricFamily(declared.name, declared.help, labels=declared.labels)
    for labels, value in values:
        family.add_metric(labels, value)
    return family


def _of(job: RunningJob) -> tuple[str, str]:
    return str(job.id), job.source


def _urls(job: RunningJob) -> list[Value]:
    counts = {"queued": job.urls_queued, "done": job.urls_done, "failed": job.urls_failed}
    return [((*_of(job), state), count) for state, count in counts.items()]


def _breaker(target: TargetStanding) -> list[Value]:
    return [((target.name, state), float(target.state == state)) for state in TargetState]


def _moments(told: Iterable[tuple[str, datetime | None]]) -> list[Value]:
    return [((name,), _unix(moment)) for name, moment in told if moment is not None]


def _unix(moment: datetime) -> float:
    return moment.timestamp()
