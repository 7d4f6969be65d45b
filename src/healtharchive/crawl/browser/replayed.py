"""What replaying a sample found, and whether a page replays well. Pure: records and numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from healtharchive.model.replays import Replays

SHINGLE_WORDS = 5
# A page without one of these is not the page: itself, a script, a style sheet.
NEEDED = ("document", "script", "style")


@dataclass(frozen=True, slots=True)
class Missing:
    """A request that a replayed page made and that the job has no answer to.

    `purpose` is what the browser wanted it for: script, style, image, … (Fetch §2.2.5, its
    destinations), or empty where that is not known. `why` is what became of its URL in the crawl.
    """

    method: str
    url: str
    purpose: str
    why: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """One page rendered from the archive alone, beside what it was when it was captured.

    `similarity` of the texts is 1.0 for the same text. `picture_difference` is the mean difference
    of the grey values, 0.0 for the same picture; None when there were not two. `missing` is all
    that was missing, bounded; `missing_count` counts the rest too. `failure`: why it could not be
    rendered. `skipped`: why nothing can be said of it, such as records that are not on this
    machine.
    """

    url: str
    similarity: float = 0.0
    title_kept: bool = False
    picture_difference: float | None = None
    requests: int = 0
    missing_count: int = 0
    missing: tuple[Missing, ...] = ()
    failure: str = ""
    skipped: str = ""

    @property
    def missing_needed(self) -> int:
        """How much is missing that it cannot do without."""
        return sum(each.purpose in NEEDED for each in self.missing)


@dataclass(frozen=True, slots=True)
class ReplayThresholds:
    """When a page replays well: its text is so similar, and at most so many of the requests it
    cannot do without are missing. Pictures are only shown: a moving page has many."""

    similarity: float = 0.9
    missing_needed: int = 0


def replays_well(page: Replayed, thresholds: ReplayThresholds) -> bool:
    """Whether a page replays well. One that was skipped does not, but is not judged either."""
    return (
        not page.failure
        and not page.skipped
        and page.similarity >= thresholds.similarity
        and page.missing_needed <= thresholds.missing_needed
    )


def summary(pages: Iterable[Replayed], thresholds: ReplayThresholds) -> Replays:
    """The sample in three numbers and its worst page, for the judgement of the crawl."""
    listed = list(pages)
    judged = [page for page in listed if not page.skipped]
    ill = [page for page in judged if not replays_well(page, thresholds)]
    worst = min(ill, key=_badness, default=None)
    return Replays(
        sampled=len(listed),
        well=len(judged) - len(ill),
        skipped=len(listed) - len(judged),
        worst=f"{worst.url} ({_trouble(worst)})" if worst else "",
    )


def _badness(page: Replayed) -> tuple[bool, float, int]:
    """Less for a worse page."""
    return not page.failure, page.similarity, -page.missing_needed


def _trouble(page: Replayed) -> str:
    if page.failure:
        return f"could not be rendered: {page.failure}"
    missing = f", {page.missing_needed} that it needs missing" if page.missing_needed else ""
    return f"text {page.similarity:.2f}{missing}"


def similarity(one: str, other: str) -> float:
    """How much two texts have in common, from 0.0 to 1.0: the part of all their shingles (five
    words in a row, each as often as it is there) that both have."""
    ours, theirs = _shingles(one), _shingles(other)
    both, all_of_them = (ours & theirs).total(), (ours | theirs).total()
    return both / all_of_them if all_of_them else 1.0


def _shingles(text: str) -> Counter[tuple[str, ...]]:
    """The shingles of a text; all of its words where there are fewer than one has."""
    words = text.split()
    last = max(len(words) - SHINGLE_WORDS, 0)
    return Counter(tuple(words[at : at + SHINGLE_WORDS]) for at in range(last + 1) if words)
