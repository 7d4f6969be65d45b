"""An archive whose jobs lie on one real sshfs box, as the predecessor's did, and one job that does
not: `here` writes to the local spool, `there` and `also` to the box. Nobody mends it by hand.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from healtharchive.crawl.sources import load_file
from healtharchive.model import schema
from healtharchive.model.database import Database
from healtharchive.model.jobs import create_job
from healtharchive.model.operator import pause_job
from healtharchive.model.sources import upsert_source
from healtharchive.model.target import TargetDefinition, TargetKind
from healtharchive.settings import load
from healtharchive.storage.mount_process import mount_process
from healtharchive.storage.mountinfo import mount_at, read_mounts
from tests.lab import mounts, truth
from tests.lab.archive import Archive, tail
from tests.lab.night import SICK, end, start, target_toml, unmount_all
from tests.lab.processes import kill, wait_for
from tests.lab.queue import ACTOR
from tests.lab.site import Site, serving

BOX = SICK  # the name under which `unmount_all` knows it
HERE, THERE, ALSO = "here", "there", "also"
PAGES = 8
DELAY_SECONDS = 0.2  # between two requests of one crawl: a fault comes in the midst of it
PATIENCE_SECONDS = 150.0
# A box that is well again is believed sooner than one that nobody waits for; and one that answers
# slowly, the machine being busy, is not taken for a dead one: these faults are no silences.
SETTINGS = {
    "SILENCE_SECONDS": "20",
    "PROBE_DEADLINE_SECONDS": "20",
    "SEGMENT_BYTES": "500000",
    "WORKER_JOBS": "3",
    "POLL_SECONDS": "0.2",
    "PARK_FIRST_SECONDS": "1",
    "PARK_MAX_SECONDS": "4",
    "PROBE_EVERY_SECONDS": "1",
    "BREAKER_GOOD_PROBES": "2",
    "BREAKER_GOOD_SECONDS": "1",
    "RELEASE_SECONDS": "0.5",
}


@dataclass(frozen=True)
class Boxed:
    """The archive, its box, and the server behind it."""

    archive: Archive
    site: Site
    directory: Path
    server: mounts.Server
    jobs: Mapping[str, int]

    # -- what there is -------------------------------------------------------------------------

    @property
    def root(self) -> Path:
        """Where the box is mounted."""
        return self.directory / "mnt" / BOX

    @property
    def definition(self) -> TargetDefinition:
        """The box as a target."""
        return TargetDefinition(BOX, TargetKind.MOUNT, str(self.root), filesystem="fuse.sshfs")

    @property
    def deploy_lock(self) -> Path:
        """While this file is there, the steward repairs nothing."""
        return self.archive.data_dir / "deploy.lock"

    def hot_path(self, source: str) -> Path:
        """The directory that a source's job writes to."""
        return Path(self.job(source)["output_dir"])

    def job(self, source: str) -> dict[str, Any]:
        """A source's job."""
        names = ("status", "output_dir", "retry_count", "park_count", "fence", "parked_reason")
        query = f"SELECT {', '.join(names)} FROM archive_jobs WHERE id = ?"
        (row,) = self.ask(query, self.jobs[source])
        return dict(zip(names, row, strict=True))

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of the archive's database."""
        path = self.archive.data_dir / "healtharchive.sqlite"
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=10.0)) as db:
            return db.execute(query, values).fetchall()

    def told(self, subject: str, subject_id: object, *whats: str) -> list[tuple[int, str]]:
        """The journal's (id, why) of one subject, oldest first; of these kinds of events."""
        marks = ", ".join("?" * len(whats))
        query = (
            "SELECT id, why FROM events WHERE subject = ? AND subject_id = ?"
            f" AND what IN ({marks}) ORDER BY id"
        )
        return [(int(row[0]), str(row[1])) for row in self.ask(query, subject, subject_id, *whats)]

    def claims(self, source: str) -> list[int]:
        """The events with which a source's job was claimed for its crawl."""
        return [each for each, _ in self.told("job", str(self.jobs[source]), "claim")]

    def done(self, source: str) -> int:
        """How many URLs of a job are done, as the archive counts them."""
        query = "SELECT urls_done FROM archive_jobs WHERE id = ?"
        return int(self.ask(query, self.jobs[source])[0][0])

    def state(self, target: str = BOX) -> str:
        """The state of a target's breaker."""
        return str(self.ask("SELECT state FROM targets WHERE name = ?", target)[0][0])

    def last_event(self) -> int:
        """The number of the newest event."""
        return int(self.ask("SELECT coalesce(max(id), 0) FROM events")[0][0])

    # -- what happens to it --------------------------------------------------------------------

    def kill_sshfs(self) -> None:
        """From now on the box and its hot paths answer errno 107."""
        pid = mount_process(read_mounts(), self.definition)
        assert pid is not None, "no sshfs serves the box"
        kill(pid)

    def reboot(self) -> None:
        """What a reboot leaves of mounts and binds: nothing, and plain directories in their place.

        The processes of the archive must have ended before.
        """
        self.kill_sshfs()
        for source in set(self.jobs) - {HERE}:
            mounts.unmount(self.hot_path(source))
        mounts.unmount(self.root)

    @contextmanager
    def running(self, *names: str) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
        """These processes of the archive for as long as the block; none may end by itself."""
        with ExitStack() as undo:
            processes = {}
            for name in names:
                processes[name] = start(self.archive, name)
                undo.callback(end, processes[name])
            yield processes
            for name, process in processes.items():
                assert process.poll() is None, tail(self.archive.data_dir / f"{name}.log")

    # -- what comes of it ------------------------------------------------------------------------

    def wait_until_done(self, source: str, number: int) -> None:
        """Until so many URLs of a job are done."""
        wait_for(
            lambda: self.done(source) >= number,
            what=f"{number} URLs of {source} are done",
            seconds=PATIENCE_SECONDS,
        )

    def wait_until_captured(self, *sources: str, also_indexed: bool = False) -> None:
        """Until these jobs are captured, and indexed if the test needs that too."""
        wanted = ("indexed",) if also_indexed else ("completed", "indexing", "indexed")

        def captured() -> bool:
            return all(self.job(each)["status"] in wanted for each in sources)

        wait_for(captured, what=f"{sources} are captured", seconds=PATIENCE_SECONDS, every=0.2)

    def wait_until_open(self, target: str = BOX) -> None:
        """Until a target is known to be sick."""
        wait_for(
            lambda: self.state(target) == "open",
            what=f"{target} is known to be sick",
            seconds=PATIENCE_SECONDS,
        )

    def wait_until_well(self, number: int = 0) -> None:
        """Until every target is closed and healthy: the spool, the box, and a path for each job."""
        targets = number or 1 + len(self.jobs)
        query = "SELECT state = 'closed' AND verdict = 'healthy' FROM targets"
        wait_for(
            lambda: [row[0] for row in self.ask(query)] == [1] * targets,
            what="every target is well",
            seconds=PATIENCE_SECONDS,
            every=0.2,
        )

    def assert_whole(self, *sources: str) -> None:
        """Their captured sets are the site's, each URL once, and no retry was spent."""
        for source in sources:
            job_dir = self.hot_path(source)
            wrong = [str(each) for each in truth.compare(job_dir, self.site.truth)]
            # A tidy site has no robots.txt; the answer to who asked for it is kept all the same.
            assert [each for each in wrong if "/robots.txt in " not in each] == [], source
            assert truth.warcio_check(truth.warc_files(job_dir)) == [], source
            assert self.job(source)["retry_count"] == 0, source


def listing(path: Path) -> Sequence[str]:
    """Everything below a directory that is no mount, as it lies on the local disk."""
    assert mount_at(read_mounts(), path) is None, f"something is mounted at {path}"
    return sorted(str(each.relative_to(path)) for each in path.rglob("*"))


@contextmanager
def boxed(*sources: str, pages: int = PAGES, **settings: str) -> Iterator[Boxed]:
    """The archive with a job for each source; its box is mounted, its hot paths are bound.

    No process of it runs.
    """
    with ExitStack() as undo:
        directory = Path(tempfile.mkdtemp(prefix="lab-box-"))
        undo.callback(shutil.rmtree, directory, ignore_errors=True)
        directory.chmod(0o755)
        site = undo.enter_context(serving(pages, nasty=False))
        server = undo.enter_context(mounts.sshd())
        undo.callback(unmount_all, directory)
        archive = Archive(directory / "data", {**SETTINGS, **settings})
        archive.data_dir.mkdir()
        target = target_toml(BOX, directory, server)
        patient = target.replace("ServerAliveInterval=2", "ServerAliveInterval=20")
        assert patient != target
        (archive.data_dir / "targets.toml").write_text(patient)
        (archive.data_dir / "backend.env").touch()
        made = Boxed(archive, site, directory, server, _queued(archive, site, sources))
        on_box = [each for each in made.jobs if each != HERE]
        with made.running("steward"):
            made.wait_until_well(2)
            numbers = [word for each in on_box for word in ("--job", str(made.jobs[each]))]
            archive.run("tier", "apply", "--target", BOX, *numbers)
            made.wait_until_well()
        yield made


def _queued(archive: Archive, site: Site, sources: Sequence[str]) -> dict[str, int]:
    """A job for each source in a new database, made quicker than by commands; `also` is paused."""
    settings = load(archive.environment)
    database = Database(settings.database_url, "the test")
    schema.upgrade(database)
    jobs = {}
    for code in sources:
        path = archive.data_dir / f"{code}.toml"
        path.write_text(site.source_toml(code, delay_seconds=DELAY_SECONDS))
        with database.begin() as connection:
            upsert_source(database, connection, load_file(path), actor=ACTOR)
            root = str(settings.jobs_root)
            job = create_job(database, connection, source=code, jobs_root=root, actor=ACTOR)
            jobs[code] = job.id
            if code == ALSO:
                pause_job(database, connection, job.id, actor=ACTOR)
    database.dispose()
    return jobs
