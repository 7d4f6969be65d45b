"""A file where a job's directory or a segment should be: named, never replaced, no strike."""

from __future__ import annotations

import errno
from datetime import UTC, datetime
from pathlib import Path

import pytest

from healtharchive.crawl.frontier import Frontier
from healtharchive.crawl.segments import Segments
from healtharchive.model.attempts import list_attempts
from healtharchive.model.blame import Blame, Fault, classify
from healtharchive.model.database import Database
from healtharchive.model.jobs import Job
from healtharchive.model.states import JobStatus, TargetState
from healtharchive.model.target import TargetDefinition, TargetKind
from healtharchive.model.targets import declare_targets, get_target
from healtharchive.storage.probe import probe
from healtharchive.warc.salvage import Span, salvage
from healtharchive.warc.segment import OpenSegment
from tests.lab.queue import ACTOR, add_job
from tests.lab.workers import job_of, settings_for, stub_worker

NOW = datetime(2026, 1, 24, 6, 28, tzinfo=UTC)


def put_in_the_way(job: Job) -> Path:
    """A file in the place of the job's directory."""
    place = Path(job.output_dir)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"somebody's notes")
    return place


def attempt(database: Database, directory: Path) -> None:
    """One turn of a worker that really looks before it starts anything."""
    settings = settings_for(directory, park_first_seconds=500.0, probe_deadline_seconds=20.0)
    worker = stub_worker(
        directory, database, settings=settings, probe=lambda path: probe(path, 20.0)
    )
    worker.turn()
    worker.finish()


def test_a_job_whose_directory_is_a_file_is_parked_and_the_file_is_named(
    database: Database, tmp_path: Path
) -> None:
    job_id = add_job(database, tmp_path / "jobs")
    place = put_in_the_way(job_of(database, job_id))
    attempt(database, tmp_path)
    job = job_of(database, job_id)
    assert (job.status, job.retry_count) == (JobStatus.PARKED, 0)
    assert job.parked_reason == f"a file is in the way (errno 17): make directory {place}"
    with database.read() as connection:
        (only,) = list_attempts(connection, job_id)
    assert (only.blame, only.errno) == (Blame.HOST, errno.EEXIST)
    assert place.read_bytes() == b"somebody's notes"


def test_the_target_that_it_lies_on_is_not_blamed(database: Database, tmp_path: Path) -> None:
    root = tmp_path / "cold"
    root.mkdir()
    with database.begin() as connection:
        cold = TargetDefinition("cold", TargetKind.LOCAL, str(root))
        declare_targets(database, connection, [cold], actor=ACTOR)
    jobs = [add_job(database, root) for _ in range(4)]
    for job_id in jobs:
        assert job_of(database, job_id).target == "cold"
        put_in_the_way(job_of(database, job_id))
    for _ in jobs:
        attempt(database, tmp_path)
    for job_id in jobs:
        job = job_of(database, job_id)
        assert (job.status, job.retry_count, job.parked_target) == (JobStatus.PARKED, 0, None)
        assert str(job.parked_reason).startswith("a file is in the way")
    with database.read() as connection:
        target = get_target(connection, "cold")
        assert (target.state, target.strikes) == (TargetState.CLOSED, 0)


def fault_of_segments(directory: Path) -> Fault:
    """A job's directory for WARC files is a file."""
    frontier = Frontier(directory / "frontier.sqlite", 1)
    (directory / "warcs").write_bytes(b"no directory")
    with pytest.raises(FileExistsError) as caught:
        Segments(frontier, directory / "warcs", "hc-test-job1")
    frontier.close()
    return classify(caught.value)


def fault_of_seal(directory: Path) -> Fault:
    """Another file has got the segment's name meanwhile."""
    segment = OpenSegment(directory, "taken.warc.gz")
    segment.final_path.write_bytes(b"the sole copy")
    with pytest.raises(FileExistsError) as caught:
        segment.publish()
    segment.close()
    assert segment.final_path.read_bytes() == b"the sole copy"
    return classify(caught.value)


def fault_of_salvage(directory: Path) -> Fault:
    """The same when an earlier attempt's records are copied out."""
    (directory / "old").write_bytes(b"")
    final = directory / "taken.warc.gz"
    final.write_bytes(b"the sole copy")
    with pytest.raises(FileExistsError) as caught:
        salvage(directory / "old", final, [Span(1, 0, 10, 1)])
    return classify(caught.value)


@pytest.mark.parametrize("place", [fault_of_segments, fault_of_seal, fault_of_salvage])
def test_whatever_it_is_in_the_way_of_the_job_waits_for_a_person(
    tmp_path: Path, place: object
) -> None:
    assert callable(place)
    fault: Fault = place(tmp_path)
    assert (fault.blame, fault.parks, fault.errno) == (Blame.HOST, True, errno.EEXIST)
    assert fault.reason.startswith(f"a file is in the way (errno 17): {tmp_path}")
