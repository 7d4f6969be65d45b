"""What is there after kills: processes, and records against what the frontier says of them."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.lab import truth
from tests.lab.archive import Archive
from tests.lab.truth import Held

# -- processes -----------------------------------------------------------------------------


def lives(process: psutil.Process) -> bool:
    """Whether it is there, and more than a zombie."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def processes_of(name: str) -> set[psutil.Process]:
    """All living processes, whoever their parent is, that name this in command line or environment.

    Worker, crawl child, driver and Chromium name the data directory; conmon its container; a
    crawler in a container its seed.
    """
    found = set()
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = (*each.cmdline(), *each.environ().values())
            if any(name in word for word in words) and lives(each):
                found.add(each)
    return found


def end_all(directory: Path) -> None:
    """End whatever a failed loop left."""
    for each in processes_of(str(directory)):
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()


# -- the frontier and the WARC files -------------------------------------------------------


def ask(frontier: Path, query: str) -> list[tuple[Any, ...]]:
    """The rows of a question to a frontier; none while its tables are being made."""
    if not frontier.exists():
        return []
    with closing(sqlite3.connect(f"{frontier.as_uri()}?mode=ro", uri=True, timeout=10.0)) as reader:
        made = reader.execute("SELECT count(*) FROM sqlite_master WHERE name = 'urls'").fetchone()
        return reader.execute(query).fetchall() if made[0] else []


def confirmed_files(frontier: Path, scratch: Path) -> list[Path]:
    """The sealed WARC files, and a copy of the part of each open one that a commit confirmed."""
    files = truth.warc_files(frontier.parent)
    confirmed = dict(ask(frontier, "SELECT name, confirmed_bytes FROM segments"))
    for path in frontier.parent.glob("warcs/*.open"):
        copy = scratch / path.name.removesuffix(".open")
        copy.write_bytes(path.read_bytes()[: confirmed.get(copy.name, 0)])
        files.append(copy)
    return files


@dataclass(frozen=True, slots=True)
class Holdings:
    """All captures that WARC files hold, those of them that stand for no URL, and what is wrong."""

    held: list[Held]
    aside: list[Held]
    wrong: list[str]


def holdings(files: Iterable[Path], frontier: Path) -> Holdings:
    """Compare WARC files with what a frontier says of them, capture by capture."""
    held = {(each.file, each.offset): each for each in truth.read_captures(files)}
    query = (
        "SELECT segment, record_offset, url FROM captures LEFT JOIN urls ON urls.id = url_id"
        " WHERE captures.kind IN ('response', 'revisit')"
    )
    known = {(segment, offset): url for segment, offset, url in ask(frontier, query)}
    wrong = [f"no record of {known[at]} at {at}" for at in sorted(known.keys() - held.keys())]
    wrong += [f"unknown record of {held[at].url} at {at}" for at in sorted(held.keys() - known)]
    aside = []
    for at in known.keys() & held.keys():
        if known[at] is None:
            aside.append(held[at])
        elif known[at] != held[at].url:
            wrong.append(f"{held[at].url} at {at}, not {known[at]}")
    # That no URL has two captures is a constraint of the table.
    query = "SELECT url FROM urls WHERE state = 2 AND id NOT IN (SELECT url_id FROM captures"
    without = ask(frontier, f"{query} WHERE url_id IS NOT NULL)")
    wrong += [f"done without a capture: {url}" for (url,) in without]
    return Holdings(list(held.values()), aside, wrong)


# -- the job -------------------------------------------------------------------------------


def incomprehensible_retries(archive: Archive, job: dict[str, Any]) -> list[str]:
    """Retries of the job that the kills do not explain.

    A crawl that is killed before it got on spends one, and one that got on has none spent.
    """
    spent, wrong = 0, []
    for event in archive.ask("why", "job", str(job["id"]))["events"]:
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
