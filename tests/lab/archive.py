"""An archive of a test's own, worked as its users do: by the `healtharchive` command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from healtharchive.cli import render
from healtharchive.model.errors import HealthArchiveError
from healtharchive.model.jobs import list_jobs
from healtharchive.settings import load, open_database
from tests.lab.processes import ROOT, kill_tree, running, spawn, stop, wait_for, without_settings

COMMAND_SECONDS = 120.0
CRAWL_CHILD = "healtharchive.crawl"
SETTLED = ("indexed", "index_failed", "failed", "cancelled")
# A crawl that is disturbed every second must not wait like one that is disturbed every week.
IMPATIENT = {
    "LEASE_SECONDS": "3",
    "HEARTBEAT_SECONDS": "0.5",
    "POLL_SECONDS": "0.1",
    "PARK_FIRST_SECONDS": "0.2",
    "PARK_MAX_SECONDS": "1",
    "STARTS_PER_HOUR": "3600",
    "RETRY_DELAY_SECONDS": "0.2",
    "RETRY_BUDGET": "1000",
    "INDEX_RETRY_BUDGET": "1000",
}


class CommandFailed(AssertionError):
    """A command ended with an exit code that was not expected."""


@dataclass(frozen=True)
class Archive:
    """An archive in a data directory. `settings` are names without HEALTHARCHIVE_."""

    data_dir: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead every command to this archive and to no other."""
        ours = {
            "DATA_DIR": str(self.data_dir),
            "DATABASE_URL": f"sqlite:///{self.data_dir / 'healtharchive.sqlite'}",
            "ENV_FILE": str(self.data_dir / "backend.env"),
            "OPERATOR": "The lab <lab@example.org>",
            **self.settings,
        }
        return {f"HEALTHARCHIVE_{name}": value for name, value in ours.items()}

    @property
    def worker_log(self) -> Path:
        """What the workers said on stderr."""
        return self.data_dir / "worker.log"

    def run(self, *words: str, codes: tuple[int, ...] = (0,)) -> str:
        """What a command prints; CommandFailed when it ends with another exit code."""
        done = subprocess.run(
            command(*words),
            env={**without_settings(), **self.environment},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        if done.returncode not in codes:
            said = (done.stdout + done.stderr).strip()
            raise CommandFailed(f"healtharchive {' '.join(words)}: {done.returncode}\n{said}")
        return done.stdout

    def ask(self, *words: str) -> Any:
        """The JSON that a command prints."""
        return json.loads(self.run(*words, "--json"))

    def set_up(self, *source_files: str) -> None:
        """Make the database and add sources, given as TOML."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        (self.data_dir / "backend.env").touch()
        self.run("db", "upgrade")
        for number, text in enumerate(source_files):
            path = self.data_dir / f"added-{number}.toml"
            path.write_text(text)
            self.run("source", "add", str(path))

    def jobs(self) -> list[dict[str, Any]]:
        """Every job as `list-jobs --json` shows it.

        Read without the command: waiting for a job by starting one again and again takes a core.
        """
        try:
            database = open_database(load(self.environment))
            with database.read() as connection:
                found = list_jobs(connection)
            database.dispose()
        except HealthArchiveError as error:
            raise CommandFailed(f"The jobs cannot be listed: {error}") from error
        jobs: list[dict[str, Any]] = json.loads(json.dumps(render.plain(found)))
        return jobs

    def job(self) -> dict[str, Any]:
        """The only job."""
        (job,) = self.jobs()
        return job

    def job_dir(self) -> Path:
        """The only job's directory."""
        return Path(self.job()["output_dir"])

    def start_worker(self) -> subprocess.Popen[bytes]:
        """A worker that runs until it is stopped."""
        return spawn(command("worker"), environment=self.environment, log=self.worker_log)

    @contextmanager
    def working(self) -> Iterator[subprocess.Popen[bytes]]:
        """A worker for as long as the block."""
        worker = self.start_worker()
        try:
            yield worker
        finally:
            stop(worker, seconds=30.0)
            kill_tree(worker)

    @contextmanager
    def serving(self, port: int) -> Iterator[subprocess.Popen[bytes]]:
        """The web pages for as long as the block."""
        environment = {**self.environment, "HEALTHARCHIVE_BIND_PORT": str(port)}
        log = self.data_dir / "serve.log"
        with running(command("serve"), environment=environment, log=log) as server:
            yield server

    def wait_until_settled(self, *, seconds: float, worker: subprocess.Popen[bytes]) -> None:
        """Until nothing happens to any job any more; early when the worker ends."""

        def settled() -> bool:
            return worker.poll() is not None or all(job["status"] in SETTLED for job in self.jobs())

        wait_for(settled, what="every job is settled", seconds=seconds, every=0.5)
        if worker.poll() is not None:
            raise CommandFailed(f"The worker ended by itself:\n{tail(self.worker_log)}")


def command(*words: str) -> list[str]:
    """The command line of a `healtharchive` command in this Python."""
    return [sys.executable, "-m", "healtharchive.cli.main", *words]


def tail(path: Path, characters: int = 3_000) -> str:
    """The end of a log."""
    return path.read_text(errors="replace")[-characters:] if path.exists() else ""
