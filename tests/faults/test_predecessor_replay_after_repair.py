"""Past failure 4 of the predecessor (2026-01-16): replay saw dead mounts after their repair."""

from __future__ import annotations

import httpx
import pytest

from healtharchive.model.states import JobStatus
from tests.lab import mounts
from tests.lab.predecessor_box import BOX, HERE, PATIENCE_SECONDS, THERE, Boxed, boxed
from tests.lab.processes import wait_for
from tests.lab.reader import served


def captured_page(box: Boxed, source: str) -> str:
    """The address of a captured page of a job among the web pages."""
    query = (
        "SELECT c.id FROM captures c JOIN snapshots s ON s.capture_id = c.id"
        " WHERE c.job_id = ? AND c.status_code = 200 ORDER BY c.id LIMIT 1"
    )
    return f"/raw/{box.ask(query, box.jobs[source])[0][0]}"


@pytest.mark.timeout(600)
def test_the_web_answers_503_while_a_target_is_down_and_the_capture_after_its_repair() -> None:
    """There: the replay container kept the dead mounts after they had been repaired and answered
    503 until it was restarted by hand, and a tiering unit stayed "failed" for a week unseen. Here:
    whoever reads a capture on a dead box is told to come back, every other page is there, and after
    the repair the same process gives the capture again; nothing is left failed."""
    with boxed(HERE, THERE) as box:
        with box.running("worker", "steward"):
            box.wait_until_captured(HERE, THERE, also_indexed=True)
        there, here = captured_page(box, THERE), captured_page(box, HERE)
        with (
            served(box.archive) as pages,
            box.running("steward"),
            httpx.Client(base_url=pages.site, trust_env=False, timeout=60.0) as client,
        ):

            def asked(address: str) -> tuple[int, bytes]:
                answer = client.get(address)
                assert (answer.status_code == 503) == ("Retry-After" in answer.headers)
                return answer.status_code, answer.content if answer.status_code == 200 else b""

            before = asked(there)
            assert (before[0], b"The lab's site" in before[1]) == (200, True)
            box.server.end()
            box.kill_sshfs()
            assert asked(there) == (503, b"")
            box.wait_until_open()
            assert asked(there) == (503, b"")
            assert asked(here)[0] == 200
            assert client.get("/en/targets").status_code == 200

            with mounts.again(box.server):
                box.wait_until_well()
                wait_for(
                    lambda: asked(there) == before,
                    what="the same web server gives the capture again",
                    seconds=PATIENCE_SECONDS,
                    every=0.5,
                )
                statuses = {box.job(each)["status"] for each in (HERE, THERE)}
                assert statuses == {JobStatus.INDEXED}
                assert box.told("target", BOX, "recovery_done")
