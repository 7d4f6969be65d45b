"""The three state machines of the house, each one table: `{(state, event): state}`."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from healtharchive.model.errors import IllegalTransition


class JobStatus(StrEnum):
    """Where a job stands. `parked` is the world's fault, `retryable` the job's own."""

    QUEUED = "queued"
    RUNNING = "running"
    PARKED = "parked"
    RETRYABLE = "retryable"
    PAUSED = "paused"
    COMPLETED = "completed"
    INDEXING = "indexing"
    INDEXED = "indexed"
    INDEX_FAILED = "index_failed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobEvent(StrEnum):
    """What can happen to a job."""

    CLAIM = "claim"
    COMPLETE = "complete"
    PARK = "park"
    RETRY_LATER = "retry_later"
    FAIL = "fail"
    RELEASE = "release"
    RESCUE = "rescue"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    RETRY = "retry"
    CLAIM_INDEX = "claim_index"
    INDEX_DONE = "index_done"
    REINDEX = "reindex"


class SegmentState(StrEnum):
    """The life of one WARC file."""

    OPEN = "open"
    SEALED = "sealed"
    SHIPPED = "shipped"
    VERIFIED = "verified"
    RELEASED = "released"
    SUSPECT = "suspect"


class SegmentEvent(StrEnum):
    """What can happen to a segment."""

    SEAL = "seal"
    SUSPECT = "suspect"
    SALVAGE = "salvage"
    SHIP = "ship"
    VERIFY = "verify"
    RELEASE = "release"
    RESTORE = "restore"


class Quality(StrEnum):
    """What a crawl was judged to be. Accepted: incomplete, and an operator takes it as it is."""

    COMPLETE = "COMPLETE"
    INCOMPLETE = "INCOMPLETE"
    REFUSED = "REFUSED"
    ACCEPTED = "ACCEPTED"


class TargetState(StrEnum):
    """A target's breaker: closed is fine, open parks jobs, half-open lets one trial through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class TargetEvent(StrEnum):
    """What can happen to a target's breaker."""

    TRIP = "trip"
    PROBE_OK = "probe_ok"
    TRIAL_OK = "trial_ok"
    TRIAL_FAILED = "trial_failed"


HELD = (JobStatus.RUNNING, JobStatus.INDEXING)  # somebody holds the job's lease

_J, _JE = JobStatus, JobEvent
JOB_TRANSITIONS: Mapping[tuple[JobStatus, JobEvent], JobStatus] = {
    (_J.QUEUED, _JE.CLAIM): _J.RUNNING,
    (_J.PARKED, _JE.CLAIM): _J.RUNNING,
    (_J.RETRYABLE, _JE.CLAIM): _J.RUNNING,
    (_J.RUNNING, _JE.COMPLETE): _J.COMPLETED,
    (_J.RUNNING, _JE.PARK): _J.PARKED,
    (_J.RUNNING, _JE.RETRY_LATER): _J.RETRYABLE,
    (_J.RUNNING, _JE.FAIL): _J.FAILED,
    (_J.RUNNING, _JE.RELEASE): _J.QUEUED,
    (_J.RUNNING, _JE.RESCUE): _J.QUEUED,
    (_J.RUNNING, _JE.PAUSE): _J.PAUSED,
    (_J.RUNNING, _JE.CANCEL): _J.CANCELLED,
    (_J.QUEUED, _JE.PAUSE): _J.PAUSED,
    (_J.PARKED, _JE.PAUSE): _J.PAUSED,
    (_J.RETRYABLE, _JE.PAUSE): _J.PAUSED,
    (_J.PAUSED, _JE.RESUME): _J.QUEUED,
    (_J.QUEUED, _JE.CANCEL): _J.CANCELLED,
    (_J.PARKED, _JE.CANCEL): _J.CANCELLED,
    (_J.RETRYABLE, _JE.CANCEL): _J.CANCELLED,
    (_J.PAUSED, _JE.CANCEL): _J.CANCELLED,
    (_J.FAILED, _JE.CANCEL): _J.CANCELLED,
    (_J.INDEX_FAILED, _JE.CANCEL): _J.CANCELLED,
    (_J.PARKED, _JE.RETRY): _J.QUEUED,
    (_J.RETRYABLE, _JE.RETRY): _J.QUEUED,
    (_J.FAILED, _JE.RETRY): _J.QUEUED,
    (_J.CANCELLED, _JE.RETRY): _J.QUEUED,
    (_J.INDEX_FAILED, _JE.RETRY): _J.COMPLETED,
    # Indexing is a queue of its own: a completed job waits for an index attempt, which is
    # parked or retried by going back to `completed` with a `not_before`.
    (_J.COMPLETED, _JE.CLAIM_INDEX): _J.INDEXING,
    (_J.INDEXING, _JE.INDEX_DONE): _J.INDEXED,
    (_J.INDEXING, _JE.PARK): _J.COMPLETED,
    (_J.INDEXING, _JE.RETRY_LATER): _J.COMPLETED,
    (_J.INDEXING, _JE.RELEASE): _J.COMPLETED,
    (_J.INDEXING, _JE.RESCUE): _J.COMPLETED,
    (_J.INDEXING, _JE.FAIL): _J.INDEX_FAILED,
    (_J.INDEXED, _JE.REINDEX): _J.COMPLETED,
}

_S, _SE = SegmentState, SegmentEvent
SEGMENT_TRANSITIONS: Mapping[tuple[SegmentState, SegmentEvent], SegmentState] = {
    (_S.OPEN, _SE.SEAL): _S.SEALED,
    (_S.OPEN, _SE.SUSPECT): _S.SUSPECT,
    # The confirmed records of a suspect segment, re-read and re-hashed, in a file of their own.
    (_S.SUSPECT, _SE.SALVAGE): _S.SEALED,
    (_S.SEALED, _SE.SHIP): _S.SHIPPED,
    (_S.SHIPPED, _SE.VERIFY): _S.VERIFIED,
    (_S.VERIFIED, _SE.RELEASE): _S.RELEASED,
    (_S.RELEASED, _SE.RESTORE): _S.SEALED,
    (_S.SEALED, _SE.SUSPECT): _S.SUSPECT,
    (_S.SHIPPED, _SE.SUSPECT): _S.SUSPECT,
    (_S.VERIFIED, _SE.SUSPECT): _S.SUSPECT,
}

_T, _TE = TargetState, TargetEvent
TARGET_TRANSITIONS: Mapping[tuple[TargetState, TargetEvent], TargetState] = {
    (_T.CLOSED, _TE.TRIP): _T.OPEN,
    (_T.OPEN, _TE.PROBE_OK): _T.HALF_OPEN,
    (_T.HALF_OPEN, _TE.TRIP): _T.OPEN,
    (_T.HALF_OPEN, _TE.TRIAL_OK): _T.CLOSED,
    (_T.HALF_OPEN, _TE.TRIAL_FAILED): _T.OPEN,
}

State = TypeVar("State", bound=StrEnum)
Event = TypeVar("Event", bound=StrEnum)


def step(table: Mapping[tuple[State, Event], State], state: State, event: Event) -> State:
    """The state after `event`; IllegalTransition when the table has no such step."""
    try:
        return table[(state, event)]
    except KeyError:
        raise IllegalTransition(
            f"A {type(state).__name__} that is '{state}' cannot take '{event}'."
        ) from None


def sources_of(table: Mapping[tuple[State, Event], State], event: Event) -> tuple[State, ...]:
    """Every state in which `event` is legal."""
    return tuple(state for state, known in table if known == event)
