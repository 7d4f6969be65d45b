"""robots.txt goes on being fresh only for a day, within one attempt too (RFC 9309 §2.4)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from healtharchive.crawl.batch import Batch
from healtharchive.crawl.frontier import Frontier
from healtharchive.crawl.gate import FRESH_SECONDS, RobotsGate
from healtharchive.crawl.hosts import Paces
from healtharchive.crawl.transport import Transport
from healtharchive.model.clock import SystemClock
from healtharchive.model.source import Politeness
from tests.lab.queue import SetClock
from tests.lab.small_site import Answer, SmallSite, answering

AGENT = "HealthArchive-Test/1"


@dataclass(slots=True)
class Gate:
    """A gate before a site whose rules a test changes; its clock is the test's."""

    site: SmallSite
    answers: list[Answer]
    clock: SetClock
    gate: RobotsGate
    batch: Batch

    async def learn(self) -> None:
        """Read the rules as the engine does when they are not known."""
        read = await self.gate.read_again(self.site.url)
        await self.gate.transport.close()  # no connection outlives this event loop
        self.gate.accept(self.site.url, read, self.batch)

    def allowed(self, path: str) -> bool:
        return self.gate.verdict(self.site.url, self.site.url + path)[0]


@contextmanager
def gate_before(directory: Path, *rules: bytes) -> Iterator[Gate]:
    answers = [Answer(each) for each in rules]
    clock = SetClock()
    frontier = Frontier(directory / "frontier.sqlite", 1)
    politeness = Politeness()
    with answering(lambda _host, _path: answers[0]) as site:
        transport = Transport(
            clock=SystemClock(),
            user_agent=AGENT,
            timeout_seconds=10.0,
            page_bytes=1_000_000,
            allow_private_hosts=frozenset(("127.0.0.1",)),
            temporary_directory=directory,
        )
        gate = RobotsGate(frontier, transport, Paces(politeness), clock, AGENT, politeness)
        yield Gate(site, answers, clock, gate, Batch())
    frontier.close()


def test_rules_are_read_again_when_they_are_a_day_old(tmp_path: Path) -> None:
    with gate_before(tmp_path, b"", b"User-agent: *\nDisallow: /new/\n") as before:
        asyncio.run(before.learn())
        before.clock.advance(FRESH_SECONDS - 1)
        assert before.gate.known(before.site.url)
        assert before.allowed("/new/x")
        before.clock.advance(2)
        assert not before.gate.known(before.site.url)
        before.answers.pop(0)
        asyncio.run(before.learn())
        assert before.gate.known(before.site.url)
        assert not before.allowed("/new/x")


def test_rules_hold_on_while_they_cannot_be_read_again(tmp_path: Path) -> None:
    with gate_before(tmp_path, b"User-agent: *\nDisallow: /old/\n") as before:
        asyncio.run(before.learn())
        before.clock.advance(FRESH_SECONDS + 1)
        before.answers[:] = [Answer(status=503)]
        asyncio.run(before.learn())
        assert before.gate.known(before.site.url)
        assert before.gate.unreachable == {}
        assert not before.allowed("/old/x")
        before.clock.advance(3601)
        assert not before.gate.known(before.site.url)


def test_the_rules_of_an_earlier_attempt_are_as_old_as_they_are(tmp_path: Path) -> None:
    with gate_before(tmp_path, b"") as before:
        asyncio.run(before.learn())
        before.gate.frontier.commit(before.batch)
        before.clock.advance(FRESH_SECONDS / 2)
        next_attempt = RobotsGate(
            before.gate.frontier,
            before.gate.transport,
            before.gate.paces,
            before.clock,
            AGENT,
            before.gate.politeness,
        )
        assert next_attempt.known(before.site.url)
        before.clock.advance(FRESH_SECONDS / 2 + 1)
        assert not next_attempt.known(before.site.url)


def test_a_429_is_no_leave_to_fetch_all_and_is_asked_again(tmp_path: Path) -> None:
    with gate_before(tmp_path, b"") as before:
        before.answers[:] = [Answer(status=429)]
        asyncio.run(before.learn())
        assert before.gate.unreachable == {before.site.url: "its robots.txt answered 429"}
        assert not before.gate.known(before.site.url)
        before.answers[:] = [Answer(b"User-agent: *\nDisallow: /old/\n")]
        asyncio.run(before.learn())
        assert before.gate.unreachable == {}
        assert not before.allowed("/old/x")


def test_a_429_that_an_earlier_version_kept_is_no_leave_either(tmp_path: Path) -> None:
    with gate_before(tmp_path, b"") as before:
        now = before.clock.now().timestamp()
        before.batch.robots.append((before.site.url, 429, b"", now))
        before.gate.frontier.commit(before.batch)
        assert not before.gate.known(before.site.url)
