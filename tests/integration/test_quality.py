"""Real crawls judged: what is missing through whom, and books that do not agree are refused."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.lab.archive import Archive, command
from tests.lab.processes import running, wait_for
from tests.lab.site import HOST
from tests.lab.small_site import Answer, SmallSite, answering, redirect
from tests.lab.truth import warc_files

PAGES = 40
HELD_SECONDS = 25.0  # less than a crawl waits for an answer
COMPLETE, INCOMPLETE, REFUSED = 0, 10, 11
PLAIN = (("Content-Type", "text/plain"),)
XML = (("Content-Type", "application/xml"),)
ROBOTS = b"User-agent: *\nDisallow: /private/\nSitemap: /sitemap.xml\n"
TEXT = "Words enough that no two of these pages are the same, number {}."


@dataclass
class Health:
    """A site of so many pages, all in its sitemap and linked from its front page.

    `wrong` are the answers of pages that are ill: None hangs up. `gone` is in no list any more.
    `held` pages are answered once `release` is set.
    """

    wrong: dict[str, Answer | None] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)
    release: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def paths(self) -> list[str]:
        """The pages that the site lists."""
        return [path for path in map(page, range(PAGES)) if path not in self.gone]

    def answer(self, _host: str, path: str) -> Answer:
        """What the site says."""
        if path in self.held:
            self.release.wait(HELD_SECONDS)
        if path in self.wrong:
            answer = self.wrong[path]
            if answer is None:
                raise ConnectionAbortedError("the site hangs up, as the test wants")
            return answer
        if path == "/robots.txt":
            return Answer(ROBOTS.replace(b"/sitemap", f"{self.url}/sitemap".encode()), 200, PLAIN)
        if path == "/sitemap.xml":
            return Answer(self._sitemap(), 200, XML)
        if path == "/":
            return Answer("".join(f'<a href="{each}">x</a>' for each in self.paths()).encode())
        return Answer(TEXT.format(path).encode())

    def _sitemap(self) -> bytes:
        locs = "".join(f"<url><loc>{self.url}{each}</loc></url>" for each in self._listed())
        return f'<urlset xmlns="http://www.sitemaps.org/schemas">{locs}</urlset>'.encode()

    def _listed(self) -> list[str]:
        return [*self.paths(), "/private/x", "/excluded/x"]


def page(number: int) -> str:
    return f"/health/page-{number}"


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def site(health: Health) -> Iterator[SmallSite]:
    with answering(health.answer) as answering_site:
        health.url = answering_site.url
        yield answering_site


@pytest.fixture
def archive(site: SmallSite, tmp_path: Path) -> Archive:
    made = Archive(tmp_path / "data", {"STARTS_PER_HOUR": "100", "POLL_SECONDS": "0.1"})
    made.set_up(source_toml(site.url))
    return made


def source_toml(url: str) -> str:
    return (
        f'code = "demo"\nname = "Health"\nbase_url = "{url}/"\nlanguages = ["en"]\n'
        f'allow_private_hosts = ["{HOST}"]\n[[seeds]]\nurl = "{url}/"\nlanguage = "en"\n'
        f'[scope]\nhosts = ["{HOST}"]\nexclude = ["/excluded/"]\n'
        "[politeness]\ndelay_seconds = 0.0\nmax_delay_seconds = 1.0\nconcurrency = 8\n"
        "url_tries = 2\n"
    )


def capture(archive: Archive, *options: str) -> int:
    """Another edition, captured and indexed; its number."""
    job = archive.ask("create-job", "--source", "demo", *options)
    archive.run("run-db-job", "--id", str(job["id"]), "--until-settled")
    return int(job["id"])


def judged(archive: Archive, job: int, code: int) -> Any:
    """What `quality` finds; it ends with this code."""
    return json.loads(archive.run("quality", str(job), "--json", codes=(code,)))


def by_url(coverage: Any, url: str) -> dict[str, tuple[str, str | None]]:
    """The samples: path -> (fate, culprit)."""
    return {
        each["url"].removeprefix(url): (each["fate"], each["culprit"])
        for each in coverage["samples"]
    }


# -- what is missing, through whom -----------------------------------------------------------


def test_editions_that_are_whole_are_complete_and_one_that_is_not_says_what_and_through_whom(
    archive: Archive, health: Health
) -> None:
    for number in (1, 2):
        found = judged(archive, capture(archive), COMPLETE)
        assert (found["verdict"], found["reasons"]) == ("COMPLETE", [])
        sitemap = found["evidence"]["sitemap"]
        assert sitemap["listed"] == PAGES + 2
        assert sitemap["fates"] == {"captured": PAGES, "excluded": 1, "out of scope": 1}
        assert found["evidence"]["last_job"] == (number - 1 or None)
    # The sitemap of the second is a revisit: it was read back from the first.
    assert found["evidence"]["counts"]["captures"] == 0
    assert found["evidence"]["last"]["fates"] == {"captured": PAGES + 1}
    health.wrong = {
        page(5): None,
        page(6): Answer(b"", 503),
        page(7): Answer(b"", 404),
        page(8): redirect("/health/page-9"),
    }
    health.gone = {page(number) for number in (10, 11, 12)}
    found = judged(archive, capture(archive), INCOMPLETE)
    sitemap, last = found["evidence"]["sitemap"], found["evidence"]["last"]
    answered = {"captured": PAGES - 7, "error": 1, "not found": 1, "redirected": 1}
    assert sitemap["fates"] == {**answered, "failed": 1, "excluded": 1, "out of scope": 1}
    assert sitemap["missing"] == {"site": 2}
    assert by_url(sitemap, health.url) == {
        page(5): ("failed", "site"),
        page(6): ("error", "site"),
        page(7): ("not found", None),
        page(8): ("redirected", None),
        "/private/x": ("excluded", "rules"),
        "/excluded/x": ("out of scope", "rules"),
    }
    assert last["listed"] == PAGES + 1
    assert last["fates"]["never asked"] == 3
    assert by_url(last, health.url)[page(11)] == ("never asked", "us")
    (host,) = found["evidence"]["hosts"]
    assert host["failures"] == {"site": {"disconnect": 1, "answered 503": 1}}
    assert (host["not_found"], host["left_out"]) == (1, {"robots": 1})
    missing, unasked, failed = found["reasons"]
    assert missing.startswith(f"2 of {PAGES - 3} (5.4 %) pages that its sitemaps list are missing")
    assert unasked.startswith(f"3 of {PAGES + 1} (7.3 %) pages of the last edition (job 2)")
    assert failed.startswith("2 of ")
    text = archive.run("quality", "3", codes=(INCOMPLETE,))
    assert text.startswith("job 3 (demo): INCOMPLETE because\n  - 2 of ")
    assert f"failed by site  {health.url}{page(5)}  disconnect: " in text


def test_a_crawl_that_a_limit_ended_is_incomplete(archive: Archive) -> None:
    found = judged(archive, capture(archive, "--pages", "5"), INCOMPLETE)
    assert found["reasons"][0].startswith("the limit of 5 pages is reached, with ")
    left = found["evidence"]["sitemap"]["fates"]["never asked"]
    assert PAGES - 5 <= left < PAGES
    assert found["evidence"]["sitemap"]["missing"] == {"us": left}


def test_a_seed_and_a_sitemap_that_cannot_be_had_are_reasons(
    archive: Archive, health: Health, site: SmallSite
) -> None:
    health.wrong = {
        "/sitemap.xml": None,
        "/fr/": Answer(b"", 500),
        "/moved/": redirect("/moved-on/"),
        "/moved-on/": redirect(page(1)),
        "/away/": redirect("/excluded/y"),
        "/circle/": redirect("/circle/"),
    }
    seeds = "".join(
        f'[[seeds]]\nurl = "{site.url}{path}"\n'
        for path in ("/fr/", "/moved/", "/away/", "/circle/")
    )
    more = archive.data_dir / "more.toml"
    more.write_text(source_toml(site.url).replace("[scope]", f"{seeds}[scope]"))
    archive.run("source", "add", str(more))
    found = judged(archive, capture(archive), INCOMPLETE)
    *said, sitemap = found["reasons"]
    assert said == [
        f"a seed was not captured: {site.url}/fr/: answered 500",
        f"a seed was not captured: {site.url}/away/ leads to {site.url}/excluded/y, "
        "which is out of scope",
        f"a seed was not captured: {site.url}/circle/: leads in a circle",
    ]
    assert sitemap.startswith(f"the sitemap {site.url}/sitemap.xml could not be had (disconnect")


def test_a_crawl_is_judged_while_it_runs_and_is_not_disturbed(
    archive: Archive, health: Health
) -> None:
    health.held = {page(number) for number in range(20, PAGES)}
    archive.run("create-job", "--source", "demo")
    run = command("run-db-job", "--id", "1", "--until-settled")
    with running(run, environment=archive.environment) as crawl:
        wait_for(lambda: archive.job()["counts"]["done"] >= 5, what="it runs", every=0.2)
        found = judged(archive, 1, INCOMPLETE)
        assert "the crawl has not ended: the job is running" in found["reasons"]
        assert "1 of its WARC files are not sealed" in found["reasons"]
        health.release.set()
        assert crawl.wait(60) == 0
    assert archive.job()["attempt_count"] == 2  # captured, then indexed
    assert judged(archive, 1, COMPLETE)["evidence"]["counts"]["queued"] == 0


# -- books that do not agree -----------------------------------------------------------------


@dataclass(frozen=True)
class Books:
    """An indexed job, the frontier as the crawl left it, and a copy of that."""

    archive: Archive
    frontier: Path
    kept: Path

    def change(self, *statements: str) -> None:
        """Tamper with the frontier."""
        with closing(sqlite3.connect(self.frontier)) as db:
            for statement in statements:
                assert db.execute(statement).rowcount == 1, statement
            db.commit()

    def restore(self) -> None:
        """As it was."""
        for name in ("-wal", "-shm"):
            self.frontier.with_name(self.frontier.name + name).unlink(missing_ok=True)
        shutil.copyfile(self.kept, self.frontier)


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Books]:
    health = Health({page(5): None})
    directory = tmp_path_factory.mktemp("books")
    with answering(health.answer) as site:
        health.url = site.url
        archive = Archive(directory / "data", {"POLL_SECONDS": "0.1"})
        archive.set_up(source_toml(site.url))
        capture(archive)
        frontier = archive.job_dir() / "frontier.sqlite"
        shutil.copyfile(frontier, directory / "kept.sqlite")
        yield Books(archive, frontier, directory / "kept.sqlite")


@pytest.fixture
def books(captured: Books) -> Iterator[Books]:
    yield captured
    captured.restore()


ONE_FAILED = "DELETE FROM urls WHERE id = (SELECT min(id) FROM urls WHERE state = 3)"
ONE_DONE = "DELETE FROM urls WHERE id = (SELECT max(id) FROM urls WHERE state = 2)"
ONE_CAPTURE = "DELETE FROM captures WHERE id = (SELECT max(id) FROM captures)"
SWAPPED = (
    "UPDATE urls SET state = 2 WHERE id = (SELECT min(id) FROM urls WHERE state = 3)",
    "UPDATE urls SET state = 3 WHERE id = (SELECT max(id) FROM urls WHERE state = 2)",
)


@pytest.mark.parametrize(
    ("statements", "reason"),
    [
        ((ONE_FAILED,), "0 failed instead of 1"),
        ((ONE_DONE,), "do not add up"),
        ((ONE_DONE, ONE_CAPTURE), "done instead of"),
        ((ONE_CAPTURE,), "its captures say"),
        (SWAPPED, "2 URLs are done without a capture, or captured without being done"),
        (("UPDATE segments SET records = records + 1",), "its captures say"),
        (("UPDATE segments SET name = 'other.warc.gz'",), "is unknown to the database"),
    ],
)
def test_a_frontier_that_was_tampered_with_is_refused(
    books: Books, statements: tuple[str, ...], reason: str
) -> None:
    books.change(*statements)
    found = judged(books.archive, 1, REFUSED)
    assert found["verdict"] == "REFUSED"
    assert any(reason in each for each in found["reasons"]), found["reasons"]


def test_a_frontier_that_is_away_or_damaged_is_refused_and_nothing_is_made(books: Books) -> None:
    books.frontier.write_bytes(books.kept.read_bytes()[:20_000])
    (reason,) = judged(books.archive, 1, REFUSED)["reasons"]
    assert f"The frontier {books.frontier} " in reason
    books.frontier.unlink()
    (reason,) = judged(books.archive, 1, REFUSED)["reasons"]
    assert reason == f"The job's frontier is not on this machine: {books.frontier}."
    assert not books.frontier.exists()


def test_a_sitemap_that_cannot_be_read_back_is_a_reason(books: Books) -> None:
    (warc,) = warc_files(books.archive.job_dir())
    away = warc.rename(warc.with_name("away"))
    try:
        found = judged(books.archive, 1, INCOMPLETE)
    finally:
        away.rename(warc)
    assert any("sitemap.xml cannot be read back" in each for each in found["reasons"])


def test_a_job_that_is_not_there_is_no_verdict(books: Books) -> None:
    books.archive.run("quality", "99", codes=(4,))
