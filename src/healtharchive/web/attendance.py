"""That the web server is there: a row among the services, and who stopped it, in the journal."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

from healtharchive.model.clock import SystemClock
from healtharchive.model.database import Database
from healtharchive.model.journal import this_process
from healtharchive.settings import Settings
from healtharchive.work import signals
from healtharchive.work.holder import this_holder
from healtharchive.work.outage import OUTAGES, describe
from healtharchive.work.presence import Presence
from healtharchive.work.stopping import Stop

log = logging.getLogger(__name__)


@contextlib.contextmanager
def attending(
    settings: Settings, database: Database, serves: Callable[[], bool], end: Callable[[], None]
) -> Iterator[None]:
    """The web server counts as living for as long as the block, and `serves` says so.

    In the main thread, SIGTERM and SIGINT call `end`, and their sender goes into the journal.
    """
    stop = Stop(SystemClock())
    presence = Presence(
        "serve", this_holder(), database, this_process(), settings.heartbeat_seconds
    )

    def on_signal(received: signals.StopSignal) -> None:
        presence.on_signal(received, stop)
        end()

    in_main = threading.current_thread() is threading.main_thread()
    watched = signals.watched(on_signal) if in_main else contextlib.nullcontext()
    with watched, presence.noted(stop), _beating(presence, serves, settings.heartbeat_seconds):
        try:
            yield
        finally:
            stop.ask("its work is done")
            presence.note_signal()


@contextlib.contextmanager
def _beating(presence: Presence, serves: Callable[[], bool], seconds: float) -> Iterator[None]:
    """Beats from a thread: the database may hang, and requests must go on meanwhile."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(seconds):
            try:
                if serves():
                    presence.beat()
            except OUTAGES as error:
                log.warning("no heartbeat of the web pages: %s", describe(error))

    thread = threading.Thread(target=beat, name="attendance", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=1.0)
