"""Making the index, and the rows it stands on, anew from the WARC files alone."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from healtharchive.crawl.frontier_schema import connect
from healtharchive.model.attempts import Ending, Work
from healtharchive.model.captures import mark_unindexed
from healtharchive.model.kept_list import KEPT_NAME
from healtharchive.model.layout import FRONTIER_NAME, WARCS_NAME
from healtharchive.model.leases import ClaimTerms, claim, finish, heartbeat
from healtharchive.model.operator import reindex_job
from healtharchive.model.orders import IndexOrder, SealedSegment
from healtharchive.model.restoration import (
    LostJob,
    job_in,
    jobs_that_are,
    lift_fence,
    restore_job,
)
from healtharchive.model.states import JobEvent, JobStatus
from healtharchive.search.compare.edition import compare_after
from healtharchive.search.manifest import manifest
from healtharchive.search.pipeline import Tally, Tools, index_job
from healtharchive.search.suppressing import read_list, restore
from healtharchive.warc.digest import sha256_file
from healtharchive.warc.reader import WarcRecord, read_records

# The crawl's names: {source}-{campaign or 'crawl'}-job{id}-a{fence}-{serial}.warc.gz
SEGMENT_NAME = re.compile(
    r"(?P<source>.+?)-(?P<campaign>[^/]+)-job\d+-a(?P<fence>\d+)-\d+\.warc\.gz"
)
NO_CAMPAIGN = "crawl"
LEASE_SECONDS = 300.0
RENEW_SECONDS = 30.0
WITHOUT_LIMIT = 1_000_000  # starts an hour: a rebuild is a person's decision


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild did. `unknown` are WARC files whose name does not say what they are of."""

    restored: int
    indexed: int
    tally: Tally
    unknown: tuple[str, ...]


def rebuild(
    tools: Tools,
    jobs_root: Path,
    clock: Callable[[], float],
    home_of: Callable[[int], Path] | None = None,
) -> Rebuilt:
    """Restore the rows of jobs whose files are there, empty the index, and index all again.

    Jobs that another process holds meanwhile are left to it. What it does is safe to repeat;
    until it ends, searches find less. `clock` gives monotonic seconds; `home_of` says where
    the frontier of a job is when it is not beside the WARC files.
    """
    kept = jobs_root / KEPT_NAME
    if kept.exists():  # before anything is stored: nothing of it is shown for a moment
        restore(tools.database, read_list(kept), actor=tools.actor)
    restored, unknown = _restore(tools, jobs_root, home_of)
    tools.index.clear()
    with tools.database.begin() as connection:
        mark_unindexed(connection)
        for job in jobs_that_are(connection, (JobStatus.INDEXED,)):
            reindex_job(
                tools.database, connection, job.id, actor=tools.actor, why="the index is rebuilt"
            )
        waiting = jobs_that_are(connection, (JobStatus.COMPLETED,))
    total = Tally()
    indexed = 0
    for job in sorted(waiting, key=lambda each: _last_sealed(Path(each.output_dir))):
        tally = _index(tools, IndexOrder(job.id, 0, job.output_dir), clock)
        if tally is None:
            continue
        indexed += 1
        total.segments += tally.segments
        total.captures += tally.captures
        total.snapshots += tally.snapshots
        total.unreadable += tally.unreadable
    return Rebuilt(restored, indexed, total, unknown)


def _last_sealed(output_dir: Path) -> str:
    """When a job sealed its last segment (ISO 8601, UTC); empty when it never did.

    A revisit refers only to what was indexed before, so to a job that had sealed all it has: in
    this order the text of every revisit is there when its turn comes. The order in which jobs were
    made says nothing of that.
    """
    sealed = [each.sealed_at for each in manifest(output_dir)]
    return max(sealed, default="") or max(
        (each.sealed_at for each in _unlisted(output_dir)), default=""
    )


def _restore(
    tools: Tools, jobs_root: Path, home_of: Callable[[int], Path] | None
) -> tuple[int, tuple[str, ...]]:
    """Rows for the job directories that the database does not know; tokens for those it does.

    A restored database is older than the files, and so are the tokens in it.
    """
    restored = 0
    unknown: list[str] = []
    for directory in sorted(jobs_root.glob(f"*/*/{WARCS_NAME}")):
        files = sorted(directory.glob("*.warc.gz"))
        names = [SEGMENT_NAME.fullmatch(each.name) for each in files]
        unknown += [str(f) for f, name in zip(files, names, strict=True) if name is None]
        known = [name for name in names if name is not None]
        output_dir = directory.parent
        with tools.database.begin() as connection:
            job = job_in(connection, str(output_dir))
            if job is not None:
                homes = (output_dir, home_of(job.id)) if home_of else (output_dir,)
                fence = _highest_fence(output_dir, homes)
                lift_fence(tools.database, connection, job, fence, actor=tools.actor)
            elif known:
                lost = _lost_job(output_dir, known)
                restore_job(tools.database, connection, lost, actor=tools.actor)
                restored += 1
    return restored, tuple(unknown)


def _lost_job(output_dir: Path, names: list[re.Match[str]]) -> LostJob:
    # The directory is the source's: its code may hold a dash, which the name alone cannot tell.
    source = output_dir.parent.name
    stem = names[0].group("source") + "-" + names[0].group("campaign")
    campaign = stem.removeprefix(f"{source}-")
    return LostJob(
        source=source,
        campaign=None if campaign == NO_CAMPAIGN else campaign,
        output_dir=str(output_dir),
        fence=_highest_fence(output_dir, (output_dir,)),
        captured_at=datetime.fromtimestamp(output_dir.stat().st_mtime, UTC),
    )


def _highest_fence(output_dir: Path, homes: Iterable[Path]) -> int:
    """The highest token that a job's files tell of: their names, its manifest, its frontier."""
    files = (output_dir / WARCS_NAME).glob("*.warc.gz*")  # unsealed ones too
    names = (SEGMENT_NAME.match(each.name) for each in files)
    return max(
        0,
        *(int(name.group("fence")) for name in names if name is not None),
        *(each.fence for each in manifest(output_dir)),
        *(_fence_of_frontier(home / FRONTIER_NAME) for home in homes),
    )


def _fence_of_frontier(path: Path) -> int:
    """The token of the last attempt that took a frontier; 0 when there is none to be read."""
    if not path.exists():
        return 0
    try:
        with closing(connect(path, readonly=True)) as frontier:
            row = frontier.execute("SELECT value FROM meta WHERE key = 'fence'").fetchone()
    except sqlite3.Error:
        return 0
    return int(row[0]) if row else 0


def _unlisted(output_dir: Path) -> Iterator[SealedSegment]:
    """The WARC files of a job that its manifest does not list, or that lost their manifest."""
    listed = {each.name for each in manifest(output_dir)}
    for path in sorted((output_dir / WARCS_NAME).glob("*.warc.gz")):
        name = SEGMENT_NAME.fullmatch(path.name)
        if name is None or path.name in listed:
            continue
        sha256, size_bytes = sha256_file(path)
        yield SealedSegment(
            name=path.name,
            path=str(path),
            fence=int(name.group("fence")),
            size_bytes=size_bytes,
            sha256=sha256,
            records=sum(isinstance(each, WarcRecord) for each in read_records(path)),
            sealed_at=datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(),
        )


def _index(tools: Tools, order: IndexOrder, clock: Callable[[], float]) -> Tally | None:
    """Index one job under a lease of our own; None when somebody else has it."""
    with tools.database.begin() as connection:
        terms = ClaimTerms("rebuild", tools.actor, LEASE_SECONDS, WITHOUT_LIMIT, order.job_id)
        held = claim(tools.database, connection, Work.INDEX, terms)
    if held is None:
        return None
    order = replace(order, fence=held.fence)
    renewed_at = clock()

    def check() -> None:
        nonlocal renewed_at
        tools.check()
        if clock() - renewed_at < RENEW_SECONDS:
            return
        with tools.database.begin() as connection:
            heartbeat(tools.database, connection, order.job_id, order.fence, LEASE_SECONDS)
        renewed_at = clock()

    ending = Ending(JobEvent.RELEASE, "stopped", reason="the rebuild was interrupted")
    try:
        unlisted = tuple(_unlisted(Path(order.output_dir)))
        ours = replace(tools, check=check)
        tally = index_job(order, ours, unlisted)
        compare_after(order, ours)
        ending = Ending(
            JobEvent.INDEX_DONE, "complete", reason="rebuilt", evidence=dict(tally.facts())
        )
    finally:
        with tools.database.begin() as connection:
            finish(tools.database, connection, held, ending, actor=tools.actor)
    return tally
