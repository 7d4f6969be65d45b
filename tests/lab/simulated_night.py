"""The night of 2026-01-24 as six simulated hours: the clock is ours, all else is real.

The steward's reconcilers, the claims, the policy, the mounts and the looks at them are the
product's own. Only the crawls are not there: a job that runs counts pages as time passes.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from healtharchive.crawl.sources import load_all
from healtharchive.model import schema
from healtharchive.model.attempts import Work, recent_starts
from healtharchive.model.blame import Blame
from healtharchive.model.database import Database
from healtharchive.model.jobs import create_job, get_job
from healtharchive.model.journal import Actor
from healtharchive.model.leases import Claim, any_due, claim, finish, heartbeat
from healtharchive.model.orders import Counts
from healtharchive.model.progress import note_counts
from healtharchive.model.sources import upsert_source
from healtharchive.model.states import TargetState
from healtharchive.model.target import TargetDefinition, TargetKind
from healtharchive.model.targets import list_targets, open_targets_of
from healtharchive.settings import Settings
from healtharchive.steward import tiering
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.process import Steward
from healtharchive.steward.services import Services
from healtharchive.steward.storage import Storage
from healtharchive.storage.mount_process import mount_process
from healtharchive.storage.mountinfo import read_mounts
from healtharchive.work.holder import holder_of
from healtharchive.work.means import Means
from healtharchive.work.needs import blame_target, objection
from healtharchive.work.policy import Exit, Moment, Outcome, ending_of
from healtharchive.work.presence import Presence
from healtharchive.work.refusal import terms_of
from healtharchive.work.signals import StopSignal
from healtharchive.work.stopping import Stop
from tests.lab import mounts
from tests.lab.night import unmount_all
from tests.lab.queue import SetClock, SetDatabase

BEGINNING = datetime(2026, 1, 24, 5, 45, tzinfo=UTC)
BOX = "box-b"
ON_BOX = ("phac", "cihr")
SOURCES = ("hc", *ON_BOX)
URLS = 40_000  # of each source: more than a night's work
PAGES_A_SECOND = 0.8
HOST = socket.gethostname()


class NightClock(SetClock):
    """The time of that night."""

    def now(self) -> datetime:
        return BEGINNING + timedelta(seconds=self.monotonic())


class NightStop(Stop):
    """Whoever waits lets the night go on instead."""

    def __init__(self, clock: NightClock) -> None:
        super().__init__(clock)
        self._night = clock

    def wait(self, seconds: float) -> bool:
        self._night.advance(seconds)
        return self.asked


class AtOnce:
    """Runs what it is given before it returns: one thread, so that the night is the same each time.

    It has the one method of a pool that the steward uses.
    """

    def submit(self, action: Callable[..., None], *values: object) -> Future[None]:
        done: Future[None] = Future()
        action(*values)
        done.set_result(None)
        return done


@dataclass
class NightWorker:
    """A worker whose crawls only count. It claims, looks, parks and ends as the real one does."""

    means: Means
    presence: Presence = field(init=False)
    running: dict[int, Claim] = field(default_factory=dict)
    alive: bool = False
    starts: list[datetime] = field(default_factory=list)
    stop: Stop = field(init=False)

    def start(self) -> None:
        """Begin, as systemd would have it."""
        # Another process each time: of ours, and of the one that started us.
        pid = os.getppid() if self.starts else os.getpid()
        means = self.means = replace(self.means, holder=holder_of(pid))
        self.presence = Presence("worker", means.holder, means.database, means.actor, 0.0)
        self.stop = Stop(means.clock)
        self._noted = self.presence.noted(self.stop)
        self._noted.__enter__()
        self.alive = True
        self.starts.append(means.clock.now())

    def end(self, received: StopSignal) -> None:
        """Stop because of a signal; what ran goes back to the queue."""
        self.presence.on_signal(received, self.stop)
        for held in list(self.running.values()):
            self._finish(held, Outcome(Exit.STOPPED, self.stop.reason))
        self.presence.note_signal()
        self._noted.__exit__(None, None, None)
        self.alive = False

    def turn(self, seconds: float) -> None:
        """So much time has passed."""
        if not self.alive:
            return
        self.presence.beat()
        with self.means.database.read() as connection:
            down = open_targets_of(connection, list(self.running))
        for held in list(self.running.values()):
            if why := down.get(held.job.id):
                self._finish(held, Outcome(Exit.INFRA, why, Blame.TARGET))
            else:
                self._count(held, seconds)
        while len(self.running) < self.means.settings.worker_jobs and self._claim():
            pass

    def _claim(self) -> bool:
        database, means = self.means.database, self.means
        terms = terms_of(means.settings, means.holder, means.actor, None)
        with database.read() as connection:
            if not any_due(database, connection, Work.CRAWL, terms):
                return False
        with database.begin() as connection:
            held = claim(database, connection, Work.CRAWL, terms)
        if held is None:
            return False
        self.running[held.job.id] = held
        refusal = objection(held, means)
        if refusal is not None:
            self._finish(held, refusal)
        return True

    def _count(self, held: Claim, seconds: float) -> None:
        database = self.means.database
        with database.begin() as connection:
            before = get_job(connection, held.job.id).counts
            done = min(URLS, before.done + round(seconds * PAGES_A_SECOND))
            counts = Counts(
                queued=URLS - done, done=done, captures=done, bytes_written=done * 40_000
            )
            note_counts(database, connection, held.job.id, held.fence, counts)
            lease_seconds = self.means.settings.lease_seconds
            heartbeat(database, connection, held.job.id, held.fence, lease_seconds)

    def _finish(self, held: Claim, outcome: Outcome) -> None:
        """As `work.attempt` writes an ending."""
        means = self.means
        del self.running[held.job.id]
        with means.database.begin() as connection:
            now = means.database.now(connection)
            starts = recent_starts(connection, held.job.id, held.work, now)
            moment = Moment(now, (now - held.at).total_seconds(), starts)
            ending = ending_of(held.job, held.work, outcome, moment, means.policy, means.roll)
            assert ending is not None
            finish(means.database, connection, held, ending, actor=means.actor)
            blame_target(connection, held, means, outcome)


@dataclass(frozen=True)
class NightStarter:
    """systemd, as far as the steward asks it: it starts the night's worker."""

    worker: NightWorker

    def objection(self, service: str, unit: str) -> str:
        """Nothing speaks against it."""
        return ""

    def start(self, service: str, unit: str) -> str:
        """The worker runs again."""
        assert (service, self.worker.alive) == ("worker", False)
        self.worker.start()
        return f"`systemctl start {unit}` was asked for"


@dataclass
class SimulatedNight:
    """What the night is made of."""

    directory: Path
    settings: Settings
    clock: NightClock
    database: Database
    server: mounts.Server
    steward: Steward
    worker: NightWorker
    jobs: dict[str, int]

    @property
    def now(self) -> datetime:
        """What the clock shows."""
        return self.clock.now()

    def turn(self, seconds: float) -> None:
        """Let so much time pass, then it is everybody's turn once."""
        self.clock.advance(seconds)
        self.worker.turn(seconds)
        # The pool is only asked to run things.
        self.steward.turn(cast(ThreadPoolExecutor, AtOnce()))

    def until(self, moment: datetime, seconds: float) -> None:
        """Turn after turn up to that moment."""
        while self.now < moment:
            self.turn(seconds)

    def sshfs_pid(self) -> int:
        """The process that serves the box's mount now."""
        root = str(self.directory / "mnt" / BOX)
        definition = TargetDefinition(BOX, TargetKind.MOUNT, root, filesystem="fuse.sshfs")
        pid = mount_process(read_mounts(), definition)
        assert pid is not None
        return pid

    def ask(self, query: str, *values: Any) -> list[Any]:
        """Rows of the database."""
        with self.database.read() as connection:
            return list(connection.exec_driver_sql(query, values))


@contextmanager
def simulated(directory: Path, settings: Settings) -> Iterator[SimulatedNight]:
    """A night that has just begun: all is mounted, three jobs run, two of them on the box."""
    with ExitStack() as undo:
        undo.callback(unmount_all, directory)
        server = undo.enter_context(mounts.sshd())
        clock = NightClock()
        database = SetDatabase(settings.database_url, clock)
        undo.callback(database.dispose)
        schema.upgrade(database)
        root = directory / "mnt" / BOX
        settings.targets_file.write_text(_target(root, server))
        stop = NightStop(clock)
        actor = Actor("healtharchive-steward.service", os.getpid(), HOST)
        means = StewardMeans(
            settings=settings, database=database, clock=clock, stop=stop, actor=actor
        )
        jobs = _jobs(database, settings, actor)
        _mount(means, jobs)
        worker = NightWorker(
            Means(
                settings=settings,
                database=database,
                clock=clock,
                actor=Actor("healtharchive-worker.service", os.getpid(), HOST),
                roll=lambda: 0.5,
            )
        )
        worker.start()
        steward = Steward(means)
        for each in steward._reconcilers:
            if isinstance(each, Services):
                each.starter = lambda: NightStarter(worker)
        undo.enter_context(steward._presence.noted(stop))
        steward._presence.beat_seconds = 0.0  # by the real clock, a turn is a moment
        yield SimulatedNight(directory, settings, clock, database, server, steward, worker, jobs)


def _target(root: Path, server: mounts.Server) -> str:
    return (
        f'[[target]]\nname = "{BOX}"\nkind = "mount"\nroot = "{root}"\n'
        f"mount_command = {json.dumps(server.mount_command(root))}\n"
        f'filesystem = "fuse.sshfs"\nsource = "{server.source}"\n'
        f'server = "{server.host}:{server.port}"\n'
    )


def _jobs(database: Database, settings: Settings, actor: Actor) -> dict[str, int]:
    made = {}
    with database.begin() as connection:
        for source in load_all(settings.sources_dir).values():
            upsert_source(database, connection, source, actor=actor)
        for code in SOURCES:
            job = create_job(
                database, connection, source=code, jobs_root=str(settings.jobs_root), actor=actor
            )
            made[code] = job.id
    return made


def _mount(means: StewardMeans, jobs: dict[str, int]) -> None:
    """The steward mounts the box and binds the hot paths, before anybody works."""
    storage = Storage(means)
    storage.declare()
    _until_closed(means, storage)
    for hot in tiering.survey(means, BOX, [jobs[code] for code in ON_BOX]):
        assert not hot.hold, hot.hold
        tiering.apply(means, hot)
    _until_closed(means, storage)


def _until_closed(means: StewardMeans, storage: Storage) -> None:
    for _ in range(50):
        for name in storage.names():
            storage.turn(name)
        means.stop.wait(5.0)
        with means.database.read() as connection:
            found = list_targets(connection)
        if all(each.state is TargetState.CLOSED and each.verdict for each in found):
            return
    raise AssertionError(f"not mounted: {[(each.name, each.state) for each in found]}")
