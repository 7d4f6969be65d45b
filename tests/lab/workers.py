"""Workers whose children are stubs: in this process, or in one of their own."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from healtharchive.model.attempts import Work
from healtharchive.model.clock import Clock, SystemClock
from healtharchive.model.database import Database
from healtharchive.model.jobs import Job, get_job
from healtharchive.settings import Settings, environment_of, load
from healtharchive.storage.probe import ProbeResult
from healtharchive.work.means import Commands, Means
from healtharchive.work.worker import Worker, run
from tests.lab.processes import spawn

STUB = Path(__file__).with_name("stub_child.py")
QUICK: Mapping[str, float] = {
    "lease_seconds": 2.0,
    "heartbeat_seconds": 0.2,
    "poll_seconds": 0.05,
    "stop_seconds": 2.0,
    "park_first_seconds": 0.1,
    "retry_delay_seconds": 0.1,
    "starts_per_hour": 100,
}


def settings_for(directory: Path, **values: object) -> Settings:
    """Settings whose files are all in this directory; quick ones unless told otherwise."""
    named = {"data_dir": directory, **QUICK, **values}
    env = {f"HEALTHARCHIVE_{name.upper()}": str(value) for name, value in named.items()}
    return load(env, env_file=directory / "no.env")


def stub_commands(directory: Path) -> Commands:
    """Stub children that read their behaviour in this directory."""
    stub = (sys.executable, "-S", str(STUB), str(directory))
    return {Work.CRAWL: stub, Work.INDEX: stub}


def stub_worker(
    directory: Path, database: Database, clock: Clock | None = None, **means: Any
) -> Worker:
    """A worker in this process. Its stubs end well unless a file in the directory says more."""
    values: dict[str, Any] = {
        "settings": settings_for(directory),
        "commands": stub_commands(directory),
        "probe": lambda path: ProbeResult(path, ok=True),
        **means,
    }
    return Worker(Means(database=database, clock=clock or SystemClock(), **values))


@contextmanager
def working(worker: Worker) -> Iterator[Worker]:
    """The worker works in a thread while the block runs, and has ended after it."""
    thread = threading.Thread(target=worker.work)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop.ask("the test is over")
        thread.join(30)
        assert not thread.is_alive()


def spawn_worker(directory: Path, url: str, **values: object) -> subprocess.Popen[bytes]:
    """A worker in a process of its own, with stub children."""
    settings = settings_for(directory, database_url=url, **values)
    command = [sys.executable, "-m", "tests.lab.workers", str(directory)]
    return spawn(command, environment=environment_of(settings), log=directory / "worker.log")


def job_of(database: Database, job_id: int) -> Job:
    """A job as it is now."""
    with database.read() as connection:
        return get_job(connection, job_id)


def main() -> int:
    """What `spawn_worker` runs."""
    settings = load()
    database = Database(settings.database_url, "the test")
    return run(settings, database, SystemClock(), commands=stub_commands(Path(sys.argv[1])))


if __name__ == "__main__":
    sys.exit(main())
