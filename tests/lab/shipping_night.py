"""A night in spool mode: crawls write to the local disk, segments are shipped to one sick box.

One job is captured and indexed before the night begins: its segments are the backlog. Another one
is captured all the while, and must never notice what happens to the box.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab import mounts, network, truth
from tests.lab.archive import IMPATIENT, Archive, tail
from tests.lab.night import SICK, USER, Night, end, start, target_toml, unmount_all
from tests.lab.processes import kill_tree, wait_for
from tests.lab.site import Site, serving

BACKLOG, LIVE = "old", "hc"
CONNECTIONS = 8  # of a crawl at once, as the site's source file says
URLS = 558  # of the tidy site, roughly
SETTINGS = {
    "SEGMENT_BYTES": "300000",
    "SHIP_EVERY_SECONDS": "1",
    "SHIP_STALL_SECONDS": "30",
    "WORKER_JOBS": "2",
}
# For a night on which everything is killed again and again.
HARDY = {
    **IMPATIENT,
    "RECOVER_FIRST_SECONDS": "1",
    "RECOVER_MAX_SECONDS": "2",
    "RECOVER_PER_HOUR": "1000",
    "RECOVER_PER_DAY": "1000",
    "PROBE_EVERY_SECONDS": "1",
    "BREAKER_GOOD_SECONDS": "0.1",  # it doubles with each trip, and there are many
}
LOOK_SECONDS = 0.1


class Guard:
    """Watches both sides of shipping past all that we wrote: what leaves here, what comes there.

    It reads the spool and the server's own disk, never the mount.
    """

    def __init__(self, spool: Path, box: Path) -> None:
        self.wrong: list[str] = []
        self._spool = spool
        self._boxes = (box, box.with_name("elsewhere"))  # one fault moves it there and back
        self._here: dict[Path, str] = {}
        self._there: dict[str, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @contextmanager
    def watching(self) -> Iterator[Guard]:
        """Watch as long as the block."""
        self._thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            self._thread.join(20.0)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def _watch(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            for box in self._boxes:
                self._look_there(box)
            self._look_here()

    def _look_there(self, box: Path) -> None:
        for path in box.glob("*/*/warcs/*.warc.gz"):
            with suppress(FileNotFoundError):
                name, number = str(path.relative_to(box)), path.stat().st_ino
                if self._there.setdefault(name, number) != number:
                    self.wrong.append(f"{name} was shipped twice")
                    self._there[name] = number

    def _look_here(self) -> None:
        for path in self._spool.glob("*/*/warcs/*.warc.gz"):
            if path not in self._here:
                with suppress(FileNotFoundError):
                    self._here[path] = sha256(path)
        for path in [each for each in self._here if not each.exists()]:
            digest = self._here.pop(path)
            copies = [box / path.relative_to(self._spool) for box in self._boxes]
            if digest not in [sha256(each) for each in copies if each.exists()]:
                self.wrong.append(f"{path.name} left the spool and the box does not have it")


@dataclass
class ShippingNight(Night):
    """A running archive that ships to box-b while a crawl goes on."""

    guard: Guard | None = field(default=None, repr=False)

    @property
    def box(self) -> Path:
        """The box's files on the server's own disk."""
        return self.sick.files

    def frontier(self, source: str) -> Path:
        return Path(self.job(source)["output_dir"]) / "frontier.sqlite"

    def segments(self) -> list[dict[str, Any]]:
        """Every segment that the database knows."""
        return self._rows(
            "SELECT segments.*, archive_jobs.output_dir FROM segments"
            " JOIN archive_jobs ON archive_jobs.id = segments.job_id ORDER BY sealed_at"
        )

    def shipped(self) -> int:
        """How many copies were verified."""
        return len(self._rows("SELECT id FROM copies WHERE state = 'verified'"))

    def on_box(self, segment: dict[str, Any]) -> Path:
        """Where a segment's copy lies on the server's disk."""
        path = Path(segment["path"])
        return self.box / path.relative_to(path.parents[3])

    def restart(self, name: str) -> None:
        """A new worker or steward in place of one that was killed."""
        if name == "worker":
            self.worker = self.archive.start_worker()
        else:
            self.steward = start(self.archive, "steward")

    def wait_until_shipped(self, seconds: float) -> None:
        """Until every job is indexed and no segment is left in the spool."""

        def over() -> bool:
            assert self.worker.poll() is None, tail(self.archive.worker_log)
            assert self.steward.poll() is None, tail(self.log("steward"))
            jobs = self._rows("SELECT status FROM archive_jobs")
            return all(each["status"] == "indexed" for each in jobs) and all(
                each["state"] == "released" for each in self.segments()
            )

        try:
            wait_for(over, what="all is shipped and released", seconds=seconds, every=0.5)
        except AssertionError:
            self.notes += [
                f"job {each['source']}: {each['status']}" for each in self.archive.jobs()
            ]
            states = Counter(each["state"] for each in self.segments())
            self.notes.append(f"segments: {dict(states)}")
            raise

    def _rows(self, query: str) -> list[dict[str, Any]]:
        path = self.archive.data_dir / "healtharchive.sqlite"
        with closing(sqlite3.connect(path, timeout=30.0)) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(query)]


@contextmanager
def shipping_night(
    *,
    crawl_seconds: float = 45.0,
    bytes_per_second: int = 1_500_000,
    server_disk: str = "",
    settings: dict[str, str] | None = None,
    seed: int = 1,
) -> Iterator[ShippingNight]:
    """A night that has begun: two segments are shipped, the next is on its way.

    The live crawl takes about `crawl_seconds`. All is undone at the end.
    """
    with ExitStack() as undo:
        directory = Path(tempfile.mkdtemp(prefix="lab-shipping-"))
        undo.callback(shutil.rmtree, directory, ignore_errors=True)
        directory.chmod(0o755)
        quick = undo.enter_context(serving(nasty=False, seed=seed))
        delay = crawl_seconds * CONNECTIONS / URLS
        slow = undo.enter_context(serving(nasty=False, delay=delay, seed=seed))
        cable = undo.enter_context(network.host())
        server = undo.enter_context(
            mounts.sshd(user=USER, host=cable.address, namespace=cable.namespace)
        )
        undo.callback(cable.join)
        if server_disk:
            undo.enter_context(mounts.tmpfs(server.files, server_disk))
            shutil.chown(server.files, USER)
        archive = Archive(directory / "data", {**SETTINGS, **(settings or {})})
        undo.callback(unmount_all, directory)
        archive.data_dir.mkdir(parents=True)
        text = target_toml(SICK, directory, server).rstrip()
        text += f"\nship = true\nbytes_per_second = {bytes_per_second}\n"
        (archive.data_dir / "targets.toml").write_text(text)
        jobs = _two_jobs(archive, quick, slow)
        guard = Guard(archive.data_dir / "jobs", server.files)
        undo.enter_context(guard.watching())
        running = ShippingNight(
            archive=archive,
            site=slow,
            directory=directory,
            healthy=server,
            sick=server,
            cable=cable,
            steward=start(archive, "steward"),
            worker=archive.start_worker(),
            jobs=jobs,
            guard=guard,
        )
        undo.callback(_end_both, running)
        running.wait_for_captures(LIVE, 10)
        wait_for(lambda: running.shipped() >= 2, what="two segments are shipped", seconds=60.0)
        yield running


def _two_jobs(archive: Archive, quick: Site, slow: Site) -> dict[str, int]:
    """The backlog's job, captured and indexed; the live one's, waiting."""
    archive.set_up(quick.source_toml(BACKLOG), slow.source_toml(LIVE))
    numbers = {}
    for code in (BACKLOG, LIVE):
        numbers[code] = int(archive.ask("create-job", "--source", code)["id"])
        if code == BACKLOG:
            archive.run("run-db-job", "--id", str(numbers[code]), "--until-settled")
    return numbers


def _end_both(running: ShippingNight) -> None:
    for process in (running.worker, running.steward):
        end(process)
        kill_tree(process)


def faults_of(running: ShippingNight) -> list[str]:
    """What did not hold, seen from the files, the database and the journal."""
    assert running.guard is not None
    wrong = list(running.guard.wrong)
    if not running.guard.alive:
        wrong.append("nobody watched")
    for segment in running.segments():
        places = [Path(segment["path"]), running.on_box(segment)]
        if segment["sha256"] not in [sha256(each) for each in places if each.exists()]:
            wrong.append(f"{segment['name']} is lost")
    wrong += [f"left over: {path.name}" for path in running.box.rglob("*.part*")]
    wrong += _told(running)
    job = running.job(LIVE)
    captured = running.box / LIVE / Path(job["output_dir"]).name
    # The tidy site does not say that it has rules for robots; they are archived all the same.
    rules = ("extra", f"{running.site.url}/robots.txt")
    found = truth.compare(captured, running.site.truth)
    wrong += [str(each) for each in found if (each.kind, each.url) != rules]
    if job["retry_count"]:
        wrong.append(f"the crawl spent {job['retry_count']} retries")
    return wrong


def _told(running: ShippingNight) -> Iterator[str]:
    """The journal of each segment: sealed, one copy, indexed, and only then released."""
    told: dict[str, list[str]] = {}
    for event in running.events():
        if event["subject"] == "segment":
            told.setdefault(event["subject_id"], []).append(event["what"])
    for segment in running.segments():
        whats = told.get(segment["name"], [])
        for once in ("copy_verified", "release", "indexed"):
            if whats.count(once) != 1:
                yield f"{segment['name']}: {whats.count(once)} events '{once}' in {whats}"
        if whats and whats[-1] != "release":
            yield f"{segment['name']} was not released last: {whats}"
        bad = [what for what in whats if what.startswith("copy_") and what != "copy_verified"]
        if bad:
            yield f"{segment['name']} was blamed: {bad}"


def crawl_was_left_alone(running: ShippingNight) -> Iterator[str]:
    """One attempt from the first page to the last: nobody parked, stopped or restarted it."""
    number = str(running.jobs[LIVE])
    steps = [
        event["what"]
        for event in running.events()
        if event["subject"] == "job" and event["subject_id"] == number
    ]
    steps = [step for step in steps if step not in ("created", "create")]
    if steps != ["claim", "complete", "claim_index", "judged", "index_done"]:
        yield f"the crawl did not go through in one piece: {steps}"


def sha256(path: Path) -> str:
    """A file's digest; empty when it went meanwhile."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""


def pages_per_second(running: ShippingNight, since: float, seconds: float) -> float:
    """How fast the live crawl went within a window."""
    window = min(seconds, time.time() - since)
    within = [at for at in running.captured_at(LIVE) if since <= at < since + window]
    return len(within) / window if window > 0 else 0.0
