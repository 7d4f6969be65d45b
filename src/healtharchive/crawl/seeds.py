"""What became of the seeds: whether one led, over whatever redirects, to a page that was kept."""

from __future__ import annotations

from healtharchive.crawl.batch import Kind
from healtharchive.crawl.frontier import Frontier, url_key
from healtharchive.crawl.frontier_schema import DONE, IN_FLIGHT, QUEUED
from healtharchive.crawl.gate import REDIRECTS

FIRST_ERROR_STATUS = 400
Row = tuple[int, str, int, str | None, int | None]  # id, URL, state, reason, status
ROWS = (
    "SELECT urls.id, url, urls.state, urls.reason, captures.status FROM urls"
    " LEFT JOIN captures ON captures.url_id = urls.id"
)


def what_is_wrong(frontier: Frontier, *, complete: bool) -> str:
    """Why no seed counts as captured; empty when one does.

    A seed counts when its chain of redirects ends at a captured page in scope; in a crawl that a
    limit ended (not `complete`), also when that page is still queued.
    """
    wrong = ""
    for seed in frontier.ask(f"{ROWS} WHERE urls.kind = ?", (Kind.SEED,)):
        objection = _follow(frontier, *seed, complete=complete)
        if not objection:
            return ""
        wrong = wrong or objection
    return wrong


def _follow(
    frontier: Frontier,
    url_id: int,
    url: str,
    state: int,
    reason: str | None,
    status: int | None,
    *,
    complete: bool,
) -> str:
    seed, passed = url, {url_id}
    while state == DONE and status in REDIRECTS:
        target = _target(frontier, url_id)
        if target is None:
            return f"{url} answered {status} without saying where to go"
        found: list[Row] = frontier.ask(f"{ROWS} WHERE urls.key = ?", (url_key(target),))
        if not found:
            return f"{seed} leads to {target}, which is out of scope"
        url_id, url, state, reason, status = found[0]
        if url_id in passed:
            return f"{seed} leads in a circle, to {target} again"
        passed.add(url_id)
    if state in (QUEUED, IN_FLIGHT) and not complete:
        return ""
    if state == DONE and status is not None and status < FIRST_ERROR_STATUS:
        return ""
    said = f"{url} {reason or f'answered {status}'}"
    return said if url == seed else f"{seed} leads to {said}"


def _target(frontier: Frontier, url_id: int) -> str | None:
    rows = frontier.ask("SELECT target FROM redirects WHERE url_id = ?", (url_id,))
    return str(rows[0][0]) if rows else None
