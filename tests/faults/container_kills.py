"""The kill loop of the container engine: whatever takes part in a crawl is killed, part by part.

The container, the crawler within it, conmon, the crawl child, the worker, and container and child
together get SIGKILL in random order. The container of a killed child or worker runs on: it is the
next attempt's. At the end the archive holds what the site served, and nothing else is left.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import psutil
from fastwarc.warc import ArchiveIterator

from healtharchive.crawl.container.command import STATE_LABEL
from healtharchive.model.container import ContainerOptions
from tests.faults.aftermath import ask, holdings, lives, processes_of
from tests.faults.part_kills import CHILD, LEASE_SECONDS, WORKER, PartKillLoop, carry_out
from tests.lab import truth
from tests.lab.archive import IMPATIENT, Archive
from tests.lab.container import lab_options, podman, tell_at
from tests.lab.demo import strays
from tests.lab.processes import kill
from tests.lab.site import Site, serving

CODE = "lab"
# Kills in a row shall not turn the crawl over to another engine.
NEVER_GIVEN_UP: dict[str, Any] = {"restarts": 1000}
SMALL_KILLS = 12  # up to which a part of the site is enough
SMALL_PAGES = 40
DELAY_SECONDS = 0.5  # before each page
SHARE_OF_PAGES = 0.8  # of the URLs, or more
LEAST_PAGES = 3  # that a life may take: it is counted in them
CONTAINER, CRAWLER, CONMON, BOTH = "container", "crawler", "conmon", "crawl child and container"
LEFT = ("container", "warcs/*.open", "unpacked.warc")


# -- the container -------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """A container as podman has it: its main process and its conmon, as far as they live."""

    id: str
    main: psutil.Process | None
    conmon: psutil.Process | None

    def parts(self, victim: str) -> list[psutil.Process]:
        """Who is there in this part."""
        if victim == CONMON:
            return [self.conmon] if self.conmon else []
        if self.main is None:
            return []
        if victim == CRAWLER:
            with contextlib.suppress(psutil.NoSuchProcess):
                return [each for each in self.main.children() if lives(each)]
        return [self.main]


def containers_of(state: Path) -> list[Seen]:
    """The containers whose crawl has its frontier here, running or ended."""
    asked = podman("ps", "-aq", "--no-trunc", "--filter", f"label={STATE_LABEL}={state}").split()
    found = []
    for each in asked:
        with contextlib.suppress(AssertionError, ValueError, IndexError):  # it was taken away
            facts = json.loads(podman("container", "inspect", each))[0]["State"]
            main, conmon = _process(facts["Pid"]), _process(facts.get("ConmonPid", 0))
            found.append(Seen(each, main, conmon))
    return found


def _process(pid: int) -> psutil.Process | None:
    with contextlib.suppress(psutil.NoSuchProcess):
        if pid and lives(found := psutil.Process(pid)):
            return found
    return None


def remove_all(state: Path) -> None:
    """Remove whatever a failed loop left."""
    for each in containers_of(state):
        podman("rm", "--force", "--time", "0", each.id, check=False)


# -- the loop ------------------------------------------------------------------------------


class ContainerKillLoop(PartKillLoop):
    """Container, crawler, conmon, crawl child, worker of a crawl of the lab's site."""

    victims = (CONTAINER, CRAWLER, CONMON, BOTH, CHILD, WORKER)

    def __init__(self, archive: Archive, seed: int, site: Site, kills: int) -> None:
        super().__init__(archive, seed)
        self._site = site
        self._kills_wanted = kills
        self._state = self.frontier.parent
        self._captured: dict[str, str] = {}  # the id of each URL's record, once it was committed
        self._containers: set[str] = set()
        self._is_over = False
        self._shadow = archive.data_dir / "crawler-files"
        self._shadow.mkdir()

    def pages(self) -> int:
        """URLs that are committed."""
        return len(ask(self.frontier, "SELECT 1 FROM captures WHERE url_id IS NOT NULL"))

    def _live_by_pages(self, child: int) -> str:
        """The crawler is held before it has had its share: it has to outlast all lives."""
        work, captured = self._state / "container", self.pages()
        left = SHARE_OF_PAGES * len(self._site.truth.required) - captured
        share = int(left / (self._kills_wanted - self.kills + 1))
        if work.is_dir():
            hold_at = captured + max(LEAST_PAGES, share)
            tell_at(work, delay_seconds=DELAY_SECONDS, hold_at=hold_at)
        return super()._live_by_pages(child)

    def parts(self, child: int, victim: str) -> list[psutil.Process]:
        """The processes of a container as this, whoever started it."""
        return [part for each in containers_of(self._state) for part in each.parts(victim)]

    def hit(self, victim: str, found: list[psutil.Process], child: int) -> bool:
        """Kill one of them; a container by podman or by its main process, as chance has it."""
        if victim == BOTH:
            return super().hit(victim, found, child) | kill(child)
        if victim != CONTAINER or self.random.random() < 0.5:
            return super().hit(victim, found, child)
        running = [each.id for each in containers_of(self._state) if each.main in found]
        said = [podman("kill", "--signal", "KILL", each, check=False) for each in running]
        return any(said)

    def struck(self, victim: str) -> None:
        """What was captured is captured still; the crawler's files are kept for the end."""
        self._judge_captured()
        self._containers.update(each.id for each in containers_of(self._state))
        for path in self._state.glob("container/.tmp*/collections/*/archive/*.warc.gz"):
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                os.link(path, self._shadow / path.name)

    def others(self) -> set[psutil.Process]:
        """Living processes of this archive; those of a container too, once the crawl is over."""
        names = [self._site.seed_url, *self._containers] if self._is_over else []
        return super().others().union(*map(processes_of, names))

    def let_finish(self) -> None:
        """The crawler waits no more, and is not held."""
        if (work := self._state / "container").is_dir():
            tell_at(work)

    def differences(self, files: list[Path]) -> list[str]:
        """Where WARC files differ from the frontier, or from what the site serves."""
        found = holdings(files, self.frontier)
        unlike = truth.differences(found.held, self._site.truth)
        wrong = [str(each) for each in unlike if each.kind != "missing"]
        wrong += [f"{each.url} is recorded aside" for each in found.aside]
        return [*found.wrong, *wrong, *repeated(files)]

    def _judge_captured(self) -> None:
        query = "SELECT url, record_id FROM captures JOIN urls ON urls.id = url_id"
        now = dict(ask(self.frontier, query))
        before = self._captured
        self.tell(f"no longer captured: {url}" for url in before.keys() - now)
        self.tell(f"captured anew: {url}" for url in before.keys() & now if before[url] != now[url])
        self._captured = now

    def judge(self, job: dict[str, Any]) -> list[str]:
        """What is wrong after all; empty when the kills left no trace. The worker is stopped."""
        self._is_over = True
        self._judge_captured()
        wrong = super().judge(job)
        wrong += map(str, truth.compare(self._state, self._site.truth))
        wrong += truth.miscounts(self._state, job["counts"])
        wrong += strays(self._site)
        wrong += [f"left over: {path}" for each in LEFT for path in self._state.glob(each)]
        wrong += [f"left over: container {each.id[:12]}" for each in containers_of(self._state)]
        return [*wrong, *self._not_the_first(), *self._gave_up()]

    def _not_the_first(self) -> list[str]:
        """Of what the crawler recorded more than once, the first that is whole is captured."""
        return [
            f"a whole record was not adopted, and a later one was: {url}"
            for url, ids in whole_records(self._shadow).items()
            if self._captured.get(url) not in (None, ids[0])
        ]

    def _evidence(self) -> list[dict[str, Any]]:
        """What the engine said about the job, in its events."""
        events = self.archive.ask("why", "job", str(self.archive.job()["id"]))["events"]
        return [each["evidence"] for each in events]

    def _gave_up(self) -> list[str]:
        said = [each for each in self._evidence() if "action" in each]
        return [f"not restarted: {each}" for each in said if each["action"] != "restart"]

    def summary(self, job: dict[str, Any]) -> str:
        """The figures of it, in words."""
        twice = sum(len(ids) > 1 for ids in whole_records(self._shadow).values())
        return (
            f"{self.victims_in_words()}; {job['counts']['done']} URLs,"
            f" {len(self._containers)} containers seen;"
            f" URLs that the crawler recorded more than once: {twice};"
            f" retries of the job: {job['retry_count']}; seed {self.seed}"
        )


# -- what the files hold -------------------------------------------------------------------


def repeated(files: list[Path]) -> list[str]:
    """Records that are there more than once, by their ids."""
    seen: Counter[str] = Counter()
    for path in files:
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream, parse_http=False):
                seen[str(record.record_id)] += 1
    return [f"{number} records have the id {each}" for each, number in seen.items() if number > 1]


def whole_records(directory: Path) -> dict[str, list[str]]:
    """By URL: the ids of the answers that the crawler wrote whole, each with its request, in order.

    The last of a file may be torn: its writer was killed.
    """
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for path in directory.glob("*.warc.gz"):
        with path.open("rb") as stream:
            for answer, request in itertools.pairwise(_facts(stream)):
                if answer["id"] == request["answers"]:
                    found[answer["url"]].append((answer["date"], answer["id"]))
    return {url: [each for _, each in sorted(dated)] for url, dated in found.items()}


def _facts(stream: BinaryIO) -> Iterator[dict[str, str]]:
    for record in ArchiveIterator(stream, parse_http=False):
        if len(record.reader.read()) != record.content_length:
            return
        fields = {"id": "WARC-Record-ID", "answers": "WARC-Concurrent-To", "date": "WARC-Date"}
        named = {name: str(record.headers.get(field, "")) for name, field in fields.items()}
        yield {**named, "url": str(record.headers.get("WARC-Target-URI", ""))}


# -- all of it -----------------------------------------------------------------------------


def source_toml(site: Site, options: ContainerOptions) -> str:
    """The lab's site as a source that is crawled in a container with these options."""
    lines = [f'engine = "container"\n{site.source_toml(CODE)}\n[container]']
    given = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    plain = dataclasses.asdict(ContainerOptions())
    lines += [f"{key} = {json.dumps(it)}" for key, it in given.items() if it != plain[key]]
    return "\n".join(lines) + "\n"


def run(
    kills: int, seed: int, *, pages: int | None = None, database_url: str | None = None
) -> list[str]:
    """Crawl the lab's site in containers with so many kills; what is wrong at the end."""
    settings = {**IMPATIENT, "LEASE_SECONDS": LEASE_SECONDS, "SEGMENT_BYTES": "1000000"}
    if database_url:
        settings["DATABASE_URL"] = database_url
    if pages is None and kills <= SMALL_KILLS:
        pages = SMALL_PAGES
    options = lab_options(**NEVER_GIVEN_UP)
    with (
        tempfile.TemporaryDirectory(prefix="lab-kill-") as directory,
        serving(pages, nasty=False) as site,
    ):
        archive = Archive(Path(directory), settings)
        archive.set_up(source_toml(site, options))
        archive.run("create-job", "--source", CODE)
        state = archive.job_dir()
        tell_at(state / "container", delay_seconds=DELAY_SECONDS, hold_at=LEAST_PAGES)
        try:
            return carry_out(ContainerKillLoop(archive, seed, site, kills), kills)
        finally:
            remove_all(state)
