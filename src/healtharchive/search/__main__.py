"""The index child: one order on stdin, commands after it, reports on stdout, its log on stderr."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable
from types import FrameType

from healtharchive.model.errors import LeaseLost
from healtharchive.model.journal import this_process
from healtharchive.model.orders import Command, IndexOrder, Report
from healtharchive.model.reporting import misfortune, reporter
from healtharchive.model.wire import from_line
from healtharchive.search.collection_after import prepare_for
from healtharchive.search.compare.edition import compare_after
from healtharchive.search.index import SearchIndex
from healtharchive.search.judging import judge_job
from healtharchive.search.pipeline import Facts, Tools, index_job
from healtharchive.settings import load, open_database

PIECE_BYTES = 1 << 16


class Stopped(Exception):
    """Somebody asked the attempt to end: the worker, a signal, or the worker's own end."""


class Commands:
    """What the worker says, listened to between two records; nothing here ever waits."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._heard = b""
        self._reason = ""

    def order(self) -> IndexOrder:
        """The first line. EOFError when there is none."""
        while b"\n" not in self._heard:
            piece = os.read(self._descriptor, PIECE_BYTES)
            if not piece:
                raise EOFError("no order came")
            self._heard += piece
        line, _, self._heard = self._heard.partition(b"\n")
        return from_line(IndexOrder, line)

    def stop(self, reason: str) -> None:
        """End at the next `check`."""
        self._reason = self._reason or reason

    def check(self) -> None:
        """Stopped when it is time to end."""
        self._obey()  # what came together with the order
        while not self._reason and select.select([self._descriptor], [], [], 0)[0]:
            piece = os.read(self._descriptor, PIECE_BYTES)
            if not piece:
                self.stop("the worker is gone")
            self._heard += piece
            self._obey()
        if self._reason:
            raise Stopped(self._reason)

    def _obey(self) -> None:
        *lines, self._heard = self._heard.split(b"\n")
        for command in (from_line(Command, line) for line in lines if line):
            if command.kind == "stop":
                self.stop(command.reason or "the worker asked for it")


def main() -> int:
    """Run one attempt. Always 0 after an `end` report; the report says how it went."""
    report = reporter()
    commands = Commands(sys.stdin.fileno())

    def on_signal(number: int, _: FrameType | None) -> None:
        commands.stop(f"{signal.Signals(number).name} to the index child")

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    try:
        report(_attempt(commands, report))
    except Stopped as stopped:
        report(Report("end", outcome="stopped", reason=str(stopped)))
    except LeaseLost as lost:
        report(Report("end", outcome="fenced", reason=str(lost)))
    except Exception as error:  # the outermost loop of this process
        report(misfortune(error))
    return 0


def _attempt(commands: Commands, report: Callable[[Report], None]) -> Report:
    order = commands.order()
    settings = load()
    database = open_database(settings)
    try:
        index = SearchIndex(settings.search_dir)
        tools = Tools(database, index, this_process(), report, commands.check)
        tally = index_job(order, tools)
        changes = compare_after(order, tools)
        quality = judge_job(order, tools)
        prepare_for(order, tools)
    finally:
        database.dispose()
    found: Facts = {**tally.facts(), "changes": changes, "quality": quality}
    return Report("end", outcome="complete", evidence=found)


if __name__ == "__main__":
    sys.exit(main())
