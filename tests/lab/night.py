"""The night of 2026-01-24 on real mounts: three sources, two boxes, hot paths, nobody awake.

hc writes to box-a, phac and cihr to box-b. cihr is paused until somebody resumes it.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from healtharchive.model.target import TargetDefinition, TargetKind
from healtharchive.storage.mount_process import end_mount_process, mount_process
from healtharchive.storage.mountinfo import mount_at, read_mounts
from tests.lab import mounts, network, truth
from tests.lab.archive import Archive, command, tail
from tests.lab.processes import kill_tree, spawn, stop, wait_for
from tests.lab.site import Site, serving

SOURCES = ("hc", "phac", "cihr")
HEALTHY, SICK = "box-a", "box-b"
BOX_OF = {"hc": HEALTHY, "phac": SICK, "cihr": SICK}
USER = "nobody"
SETTINGS = {"SEGMENT_BYTES": "2000000", "WORKER_JOBS": "3"}
BINDS_LAYERS = 4


@dataclass
class Night:
    """A running archive whose box-b can be hurt."""

    archive: Archive
    site: Site
    directory: Path
    healthy: mounts.Server
    sick: mounts.Server
    cable: network.Host
    steward: subprocess.Popen[bytes]
    worker: subprocess.Popen[bytes]
    jobs: Mapping[str, int]
    fault_at: float = 0.0
    restored_at: float = 0.0
    notes: list[str] = field(default_factory=list)

    def definition(self, box: str) -> TargetDefinition:
        """The box as a target, to find its mount's process."""
        path = str(self.directory / "mnt" / box)
        return TargetDefinition(box, TargetKind.MOUNT, path, filesystem="fuse.sshfs")

    def mount_pid(self, box: str = SICK) -> int:
        """The pid of the sshfs that serves a box now."""
        pid = mount_process(read_mounts(), self.definition(box))
        assert pid is not None, f"no sshfs serves {box}"
        return pid

    def device(self, box: str = SICK) -> str:
        """The device number of a box's mount."""
        at = mount_at(read_mounts(), self.definition(box).root)
        assert at is not None
        return at.device

    def hot_path(self, source: str) -> Path:
        """The directory that a source's job writes to."""
        return Path(self.job(source)["output_dir"])

    def job(self, source: str) -> dict[str, Any]:
        """A source's job."""
        names = ("id", "status", "output_dir", "last_error", "retry_count")
        query = f"SELECT {', '.join(names)} FROM archive_jobs WHERE id = ?"
        (row,) = self.ask(query, self.jobs[source])
        return {"source": source, **dict(zip(names, row, strict=True))}

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of the archive's database: what is asked often is not asked by a command."""
        path = self.archive.data_dir / "healtharchive.sqlite"
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=10.0)) as db:
            return db.execute(query, values).fetchall()

    def events(self) -> list[dict[str, Any]]:
        """The whole journal, oldest first."""
        told = self.archive.run("events", "--since", "1d", "--limit", "100000", "--json")
        return [json.loads(line) for line in told.splitlines()]

    def frontier(self, source: str) -> Path:
        """The frontier of a source's job: local, whatever its WARC files lie on."""
        state = self.archive.data_dir / "state" / f"job-{self.jobs[source]}"
        return state / "frontier.sqlite"

    def captured_at(self, source: str) -> list[float]:
        """When each capture of a source was made, in seconds since the epoch."""
        path = self.frontier(source)
        if not path.exists():
            return []
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=10.0)) as db:
            query = "SELECT captured_at FROM captures WHERE url_id IS NOT NULL ORDER BY 1"
            try:
                return [_seconds(row[0]) for row in db.execute(query) if row[0]]
            except sqlite3.OperationalError:
                return []

    def wait_for_captures(self, source: str, number: int, seconds: float = 120.0) -> None:
        """Until a source has so many captures."""
        wait_for(
            lambda: len(self.captured_at(source)) >= number,
            what=f"{source} has {number} captures",
            seconds=seconds,
            every=0.2,
        )

    def wait_until_over(self, seconds: float) -> None:
        """Until every job is indexed; both processes must live all the while."""

        def over() -> bool:
            assert self.worker.poll() is None, tail(self.archive.worker_log)
            assert self.steward.poll() is None, tail(self.log("steward"))
            return not self.ask("SELECT 1 FROM archive_jobs WHERE status <> 'indexed'")

        try:
            wait_for(over, what="every job is indexed", seconds=seconds, every=1.0)
        except AssertionError:
            for each in map(self.job, SOURCES):
                self.notes.append(f"{each['source']}: {each['status']} {each['last_error']}")
            raise

    def log(self, name: str) -> Path:
        """What a process said."""
        return self.archive.data_dir / f"{name}.log"


@contextmanager
def night(
    *, pages: int = 30, delay: float = 0.5, server_disk: str = "", seed: int = 1
) -> Iterator[Night]:
    """A night that has begun: hc and phac are captured, cihr waits. All is undone at its end.

    With `server_disk`, the sick server's files lie on a tmpfs of that size.
    """
    with ExitStack() as undo:
        directory = Path(tempfile.mkdtemp(prefix="lab-night-"))
        undo.callback(shutil.rmtree, directory, ignore_errors=True)
        directory.chmod(0o755)
        site = undo.enter_context(serving(pages, delay=delay, seed=seed))
        cable = undo.enter_context(network.host())
        healthy = undo.enter_context(mounts.sshd(user=USER))
        sick = undo.enter_context(
            mounts.sshd(user=USER, host=cable.address, namespace=cable.namespace)
        )
        undo.callback(cable.join)
        if server_disk:
            undo.enter_context(mounts.tmpfs(sick.files, server_disk))
            shutil.chown(sick.files, USER)
        archive = Archive(directory / "data", SETTINGS)
        undo.callback(unmount_all, directory)
        jobs = _set_up(archive, site, directory, {HEALTHY: healthy, SICK: sick})
        steward = start(archive, "steward")
        undo.callback(end, steward)
        _wait_for_targets(archive, 2 + 1)
        for source in SOURCES:
            archive.run("tier", "apply", "--target", BOX_OF[source], "--job", str(jobs[source]))
        archive.run("pause", "--id", str(jobs["cihr"]))
        worker = archive.start_worker()
        undo.callback(end, worker)
        running = Night(archive, site, directory, healthy, sick, cable, steward, worker, jobs)
        for source in ("hc", "phac"):
            running.wait_for_captures(source, 10)
        yield running


def verdicts(running: Night) -> list[str]:
    """What is wrong with the captured sets in the end."""
    wrong: list[str] = []
    for source in SOURCES:
        job_dir = running.hot_path(source)
        wrong += [f"{source}: {each}" for each in truth.compare(job_dir, running.site.truth)]
        wrong += [f"{source}: {each}" for each in truth.warcio_check(truth.warc_files(job_dir))]
        job = running.job(source)
        if job["retry_count"]:
            wrong.append(f"{source} spent {job['retry_count']} retries")
    return wrong


def _set_up(
    archive: Archive, site: Site, directory: Path, boxes: Mapping[str, mounts.Server]
) -> dict[str, int]:
    archive.data_dir.mkdir(parents=True)
    text = "".join(target_toml(name, directory, server) for name, server in boxes.items())
    (archive.data_dir / "targets.toml").write_text(text)
    archive.set_up(*(site.source_toml(code) for code in SOURCES))
    for code in SOURCES:
        archive.run("create-job", "--source", code)
    return {each["source"]: each["id"] for each in archive.jobs()}


def target_toml(name: str, directory: Path, server: mounts.Server) -> str:
    """A box in the targets file: the server's files, mounted below the lab's directory."""
    root = directory / "mnt" / name
    return (
        f'[[target]]\nname = "{name}"\nkind = "mount"\nroot = "{root}"\n'
        f"mount_command = {json.dumps(server.mount_command(root))}\n"
        f'filesystem = "fuse.sshfs"\nsource = "{server.source}"\n'
        f'server = "{server.host}:{server.port}"\n\n'
    )


def start(archive: Archive, name: str) -> subprocess.Popen[bytes]:
    """A command that runs until it is ended, with a log of its own."""
    log = archive.data_dir / f"{name}.log"
    return spawn(command(name), environment=archive.environment, log=log)


def _wait_for_targets(archive: Archive, number: int) -> None:
    def ready() -> bool:
        found = [each["target"] for each in archive.ask("storage", "status")]
        healthy = [
            each for each in found if each["state"] == "closed" and each["verdict"] == "healthy"
        ]
        return len(healthy) >= number

    wait_for(ready, what="the targets are mounted and healthy", seconds=60.0, every=0.5)


def end(process: subprocess.Popen[bytes]) -> None:
    """Stop a process as systemd does, and kill what is left of it."""
    stop(process, seconds=20.0)
    kill_tree(process)


def unmount_all(directory: Path) -> None:
    """Every mount below the lab's directory, and the sshfs behind it; never asks the paths."""
    for _ in range(BINDS_LAYERS):
        table = read_mounts()
        ours = [each for each in table if each.point.startswith(f"{directory}/")]
        for each in reversed(ours):
            definition = TargetDefinition(
                "lab", TargetKind.MOUNT, each.point, filesystem=each.filesystem
            )
            pid = mount_process(table, definition)
            mounts.unmount(Path(each.point))
            if pid is not None:
                end_mount_process(pid, each.point)
    for name in (HEALTHY, SICK):
        definition = TargetDefinition(
            name, TargetKind.MOUNT, str(directory / "mnt" / name), filesystem="fuse.sshfs"
        )
        while pid := mount_process(read_mounts(), definition):
            if not end_mount_process(pid, definition.root).ok:
                break


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment.replace("Z", "+00:00")).astimezone(UTC).timestamp()


def now() -> float:
    """Seconds since the epoch, as the journal's moments."""
    return time.time()


def moment_of(event: Mapping[str, Any]) -> float:
    """When an event happened."""
    return _seconds(str(event["at"]))


def alive(pid: int) -> bool:
    """Whether a process is there."""
    return os.path.exists(f"/proc/{pid}")
