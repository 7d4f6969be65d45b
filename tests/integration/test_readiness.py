"""A campaign is ready when its crawls are good enough too, or an operator took them as they are."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

from healtharchive.model.campaigns import Readiness, readiness
from healtharchive.model.database import Database
from healtharchive.model.errors import BadInput, LeaseLost
from healtharchive.model.jobs import Job, get_job
from healtharchive.model.journal import Actor, Event, read
from healtharchive.model.operator import reindex_job
from healtharchive.model.orders import IndexOrder
from healtharchive.model.services import note_start, processes
from healtharchive.model.states import JobStatus, Quality
from healtharchive.model.tables import archive_jobs
from healtharchive.model.verdicts import MOST_REASONS, accept_verdict, store_verdict
from healtharchive.search.index import SearchIndex
from healtharchive.search.judging import judge_job
from healtharchive.search.pipeline import Tools
from healtharchive.web.app import create_app
from healtharchive.work.census import as_living, told_apart
from tests.lab.archive import Archive, command
from tests.lab.captured import claim_index, completed_job, finish_index
from tests.lab.processes import ROOT, without_settings
from tests.lab.queue import ACTOR
from tests.lab.site import HOST
from tests.lab.small_site import Answer, SmallSite, answering
from tests.lab.workers import settings_for

CAMPAIGN = "annual-2026"
ILL = ("/page-3", "/page-4")
PAGES = 20
WHY = "the site is being rebuilt, and nobody can wait for it"
MISSING = f"2 of {PAGES} (10.0 %) pages that its sitemaps list are missing (2 by site)"
FAILED = f"2 of {PAGES + 1} (9.5 %) URLs that were asked for failed"


# -- real campaigns --------------------------------------------------------------------------


def paths() -> list[str]:
    return [f"/page-{number}" for number in range(PAGES)]


@pytest.fixture
def site() -> Iterator[SmallSite]:
    """A site that lists every page, and answers two of them with an error, whenever it is asked."""
    url = ""

    def answer(_host: str, path: str) -> Answer:
        if path in ILL:
            return Answer(b"", 503)
        if path == "/robots.txt":
            plain = (("Content-Type", "text/plain"),)
            return Answer(f"Sitemap: {url}/sitemap.xml".encode(), 200, plain)
        if path == "/sitemap.xml":
            listed = "".join(f"<url><loc>{url}{each}</loc></url>" for each in paths())
            xml = f'<urlset xmlns="http://www.sitemaps.org/schemas">{listed}</urlset>'
            return Answer(xml.encode(), 200, (("Content-Type", "application/xml"),))
        links = "".join(f'<a href="{each}">x</a>' for each in paths()) if path == "/" else path
        return Answer(f"<p>Words of their own: {links}</p>".encode())

    with answering(answer) as running:
        url = running.url
        yield running


@pytest.fixture
def archive(site: SmallSite, empty_database_url: str, tmp_path: Path) -> Archive:
    settings = {
        "DATABASE_URL": empty_database_url,
        "POLL_SECONDS": "0.1",
        "STARTS_PER_HOUR": "100",
    }
    made = Archive(tmp_path / "data", settings)
    made.set_up(
        f'code = "demo"\nname = "Ill"\nbase_url = "{site.url}/"\nlanguages = ["en"]\n'
        f'allow_private_hosts = ["{HOST}"]\n[[seeds]]\nurl = "{site.url}/"\nlanguage = "en"\n'
        f'[scope]\nhosts = ["{HOST}"]\n'
        "[politeness]\ndelay_seconds = 0.0\nmax_delay_seconds = 0.5\nconcurrency = 8\n"
        "url_tries = 2\n"
    )
    made.run("campaign", "create", "annual", "--year", "2026", "--source", "demo")
    return made


@pytest.fixture
def books(archive: Archive, empty_database_url: str) -> Iterator[Database]:
    """The archive's database, to be asked without a command for each question."""
    opened = Database(empty_database_url, "the test")
    yield opened
    opened.dispose()


def refusal(archive: Archive, *words: str) -> str:
    """What a command says that is refused."""
    done = subprocess.run(
        command(*words),
        env={**without_settings(), **archive.environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    return done.stderr


def test_a_campaign_with_a_failing_site_is_not_ready_until_an_operator_accepts_it(
    archive: Archive, books: Database
) -> None:
    archive.run("run-db-job", "--id", "1", "--until-settled")
    found = archive.ask("campaign", "status", CAMPAIGN)
    (obstacle,), (job,) = found["obstacles"], found["jobs"]
    assert (found["ready_for_search"], obstacle["quality"]) == (False, "INCOMPLETE")
    assert obstacle["reason"] == f"is incomplete: {MISSING}, and 1 reason more"
    assert (job["quality"], job["quality_reasons"]) == ("INCOMPLETE", [MISSING, FAILED])
    (judged,) = told(books, 1, "judged")
    assert judged.why == f"INCOMPLETE because {MISSING}, and 1 reason more"
    assert judged.evidence["reasons"] == [MISSING, FAILED]
    assert f"INCOMPLETE: {MISSING}; {FAILED}" in archive.run("show-job", "--id", "1")
    assert "for a reason" in refusal(archive, "quality", "1", "--accept", " ")
    assert archive.ask("quality", "1", "--accept", WHY)["quality"] == "ACCEPTED"
    text = archive.run("campaign", "status", CAMPAIGN)
    assert "Ready for search: YES" in text
    assert f"note: job 1 (demo) is accepted as it is, though {MISSING}" in text
    (accepted,) = told(books, 1, "accepted")
    assert (accepted.why, accepted.evidence["reasons"]) == (WHY, [MISSING, FAILED])
    assert accepted.actor.pid > 0
    # Judged once more with the same result, it stays accepted.
    archive.run("reindex-job", "--id", "1")
    archive.run("run-db-job", "--id", "1", "--until-settled")
    assert ready(books).ready
    assert len(told(books, 1, "judged")) == 2


def test_a_job_that_cannot_be_judged_is_indexed_and_cannot_be_accepted(
    archive: Archive, books: Database, tmp_path: Path
) -> None:
    archive.run("run-db-job", "--id", "1")
    output_dir = Path(job_of(books, 1).output_dir)
    frontier = output_dir / "frontier.sqlite"
    away = frontier.rename(output_dir / "away")
    archive.run("run-db-job", "--id", "1")
    assert job_of(books, 1).status is JobStatus.INDEXED
    (obstacle,) = ready(books).obstacles
    reason = f"The job's frontier is not on this machine: {frontier}."
    assert (obstacle.quality, obstacle.reason) == (Quality.REFUSED, f"cannot be judged: {reason}")
    said = refusal(archive, "quality", "1", "--accept", WHY)
    assert "what nobody knows cannot be accepted" in said
    assert "`healtharchive reindex-job --id 1`" in said
    away.rename(frontier)
    with books.begin() as connection:
        reindex_job(books, connection, 1, actor=ACTOR)
    _, order = claim_index(books, IndexOrder(1, 0, str(output_dir)))
    # A book that nobody understands is a mistake of ours; even that fails no indexing.
    _write(frontier, "UPDATE segments SET state = 'odd'")
    assert judge_job(order, tools_for(books, tmp_path)) is Quality.REFUSED
    assert "it cannot be judged: ValueError: 'odd'" in job_of(books, 1).quality_reasons[0]
    _write(frontier, "UPDATE segments SET state = 'sealed'")
    assert judge_job(order, tools_for(books, tmp_path)) is Quality.INCOMPLETE
    assert job_of(books, 1).quality_reasons == (MISSING, FAILED)


def _write(frontier: Path, statement: str) -> None:
    with closing(sqlite3.connect(frontier)) as db:
        assert db.execute(statement).rowcount == 1
        db.commit()


# -- the verdict in the database -------------------------------------------------------------


def indexed(database: Database, root: Path, found: Quality, *reasons: str) -> int:
    """A job of the campaign that is indexed and judged so; its number."""
    held, order = claim_index(database, completed_job(database, root, campaign=CAMPAIGN))
    store(database, order, found, *reasons)
    finish_index(database, held)
    return order.job_id


def store(database: Database, order: IndexOrder, found: Quality, *reasons: str) -> Quality:
    with database.begin() as connection:
        return store_verdict(
            database, connection, order.job_id, order.fence, found, reasons, actor=ACTOR
        )


def accept(database: Database, job_id: int) -> Job:
    with database.begin() as connection:
        return accept_verdict(database, connection, job_id, actor=ACTOR, why=WHY)


def job_of(database: Database, job_id: int) -> Job:
    with database.read() as connection:
        return get_job(connection, job_id)


def ready(database: Database) -> Readiness:
    with database.read() as connection:
        return readiness(connection, CAMPAIGN)


def told(database: Database, job_id: int, what: str) -> list[Event]:
    with database.read() as connection:
        found = read(connection, subject="job", subject_id=job_id)
    return [each for each in found if each.what == what]


@pytest.mark.parametrize("found", [None, *Quality])
def test_only_what_is_judged_and_not_good_enough_is_an_obstacle(
    database: Database, tmp_path: Path, found: Quality | None
) -> None:
    job_id = indexed(database, tmp_path, Quality.INCOMPLETE, "a seed was not captured")
    with database.begin() as connection:
        change = update(archive_jobs).where(archive_jobs.c.id == job_id)
        connection.execute(change.values(quality=found))
    bad = found in (Quality.INCOMPLETE, Quality.REFUSED)
    assert ready(database).ready is not bad
    assert len(ready(database).notes) == (found is Quality.ACCEPTED)
    with database.begin() as connection:
        connection.execute(change.values(status=JobStatus.INDEXING))
    (obstacle,) = ready(database).obstacles
    assert (obstacle.reason, obstacle.quality) == ("is being indexed", None)
    assert ready(database).notes == ()


def test_a_late_attempt_writes_no_verdict(database: Database, tmp_path: Path) -> None:
    _, order = claim_index(database, completed_job(database, tmp_path, campaign=CAMPAIGN))
    with pytest.raises(LeaseLost):
        store(database, replace(order, fence=order.fence - 1), Quality.COMPLETE)
    job = job_of(database, order.job_id)
    assert (job.quality, job.quality_reasons) == (None, ())
    assert told(database, order.job_id, "judged") == []


def test_what_is_accepted_stays_accepted_while_nothing_else_is_missing(
    database: Database, tmp_path: Path
) -> None:
    _, order = claim_index(database, completed_job(database, tmp_path, campaign=CAMPAIGN))
    store(database, order, Quality.INCOMPLETE, "one", "other")
    assert accept(database, order.job_id).quality is Quality.ACCEPTED
    assert store(database, order, Quality.INCOMPLETE, "other") is Quality.ACCEPTED
    assert told(database, order.job_id, "judged")[-1].why == (
        "INCOMPLETE because other, which was accepted before"
    )
    assert store(database, order, Quality.REFUSED, "other") is Quality.REFUSED
    store(database, order, Quality.INCOMPLETE, "other")
    accept(database, order.job_id)
    assert store(database, order, Quality.INCOMPLETE, "other", "new") is Quality.INCOMPLETE
    assert store(database, order, Quality.COMPLETE) is Quality.COMPLETE
    assert job_of(database, order.job_id).quality_reasons == ()


def test_only_an_incomplete_job_can_be_accepted(database: Database, tmp_path: Path) -> None:
    _, order = claim_index(database, completed_job(database, tmp_path, campaign=CAMPAIGN))
    with pytest.raises(BadInput, match="was not judged yet"):
        accept(database, order.job_id)
    for found, said in ((Quality.COMPLETE, "nothing to accept"), (Quality.REFUSED, "nobody knows")):
        store(database, order, found)
        with pytest.raises(BadInput, match=said):
            accept(database, order.job_id)
    assert told(database, order.job_id, "accepted") == []


def test_of_very_many_reasons_only_so_many_are_kept(database: Database, tmp_path: Path) -> None:
    reasons = [f"seed {number} was not captured" for number in range(MOST_REASONS + 7)]
    job_id = indexed(database, tmp_path, Quality.INCOMPLETE, *reasons)
    *kept, more = job_of(database, job_id).quality_reasons
    assert (kept, more) == (reasons[:MOST_REASONS], "7 reasons more, which were not kept")


def test_a_reason_that_no_database_takes_is_made_legible(
    database: Database, tmp_path: Path
) -> None:
    job_id = indexed(database, tmp_path, Quality.INCOMPLETE, "é \0 \ud800 \x1b[31m")
    assert job_of(database, job_id).quality_reasons == ("é � � �[31m",)
    (judged,) = told(database, job_id, "judged")
    assert judged.why == "INCOMPLETE because é � � �[31m"


# -- the judging -----------------------------------------------------------------------------


class Enough(Exception):
    """The attempt is told to end."""


def tools_for(database: Database, tmp_path: Path, *, stop: bool = False) -> Tools:
    def check() -> None:
        if stop:
            raise Enough

    return Tools(database, SearchIndex(tmp_path / "search"), ACTOR, lambda _: None, check)


def test_a_frontier_that_the_system_will_not_open_is_refused(
    database: Database, tmp_path: Path
) -> None:
    _, order = claim_index(database, completed_job(database, tmp_path, campaign=CAMPAIGN))
    nowhere = replace(order, state_dir=f"/{'x' * 300}")
    assert judge_job(nowhere, tools_for(database, tmp_path)) is Quality.REFUSED
    (reason,) = job_of(database, order.job_id).quality_reasons
    assert reason.startswith("it cannot be judged: file name too long (errno 36)")


def test_a_stop_ends_the_judging_and_nothing_is_written(database: Database, tmp_path: Path) -> None:
    _, order = claim_index(database, completed_job(database, tmp_path, campaign=CAMPAIGN))
    with pytest.raises(Enough):
        judge_job(order, tools_for(database, tmp_path, stop=True))
    assert job_of(database, order.job_id).quality is None


# -- where it shows --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "campaign", "job"),
    [
        (Quality.INCOMPLETE, "the crawl is judged: incomplete", "incomplete"),
        (Quality.REFUSED, "the crawl is judged: cannot be judged", "cannot be judged"),
        (Quality.ACCEPTED, "was accepted as it is", "incomplete, and accepted as it is"),
    ],
)
def test_the_pages_say_it_in_both_languages(
    database: Database, database_url: str, tmp_path: Path, found: Quality, campaign: str, job: str
) -> None:
    job_id = indexed(database, tmp_path, Quality.INCOMPLETE, "a seed <was> not captured")
    if found is Quality.ACCEPTED:
        accept(database, job_id)
    else:
        with database.begin() as connection:
            connection.execute(update(archive_jobs).values(quality=found))
    app = create_app(settings_for(tmp_path, database_url=database_url), database)
    with TestClient(app) as client:
        assert campaign in page(client, f"/en/campaign/{CAMPAIGN}")
        assert campaign not in page(client, f"/fr/campaign/{CAMPAIGN}")
        shown = page(client, f"/en/job/{job_id}")
        assert job in shown
        assert "a seed &lt;was&gt; not captured" in shown
        facts = client.get(f"/api/jobs/{job_id}").json()
    assert (facts["quality"], facts["quality_reasons"]) == (found, ["a seed <was> not captured"])


def page(client: httpx.Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


def test_a_process_is_known_by_its_unit_and_a_shell_by_none(database: Database) -> None:
    with database.begin() as connection:
        for subject, unit in (
            ("worker", "healtharchive-job-1-0123abcd.service"),
            ("worker", "shell"),
            ("steward", "session-3.scope"),
        ):
            actor = Actor(unit, 7, "elsewhere")
            note_start(database, connection, subject, f"elsewhere:{unit}", "1", actor=actor)
        living, silent = told_apart(processes(connection), database.now(connection), 10.0)
    assert [as_living(each).unit for each in living] == [
        "healtharchive-job-1-0123abcd.service",
        "",
        "session-3.scope",
    ]
    assert silent == []
