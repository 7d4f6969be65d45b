"""The backup reconciler: the database is copied in time, copies leave the machine, and are tried.

A backup is an event of the subject `database` under its file's name, and so is each restore test.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from healtharchive.model import postgres
from healtharchive.model.restore_tests import restore_tests
from healtharchive.model.states import TargetState
from healtharchive.model.targets import Target, get_target, list_targets
from healtharchive.model.told import Told, journal_began, last_told, newest_told
from healtharchive.settings import Settings
from healtharchive.steward.backup_files import (
    REMOTE_DIRECTORY,
    FetchOrder,
    MakeOrder,
    RestoreOrder,
    SendOrder,
    Task,
    name_of,
    stamp_of,
)
from healtharchive.steward.delegating import Facts, Patience, delegate
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.retired_files import DIRECTORY as RETIRED
from healtharchive.steward.rounds import Caps, Step

CHILD = "healtharchive.steward.backup_child"
SUBJECT = "database"
MAKE, TRY, SEND = "backup", "restore_test", "send_backup"
EVERY_SECONDS = 60.0
FIRST_SECONDS = 600.0  # a new archive has nothing to lose yet
RETRY_SECONDS = 900.0
RETRY_TEST_SECONDS = 21_600.0
PATIENCE = Patience(deadline_seconds=21_600.0, silence_seconds=900.0)
REMEMBERED = 400  # copies on one target that are looked back at
MOST_OUTDATED = 30  # of them taken away at once; those before are gone already
NO_PLACE_CHARACTERS = re.compile(r"[^A-Za-z0-9.-]+")


@dataclass(frozen=True, slots=True)
class Receiver:
    """A target that backups go to: what was put there last, and what may go when the next is."""

    name: str
    has: str = ""
    outdated: tuple[str, ...] = ()
    failed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """All that a plan needs to know. `tried` and `try_failed` are tests of a newest backup.

    `try_failed` is None when the last one went well; `may_not_try` is why nothing can be tried.
    """

    now: datetime
    began_at: datetime | None
    made: Told | None
    make_failed: Told | None
    tried: Told | None
    try_failed: Told | None
    may_not_try: str = ""
    sqlite: bool = True
    receivers: tuple[Receiver, ...] = ()


def plan(observed: Observed, settings: Settings, asked: str = "", name: str = "") -> list[Step]:
    """What is due now; `asked` is one thing that a person wants done at once. Pure."""
    if asked == MAKE:
        return [_making(observed, "it was asked for", urgent=True)]
    if asked == TRY:
        return [_trying(observed, name, "it was asked for", urgent=True)] if name else []
    steps = []
    if _due_to_make(observed, settings):
        last = f"the last is of {observed.made.at:%Y-%m-%dT%H:%M:%SZ}" if observed.made else ""
        steps.append(_making(observed, last or "there is none yet"))
    made = observed.made
    if made is None:
        return steps
    if _due_to_try(observed, settings):
        days = f"{settings.restore_test_days:g}"
        why = f"the newest backup is restored every {days} days and compared"
        steps.append(_trying(observed, made.subject_id, why))
    for each in observed.receivers:
        if each.has != made.subject_id and _rested(each.failed_at, RETRY_SECONDS, observed.now):
            why = f"it has no copy of {made.subject_id}"
            evidence = {"backup": made.subject_id, "outdated": list(each.outdated)}
            steps.append(Step(SEND, "target", each.name, why, evidence=evidence))
    return steps


def _making(observed: Observed, why: str, *, urgent: bool = False) -> Step:
    name = name_of(observed.now, sqlite=observed.sqlite)
    return Step(MAKE, SUBJECT, name, why, urgent=urgent)


def _trying(observed: Observed, name: str, why: str, *, urgent: bool = False) -> Step:
    return Step(TRY, SUBJECT, name, why, held=observed.may_not_try, urgent=urgent)


def _due_to_make(observed: Observed, settings: Settings) -> bool:
    now, every = observed.now, settings.backup_every_seconds
    if observed.made is None:
        began = observed.began_at
        due = began is not None and _rested(began, min(FIRST_SECONDS, every), now)
    else:
        due = _rested(observed.made.at, every, now)
    failed = observed.make_failed.at if observed.make_failed else None
    return due and _rested(failed, min(RETRY_SECONDS, every), now)


def _due_to_try(observed: Observed, settings: Settings) -> bool:
    every = timedelta(days=settings.restore_test_days).total_seconds()
    if observed.try_failed is not None:
        return _rested(observed.try_failed.at, min(RETRY_TEST_SECONDS, every), observed.now)
    return _rested(observed.tried.at if observed.tried else None, every, observed.now)


def _rested(at: datetime | None, seconds: float, now: datetime) -> bool:
    """Whether so long has passed; what is yet to come was noted while the clock was wrong."""
    return at is None or at > now or (now - at).total_seconds() >= seconds


@dataclass(slots=True)
class Backups:
    """Makes, tries and sends backups when they are due; or at once what a person asks for."""

    means: StewardMeans
    asked: str = ""
    asked_name: str = ""
    name: str = "backups"
    caps: Caps = field(default_factory=lambda: Caps(per_hour=6, per_day=50))

    def every_seconds(self) -> float:
        """How often it looks what is due."""
        return min(EVERY_SECONDS, self.means.settings.backup_every_seconds)

    def plan(self) -> list[Step]:
        """See `plan`."""
        return plan(self.observe(), self.means.settings, self.asked, self.asked_name)

    def observe(self) -> Observed:
        """What the journal knows of backups; no file is looked at."""
        database = self.means.database
        with database.read() as connection:
            made = last_told(connection, SUBJECT, (MAKE,))
            tests = restore_tests(connection)
            return Observed(
                now=database.now(connection),
                began_at=journal_began(connection),
                made=made,
                make_failed=last_told(connection, SUBJECT, (f"{MAKE}_failed",)),
                tried=tests.good,
                try_failed=tests.failed,
                may_not_try=self._objection(connection),
                sqlite=database.is_sqlite,
                receivers=self._receivers(connection),
            )

    def apply(self, step: Step) -> str:
        """Do one step in a child; what was done. SetupError when it could not be."""
        if step.what == MAKE:
            return self._make(step.subject_id)
        if step.what == TRY:
            return self._try(step)
        return self._send(step)

    def fetch(self, target_name: str, archive: str = "", name: str = "") -> Facts:
        """A backup from a target into the directory of backups; see `backup_fetching.fetch`."""
        with self.means.database.read() as connection:
            target = get_target(connection, target_name)
        order = FetchOrder(
            str(self.means.settings.backup_dir),
            target.definition,
            target.identity or "",
            self._own(),
            archive,
            name,
            self._retired(),
        )
        return self._delegate(order)

    # -- steps ---------------------------------------------------------------------------------

    def _make(self, name: str) -> str:
        settings = self.means.settings
        with self.means.database.read() as connection:
            proven = last_told(connection, SUBJECT, (TRY,))
        order = MakeOrder(
            str(settings.backup_dir),
            name,
            settings.backups_kept,
            proven.subject_id if proven else "",
        )
        facts = self._delegate(order)
        gone = f"; {len(facts['removed'])} older ones were removed" if facts["removed"] else ""
        return f"{facts['rows']} rows in {facts['size_bytes']} bytes{gone}"

    def _try(self, step: Step) -> str:
        directory = str(self.means.settings.backup_dir)
        with self.means.database.read() as connection:
            stamp = stamp_of(self.means.database.now(connection))
        facts = self._delegate(RestoreOrder(directory, step.subject_id, stamp))
        return f"it was restored: {facts['rows']} rows in {facts['tables']} tables are as they were"

    def _send(self, step: Step) -> str:
        with self.means.database.read() as connection:
            target = get_target(connection, step.subject_id)
        order = SendOrder(
            str(self.means.settings.backup_dir),
            step.evidence["backup"],
            target.definition,
            target.identity or "",
            f"{REMOTE_DIRECTORY}/{self._own()}",
            tuple(step.evidence["outdated"]),
            self._retired(),
        )
        facts = self._delegate(order)
        return f"{order.name} was read back from there: {facts['sent_bytes']} bytes were sent"

    def _delegate(self, order: MakeOrder | RestoreOrder | SendOrder | FetchOrder) -> Facts:
        return delegate(CHILD, Task(order), self.means, PATIENCE)

    # -- what is known -------------------------------------------------------------------------

    def _objection(self, connection: Connection) -> str:
        """Why no backup can be restored beside the database; empty when one can."""
        if self.means.database.is_sqlite:
            return ""
        may, role = postgres.may_create_databases(connection)
        if may:
            return ""
        return (
            f"the role {role} may not create a database to restore into; let it, as a superuser, "
            f"with ALTER ROLE {role} CREATEDB"
        )

    def _receivers(self, connection: Connection) -> tuple[Receiver, ...]:
        return tuple(
            self._receiver(connection, each)
            for each in list_targets(connection)
            if each.ship and each.state is TargetState.CLOSED
        )

    def _receiver(self, connection: Connection, target: Target) -> Receiver:
        sent = newest_told(connection, "target", (SEND,), target.name, limit=REMEMBERED)
        names = list(dict.fromkeys(_backup(each.evidence) for each in sent))
        failed = last_told(connection, "target", (f"{SEND}_failed",), target.name)
        kept = max(1, self.means.settings.backups_kept) - 1  # and the one that comes
        return Receiver(
            target.name,
            names[0] if names else "",
            tuple(names[kept : kept + MOST_OUTDATED]),
            failed.at if failed else None,
        )

    def _retired(self) -> str:
        return str(self.means.settings.state_dir / RETIRED)

    def _own(self) -> str:
        """The directory of our backups on a target, apart from every other archive's there."""
        url = self.means.database.engine.url
        stem = str(url.database or "").rpartition("/")[2].removesuffix(".sqlite")
        return NO_PLACE_CHARACTERS.sub("-", f"{self.means.actor.host}-{stem}").strip("-.")


def _backup(evidence: Mapping[str, Any]) -> str:
    return str(evidence.get("backup", ""))
