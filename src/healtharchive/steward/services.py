"""The services reconciler: a worker that is down while work waits, and restarts that are owed.

An operator's declared pause is respected, whatever the reason of the stop, and so is a unit that
is disabled: its service has moved to another machine. Storage in trouble is no reason to leave
anything down: jobs wait for their targets by themselves.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from healtharchive.model.service_past import (
    LastWords,
    last_words,
    newest_process,
    resumed_at,
    standing_processes,
    waiting_jobs,
)
from healtharchive.model.services import (
    Hold,
    HoldKind,
    Process,
    Service,
    end_hold,
    open_holds,
)
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.rounds import Caps, Step
from healtharchive.work.census import patience_seconds
from healtharchive.work.holder import is_gone, pid_here
from healtharchive.work.starting import Starter, is_disabled, starter_here

PACE_SECONDS = 5.0
# With the pace and the gate's cooldown an owed restart is repaid within 60 s, whatever is set.
LATEST_SECONDS = 50.0
LATELY = timedelta(days=1)
# An owed restart of something that was never stopped is settled so long after it was due.
NEVER_STOPPED = timedelta(minutes=2)
CAPS = Caps(cooldown_seconds=20.0, per_hour=12, per_day=288)
START, END_PAUSE, SETTLE = "start", "end_pause", "settle_restart"
# The steward starts none of its own kind: it only settles that its restart was owed.
WATCHED = (Service.WORKER, Service.SERVE, Service.STEWARD)


@dataclass(frozen=True, slots=True)
class HoldSeen:
    """A hold that is open. `owner_gone`: the automation that owes the restart lives no more."""

    hold: Hold
    owner_gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSeen:
    """One service on this machine. `last` is its process that was started last, ended or not.

    `objection` is why nothing can be started from here; `waiting` are jobs that wait for a worker.
    `disabled`: its unit is; `elsewhere` are other machines on which the service lives.
    """

    service: Service
    host: str
    living_since: datetime | None
    last: Process | None
    words: LastWords | None = None
    holds: tuple[HoldSeen, ...] = ()
    waiting: int = 0
    objection: str = ""
    resumed_at: datetime | None = None  # when its last pause ended
    disabled: bool = False
    elsewhere: tuple[str, ...] = ()


# -- what follows: pure --------------------------------------------------------------------


def plan(seen: ServiceSeen, repay_seconds: float, now: datetime) -> list[Step]:
    """The holds that are over, and the start of what should not be down."""
    steps = [*_over(seen, now), *_settled(seen, repay_seconds, now)]
    startable = seen.service is not Service.STEWARD and seen.living_since is None
    if not startable or _paused(seen, now):
        return steps
    if seen.disabled:
        return [*steps, *_forbidden(seen, repay_seconds, now)]
    return [*steps, *_start(seen, repay_seconds, now)]


def due_at(each: HoldSeen, repay_seconds: float) -> datetime:
    """When an owed restart is repaid; at once when nobody is left who would do it."""
    if each.owner_gone:
        return each.hold.at
    since = each.hold.until or each.hold.at
    return since + timedelta(seconds=min(repay_seconds, LATEST_SECONDS))


def unit_of(service: Service, last: Process | None) -> str:
    """The unit to start: the one it was in, where that was the service's own."""
    unit = last.unit if last is not None else ""
    own = service in unit or "healtharchive" in unit
    return unit if unit.endswith(".service") and own else f"healtharchive-{service}.service"


def _of_kind(seen: ServiceSeen, kind: HoldKind) -> list[HoldSeen]:
    return [each for each in seen.holds if each.hold.kind == kind]


def _paused(seen: ServiceSeen, now: datetime) -> bool:
    return any(
        each.hold.until is None or each.hold.until > now for each in _of_kind(seen, HoldKind.PAUSE)
    )


def _over(seen: ServiceSeen, now: datetime) -> list[Step]:
    """Pauses whose time is over."""
    return [
        _about_hold(END_PAUSE, seen, each.hold, f"the pause of {each.hold.who} is over")
        for each in _of_kind(seen, HoldKind.PAUSE)
        if each.hold.until is not None and each.hold.until <= now
    ]


def _settled(seen: ServiceSeen, repay_seconds: float, now: datetime) -> list[Step]:
    """Owed restarts of what runs again, was never stopped, or is not to run here any more."""
    since = seen.living_since
    if since is None:
        why = f"{unit_of(seen.service, seen.last)} is disabled on {seen.host}"
        gone = _of_kind(seen, HoldKind.OWED) if seen.disabled else ()
        return [_about_hold(SETTLE, seen, each.hold, why) for each in gone]
    steps = []
    for each in _of_kind(seen, HoldKind.OWED):
        if since > each.hold.at:
            why = f"it runs again since {since:%H:%M:%S}Z"
            steps.append(_about_hold(SETTLE, seen, each.hold, why))
        elif now > (each.hold.until or each.hold.at) + NEVER_STOPPED:
            steps.append(_about_hold(SETTLE, seen, each.hold, "it was never stopped"))
    return steps


def _about_hold(what: str, seen: ServiceSeen, hold: Hold, why: str) -> Step:
    # Its end is an event of its own, with the reason.
    evidence = {"hold": hold.id}
    where = hold.host or "all"
    return Step(what, seen.service, where, why, evidence, urgent=True, quiet=True)


def _start(seen: ServiceSeen, repay_seconds: float, now: datetime) -> list[Step]:
    """The start of a service that lives nowhere on this machine."""
    owed = _of_kind(seen, HoldKind.OWED)
    due = [each for each in owed if due_at(each, repay_seconds) <= now]
    if due:
        return [_start_step(seen, _why_owed(due[0]), now, urgent=True)]
    if owed or not _missed(seen, repay_seconds, now):
        return []
    work = f", and {_jobs(seen.waiting)}" if seen.service is Service.WORKER else ""
    moved = f"; another runs on {', '.join(seen.elsewhere)}" if seen.elsewhere else ""
    return [_start_step(seen, f"it is down{work}; nobody declared a pause{moved}", now)]


def _forbidden(seen: ServiceSeen, repay_seconds: float, now: datetime) -> list[Step]:
    """The start that somebody's `systemctl disable` refuses. Of what has moved nobody misses it."""
    if seen.elsewhere or not _missed(seen, repay_seconds, now):
        return []
    unit = unit_of(seen.service, seen.last)
    held = f"{unit} is disabled on {seen.host}: `systemctl enable --now {unit}` starts it"
    return [_start_step(replace(seen, objection=held), "it is down, and no other runs", now)]


def _missed(seen: ServiceSeen, repay_seconds: float, now: datetime) -> bool:
    """Whether something that nobody wants to be down was down for long enough."""
    if seen.last is None:
        return False  # it never ran here: its first start is a person's
    down_since = _down_since(seen.last)
    if now < down_since + timedelta(seconds=repay_seconds):
        return False
    if seen.service is Service.WORKER:
        return seen.waiting > 0
    # Pages that somebody looked at in a terminal are not missed when that one has seen enough.
    missed_since = max(down_since, seen.resumed_at or down_since)
    return seen.last.unit.endswith(".service") and now - missed_since <= LATELY


def _down_since(last: Process) -> datetime:
    return last.stopped_at or last.beat_at


def _why_owed(each: HoldSeen) -> str:
    hold = each.hold
    gone = ", who is gone" if each.owner_gone else ""
    return f"its restart is owed by {hold.who}{gone}: {hold.why}"


def _start_step(seen: ServiceSeen, why: str, now: datetime, *, urgent: bool = False) -> Step:
    last, words = seen.last, seen.words
    ended = words.sentence if words else "it died without a word"
    down = f" since {_down_since(last):%Y-%m-%dT%H:%M:%SZ} ({ended})" if last else ""
    return Step(
        START,
        seen.service,
        seen.host,
        f"{why}; down{down}" if down else why,
        {"unit": unit_of(seen.service, last), "waiting": seen.waiting},
        caused_by=words.event_id if words else None,
        held=seen.objection,
        urgent=urgent,
    )


def _jobs(number: int) -> str:
    return "1 job waits" if number == 1 else f"{number} jobs wait"


# -- the reconciler ------------------------------------------------------------------------


@dataclass(slots=True)
class Services:
    """Looks at the services of this machine. `starter` says who can start them.

    `disabled` says of a unit whether somebody wants it to stay down here.
    """

    means: StewardMeans
    starter: Callable[[], Starter] | None = None
    disabled: Callable[[str], bool] = is_disabled
    name: str = "services"
    caps: Caps = CAPS
    _starter: Starter = field(init=False)

    def every_seconds(self) -> float:
        """Often: what is owed is repaid within a minute."""
        return PACE_SECONDS

    def plan(self) -> Sequence[Step]:
        """What is over, and what is started."""
        self._starter = self._who_starts()
        database = self.means.database
        with database.read() as connection:
            now = database.now(connection)
        seen = [self.observe(service) for service in WATCHED]
        repay_seconds = self.means.settings.repay_seconds
        return [step for each in seen for step in plan(each, repay_seconds, now)]

    def apply(self, step: Step) -> str:
        """End the hold, or have the service started."""
        if step.what == START:
            return self._starter.start(step.subject, step.evidence["unit"])
        database = self.means.database
        with database.begin() as connection:
            number = step.evidence["hold"]
            end_hold(database, connection, number, step.why, actor=self.means.actor)
        return step.why

    def observe(self, service: Service) -> ServiceSeen:
        """One service of this machine as it is now."""
        seen = self._recorded(service)
        if seen.living_since is not None:
            return seen
        # Both may ask systemd, and wait for it: no transaction is open meanwhile.
        unit = unit_of(service, seen.last)
        objection = self._starter.objection(service, unit)
        return replace(seen, objection=objection, disabled=self.disabled(unit))

    def _recorded(self, service: Service) -> ServiceSeen:
        """What the database has of it, and who of them lives."""
        host = self.means.actor.host
        database = self.means.database
        with database.read() as connection:
            now = database.now(connection)
            living = [
                each for each in standing_processes(connection, service) if self._lives(each, now)
            ]
            last = newest_process(connection, service, host)
            return ServiceSeen(
                service=service,
                host=host,
                living_since=max((e.started_at for e in living if e.host == host), default=None),
                last=last,
                words=last_words(connection, last) if last is not None else None,
                holds=tuple(
                    HoldSeen(each, each.kind == HoldKind.OWED and is_gone(each.who))
                    for each in open_holds(connection, service, host=host)
                ),
                waiting=waiting_jobs(connection),
                resumed_at=resumed_at(connection, service, host),
                elsewhere=tuple(sorted({each.host for each in living} - {host})),
            )

    def _lives(self, process: Process, now: datetime) -> bool:
        """Whether it exists here; one in a container of this machine shows by its beats."""
        if pid_here(process.holder) is not None:
            return True
        patience = patience_seconds(self.means.settings.heartbeat_seconds)
        quiet_seconds = (now - process.beat_at).total_seconds()
        return not is_gone(process.holder) and quiet_seconds < patience

    def _who_starts(self) -> Starter:
        if self.starter is not None:
            return self.starter()
        return starter_here(self.means.settings.wanted_dir, user_id=os.geteuid())
