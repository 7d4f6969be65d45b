"""A process that was stopped while it held the right to write the index does not hold up all."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from healtharchive.model.database import Database
from healtharchive.model.errors import SetupError
from healtharchive.model.orders import IndexOrder, Report
from healtharchive.model.rescues import list_leases, rescue
from healtharchive.search import writing
from healtharchive.search.index import FORMAT, LOCK_NAME, SearchIndex
from healtharchive.search.pipeline import Tools, index_job
from healtharchive.search.query import Query, search
from tests.lab.captured import Page, add_segment, claim_index, completed_job, html_page, page_record
from tests.lab.processes import kill, wait_for
from tests.lab.queue import ACTOR

STOPPED_WRITER = """
import os, signal, sys
from pathlib import Path
from healtharchive.search.writing import Turn, sole_writer
turn = Turn(int(sys.argv[2]), int(sys.argv[3]), lambda job, fence: False)
with sole_writer(Path(sys.argv[1]), turn):
    os.kill(os.getpid(), signal.SIGSTOP)
"""
PAGE = Page("/en/measles", html_page("Measles", "Children are vaccinated against measles."))


@contextmanager
def stopped_writer(index_dir: Path, order: IndexOrder) -> Iterator[subprocess.Popen[bytes]]:
    """A process of this attempt, stopped while it writes the index."""
    SearchIndex(index_dir)
    lock = index_dir / FORMAT / LOCK_NAME
    words = [str(lock), str(order.job_id), str(order.fence)]
    with subprocess.Popen([sys.executable, "-c", STOPPED_WRITER, *words]) as process:
        try:
            wait_for(
                lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED,
                what="it is stopped",
            )
            yield process
        finally:
            process.kill()


def captured(database: Database, root: Path) -> IndexOrder:
    """A captured job whose indexing has just been claimed."""
    order = completed_job(database, root)
    add_segment(order, [page_record(PAGE)])
    return claim_index(database, order)[1]


def test_a_stopped_attempt_that_is_over_is_ended_by_the_next(
    database: Database, tmp_path: Path
) -> None:
    index_dir = tmp_path / "search"
    order = captured(database, tmp_path / "jobs")
    reports: list[Report] = []
    with stopped_writer(index_dir, order) as stopped:
        with database.begin() as connection:
            (lease,) = list_leases(connection)
            assert rescue(database, connection, lease, actor=ACTOR, why="the test wants it")
        _, newer = claim_index(database, order)
        tools = Tools(database, SearchIndex(index_dir), ACTOR, reports.append, lambda: None)
        index_job(newer, tools)
        assert stopped.wait(10) == -signal.SIGKILL
    assert search(index_dir, Query(text="measles")).total == 1
    (note,) = [each for each in reports if each.kind == "note"]
    assert note.evidence == {"pid": stopped.pid}


def test_one_whose_attempt_is_not_over_is_left_alone_and_named(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "STOPPED_PATIENCE_SECONDS", 2.0)
    index_dir = tmp_path / "search"
    order = captured(database, tmp_path / "jobs")
    another = captured(database, tmp_path / "jobs")
    with stopped_writer(index_dir, order) as stopped:
        tools = Tools(database, SearchIndex(index_dir), ACTOR, lambda _: None, lambda: None)
        with pytest.raises(SetupError) as refused:
            index_job(another, tools)
        assert f"process {stopped.pid} for job {order.job_id}, which is stopped" in str(
            refused.value
        )
        kill(stopped.pid, signal.SIGCONT)
        assert stopped.wait(10) == 0
        index_job(another, tools)
    assert search(index_dir, Query(text="measles")).total == 1
