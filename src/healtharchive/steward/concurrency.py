"""The concurrency reconciler: campaigns get on even while jobs without a campaign keep coming.

Nothing that runs is stopped for it. What can be done is done: the campaign's job comes first when
a place is free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from healtharchive.model.service_past import standing_processes
from healtharchive.model.services import Service
from healtharchive.model.turns import (
    Turn,
    put_first,
    running_campaign_jobs,
    taken_slots,
    turns,
)
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.rounds import Caps, Step
from healtharchive.work.holder import is_gone, this_holder
from healtharchive.work.refusal import terms_of

PREFER, BEGIN = "prefer", "begin"
CAPS = Caps(cooldown_seconds=10.0, per_hour=12)


@dataclass(frozen=True, slots=True)
class Seen:
    """How many campaign jobs run, what could be claimed next, and the places of the workers."""

    running: int
    turns: tuple[Turn, ...]
    slots: int
    taken: int


def plan(seen: Seen, least: int) -> list[Step]:
    """Campaign jobs that are to come first, and a word where no place is free for them. Pure."""
    missing = least - seen.running
    waiting = [each for each in seen.turns if each.campaign]
    if missing <= 0 or not waiting:
        return []
    count = f"{seen.running} of at least {least} campaign jobs run"
    wanted = waiting[:missing]
    in_front = {each.job_id for each in seen.turns[: len(wanted)]}
    # Backwards: each is put before all others, so the first of them comes to lie first.
    steps = [
        Step(PREFER, "job", str(each.job_id), f"{count}, and others would be claimed before it")
        for each in reversed(wanted)
        if each.job_id not in in_front
    ]
    if seen.slots and seen.taken >= seen.slots:
        steps.append(_no_room(wanted, count, seen))
    return steps


def _no_room(wanted: Sequence[Turn], count: str, seen: Seen) -> Step:
    held = f"all {seen.slots} places hold jobs that run, and none is stopped for another"
    names = ", ".join(sorted({each.campaign for each in wanted}))
    return Step(BEGIN, "campaign", names[:128], count, {"slots": seen.slots}, held=held)


@dataclass(slots=True)
class Concurrency:
    """Looks at what runs and at the queue."""

    means: StewardMeans
    name: str = "concurrency"
    caps: Caps = CAPS

    def every_seconds(self) -> float:
        """The steward's own pace."""
        return self.means.settings.steward_every_seconds

    def plan(self) -> Sequence[Step]:
        """What is to come first, and what finds no place."""
        means = self.means
        least = means.settings.campaign_jobs_min
        with means.database.read() as connection:
            running = running_campaign_jobs(connection)
            if running >= least:
                return []
            terms = terms_of(means.settings, this_holder(), means.actor, None)
            workers = [
                each
                for each in standing_processes(connection, Service.WORKER)
                if not is_gone(each.holder)
            ]
            seen = Seen(
                running,
                tuple(turns(means.database, connection, terms)),
                len(workers) * means.settings.worker_jobs,
                taken_slots(connection),
            )
        return plan(seen, least)

    def apply(self, step: Step) -> str:
        """Put the job before all others that wait."""
        with self.means.database.begin() as connection:
            position = put_first(connection, int(step.subject_id))
        return f"it is claimed next, with position {position}"
