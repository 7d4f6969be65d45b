"""A polite wait is told while nothing else can be fetched, once, with its host, end and reason."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from healtharchive.crawl.batch import Batch, FoundUrl, Kind
from healtharchive.crawl.dispatch import Dispatch
from healtharchive.crawl.frontier import Frontier
from healtharchive.crawl.hosts import Paces
from healtharchive.crawl.waiting import LEAST_SECONDS, NOTED_SECONDS, PoliteWaits
from healtharchive.model.source import Politeness
from tests.lab.queue import SetClock

HOSTS = ("https://a.example", "https://b.example")
HOUR = 3600.0


class Lab:
    """A frontier with a URL of each host, and a clock that the test moves."""

    def __init__(self, directory: Path) -> None:
        self.clock = SetClock()
        self.frontier = Frontier(directory / "frontier.sqlite", 1)
        found = [FoundUrl(f"{host}/", host, Kind.PAGE, 1) for host in HOSTS]
        self.frontier.commit(Batch(found=found))
        self.paces = Paces(Politeness())
        self.dispatch = Dispatch(self.frontier, self.paces, self.clock)
        self.waits = PoliteWaits(self.dispatch, self.frontier, self.paces, self.clock)
        self.dispatch.refill()

    def ask_for_patience(self, host: str, seconds: float) -> None:
        """The host answers with Retry-After."""
        self.paces.of(host).struggling(self.clock.monotonic(), seconds, dead=False)

    def until(self) -> datetime:
        """When the wait of a crawl that has nothing in flight is over."""
        wait = self.waits.look(idle=True)
        assert wait is not None
        return datetime.fromisoformat(wait.until)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    yield made
    made.frontier.close()


def test_while_another_host_may_be_asked_there_is_no_wait(lab: Lab) -> None:
    lab.ask_for_patience(HOSTS[0], HOUR)
    assert lab.waits.look(idle=True) is None
    lab.ask_for_patience(HOSTS[1], HOUR / 2)
    wait = lab.waits.look(idle=True)
    assert wait is not None
    assert (wait.host, "Retry-After" in wait.reason) == ("b.example", True)
    assert lab.until() == lab.clock.now() + timedelta(seconds=HOUR / 2)
    assert lab.waits.look(idle=False) is None


def test_a_wait_stays_the_same_while_it_lasts_and_is_noted_once(lab: Lab) -> None:
    for host in HOSTS:
        lab.ask_for_patience(host, HOUR)
    first = lab.waits.look(idle=True)
    note = lab.waits.note()
    assert note is not None
    assert note.what.startswith("waits politely until 2026-01-24T03:59:00Z for ")
    for _ in range(10):
        lab.clock.advance(60.3)
        assert lab.waits.look(idle=True) == first
        assert lab.waits.note() is None
    lab.waits.look(idle=False)
    assert lab.waits.look(idle=True) == first
    assert lab.waits.note() is None
    for host in HOSTS:
        lab.ask_for_patience(host, HOUR)
    assert lab.until() == lab.clock.now() + timedelta(seconds=HOUR)
    assert lab.waits.note() is not None


@pytest.mark.parametrize(
    ("seconds", "told", "noted"),
    [(LEAST_SECONDS - 1, False, False), (NOTED_SECONDS - 1, True, False), (HOUR, True, True)],
    ids=["over at once", "not worth a line", "long"],
)
def test_a_short_wait_is_not_worth_telling(
    lab: Lab, seconds: float, told: bool, noted: bool
) -> None:
    for host in HOSTS:
        lab.ask_for_patience(host, seconds)
    assert (lab.waits.look(idle=True) is not None) == told
    assert (lab.waits.note() is not None) == noted


def test_urls_that_are_tried_again_later_are_waited_for(lab: Lab) -> None:
    now = lab.clock.now().timestamp()
    retries = [(1, now + 90, "answered 503"), (2, now + 60, "timeout: nothing came")]
    for host in HOSTS:
        lab.dispatch.take(host)
    lab.frontier.commit(Batch(retries=retries))
    wait = lab.waits.look(idle=True)
    assert wait is not None
    assert (wait.host, lab.until()) == ("b.example", lab.clock.now() + timedelta(seconds=60))
    assert wait.reason == "what is left of it is tried again later (timeout: nothing came)"


def test_a_crawl_that_has_nothing_left_does_not_wait(lab: Lab) -> None:
    for host in HOSTS:
        lab.dispatch.take(host)
    lab.frontier.commit(Batch(failed=[(1, "gone"), (2, "gone")]))
    assert lab.waits.look(idle=True) is None
