"""Past failure 2 of the predecessor (2026-01-09): a crawl stalled on pages that never loaded."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from healtharchive.model.attempts import Attempt, Work, list_attempts
from healtharchive.model.database import Database
from healtharchive.steward.progress import Progress
from healtharchive.steward.rounds import take_round
from healtharchive.steward.stalls import Stalls
from tests.lab.archive import Archive
from tests.lab.processes import wait_for
from tests.lab.rendered_site import GIF
from tests.lab.small_site import Answer, answering
from tests.lab.stewards import events_about, means_for
from tests.lab.workers import job_of

SICK, WELL = "sick", "well"
STALL_SECONDS = 10.0  # the least that a source may say
PAGES = {SICK: 3, WELL: 40}
CAPTURED = ("completed", "indexing", "indexed")
PATIENCE_SECONDS = 150.0
SETTINGS = {"POLL_SECONDS": "0.2", "HEARTBEAT_SECONDS": "0.5", "STOP_SECONDS": "5"}
MANNERS = {
    SICK: 'engine = "browser"\n[browser]\npage_seconds = 90.0\ntabs = 1\nscreenshots = false\n'
    "[politeness]\ndelay_seconds = 0.0\nmax_delay_seconds = 0.1\ntimeout_seconds = 2.0\n",
    WELL: "[politeness]\ndelay_seconds = 0.5\nmax_delay_seconds = 0.5\ntimeout_seconds = 2.0\n"
    "concurrency = 1\n",
}
NEVER = """<title>never</title><p>words</p><script>
function next(number) {
  const image = new Image();
  image.onerror = () => next(number + 1);
  image.src = `/held/${number}?${Math.random()}`;
}
next(0);
</script>"""


@dataclass
class Site:
    """What both sources are answered. The pages of the sick one load once it is `released`."""

    released: threading.Event = field(default_factory=threading.Event)

    def __call__(self, _: str, path: str) -> Answer:
        code = path.split("/")[1]
        if code == "held":
            self.released.wait(PATIENCE_SECONDS)
            return Answer(GIF, headers=(("Content-Type", "image/gif"),))
        if code not in PAGES:
            return Answer(b"no", 404)
        if path == f"/{code}/":
            links = (f"<a href=/{code}/{number}>x</a> " for number in range(PAGES[code]))
            return Answer("".join(links).encode())
        never = code == SICK and not self.released.is_set()
        return Answer(NEVER.encode() if never else b"<title>now</title><p>words</p>")


def source_toml(code: str, url: str) -> str:
    """A source of the pages below `/CODE/`."""
    return (
        f'code = "{code}"\nname = "{code}"\nallow_private_hosts = ["127.0.0.1"]\n{MANNERS[code]}'
        f'[[seeds]]\nurl = "{url}/{code}/"\n'
        f'[scope]\nhosts = ["127.0.0.1"]\ninclude = ["^{url}/{code}/"]\n'
        f"[stall]\nseconds = {STALL_SECONDS}\nrestarts_per_day = 1\n"
    )


@pytest.mark.timeout(600)
def test_a_crawl_whose_pages_never_load_is_started_anew_and_its_neighbour_is_not_touched(
    tmp_path: Path,
) -> None:
    """There: a crawl got nowhere for a week, navigation after navigation timed out, and recovery
    was put off because it would have hurt a healthy crawl beside it. Here: that it gets nowhere is
    seen by its counts; that one attempt is stopped in good order and started anew, as often as its
    source allows, and then a person is asked; the healthy crawl is one attempt from its beginning
    to its end; and when the site is well again the frontier goes on, without a retry spent.

    The steward's rounds are taken by the test, more often than every 30 s; all else is real."""
    archive, answers = Archive(tmp_path / "data", SETTINGS), Site()
    with ExitStack() as undo:
        site = undo.enter_context(answering(answers))
        archive.set_up(*(source_toml(code, site.url) for code in PAGES))
        for code in PAGES:
            archive.run("create-job", "--source", code)
        database = Database(archive.environment["HEALTHARCHIVE_DATABASE_URL"], "the test")
        undo.callback(database.dispose)
        means = means_for(archive.data_dir, database)
        progress, stalls = Progress(means), Stalls(means)
        stalls.caps = replace(stalls.caps, cooldown_seconds=0.0)
        sick, well = 1, 2

        def told() -> list[str]:
            take_round(progress, means)
            return [f"{each.outcome} {each.step.subject_id}" for each in take_round(stalls, means)]

        with archive.working():
            for fence, outcome in ((1, "applied"), (2, "refused")):
                seen = wait_for(told, what="a stall", seconds=PATIENCE_SECONDS, every=0.5)
                assert (seen, job_of(database, sick).fence) == ([f"{outcome} {sick}"], fence)
                wait_for(
                    lambda: job_of(database, sick).fence == 2,
                    what="it was started anew",
                    seconds=PATIENCE_SECONDS,
                )
            (first,) = (each for each in attempts(database, sick) if each.fence == 1)
            assert first.exit == "stopped"
            assert first.reason.startswith("a new start was asked for")
            (refusal,) = events_about(database, "job", what="restart_stalled_refused")
            assert "a person must look" in refusal.why

            answers.released.set()
            for job_id in (sick, well):
                wait_for(
                    lambda job_id=job_id: job_of(database, job_id).status in CAPTURED,
                    what=f"job {job_id} is captured",
                    seconds=PATIENCE_SECONDS,
                )
        assert len(attempts(database, well)) == 1, "the healthy crawl was never disturbed"
        for job_id, code in ((sick, SICK), (well, WELL)):
            job = job_of(database, job_id)
            assert (job.retry_count, job.counts.failed) == (0, 0)
            assert job.counts.done > PAGES[code]


def attempts(database: Database, job_id: int) -> list[Attempt]:
    """The attempts to crawl a job."""
    with database.read() as connection:
        return [each for each in list_attempts(connection, job_id) if each.work is Work.CRAWL]
