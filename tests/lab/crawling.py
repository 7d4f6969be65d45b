"""A crawl child without a worker: an order in, its reports out."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from healtharchive.model.orders import Command, CrawlOrder, Report
from healtharchive.model.source import Limits, Politeness, ScopeRules, Seed, SourceDefinition
from healtharchive.model.wire import from_line, to_line
from tests.lab.processes import kill_tree, wait_for
from tests.lab.site import HOST, Site

USER_AGENT = "HealthArchive-Test/1"
END_SECONDS = 240.0


def source_of(site_url: str, **limits: Any) -> SourceDefinition:
    """The lab's site as a source, asked as fast as it answers."""
    return SourceDefinition(
        code="lab",
        name="The lab's site",
        seeds=(Seed(f"{site_url}/", "en"),),
        scope=ScopeRules(hosts=(HOST,), exclude=("/excluded/",)),
        base_url=f"{site_url}/",
        politeness=Politeness(delay_seconds=0.0, concurrency=8, timeout_seconds=20.0),
        limits=Limits(**limits),
        allow_private_hosts=(HOST,),
    )


def order_for(
    site: Site, output: Path, fence: int = 1, *, source: SourceDefinition | None = None, **more: Any
) -> CrawlOrder:
    """An order to crawl the lab's site into a directory."""
    settings: dict[str, Any] = {"lease_seconds": 600.0, "segment_bytes": 3_000_000} | more
    return CrawlOrder(
        job_id=1,
        fence=fence,
        source=source or source_of(site.url),
        campaign="lab-2026",
        output_dir=str(output),
        operator="The lab",
        user_agent=USER_AGENT,
        **settings,
    )


class CrawlChild:
    """A running crawl child. Use it as a context manager: at the end it is killed if it still runs.

    `prefix` is put before its command, such as strace and its options.
    """

    def __init__(
        self, order: CrawlOrder, *, prefix: Sequence[str] = (), env: Mapping[str, str] | None = None
    ) -> None:
        self.frontier_path = Path(order.output_dir) / "frontier.sqlite"
        self.errors = Path(order.output_dir).with_suffix(f".a{order.fence}.log")
        self.errors.parent.mkdir(parents=True, exist_ok=True)
        self._log = self.errors.open("wb")
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "healtharchive.crawl"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        self._send(to_line(order))

    def __enter__(self) -> CrawlChild:
        return self

    def __exit__(self, *_: object) -> None:
        kill_tree(self.process)
        for stream in (self.process.stdin, self.process.stdout, self._log):
            if stream:
                stream.close()

    def tell(self, command: Command) -> None:
        """Send a command as the worker would."""
        self._send(to_line(command))

    def hang_up(self) -> None:
        """Close its stdin, as the death of its worker does."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def wait_for_urls(self, number: int, *, seconds: float = 60.0) -> None:
        """Until this many URLs are committed as done in its frontier."""
        wait_for(
            lambda: committed_urls(self.frontier_path) >= number,
            what=f"{number} captured URLs",
            seconds=seconds,
            every=0.02,
        )

    def reports(self) -> list[Report]:
        """Every report until its output ends."""
        assert self.process.stdout is not None
        return [from_line(Report, line) for line in self.process.stdout]

    def end(self) -> Report:
        """Its last report, which says how it ended; what it said on stderr when there is none."""
        return self.all_reports()[-1]

    def all_reports(self) -> list[Report]:
        """Every report, the last of which says how it ended."""
        reports = self.reports()
        wait_for(
            lambda: self.process.poll() is not None,
            what="the crawl child's end",
            seconds=END_SECONDS,
        )
        assert reports, self.errors.read_text()[-4000:]
        assert reports[-1].kind == "end", self.errors.read_text()[-4000:]
        return reports

    def _send(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()


def committed_urls(frontier_path: Path) -> int:
    """How many URLs a frontier calls done."""
    if not frontier_path.exists():
        return 0
    connection = sqlite3.connect(f"{frontier_path.as_uri()}?mode=ro", uri=True, timeout=5.0)
    try:
        row = connection.execute("SELECT count(*) FROM captures WHERE url_id IS NOT NULL")
        return int(row.fetchone()[0])
    except sqlite3.OperationalError:
        return 0  # its tables are being made
    finally:
        connection.close()


def crawl(order: CrawlOrder, **more: Any) -> Report:
    """Run an attempt to its end; its last report."""
    with CrawlChild(order, **more) as child:
        return child.end()
