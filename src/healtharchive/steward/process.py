"""The steward: its reconcilers, each target in a thread of its own, until it is told to stop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from healtharchive.model.actions import APPLIED, FAILED
from healtharchive.model.clock import Clock
from healtharchive.model.database import Database
from healtharchive.model.errors import HealthArchiveError
from healtharchive.model.rounds import forget_rounds, list_rounds, note_round
from healtharchive.model.states import TargetState
from healtharchive.model.target import TargetKind
from healtharchive.model.targets import Target, list_targets
from healtharchive.settings import Settings
from healtharchive.steward.fixity import Fixity
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.reconcilers import reconcilers
from healtharchive.steward.rounds import Reconciler, take_round
from healtharchive.steward.shipping import Shipping
from healtharchive.steward.storage import Storage
from healtharchive.work import signals
from healtharchive.work.holder import this_holder
from healtharchive.work.notifying_systemd import Notice
from healtharchive.work.outage import OUTAGES, PACE, describe
from healtharchive.work.presence import Presence
from healtharchive.work.stopping import Stop

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.25
EAGER_SECONDS = 1.5  # between looks at a target whose breaker is not closed
DECLARE_SECONDS = 30.0
MOST_THREADS = 32
END_SECONDS = 10.0
STOP_SECONDS = 60.0  # for looks, repairs and shipping to end
NOTE_SECONDS = 60.0  # between two notes of rounds that found nothing to do


def run(settings: Settings, database: Database, clock: Clock, stop: Stop | None = None) -> int:
    """Reconcile until SIGTERM or SIGINT; the exit status. To be called in the main thread."""
    means = StewardMeans(
        settings=settings, database=database, clock=clock, stop=stop or Stop(clock)
    )
    steward = Steward(means, notice=Notice.asked())
    with signals.watched(steward.on_signal):
        steward.work()
    return 0


@dataclass(slots=True)
class RoundsNoted:
    """When a reconciler's rounds were last written, how many since, whether the last failed."""

    at: float = float("-inf")  # of the monotonic clock
    rounds: int = 0
    failed: bool = False


@dataclass(slots=True)
class Steward:
    """Everything that is reconciled, and when each is due again."""

    means: StewardMeans
    notice: Notice = field(default_factory=Notice)
    _ended_at: dict[str, float] = field(default_factory=dict)
    _running: dict[str, Future[None]] = field(default_factory=dict)
    _outages: int = 0
    _presence: Presence = field(init=False)
    _storage: Storage = field(init=False)
    _shipping: Shipping = field(init=False)
    _fixity: Fixity = field(init=False)
    _reconcilers: list[Reconciler] = field(init=False)
    _pace: dict[str, RoundsNoted] = field(default_factory=dict)

    def __post_init__(self) -> None:
        means = self.means
        self._presence = Presence(
            "steward",
            this_holder(),
            means.database,
            means.actor,
            means.settings.heartbeat_seconds,
        )
        self._storage = Storage(means)
        self._shipping = Shipping(means)
        self._fixity = Fixity(means)
        self._reconcilers = reconcilers(means)

    def on_signal(self, received: signals.StopSignal) -> None:
        """Stop because of a signal; its sender goes into the journal."""
        self._presence.on_signal(received, self.means.stop)

    def work(self) -> None:
        """Turn after turn until a stop is asked for."""
        with self._journalled(), ThreadPoolExecutor(MOST_THREADS, "steward") as pool:
            while not self.means.stop.asked:
                pause = self.turn(pool)
                self.notice.alive(self.doing, ready=not self._outages)
                self.means.stop.wait(pause)
            self.notice.stopping(self.means.stop.reason, STOP_SECONDS)

    @property
    def doing(self) -> str:
        """What it does now, in one line."""
        if self._outages:
            return "the database cannot be used"
        busy = sum(not each.done() for each in self._running.values())
        return "reconciles" if busy else "watches"

    def turn(self, pool: ThreadPoolExecutor) -> float:
        """Start what is due and does not run already; seconds until the next turn."""
        settings = self.means.settings
        try:
            self._presence.beat()
            self._start("declare", DECLARE_SECONDS, pool, self._declare)
            for target, eager in self._targets():
                name, every = target.name, settings.probe_every_seconds
                pause = min(EAGER_SECONDS, every) if eager else every
                self._start(f"storage {name}", pause, pool, partial(self._storage.turn, name))
                if target.kind is TargetKind.MOUNT and target.state is not TargetState.OPEN:
                    self._start(f"pulse {name}", 0.0, pool, partial(self._storage.feel, target))
            for name in self._shipping.targets():
                every = settings.ship_every_seconds
                self._start(f"ship {name}", every, pool, partial(self._shipping.turn, name))
            for name in self._fixity.targets():
                every = settings.ship_every_seconds
                self._start(f"fixity {name}", every, pool, partial(self._fixity.turn, name))
            for each in self._reconcilers:
                self._start(each.name, each.every_seconds(), pool, partial(self._round, each))
        except OUTAGES as error:
            self._outages += 1
            if self._outages == 1:
                logger.warning("the database cannot be used: %s", describe(error))
            return PACE.wait_seconds(self._outages, lambda: 0.5)
        self._outages = 0
        return TICK_SECONDS

    def _round(self, reconciler: Reconciler) -> None:
        """One round, and a note of it: at once if it did something or failed, else now and then."""
        noted = self._pace.setdefault(reconciler.name, RoundsNoted())
        began = self.means.clock.monotonic()
        applied, error = False, "it was interrupted"
        try:
            told = take_round(reconciler, self.means)
            applied = any(each.outcome == APPLIED for each in told)
            error = next((each.why for each in told if each.outcome == FAILED), "")
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"
            raise
        finally:
            now = self.means.clock.monotonic()
            noted.rounds += 1
            changed = applied or bool(error) or noted.failed
            if changed or now - noted.at >= NOTE_SECONDS:
                with self.means.database.begin() as connection:
                    note_round(
                        self.means.database,
                        connection,
                        reconciler.name,
                        seconds=round(now - began, 3),
                        every_seconds=reconciler.every_seconds(),
                        rounds=noted.rounds,
                        applied=applied,
                        error=error,
                    )
                self._pace[reconciler.name] = RoundsNoted(now, 0, bool(error))

    def _declare(self) -> None:
        self._forget_others()
        try:
            self._storage.declare()
        except HealthArchiveError as error:
            # A file that somebody is editing: what was declared before stays.
            logger.error("%s", error)

    def _forget_others(self) -> None:
        """What a version before this one looked after must not count as neglected."""
        ours = {each.name for each in self._reconcilers}
        with self.means.database.read() as connection:
            others = {each.name for each in list_rounds(connection)} - ours
        if others:
            with self.means.database.begin() as connection:
                forget_rounds(connection, ours)

    def _targets(self) -> list[tuple[Target, bool]]:
        """Every target, and whether it is to be looked at often: it or a hot path on it is sick."""
        with self.means.database.read() as connection:
            found = list_targets(connection)
        sick = [each for each in found if each.state is not TargetState.CLOSED]
        eager = {each.name for each in sick} | {each.parent for each in sick}
        return [(each, each.name in eager) for each in found]

    def _start(
        self, name: str, every: float, pool: ThreadPoolExecutor, action: Callable[[], object]
    ) -> None:
        now = self.means.clock.monotonic()
        running = self._running.get(name)
        if running is not None and not running.done():
            return
        if running is not None:
            del self._running[name]
            self._ended_at[name] = now
        if now - self._ended_at.get(name, float("-inf")) >= every:
            self._running[name] = pool.submit(self._safely, name, action)

    def _safely(self, name: str, action: Callable[[], object]) -> None:
        """One reconciler's trouble is never another's."""
        try:
            action()
        except OUTAGES as error:
            logger.warning("%s: the database cannot be used: %s", name, describe(error))
        except HealthArchiveError as error:
            logger.error("%s: %s", name, error)
        except Exception:  # the outermost loop of this reconciler
            logger.exception("%s: a bug in the steward", name)

    @contextmanager
    def _journalled(self) -> Iterator[None]:
        with self._presence.noted(self.means.stop):
            try:
                yield
            finally:
                self.means.stop.ask("its work is done")
                self._presence.note_signal()
