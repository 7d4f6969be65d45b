"""Work at a target, done by a shipping child: its reports, and an end within bounds."""

from __future__ import annotations

import os
import queue
import sys
import time
from collections.abc import Iterator

from healtharchive.model.shipments import ShipReport, TargetOrder
from healtharchive.work.child import Child
from healtharchive.work.stopping import Stop

COMMAND = (sys.executable, "-P", "-m", "healtharchive.storage")
TICK_SECONDS = 0.2
STOP_SECONDS = 3.0
REAP_SECONDS = 1.0  # one that hangs in the kernel is left behind


def carry(order: TargetOrder, stop: Stop, *, stall_seconds: float) -> Iterator[ShipReport]:
    """The child's reports as they come. After `stall_seconds` without one it is ended.

    The last one is an `end`; a child that stalled, or died, gives one of `infra` instead.
    """
    with Child(COMMAND, order, os.environ, ShipReport) as child:
        heard_at = time.monotonic()
        kill_at = float("inf")
        while True:
            now = time.monotonic()
            if stop.asked and kill_at == float("inf"):
                child.stop(stop.reason, STOP_SECONDS)
                kill_at = now + STOP_SECONDS
            if now > kill_at or now - heard_at > stall_seconds:
                yield _lost(f"it got nowhere for {now - heard_at:.0f} s and was ended")
                return
            try:
                report = child.next_report(TICK_SECONDS)
            except queue.Empty:
                continue
            if report is None:
                status = child.reap(REAP_SECONDS)
                yield _lost(f"its process ended with status {status} and no report")
                return
            yield report
            if report.kind == "end":
                return
            heard_at = time.monotonic()  # what our caller took is not the child's silence


def _lost(reason: str) -> ShipReport:
    return ShipReport("end", outcome="infra", reason=reason)
