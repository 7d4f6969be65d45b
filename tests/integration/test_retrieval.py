"""Bringing everything back from a target: only what was read there counts as a copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from healtharchive.model.errors import SetupError
from healtharchive.model.segments import segment_files_of
from healtharchive.steward.retrieval import note_copies, retrieve
from tests.lab import objects
from tests.lab.spool import Spool, content_of

NAME = "cold"


def shipped(directory: Path) -> tuple[Spool, list[Path], list[str]]:
    """Three segments that lie on the target; their local paths, and their names there."""
    spool = Spool(directory, settings={"copies_before_release": 0})
    spool.declare(objects.local(directory / NAME))
    paths = [spool.seal(number) for number in (1, 2, 3)]
    spool.shipping.turn(NAME)
    with spool.database.read() as connection:
        names = [each.name for each in segment_files_of(connection)]
    assert spool.copies() == ["verified"] * 3
    return spool, paths, names


def test_a_file_that_is_missing_there_or_was_never_read_is_no_verified_copy(tmp_path: Path) -> None:
    spool, paths, names = shipped(tmp_path)
    missing, fetched = sorted(paths)[0], sorted(paths)[1]
    (tmp_path / NAME / sorted(names)[0]).unlink()
    missing.unlink()
    fetched.unlink()
    found = retrieve(spool.means, NAME, lambda _: None)
    assert found.fetched == (sorted(names)[1],)
    assert [each.partition(":")[0] for each in found.missing] == [sorted(names)[0]]
    assert fetched.read_bytes() == content_of(2)
    with spool.database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM copies")  # as in a database that was made anew
    assert note_copies(spool.means, NAME, found.fetched) == 1
    assert spool.copies() == ["verified"]


def test_a_target_with_nothing_on_it_is_an_error_not_an_empty_archive(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.declare(objects.local(tmp_path / NAME))
    with pytest.raises(SetupError, match="holds no job"):
        retrieve(spool.means, NAME, lambda _: None)
