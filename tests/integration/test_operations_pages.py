"""What the operations pages and the admin API show and do, on both databases."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from selectolax.lexbor import LexborHTMLParser
from sqlalchemy import insert, select, update

from healtharchive.cli.main import main
from healtharchive.model.jobs import get_job
from healtharchive.model.journal import Actor, Event, read, record
from healtharchive.model.reader_reports import ReportKind, Written, add_report, list_reports
from healtharchive.model.services import HoldKind, Service, open_holds
from healtharchive.model.states import JobStatus, TargetEvent
from healtharchive.model.tables import archive_jobs, segments
from healtharchive.model.tables_operation import progress_samples
from healtharchive.model.target import TargetDefinition, TargetKind
from healtharchive.model.targets import change_target, declare_targets
from healtharchive.model.tokens import Scope
from healtharchive.web import operations_board
from tests.lab.operations import Office, office
from tests.lab.small_archive import ACTOR, build


@pytest.fixture
def desk(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    monkeypatch.setattr(operations_board, "LOOK_SECONDS", 0.0)
    made = office(build(tmp_path, [], database_url))
    made.enter(made.token("keeper", Scope.ADMIN))
    yield made
    made.archive.database.dispose()


def stands(desk: Office, status: JobStatus, **columns: object) -> None:
    """Put the only job into a state."""
    with desk.archive.database.begin() as connection:
        connection.execute(update(archive_jobs).values(status=status, **columns))


def newest(desk: Office, subject: str, subject_id: str) -> Event:
    with desk.archive.database.read() as connection:
        return read(connection, subject=subject, subject_id=subject_id)[-1]


def text_of(page: str) -> str:
    return " ".join((LexborHTMLParser(page).text(separator=" ") or "").split())


@pytest.mark.parametrize(
    ("status", "act", "after"),
    [
        (JobStatus.QUEUED, "pause", JobStatus.PAUSED),
        (JobStatus.PAUSED, "resume", JobStatus.QUEUED),
        (JobStatus.PARKED, "cancel", JobStatus.CANCELLED),
        (JobStatus.FAILED, "retry", JobStatus.QUEUED),
        (JobStatus.INDEXED, "reindex", JobStatus.COMPLETED),
    ],
)
def test_an_act_is_done_and_shown_with_its_event(
    desk: Office, status: JobStatus, act: str, after: JobStatus
) -> None:
    stands(desk, status)
    page = desk.client.get("/en/operations/job/1").text
    assert f'formaction="/en/operations/job/1/{act}"' in page
    answer = desk.post(f"/en/operations/job/1/{act}", why="the site asked us to")
    assert answer.status_code == 303
    event = newest(desk, "job", "1")
    assert answer.headers["location"] == f"/en/operations/job/1?event={event.id}"
    assert (event.actor.unit, event.why) == ("token keeper", "the site asked us to")
    assert event.to_state == after
    shown = desk.client.get(answer.headers["location"])
    assert "the site asked us to" in LexborHTMLParser(shown.text).css_first("#done").text()
    with desk.archive.database.read() as connection:
        assert get_job(connection, 1).status is after


def test_a_job_that_is_indexed_again_has_its_segments_read_anew(desk: Office) -> None:
    stands(desk, JobStatus.INDEXED)
    database = desk.archive.database
    with database.begin() as connection:
        connection.execute(update(segments).values(indexed_at=database.now(connection)))
    assert desk.post("/en/operations/job/1/reindex", why="new rules").status_code == 303
    with database.read() as connection:
        assert set(connection.execute(select(segments.c.indexed_at)).scalars()) == {None}


def test_a_running_job_is_asked_to_stop_and_that_can_be_taken_back(desk: Office) -> None:
    stands(desk, JobStatus.RUNNING)
    assert desk.post("/en/operations/job/1/pause", why="tonight").status_code == 303
    page = desk.client.get("/en/operations/job/1").text
    assert "Its worker was asked to: pause" in text_of(page)
    assert "/job/1/resume" in page
    assert "/job/1/cancel" not in page
    assert desk.post("/en/operations/job/1/resume", why="no need").status_code == 303
    with desk.archive.database.read() as connection:
        assert get_job(connection, 1).requested_stop is None


def test_what_cannot_be_done_is_said_and_not_offered(desk: Office) -> None:
    stands(desk, JobStatus.INDEXED)
    page = desk.client.get("/en/operations/job/1").text
    assert "/job/1/pause" not in page
    answer = desk.post("/en/operations/job/1/pause", why="now")
    assert answer.status_code == 409
    assert "cannot take" in answer.text
    assert desk.post("/en/operations/job/1/reindex", why=" ").status_code == 400
    assert desk.post("/en/operations/job/1/reindex", why="x" * 501).status_code == 400
    assert desk.post("/en/operations/job/9/reindex", why="now").status_code == 404
    assert desk.post("/en/operations/job/1/explode", why="now").status_code == 404


def test_workers_are_paused_with_an_end_and_resumed(desk: Office) -> None:
    answer = desk.post("/en/operations/worker/pause", why="the disk is changed", hours="2")
    assert answer.status_code == 303
    database = desk.archive.database
    with database.read() as connection:
        (hold,) = open_holds(connection, Service.WORKER)
        now = database.now(connection)
    assert (hold.kind, hold.why) == (HoldKind.PAUSE, "the disk is changed")
    assert hold.until is not None
    assert timedelta(hours=1.9) < hold.until - now <= timedelta(hours=2)
    page = desk.client.get(answer.headers["location"]).text
    assert "token keeper: the disk is changed" in text_of(page)
    again = desk.post("/en/operations/worker/pause", why="again")
    assert again.status_code == 409
    assert "paused already" in again.text
    for hours in ("soon", "-1", "0", "1e9", "nan"):
        assert desk.post("/en/operations/worker/pause", why="x", hours=hours).status_code == 400
    assert desk.post("/en/operations/worker/resume", why="it is done").status_code == 303
    with database.read() as connection:
        assert open_holds(connection, Service.WORKER) == []
    assert desk.post("/en/operations/worker/resume", why="once more").status_code == 409


def test_a_report_is_settled_by_who_reads_it(desk: Office) -> None:
    database = desk.archive.database
    written = Written(kind=ReportKind.ERROR, text="The map <b>is</b> gone", contact="a@b.example")
    with database.begin() as connection:
        add_report(database, connection, written, ACTOR)
    page = desk.client.get("/en/operations/reports").text
    assert "The map &lt;b&gt;is&lt;/b&gt; gone" in page
    assert "a@b.example" in page
    answer = desk.post("/en/operations/report/1/answer", why="it is back")
    assert answer.status_code == 303
    with database.read() as connection:
        (report,) = list_reports(connection, settled=True)
    assert (report.answer, report.who, report.state) == ("it is back", "token keeper", "answered")
    assert desk.post("/en/operations/report/1/dismiss", why="twice").status_code == 409
    assert desk.post("/en/operations/report/7/dismiss", why="none").status_code == 404


def test_the_journal_is_narrowed_and_a_page_of_it_stays_the_same(desk: Office) -> None:
    database = desk.archive.database
    other = Actor("healtharchive-steward.service", 7, "vps")
    with database.begin() as connection:
        now = database.now(connection)
        for number in range(120):
            record(
                connection,
                at=now - timedelta(days=3, minutes=-number),
                actor=other if number % 2 else ACTOR,
                subject="target",
                subject_id="cold",
                what="looked_at",
                why=f"look {number}",
            )

    def numbers(page: str) -> list[int]:
        return [int(each) for each in re.findall(r"look (\d+)", text_of(page))]

    first = desk.client.get("/en/operations/journal?subject=target&what=looked at").text
    assert numbers(first) == list(range(119, 69, -1))
    older = LexborHTMLParser(first).css_first("a[rel=next]").attributes["href"]
    assert older
    second = desk.client.get(older).text
    assert numbers(second) == list(range(69, 19, -1))
    with database.begin() as connection:
        record(
            connection, at=now, actor=other, subject="target", subject_id="cold", what="looked_at"
        )
    assert numbers(desk.client.get(older).text) == numbers(second)
    mine = desk.client.get("/en/operations/journal?actor=healtharchive-steward.service").text
    assert numbers(mine)[:3] == [119, 117, 115]
    day = (now - timedelta(days=2)).date().isoformat()
    assert numbers(desk.client.get(f"/en/operations/journal?since={day}").text) == []
    assert numbers(desk.client.get(f"/en/operations/journal?until={day}&subject=target").text)
    assert desk.client.get("/en/operations/journal?since=soon").status_code == 400
    assert (
        desk.client.get("/en/operations/journal?until=0001-01-01T00:00%2B05:00").status_code == 400
    )
    assert desk.client.get("/en/operations/journal?before=0").status_code == 400


def test_a_campaign_is_drawn_and_written_out_from_its_samples(desk: Office) -> None:
    database = desk.archive.database
    with database.begin() as connection:
        now = database.now(connection)
        for number in range(200):
            connection.execute(
                insert(progress_samples).values(
                    job_id=1,
                    at=now - timedelta(minutes=200 - number),
                    fence=1,
                    urls_queued=1000 - number,
                    urls_done=10 * number,
                    urls_failed=number // 10,
                    bytes_written=5_000_000 * number,
                )
            )
    page = LexborHTMLParser(desk.client.get("/en/operations/campaign/annual-2026").text)
    assert len(page.css("figure.chart svg[role=img]")) == 5
    for chart in page.css("figure.chart"):
        named = chart.css_first("svg").attributes["aria-labelledby"].split()
        assert all(page.css_first(f"#{each}").text().strip() for each in named)
        assert len(chart.css("tbody tr")) >= 40
    assert "URLs done 1,990" in " ".join(page.css_first("#chart-pages").text().split())
    rates = page.css("figure.chart")[3].css("tbody td.number")
    assert {each.text() for each in rates} == {"10"}
    assert desk.client.get("/en/operations/campaign/annual-1999").status_code == 404


def test_a_target_shows_the_states_it_was_in(desk: Office) -> None:
    database = desk.archive.database
    cold = TargetDefinition("cold", TargetKind.LOCAL, "/nowhere/cold", ship=True)
    with database.begin() as connection:
        declare_targets(database, connection, [cold], actor=ACTOR)
        change_target(database, connection, "cold", TargetEvent.TRIP, actor=ACTOR, why="errno 107")
    page = LexborHTMLParser(desk.client.get("/en/operations/storage").text)
    assert [each.attributes["class"] for each in page.css(".band rect")][-1] == "band-open"
    assert "errno 107" in page.css_first(".band tbody").text()
    overview = text_of(desk.client.get("/en/operations").text)
    assert "cold" in overview


def test_both_languages_say_everything(desk: Office) -> None:
    for path in ("", "/jobs", "/job/1", "/campaigns", "/campaign/annual-2026", "/storage"):
        for language in ("en", "fr"):
            page = desk.client.get(f"/{language}/operations{path}")
            assert page.status_code == 200, path
            assert f'<html lang="{language}">' in page.text
            assert f'action="/{language}/operations/logout"' in page.text


def test_the_api_acts_and_tells_as_the_pages_do(desk: Office) -> None:
    secret = desk.token("program", Scope.READ, Scope.JOBS)
    stands(desk, JobStatus.QUEUED)
    assert desk.order(secret, "/jobs/1/pause", {"why": "a night"}).json()["what"] == "pause"
    job = desk.api(secret, "/jobs/1").json()
    assert job["job"]["status"] == "paused"
    assert job["acts"] == ["resume", "cancel"]
    assert job["events"][0]["actor"]["unit"] == "token program"
    wrong = desk.order(secret, "/jobs/1/pause", {"why": "a night"})
    assert wrong.status_code == 409
    assert "cannot take" in wrong.json()["sentence"]
    missing = desk.order(secret, "/jobs/1/resume", {})
    assert missing.status_code == 422
    assert missing.json()["sentence"] == "body.why: Field required."
    assert desk.order(secret, "/jobs/99/resume", {"why": "x"}).status_code == 404
    made = desk.order(secret, "/campaigns", {"year": 2027, "sources": ["lab"]})
    assert made.json() == {"campaign": "annual-2027", "added": [2]}
    # `lab` is in no source file: it is taken only when it is named.
    others = desk.order(secret, "/campaigns", {"year": 2028}).json()
    assert others == {"campaign": "annual-2028", "added": [3, 4, 5]}
    assert desk.order(secret, "/campaigns", {"year": 2027, "sources": ["no"]}).status_code == 404
    assert desk.order(secret, "/campaigns", {"year": 1}).status_code == 409
    assert desk.api(secret, "/jobs?status=paused").json()["total"] == 1
    assert desk.api(secret, "/jobs?status=asleep").status_code == 400
    assert desk.order(secret, "/worker/pause", {"why": "x", "hours": 1}).status_code == 200
    assert desk.order(secret, "/worker/resume", {"why": "x"}).status_code == 200
    status = desk.api(secret, "/status").json()
    assert {"level", "lines", "condition"} == set(status)


def test_events_are_paged_by_number_and_none_is_missed(desk: Office) -> None:
    secret = desk.token("program", Scope.READ)
    desk.api(secret, "/jobs")  # its first use is an event
    database = desk.archive.database
    with database.begin() as connection:
        now = database.now(connection)
        for number in range(25):
            record(
                connection,
                at=now - timedelta(hours=1),
                actor=ACTOR,
                subject="lab",
                subject_id=number,
                what="happened",
            )
    told: list[str] = []
    after = 0
    while True:
        page = desk.api(secret, f"/events?subject=lab&limit=10&after_id={after}").json()
        told += [each["subject_id"] for each in page["events"]]
        if page["next_after_id"] == after:
            break
        after = page["next_after_id"]
    assert told == [str(number) for number in range(25)]
    # What is young comes again: something with a smaller number may still be committed.
    with database.begin() as connection:
        now = database.now(connection)
        record(connection, at=now, actor=ACTOR, subject="lab", subject_id=25, what="happened")
    page = desk.api(secret, f"/events?subject=lab&after_id={after}").json()
    assert [each["subject_id"] for each in page["events"]] == ["25"]
    assert page["next_after_id"] == after


def test_tokens_are_made_and_revoked_over_the_api(desk: Office) -> None:
    owner = desk.token("owner", Scope.ADMIN)
    made = desk.order(owner, "/tokens", {"name": "new", "scopes": ["read"], "days": 3})
    secret = made.json()["secret"]
    assert desk.api(secret, "/jobs").status_code == 200
    assert desk.order(owner, "/tokens", {"name": "new", "scopes": ["read"]}).status_code == 409
    assert desk.order(owner, "/tokens", {"name": "a/b", "scopes": ["read"]}).status_code == 409
    assert desk.order(owner, "/tokens", {"name": "c", "scopes": ["all"]}).status_code == 422
    listed = desk.api(owner, "/tokens").text
    assert secret not in listed
    assert "digest" not in listed
    assert desk.order(owner, "/tokens/new/revoke", {"why": "done"}).status_code == 200
    assert desk.api(secret, "/jobs").status_code == 401
    event = newest(desk, "token", "new")
    assert (event.what, event.actor.unit) == ("revoked", "token owner")


def test_the_description_is_one_and_has_every_address(desk: Office) -> None:
    secret = desk.token("program", Scope.READ)
    described = desk.api(secret, "/../openapi.json")
    assert described.status_code == 200
    paths = described.json()["paths"]
    assert {f"/api/admin/v1/{each}" for each in ("status", "jobs", "events", "alerts")} <= set(
        paths
    )
    assert "HTTPValidationError" not in described.text
    assert described.json()["security"] == [{"bearer": []}]


def test_tokens_at_the_command_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    desk: Office,
) -> None:
    monkeypatch.setenv("HEALTHARCHIVE_DATA_DIR", str(tmp_path))
    database_url = desk.archive.settings.database_url
    monkeypatch.setenv("HEALTHARCHIVE_DATABASE_URL", database_url)
    (tmp_path / "backend.env").touch()
    monkeypatch.setenv("HEALTHARCHIVE_ENV_FILE", str(tmp_path / "backend.env"))
    words = ["token", "create", "night", "--scope", "read", "--scope", "jobs", "--days", "7"]
    assert main(words) == 0
    said = capsys.readouterr()
    secret = said.out.strip()
    assert desk.api(secret, "/jobs").status_code == 200
    assert "jobs, read" in said.err
    assert main(["token", "list"]) == 0
    listed = capsys.readouterr().out
    assert "night" in listed
    assert secret not in listed
    assert main(["token", "create", "night"]) == 2
    assert "already" in capsys.readouterr().err
    assert main(["token", "create", "other", "--scope", "all"]) == 2
    assert "read, jobs, reports, admin" in capsys.readouterr().err
    assert main(["token", "revoke", "night", "--why", "over"]) == 0
    assert desk.api(secret, "/jobs").status_code == 401
    assert main(["token", "revoke", "night"]) == 2
    assert main(["token", "revoke", "nobody"]) == 4
