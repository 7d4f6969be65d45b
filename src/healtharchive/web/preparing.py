"""The WACZ files that can be served: their layouts in memory, and children that prepare others."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from healtharchive.model.clock import Clock, SystemClock
from healtharchive.model.collection import CollectionName
from healtharchive.model.errors import HealthArchiveError
from healtharchive.search.collection import Collection, directory_of, is_whole, load_layout
from healtharchive.search.collection_child import Said
from healtharchive.search.collection_errand import prepare_in_child
from healtharchive.search.collection_prepare import Prepared
from healtharchive.web.reading import StorageUnavailable

AT_ONCE = 2
PATIENCE_SECONDS = 3.0  # most are ready by then; longer, and the waiting would fill the threads
MOST_WAITING = 2 * AT_ONCE  # each in a thread that other requests need
# How long a trouble is not looked into again: the first time, the second in a row, and so on.
REMEMBERED_SECONDS = (10.0, 30.0, 90.0, 270.0, 600.0)
LAYOUTS_KEPT = 16


class BeingPrepared(HealthArchiveError):
    """A WACZ is not ready yet, or not any more; it will be soon."""


class BeingRepaired(StorageUnavailable):
    """The storage that a WACZ needs does not answer now."""


class _Stopped(Exception):
    """The server ends."""


@dataclass
class _Errand:
    state: str  # of the collection when somebody asked
    done: threading.Event = field(default_factory=threading.Event)
    said: Said | None = None
    ended_at: float = 0.0


class Preparing:
    """What is prepared, and who is at it. One a process; `settings` are the children's."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._layouts: OrderedDict[Path, Prepared] = OrderedDict()
        self._errands: dict[CollectionName, _Errand] = {}
        self._failures: dict[CollectionName, int] = {}  # how many in a row
        self._waiting = threading.BoundedSemaphore(MOST_WAITING)
        self._stopped = False

    def ready(
        self, collection: Collection, wacz_dir: Path, settings: Mapping[str, str]
    ) -> Prepared:
        """The WACZ of the collection as it is now; whoever asks first has it prepared.

        BeingPrepared when that takes longer than a moment; BeingRepaired when it cannot be done
        because of the storage.
        """
        directory = directory_of(wacz_dir, collection.name) / collection.state
        found = self.there(directory)
        if found is not None:
            return found
        errand = self._sent(collection, {**os.environ, **settings})
        if not self._waited(errand):
            raise BeingPrepared(f"The WACZ of {collection.name} is being prepared.")
        assert errand.said is not None
        if errand.said.kind != "ready":
            raise BeingRepaired(errand.said.reason)
        found = self.there(directory)
        if found is None:  # segments came meanwhile: the next request asks for those
            raise BeingPrepared(f"The WACZ of {collection.name} has just changed.")
        return found

    def there(self, directory: Path) -> Prepared | None:
        """What was prepared in a directory; None when nobody has."""
        with self._lock:
            found = self._layouts.get(directory)
        if found is None or not is_whole(directory, found.layout):
            layout = load_layout(directory)
            found = None if layout is None else Prepared(directory, layout)
        with self._lock:
            self._layouts.pop(directory, None)
            if found is None:
                return None
            self._layouts[directory] = found
            while len(self._layouts) > LAYOUTS_KEPT:
                self._layouts.popitem(last=False)
        return found

    def close(self) -> None:
        """Have the children ended that are at work."""
        self._stopped = True

    def _waited(self, errand: _Errand) -> bool:
        """Whether it is over. It is waited for a moment, unless many wait already."""
        if errand.done.is_set() or not self._waiting.acquire(blocking=False):
            return errand.done.is_set()
        try:
            return errand.done.wait(PATIENCE_SECONDS)
        finally:
            self._waiting.release()

    def _sent(self, collection: Collection, environ: Mapping[str, str]) -> _Errand:
        name, state = collection.name, collection.state
        with self._lock:
            errand = self._errands.get(name)
            if errand is not None and errand.done.is_set() and errand.state != state:
                errand = None  # why it failed may be mended
            if errand is not None and not self._is_over(name, errand):
                return errand
            self._errands = {
                key: each for key, each in self._errands.items() if not self._is_over(key, each)
            }
            at_work = [key for key, each in self._errands.items() if not each.done.is_set()]
            failing = sum(key in self._failures for key in at_work)
            # Collections on dead storage never get the last place.
            if len(at_work) >= AT_ONCE or (name in self._failures and failing >= AT_ONCE - 1):
                raise BeingPrepared("Other WACZ files are being prepared.")
            errand = self._errands[name] = _Errand(state)
        thread = threading.Thread(
            target=self._run, args=(name, environ, errand), daemon=True, name=f"prepare {name}"
        )
        thread.start()
        return errand

    def _is_over(self, name: CollectionName, errand: _Errand) -> bool:
        """Whether its answer counts no longer: a good one never does, it is on the disk."""
        if not errand.done.is_set():
            return False
        failures = self._failures.get(name, 0)
        if not failures:
            return True
        remembered = REMEMBERED_SECONDS[min(failures, len(REMEMBERED_SECONDS)) - 1]
        return self._clock.monotonic() - errand.ended_at > remembered

    def _run(self, name: CollectionName, environ: Mapping[str, str], errand: _Errand) -> None:
        said = Said("failed", reason=f"The WACZ of {name} cannot be prepared.")
        try:
            said = prepare_in_child(name, environ, self._watch)
        except _Stopped:
            pass
        finally:
            with self._lock:
                errand.said, errand.ended_at = said, self._clock.monotonic()
                failures = self._failures.pop(name, 0)
                if said.kind != "ready":
                    self._failures[name] = failures + 1
                errand.done.set()

    def _watch(self, _: int) -> None:
        if self._stopped:
            raise _Stopped
