"""The shipping child: one order on stdin, reports on stdout, its log on stderr.

It owns all access to the target; its parent only reads the pipe. When stdin ends, or with SIGTERM,
it stops at the next piece and leaves a partial that the next child resumes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import cast

from healtharchive.model.blame import EngineMissing, classify
from healtharchive.model.errors import HealthArchiveError
from healtharchive.model.orders import Command
from healtharchive.model.reporting import reporter
from healtharchive.model.shipments import (
    CheckOrder,
    FetchOrder,
    InspectOrder,
    KeepOrder,
    ListOrder,
    ReadOrder,
    ShipOrder,
    ShipReport,
    TargetOrder,
)
from healtharchive.model.wire import from_line
from healtharchive.storage.fixity import check_one, fetch_one
from healtharchive.storage.manifest import listings
from healtharchive.storage.object_look import inspect_place, require_identity
from healtharchive.storage.places import Place, content, place_for
from healtharchive.storage.refusals import LocalTrouble, ShippingError
from healtharchive.storage.shipping import ship_one
from healtharchive.storage.throttle import Throttle

READ_BYTES = 1 << 16
TELL_SECONDS = 1.0
NAP_SECONDS = 0.25  # a signal does not end a select; the flag it set is seen after this

Say = Callable[[ShipReport], None]


class Stopped(Exception):
    """Somebody asked the child to end: a signal, a command, or the parent's own end."""


class Parent:
    """What the parent says, listened to between two pieces."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._heard = b""
        self._reason = ""

    def order(self) -> TargetOrder:
        """The first line. EOFError when there is none."""
        while b"\n" not in self._heard:
            piece = os.read(self._descriptor, READ_BYTES)
            if not piece:
                raise EOFError("no order came")
            self._heard += piece
        line, _, self._heard = self._heard.partition(b"\n")
        return from_line(TargetOrder, line)

    def stop(self, reason: str) -> None:
        """End at the next `check`."""
        self._reason = self._reason or reason

    def check(self, seconds: float = 0.0) -> None:
        """Listen for so long; Stopped when it is time to end."""
        deadline = time.monotonic() + seconds
        while True:
            left = max(0.0, deadline - time.monotonic())
            if not self._reason and self._can_hear(min(left, NAP_SECONDS)):
                self._hear()
                continue
            if self._reason:
                raise Stopped(self._reason)
            if not left:
                return

    def _can_hear(self, seconds: float) -> bool:
        return bool(select.select([self._descriptor], [], [], seconds)[0])

    def _hear(self) -> None:
        piece = os.read(self._descriptor, READ_BYTES)
        if not piece:
            self.stop("the parent is gone")
        *lines, self._heard = (self._heard + piece).split(b"\n")
        for command in (from_line(Command, line) for line in lines if line):
            if command.kind == "stop":
                self.stop(command.reason or "the parent asked for it")


class Progress:
    """Says how far a parcel has got, at most once a second and once for each new step."""

    def __init__(self, name: str, say: Say) -> None:
        self._name = name
        self._say = say
        self._step = ""
        self._said_at = 0.0

    def __call__(self, step: str, bytes_done: int) -> None:
        now = time.monotonic()
        if step == self._step and now - self._said_at < TELL_SECONDS:
            return
        self._step, self._said_at = step, now
        self._say(ShipReport("shipped", name=self._name, step=step, bytes_done=bytes_done))


def main() -> int:
    """Obey one order. Always 0 after an `end` report; the report says how it went."""
    # The reporter writes any record as a line; its type only knows the crawl's.
    say = cast(Say, reporter())
    parent = Parent(sys.stdin.fileno())

    def on_signal(number: int, _: FrameType | None) -> None:
        parent.stop(f"{signal.Signals(number).name} to the shipping child")

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    try:
        _obey(parent.order(), parent, say)
        say(ShipReport("end", outcome="complete"))
    except Stopped as stopped:
        say(ShipReport("end", outcome="stopped", reason=str(stopped)))
    except Exception as error:  # the outermost loop of this process
        say(_misfortune(error))
    return 0


def _obey(order: TargetOrder, parent: Parent, say: Say) -> None:
    def connect() -> Place:
        return place_for(order.target, os.environ, order.timeout_seconds)

    work = order.work
    if isinstance(work, InspectOrder):
        found = inspect_place(connect, order.target, order.identity, work.adopt)
        say(ShipReport("inspected", inspection=found, errno=found.errno))
        return
    bucket = Throttle(order.target.bytes_per_second, sleep=parent.check)

    def throttle(size_bytes: int) -> None:
        parent.check()
        bucket(size_bytes)

    with contextlib.closing(connect()) as place:
        require_identity(place, order.target, order.identity)
        if isinstance(work, ShipOrder):
            _ship(place, work, throttle, say)
        elif isinstance(work, CheckOrder):
            _check(place, order, work, throttle, say)
        elif isinstance(work, FetchOrder):
            _fetch(place, work, throttle, say)
        elif isinstance(work, KeepOrder):
            _keep(place, work, say)
        elif isinstance(work, ReadOrder):
            _read(place, work, say)
        else:
            _list(place, work, throttle, say)


def _ship(place: Place, work: ShipOrder, throttle: Callable[[int], None], say: Say) -> None:
    for parcel in work.parcels:
        throttle(0)
        with _one(parcel.name, say):
            progress = Progress(parcel.name, say)
            receipt = ship_one(place, parcel, token=work.token, throttle=throttle, tell=progress)
            say(ShipReport("verified", name=parcel.name, receipt=receipt))


def _check(
    place: Place, order: TargetOrder, work: CheckOrder, throttle: Callable[[int], None], say: Say
) -> None:
    for expected in work.expected:
        throttle(0)
        with _one(expected.name, say, spared=(errno.EIO, errno.EACCES, errno.EPERM)):
            watch = _telling(expected.name, throttle, say)
            finding, reason = check_one(place, expected, watch)
            if finding == "gone":
                # One file is gone, or all of the target went in this instant.
                require_identity(place, order.target, order.identity)
            say(ShipReport("checked", name=expected.name, finding=finding, reason=reason))


def _fetch(place: Place, work: FetchOrder, throttle: Callable[[int], None], say: Say) -> None:
    for wanted in work.wanted:
        throttle(0)
        with _one(wanted.name, say, spared=(errno.ENOENT, errno.EIO)):
            fetch_one(place, wanted, _telling(wanted.name, throttle, say))
            say(ShipReport("fetched", name=wanted.name))


def _list(place: Place, _: ListOrder, throttle: Callable[[int], None], say: Say) -> None:
    for listing in listings(place):
        throttle(0)
        say(ShipReport("listed", name=listing.directory, listing=listing))


def _keep(place: Place, work: KeepOrder, say: Say) -> None:
    for file in work.files:
        wanted = file.text.encode()
        if content(place, file.name) != wanted:
            place.replace(file.name, wanted)
        say(ShipReport("kept", name=file.name))


def _read(place: Place, work: ReadOrder, say: Say) -> None:
    for name in work.names:
        found = content(place, name)
        if found is not None:
            say(ShipReport("read", name=name, text=found.decode()))


def _telling(name: str, throttle: Callable[[int], None], say: Say) -> Callable[[int], None]:
    progress, done = Progress(name, say), 0

    def watch(size_bytes: int) -> None:
        nonlocal done
        throttle(size_bytes)
        done += size_bytes
        progress("reading", done)

    return watch


@contextlib.contextmanager
def _one(name: str, say: Say, spared: tuple[int, ...] = ()) -> Iterator[None]:
    """One name's work: its failure is told.

    The rest is tried too when only this file is to blame; `spared` errnos are a file's as well
    (a bad sector under one file, one that belongs to somebody else).
    """
    try:
        yield
    except OSError as error:
        fault = classify(error)
        side = "local" if isinstance(error, LocalTrouble) else "target"
        reason = f"{fault.reason}: {error.strerror}" if error.strerror else fault.reason
        say(
            ShipReport(
                "failed",
                name=name,
                side="local" if side == "local" else "target",
                blame=fault.blame,
                reason=reason,
                errno=error.errno,
            )
        )
        if not isinstance(error, ShippingError) and error.errno not in spared:
            raise


def _misfortune(error: Exception) -> ShipReport:
    """The end report after an error that ended the order. A bug's trace goes to stderr."""
    fault = classify(error)
    expected = fault.parks or isinstance(error, HealthArchiveError)
    if not expected:
        traceback.print_exception(error)
    # What is set up wrongly here is neither the target's fault nor a bug.
    is_local = isinstance(error, (HealthArchiveError, EngineMissing))
    return ShipReport(
        "end",
        outcome="infra" if expected else "failed",
        side="local" if is_local else "target" if isinstance(error, OSError) else "",
        blame=fault.blame,
        reason=str(error) if isinstance(error, HealthArchiveError) else fault.reason,
        errno=fault.errno,
    )


if __name__ == "__main__":
    sys.exit(main())
