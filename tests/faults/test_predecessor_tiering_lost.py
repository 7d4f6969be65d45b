"""Past failure 12 of the predecessor (2026-04-20): a reboot lost the tiering of its jobs."""

from __future__ import annotations

import os
from contextlib import ExitStack

import pytest

from healtharchive.storage.mountinfo import mount_at, read_mounts
from tests.lab.predecessor_box import ALSO, BOX, HERE, PATIENCE_SECONDS, THERE, Boxed, boxed
from tests.lab.processes import wait_for


@pytest.mark.timeout(600)
def test_after_a_reboot_mounts_and_binds_are_made_again_before_a_job_on_them_starts() -> None:
    """There: a reboot took away the binds that lead a job's directory to the storage box; in their
    place stood a directory that nobody could write to, and the jobs failed on it until a person
    made the binds anew. Here: though the worker is there first, no job on them is started before
    the steward has mounted the box and bound every hot path, also those of jobs that have not run
    yet; and a directory in the way that nobody may enter does no harm."""
    with boxed(HERE, THERE, ALSO) as box:
        box.archive.run("resume", "--id", str(box.jobs[ALSO]))
        box.reboot()
        placeholders = [box.root, *(box.hot_path(each) for each in (THERE, ALSO))]
        for each in placeholders:
            assert os.listdir(each) == []
            each.chmod(0)
        reboot = box.last_event()

        def claimed() -> bool:
            return any(each > reboot for each in box.claims(THERE))

        with box.running("worker"), ExitStack() as undo:
            wait_for(claimed, what="a job on the box is claimed", seconds=PATIENCE_SECONDS)
            undo.enter_context(box.running("steward"))
            box.wait_until_captured(HERE, THERE, ALSO)
            box.wait_until_well()
            box.assert_whole(HERE, THERE, ALSO)
            assert all(mount_at(read_mounts(), each) is not None for each in placeholders)

        ((mended, _),) = (
            each for each in box.told("target", BOX, "recovery_done") if each[0] > reboot
        )
        for source in (THERE, ALSO):
            assert processes(box, source, reboot, mended) == [], "nothing runs before the mounts"
            assert len(processes(box, source, mended, box.last_event())) == 1


def processes(box: Boxed, source: str, after: int, before: int) -> list[int]:
    """The processes that were started to crawl a source between two events."""
    query = (
        "SELECT child_pid FROM attempts WHERE job_id = ? AND work = 'crawl'"
        " AND child_pid IS NOT NULL AND started_at > (SELECT at FROM events WHERE id = ?)"
        " AND started_at <= (SELECT at FROM events WHERE id = ?)"
    )
    return [int(row[0]) for row in box.ask(query, box.jobs[source], after, before)]
