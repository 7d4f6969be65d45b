"""Every mount hangs: `status`, the pages and the live probe answer; no process of ours waits."""

from __future__ import annotations

import statistics

import pytest

from tests.bench.hanging import Hanging, Lab, lab, measure, read_a_hanging_capture
from tests.lab.night import HEALTHY, SICK
from tests.lab.processes import is_alive, wait_for

SEED = 3
MOST_STATUS_SECONDS = 15.0  # on a machine that is busy with other tests; a hung call never ends
MOST_HEALTHZ_SECONDS = 1.0
HUNG_SECONDS = 20.0
REPAIR_SECONDS = 25.0


def judge(made: Lab, found: Hanging, when: str) -> None:
    """The times are printed and bounded generously; no thread of ours was blocked."""
    for name, values in (
        ("status", found.status_seconds),
        ("/healthz", found.healthz_seconds),
        ("/en/targets", found.page_seconds),
    ):
        middle, worst = statistics.median(values), max(values)
        print(f"{when}: {name}: median {middle:.3f} s, worst {worst:.3f} s of {len(values)}")
    print(f"{when}: {found.samples} looks, {len(found.stuck_children)} children waited for a file")
    assert found.blocked == set()
    assert max(found.status_seconds) < MOST_STATUS_SECONDS
    assert max(found.healthz_seconds) < MOST_HEALTHZ_SECONDS
    for name, pid in made.watched.items():
        assert is_alive(pid), f"{name} ended"


@pytest.mark.timeout(300)
def test_status_and_the_pages_answer_and_no_thread_waits_while_every_mount_hangs() -> None:
    print(f"seed {SEED}")
    with lab(SEED) as made:
        hung = measure(made, HUNG_SECONDS)
        judge(made, hung, "hung")
        # The same look finds the children that do wait: it is not blind.
        assert hung.stuck_children

        def both_are_sick() -> bool:
            said = measure(made, 0.5).status_said
            return all(f"target   {box}: " in said for box in (HEALTHY, SICK))

        wait_for(both_are_sick, what="status names both boxes", seconds=30.0)

        answer, took, others = read_a_hanging_capture(made)
        print(f"a capture on a hung mount was refused after {took:.1f} s")
        assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
        judge(made, others, "while a reader waits")

        made.lock.unlink()  # the steward unmounts and mounts; its servers still answer nothing
        judge(made, measure(made, REPAIR_SECONDS), "during repairs")
