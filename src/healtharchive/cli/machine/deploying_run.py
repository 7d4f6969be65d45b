"""A deployment, done: step after step, each with its event, and a way back when one fails."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import FrameType
from typing import Any

from sqlalchemy import Connection

from healtharchive import __version__
from healtharchive.cli.machine import deploying_lock
from healtharchive.cli.machine.deploying import Standing, Step, plan, way_back
from healtharchive.cli.machine.deploying_lock import DeployLock
from healtharchive.cli.machine.systemctl import Services
from healtharchive.model import schema
from healtharchive.model.clock import Clock
from healtharchive.model.database import Database
from healtharchive.model.errors import HealthArchiveError, SetupError
from healtharchive.model.journal import Actor, record, this_process
from healtharchive.model.services import (
    HoldKind,
    Process,
    Service,
    end_hold,
    hold,
    open_holds,
    processes,
)
from healtharchive.settings import Settings, environment_of
from healtharchive.settings.declared import PREFIX
from healtharchive.steward.backups import MAKE, Backups
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.rounds import take_round
from healtharchive.work.child import acting_user
from healtharchive.work.holder import this_holder
from healtharchive.work.outage import OUTAGES, describe
from healtharchive.work.stopping import Stop

COMMAND = (sys.executable, "-P", "-m", "healtharchive.cli.main")
NOWHERE = "/"  # whoever wrote the directory that we were called in has no say in what we run
ENDING = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
STATUS_SECONDS = 60.0
LIVING_SECONDS = 120.0  # within which a service that was started must have said so
OWED_SECONDS = 300.0  # after which the steward starts it, should this process be gone
LOOK_SECONDS = 0.5
Command = Callable[[Sequence[str], float], tuple[int, str]]
Critical = dict[tuple[str, str, str], str]  # rule, subject, subject_id: its sentence


class StepFailed(SetupError):
    """A step of the deployment did not succeed."""


class Interrupted(SystemExit):
    """A signal ends the deployment; its code is the exit status that tells of it."""

    def __str__(self) -> str:
        return f"{signal.Signals(int(str(self.code)) - 128).name} told it to end"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went. `failure` is empty when it went well; `back` is what a person does then."""

    done: tuple[Step, ...]
    failure: str = ""
    back: tuple[str, ...] = ()


def back_up(settings: Settings, database: Database, clock: Clock) -> str:
    """Back the database up, also one with an older schema; which backup that is. SetupError."""
    means = StewardMeans(settings=settings, database=database, clock=clock, stop=Stop(clock))
    (told,) = take_round(Backups(means, asked=MAKE), means)
    if told.outcome != "applied":
        raise StepFailed(f"The database was not backed up: {told.why.rstrip('.')}.")
    return f"{told.step.subject_id}: {told.why}"


def run_command(settings: Settings, words: Sequence[str], seconds: float) -> tuple[int, str]:
    """One of our own commands in a process of its own: its exit status and what it said."""
    ours = {each: value for each, value in os.environ.items() if not each.startswith(PREFIX)}
    user, group = acting_user()
    try:
        ended = subprocess.run(
            [*COMMAND, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env={**ours, **environment_of(settings)},
            cwd=NOWHERE,
            user=user,
            group=group,
        )
    except subprocess.TimeoutExpired:
        return -1, f"it took more than {seconds:.0f} s"
    return ended.returncode, (ended.stdout.strip() or ended.stderr.strip())


@contextlib.contextmanager
def ended_in_order() -> Iterator[None]:
    """While inside, a session that drops, SIGTERM and Ctrl-C raise Interrupted, once.

    What undoes the work then is not interrupted again. A signal that was ignored (nohup) stays so.
    """

    def interrupt(number: int, _frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(128 + number)

    known = {each: signal.getsignal(each) for each in ENDING}
    before = {each: handler for each, handler in known.items() if handler != signal.SIG_IGN}
    try:
        for each in before:
            signal.signal(each, interrupt)
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@dataclass(frozen=True, slots=True)
class Down:
    """A service that we stopped. `beats`: while it lives it says so in the database."""

    since: datetime
    beats: bool


@dataclass(slots=True)
class Deployment:
    """One deployment. `tell` gets each step's sentence as it begins; `back_up` tells which."""

    settings: Settings
    database: Database
    clock: Clock
    services: Services
    reason: str
    tell: Callable[[str], None]
    back_up: Callable[[], str]
    command: Command
    living_seconds: float = LIVING_SECONDS
    actor: Actor = field(default_factory=this_process)
    _lock: DeployLock | None = None
    _began: int | None = None  # the event that causes all others
    _down: dict[str, Down] = field(default_factory=dict)  # what we did not start again yet
    _before: Critical | None = None  # what was critical already; None: nobody could tell

    def run(self, standing: Standing) -> Outcome:
        """Every step; after a failure what we stopped runs again, and the lock is given back."""
        with ended_in_order():
            return self._run(standing)

    def _run(self, standing: Standing) -> Outcome:
        done: list[Step] = []
        steps = plan(standing)
        try:
            for step in steps:
                self._say(step.sentence)
                self._take(step)
                done.append(step)
        except (HealthArchiveError, *OUTAGES) as error:
            return self._fail(standing, steps[len(done)], tuple(done), error)
        except BaseException as error:  # a signal leaves no lock and nothing stopped behind
            self._fail(standing, steps[len(done)], tuple(done), error)
            raise
        return Outcome(tuple(done))

    def _say(self, sentence: str) -> None:
        with contextlib.suppress(OSError):  # whoever read this is gone, with the terminal
            self.tell(sentence)

    def _take(self, step: Step) -> None:
        if self._lock is not None:
            deploying_lock.keep(self.settings.deploy_lock, self._lock, self.clock.now())
        {
            "lock": self._take_lock,
            "backup": self._backup,
            "stop": lambda: self._stop(step.service),
            "upgrade": self._upgrade,
            "start": lambda: self._start(step.service),
            "restart": lambda: self._restart(step.service),
            "verify": self._verify,
            "unlock": self._unlock,
        }[step.what]()

    # -- the steps -----------------------------------------------------------------------------

    def _take_lock(self) -> None:
        path, lapses = self.settings.deploy_lock, self.settings.deploy_lock_seconds
        self._lock = deploying_lock.take(path, self.reason, self.clock.now(), lapses)
        self._began = self._note("began", self.reason)
        self._look_before()

    def _backup(self) -> None:
        self._note("backed_up", self.back_up())

    def _upgrade(self) -> None:
        before = schema.current(self.database)
        schema.upgrade(self.database)
        self._note("upgraded", f"the schema went from {before} to {schema.head()}")
        if self._before is None:
            self._look_before()

    def _look_before(self) -> None:
        """What is critical before we restart anything. Nobody can tell with an older schema."""
        with contextlib.suppress(StepFailed):
            self._before = self._critical()

    def _restart(self, service: str) -> None:
        """In one order to systemd: nothing that happens to us leaves it stopped."""
        self._owe(service)
        self.services.restart(service)
        self._await(service)

    def _stop(self, service: str) -> None:
        """It may be the steward who is stopped, who repays what is owed: systemd repays it too."""
        self._owe(service)
        self.services.start_when_we_end(service)
        self.services.stop(service)

    def _start(self, service: str) -> None:
        self.services.start(service)
        self._await(service)

    def _owe(self, service: str) -> None:
        """Write its restart as owed: should we be killed, the steward starts it again."""
        wait = timedelta(seconds=self.settings.stop_seconds + OWED_SECONDS)
        with self.database.begin() as connection:
            since = self.database.now(connection)
            down = Down(since, beats=bool(self._living(connection, service)))
            hold(
                self.database,
                connection,
                Service(service),
                HoldKind.OWED,
                who=this_holder(),
                why=f"a deployment restarts it: {self.reason}",
                actor=self.actor,
                host=self.actor.host,
                until=since + wait,
            )
        self._down[service] = down

    def _await(self, service: str) -> None:
        said = self._wait_for(service, self._down[service])
        self._end_holds(service)
        del self._down[service]
        self._note("restarted", said)

    def _wait_for(self, service: str, down: Down) -> str:
        """That it lives: its process says so, of this version; else that systemd calls it ready."""
        deadline = self.clock.monotonic() + self.living_seconds
        while self.clock.monotonic() < deadline:
            with self.database.read() as connection:
                for each in self._living(connection, service):
                    if each.started_at >= down.since:
                        return self._checked(each)
            if not down.beats and self.services.running(service):
                return f"the {service} is ready"
            time.sleep(LOOK_SECONDS)
        raise StepFailed(
            f"The {service} was started and did not come to life within "
            f"{self.living_seconds:.0f} s.",
            f"`journalctl -u healtharchive-{service}.service -n 50` says why.",
        )

    def _living(self, connection: Connection, service: str) -> list[Process]:
        found = processes(connection, Service(service))
        return [each for each in found if each.host == self.actor.host]

    def _checked(self, process: Process) -> str:
        if process.version != __version__:
            raise StepFailed(
                f"The {process.service} came back as version {process.version}, not {__version__}: "
                "its unit starts another installation.",
                f"`systemctl cat healtharchive-{process.service}.service` shows which.",
            )
        return f"the {process.service} lives as pid {process.pid}, {process.version}"

    def _end_holds(self, service: str) -> None:
        with self.database.begin() as connection:
            for each in open_holds(connection, Service(service), host=self.actor.host):
                if each.kind == HoldKind.OWED and each.who == this_holder():
                    why = "the deployment started it again"
                    end_hold(self.database, connection, each.id, why, actor=self.actor)

    def _verify(self) -> None:
        before, found = self._before or {}, self._critical()
        new = [sentence for one, sentence in found.items() if one not in before]
        if new:
            raise StepFailed(f"`healtharchive status` is not content: {' '.join(new)}")
        more = f" beyond what was there before: {' '.join(found.values())}" if found else ""
        self._note("verified", f"status finds nothing critical{more}")

    def _critical(self) -> Critical:
        """What `status` calls critical now. StepFailed when it cannot say."""
        status, said = self.command(("status", "--json"), STATUS_SECONDS)
        facts: dict[str, Any] = {}
        with contextlib.suppress(ValueError):
            facts = json.loads(said)
        if "findings" not in facts:
            first = said.splitlines()[0] if said else f"it ended with {status}"
            raise StepFailed(
                f"`healtharchive status` is not content: {facts.get('unusable', first)}"
            )
        return {
            (each["name"], each["subject"], each["subject_id"]): each["sentence"]
            for each in facts["findings"]
            if each["told"] and each["severity"] == "critical"
        }

    def _unlock(self) -> None:
        assert self._lock is not None
        deploying_lock.give_back(self.settings.deploy_lock, self._lock)
        self._lock = None
        self._note("done", f"healtharchive {__version__} runs")

    # -- when it fails -------------------------------------------------------------------------

    def _fail(
        self, standing: Standing, step: Step, done: tuple[Step, ...], error: BaseException
    ) -> Outcome:
        ours = isinstance(error, HealthArchiveError | Interrupted)
        reason = str(error) if ours else describe(error)
        said = [f"{step.sentence}: {reason or type(error).__name__}"]
        for service in tuple(self._down):
            self._say(f"start the {service} again")
            try:
                self._start(service)
            except (HealthArchiveError, *OUTAGES) as trouble:
                said.append(f"The {service} could not be started again: {describe(trouble)}")
        if self._lock is not None:
            self._let_go(said)
        touched = (*done, step) if step.what in ("stop", "restart", "start") else done
        return Outcome(done, " ".join(said), tuple(way_back(standing, touched)))

    def _let_go(self, said: list[str]) -> None:
        try:
            deploying_lock.give_back(self.settings.deploy_lock, self._lock)
        except HealthArchiveError as trouble:
            said.append(str(trouble))
        try:
            self._note("failed", said[0])
        except OUTAGES as trouble:
            said.append(f"The journal misses this failure: {describe(trouble)}.")

    def _note(self, what: str, why: str) -> int:
        with self.database.begin() as connection:
            return record(
                connection,
                at=self.database.now(connection),
                actor=self.actor,
                subject="deploy",
                subject_id=__version__,
                what=what,
                why=why,
                caused_by=self._began,
            )
