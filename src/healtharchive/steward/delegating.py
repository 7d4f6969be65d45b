"""Work that takes long or may hang, done by a child: its end within bounds, and its facts.

The child gets one order on stdin and says on stdout how far it is and how it ended. It dies with
whoever started it.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from healtharchive.model.blame import classify
from healtharchive.model.errors import HealthArchiveError, SetupError
from healtharchive.model.wire import from_line, to_line
from healtharchive.settings import environment_of
from healtharchive.steward.means import StewardMeans
from healtharchive.work.child import Child
from healtharchive.work.means import DATABASE_VARIABLE

TICK_SECONDS = 0.2
REAP_SECONDS = 1.0
SAY_SECONDS = 1.0
NICENESS = 19

Facts = Mapping[str, Any]
Order = TypeVar("Order")
Tell = Callable[[str], None]  # what is being done; that is also a sign of life


@dataclass(frozen=True, slots=True)
class Said:
    """A line of the child: what it does, or its last word with its facts or its sentence."""

    kind: Literal["progress", "done", "failed"]
    doing: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    what: str = ""
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a child may take, and how long it may say nothing."""

    deadline_seconds: float
    silence_seconds: float


class Interrupted(BaseException):
    """The steward is to stop in the midst of a child's work: nothing failed, it is done anew.

    No Exception, so that it is not written down as the work's failure.
    """


def delegate(module: str, order: object, means: StewardMeans, patience: Patience) -> Facts:
    """The facts that a child ends with. SetupError: it failed, hung or died; Interrupted."""
    command = (sys.executable, "-P", "-m", module)
    with Child(command, order, environment(means), Said) as child:
        began = heard_at = time.monotonic()
        doing = "start"
        while True:
            now = time.monotonic()
            if means.stop.asked:
                raise Interrupted(means.stop.reason)
            if now - heard_at > patience.silence_seconds:
                raise SetupError(
                    f"It said nothing for {now - heard_at:.0f} s ({doing}) and was ended."
                )
            if now - began > patience.deadline_seconds:
                raise SetupError(f"It took longer than {now - began:.0f} s ({doing}).")
            try:
                said = child.next_report(TICK_SECONDS)
            except queue.Empty:
                continue
            if said is None:
                status = child.reap(REAP_SECONDS)
                raise SetupError(f"Its process ended with status {status} ({doing}).")
            if said.kind == "done":
                return said.facts
            if said.kind == "failed":
                raise SetupError(said.what, said.cure)
            heard_at, doing = now, said.doing


def environment(means: StewardMeans) -> dict[str, str]:
    """A child's environment: our settings and our database."""
    url = means.database.engine.url.render_as_string(hide_password=False)
    return {**os.environ, **environment_of(means.settings), DATABASE_VARIABLE: url}


def serve_one(kind: type[Order], work: Callable[[Order, Tell], Facts]) -> int:
    """The child's side: take the order, do the work at low priority, say how it went."""
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no report
    os.nice(NICENESS)

    def say(said: Said) -> None:
        stream.write(to_line(said))

    told_at = float("-inf")

    def tell(doing: str) -> None:
        nonlocal told_at
        now = time.monotonic()
        if now - told_at >= SAY_SECONDS:
            told_at = now
            say(Said("progress", doing))

    try:
        order = from_line(kind, sys.stdin.buffer.readline())
        say(Said("done", facts=dict(work(order, tell))))
    except HealthArchiveError as error:
        say(Said("failed", what=error.what, cure=error.cure))
    except Exception as error:  # the outermost loop of this process
        logging.getLogger(__name__).exception("a child of the steward failed")
        say(Said("failed", what=f"{classify(error).reason}: {error}"))
    return 0
