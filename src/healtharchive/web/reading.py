"""Reading stored records without ever hanging: a child looks at the WARC file, with a deadline.

A file may lie on a mount that has died (DESIGN, promise 6), and what it holds may take forever to
parse. So this process never opens one: it asks a child, waits so long and no longer, and kills a
child that does not answer. A child that cannot even die is left behind, and counted.
"""

from __future__ import annotations

import logging
import os
import select
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from healtharchive.model.clock import Clock, SystemClock
from healtharchive.model.errors import HealthArchiveError
from healtharchive.model.wire import from_line, to_line
from healtharchive.search.page_order import PageOrder
from healtharchive.search.stored import Stored
from healtharchive.web.turns import Turns

LENGTH_BYTES = 4  # before each piece of an answer; a piece of length zero ends it
GRACE_SECONDS = 0.5  # a killed process that does not hang has ended long before
CHILD = (sys.executable, "-P", "-m", "healtharchive.web.reading_child")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReadOrder:
    """One record to read: a page made harmless, a picture, or raw as its bytes lie in the file.

    `payload` is the record that holds the body when this one is a revisit of it. `timestamp` and
    `language` shape the addresses that the page's references are given. A `range` is no record,
    but any bytes of a segment that has `file_bytes` in all; `one_page` is its own order.
    """

    want: Literal["page", "record", "picture", "range", "one_page"]
    record: Stored
    payload: Stored | None = None
    url: str = ""
    timestamp: str = ""
    language: str = "en"
    file_bytes: int = 0
    one_page: PageOrder | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What stands before a body. `location` is where an archived redirect leads.

    `media_type` is the whole Content-Type value. `refused` says why there is no body; `reason` is
    for the operator.
    """

    media_type: str = ""
    attachment: bool = False
    location: str = ""
    refused: Literal["", "missing", "out_of_reach", "unreadable", "too_large"] = ""
    reason: str = ""


class StorageUnavailable(HealthArchiveError):
    """The stored file did not answer in time, or not at all."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a child found: the facts at once, the body piece by piece. Exhaust or close `body`."""

    answer: Answer
    body: Generator[bytes, None, None]


class Readers:
    """A few children that read stored records, one order each at a time.

    `deadline_seconds` is the longest wait for each piece of an answer; `limit` bounds both the
    children that can read and the killed ones that still hang in the kernel. After `start`, `ahead`
    children are always ready, or being started before anybody asks: a Python takes long to start.
    """

    def __init__(
        self,
        limit: int = 4,
        deadline_seconds: float = 15.0,
        clock: Clock | None = None,
        ahead: int = 1,
    ) -> None:
        self._deadline_seconds = deadline_seconds
        self._clock = clock or SystemClock()
        self._turns = Turns(limit, "Every reader of stored records")
        self._limit = limit
        self._lock = threading.RLock()  # a forgotten body may be closed anywhere, also below it
        self._at_work = 0
        self._idle: list[_Child] = []
        self._dying: list[_Child] = []
        self._ahead = ahead
        self._started = False  # children are started ahead of need
        self._closed = False

    def start(self) -> None:
        """Have children ready before anybody asks, and whenever too few are, until `close`."""
        with self._lock:
            self._started, self._closed = True, False
        self._see_to_a_spare()

    def read(self, order: ReadOrder) -> Reading:
        """The answer to one order. StorageUnavailable when none comes in time; Busy."""
        self._turns.take()
        try:
            child = self._take()
        except BaseException:
            self._turns.give_back()
            raise
        pieces = self._pieces(child, order)
        answer = from_line(Answer, next(pieces))
        return Reading(answer, pieces)

    def close(self) -> None:
        """End every idle child; one at work ends when its answer does."""
        with self._lock:
            self._started, self._closed = False, True
            children, self._idle = self._idle, []
        for child in children:
            child.kill()

    def _pieces(self, child: _Child, order: ReadOrder) -> Generator[bytes, None, None]:
        """The answer's line, then the body. Gives the child back, or kills it, at the end."""
        whole = False
        try:
            child.send(to_line(order))
            while piece := child.receive(self._deadline_seconds, self._clock):
                yield piece
            whole = True
        except (OSError, EOFError) as error:
            raise StorageUnavailable(f"A stored record cannot be read: {error}.") from error
        finally:
            self._give_back(child, whole)

    def _take(self) -> _Child:
        with self._lock:
            child = self._ready()
            self._at_work += 1
        try:
            return child or _Child()
        except BaseException:
            with self._lock:
                self._at_work -= 1
            raise
        finally:
            self._see_to_a_spare()

    def _ready(self) -> _Child | None:
        """An idle child; None when one has to be started."""
        self._dying = [child for child in self._dying if not child.gone]
        if len(self._dying) >= self._limit:
            raise StorageUnavailable("Too many reads hang on a storage that does not answer.")
        while self._idle:
            child = self._idle.pop()
            if not child.gone:
                return child
        return None

    def _give_back(self, child: _Child, whole: bool) -> None:
        with self._lock:
            kept = whole and not self._closed
            if kept:
                self._idle.append(child)
                self._at_work -= 1
        if not kept:
            dead = child.kill()
            with self._lock:
                self._at_work -= 1
                if not dead:
                    self._dying.append(child)
            self._see_to_a_spare()
        self._turns.give_back()

    def _see_to_a_spare(self) -> None:
        """Have the next reader's child started, while nobody waits for it."""
        if self._lacks_a_spare():
            threading.Thread(target=self._start_spares, daemon=True, name="a spare reader").start()

    def _start_spares(self) -> None:
        while self._started_a_spare():
            pass

    def _started_a_spare(self) -> bool:
        with self._lock:  # whoever closes meanwhile ends it, or there is none
            if not self._lacks_a_spare():
                return False
            try:
                self._idle.append(_Child())
            except OSError as error:
                log.warning("no reading child can be started ahead of need: %s", error)
                return False
            return True

    def _lacks_a_spare(self) -> bool:
        wanted = min(self._ahead, self._limit - self._at_work)
        return self._started and len(self._idle) < wanted


class _Child:
    """One reading child and its two pipes."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(CHILD, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._orders = self._process.stdin.fileno()
        self._answers = self._process.stdout.fileno()
        self._answered = select.poll()  # unlike select(), it takes descriptors above 1023
        self._answered.register(self._answers, select.POLLIN)

    @property
    def gone(self) -> bool:
        return self._process.poll() is not None

    def send(self, line: bytes) -> None:
        os.write(self._orders, line)

    def receive(self, deadline_seconds: float, clock: Clock) -> bytes:
        """The next piece of the answer; empty when it is whole."""
        until = clock.monotonic() + deadline_seconds
        length = int.from_bytes(self._exactly(LENGTH_BYTES, until, clock), "big")
        return self._exactly(length, until, clock)

    def kill(self) -> bool:
        """End the child; False when it hangs in the kernel, where it will end later."""
        with suppress(ProcessLookupError):
            self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _exactly(self, count: int, until: float, clock: Clock) -> bytes:
        data = bytearray()
        while len(data) < count:
            left = max(0.0, until - clock.monotonic())
            if not self._answered.poll(left * 1000):
                raise TimeoutError("no answer within the deadline")
            piece = os.read(self._answers, count - len(data))
            if not piece:
                raise EOFError("the reader ended")
            data += piece
        return bytes(data)
