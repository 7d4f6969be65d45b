"""Questions to a site for a person who waits: what it allows, and where its seed leads."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from healtharchive.crawl.addresses import Lookup, look_up
from healtharchive.crawl.gate import REDIRECTS, ask_for_rules
from healtharchive.crawl.recorder import header_value
from healtharchive.crawl.robots import Robots, parse
from healtharchive.crawl.suffixes import registered_site
from healtharchive.crawl.transport import FetchFailed, Transport
from healtharchive.crawl.urls import canonicalize, host_of, origin_of
from healtharchive.model.clock import SystemClock
from healtharchive.model.errors import HealthArchiveError
from healtharchive.model.source import SourceDefinition

MOST_HOPS = 5
ANSWER_BYTES = 1_000_000
# What the crawl itself would not get over either; it tries again after anything else.
HOPELESS = ("dns", "connect", "tls", "refused_address")
CURES = {"refused_address": "If it is a site of your own, `--allow-private` lets this crawl there."}
IGNORED = "robots.txt is ignored for this source"


async def rules_of(source: SourceDefinition, agent: str, url: str) -> Robots:
    """The robots.txt rules that the crawl of this source would go by at a URL's host."""
    if source.politeness.robots == "ignore":
        return Robots(everything=True, why=IGNORED)
    async with _asking(source, agent, look_up) as transport:
        try:
            read = await ask_for_rules(transport, origin_of(url))
        except FetchFailed as failure:
            return Robots(everything=False, why=f"robots.txt: {failure.detail}")
    return parse(read.status, read.body)


async def follow_seed(
    source: SourceDefinition, agent: str, *, lookup: Lookup = look_up
) -> SourceDefinition:
    """The source with those hosts in its scope that its first seed is redirected to.

    Only hosts of the same registered site: `example.org` to `www.example.org`. The seed is asked
    for when robots.txt allows it; nothing is recorded. HealthArchiveError when there is no such
    host, or it lets nobody in.
    """
    url = canonicalize(source.seeds[0].url)
    for _ in range(MOST_HOPS):
        if url is None or not _same_site(url, source.seeds[0].url):
            break
        source = _with_host(source, host_of(url))
        try:
            url = await _redirected(source, agent, url, lookup)
        except FetchFailed as failure:
            if failure.kind not in HOPELESS:
                break
            raise HealthArchiveError(
                f"{url} cannot be captured: {failure.detail}.",
                CURES.get(
                    failure.kind, "Correct the address, or try again when the site is there."
                ),
            ) from failure
    return source


async def _redirected(source: SourceDefinition, agent: str, url: str, lookup: Lookup) -> str | None:
    """Where a URL's answer sends us; None when it does not, or may not be asked for."""
    async with _asking(source, agent, lookup) as transport:
        if source.politeness.robots == "obey":
            read = await ask_for_rules(transport, origin_of(url))
            if not parse(read.status, read.body).verdict(agent, url)[0]:
                return None
        answer = await transport.fetch(url)
        answer.body.close()
    location = header_value(answer, "location")
    return canonicalize(location, url) if answer.status in REDIRECTS and location else None


def _with_host(source: SourceDefinition, host: str) -> SourceDefinition:
    if host in source.scope.hosts:
        return source
    private = source.allow_private_hosts
    return replace(
        source,
        scope=replace(source.scope, hosts=(*source.scope.hosts, host)),
        allow_private_hosts=(*private, host) if private else (),
    )


def _same_site(url: str, other: str) -> bool:
    """Whether two URLs are of one registered site (example.org), by the public suffix list."""
    first, second = host_of(url), host_of(other)
    if first == second:
        return True
    registered = registered_site(first)
    return bool(registered) and registered == registered_site(second)


@asynccontextmanager
async def _asking(source: SourceDefinition, agent: str, lookup: Lookup) -> AsyncIterator[Transport]:
    with tempfile.TemporaryDirectory() as directory:
        transport = Transport(
            clock=SystemClock(),
            user_agent=agent,
            timeout_seconds=source.politeness.timeout_seconds,
            page_bytes=ANSWER_BYTES,
            allow_private_hosts=frozenset(source.allow_private_hosts),
            temporary_directory=Path(directory),
            resolver=lookup,
        )
        try:
            yield transport
        finally:
            await transport.close()
