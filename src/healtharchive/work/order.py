"""What a child is told to do: the order made of a job, its source and the settings."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from healtharchive.model import wire
from healtharchive.model.errors import BadInput
from healtharchive.model.jobs import Job
from healtharchive.model.orders import CrawlOrder, IndexOrder
from healtharchive.model.source import Limits, SourceDefinition
from healtharchive.settings import Settings

PAYLOAD_INDEX = "payloads.sqlite"


def crawl_order(settings: Settings, job: Job, source: SourceDefinition, fence: int) -> CrawlOrder:
    """The order of a crawl child."""
    return CrawlOrder(
        job_id=job.id,
        fence=fence,
        source=with_overrides(source, job),
        campaign=job.campaign or "",
        output_dir=job.output_dir,
        state_dir=state_dir(settings, job),
        operator=settings.operator,
        user_agent=settings.user_agent,
        lease_seconds=settings.lease_seconds,
        payload_index=str(settings.jobs_root / job.source / PAYLOAD_INDEX),
        segment_bytes=settings.segment_bytes,
        commit_seconds=settings.commit_seconds,
        commit_bytes=settings.commit_bytes,
        stop_seconds=settings.stop_seconds,
        spool_full_percent=settings.spool_full_percent,
        browser=settings.browser,
        browser_memory_bytes=settings.browser_memory_bytes,
    )


def state_dir(settings: Settings, job: Job) -> str:
    """Where a job's frontier lives: beside its WARC files, or apart where those are on a target."""
    return str(state_dir_of(settings, job.id)) if job.target else job.output_dir


def state_dir_of(settings: Settings, job_id: int) -> Path:
    """The local directory of a job whose WARC files lie on a target."""
    return settings.state_dir / f"job-{job_id}"


def index_order(settings: Settings, job: Job, fence: int) -> IndexOrder:
    """The order of an index child."""
    return IndexOrder(
        job_id=job.id,
        fence=fence,
        output_dir=job.output_dir,
        state_dir=state_dir(settings, job),
    )


def with_overrides(source: SourceDefinition, job: Job) -> SourceDefinition:
    """The source as the job's own config has it: {"limits": {"pages": 10}, "engine": "http"}."""
    source = dataclasses.replace(source, engine=job.config.get("engine", source.engine))
    limits = job.config.get("limits")
    if not limits:
        return source
    try:
        merged = wire.from_plain(Limits, dataclasses.asdict(source.limits) | dict(limits))
    except ValueError as error:
        first = str(error).splitlines()[0]
        raise BadInput(
            f"The limits in the config of job {job.id} cannot be used: {first}.",
            f"Cancel job {job.id} and create it again with limits that are numbers.",
        ) from error
    return dataclasses.replace(source, limits=merged)
