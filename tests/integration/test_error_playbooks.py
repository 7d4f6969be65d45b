"""An error of the command line names the page that helps, in the same one line."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from healtharchive.cli import config
from healtharchive.cli.main import main
from healtharchive.settings import Settings
from tests.lab.archive import Archive, command
from tests.lab.processes import ROOT, without_settings

NOBODY_LISTENS = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = Archive(tmp_path / "data")
    made.data_dir.mkdir()
    (made.data_dir / "backend.env").touch()
    return made


def said(archive: Archive, *words: str, **settings: str) -> str:
    """The one line on stderr of a command that fails."""
    changed = {f"HEALTHARCHIVE_{name}": value for name, value in settings.items()}
    environment: Mapping[str, str] = {**without_settings(), **archive.environment, **changed}
    done = subprocess.run(
        command(*words),
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode not in (0, 70)
    assert done.stderr.count("\n") == 1
    return done.stderr


def names(line: str, page: str) -> bool:
    assert (ROOT / f"docs/playbooks/{page}.md").exists()
    return line.endswith(f" Read docs/playbooks/{page}.md.\n")


@pytest.mark.parametrize("words", [["status"], ["show-job", "--id", "6"]])
def test_a_database_without_our_schema_leads_to_the_env_reminder(
    archive: Archive, words: list[str]
) -> None:
    line = said(archive, *words)
    assert "has no schema" in line
    assert names(line, "wrong-database")


def test_an_older_schema_leads_to_the_same_page(archive: Archive) -> None:
    archive.run("db", "upgrade", "0008")
    assert names(said(archive, "status"), "wrong-database")


def test_no_database_at_all_leads_to_the_same_page(archive: Archive) -> None:
    line = said(archive, "list-jobs", DATABASE_URL="")
    assert "No database is set" in line
    assert names(line, "wrong-database")


@pytest.mark.parametrize("written", [b"just words\n", b"A=\xff\n", None])
def test_an_env_file_that_cannot_be_used_leads_to_the_same_page(
    archive: Archive, written: bytes | None
) -> None:
    file = archive.data_dir / "other.env"
    if written is not None:
        file.write_bytes(written)
    assert names(said(archive, "config", ENV_FILE=str(file)), "wrong-database")


@pytest.mark.parametrize("words", [["status"], ["list-jobs"]])
def test_a_database_that_is_away_leads_to_its_page(archive: Archive, words: list[str]) -> None:
    assert names(said(archive, *words, DATABASE_URL=NOBODY_LISTENS), "databasedown")


def test_a_target_that_cannot_be_read_leads_to_its_page(archive: Archive) -> None:
    (archive.data_dir / "targets.toml").write_text(
        '[[target]]\nname = "box"\nkind = "object"\nroot = "sftp://nobody@127.0.0.1:1/archive"\n'
    )
    archive.run("db", "upgrade")
    assert names(said(archive, "rebuild", "--from", "box"), "targetdown")


@pytest.mark.parametrize(
    ("number", "page"),
    [(errno.ENOTCONN, "errno-107"), (errno.ENOSPC, "errno-28"), (errno.EIO, "errno-5")],
)
def test_a_sick_disk_or_mount_is_no_bug_and_leads_to_its_page(
    number: int, page: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def meet() -> Settings:
        raise OSError(number, os.strerror(number), "/srv/box/file")

    monkeypatch.setattr(config, "read_settings", meet)
    assert main(["config"]) == 3
    line = capsys.readouterr().err
    assert f"(errno {number}) at /srv/box/file" in line
    assert names(line, page)


def test_an_error_that_needs_no_page_names_none(archive: Archive) -> None:
    archive.run("db", "upgrade")
    assert "playbooks" not in said(archive, "show-job", "--id", "6")
