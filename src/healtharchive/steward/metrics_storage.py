"""Metrics of targets, segments, their copies, and the disk under jobs_root."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from healtharchive.model.standing import Standing
from healtharchive.model.states import TargetState
from healtharchive.model.target import Verdict
from healtharchive.steward.metrics_declared import Value, Values, declared, moments, one

SEGMENTS = declared("segments", "WARC files by state.", "state")
SEGMENT_BYTES = declared("segments_bytes", "Their bytes, by state.", "state")
UNINDEXED = declared("unindexed_segments", "WARC files that are not indexed yet.")
UNVERIFIED = declared("unverified_bytes", "Bytes of which no target has a copy that was read back.")
LOST = declared("lost_segments", "WARC files of which no good copy is left anywhere.")
COPIES = declared("copies_bytes", "Bytes of copies by target and state.", "target", "state")
UNREAD = declared(
    "target_unread_timestamp_seconds",
    "When the copy on a target that was unread the longest was last read (Unix time).",
    "target",
)
UNSHIPPED = declared(
    "target_unshipped_segments", "WARC files that wait to be shipped to a target.", "target"
)
UNSHIPPED_BYTES = declared("target_unshipped_bytes", "Their bytes.", "target")
SHIPPING_LAG = declared(
    "target_shipping_lag_seconds", "How long the oldest of them has waited; 0: none.", "target"
)
INFO = declared(
    "target_info",
    "1 for each target; place is the target that its bytes lie on, itself but for a hot path.",
    "target",
    "kind",
    "place",
)
BREAKER = declared(
    "target_breaker_state",
    "1 for the state a target's breaker is in, 0 for the others.",
    "target",
    "state",
)
VERDICT = declared(
    "target_verdict",
    "1 for what the last probe of a target found, 0 for the others.",
    "target",
    "verdict",
)
PROBED = declared(
    "target_probed_timestamp_seconds", "When a target was last looked at (Unix time).", "target"
)
HEALTHY = declared(
    "target_last_healthy_timestamp_seconds",
    "When a target was last seen healthy (Unix time).",
    "target",
)
APPLIED = declared(
    "target_last_apply_timestamp_seconds", "When a target was last mended (Unix time).", "target"
)
CHANGED = declared(
    "target_breaker_timestamp_seconds",
    "Since when a target's breaker is in its state (Unix time).",
    "target",
)
TRIPS = declared(
    "target_trips", "Times in a row that a target's breaker opened again soon.", "target"
)
REPAIRS = declared(
    "target_vain_repairs", "Repairs of a target in a row that did not help.", "target"
)
HELD = declared("target_held", "1 for a target whose repair is held back, else 0.", "target")
SPOOL_USED = declared("spool_used_ratio", "How full the disk under jobs_root is, 0 to 1.")
SPOOL_FREE = declared("spool_free_bytes", "What is free on the disk under jobs_root.")
SPOOL_SIZE = declared("spool_size_bytes", "The size of the disk under jobs_root.")
SPOOL_SEEN = declared(
    "spool_measured_timestamp_seconds", "When that disk was last measured (Unix time)."
)
DECLARED = (
    SEGMENTS, SEGMENT_BYTES, UNINDEXED, UNVERIFIED, LOST, COPIES, UNREAD, UNSHIPPED,
    UNSHIPPED_BYTES, SHIPPING_LAG, INFO, BREAKER, VERDICT, PROBED, HEALTHY, APPLIED, CHANGED, TRIPS,
    REPAIRS, HELD, SPOOL_USED, SPOOL_FREE, SPOOL_SIZE, SPOOL_SEEN,
)  # fmt: skip


def values(found: Standing, held: Collection[str]) -> Values:
    """What is to be told of each; `held` are the targets that a person must decide about."""
    storage, targets, spool = found.storage, found.storage.targets, found.operation.spool
    waiting = storage.unshipped.items()
    return {
        SEGMENTS: [((state,), amount.count) for state, amount in storage.segments.items()],
        SEGMENT_BYTES: [
            ((state,), amount.size_bytes) for state, amount in storage.segments.items()
        ],
        UNINDEXED: one(storage.unindexed_segments),
        UNVERIFIED: one(storage.unverified_bytes),
        LOST: one(storage.lost_segments),
        COPIES: [(key, amount.size_bytes) for key, amount in storage.copies.items()],
        UNREAD: moments(storage.unread_since.items()),
        UNSHIPPED: [((target,), each.amount.count) for target, each in waiting],
        UNSHIPPED_BYTES: [((target,), each.amount.size_bytes) for target, each in waiting],
        SHIPPING_LAG: [
            ((target,), (found.now - each.since).total_seconds() if each.since else 0.0)
            for target, each in waiting
        ],
        INFO: [((each.name, each.kind, each.place), 1.0) for each in targets],
        BREAKER: _one_of(((each.name, each.state) for each in targets), TargetState),
        VERDICT: _one_of(((each.name, each.verdict) for each in targets), Verdict),
        PROBED: moments((each.name, each.probed_at) for each in targets),
        HEALTHY: moments((each.name, each.last_healthy_at) for each in targets),
        APPLIED: moments((each.name, each.last_apply_at) for each in targets),
        CHANGED: moments((each.name, each.since) for each in targets),
        TRIPS: [((each.name,), each.trips) for each in targets],
        REPAIRS: [((each.name,), each.repairs) for each in targets],
        HELD: [((each.name,), float(each.name in held)) for each in targets],
        SPOOL_USED: one(spool.used_percent / 100 if spool else None),
        SPOOL_FREE: one(spool.free_bytes if spool else None),
        SPOOL_SIZE: one(spool.total_bytes if spool else None),
        SPOOL_SEEN: one(spool.seen_at.timestamp() if spool else None),
    }


def _one_of(told: Iterable[tuple[str, str]], words: Iterable[str]) -> list[Value]:
    """1 under the word that is said of each thing, 0 under the others."""
    known = tuple(words)
    return [((name, str(word)), float(word == said)) for name, said in told for word in known]
