"""What the browser engine adds to a visit: a closer look at an answer, or the answer itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from healtharchive.crawl.batch import QueuedUrl
from healtharchive.crawl.exchange import Exchange

# By them a site refuses who asks, not what was asked for. 429 and 503 ask for less: whoever came
# back by another way would be as unwelcome.
REFUSING_STATUSES = (403, 406)
# Failures that another request may not meet. A name, an address and a port are the same for all.
DROPPED_KINDS = ("disconnect", "timeout", "protocol", "tls")
CUT_SHORT = ("disconnect", "time")


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


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer, whose body is the taker's to close. `enrichment` is None where nobody has looked
    at it yet: it came by plain HTTP."""

    exchange: Exchange
    enrichment: Enrichment | None = None


class Enricher(Protocol):
    """Looks at pages more closely, and fetches from hosts that refuse plain HTTP.

    Bounded in time; what it raises ends the attempt.
    """

    async def enrich(self, queued: QueuedUrl, exchange: Exchange) -> Enrichment:
        """What this answer holds beyond its bytes."""
        ...

    def refused(self, url: str, why: str, *, last: bool) -> bool:
        """A page was refused, or not answered, by plain HTTP; `last`: it has one more try.

        Whether its host is fetched through the browser by now, or may be soon.
        """
        ...

    def welcomed(self, url: str) -> None:
        """A page was answered well by plain HTTP."""
        ...

    def fetches(self, url: str) -> bool:
        """Whether this URL is fetched through the browser from now on."""
        ...

    async def fetch(self, queued: QueuedUrl) -> Fetched:
        """Its answer and what is to be said of it. FetchFailed, of the kind `render` where the
        browser itself could not be used, when there is none."""
        ...


def why_refused(exchange: Exchange) -> str:
    """Why an answer is a refusal of who asked, or empty."""
    if exchange.status in REFUSING_STATUSES:
        return f"answered {exchange.status}"
    if exchange.truncated in CUT_SHORT:
        return f"cut short ({exchange.truncated})"
    return ""
