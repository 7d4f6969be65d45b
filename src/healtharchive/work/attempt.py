"""One attempt from its claim to its end: the child, its lease, and what follows for the job."""

from __future__ import annotations

import logging
import queue
import signal
from dataclasses import dataclass
from errno import EIO

from healtharchive.model.attempts import Work, recent_starts
from healtharchive.model.blame import Blame, classify, classify_errno
from healtharchive.model.errors import HealthArchiveError, LeaseLost
from healtharchive.model.leases import Claim, finish, note_child
from healtharchive.model.orders import Counts, CrawlOrder, IndexOrder, Report
from healtharchive.model.progress import settled_urls
from healtharchive.model.sources import get_source
from healtharchive.model.states import JobEvent, JobStatus
from healtharchive.work.child import Child
from healtharchive.work.heart import Heart
from healtharchive.work.means import Means
from healtharchive.work.needs import blame_target, objection
from healtharchive.work.order import crawl_order, index_order
from healtharchive.work.outage import OUTAGES, describe, ride_out
from healtharchive.work.policy import (
    Exit,
    Moment,
    Outcome,
    ending_of,
    outcome_of_death,
    outcome_of_fault,
    outcome_of_report,
)
from healtharchive.work.remains import Remains, remains, waits_in_kernel
from healtharchive.work.stopping import Stop

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.2
LOST_STOP_SECONDS = 2.0  # for a child whose job is another's: it can write nothing anyway
DOWN_STOP_SECONDS = 0.5  # for a child whose target is down: what hangs there cannot finish anyway
KILL_GRACE_SECONDS = 3.0
HANG_SECONDS = 3.0  # a killed process that waits in the kernel for so long hangs there
DOWN_HANG_SECONDS = 0.5  # the same, where its target is known to be down
GIVE_UP_SECONDS = 5.0
REQUESTS = {JobEvent.RELEASE.value: "a new start"}  # the others are called what they are


def supervise(claim: Claim, means: Means, stop: Stop, down: Stop) -> JobStatus | None:
    """Run an attempt to its end; the job's state afterwards, None when it is another's by now.

    `stop` ends all attempts of this worker; `down` says that a target this job needs is down.
    """
    with Heart(claim, means) as heart:
        outcome = _outcome(claim, means, stop, down, heart)
    logger.info(
        "job %d, %s attempt %d: %s %s",
        claim.job.id,
        claim.work,
        claim.fence,
        outcome.exit,
        outcome.reason,
    )
    return _conclude(claim, means, stop, heart, outcome)


# -- the child's life ----------------------------------------------------------------------


def _outcome(claim: Claim, means: Means, stop: Stop, down: Stop, heart: Heart) -> Outcome:
    if stop.asked:
        return Outcome(Exit.STOPPED, stop.reason)
    try:
        refusal = objection(claim, means)
        if refusal is not None:
            return refusal
        order = _order(claim, means, stop, heart)
        command, env = means.commands[claim.work], means.environment(claim.work)
        with Child(command, order, env, Report) as child:
            heart.on_renewal(child.renew)
            return _Watch(claim, means, stop, down, heart, child).run()
    except LeaseLost as error:
        return Outcome(Exit.FENCED, str(error))
    except OUTAGES as error:
        return Outcome(Exit.INFRA, f"database unreachable: {describe(error)}", Blame.HOST)
    except HealthArchiveError as error:
        return Outcome(Exit.FAILED, str(error), Blame.JOB)
    except OSError as error:
        return outcome_of_fault(classify(error))
    except Exception as error:
        logger.exception("job %d: a bug in its supervision", claim.job.id)
        return outcome_of_fault(classify(error))


def _order(claim: Claim, means: Means, stop: Stop, heart: Heart) -> CrawlOrder | IndexOrder:
    if claim.work is Work.INDEX:
        return index_order(means.settings, claim.job, claim.fence)

    def ask() -> CrawlOrder:
        with means.database.read() as connection:
            source = get_source(connection, claim.job.source)
        return crawl_order(means.settings, claim.job, source, claim.fence)

    return ride_out(
        ask,
        give_up=lambda: heart.lapsed or heart.lost or stop.asked,
        wait=stop.wait,
        roll=means.roll,
    )


@dataclass(slots=True)
class _Watch:
    """Watches one child: takes its reports, stops it when there is a reason to."""

    claim: Claim
    means: Means
    stop: Stop
    down: Stop
    heart: Heart
    child: Child[Report]
    asked: str = ""  # why we told the child to stop
    lease_lapsed: bool = False
    kill_at: float = float("inf")
    kernel_since: float | None = None  # when it was first seen waiting in the kernel, killed
    end: Report | None = None
    noted: bool = False
    reported_progress: bool = False

    def run(self) -> Outcome:
        """How it ended."""
        silent_ticks = 0
        while silent_ticks < 2 and self._remains() is Remains.ENDING:
            self._stop_if_there_is_a_reason()
            try:
                report = self.child.next_report(TICK_SECONDS)
            except queue.Empty:
                # Its output may stay open after its death, in a process that it started.
                silent_ticks += self.child.status is not None
                continue
            if report is None:
                break
            self._take(report)
        return self._judge(self._status())

    def _take(self, report: Report) -> None:
        self.heart.note(report)
        self.reported_progress |= report.kind in ("progress", "segment")
        if report.kind == "end":
            self.end = report
        if not self.noted:
            self.noted = True
            self._note_child()

    def _note_child(self) -> None:
        try:
            with self.means.database.begin() as connection:
                note_child(connection, self.claim, self.child.pid)
        except (*OUTAGES, LeaseLost) as error:
            # Only information for people; the heartbeat finds out what it means.
            logger.warning("job %d: its process was not noted: %s", self.claim.job.id, error)

    def _stop_if_there_is_a_reason(self) -> None:
        now = self.means.clock.monotonic()
        reason, grace_seconds = self._reason_to_stop()
        patience = grace_seconds + (0.0 if self.down.asked else KILL_GRACE_SECONDS)
        if reason and self.kill_at > now + patience:
            self.asked = self.down.reason or self.asked or reason
            self.kill_at = now + patience
            self.child.stop(reason, grace_seconds)
        if now >= self.kill_at:
            self.child.kill()

    def _remains(self) -> Remains:
        """Whether it is still worth waiting for its end, which it always is before it is killed."""
        now = self.means.clock.monotonic()
        if now < self.kill_at:
            return Remains.ENDING
        if not waits_in_kernel(self.child.pid):
            self.kernel_since = None
        elif self.kernel_since is None:
            self.kernel_since = now
        in_kernel = 0.0 if self.kernel_since is None else now - self.kernel_since
        patience = DOWN_HANG_SECONDS if self.down.asked else HANG_SECONDS
        return remains(now - self.kill_at, in_kernel, patience)

    def _reason_to_stop(self) -> tuple[str, float]:
        """Why the child has to stop now and how long it may take; ("", 0) when it has not."""
        stop_seconds = self.means.settings.stop_seconds
        if self.heart.lost:
            return "the lease was lost", LOST_STOP_SECONDS
        if self.heart.lapsed:
            self.lease_lapsed = True
            return "the lease could not be renewed", min(stop_seconds, LOST_STOP_SECONDS)
        if self.down.asked and self.asked != self.down.reason:
            return self.down.reason, DOWN_STOP_SECONDS
        if self.asked:
            return "", 0.0
        if self.stop.asked:
            return self.stop.reason, stop_seconds
        if self.heart.requested:
            wanted = REQUESTS.get(self.heart.requested, self.heart.requested)
            return f"{wanted} was asked for", stop_seconds
        return "", 0.0

    def _status(self) -> int | None:
        """The child's exit status, after it was killed if it does not end by itself.

        None for one that does not end then: it is left behind, and its fence keeps it harmless.
        """
        status = None
        if self._remains() is Remains.ENDING:
            status = self.child.reap(KILL_GRACE_SECONDS)
        if status is None:
            self.child.kill()
            self.kill_at = min(self.kill_at, self.means.clock.monotonic())
        while status is None and self._remains() is Remains.ENDING:
            status = self.child.reap(TICK_SECONDS)
        return status

    def _judge(self, status: int | None) -> Outcome:
        if self.heart.lost:
            return Outcome(Exit.FENCED, "the lease was lost")
        finished = self.end is not None and self.end.outcome in ("complete", "limit")
        if not finished and self._starved():
            why = self.heart.trouble or "this process did not run for longer than its lease"
            reason = f"the lease could not be renewed: {why}"
            return Outcome(Exit.INFRA, reason, Blame.HOST, progressed=self._progressed())
        if self.end is not None and self.end.outcome == "fenced":
            # The database has not said so, and only that decides: if the job is another's by now,
            # the end is refused; if it is not, nobody else would ever take it up.
            return Outcome(Exit.INFRA, self.end.reason, Blame.HOST, progressed=self._progressed())
        cut_short = self.end is None or self.end.outcome == "stopped"
        if self.down.asked and cut_short:
            return Outcome(
                Exit.INFRA, self.down.reason, Blame.TARGET, progressed=self._progressed()
            )
        if self.end is not None:
            return outcome_of_report(self.end, progressed=self._progressed())
        if status is None:
            return self._left_behind()
        return outcome_of_death(status, asked_to_stop=self.asked, progressed=self._progressed())

    def _left_behind(self) -> Outcome:
        """Its process was killed and did not end: only a wait in the kernel tells of its target."""
        if self._remains() is Remains.HANGS:
            return outcome_of_fault(classify_errno(EIO, "its process hangs in the kernel"))
        return outcome_of_death(
            -signal.SIGKILL, asked_to_stop=self.asked, progressed=self._progressed()
        )

    def _starved(self) -> bool:
        """Whether it ended because the database did not let us renew the lease.

        The child counts its lease down too, and may have given up just before we did.
        """
        if self.lease_lapsed:
            return True
        gave_up = self.end is not None and self.end.outcome in ("stopped", "fenced")
        return gave_up and not self.asked and bool(self.heart.trouble)

    def _progressed(self) -> bool:
        if self.claim.work is Work.INDEX:
            return self.reported_progress
        before, after = self.claim.job.counts, self.heart.counts or Counts()
        return settled_urls(after) > settled_urls(before)


# -- what follows --------------------------------------------------------------------------


def _conclude(
    claim: Claim, means: Means, stop: Stop, heart: Heart, outcome: Outcome
) -> JobStatus | None:
    """Write how it ended, however long the database is away; None when the job is another's."""
    if outcome.exit is Exit.FENCED:
        return None

    def give_up() -> bool:
        return stop.asked and stop.since_seconds > means.settings.stop_seconds + GIVE_UP_SECONDS

    def patiently_wait(seconds: float) -> None:
        # Once a stop was asked for, its own wait returns at once and would make this loop spin.
        Stop(means.clock).wait(seconds) if stop.asked else stop.wait(seconds)

    try:
        ride_out(heart.flush, give_up=give_up, wait=patiently_wait, roll=means.roll)
        return ride_out(
            lambda: _write_ending(claim, means, outcome),
            give_up=give_up,
            wait=patiently_wait,
            roll=means.roll,
        )
    except LeaseLost:
        return None
    except OUTAGES as error:
        logger.error("job %d: its end was not written: %s", claim.job.id, describe(error))
        return None  # the lease runs out, and the next worker continues from the frontier


def _write_ending(claim: Claim, means: Means, outcome: Outcome) -> JobStatus:
    with means.database.begin() as connection:
        now = means.database.now(connection)
        moment = Moment(
            now,
            (now - claim.at).total_seconds(),
            recent_starts(connection, claim.job.id, claim.work, now),
        )
        ending = ending_of(claim.job, claim.work, outcome, moment, means.policy, means.roll)
        assert ending is not None  # only a fenced attempt has none
        status = finish(means.database, connection, claim, ending, actor=means.actor)
        blame_target(connection, claim, means, outcome)
        return status
