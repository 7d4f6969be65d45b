"""What the gatherings of one attempt have in common: answers that are kept, and one fetch a URL."""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path

from healtharchive.crawl.exchange import Exchange, SpooledBody
from healtharchive.crawl.transport import FetchFailed

KEPT_BYTES = 256_000_000
# What pages share is asked for again and again, and stays. What only one page asks for goes soon:
# the bodies are on disk, but each answer's head takes 3 kB of memory.
MOST_KEPT = 1_000
# One answer takes at most this part of the room for all.
LARGEST_PART = 8
MOST_AT_ONCE = 6  # requests to one origin, over all pages, as browsers do for one

Fields = tuple[tuple[str, str], ...]


class KeptBody(SpooledBody):
    """A body that was kept, opened for one reader. It can be read until it is closed.

    OSError when the file cannot be opened.
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        super().__init__(path.parent)
        self.size_bytes = size_bytes
        self._file = path.open("rb")


@dataclass(frozen=True, slots=True)
class _Entry:
    """`number` is that of the moment it came; `lasting`: also for those who ask later."""

    exchange: Exchange
    path: Path
    size_bytes: int
    varying: tuple[tuple[str, str], ...]
    number: int
    lasting: bool


class Flight:
    """One URL being fetched by somebody. `failure` is set when it came to nothing."""

    def __init__(self) -> None:
        self.failure: FetchFailed | None = None
        self.landed = asyncio.Event()


class Kept:
    """Answers of one attempt on disk, `most` at once, the longest unused given up first.

    Each reader has an open file of its own, so that giving one up disturbs nobody.
    """

    def __init__(
        self, directory: Path, limit_bytes: int = KEPT_BYTES, most: int = MOST_KEPT
    ) -> None:
        self.bytes = 0
        self.flights: dict[str, Flight] = {}
        self.told: set[str] = set()  # requests for pages that were recorded before their own visit
        self._directory = directory
        self._limit_bytes = limit_bytes
        self._most = most
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._numbers = itertools.count(1)
        self._lanes: dict[str, asyncio.Semaphore] = {}

    def lane(self, origin: str) -> asyncio.Semaphore:
        """To be held while a request to this origin is under way."""
        if origin not in self._lanes:
            self._lanes[origin] = asyncio.Semaphore(MOST_AT_ONCE)
        return self._lanes[origin]

    def now(self) -> int:
        """A number for this moment, to tell with `get` what came since."""
        return next(self._numbers)

    def get(self, key: str, fields: Fields, since: int) -> Exchange | None:
        """The kept answer for a request with these fields, with a body of its own to close.

        One that is not for keeps is for those who were waiting for it (`since`) only.
        """
        entry = self._entries.get(key)
        if entry is None or not (entry.lasting or entry.number > since):
            return None
        if any(_value(fields, name) != value for name, value in entry.varying):
            return None
        self._entries.move_to_end(key)
        return replace(entry.exchange, body=KeptBody(entry.path, entry.size_bytes))

    async def put(self, key: str, fields: Fields, exchange: Exchange, *, lasting: bool) -> bool:
        """Keep an answer, if it is not too large; its body stays the caller's.

        OSError when the disk fails.
        """
        size = exchange.body.size_bytes
        vary = _vary(exchange)
        if size > self._limit_bytes // LARGEST_PART or "*" in vary:
            return False
        number = next(self._numbers)
        path = self._directory / f"kept-{number}"
        await asyncio.to_thread(_copy, exchange.body, path)
        self._give_up(key)
        varying = tuple((name, _value(fields, name)) for name in vary)
        # What is kept has no open file.
        hollow = replace(exchange, body=SpooledBody(self._directory))
        self._entries[key] = _Entry(hollow, path, size, varying, number, lasting)
        self.bytes += size
        while self.bytes > self._limit_bytes or len(self._entries) > self._most:
            self._give_up(next(iter(self._entries)))
        return True

    def clear(self) -> None:
        """Give everything up."""
        for key in list(self._entries):
            self._give_up(key)

    def _give_up(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.bytes -= entry.size_bytes
            entry.path.unlink(missing_ok=True)


def _copy(body: SpooledBody, path: Path) -> None:
    with path.open("xb") as stream:
        stream.writelines(body.chunks())


def _vary(exchange: Exchange) -> list[str]:
    """The request fields that the answer depends on (RFC 9110 §12.5.5)."""
    named = [v for name, v in exchange.headers if name.lower() == "vary"]
    each = [name.strip().lower() for name in ",".join(named).split(",") if name.strip()]
    # The same in every request of a browser.
    return [name for name in each if name not in ("accept-encoding", "user-agent")]


def _value(fields: Fields, name: str) -> str:
    return ", ".join(value for each, value in fields if each.lower() == name)


def copied(exchange: Exchange, directory: Path) -> Exchange:
    """The same answer with a body of its own."""
    body = SpooledBody(directory)
    for piece in exchange.body.chunks():
        body.write(piece)
    return replace(exchange, body=body)
