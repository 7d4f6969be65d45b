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
from healtharchive.search.collection import Collection, directory_of, load_layout
from healtharchive.search.collection_child import Said
from healtharchive.search.collection_errand import prepare_in_child
from healtharchive.search.collection_prepare import Prepared
from healtharchive.web.reading import StorageUnavailable

AT_ONCE = 2
PATIENCE_SECONDS = 3.0  # most are ready by then; longer, and the waiting would fill the threads
REMEMBERED_SECONDS = 10.0  # a trouble is not looked into again by every request
LAYOUTS_KEPT = 16


class BeingPrepared(HealthArchiveError):
    """A WACZ is not ready yet; it will be soon."""


class BeingRepaired(StorageUnavailable):
    """The storage that a WACZ needs does not answer now."""


class _Stopped(Exception):
    """The server ends."""


@dataclass
class _Errand:
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
        errand = self._sent(collection.name, {**os.environ, **settings})
        if not errand.done.wait(PATIENCE_SECONDS):
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
            if directory in self._layouts and directory.is_dir():
                self._layouts.move_to_end(directory)
                return self._layouts[directory]
        layout = load_layout(directory)
        if layout is None:
            return None
        found = Prepared(directory, layout)
        with self._lock:
            self._layouts[directory] = found
            while len(self._layouts) > LAYOUTS_KEPT:
                self._layouts.popitem(last=False)
        return found

    def close(self) -> None:
        """Have the children ended that are at work."""
        self._stopped = True

    def _sent(self, name: CollectionName, environ: Mapping[str, str]) -> _Errand:
        with self._lock:
            now = self._clock.monotonic()
            errand = self._errands.get(name)
            if errand is not None and not self._is_over(errand, now):
                return errand
            self._errands = {
                key: each for key, each in self._errands.items() if not self._is_over(each, now)
            }
            if sum(not each.done.is_set() for each in self._errands.values()) >= AT_ONCE:
                raise BeingPrepared("Other WACZ files are being prepared.")
            errand = self._errands[name] = _Errand()
        thread = threading.Thread(
            target=self._run, args=(name, environ, errand), daemon=True, name=f"prepare {name}"
        )
        thread.start()
        return errand

    def _is_over(self, errand: _Errand, now: float) -> bool:
        """Whether its answer counts no longer: a good one never does, it is on the disk."""
        if not errand.done.is_set():
            return False
        assert errand.said is not None
        return errand.said.kind == "ready" or now - errand.ended_at > REMEMBERED_SECONDS

    def _run(self, name: CollectionName, environ: Mapping[str, str], errand: _Errand) -> None:
        said = Said("failed", reason=f"The WACZ of {name} cannot be prepared.")
        try:
            said = prepare_in_child(name, environ, self._watch)
        except _Stopped:
            pass
        finally:
            errand.said, errand.ended_at = said, self._clock.monotonic()
            errand.done.set()

    def _watch(self, _: int) -> None:
        if self._stopped:
            raise _Stopped
