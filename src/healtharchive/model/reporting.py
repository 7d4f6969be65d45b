"""The child's side of its talk with the worker: reports on stdout, one for each misfortune too."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable

from healtharchive.model.blame import Blame, classify
from healtharchive.model.errors import HealthArchiveError, SetupError
from healtharchive.model.orders import Report
from healtharchive.model.wire import to_line


def reporter() -> Callable[[Report], None]:
    """Writes reports to stdout. When nobody reads any more, stdin's end says so, too.

    What libraries print goes to stderr from now on: only reports may reach the worker.
    """
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def report(line: Report) -> None:
        try:
            stream.write(to_line(line))
        except BrokenPipeError:
            return

    return report


def misfortune(error: Exception) -> Report:
    """The end report of an attempt that an error ended. A bug's trace goes to stderr."""
    fault = classify(error)
    setup = isinstance(error, SetupError) and fault.blame is Blame.BUG
    if not fault.parks and not isinstance(error, HealthArchiveError):
        traceback.print_exception(error)
    return Report(
        "end",
        outcome="infra" if fault.parks or setup else "failed",
        blame=Blame.HOST if setup else fault.blame,
        reason=str(error) if isinstance(error, HealthArchiveError) else fault.reason,
        errno=fault.errno,
    )
