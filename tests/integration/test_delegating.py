"""A child of the steward costs at most its patience, whatever it does."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from healtharchive.model.clock import SystemClock
from healtharchive.model.database import Database
from healtharchive.model.errors import SetupError
from healtharchive.steward.delegating import Interrupted, Patience, delegate
from healtharchive.steward.means import StewardMeans
from healtharchive.work.stopping import Stop
from tests.lab.processes import child_running
from tests.lab.queue import ACTOR
from tests.lab.workers import settings_for

CHILD = "tests.lab.silent_child"
ROOT = Path(__file__).parents[2]
LONG = 100.0


@dataclass(frozen=True)
class Order:
    """What the child is to say, and how to end."""

    first: str = ""
    status: int = 0


@pytest.fixture
def means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StewardMeans:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # the child is one of the lab's
    clock = SystemClock()
    return StewardMeans(
        settings=settings_for(tmp_path),
        database=Database(f"sqlite:///{tmp_path / 'a.sqlite'}"),
        clock=clock,
        stop=Stop(clock),
        actor=ACTOR,
    )


def left() -> int | None:
    return child_running(os.getpid(), CHILD)


def test_one_that_says_nothing_is_ended(means: StewardMeans) -> None:
    with pytest.raises(SetupError, match=r"said nothing for \d+ s \(start\)"):
        delegate(CHILD, Order(), means, Patience(LONG, 1.0))
    assert left() is None


def test_one_that_takes_too_long_is_ended_and_its_last_word_is_told(means: StewardMeans) -> None:
    with pytest.raises(SetupError, match=r"took longer than \d+ s"):
        delegate(CHILD, Order("count"), means, Patience(1.0, LONG))
    assert left() is None


def test_one_that_dies_is_told_by_its_status(means: StewardMeans) -> None:
    with pytest.raises(SetupError, match=r"status 7 \(count\)"):
        delegate(CHILD, Order("count", 7), means, Patience(LONG, LONG))


def test_a_stop_ends_it_at_once(means: StewardMeans) -> None:
    means.stop.ask("the test")
    with pytest.raises(Interrupted):
        delegate(CHILD, Order(), means, Patience(LONG, LONG))
    assert left() is None


def test_what_lies_where_the_steward_was_started_is_no_program_of_ours(
    means: StewardMeans, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lying.py").write_text("open('it_ran', 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SetupError, match="ended with status 1"):
        delegate("lying", Order(), means, Patience(LONG, LONG))
    assert not (tmp_path / "it_ran").exists()
