"""The textfile for node_exporter: whole, readable by others, and never half written."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from healtharchive.model.clock import SystemClock
from healtharchive.model.database import Database
from healtharchive.model.errors import SetupError
from healtharchive.model.tables import events
from healtharchive.settings import Settings, load
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.reconcilers import reconcilers
from healtharchive.steward.rounds import take_round
from healtharchive.steward.textfile import FILE_NAME, Textfile, write_textfile
from healtharchive.work.stopping import Stop
from tests.lab.archive import Archive


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    collected = tmp_path / "collected"
    collected.mkdir()
    return load(
        {
            "HEALTHARCHIVE_DATA_DIR": str(tmp_path / "data"),
            "HEALTHARCHIVE_DATABASE_URL": database_url,
            "HEALTHARCHIVE_TEXTFILE_DIR": str(collected),
        }
    )


@pytest.fixture
def means(settings: Settings, database: Database) -> StewardMeans:
    clock = SystemClock()
    return StewardMeans(settings=settings, database=database, clock=clock, stop=Stop(clock))


def events_of(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.execute(select(events.c.what).order_by(events.c.id)).scalars())


def test_the_file_is_whole_readable_by_others_and_right_in_promtool_s_eyes(
    means: StewardMeans,
) -> None:
    path = Path(means.settings.textfile_dir) / FILE_NAME
    (told,) = take_round(Textfile(means), means)
    assert told.outcome == "applied"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(path.parent) == [FILE_NAME]
    text = path.read_text()
    for name in ("database_up 1.0", "textfile_timestamp_seconds", "limit_ratio"):
        assert f"\nhealtharchive_{name}" in text
    judged = subprocess.run(
        ["promtool", "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (judged.returncode, judged.stdout + judged.stderr) == (0, "")
    assert events_of(means.database) == []  # it is written four times a minute


def test_a_dry_run_writes_nothing_and_without_a_directory_nothing_is_due(
    means: StewardMeans,
) -> None:
    (told,) = take_round(Textfile(means), means, dry_run=True)
    assert told.outcome == "planned"
    assert os.listdir(means.settings.textfile_dir) == []
    without = replace(means, settings=replace(means.settings, textfile_dir=""))
    assert take_round(Textfile(without), without) == []


def test_a_missing_directory_fails_the_round_with_one_sentence_and_waits_longer_each_time(
    means: StewardMeans,
) -> None:
    os.rmdir(means.settings.textfile_dir)
    reconciler = Textfile(means)
    waits = []
    for _ in range(10):
        (told,) = take_round(reconciler, means)
        assert told.outcome == "failed"
        assert told.why.startswith("The metrics cannot be written to ")
        assert "No such file or directory. Let the steward's user write there" in told.why
        waits.append(reconciler.every_seconds())
    assert waits == sorted(waits)
    assert waits[-1] == 600
    os.mkdir(means.settings.textfile_dir)
    (told,) = take_round(reconciler, means)
    assert told.outcome == "applied"
    assert reconciler.every_seconds() == 15


def test_a_directory_that_may_not_be_written_is_named() -> None:
    with pytest.raises(SetupError, match=r"cannot be written to /proc: "):
        write_textfile(Path("/proc"), b"")


def test_a_write_that_fails_half_way_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    write_textfile(tmp_path, b"old\n")
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from healtharchive.model.errors import SetupError\n"
        "from healtharchive.steward.textfile import write_textfile\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        "try:\n"
        "    write_textfile(Path(sys.argv[1]), b'x' * 100)\n"
        "except SetupError as error:\n"
        "    print(error)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert "File too large" in said
    assert os.listdir(tmp_path) == [FILE_NAME]
    assert (tmp_path / FILE_NAME).read_bytes() == b"old\n"


def test_the_command_writes_it_at_once(tmp_path: Path) -> None:
    collected = tmp_path / "collected"
    collected.mkdir()
    archive = Archive(tmp_path / "data", {"TEXTFILE_DIR": str(collected)})
    archive.set_up()
    assert "write metrics" in archive.run("steward", "run", "metrics")
    text = (collected / FILE_NAME).read_text()
    assert 'healtharchive_service_processes{service="steward"} 0.0' in text


def test_it_is_one_of_the_steward_s_reconcilers(means: StewardMeans) -> None:
    assert "metrics" in [each.name for each in reconcilers(means)]
