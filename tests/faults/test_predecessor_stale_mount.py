"""Past failure 1 of the predecessor (2026-01-08): a stale mount under a running crawl."""

from __future__ import annotations

import errno

import pytest

from healtharchive.storage.probe import probe
from tests.lab import mounts
from tests.lab.predecessor_box import HERE, PATIENCE_SECONDS, THERE, boxed
from tests.lab.processes import wait_for

STARTS_PER_HOUR = 6


@pytest.mark.timeout(600)
def test_a_job_on_a_stale_mount_waits_and_goes_on_by_itself_while_the_others_run() -> None:
    """There: hot paths answered errno 107, and the worker, the metrics and every job failed until a
    person came 14 hours later. Here: that job alone is parked, without a retry, and is not started
    again while its target is down; the other crawl goes on; when the box is back the steward mounts
    it, and the job continues from its frontier."""
    with boxed(HERE, THERE) as box, box.running("steward", "worker"):
        for source in (HERE, THERE):
            box.wait_until_done(source, 3)
        box.server.end()
        box.kill_sshfs()
        job_id = str(box.jobs[THERE])
        parked = wait_for(
            lambda: box.told("job", job_id, "park"),
            what="the job is parked",
            seconds=PATIENCE_SECONDS,
        )
        hot_path = box.hot_path(THERE)
        assert probe(hot_path, 10.0, write=False).errno == errno.ENOTCONN
        claims, done = box.claims(THERE), box.done(HERE)
        box.wait_until_open()
        box.wait_until_done(HERE, done + 5)
        assert box.claims(THERE) == claims, "nobody starts it while its target is down"
        assert box.done(THERE) < box.done(HERE)

        with mounts.again(box.server):
            box.wait_until_captured(HERE, THERE)
            box.wait_until_well()
            box.assert_whole(HERE, THERE)
        assert len(box.claims(THERE)) <= STARTS_PER_HOUR
        assert len(box.claims(HERE)) == 1, "the healthy crawl was never disturbed"
        assert len(parked) == 1
        assert box.job(THERE)["park_count"] >= 1
