"""Past failure 6 of the predecessor (2026-02-02): a watchdog that saw stale mounts, and skipped."""

from __future__ import annotations

import pytest

from tests.lab.predecessor_box import ALSO, BOX, HERE, PATIENCE_SECONDS, boxed
from tests.lab.processes import wait_for


@pytest.mark.timeout(600)
def test_a_stale_path_of_a_waiting_job_is_seen_and_a_refused_repair_is_told_and_then_made() -> None:
    """There: the watchdog found the stale paths and filtered every one of them out, or was in a
    cooldown; it looked at running jobs only, its dry run took other code than its repair, and
    nobody was told. Here: the path of a job that has never run is looked at as well, before anybody
    claims it; a repair that a gate refuses is an event with its reason; the dry run prints the very
    steps; and the repair is made, without a person, as soon as the gate is open."""
    with boxed(HERE, ALSO) as box, box.running("steward", "worker"):
        box.wait_until_done(HERE, 2)
        hot = f"hot-{box.jobs[ALSO]}"
        before = box.last_event()
        box.deploy_lock.touch()
        box.kill_sshfs()
        for target in (BOX, hot):
            box.wait_until_open(target)
        refused = wait_for(
            lambda: [e for e in box.told("target", BOX, "recovery_refused") if e[0] > before],
            what="the refusal is told",
            seconds=PATIENCE_SECONDS,
        )
        assert [why for _, why in refused] == ["a deploy lock is set"]
        planned = box.archive.run("steward", "run", "storage", "--dry-run", "--target", BOX)
        assert "but not now: a deploy lock is set" in planned
        assert f"mount {box.root}: it is needed" in planned
        box.archive.run("resume", "--id", str(box.jobs[ALSO]))
        assert box.claims(ALSO) == []

        box.deploy_lock.unlink()
        box.wait_until_captured(HERE, ALSO)
        box.assert_whole(HERE, ALSO)
        (done,) = (e for e in box.told("target", BOX, "recovery_done") if e[0] > refused[0][0])
        assert done[0] < box.claims(ALSO)[0], "it was mended before anybody claimed the job"
