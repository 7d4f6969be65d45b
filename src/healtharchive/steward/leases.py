"""The leases reconciler: what says that it runs, and does not, is put right, worker or no worker.

Jobs whose holder is gone go back to the queue; attempts that nobody ended are ended; processes of
this machine that died without a word are written down as stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from healtharchive.model.loose_attempts import LooseAttempt, close_loose_attempt, loose_attempts
from healtharchive.model.rescues import Lease
from healtharchive.model.services import Process, note_stop, processes
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.rounds import Caps, Step
from healtharchive.work.holder import is_gone
from healtharchive.work.means import Means
from healtharchive.work.rescue import Rescuer

TAKE_BACK, END_ATTEMPT, NOTE_GONE = "take_back", "end_attempt", "note_gone"
CAPS = Caps()
DIED = "its process is gone, and did not say why: killed, or the machine went down"


@dataclass(frozen=True, slots=True)
class Seen:
    """What says that it runs, and does not."""

    lost: tuple[tuple[Lease, str], ...] = ()  # leases to take back, each with the reason
    loose: tuple[LooseAttempt, ...] = ()
    gone: tuple[Process, ...] = ()


def plan(seen: Seen) -> list[Step]:
    """What puts it right. Nothing of it waits for a deploy: no healthy thing is touched."""
    steps = [
        Step(TAKE_BACK, "job", str(lease.job_id), why, {"fence": lease.fence}, urgent=True)
        for lease, why in seen.lost
    ]
    steps += [
        Step(
            END_ATTEMPT,
            "job",
            str(each.job_id),
            f"attempt {each.fence} of {each.worker} has no end, and its job is {each.job_status}"
            f" with token {each.job_fence}",
            {"fence": each.fence},
            urgent=True,
        )
        for each in seen.loose
    ]
    steps += [
        Step(
            NOTE_GONE,
            each.service,
            each.holder[:128],
            f"the {each.service} with pid {each.pid} ({each.unit}) lives no more; it last said so "
            f"at {each.beat_at:%Y-%m-%dT%H:%M:%SZ}",
            {"pid": each.pid, "unit": each.unit, "holder": each.holder},
            urgent=True,
        )
        for each in seen.gone
    ]
    return steps


@dataclass(slots=True)
class Leases:
    """Remembers which leases it has seen run out: one is taken back a heartbeat later.

    So a single round by hand takes back what a process of this machine held that is gone, and no
    lease that has only run out.
    """

    means: StewardMeans
    name: str = "leases"
    caps: Caps = CAPS
    _rescuer: Rescuer = field(init=False)
    _lost: dict[tuple[str, int], tuple[Lease, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        means = self.means
        self._rescuer = Rescuer(
            Means(
                settings=means.settings,
                database=means.database,
                clock=means.clock,
                actor=means.actor,
            )
        )

    def every_seconds(self) -> float:
        """As often as a worker looks."""
        return self.means.settings.heartbeat_seconds / 2

    def plan(self) -> Sequence[Step]:
        """Everything that says that it runs, and does not."""
        lost = self._rescuer.due()
        self._lost = {(str(each.job_id), each.fence): (each, why) for each, why in lost}
        with self.means.database.read() as connection:
            loose = loose_attempts(connection)
            known = processes(connection)
        host = self.means.actor.host
        gone = [each for each in known if each.host == host and is_gone(each.holder)]
        return plan(Seen(tuple(lost), tuple(loose), tuple(gone)))

    def apply(self, step: Step) -> str:
        """Write what is true, unless it has come true by itself meanwhile."""
        if step.what == TAKE_BACK:
            lease, why = self._lost[step.subject_id, step.evidence["fence"]]
            taken = self._rescuer.take(lease, why)
            return "it goes on from its frontier" if taken else "its holder gave a sign of life"
        database = self.means.database
        with database.begin() as connection:
            if step.what == NOTE_GONE:
                note_stop(database, connection, step.subject, step.evidence["holder"], DIED)
                return DIED
            fence = step.evidence["fence"]
            job_id = int(step.subject_id)
            closed = close_loose_attempt(database, connection, job_id, fence, step.why)
            return "its end was written" if closed else "somebody wrote its end"
