"""How much traffic one page made while a browser rendered it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Traffic:
    """How much there was. Each request that was let through is counted under one of the others.

    `given`: answered with the page's own exchange; `kept`: with what another had fetched;
    `recorded`; `repeated`: fetched, but in the archive already; `queued`: fetched, to be tried
    again by the crawl; `failed`: no answer, or refused; `stayed`: navigations that were not
    followed. `bytes`: of what was fetched.
    """

    requests: int = 0
    given: int = 0
    kept: int = 0
    recorded: int = 0
    repeated: int = 0
    queued: int = 0
    failed: int = 0
    stayed: int = 0
    bytes: int = 0
