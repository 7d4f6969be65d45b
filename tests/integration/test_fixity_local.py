"""Every local file of a sealed segment is read again in time, whether there are targets or none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, update

from healtharchive.model.copies import CopyState
from healtharchive.model.database import Database
from healtharchive.model.journal import record
from healtharchive.model.local_readings import (
    BEGAN,
    WATCH,
    bad_local,
    due_local,
    local_files,
    note_reading,
    note_watch,
    oldest_local_reading,
    to_replace,
)
from healtharchive.model.segments import segment_files_of
from healtharchive.model.standing_storage import storage_standing
from healtharchive.model.states import TargetEvent
from healtharchive.model.tables import segments, targets
from healtharchive.model.target import SPOOL, Verdict
from healtharchive.steward.findings import findings
from healtharchive.steward.incident import draft
from healtharchive.steward.incident_records import gather
from healtharchive.steward.observing import look
from tests.lab import objects
from tests.lab.objects import Target
from tests.lab.queue import ACTOR, add_job
from tests.lab.spool import Spool, content_of

DAY = 86_400.0
HOUR = 3600.0


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """An archive without targets: what is captured lies on the local disk and nowhere else."""
    made = Spool(tmp_path, settings={"copies_before_release": 0})
    made.declare()
    yield made
    made.database.dispose()


@pytest.fixture
def cold(spool: Spool, tmp_path: Path) -> Target:
    target = objects.local(tmp_path / "cold")
    spool.declare(target)
    return target


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)


def told_of(spool: Spool) -> list[tuple[str, str]]:
    """What any alert rule finds about copies: its name, and what it is about."""
    means = spool.means
    condition = look(spool.database, means.settings, spool.clock)
    names = ("SegmentLost", "CopyBad", "FixityLate")
    found = findings(condition, means.settings)
    return [(each.rule.name, each.found.subject_id) for each in found if each.rule.name in names]


def test_each_is_read_again_within_its_time_the_longest_unread_first(spool: Spool) -> None:
    older, newer = spool.seal(1, age=2 * HOUR), spool.seal(2)
    assert spool.fixity.targets() == [SPOOL]
    assert spool.fixity.plan(SPOOL) == []  # sealed a moment ago
    spool.clock.advance(90 * DAY)
    assert [each.file_name for each in spool.fixity.plan(SPOOL)] == [older.name, newer.name]
    assert spool.fixity.turn(SPOOL) == 0
    assert spool.fixity.plan(SPOOL) == []
    assert "local_good" not in spool.whats(older)  # no news
    spool.clock.advance(90 * DAY)
    assert len(spool.fixity.plan(SPOOL)) == 2


def test_a_flipped_byte_in_an_archive_without_targets_is_found_told_and_named(
    spool: Spool,
) -> None:
    good, bad = spool.seal(1), spool.seal(2)
    flip(bad)
    spool.clock.advance(90 * DAY)
    assert told_of(spool) == []
    assert spool.fixity.turn(SPOOL) == 1
    (told,) = [each for each in spool.told(bad) if each.what == "local_differs"]
    assert str(bad) in told.why
    assert "SHA-256" in told.why
    assert spool.told(good) == []
    assert told_of(spool) == [("SegmentLost", bad.name), ("CopyBad", SPOOL)]
    with spool.database.read() as connection:
        standing = storage_standing(connection)
    assert standing.lost_segments == 1
    assert standing.copies[SPOOL, "differs"].size_bytes == len(content_of(2))
    assert bad.exists()  # the sole copy, bad as it is, is what can be salvaged
    since, until = spool.clock.now() - timedelta(hours=1), spool.clock.now() + timedelta(hours=1)
    settings = spool.means.settings
    records = gather(spool.database, settings, since, until, host="lab", version="1")
    assert records is not None
    assert f"Data loss: no good copy is left of 1 ({bad.name})." in draft(records).replace("`", "")


def test_a_bad_sector_is_found_too(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    from healtharchive.model.shipments import ShipReport
    from healtharchive.steward import fixity_local

    path = spool.seal(1)
    name = str(path.relative_to(path.parents[3]))
    failed = ShipReport("failed", name=name, side="target", errno=5, reason="errno 5: I/O error")
    monkeypatch.setattr(fixity_local, "carry", lambda *_, **__: iter([failed]))
    spool.clock.advance(90 * DAY)
    assert spool.fixity.turn(SPOOL) == 1
    found, lost = spool.told(path)
    assert "I/O error" in found.why
    assert lost.what == "lost"


def test_one_that_was_away_and_is_back_is_told_an_hour_later(spool: Spool) -> None:
    path = spool.seal(1)
    moved = path.rename(path.with_name("elsewhere"))
    spool.clock.advance(90 * DAY)
    assert spool.fixity.turn(SPOOL) == 1
    assert spool.fixity.turn(SPOOL) == 0  # not again at once
    moved.rename(path)
    spool.clock.advance(HOUR)
    assert spool.fixity.turn(SPOOL) == 0
    assert spool.whats(path) == ["local_gone", "lost", "local_good"]
    assert told_of(spool) == []


def test_what_is_unread_for_too_long_is_an_alert_without_any_target(spool: Spool) -> None:
    spool.fixity.turn(SPOOL)
    spool.seal(1)
    spool.clock.advance(100 * DAY)
    assert told_of(spool) == [("FixityLate", SPOOL)]
    with spool.database.read() as connection:
        assert SPOOL in storage_standing(connection).unread_since
    spool.fixity.turn(SPOOL)
    assert told_of(spool) == []


def test_files_from_before_they_were_watched_are_not_late_at_once(spool: Spool) -> None:
    """After an upgrade: they are read in the order of their seals, which takes its time."""
    paths = [spool.seal(number, age=400 * DAY) for number in range(1, 7)]
    assert told_of(spool) == []  # nobody has looked yet
    assert spool.fixity.turn(SPOOL) == 0
    with spool.database.begin() as connection:
        connection.execute(update(segments).values(local_read_at=None))  # a slow line
    assert told_of(spool) == []
    spool.clock.advance(100 * DAY)
    assert told_of(spool) == [("FixityLate", SPOOL)]
    first = spool.fixity.plan(SPOOL)
    assert [each.path for each in first] == [str(each) for each in paths[: len(first)]]


def test_a_reading_that_was_noted_by_a_wrong_clock_is_made_again(spool: Spool) -> None:
    path = spool.seal(1)
    spool.clock.advance(3650 * DAY)
    assert spool.fixity.turn(SPOOL) == 0
    spool.clock.advance(-3650 * DAY)
    flip(path)
    assert spool.fixity.turn(SPOOL) == 1


@pytest.mark.parametrize("how", ["flipped", "gone"])
def test_a_bad_local_file_is_replaced_by_a_targets_good_copy(
    spool: Spool, cold: Target, how: str
) -> None:
    path = spool.seal(1)
    spool.shipping.turn("cold")
    if how == "flipped":
        flip(path)
    else:
        path.unlink()
    spool.clock.advance(90 * DAY)
    assert spool.fixity.turn(SPOOL) == 1
    assert told_of(spool) == [
        ("CopyBad", SPOOL),
    ]
    spool.fixity.turn("cold")
    assert path.read_bytes() == content_of(1)
    assert spool.whats(path)[-1] == "local_good"
    assert told_of(spool) == []


def test_nothing_is_brought_to_a_directory_that_is_not_there(spool: Spool, cold: Target) -> None:
    """The disk may be away: what is fetched would fill the one below its mount point."""
    path = spool.seal(1)
    spool.shipping.turn("cold")
    shutil.rmtree(path.parent)
    spool.clock.advance(90 * DAY)
    assert spool.fixity.turn(SPOOL) == 1
    spool.fixity.turn("cold")
    assert not path.parent.exists()
    assert told_of(spool) == [("CopyBad", SPOOL)]


def test_a_file_that_is_being_released_is_not_missed(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.declare(objects.local(tmp_path / "cold"))
    path = spool.seal(1, indexed=False)
    spool.shipping.turn("cold")
    spool.clock.advance(90 * DAY)
    spool.fixity.turn("cold")
    spool.index()
    path.unlink()  # whoever releases it has come so far
    assert spool.fixity.turn(SPOOL) == 0
    assert "local_gone" not in spool.whats(path)
    assert spool.shipping.release() == 1
    spool.database.dispose()


def test_a_full_disk_is_read_and_a_sick_one_is_left_alone(spool: Spool) -> None:
    spool.seal(1)
    spool.clock.advance(90 * DAY)
    spool.breaker(SPOOL, TargetEvent.TRIP)
    assert spool.fixity.plan(SPOOL) == []
    with spool.database.begin() as connection:
        connection.execute(update(targets).values(verdict=Verdict.FULL))
    assert len(spool.fixity.plan(SPOOL)) == 1


def test_files_of_an_earlier_jobs_root_are_read_where_they_are(
    spool: Spool, tmp_path: Path
) -> None:
    path = spool.seal(1)
    old = tmp_path / "old" / path.name
    old.parent.mkdir()
    path.rename(old)
    with spool.database.begin() as connection:
        connection.execute(update(segments).values(path=str(old)))
    spool.clock.advance(90 * DAY)
    assert spool.fixity.turn(SPOOL) == 0
    flip(old)
    spool.clock.advance(90 * DAY)
    assert spool.fixity.turn(SPOOL) == 1


def test_the_questions_are_answered_alike_on_both_databases(
    database: Database, tmp_path: Path
) -> None:
    job = add_job(database, tmp_path, "hc")
    with database.begin() as connection:
        now = database.now(connection)
        for number in (1, 2):
            row = {
                "job_id": job,
                "name": f"hc-{number}.warc.gz",
                "state": "sealed",
                "path": f"/x/hc-{number}.warc.gz",
                "fence": 1,
                "size_bytes": 10,
                "sha256": "0" * 64,
                "records": 1,
                "sealed_at": now - timedelta(days=100 * number),
            }
            connection.execute(insert(segments).values(row))
        newer, older = segment_files_of(connection)[::-1]
        ago = {days: now - timedelta(days=days) for days in (50, 150)}
        due = due_local(connection, now=now, read_before=ago[50], bad_before=ago[50], limit=9)
        assert [each.id for each in due] == [older.id, newer.id]
        assert local_files(connection, ago[150]) == (2, 1)
        assert oldest_local_reading(connection) is None
        begun = now - timedelta(days=150)
        record(connection, at=begun, actor=ACTOR, subject=WATCH, subject_id=SPOOL, what=BEGAN)
        note_watch(database, connection, actor=ACTOR)  # once
        assert oldest_local_reading(connection) == begun
        for finding, why in ((CopyState.DIFFERS, "it differs"), (CopyState.VERIFIED, "it is well")):
            note_reading(database, connection, older, finding, actor=ACTOR, why=why)
            bad = {} if finding is CopyState.VERIFIED else {"differs": (1, 10)}
            assert bad_local(connection) == bad
        assert to_replace(connection, 9) == []
        assert oldest_local_reading(connection) == newer.sealed_at
