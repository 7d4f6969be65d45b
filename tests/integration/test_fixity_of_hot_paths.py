"""What jobs write straight to a target is read back too, and never taken for a local file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from healtharchive.model.tables import archive_jobs
from healtharchive.model.target import TargetDefinition, TargetKind
from healtharchive.model.targets import declare_targets
from tests.lab.queue import ACTOR
from tests.lab.spool import Spool

DAY = 86_400.0


@pytest.fixture
def hot(tmp_path: Path) -> Iterator[Spool]:
    """A job whose WARC files lie on the target `box`, where nothing else is shipped."""
    made = Spool(tmp_path)
    box = TargetDefinition("box", TargetKind.LOCAL, str(tmp_path / "jobs"))
    with made.database.begin() as connection:
        declare_targets(made.database, connection, [box], actor=ACTOR)
        job = update(archive_jobs).where(archive_jobs.c.id == made.job)
        connection.execute(job.values(target="box"))
    yield made
    made.database.dispose()


def test_it_is_read_once_soon_and_again_in_time(hot: Spool) -> None:
    paths = [hot.seal(1), hot.seal(2)]
    assert hot.fixity.targets() == ["box"]
    assert [each.file_name for each in hot.fixity.plan("box")] == [path.name for path in paths]
    assert hot.fixity.turn("box") == 0
    assert hot.copies("box") == ["verified", "verified"]
    assert hot.fixity.plan("box") == []
    hot.clock.advance(DAY)
    assert len(hot.fixity.plan("box")) == 2


def test_row_17_a_flipped_bit_is_found_and_named(hot: Spool) -> None:
    good, bad = hot.seal(1), hot.seal(2)
    content = bytearray(bad.read_bytes())
    content[1000] ^= 1
    bad.write_bytes(content)
    assert hot.fixity.turn("box") == 1
    assert hot.copies("box") == ["verified", "differs"]
    (told,) = [event for event in hot.told(bad) if event.what == "copy_differs"]
    assert bad.name in told.why
    assert next(event.what for event in hot.told(good)) == "copy_verified"


def test_it_is_never_released_for_the_only_copy_is_there(hot: Spool) -> None:
    path = hot.seal(1)
    hot.fixity.turn("box")
    hot.clock.advance(1.0)
    assert hot.shipping.release() == 0
    assert path.exists()
    assert "released" not in hot.states()
