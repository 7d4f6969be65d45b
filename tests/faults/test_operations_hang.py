"""A job's directory hangs: its page answers, says so, and few children wait for it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from healtharchive.crawl.frontier_schema import connect, create
from healtharchive.model.states import JobStatus
from healtharchive.model.tables import archive_jobs
from healtharchive.model.tokens import Scope
from healtharchive.web import operations_log
from healtharchive.web.operations_log import FRESH_SECONDS, MOST_STUCK, Logs
from healtharchive.web.operations_stream import Told, look
from tests.lab.mounts import sshfs
from tests.lab.operations import Office, office
from tests.lab.queue import SetClock
from tests.lab.small_archive import build

ADDED = """
INSERT INTO hosts VALUES (1, 'http://example.org', 0, NULL, NULL, NULL);
INSERT INTO urls VALUES (1, 'http://example.org/a', 'a', 1, 2, 0, 0, 0, NULL, 0, NULL, NULL);
INSERT INTO urls VALUES (2, 'http://example.org/b', 'b', 1, 2, 0, 0, 0, NULL, 0, NULL, NULL);
INSERT INTO urls VALUES (3, 'http://example.org/<c>', 'c', 1, 3, 0, 0, 0, NULL, 2, NULL, 'timeout');
INSERT INTO captures (url_id, kind, segment, span_offset, span_length, records, record_offset,
  record_length, status, mime, captured_at) VALUES
  (1, 'response', 's', 0, 1, 1, 0, 1, 200, 'text/html', '2026-01-24T06:28:01Z'),
  (2, 'response', 's', 1, 1, 1, 1, 1, 404, 'text/html', '2026-01-24T06:28:02Z')
"""


def crawled(directory: Path) -> None:
    """A frontier as a crawl leaves it, and a log beside it."""
    directory.mkdir(parents=True, exist_ok=True)
    connection = connect(directory / "frontier.sqlite")
    create(connection)
    connection.executescript(ADDED)
    connection.close()
    lines = [json.dumps({"message": f"line {number}"}) for number in range(5_000)]
    (directory / "crawler.log").write_text("\n".join(lines), encoding="utf-8")
    (directory / "crawl.log").write_text("".join(f"said {number}\n" for number in range(5_000)))


@pytest.fixture
def desk(tmp_path: Path) -> Office:
    (tmp_path / "archive").mkdir()
    made = office(build(tmp_path / "archive", []))
    made.enter(made.token("keeper", Scope.READ))
    return made


def lies_in(desk: Office, directory: Path) -> None:
    with desk.archive.database.begin() as connection:
        connection.execute(update(archive_jobs).values(output_dir=str(directory)))


def test_the_end_of_the_log_is_shown_newest_first(desk: Office, tmp_path: Path) -> None:
    crawled(tmp_path / "job")
    lies_in(desk, tmp_path / "job")
    page = desk.client.get("/en/operations/job/1").text
    first, second = page.index("06:28:02Z 404"), page.index("06:28:01Z 200")
    assert first < second
    assert "http://example.org/&lt;c&gt; timeout" in page
    assert page.index("line 4999") < page.index("line 4960")
    assert "line 4959" not in page
    assert page.index("said 4999") < page.index("said 4960") < page.index("06:28:02Z 404")
    assert "said 4959" not in page


def test_no_secret_of_a_log_is_shown(desk: Office, tmp_path: Path) -> None:
    crawled(tmp_path / "job")
    said = "fetching https://ada:p4ssw0rd@example.org/?token=t0ps3cret\nCookie: id=c00kie\n"
    for name in ("crawl.log", "crawler.log"):
        (tmp_path / "job" / name).write_text(said)
    lies_in(desk, tmp_path / "job")
    page = desk.client.get("/en/operations/job/1").text
    assert page.count("https://***@example.org/?token=***") == 2
    for secret in ("p4ssw0rd", "t0ps3cret", "c00kie"):
        assert secret not in page


def test_a_line_of_a_running_crawl_is_news_for_the_pages_that_show_it(
    desk: Office, tmp_path: Path
) -> None:
    crawled(tmp_path / "job")
    lies_in(desk, tmp_path / "job")
    database = desk.archive.database
    with database.begin() as connection:
        connection.execute(update(archive_jobs).values(status=JobStatus.RUNNING))
    clock = SetClock()
    watched = replace(desk.app.state.desk, logs=Logs(desk.archive.settings, clock))
    told = Told()
    told.begin(*look(watched, 1))
    assert [each for each in told.news(*look(watched, 1)) if "event: log" in each] == []
    with (tmp_path / "job" / "crawl.log").open("a") as log:
        log.write("2026-01-24T06:29:00Z waits for example.org\n")
    clock.advance(FRESH_SECONDS)
    assert "event: log" in "".join(told.news(*look(watched, 1)))
    assert told.tail is not None
    assert told.tail.log[0] == "2026-01-24T06:29:00Z waits for example.org"


def test_a_job_without_a_directory_has_no_log(desk: Office, tmp_path: Path) -> None:
    lies_in(desk, tmp_path / "nowhere")
    assert "Nothing was captured yet." in desk.client.get("/en/operations/job/1").text


def test_a_broken_frontier_is_no_broken_page(desk: Office, tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "frontier.sqlite").write_bytes(b"no database" * 100)
    lies_in(desk, tmp_path / "job")
    answer = desk.client.get("/en/operations/job/1")
    assert answer.status_code == 200
    assert "does not answer now" in answer.text


def test_a_hung_directory_costs_few_children_and_no_page(
    desk: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations_log, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(operations_log, "DEADLINE_SECONDS", 0.5)
    with sshfs(tmp_path / "mount") as mounted:
        crawled(tmp_path / "mount" / "job")
        lies_in(desk, tmp_path / "mount" / "job")
        assert "06:28:02Z 404" in desk.client.get("/en/operations/job/1").text
        mounted.hang()
        try:
            for _ in range(MOST_STUCK + 2):
                answer = desk.client.get("/en/operations/job/1")
                assert answer.status_code == 200
                assert "does not answer now" in answer.text
            assert desk.client.get("/en/operations").status_code == 200
            assert len(desk.app.state.desk.logs._stuck) <= MOST_STUCK
        finally:
            mounted.resume()
