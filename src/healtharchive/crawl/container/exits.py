"""What a crawler's exit code means: Browsertrix's table, zimit's codes, and the container's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["finished", "limit", "stopped", "full", "site", "crashed", "memory", "refused"]

# https://crawler.docs.browsertrix.com/user-guide/exit-codes/, and zimit's constants: 2 is a refused
# option, 32 and 33 are limits of its older versions. 3 is also what zimit ends with at SIGTERM.
CODES: dict[int, tuple[Kind, str]] = {
    0: ("finished", "it is done"),
    1: ("crashed", "an error that it does not name"),
    2: ("refused", "it refuses its options"),
    3: ("full", "the disk is full, or somebody stopped zimit"),
    8: ("crashed", "its own queue is gone"),
    9: ("crashed", "the crawl failed"),
    10: ("crashed", "its browser crashed"),
    11: ("stopped", "somebody interrupted it"),
    12: ("site", "too many pages failed"),
    13: ("stopped", "somebody stopped it at once"),
    14: ("limit", "its size limit is reached"),
    15: ("limit", "its time limit is reached"),
    16: ("full", "the disk is too full"),
    17: ("refused", "a fatal error"),
    18: ("site", "the site limits the rate"),
    21: ("site", "its proxy does not answer"),
    22: ("crashed", "its upload failed"),
    32: ("limit", "its size limit is reached"),
    33: ("limit", "its time limit is reached"),
    125: ("refused", "the container could not be started"),
    126: ("refused", "the image's program cannot be run"),
    127: ("refused", "the image has no such program"),
    137: ("crashed", "it was killed"),
    139: ("crashed", "a segmentation fault"),
    143: ("stopped", "somebody stopped it"),
}
DONE_WORDS = ("done", "complete")


@dataclass(frozen=True, slots=True)
class Exit:
    """How a crawler ended, and its code in words."""

    kind: Kind
    words: str
    code: int


def meaning(code: int, *, out_of_memory: bool, final_status: str, limit_hit: bool) -> Exit:
    """What to make of an ended crawler.

    `final_status` is what its log said last. zimit goes on after its crawl and may fail at making
    a ZIM file, which is nothing to us: the crawl was done.
    """
    if out_of_memory:
        return Exit("memory", "it used more memory than it may", code)
    kind, words = CODES.get(code, ("crashed", "a code that nobody documents"))
    if kind == "crashed" and code not in (137, 139) and final_status in DONE_WORDS:
        kind, words = "finished", f"the crawl is done, and what came after it failed ({code})"
    if kind == "finished" and limit_hit:
        kind, words = "limit", "its limit of pages is reached"
    return Exit(kind, words, code)
