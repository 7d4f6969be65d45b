"""Which backups are kept, and what a program of PostgreSQL is told."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import make_url

from healtharchive.model.backup_facts import DatabaseFacts
from healtharchive.model.errors import SetupError
from healtharchive.steward import postgres_tools
from healtharchive.steward.backup_files import Backup, Kept, describe, kept_in, outdated
from healtharchive.steward.postgres_tools import environment, parameters, program

MOMENT = datetime(2026, 1, 24, 2, 59, tzinfo=UTC)


def kept(name: str, *, whole: bool = True) -> Kept:
    backup = Backup(
        name=name,
        made_at=MOMENT,
        program="0.1.0",
        size_bytes=3,
        sha256="0" * 64,
        database_bytes=9,
        facts=DatabaseFacts("0009", {}),
    )
    return Kept(backup, whole)


def test_the_newest_are_kept_and_the_one_that_was_restored_well() -> None:
    found = [kept(name) for name in ("e", "d", "c", "b", "a")]
    assert outdated(found, 2, "") == ["c", "b", "a"]
    assert outdated(found, 2, "b") == ["c", "a"]
    assert outdated(found, 9, "") == []


def test_the_one_just_made_stays_though_the_clock_was_wrong_before() -> None:
    found = [kept(name) for name in ("of-2036", "of-2035", "of-2026")]
    assert outdated(found, 1, "", "of-2026") == ["of-2035"]


def test_a_damaged_one_never_counts_as_a_backup() -> None:
    found = [kept("c", whole=False), kept("b", whole=False), kept("a")]
    assert outdated(found, 1, "") == ["b"]
    assert outdated([kept("c", whole=False), kept("b", whole=False)], 1, "") == []


@given(
    st.lists(st.booleans(), max_size=30),
    st.integers(-3, 20),
    st.integers(0, 40),
)
def test_the_last_good_backup_is_never_removed(
    wholes: list[bool], number: int, proven: int
) -> None:
    found = [kept(str(each), whole=whole) for each, whole in enumerate(wholes)]
    gone = set(outdated(found, number, str(proven)))
    left = [each for each in found if each.name not in gone]
    assert any(each.whole for each in left) == any(wholes)
    assert str(proven) not in gone or not wholes[proven]


def test_what_lies_beside_a_backup_says_whether_it_is_whole(tmp_path: Path) -> None:
    name = "healtharchive-20260124T025900Z.dump"
    describe(tmp_path, kept(name).backup)
    assert kept_in(tmp_path) == []  # its file is not there
    (tmp_path / name).write_bytes(b"abc")
    assert [each.whole for each in kept_in(tmp_path)] == [True]
    (tmp_path / name).write_bytes(b"ab")
    assert [each.whole for each in kept_in(tmp_path)] == [False]
    (tmp_path / "healtharchive-20260124T025901Z.dump.json").write_text("no facts")
    assert len(kept_in(tmp_path)) == 1


def test_a_url_becomes_parameters_and_its_password_is_in_no_variable() -> None:
    url = make_url("postgresql+psycopg://u:s3cret@db.example:5433/main?sslmode=require")
    assert parameters(url, "scratch") == {
        "host": "db.example",
        "port": "5433",
        "user": "u",
        "password": "s3cret",
        "dbname": "scratch",
        "connect_timeout": "10",
        "sslmode": "require",
    }
    with environment(url) as variables:
        assert "s3cret" not in "".join(variables.values())
        path = Path(variables["PGSERVICEFILE"])
        assert path.stat().st_mode & 0o777 == 0o600
        assert "password=s3cret" in path.read_text()
    assert not path.exists()


def test_a_program_that_is_older_than_the_server_is_refused_with_the_cure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for major in (13, 15, 16):
        binary = tmp_path / f"{major}/bin/pg_dump"
        binary.parent.mkdir(parents=True)
        binary.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {major}.2 (Debian)'\n")
        binary.chmod(0o755)
    monkeypatch.setattr(postgres_tools, "PLACES", str(tmp_path / "*/bin"))
    monkeypatch.setenv("PATH", "")
    assert program("pg_dump", 14) == str(tmp_path / "15/bin/pg_dump")
    with pytest.raises(SetupError, match=r"pg_dump 16 is older .* PostgreSQL 17.*client-17"):
        program("pg_dump", 17)
    with pytest.raises(SetupError, match="pg_restore is not there"):
        program("pg_restore", 14)
