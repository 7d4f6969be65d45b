"""Past failure 7 of the predecessor (2026-02-04): after a reboot, 50 GB on the root disk."""

from __future__ import annotations

import pytest

from tests.lab import mounts
from tests.lab.predecessor_box import BOX, HERE, PATIENCE_SECONDS, THERE, boxed, listing
from tests.lab.processes import wait_for


@pytest.mark.timeout(600)
def test_after_a_reboot_without_the_mount_not_a_byte_is_written_where_it_should_be() -> None:
    """There: the mount was missing after a reboot, its directories were ordinary ones, and crawls
    wrote 50 GB to the root disk. Here: although the database still says that all is well, and no
    steward has looked yet, a job's path is seen to be no mount before anything is started: the job
    waits, the other one runs, and below the unmounted paths there is not one byte. With the steward
    it stays so for as long as the server is away; then the job goes on."""
    with boxed(HERE, THERE) as box:
        box.server.end()
        box.reboot()
        bare = (box.root, box.hot_path(THERE))
        before = [listing(path) for path in bare]
        reboot = box.last_event()
        assert box.state() == "closed", "the database knows of no reboot"

        def parked() -> list[str]:
            told = box.told("job", str(box.jobs[THERE]), "park")
            return [why for event, why in told if event > reboot]

        with box.running("worker"):
            reasons = wait_for(parked, what="the job is parked", seconds=PATIENCE_SECONDS)
            assert "is no mount point" in reasons[0] or "wrong_mount" in reasons[0]
            box.wait_until_captured(HERE)
        assert [listing(path) for path in bare] == before == [[], []]

        with box.running("steward", "worker"):
            box.wait_until_open()
            claims = box.claims(THERE)
            hot = f"hot-{box.jobs[THERE]}"
            box.wait_until_open(hot)
            assert [listing(path) for path in bare] == [[], []]
            assert box.claims(THERE) == claims
            with mounts.again(box.server):
                box.wait_until_captured(THERE)
                box.wait_until_well()
                box.assert_whole(HERE, THERE)
            assert [e for e, _ in box.told("target", BOX, "recovery_done") if e > reboot]
