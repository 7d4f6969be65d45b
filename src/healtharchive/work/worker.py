"""The worker: claims jobs, runs each attempt in a thread of its own, stops when it is told to."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta

from healtharchive.model.attempts import Work
from healtharchive.model.clock import Clock
from healtharchive.model.database import Database
from healtharchive.model.jobs import Job, get_job
from healtharchive.model.journal import record
from healtharchive.model.leases import Claim, ClaimTerms, any_due, claim
from healtharchive.model.pausing import pause_now
from healtharchive.model.restarts import request_restart
from healtharchive.model.service_past import RUNS_ONE
from healtharchive.model.services import Hold
from healtharchive.model.targets import open_targets_of
from healtharchive.settings import Settings
from healtharchive.work import signals
from healtharchive.work.attempt import supervise
from healtharchive.work.means import COMMANDS, Commands, Means
from healtharchive.work.notifying_systemd import Notice
from healtharchive.work.outage import OUTAGES, PACE, describe
from healtharchive.work.presence import Presence
from healtharchive.work.refusal import refusal, terms_of
from healtharchive.work.rescue import Rescuer
from healtharchive.work.stopping import Stop

logger = logging.getLogger(__name__)

INSTANT = timedelta(seconds=2)  # within which a claim and a pause may miss each other
END_SECONDS = 15.0  # beyond the children's own deadline, to kill them and write their ends
# The index has one writer at a time, and pages that are captured should be found soon.
MOST_INDEXING = 1
TARGETS_SECONDS = 0.5  # between looks at the breakers of targets that running attempts need


def run(
    settings: Settings,
    database: Database,
    clock: Clock,
    *,
    commands: Commands = COMMANDS,
    beside: AbstractContextManager[None] | None = None,
) -> int:
    """Work until SIGTERM or SIGINT; the exit status.

    To be called in the main thread. The signal's sender is written to the journal. Whatever
    starts threads to go on beside the work is to be started by `beside`: they must not take the
    signals.
    """
    means = Means(settings=settings, database=database, clock=clock, commands=commands)
    worker = Worker(means, notice=Notice.asked())
    with signals.watched(worker.on_signal), beside or nullcontext():
        worker.work()
    return 0


def run_one(
    settings: Settings,
    database: Database,
    clock: Clock,
    job_id: int,
    *,
    until_settled: bool = False,
    enough: Callable[[Job], bool] | None = None,
    beside: AbstractContextManager[None] | None = None,
) -> Job:
    """Run one job now and return what became of it; BadInput when it cannot be started now.

    Whatever is due is done: its crawl, or its indexing. With `until_settled` it goes on, through
    waits too, until nothing more happens to the job by itself, `enough` says so between two
    attempts, or a signal stops this process. `beside` is as for `run`.
    """
    worker = Worker(Means(settings=settings, database=database, clock=clock), job_id=job_id)
    worker.enough = enough
    with signals.watched(worker.on_signal), beside or nullcontext():
        return worker.work_on_one(until_settled=until_settled)


@dataclass(slots=True)
class Worker:
    """One worker. `job_id` narrows it to one job. Use `work`, or `turn` again and again."""

    means: Means
    job_id: int | None = None
    enough: Callable[[Job], bool] | None = None
    notice: Notice = field(default_factory=Notice)
    stop: Stop = field(init=False)
    _rescuer: Rescuer = field(init=False)
    _running: dict[threading.Thread, Claim] = field(default_factory=dict)
    _downs: dict[int, Stop] = field(default_factory=dict)  # by attempt: its target is down
    _pause: Hold | None = None  # declared by an operator: nothing is claimed
    _outages: int = 0
    _rescue_at: float = float("-inf")
    _presence: Presence = field(init=False)

    def __post_init__(self) -> None:
        self.stop = Stop(self.means.clock)
        self._presence = Presence(
            "worker",
            self.means.holder,
            self.means.database,
            self.means.actor,
            self.means.settings.heartbeat_seconds,
        )
        self._rescuer = Rescuer(self.means)

    def on_signal(self, received: signals.StopSignal) -> None:
        """Stop because of a signal; its sender goes into the journal."""
        self._presence.on_signal(received, self.stop)

    # -- the loop ---------------------------------------------------------------------------

    def work(self) -> None:
        """Claim and run jobs until a stop is asked for and every attempt has ended."""
        with self._journalled():
            while not self.stop.asked:
                pause = self.turn()
                self.notice.alive(self.doing, ready=not self._outages)
                self.stop.wait(pause)

    def work_on_one(self, *, until_settled: bool) -> Job:
        """See `run_one`."""
        assert self.job_id is not None
        with self.means.database.read() as connection:
            get_job(connection, self.job_id)
        with self._journalled():
            self._note_one()
            begun = self._begin_one()
            while not self.stop.asked and (self.running or until_settled):
                if until_settled and not self.running and self._settled():
                    break
                begun = begun or bool(self.running)
                pause = self.turn() if until_settled else self._collect()
                self.stop.wait(min(pause, self.means.settings.poll_seconds))
        with self.means.database.read() as connection:
            job = get_job(connection, self.job_id)
            if begun or until_settled:
                return job
            raise refusal(self.means.database, connection, job, self._terms())

    def turn(self) -> float:
        """Collect what ended, rescue what is lost, start what is due; seconds until the next turn.

        A database that is away costs a longer wait and nothing else.
        """
        self._collect()
        try:
            self._rescue()  # first: who holds SQLite's lock and is stopped keeps all others out
            self._mind_targets()
            self._mind_pause()
            while self._start_next():
                pass
            self._presence.beat()
        except OUTAGES as error:
            self._outages += 1
            if self._outages == 1:
                logger.warning("the database cannot be used: %s", describe(error))
            return PACE.wait_seconds(self._outages, self.means.roll)
        if self._outages:
            logger.info("the database is back")
        self._outages = 0
        poll_seconds = self.means.settings.poll_seconds
        return min(poll_seconds, TARGETS_SECONDS) if self._running else poll_seconds

    @property
    def running(self) -> list[Claim]:
        """The attempts that run now."""
        return [held for thread, held in self._running.items() if thread.is_alive()]

    @property
    def doing(self) -> str:
        """What it does now, in one line."""
        if self._outages:
            return "the database cannot be used"
        held = [f"job {each.job.id} ({each.work})" for each in self.running]
        if self._pause is not None and not held:
            return f"paused by {self._pause.who}: {self._pause.why}"
        return f"runs {', '.join(held)}" if held else "waits for work"

    def finish(self) -> None:
        """Wait until every attempt has ended; at most until their deadlines are over."""
        for thread in list(self._running):
            thread.join(self.means.settings.stop_seconds + END_SECONDS)
        self._collect()

    # -- steps of a turn ----------------------------------------------------------------------

    def _collect(self) -> float:
        for thread in [each for each in self._running if not each.is_alive()]:
            del self._downs[self._running.pop(thread).attempt_id]
        return self.means.settings.poll_seconds

    def _rescue(self) -> None:
        now = self.means.clock.monotonic()
        if now < self._rescue_at:
            return
        ours = {(held.job.id, held.fence) for held in self._running.values()}
        for job_id in self._rescuer.look(ours):
            logger.warning("job %d was rescued from a worker that is gone", job_id)
        self._rescue_at = now + self.means.settings.heartbeat_seconds / 2

    def _mind_targets(self) -> None:
        """Tell the attempts whose target's breaker is open: it may hang where they cannot see."""
        held = self.running
        if not held:
            return
        with self.means.database.read() as connection:
            down = open_targets_of(connection, [each.job.id for each in held])
        for each in held:
            if each.job.id in down:
                self._downs[each.attempt_id].ask(down[each.job.id])

    def _mind_pause(self) -> None:
        """See whether an operator has paused the workers. A run of one job is not the queue's."""
        if self.job_id is not None:
            return
        means, before = self.means, self._pause
        with means.database.read() as connection:
            self._pause = pause_now(means.database, connection, means.actor.host)
        pause = self._pause
        if pause is None:
            if before is not None:
                logger.info("the pause is over")
            return
        if before is None or before.id != pause.id:
            logger.info("paused by %s: %s", pause.who, pause.why)
        # Claimed in the instant in which the pause was declared, unseen by who declared it.
        for each in [held for held in self.running if held.at >= pause.at - INSTANT]:
            with means.database.begin() as connection:
                why = f"the workers are paused: {pause.why}"
                request_restart(
                    means.database,
                    connection,
                    each.job.id,
                    each.fence,
                    actor=means.actor,
                    why=why,
                )

    def _start_next(self) -> bool:
        """Start one attempt if there is room and something due; whether it did."""
        free = self.means.settings.worker_jobs - len(self._running)
        if free <= 0 or self.stop.asked or self._pause is not None:
            return False
        held = self._claim_next()
        if held is not None:
            self._start(held)
        return held is not None

    def _claim_next(self) -> Claim | None:
        indexing = sum(held.work is Work.INDEX for held in self._running.values())
        kinds = [Work.INDEX, Work.CRAWL] if indexing < MOST_INDEXING else [Work.CRAWL]
        database, terms = self.means.database, self._terms()
        for work in kinds:
            # Asked before it is claimed: an idle worker takes no write lock on SQLite.
            with database.read() as connection:
                due = any_due(database, connection, work, terms)
            if not due:
                continue
            with database.begin() as connection:
                held = claim(database, connection, work, terms)
            if held is not None:
                return held
        return None

    def _start(self, held: Claim) -> None:
        down = self._downs[held.attempt_id] = Stop(self.means.clock)
        thread = threading.Thread(
            target=supervise,
            args=(held, self.means, self.stop, down),
            name=f"job-{held.job.id}",
            daemon=True,
        )
        self._running[thread] = held
        thread.start()

    def _terms(self) -> ClaimTerms:
        means = self.means
        return terms_of(means.settings, means.holder, means.actor, self.job_id)

    # -- one job ------------------------------------------------------------------------------

    def _note_one(self) -> None:
        """Write that this process is no worker of the queue: whoever misses one must know."""
        means, job = self.means, self.job_id
        with contextlib.suppress(*OUTAGES), means.database.begin() as connection:
            record(
                connection,
                at=means.database.now(connection),
                actor=means.actor,
                subject="worker",
                subject_id=means.holder[:128],
                what=RUNS_ONE,
                why=f"it runs job {job} only",
                evidence={"job": job},
            )

    def _begin_one(self) -> bool:
        self._rescue()
        return self._start_next()

    def _settled(self) -> bool:
        try:
            with self.means.database.read() as connection:
                job = get_job(connection, self.job_id or 0)
            return job.settled or (self.enough is not None and self.enough(job))
        except OUTAGES:
            return False

    @contextmanager
    def _journalled(self) -> Iterator[None]:
        """Writes that the worker began and ended, and which signal ended it."""
        with self._presence.noted(self.stop):
            try:
                yield
            finally:
                self.stop.ask("its work is done")
                within = self.means.settings.stop_seconds + END_SECONDS
                self.notice.stopping(self.stop.reason, within)
                self._presence.note_signal()
                self.finish()
