"""Memory of a crawl while it goes on: of the crawl child, and of the browser and driver below it.

Chromium's processes share much. A process's share (PSS, proc_pid_smaps(5)) counts what several have
once over all; the resident sizes (RSS) count it again for each. The share of what has not changed
depends on who else runs the same programs on this machine, the resident size does not.
"""

from __future__ import annotations

import contextlib
import statistics
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from healtharchive.crawl.browser.profile import memory_bytes
from tests.lab.processes import descendants

EVERY_SECONDS = 1.0
END_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One look: pages done by then; shares and resident sizes of the child and of all below it."""

    pages: int
    crawler_bytes: int
    browser_bytes: int
    crawler_resident_bytes: int
    browser_resident_bytes: int


@dataclass(frozen=True, slots=True)
class Level:
    """What was seen on the way to a page: medians, and the highest share of all processes."""

    pages: int
    crawler_bytes: float
    browser_bytes: float
    crawler_resident_bytes: float
    browser_resident_bytes: float
    highest_bytes: int


def look(pid: int, pages: int) -> Sample:
    """The memory of a process and of all below it, now; zero for what is gone."""
    below = [each.pid for each in descendants(pid)]
    return Sample(
        pages,
        memory_bytes(pid),
        sum(memory_bytes(each) for each in below),
        _resident(pid),
        sum(_resident(each) for each in below),
    )


def _resident(pid: int) -> int:
    with contextlib.suppress(psutil.Error):
        return int(psutil.Process(pid).memory_info().rss)
    return 0


@contextmanager
def sampling(
    pid: int, pages: Callable[[], int], every_seconds: float = EVERY_SECONDS
) -> Iterator[list[Sample]]:
    """Look again and again for as long as the block; the list grows while there is a browser.

    An error of `pages` is raised at the block's end.
    """
    samples: list[Sample] = []
    failed: list[Exception] = []
    ended = threading.Event()

    def watch() -> None:
        try:
            while True:
                sample = look(pid, pages())
                if sample.browser_bytes:
                    samples.append(sample)
                if ended.wait(every_seconds):
                    return
        except Exception as error:  # a thread's end: told to whoever is measured for
            failed.append(error)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join(END_SECONDS)
    if failed:
        raise failed[0]


def levels(samples: Sequence[Sample], marks: Sequence[int], width: int) -> list[Level]:
    """Of each mark: what was seen during the last `width` pages before it, one browser's life."""
    found = []
    for mark in marks:
        near = [each for each in samples if mark - width < each.pages <= mark]
        if near:
            found.append(
                Level(
                    mark,
                    statistics.median(each.crawler_bytes for each in near),
                    statistics.median(each.browser_bytes for each in near),
                    statistics.median(each.crawler_resident_bytes for each in near),
                    statistics.median(each.browser_resident_bytes for each in near),
                    max(each.crawler_bytes + each.browser_bytes for each in near),
                )
            )
    return found


def slope(samples: Sequence[Sample], size: Callable[[Sample], int], least: int) -> float:
    """Bytes a page: the straight line through all samples from page `least` on (least squares)."""
    seen = [each for each in samples if each.pages >= least]
    pages, sizes = [each.pages for each in seen], [size(each) for each in seen]
    return statistics.linear_regression(pages, sizes).slope
