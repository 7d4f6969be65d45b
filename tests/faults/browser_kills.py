"""The kill loop of the browser engine: whatever takes part in a crawl is killed, part by part.

Renderer, browser, playwright's driver, crawl child and worker get SIGKILL in random order. A killed
worker has no successor at first: all below it must end by itself, and what is confirmed is there.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from fastwarc.warc import ArchiveIterator, WarcRecordType

from healtharchive.warc.companions import TEXT_PREFIX
from tests.faults.aftermath import ask, holdings, lives
from tests.faults.part_kills import CHILD, LEASE_SECONDS, WORKER, PartKillLoop, carry_out
from tests.lab import truth
from tests.lab.archive import IMPATIENT, Archive
from tests.lab.front_site import FrontSite, front_site
from tests.lab.processes import descendants
from tests.lab.truth import Held

CODE = "front"
# Kills in a row shall not turn the crawl into one without a browser.
NEVER_GIVEN_UP = "\n[browser]\nfailures = 1000\n"
TOPICS_A_KILL = 3  # pages that scripts build: more than a life takes to its end
TABS = 2
LEFT = ("browsers/*", "spill-*")  # what a killed child leaves to the next one to wipe
ENOUGH_RENDERERS = 5  # killed, to say that one of them must have had a page
LAST_TRY = 2  # of the source's three, counted from zero
FOR_A_PART = ("Range", "If-None-Match", "If-Modified-Since")  # or for news since the last time
FRAMED = ("/embedded/notice.html", "/offline/offline.html")  # documents within other pages
RENDERER, BROWSER, DRIVER = "renderer", "browser", "driver"


def is_a(victim: str, line: str) -> bool:
    """Whether this is the command line of a renderer, of a browser's main process, or a driver's.

    Chromium's children rewrite theirs into one word, so it is not looked at word by word.
    """
    if victim == DRIVER:
        return " run-driver" in line
    if victim == RENDERER:
        return "--type=renderer" in line
    return "--user-data-dir=" in line and "--type=" not in line and "launch.py" not in line


def below(child: int, victim: str) -> list[psutil.Process]:
    """Those who work for a crawl child as this."""
    found = []
    for each in descendants(child):
        with contextlib.suppress(psutil.Error):
            if lives(each) and is_a(victim, " ".join(each.cmdline())):
                found.append(each)
    return found


def rendered_pages(frontier: Path) -> int:
    """How many pages are committed together with what a browser saw in them."""
    query = "SELECT count(*) FROM captures WHERE url_id IS NOT NULL AND records > 2"
    return sum(number for (number,) in ask(frontier, query))


def tries_spent(frontier: Path) -> dict[str, int]:
    """How many tries were spent on each URL, where any were."""
    return dict(ask(frontier, "SELECT url, tries FROM urls WHERE tries > 0"))


class BrowserKillLoop(PartKillLoop):
    """Renderer, browser, driver, crawl child and worker of a crawl of the front site."""

    victims = (RENDERER, BROWSER, DRIVER, CHILD, WORKER)

    def __init__(self, archive: Archive, seed: int, site: FrontSite) -> None:
        super().__init__(archive, seed)
        self.may_spend = 0  # tries that the kills so far may have cost
        self._site = site
        self._browser_lost_in: int | None = None  # the last child that lost a browser
        self._left: set[Path] = set()  # by children that were killed

    def pages(self) -> int:
        """Pages that are committed together with what a browser saw in them."""
        return rendered_pages(self.frontier)

    def parts(self, child: int, victim: str) -> list[psutil.Process]:
        """Those who work for a crawl child as this, by their command lines."""
        return below(child, victim)

    def hit(self, victim: str, found: list[psutil.Process], child: int) -> bool:
        """Kill one of them, and count what that may cost.

        A page that lost its browser is rendered once more; if it loses that one too, it has spent
        a try. A tab that dies while it opens takes its browser with it.
        """
        if not super().hit(victim, found, child):
            return False
        again = self._browser_lost_in == child
        self.may_spend += TABS if again else int(victim == RENDERER)
        self._browser_lost_in = child
        return True

    def struck(self, victim: str) -> None:
        """No more tries are spent than were due; what a dead child leaves is remembered."""
        self._judge_tries()
        if victim in (CHILD, WORKER):
            self._left.update(left_in(self.frontier.parent))

    def lived(self) -> None:
        """What a dead child has left is wiped by the next one."""
        self.tell(f"not wiped: {path}" for path in self._left if path.exists())
        self._left.clear()

    def differences(self, files: list[Path]) -> list[str]:
        """Where WARC files differ from the frontier, or from what the site served."""
        return differences(files, self.frontier, self._site)

    def _judge_tries(self) -> None:
        spent = tries_spent(self.frontier)
        if sum(spent.values()) > self.may_spend:
            why = dict(ask(self.frontier, "SELECT url, reason FROM urls WHERE reason != ''"))
            self.tell([f"tries {spent}, at most {self.may_spend} due: {why}"])

    def judge(self, job: dict[str, Any]) -> list[str]:
        """What is wrong after all; empty when the kills left no trace. The worker is stopped."""
        self._judge_tries()
        wrong = super().judge(job)
        if self.killed[RENDERER] >= ENOUGH_RENDERERS and not tries_spent(self.frontier):
            wrong.append("no killed renderer has cost its page a try: none had a page")
        job_dir = self.frontier.parent
        wrong += [f"left over: {path.name}" for path in left_in(job_dir)]
        return wrong + incomplete(truth.warc_files(job_dir), self.frontier, self._site)

    def summary(self, job: dict[str, Any]) -> str:
        """The figures of it, in words."""
        tries = sum(tries_spent(self.frontier).values())
        return (
            f"{self.victims_in_words()}; {job['counts']['done']} URLs,"
            f" {rendered_pages(self.frontier)} pages rendered; tries spent on URLs: {tries} of"
            f" {self.may_spend} due; retries of the job: {job['retry_count']}; seed {self.seed}"
        )


# -- what the archive holds ----------------------------------------------------------------


def left_in(job_dir: Path) -> list[Path]:
    """Directories that are there while somebody works in them, and no longer."""
    return [path for pattern in LEFT for path in job_dir.glob(pattern)]


def differences(files: list[Path], frontier: Path, site: FrontSite) -> list[str]:
    """Where frontier and WARC files differ, or the files from what the site served."""
    found = holdings(files, frontier)
    return [*found.wrong, *_whole_aside(found.aside, site), *_unserved(found.held, site)]


def _whole_aside(aside: Iterable[Held], site: FrontSite) -> list[str]:
    """A record without a URL answers a request for a part or for news, another method than GET, or
    is a document in a frame or of a service worker, which is captured by a visit of its own."""
    special = {
        (each.url, each.status)
        for each in list(site.asked)
        if each.method != "GET" or any(each.field(name) for name in FOR_A_PART)
    }
    return [
        f"{each.url} is recorded aside, with status {each.status}"
        for each in aside
        if (each.url, each.status) not in special and each.url.removeprefix(site.url) not in FRAMED
    ]


def _unserved(held: Iterable[Held], site: FrontSite) -> list[str]:
    """Captures that are no answer of the site, byte for byte."""
    digest = cache(lambda body: hashlib.sha256(body).hexdigest())
    served = {(each.url, each.status, digest(each.body)) for each in list(site.asked)}
    return [
        f"the site never answered so: {each}"
        for each in held
        if (each.url, each.status, each.entity_sha256) not in served
    ]


def incomplete(files: list[Path], frontier: Path, site: FrontSite) -> list[str]:
    """What of the site's truth is missing at the end, or is there twice."""
    query = "SELECT url FROM captures JOIN urls ON urls.id = url_id"
    whole = Counter(url for (url,) in ask(frontier, query))
    pages = {page.url for page in site.truth.pages}
    required = pages | site.truth.assets | set(site.truth.files)
    wrong = [f"captured {whole[url]} times: {url}" for url in sorted(required) if whole[url] != 1]
    unsettled = ask(frontier, "SELECT url, state, reason FROM urls WHERE state != 2")
    wrong += [f"not captured: {row}" for row in unsettled]
    texts, tries = rendered_texts(files), tries_spent(frontier)
    for page in site.truth.shells:
        # A page whose tries all ended with its renderer is kept as it was served, without a text.
        right = [page.phrase in text for text in texts[page.url]]
        kept_as_served = not right and tries.get(page.url, 0) >= LAST_TRY
        if right != [True] and not kept_as_served:
            wrong.append(f"{len(right)} texts, {sum(right)} of them right: {page.url}")
    return wrong


def rendered_texts(files: Iterable[Path]) -> dict[str, list[str]]:
    """By page: what a browser saw in it, each time that it was recorded."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in files:
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.conversion):
                url = str(record.headers["WARC-Target-URI"]).removeprefix(TEXT_PREFIX)
                found[url].append(record.reader.read().decode())
    return found


# -- all of it -----------------------------------------------------------------------------


def run(
    kills: int, seed: int, *, topics: int | None = None, database_url: str | None = None
) -> list[str]:
    """Crawl the front site with so many kills; what is wrong at the end."""
    settings = {**IMPATIENT, "LEASE_SECONDS": LEASE_SECONDS}
    if database_url:
        settings["DATABASE_URL"] = database_url
    with (
        tempfile.TemporaryDirectory(prefix="lab-kill-") as directory,
        front_site(topics=topics or TOPICS_A_KILL * kills) as site,
    ):
        archive = Archive(Path(directory), settings)
        archive.set_up(site.source_toml(CODE, "auto", NEVER_GIVEN_UP))
        archive.run("create-job", "--source", CODE)
        return carry_out(BrowserKillLoop(archive, seed, site), kills)
