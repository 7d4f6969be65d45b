"""Past failure 8 of the predecessor (2026-02-06): a column was queried before its migration."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from healtharchive.model import schema
from healtharchive.model.database import Database
from healtharchive.model.services import processes
from tests.lab.archive import Archive, command, tail
from tests.lab.postgres import cluster
from tests.lab.processes import ROOT, running, wait_for, without_settings
from tests.lab.reader import served

OLDER = "0008"
WITHOUT_COLUMN = "0007"  # captures.suppressed_by came after it
NO_SCHEMA = 6  # the exit code of it
LONG_LIVED = ("worker", "steward", "serve", "up")
START_SECONDS = 150.0


def ended(archive: Archive, name: str) -> tuple[int, str]:
    """How a command that should have run for ever ended, and what it said."""
    done = subprocess.run(
        command(name),
        env={**without_settings(), **archive.environment},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).strip()


@contextmanager
def opened(archive: Archive) -> Iterator[Database]:
    """The archive's database."""
    database = Database(archive.environment["HEALTHARCHIVE_DATABASE_URL"], "the test")
    yield database
    database.dispose()


def has_begun(database: Database, service: str) -> bool:
    """Whether a process of the service has said that it is there."""
    with database.read() as connection:
        return any(each.service == service for each in processes(connection))


@pytest.mark.timeout(600)
def test_no_process_begins_its_work_before_the_migration(tmp_path: Path) -> None:
    """There: the new program was started before the migration was made; the API asked for a column
    that was not there and answered 500 to everybody, with a stack trace in its log. Here: a process
    that meets an older schema ends with one sentence, which has the command that mends it, before
    it does anything; after that command it runs."""
    settings = {"POLL_SECONDS": "0.2", "BIND_PORT": "0"}
    archive = Archive(tmp_path / "data", settings)
    archive.set_up()
    with opened(archive) as database:
        schema.downgrade(database, OLDER)
        for name in LONG_LIVED:
            status, said = ended(archive, name)
            assert (status, len(said.splitlines())) == (NO_SCHEMA, 1), f"{name}: {said}"
            assert f"has the older schema {OLDER}; this program needs {schema.head()}." in said
            assert "Bring it up with `healtharchive db upgrade`." in said
        archive.run("db", "upgrade")
        for name in ("worker", "steward"):
            log = archive.data_dir / f"{name}.log"
            with running(command(name), environment=archive.environment, log=log) as process:
                wait_for(
                    lambda service=name: has_begun(database, service),
                    what=f"the {name} runs",
                    seconds=START_SECONDS,
                )
                assert process.poll() is None, tail(log)
        with served(archive) as pages:
            assert httpx.get(f"{pages.site}/en/", trust_env=False).status_code == 200


@pytest.mark.timeout(600)
def test_a_web_server_whose_columns_go_away_answers_503_until_they_are_back(tmp_path: Path) -> None:
    """Here, in the other order: the schema goes back while the web server runs, on PostgreSQL,
    which has an error of its own for that. Readers are told to come back, the log has no stack
    trace, and the same process answers again once the migration is made."""
    with cluster() as postgres:
        url = postgres.create_database("archive")
        archive = Archive(tmp_path / "data", {"DATABASE_URL": url})
        archive.set_up()
        with (
            opened(archive) as database,
            served(archive) as pages,
            httpx.Client(base_url=pages.site, trust_env=False, timeout=30.0) as client,
        ):
            schema.downgrade(database, WITHOUT_COLUMN)
            for address in ("/en/capture/1", "/health/ready"):
                answer = client.get(address)
                assert answer.status_code == 503, address
                assert "Traceback" not in answer.text
            assert client.get("/health/live").status_code == 200
            schema.upgrade(database)
            assert client.get("/en/capture/1").status_code == 404
            assert client.get("/health/ready").status_code == 200
        log = tail(archive.data_dir / "serve.log", 100_000)
        assert "answered 503" in log
        assert "Traceback" not in log
