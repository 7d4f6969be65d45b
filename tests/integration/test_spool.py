"""The local disk: measured over time, nothing begun when it fills, room made with proof only."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from healtharchive.model.database import Database
from healtharchive.model.measures import forget_measures, measures_since, note_measures
from healtharchive.model.states import TargetState
from healtharchive.model.target import Verdict
from healtharchive.steward.rounds import Told, take_round
from healtharchive.steward.spool import Spool as SpoolReconciler
from healtharchive.steward.storage import Storage
from healtharchive.storage import errand
from healtharchive.storage.register import note_look
from tests.lab import objects
from tests.lab.mounts import tmpfs
from tests.lab.objects import Target
from tests.lab.queue import ACTOR, claim_now
from tests.lab.spool import Spool

DAY = 86_400.0


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """Local files are kept in good times: no number of copies releases them."""
    made = Spool(tmp_path, settings={"copies_before_release": 0})
    yield made
    made.database.dispose()


@pytest.fixture
def cold(spool: Spool, tmp_path: Path) -> Target:
    target = objects.local(tmp_path / "cold")
    spool.declare(target)
    return target


def filled(spool: Spool, used_percent: float) -> list[Told]:
    """A round of the reconciler after the disk was seen so full."""
    full = used_percent >= 85.0
    with spool.database.begin() as connection:
        note_look(
            spool.database,
            connection,
            "spool",
            Verdict.FULL if full else Verdict.HEALTHY,
            error="full" if full else "",
            evidence={
                "used_percent": used_percent,
                "free_bytes": 1_000_000,
                "disk_bytes": 2_000_000,
            },
            policy=spool.means.breaker,
            actor=ACTOR,
        )
    return take_round(SpoolReconciler(spool.means), spool.means)


def whats(told: list[Told]) -> list[str]:
    return [f"{each.step.what} {each.outcome}" for each in told if each.step.what != "measure"]


def shipped(spool: Spool, number: int = 1) -> Path:
    path = spool.seal(number)
    spool.shipping.turn("cold")
    assert spool.states()[-1] == "verified"
    assert path.exists()
    return path


def test_under_pressure_local_files_with_a_fresh_proof_are_released(
    spool: Spool, cold: Target
) -> None:
    path = shipped(spool)
    assert whats(filled(spool, 84.0)) == []
    assert path.exists()
    (told,) = [each for each in filled(spool, 86.0) if each.step.what == "release"]
    assert told.step.evidence["bytes"] == cold.files.get(name_of(path)).__len__()
    assert not path.exists()
    assert spool.states() == ["released"]


def test_an_old_proof_is_renewed_before_anything_goes(spool: Spool, cold: Target) -> None:
    path = shipped(spool)
    spool.clock.advance(2 * DAY)
    assert whats(filled(spool, 86.0)) == ["prove applied"]
    assert path.exists()
    assert whats(filled(spool, 86.0)) == ["release applied"]
    assert not path.exists()


def test_a_file_whose_copy_went_bad_is_a_sole_copy_and_stays(spool: Spool, cold: Target) -> None:
    path = shipped(spool)
    spool.clock.advance(2 * DAY)
    content = bytearray(cold.files.get(name_of(path)) or b"")
    content[1000] ^= 1
    cold.files.put(name_of(path), bytes(content))
    for _ in range(3):
        assert "release applied" not in whats(filled(spool, 95.0))
    assert path.exists()
    assert spool.copies() == ["differs"]


def test_a_file_that_no_target_has_stays_however_full_the_disk_is(
    spool: Spool, cold: Target
) -> None:
    path = spool.seal(1)
    assert whats(filled(spool, 99.0)) == []
    assert path.exists()


def name_of(path: Path) -> str:
    return str(path.relative_to(path.parents[3]))


def test_a_dry_run_says_it_and_does_nothing(spool: Spool, cold: Target) -> None:
    path = shipped(spool)
    filled(spool, 84.0)
    with spool.database.begin() as connection:
        note_look(
            spool.database,
            connection,
            "spool",
            Verdict.FULL,
            error="full",
            evidence={"used_percent": 90.0, "free_bytes": 1},
            policy=spool.means.breaker,
            actor=ACTOR,
        )
    told = take_round(SpoolReconciler(spool.means), spool.means, dry_run=True)
    assert whats(told) == ["release planned"]
    assert path.exists()


def test_the_disk_is_written_down_every_five_minutes_and_forgotten_after_90_days(
    spool: Spool, cold: Target
) -> None:
    for _ in range(4):
        filled(spool, 50.0)
        spool.clock.advance(150)
    start = spool.clock.now() - timedelta(days=1)

    def kept(name: str) -> list[float]:
        with spool.database.read() as connection:
            return [each.value for each in measures_since(connection, name, "spool", start)]

    assert kept("spool_used_percent") == [50.0, 50.0]
    assert kept("spool_free_bytes") == [1_000_000.0, 1_000_000.0]
    assert kept("spool_total_bytes") == [2_000_000.0, 2_000_000.0]
    spool.clock.advance(91 * DAY)
    filled(spool, 60.0)
    assert kept("spool_used_percent") == [60.0]


def test_the_disk_is_measured_though_nobody_can_say_what_could_go(
    spool: Spool, cold: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(errand, "run_reading_script", no_room)
    (told,) = filled(spool, 50.0)
    assert (told.step.what, told.outcome) == ("measure", "applied")


def test_an_old_look_says_nothing_of_now(spool: Spool, cold: Target) -> None:
    shipped(spool)
    filled(spool, 50.0)
    spool.clock.advance(3600)
    assert take_round(SpoolReconciler(spool.means), spool.means) == []


def test_nothing_is_begun_on_a_real_disk_above_the_soft_limit_and_again_below_it(
    tmp_path: Path,
) -> None:
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    with tmpfs(jobs, "20m"):
        lab = Spool(tmp_path)
        storage = Storage(replace(lab.means, settings=lab.means.settings))
        storage.declare()
        ballast = jobs / "ballast"
        ballast.write_bytes(bytes(18_000_000))
        storage.turn("spool")
        assert lab.state_of("spool") is TargetState.OPEN
        assert claim_now(lab.database) is None
        (measure,) = [
            each.step
            for each in take_round(SpoolReconciler(lab.means), lab.means)
            if each.step.what == "measure"
        ]
        assert measure.evidence["spool_used_percent"] >= 85.0
        ballast.unlink()
        for _ in range(8):
            lab.clock.advance(10)
            storage.turn("spool")
        assert lab.state_of("spool") is TargetState.CLOSED
        assert claim_now(lab.database) is not None
        lab.database.dispose()


def test_measures_are_kept_apart_by_name_and_moment(database: Database) -> None:
    with database.begin() as connection:
        now = database.now(connection)
        values: dict[str, Any] = {"a": 1.5, "b": 2.0}
        for _ in range(2):  # said twice, kept once
            note_measures(database, connection, "spool", values, at=now)
        note_measures(database, connection, "other", {"a": 7.0}, at=now)
        since = now - timedelta(seconds=1)
        found = [each.value for each in measures_since(connection, "a", "spool", since)]
        assert found == [1.5]
        assert forget_measures(connection, "spool", now + timedelta(seconds=1)) == 2
        assert measures_since(connection, "a", "other", since) != []
