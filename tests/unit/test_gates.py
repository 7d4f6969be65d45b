"""When a repair may be made: waits that double, caps, the deploy lock, writers. Pure."""

from __future__ import annotations

import itertools
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from healtharchive.model.clock import SystemClock
from healtharchive.model.database import Database
from healtharchive.model.target import Verdict
from healtharchive.steward.gates import GatePolicy, Record, next_apply, refusal, streak_after
from healtharchive.steward.means import StewardMeans
from healtharchive.work.parking import BackOff
from healtharchive.work.stopping import Stop
from tests.lab.workers import settings_for

NOW = datetime(2026, 1, 24, 3, tzinfo=UTC)
POLICY = GatePolicy(
    BackOff(10.0, 600.0, 0.2, 600.0), per_hour=12, per_day=60, deploy_lock_seconds=3600.0
)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def refused(
    record: Record | None = None,
    *,
    verdict: Verdict = Verdict.STALE,
    open_for: float = 1.0,
    writers: tuple[int, ...] = (),
    lock: float | None = None,
) -> str:
    return refusal(
        verdict=verdict,
        open_since=NOW - seconds(open_for),
        writers=writers,
        record=record or Record(),
        deploy_lock_age_seconds=lock,
        now=NOW,
        policy=POLICY,
    )


def test_nothing_hinders_the_first_repair() -> None:
    assert refused() == ""


@pytest.mark.parametrize(
    ("streak", "wait"), [(1, 10), (2, 20), (3, 40), (6, 320), (7, 600), (50, 600)]
)
def test_the_wait_doubles_with_each_repair_in_vain(streak: int, wait: float) -> None:
    early = Record(NOW - seconds(wait - 0.1), streak)
    assert refused(early).startswith("the last repair did not help: not before 03:00:00Z")
    assert refused(Record(NOW - seconds(wait), streak)) == ""
    ahead = Record(NOW + seconds(7 * 86_400), streak)
    assert refused(ahead) == "", "a repair that a wrong clock dated is no repair to wait after"


def test_a_server_that_is_back_is_not_waited_for() -> None:
    assert refused(Record(NOW - seconds(1), 6, server_is_back=True)) == ""
    assert "in the last hour" in refused(Record(NOW - seconds(1), 6, 12, 12, server_is_back=True))


def test_the_caps_of_an_hour_and_a_day() -> None:
    assert refused(Record(in_last_hour=11, in_last_day=59)) == ""
    assert refused(Record(in_last_hour=12)) == "it was repaired 12 times in the last hour"
    assert refused(Record(in_last_day=60)) == "it was repaired 60 times in the last day"


def test_row_33_a_stale_deploy_lock_is_ignored() -> None:
    assert refused(lock=0.0) == refused(lock=3599.0) == "a deploy lock is set"
    assert refused(lock=3600.0) == refused(lock=None) == ""


def test_row_33_the_age_of_a_deploy_lock_is_its_files(tmp_path: Path) -> None:
    clock = SystemClock()
    database = Database(f"sqlite:///{tmp_path / 'none.sqlite'}", "the test")
    means = StewardMeans(
        settings=settings_for(tmp_path), database=database, clock=clock, stop=Stop(clock)
    )
    assert means.deploy_lock_age_seconds() is None
    lock = means.settings.deploy_lock
    lock.touch()
    age = means.deploy_lock_age_seconds()
    assert age is not None
    assert refused(lock=age) == "a deploy lock is set"
    for ahead in (-3700, 3700):  # long ago; and by a clock that was wrong
        os.utime(lock, (clock.now().timestamp() + ahead,) * 2)
        age = means.deploy_lock_age_seconds()
        assert age is not None
        assert refused(lock=age) == ""


@pytest.mark.parametrize("verdict", [each for each in Verdict if each is not Verdict.HEALTHY])
def test_an_active_writer_is_waited_for_unless_it_hangs_too(verdict: Verdict) -> None:
    still_used = "it is still used by job 7, 9"
    assert refused(verdict=verdict, writers=(7, 9), open_for=11.9) == still_used
    dead = {Verdict.STALE, Verdict.HUNG, Verdict.IO_ERROR, Verdict.WRONG_MOUNT}
    late = refused(verdict=verdict, writers=(7, 9), open_for=12.0)
    assert late == ("" if verdict in dead else still_used)
    assert refused(verdict=verdict, open_for=0.0) == ""


def test_repairs_in_a_row_are_forgotten_only_after_good_minutes() -> None:
    """The waits between vain repairs are as long as what is forgotten: they are no good time."""
    assert streak_after(Record(), POLICY) == 1
    done = NOW - seconds(5000)
    assert streak_after(Record(done, 7, last_healthy_at=None), POLICY) == 8
    assert streak_after(Record(done, 7, last_healthy_at=done - seconds(9)), POLICY) == 8
    assert streak_after(Record(done, 7, last_healthy_at=done + seconds(599)), POLICY) == 8
    assert streak_after(Record(done, 7, last_healthy_at=done + seconds(600)), POLICY) == 1


def test_row_08_a_target_that_keeps_failing_is_tried_ever_more_slowly() -> None:
    record, moment, tries = Record(), NOW, list[float]()
    while moment < NOW + timedelta(days=1):
        tries.append((moment - NOW).total_seconds())
        record = Record(moment, streak_after(record, POLICY))
        after = next_apply(record, POLICY, moment)
        assert after is not None
        moment = after
    assert tries[:8] == [0, 10, 30, 70, 150, 310, 630, 1230]
    gaps = [later - before for before, later in itertools.pairwise(tries)]
    assert gaps == sorted(gaps)
    assert gaps[-1] == 600
