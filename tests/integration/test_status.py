"""`status` at the command line: its exit code, its JSON, and its redrawing."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from healtharchive.model.database import Database
from healtharchive.model.journal import this_process
from healtharchive.model.services import Service, note_start
from healtharchive.model.states import JobStatus
from healtharchive.model.tables import archive_jobs
from healtharchive.work.holder import this_holder
from tests.lab.archive import Archive, command
from tests.lab.commands import Run, in_process
from tests.lab.processes import kill_tree, spawn, wait_for
from tests.lab.queue import add_job


@pytest.fixture
def run(
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """A command in this process: its exit code, what it printed, what it complained of."""
    archive = Archive(tmp_path, {"DATABASE_URL": database_url})
    (tmp_path / "backend.env").touch()
    return in_process(archive, monkeypatch, capsys)


def everything_runs(database: Database) -> None:
    """A worker and a steward: this process says that it is both."""
    with database.begin() as connection:
        for service in (Service.WORKER, Service.STEWARD):
            holder = this_holder()
            note_start(database, connection, service, holder, "1", actor=this_process())


def test_the_exit_code_is_the_verdict(run: Run, database: Database, tmp_path: Path) -> None:
    assert run("status")[0] == 0
    job_id = add_job(database, tmp_path)
    code, out, _ = run("status")
    assert (code, out.split(":")[0]) == (2, "FAIL  StewardDown")
    everything_runs(database)
    code, out, _ = run("status")
    assert (code, out.splitlines()[0]) == (0, "All is well: 1 queued; worker and steward run.")
    with database.begin() as connection:
        failed = update(archive_jobs).where(archive_jobs.c.id == job_id)
        connection.execute(failed.values(status=JobStatus.FAILED, last_error="no seed"))
    code, out, _ = run("status")
    assert code == 1
    assert out.startswith("WARN  JobFailed (")
    assert f"Job {job_id} (lab) failed and is not tried again by itself: no seed." in out


def test_json_has_the_verdict_what_was_found_and_the_whole_condition(
    run: Run, database: Database, tmp_path: Path
) -> None:
    add_job(database, tmp_path)
    code, out, _ = run("status", "--json")
    found: dict[str, Any] = json.loads(out)
    assert (code, found["verdict"]) == (2, "critical")
    assert [(each["name"], each["severity"], each["told"]) for each in found["findings"]] == [
        ("StewardDown", "critical", True),
        ("WorkerDown", "critical", True),
    ]
    first = found["findings"][0]
    assert first["command"] == "healtharchive steward"
    assert first["playbook"] == "docs/playbooks/stewarddown.md"
    assert (found["jobs"], found["running"], found["workers"]) == ({"queued": 1}, [], [])
    assert [each["source"] for each in found["waiting"]] == ["lab"]
    everything_runs(database)
    found = json.loads(run("status", "--json")[1])
    assert found["verdict"] == "fine"
    assert [each["name"] for each in found["workers"]] == [this_holder()]


def test_a_database_that_cannot_be_used_is_critical_in_json_too(run: Run, tmp_path: Path) -> None:
    for url, said in (
        (f"sqlite:///{tmp_path / 'empty.sqlite'}", "db upgrade"),
        ("postgresql://nobody@127.0.0.1:1/x", "cannot be reached"),
    ):
        code, out, complaint = run("status", DATABASE_URL=url)
        assert (code, out) == (2, "")
        assert said in complaint
        assert len(complaint.splitlines()) == 1
        code, out, _ = run("status", "--json", DATABASE_URL=url)
        assert code == 2
        assert json.loads(out)["verdict"] == "critical"
        assert said in json.loads(out)["unusable"]


def test_a_setting_that_cannot_be_used_is_critical_too(run: Run) -> None:
    wrong = {"SPOOL_WARN_PERCENT": "abc"}
    code, out, complaint = run("status", **wrong)
    assert (code, out) == (2, "")
    assert "HEALTHARCHIVE_SPOOL_WARN_PERCENT is 'abc'" in complaint
    code, out, _ = run("status", "--json", **wrong)
    assert (code, json.loads(out)["verdict"]) == (2, "critical")


def test_watch_draws_again_and_again_until_it_is_interrupted(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data")
    archive.set_up()
    log = tmp_path / "watched"
    # As at a terminal: what runs in the background, as this suite may, ignores SIGINT.
    words = ["env", "--default-signal=INT", *command("status", "--watch")]
    watching = spawn(words, environment=archive.environment, log=log)
    try:
        wait_for(lambda: log.read_text().count("All is well") >= 2, what="it is drawn twice")
        # The archive's database goes away: that is shown, and the watching goes on.
        place = archive.data_dir / "healtharchive.sqlite"
        place.rename(archive.data_dir / "away")
        wait_for(lambda: "FAIL  The database" in log.read_text(), what="it shows what is wrong")
        (archive.data_dir / "away").rename(place)
        before = log.read_text().count("All is well")
        wait_for(lambda: log.read_text().count("All is well") > before, what="it is well again")
        assert "\x1b" not in log.read_text()
        watching.send_signal(signal.SIGINT)
        assert watching.wait(30.0) == 130
        assert "Traceback" not in log.read_text()
    finally:
        kill_tree(watching)
