"""`make kill-loop` over a part of the corpus."""

from __future__ import annotations

from tests.faults import kill_loop


def test_row_37_killing_crawl_child_and_worker_leaves_no_trace_in_the_archive() -> None:
    assert kill_loop.run(50, seed=1, pages=40) == []
