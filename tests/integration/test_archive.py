"""A whole archive as its users run it: edition after edition, and everything in one process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.lab.archive import IMPATIENT, Archive, command, tail
from tests.lab.postgres import free_port
from tests.lab.processes import spawn, stop, wait_for
from tests.lab.site import Site, serving
from tests.lab.truth import warc_files, warcio_check

CODE = "demo"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with serving(12, nasty=False) as running:
        yield running


def answer(url: str) -> str | None:
    """What a page says; None while nobody answers."""
    try:
        with urlopen(url, timeout=5) as response:
            text: str = response.read().decode()
            return text
    except (URLError, ConnectionError):
        return None


def test_the_next_edition_refers_to_payloads_of_the_one_before(site: Site, tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", IMPATIENT)
    archive.set_up(site.source_toml(CODE))
    first = archive.ask("create-job", "--source", CODE)
    archive.run("run-db-job", "--id", str(first["id"]), "--until-settled")
    second = archive.ask("create-job", "--source", CODE)
    archive.run("run-db-job", "--id", str(second["id"]), "--until-settled")
    before, after = archive.jobs()
    assert (before["status"], after["status"]) == ("indexed", "indexed")
    assert before["counts"]["revisits"] == 0
    assert after["counts"]["revisits"] > before["counts"]["captures"] * 0.9
    assert after["counts"]["done"] == before["counts"]["done"]
    assert warcio_check(warc_files(Path(after["output_dir"]))) == []
    assert archive.ask("search", "documentation", "--source", CODE)["total"] > 0


def test_up_makes_its_database_serves_pages_runs_jobs_and_ends_in_order(
    site: Site, tmp_path: Path
) -> None:
    port = free_port()
    archive = Archive(tmp_path, {**IMPATIENT, "DATABASE_URL": "", "BIND_PORT": str(port)})
    (tmp_path / "backend.env").touch()
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "demo.toml").write_text(site.source_toml(CODE))
    process = spawn(command("up"), environment=archive.environment, log=archive.worker_log)
    try:
        wait_for(lambda: answer(f"http://127.0.0.1:{port}/health/ready"), what="the pages are up")
        job = archive.ask("create-job", "--source", CODE)
        archive.wait_until_settled(seconds=90.0, worker=process)
        assert archive.job()["status"] == "indexed"
        page = answer(f"http://127.0.0.1:{port}/en/job/{job['id']}")
        assert page is not None
        assert CODE in page
        assert stop(process) == 0, tail(archive.worker_log)
    finally:
        stop(process)
    story = [json.loads(line) for line in archive.run("events", "--json").splitlines()[-2:]]
    ended = [(event["subject"], event["what"]) for event in story]
    assert ended == [("worker", "stopped"), ("steward", "stopped")]
