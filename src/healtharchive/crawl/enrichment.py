"""What a closer look at an answer adds to it before it is recorded: the browser engine's part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from healtharchive.crawl.batch import QueuedUrl
from healtharchive.crawl.exchange import Exchange


def nothing_attached(_: str) -> tuple[bytes, ...]:
    """No records beside the response's."""
    return ()


@dataclass(frozen=True, slots=True)
class Enrichment:
    """What was found in a page beyond its bytes.

    `attached` makes the records that stand beside the response, given its record id. `remarks` are
    counted with the job's others. `again`: why the page could not be looked at this time; empty
    when it could, or need not be.
    """

    links: tuple[str, ...] = ()
    attached: Callable[[str], tuple[bytes, ...]] = nothing_attached
    remarks: tuple[str, ...] = ()
    again: str = ""


class Enricher(Protocol):
    """Looks at pages more closely. Bounded in time; what it raises ends the attempt."""

    async def enrich(self, queued: QueuedUrl, exchange: Exchange) -> Enrichment:
        """What this answer holds beyond its bytes."""
        ...
