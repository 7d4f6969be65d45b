"""What a site is asked for a person: its rules as the crawl reads them, where its seed leads."""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import replace
from typing import Any

import pytest

from healtharchive.crawl.inquiry import follow_seed, rules_of
from healtharchive.crawl.sources import of_one_site
from healtharchive.model.errors import HealthArchiveError
from healtharchive.model.source import SourceDefinition
from tests.lab.small_site import Answer, answering, redirect

AGENT = "HealthArchive-Test/1"
RULES = b"User-agent: *\nDisallow: /private/\n"
PLAIN = (("Content-Type", "text/plain"),)


def source_of(url: str) -> SourceDefinition:
    source = of_one_site(url)
    return replace(source, allow_private_hosts=source.scope.hosts)


def may_be_fetched(source: SourceDefinition, url: str) -> tuple[bool, str]:
    return asyncio.run(rules_of(source, AGENT, url)).verdict(AGENT, url)


def compressed(_host: str, _path: str) -> Answer:
    return Answer(gzip.compress(RULES), 200, (*PLAIN, ("Content-Encoding", "gzip")))


def moved(_host: str, path: str) -> Answer:
    return redirect("/rules.txt") if path == "/robots.txt" else Answer(RULES, 200, PLAIN)


@pytest.mark.parametrize("answer", [compressed, moved])
def test_rules_are_read_as_the_crawl_reads_them(answer: Any) -> None:
    with answering(answer) as site:
        source = source_of(f"{site.url}/")
        allowed, rule = may_be_fetched(source, f"{site.url}/private/x")
        assert (allowed, rule) == (False, "Disallow: /private/")
        assert may_be_fetched(source, f"{site.url}/public")[0]


def test_a_source_that_ignores_robots_txt_does_not_ask_for_it() -> None:
    with answering(lambda _host, _path: Answer(RULES, 200, PLAIN)) as site:
        source = source_of(f"{site.url}/")
        source = replace(source, politeness=replace(source.politeness, robots="ignore"))
        assert may_be_fetched(source, f"{site.url}/private/x")[0]
        assert site.asked == []


def test_without_an_answer_nothing_may_be_fetched_and_the_reason_is_said() -> None:
    source = source_of("http://nonexistent.invalid/")
    allowed, why = may_be_fetched(source, "http://nonexistent.invalid/")
    assert not allowed
    assert "nonexistent.invalid: " in why


# -- where a seed leads --------------------------------------------------------------------------


async def at_home(_host: str, _port: int) -> tuple[str, ...]:
    """Every name is at the lab's address."""
    return ("127.0.0.1",)


def hosts_after(*steps: str, path: str = "/") -> tuple[tuple[str, ...], list[tuple[str, str]]]:
    """The hosts in scope when each of these leads to the next one; and what was asked for."""

    def answer(host: str, path: str) -> Answer:
        if path == "/robots.txt":
            return Answer(RULES, 200, PLAIN)
        further = steps[steps.index(host) + 1 :]
        return redirect(f"http://{further[0]}:{site.port}{path}") if further else Answer(b"here")

    with answering(answer) as site:
        source = source_of(f"http://{steps[0]}:{site.port}{path}")
        followed = asyncio.run(follow_seed(source, AGENT, lookup=at_home))
        assert followed.allow_private_hosts == followed.scope.hosts
        return followed.scope.hosts, site.asked


def test_hosts_of_the_same_registered_site_come_into_the_scope() -> None:
    steps = ("example.org", "www.example.org", "en.example.org")
    assert hosts_after(*steps)[0] == steps


@pytest.mark.parametrize(
    "steps", [("example.co.uk", "another.co.uk"), ("one.github.io", "two.github.io")]
)
def test_hosts_of_another_site_do_not(steps: tuple[str, str]) -> None:
    hosts, asked = hosts_after(*steps)
    assert hosts == steps[:1]
    assert {host for host, _ in asked} == {steps[0]}


def test_a_seed_that_robots_txt_forbids_is_not_asked_for() -> None:
    hosts, asked = hosts_after("example.org", "www.example.org", path="/private/x")
    assert hosts == ("example.org",)
    assert asked == [("example.org", "/robots.txt")]


def test_a_seed_without_a_host_is_said() -> None:
    with pytest.raises(HealthArchiveError, match=r"nonexistent\.invalid: "):
        asyncio.run(follow_seed(of_one_site("http://nonexistent.invalid/"), AGENT))
