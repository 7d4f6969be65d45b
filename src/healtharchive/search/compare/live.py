"""Today's page of a captured URL, fetched as the crawl of its source would fetch it.

The addresses are guarded as the crawl's are, robots.txt is obeyed where the source obeys it, and a
redirect is only followed to hosts of the source. Nothing is recorded. It runs in the child.
"""

from __future__ import annotations

import asyncio
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from healtharchive.crawl.addresses import Lookup, look_up
from healtharchive.crawl.exchange import Exchange
from healtharchive.crawl.gate import REDIRECTS, ask_for_rules
from healtharchive.crawl.recorder import header_value
from healtharchive.crawl.robots import parse
from healtharchive.crawl.transport import FetchFailed, Transport
from healtharchive.crawl.urls import canonicalize, host_of, origin_of
from healtharchive.model.clock import SystemClock
from healtharchive.model.source import SourceDefinition
from healtharchive.search.extract import PageText, characters, kind_of, page_text
from healtharchive.warc.decoding import decode_content

MOST_HOPS = 5  # redirects
PAGE_BYTES = 5_000_000
TIMEOUT_SECONDS = 8.0
TOTAL_SECONDS = 12.0  # within the child's deadline, so that the reason can be told


class LiveFailed(Exception):
    """Today's page cannot be had, or must not be asked for."""


@dataclass(frozen=True, slots=True)
class LiveOrder:
    """What may be fetched. `hosts` may be led to; `allow_private_hosts` may have any address."""

    url: str
    agent: str
    hosts: tuple[str, ...]
    allow_private_hosts: tuple[str, ...] = ()
    obey_robots: bool = True


@dataclass(frozen=True, slots=True)
class LivePage:
    """What was found, where in the end and when; `html` is empty for another kind of page."""

    url: str
    at: datetime
    page: PageText
    html: str


def order_of(source: SourceDefinition, url: str, agent: str) -> LiveOrder:
    """What the crawl of this source would be allowed, for one URL."""
    return LiveOrder(
        url,
        agent,
        tuple(dict.fromkeys((host_of(url), *source.scope.hosts))),
        source.allow_private_hosts,
        source.politeness.robots == "obey",
    )


def fetch_live(order: LiveOrder, lookup: Lookup = look_up) -> LivePage:
    """The page as it is now. LiveFailed says why there is none."""
    try:
        return asyncio.run(_within(order, lookup))
    except TimeoutError:
        raise LiveFailed("the site did not answer in time") from None
    except FetchFailed as failure:
        raise LiveFailed(failure.detail) from failure


class _LeftBehind(ThreadPoolExecutor):
    """Threads whose end nobody waits for: the system may look a name up for half a minute."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait=False, cancel_futures=True)


async def _within(order: LiveOrder, lookup: Lookup) -> LivePage:
    asyncio.get_running_loop().set_default_executor(_LeftBehind())
    transport = Transport(
        clock=SystemClock(),
        user_agent=order.agent,
        timeout_seconds=TIMEOUT_SECONDS,
        page_bytes=PAGE_BYTES,
        allow_private_hosts=frozenset(order.allow_private_hosts),
        # What is spilled has no name there, and no directory of ours that a kill would leave.
        temporary_directory=Path(tempfile.gettempdir()),
        resolver=lookup,
    )
    try:
        async with asyncio.timeout(TOTAL_SECONDS):
            return await _follow(order, transport)
    finally:
        await transport.close()


async def _follow(order: LiveOrder, transport: Transport) -> LivePage:
    url = canonicalize(order.url)
    for _ in range(MOST_HOPS + 1):
        if url is None or host_of(url) not in order.hosts:
            raise LiveFailed("it leads to a host that is not of its source")
        await _allow(order, transport, url)
        answer = await transport.fetch(url)
        location = header_value(answer, "location")
        if answer.status not in REDIRECTS or not location:
            return _page(answer)
        answer.body.close()
        url = canonicalize(location, url)
    raise LiveFailed(f"it redirects more than {MOST_HOPS} times")


async def _allow(order: LiveOrder, transport: Transport, url: str) -> None:
    if not order.obey_robots:
        return
    read = await ask_for_rules(transport, origin_of(url))
    allowed, why = parse(read.status, read.body).verdict(order.agent, url)
    if not allowed:
        raise LiveFailed(f"robots.txt does not allow it ({why})")


def _page(answer: Exchange) -> LivePage:
    body = answer.entity()
    answer.body.close()
    if answer.status not in range(200, 300):
        raise LiveFailed(f"the site answers {answer.status}")
    if answer.truncated:
        raise LiveFailed(f"its page is not all there ({answer.truncated})")
    declared = header_value(answer, "content-type")
    kind = kind_of(declared.partition(";")[0].strip().lower())
    if not kind:
        raise LiveFailed("it is no page any more")
    coding = header_value(answer, "content-encoding")
    decoded = decode_content(body, coding, PAGE_BYTES)
    if decoded.problem:  # half a page would be compared as if the rest were gone
        raise LiveFailed(f"its page cannot be read: {decoded.problem}")
    page = page_text(decoded.data, kind, declared, header_value(answer, "content-language"))
    html = characters(decoded.data, declared)[0] if kind == "html" else ""
    return LivePage(answer.url, answer.started_at, page, html)
