"""The kill loop of the browser engine: whatever takes part in a crawl is killed, part by part.

Renderer, browser, playwright's driver, crawl child and worker get SIGKILL in random order. A killed
worker has no successor at first: all below it must end by itself, and what is confirmed is there.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from fastwarc.warc import ArchiveIterator, WarcRecordType

from healtharchive.warc.companions import TEXT_PREFIX
from tests.faults.kill_loop import KillLoop
from tests.lab import truth
from tests.lab.archive import IMPATIENT, Archive, tail
from tests.lab.front_site import FrontSite, front_site
from tests.lab.processes import TooLate, descendants, is_alive, kill, kill_tree, wait_for
from tests.lab.truth import Held

CODE = "front"
# Kills in a row shall not turn the crawl into one without a browser.
NEVER_GIVEN_UP = "\n[browser]\nfailures = 1000\n"
TOPICS_A_KILL = 3  # pages that scripts build: more than a life takes to its end
TABS = 2
MOST_PAGES = 2  # rendered in one life before its last moment
LONGEST_MOMENT_SECONDS = 1.0
PROGRESS_SECONDS = 40.0  # for one page, on a machine that has others to serve
VICTIM_SECONDS = 40.0  # for a browser to be there
REST_SECONDS = 20.0  # for all below a killed worker to be gone
LEASE_SECONDS = "30"  # nobody waits for its end: a dead worker is seen; a starved one is no victim
END_SECONDS = 1200.0
LEFT = ("browsers/*", "spill-*")  # what a killed child leaves to the next one to wipe
ENOUGH_RENDERERS = 5  # killed, to say that one of them must have had a page
LAST_TRY = 2  # of the source's three, counted from zero
PARTIAL = (206, 304, 416)
FRAMED = ("/embedded/notice.html", "/offline/offline.html")  # documents within other pages
MEASURED = "/api/measure"  # what the pages tell the site about themselves, by POST
RENDERER, BROWSER, DRIVER, CHILD, WORKER = "renderer", "browser", "driver", "crawl child", "worker"
VICTIMS = (RENDERER, BROWSER, DRIVER, CHILD, WORKER)


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
            if _lives(each) and is_a(victim, " ".join(each.cmdline())):
                found.append(each)
    return found


def processes_of(directory: Path) -> set[psutil.Process]:
    """All living processes, whoever their parent is, that name this directory in command line or
    environment: worker, crawl child, driver and Chromium all do."""
    found = set()
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = (*each.cmdline(), *each.environ().values())
            if any(str(directory) in word for word in words) and _lives(each):
                found.add(each)
    return found


def end_all(directory: Path) -> None:
    """End whatever a failed loop left."""
    for each in processes_of(directory):
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()


def ask(frontier: Path, query: str) -> list[tuple[Any, ...]]:
    """The rows of a question to a frontier; none while its tables are being made."""
    if not frontier.exists():
        return []
    with closing(sqlite3.connect(f"{frontier.as_uri()}?mode=ro", uri=True, timeout=10.0)) as reader:
        made = reader.execute("SELECT count(*) FROM sqlite_master WHERE name = 'urls'").fetchone()
        return reader.execute(query).fetchall() if made[0] else []


def rendered_pages(frontier: Path) -> int:
    """How many pages are committed together with what a browser saw in them."""
    query = "SELECT count(*) FROM captures WHERE url_id IS NOT NULL AND records > 2"
    return sum(number for (number,) in ask(frontier, query))


def tries_spent(frontier: Path) -> dict[str, int]:
    """How many tries were spent on each URL, where any were."""
    return dict(ask(frontier, "SELECT url, tries FROM urls WHERE tries > 0"))


class BrowserKillLoop(KillLoop):
    """Every round of kills has each victim once, in random order.

    `wrong` is what was found in the midst of it. Lives are counted in pages, so that the crawl
    gets on with each of them, however slow the machine is.
    """

    patience_seconds = 300.0

    def __init__(self, archive: Archive, seed: int, site: FrontSite) -> None:
        super().__init__(archive, seed)
        self.seed = seed
        self.wrong: list[str] = []
        self.killed: Counter[str] = Counter()
        self.may_spend = 0  # tries that the kills so far may have cost
        self._site = site
        self._round: list[str] = []
        self._browser_lost_in: int | None = None  # the last child that lost a browser
        self._seen: set[psutil.Process] = set()
        self._left: set[Path] = set()  # by children that were killed

    def _strike(self, child: int) -> None:
        if not self._round:
            self._round = self.random.sample(VICTIMS, len(VICTIMS))
        victim = self._round[-1]
        life = self._live_by_pages(child)
        self._seen.update(descendants(self.worker.pid))
        if not self._kill(victim, child):
            return
        self._round.pop()
        self.killed[victim] += 1
        self._note(victim, life)
        self._judge_tries()
        if victim == CHILD:
            self._left.update(left_in(self.frontier.parent))
        if victim == WORKER:
            self.worker.wait()
            self._rest()
            self._left.update(left_in(self.frontier.parent))
            self.worker = self.archive.start_worker()

    def _live_by_pages(self, child: int) -> str:
        """Let some pages be rendered, and then a moment pass; how long, in words."""
        pages = self.random.randint(0, MOST_PAGES)
        moment = self.random.uniform(0.0, LONGEST_MOMENT_SECONDS)
        before = rendered_pages(self.frontier)
        wanted = before + pages
        with contextlib.suppress(TooLate):  # then it is killed all the same
            wait_for(
                lambda: rendered_pages(self.frontier) >= wanted or not is_alive(child),
                what=f"{pages} more pages",
                seconds=PROGRESS_SECONDS * max(1, pages),
            )
        if is_alive(child) and rendered_pages(self.frontier) > before:
            self._tell(f"not wiped: {path}" for path in self._left if path.exists())
            self._left.clear()
        with contextlib.suppress(TooLate):
            wait_for(lambda: not is_alive(child), what="it ends", seconds=moment)
        return f"{moment:.2f} s after {pages} more pages"

    def _kill(self, victim: str, child: int) -> bool:
        """Whether there was such a victim. Nobody but it gets the signal."""
        if victim in (CHILD, WORKER):
            return kill(child if victim == CHILD else self.worker.pid)
        found: list[psutil.Process] = []

        def there_or_over() -> bool:
            found[:] = below(child, victim)
            return bool(found) or not is_alive(child)

        with contextlib.suppress(TooLate):
            wait_for(there_or_over, what=f"a {victim}", seconds=VICTIM_SECONDS)
        if not found or not kill(self.random.choice(found).pid):
            return False
        # A page that lost its browser is rendered once more; if it loses that one too, it has
        # spent a try. A tab that dies while it opens takes its browser with it.
        again = self._browser_lost_in == child
        self.may_spend += TABS if again else int(victim == RENDERER)
        self._browser_lost_in = child
        return True

    def _judge_tries(self) -> None:
        spent = tries_spent(self.frontier)
        if sum(spent.values()) > self.may_spend:
            why = dict(ask(self.frontier, "SELECT url, reason FROM urls WHERE reason != ''"))
            self._tell([f"tries {spent}, at most {self.may_spend} due: {why}"])

    def _rest(self) -> None:
        """Nobody takes over yet: all below the worker ends, and what is confirmed is there."""
        self._tell(self._still_running())
        with tempfile.TemporaryDirectory(prefix="lab-rest-") as scratch:
            files = confirmed_files(self.frontier, Path(scratch))
            self._tell(differences(files, self.frontier, self._site))

    def _tell(self, wrong: Iterable[str]) -> None:
        """Remember what is wrong, and say it at once."""
        for each in wrong:
            self.wrong.append(f"after kill {self.kills}: {each}")
            print(f"WRONG  {self.wrong[-1]}", flush=True)

    def _still_running(self) -> list[str]:
        """Who has not ended after a while."""
        with contextlib.suppress(TooLate):
            wait_for(lambda: not self._alive(), what="all end", seconds=REST_SECONDS, every=0.3)
        return [f"still runs: {each}" for each in self._alive()]

    def _alive(self) -> set[psutil.Process]:
        """Whoever was ever seen below a worker and lives, and whoever else is of this archive."""
        seen = {each for each in self._seen if each.is_running() and _lives(each)}
        return seen | processes_of(self.archive.data_dir)

    def judge(self, job: dict[str, Any]) -> list[str]:
        """What is wrong after all; empty when the kills left no trace. The worker is stopped."""
        job_dir = self.frontier.parent
        wrong = self._still_running()
        if job["status"] != "indexed":
            wrong.append(f"the job is {job['status']}: {job['last_error']}")
        if self.killed[RENDERER] >= ENOUGH_RENDERERS and not tries_spent(self.frontier):
            wrong.append("no killed renderer has cost its page a try: none had a page")
        wrong += [f"left over: {path.name}" for path in left_in(job_dir)]
        wrong += [f"still open: {path.name}" for path in job_dir.glob("warcs/*.open")]
        files = truth.warc_files(job_dir)
        wrong += differences(files, self.frontier, self._site)
        wrong += incomplete(files, self.frontier, self._site)
        wrong += truth.warcio_check(files)
        wrong += incomprehensible_retries(self.archive, job)
        self._judge_tries()
        return self.wrong + wrong

    def summary(self, job: dict[str, Any]) -> str:
        """The figures of it, in words."""
        tries = sum(tries_spent(self.frontier).values())
        return (
            f"{self.kills} kills ({', '.join(f'{n} {who}' for who, n in self.killed.items())});"
            f" {job['counts']['done']} URLs,"
            f" {rendered_pages(self.frontier)} pages rendered; tries spent on URLs: {tries} of"
            f" {self.may_spend} due; retries of the job: {job['retry_count']}; seed {self.seed}"
        )


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def incomprehensible_retries(archive: Archive, job: dict[str, Any]) -> list[str]:
    """Retries of the job that the kills do not explain.

    A crawl that is killed before it got on spends one, and one that got on has none spent.
    """
    spent, wrong = 0, []
    for event in archive.ask("why", "job", str(job["id"])):
        evidence = event["evidence"]
        if event["what"] == "retry_later":
            spent += 1
            if evidence.get("signal") != "SIGKILL" or evidence.get("progressed"):
                wrong.append(f"a retry was spent: {event['why']} {evidence}")
        elif event["what"] == "release" and evidence.get("progressed"):
            spent = 0
    if job["retry_count"] != spent:
        wrong.append(f"{job['retry_count']} retries are spent, not {spent}")
    return wrong


# -- what the archive holds ----------------------------------------------------------------


def left_in(job_dir: Path) -> list[Path]:
    """Directories that are there while somebody works in them, and no longer."""
    return [path for pattern in LEFT for path in job_dir.glob(pattern)]


def confirmed_files(frontier: Path, scratch: Path) -> list[Path]:
    """The sealed WARC files, and a copy of the part of each open one that a commit confirmed."""
    files = truth.warc_files(frontier.parent)
    confirmed = dict(ask(frontier, "SELECT name, confirmed_bytes FROM segments"))
    for path in frontier.parent.glob("warcs/*.open"):
        copy = scratch / path.name.removesuffix(".open")
        copy.write_bytes(path.read_bytes()[: confirmed.get(copy.name, 0)])
        files.append(copy)
    return files


def differences(files: list[Path], frontier: Path, site: FrontSite) -> list[str]:
    """Where frontier and WARC files differ, or the files from what the site served."""
    held = {(each.file, each.offset): each for each in truth.read_captures(files)}
    query = (
        "SELECT segment, record_offset, url FROM captures LEFT JOIN urls ON urls.id = url_id"
        " WHERE captures.kind IN ('response', 'revisit')"
    )
    known = {(segment, offset): url for segment, offset, url in ask(frontier, query)}
    wrong = [f"no record of {known[at]} at {at}" for at in sorted(known.keys() - held.keys())]
    wrong += [f"unknown record of {held[at].url} at {at}" for at in sorted(held.keys() - known)]
    for at in known.keys() & held.keys():
        if known[at] is None:
            wrong += _whole_aside(held[at], site)
        elif known[at] != held[at].url:
            wrong.append(f"{held[at].url} at {at}, not {known[at]}")
    # That no URL has two captures is a constraint of the table.
    query = "SELECT url FROM urls WHERE state = 2 AND id NOT IN (SELECT url_id FROM captures"
    without = ask(frontier, f"{query} WHERE url_id IS NOT NULL)")
    wrong += [f"done without a capture: {url}" for (url,) in without]
    return [*wrong, *_unserved(held.values(), site)]


def _whole_aside(held: Held, site: FrontSite) -> list[str]:
    """A record without a URL answers a part of one, another method than GET, or is a document in
    a frame or of a service worker, which is captured by a visit of its own."""
    posted = {url for url, _ in site.truth.posts} | {site.url + MEASURED}
    if held.status in PARTIAL or held.url in posted or held.url.removeprefix(site.url) in FRAMED:
        return []
    return [f"{held.url} is recorded aside, with status {held.status}"]


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
        # A page whose tries all ended with its renderer is kept as it was served.
        right = [page.phrase in text for text in texts[page.url]]
        if right != [True] and tries.get(page.url, 0) < LAST_TRY:
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
        loop = BrowserKillLoop(archive, seed, site)
        try:
            enough = loop.run(kills)
            job = loop.finish(END_SECONDS)
            loop.worker.terminate()
            loop.worker.wait(REST_SECONDS)
            wrong = loop.judge(job)
            if not enough:
                wrong.append(f"the crawl ended after {loop.kills} of {kills} kills")
            if wrong:
                print(tail(archive.worker_log))
            print(loop.summary(job))
        finally:
            kill_tree(loop.worker)
            end_all(Path(directory))
    return wrong
