"""How an attempt ends: complete only when the counts add up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from healtharchive.crawl.batch import Kind
from healtharchive.crawl.frontier import Frontier
from healtharchive.crawl.seeds import what_is_wrong
from healtharchive.model.orders import Counts
from healtharchive.model.source import Limits

Outcome = Literal["complete", "limit", "stopped", "infra", "failed", "fenced"]


@dataclass(frozen=True, slots=True)
class Ending:
    """How it ended and why. `at_once`: what is in flight does not hold the end up."""

    outcome: Outcome
    reason: str = ""
    blame: str = ""
    counts: Counts | None = None
    evidence: dict[str, str | int | float | bool | None] = field(default_factory=dict)
    at_once: bool = True


class Progress(Protocol):
    """What the limits are compared with."""

    @property
    def pages(self) -> int:
        """Pages recorded in all attempts."""

    @property
    def total_bytes(self) -> int:
        """Compressed bytes recorded in all attempts."""

    @property
    def elapsed_seconds(self) -> float:
        """Crawl time of all attempts; the clock stands still while the job waits."""


def over_a_limit(limits: Limits, progress: Progress) -> Ending | None:
    """The limit that ends the crawl now, if one does."""
    if limits.pages is not None and progress.pages >= limits.pages:
        return Ending("limit", f"the limit of {limits.pages} pages is reached", at_once=False)
    if limits.total_bytes is not None and progress.total_bytes >= limits.total_bytes:
        return Ending("limit", f"the limit of {limits.total_bytes} bytes is reached")
    if limits.seconds is not None and progress.elapsed_seconds >= limits.seconds:
        return Ending("limit", f"the limit of {limits.seconds:g} seconds is reached")
    return None


def final_ending(ending: Ending, frontier: Frontier) -> Ending:
    """The ending with counts and evidence from the tables; `complete` is refused if they object.

    A crawl is complete when every URL is in one state, none is queued, every done URL has one
    capture, and at least one seed leads to a captured page with a good answer.
    """
    counts = frontier.count()
    outcome, reason, blame = ending.outcome, ending.reason, ending.blame
    if outcome in ("complete", "limit"):
        objection = _objection(counts, frontier, complete=outcome == "complete")
        if objection is not None:
            outcome, (blame, reason) = "failed", objection
    return Ending(outcome, reason, blame, counts, _evidence(frontier))


def _objection(counts: Counts, frontier: Frontier, *, complete: bool) -> tuple[str, str] | None:
    """Why this crawl must not be called finished: (blame, reason)."""
    if not counts.add_up:
        return "bug", f"the counts do not add up: {counts}"
    if complete and counts.queued + counts.in_flight:
        return "bug", f"{counts.queued + counts.in_flight} URLs are still queued"
    if not frontier.ask("SELECT 1 FROM urls WHERE kind = ? LIMIT 1", (Kind.SEED,)):
        return "job", "the source has no seed that is a URL"
    wrong = what_is_wrong(frontier, complete=complete)
    return ("site", f"no seed could be captured: {wrong}") if wrong else None


def _evidence(frontier: Frontier) -> dict[str, str | int | float | bool | None]:
    """The reasons for what was left out, with their numbers: reported, never silently cut."""
    evidence: dict[str, str | int | float | bool | None] = {}
    for reason, number in frontier.excluded_reasons(20):
        evidence[f"excluded: {reason}"] = number
    outside = frontier.ask(
        "SELECT host || ': ' || rule, found FROM out_of_scope ORDER BY found DESC LIMIT 20"
    )
    evidence.update({f"out of scope: {what}": number for what, number in outside})
    noted = frontier.ask("SELECT what, found FROM remarks ORDER BY found DESC LIMIT 20")
    evidence.update({f"noted: {what}": number for what, number in noted})
    return evidence
