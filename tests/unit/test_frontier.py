"""The frontier against a model of it: whatever happens, every URL is in exactly one state."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from healtharchive.crawl.batch import Batch, Capture, FoundUrl, Kind
from healtharchive.crawl.frontier import Frontier
from healtharchive.model.errors import LeaseLost

ORIGIN = "https://a.example"
NAMES = st.sampled_from([f"page-{letter}" for letter in "abcdefghij"])


def found(name: str, exclude: str = "") -> FoundUrl:
    return FoundUrl(f"{ORIGIN}/{name}", ORIGIN, Kind.PAGE, 1, exclude=exclude)


def capture(url_id: int, offset: int, kind: str = "response") -> Capture:
    return Capture(kind, offset, 10, 2, offset + 4, 6, url_id, payload_digest=f"sha256:{url_id}")


def with_segment(frontier: Frontier, name: str = "s.warc.gz") -> None:
    with frontier.fenced() as db:
        db.execute(
            "INSERT INTO segments (name, fence, serial, state) VALUES (?, ?, 1, 'open')",
            (name, frontier.fence),
        )


class FrontierMachine(RuleBasedStateMachine):
    """Finds, captures, retries, fails, excludes and restarts in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name) / "frontier.sqlite"
        self.fence = 1
        self.frontier = Frontier(self.path, self.fence)
        with_segment(self.frontier)
        self.offset = 0
        self.model: dict[str, str] = {}

    def teardown(self) -> None:
        self.frontier.close()
        self.directory.cleanup()

    def _queued(self, name: str) -> int | None:
        ready = self.frontier.ready(ORIGIN, 1e12, 100)
        return next((each.id for each in ready if each.url.endswith(f"/{name}")), None)

    @rule(name=NAMES, exclude=st.sampled_from(["", "", "trap: test"]))
    def find(self, name: str, exclude: str) -> None:
        self.frontier.commit(Batch(found=[found(name, exclude), found(name)]))
        self.model.setdefault(name, "excluded" if exclude else "queued")

    @rule(name=NAMES, kind=st.sampled_from(["response", "revisit"]))
    def record(self, name: str, kind: str) -> None:
        url_id = self._queued(name)
        if url_id is not None:
            row = capture(url_id, self.offset, kind)
            self.offset += 10
            self.frontier.commit(Batch(segment="s.warc.gz", captures=[row]))
            self.model[name] = "done"

    @rule(name=NAMES, how=st.sampled_from(["retries", "postponed", "failed", "excluded"]))
    def settle(self, name: str, how: str) -> None:
        url_id = self._queued(name)
        if url_id is None:
            return
        batch = Batch()
        if how == "retries":
            batch.retries.append((url_id, 5.0, "again"))
        elif how == "postponed":
            batch.postponed.append((url_id, 5.0))
        elif how == "failed":
            batch.failed.append((url_id, "dns"))
        else:
            batch.excluded.append((url_id, "robots.txt"))
        self.frontier.commit(batch)
        self.model[name] = how if how in ("failed", "excluded") else "queued"

    @rule(name=NAMES, dies=st.booleans())
    def bring(self, name: str, dies: bool) -> None:
        """Somebody has an answer that nobody was sent for; or dies before it is recorded."""
        known = self.model.get(name)
        (admission,) = self.frontier.admit([found(name)])
        assert admission.ours == (known in (None, "queued"))
        assert not self.frontier.admit([found(name)])[0].ours
        if not admission.ours:
            return
        if dies:
            self.model[name] = "queued"
            self.restart()
            return
        batch = Batch(segment="s.warc.gz", captures=[capture(admission.id, self.offset)])
        self.offset += 10
        self.frontier.commit(batch)
        self.model[name] = "done"

    @rule(name=NAMES)
    def bring_asset(self, name: str) -> None:
        """Somebody has an answer that is no page's: a queued page is not taken for it."""
        if name in self.model:
            assert not self.frontier.admit([found(name)], pages=False)[0].ours

    @rule(name=NAMES)
    def die_in_flight(self, name: str) -> None:
        """What was in flight when an attempt died is queued again for the next one."""
        url_id = self._queued(name)
        if url_id is not None:
            self.frontier.commit(Batch(in_flight=[url_id]))
            self.restart()

    @rule()
    def restart(self) -> None:
        self.frontier.close()
        self.fence += 1
        self.frontier = Frontier(self.path, self.fence)

    @invariant()
    def counts_add_up_and_agree(self) -> None:
        counts = self.frontier.count()
        assert counts.add_up
        assert self.frontier.counts == counts
        states = list(self.model.values())
        assert counts.found == len(states)
        assert counts.queued == states.count("queued")
        assert counts.done == states.count("done")
        assert counts.failed == states.count("failed")
        assert counts.excluded == states.count("excluded")

    @invariant()
    def what_is_queued_is_handed_out_once(self) -> None:
        ready = [each.url.rpartition("/")[2] for each in self.frontier.ready(ORIGIN, 1e12, 100)]
        assert sorted(ready) == sorted(n for n, state in self.model.items() if state == "queued")


TestFrontierMachine = FrontierMachine.TestCase
TestFrontierMachine.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)


def test_an_older_attempt_writes_nothing_once_a_later_one_has_the_frontier(tmp_path: Path) -> None:
    path = tmp_path / "frontier.sqlite"
    old = Frontier(path, 1)
    new = Frontier(path, 2)
    with pytest.raises(LeaseLost):
        old.commit(Batch(found=[found("late")]))
    assert new.count().found == 0
    with pytest.raises(LeaseLost):
        Frontier(path, 1)
    old.close()
    new.close()


def test_a_url_postponed_is_not_ready_before_its_time(tmp_path: Path) -> None:
    frontier = Frontier(tmp_path / "frontier.sqlite", 1)
    frontier.commit(Batch(found=[found("later")]))
    (queued,) = frontier.ready(ORIGIN, 0.0, 10)
    frontier.commit(Batch(retries=[(queued.id, 100.0, "answered 503")]))
    assert frontier.ready(ORIGIN, 99.0, 10) == []
    (again,) = frontier.ready(ORIGIN, 100.0, 10)
    assert again.tries == 1
    assert frontier.next_not_before() == 100.0
    frontier.close()


def test_one_shape_of_url_cannot_fill_the_frontier(tmp_path: Path) -> None:
    frontier = Frontier(tmp_path / "frontier.sqlite", 1)
    pages = [
        FoundUrl(f"{ORIGIN}/calendar?month=2026-01&view={number}", ORIGIN, Kind.PAGE, 1)
        for number in range(5000)
    ]
    frontier.commit(Batch(found=pages))
    counts = frontier.count()
    assert 0 < counts.queued < 5000
    assert counts.queued + counts.excluded == 5000
    assert "trap" in frontier.excluded_reasons()[0][0]
    frontier.close()
