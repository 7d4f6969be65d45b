"""A job's captures compared with what their pages said before, as one step after its indexing.

Batch by batch, each stored together with how far it came: an attempt that dies is continued by the
next one, and doing it all again gives the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy import Connection

from healtharchive.model import wire
from healtharchive.model.changes import (
    Change,
    ChangeKind,
    Edition,
    Form,
    compared_upto,
    edition_before,
    editions_after,
    editions_of_job,
    neighbours,
    note_compared,
    replace_changes,
)
from healtharchive.model.database import Database
from healtharchive.model.jobs import get_job
from healtharchive.model.leases import check_fence
from healtharchive.model.orders import IndexOrder
from healtharchive.search.compare.comparison import compare
from healtharchive.search.compare.document import document
from healtharchive.search.compare.texts import common_in_job, page_at
from healtharchive.search.compare.weighing import Weight, weigh
from healtharchive.search.index import SearchIndex
from healtharchive.search.pipeline import Tools

BATCH = 100
MOST_AFTER = 3  # later captures that a late arrival may come between
# How much it matters when there is nothing to compare word by word.
SCORES = {
    ChangeKind.GONE: 0.8,
    ChangeKind.REDIRECT: 0.5,
    ChangeKind.NEW: 0.3,
    ChangeKind.ERROR: 0.1,
}


def compare_after(order: IndexOrder, tools: Tools) -> int:
    """Compare what the order's job has brought, as its index attempt; how many changes there are.

    LeaseLost when the job has another token by now; OSError and database errors pass through, and
    so does what `check` raises.
    """

    def guard(connection: Connection) -> None:
        check_fence(connection, order.job_id, order.fence)

    comparer = Comparer(tools.database, tools.index, tools.check, guard)
    with tools.database.read() as connection:
        source_id = get_job(connection, order.job_id).source_id
    return comparer.compare_job(order.job_id, source_id)


@dataclass(slots=True)
class Comparer:
    """Compares jobs' captures. `check` raises when it is time to stop.

    `guard` is called in each write transaction; it raises when the writer has lost its turn.
    """

    database: Database
    index: SearchIndex
    check: Callable[[], None]
    guard: Callable[[Connection], None] = lambda _: None
    _common: dict[int, frozenset[str]] = field(default_factory=dict)

    def compare_job(self, job_id: int, source_id: int) -> int:
        """Compare what is not compared yet of a job; how many changes were found."""
        with self.database.read() as connection:
            earlier, later = neighbours(connection, source_id, job_id)
            upto = compared_upto(connection, job_id)
        found = 0
        while True:
            with self.database.read() as connection:
                batch = editions_of_job(connection, job_id, upto, BATCH)
                changes, looked_at = self._changes(connection, batch, earlier, later)
            if not batch:
                return found
            upto = batch[-1].id
            with self.database.begin() as connection:
                self.guard(connection)
                replace_changes(self.database, connection, looked_at, changes)
                note_compared(connection, job_id, upto)
            found += len(changes)

    def _changes(
        self, connection: Connection, batch: Sequence[Edition], earlier: bool, later: bool
    ) -> tuple[list[Change], list[int]]:
        """The changes that led to these captures, and to those that follow them in other jobs."""
        editions = {each.id: each for each in batch}
        if later:
            for each in batch:
                after = editions_after(connection, each, MOST_AFTER)
                editions.update((edition.id, edition) for edition in after)
        found = []
        for edition in editions.values():
            self.check()
            change = self._change(connection, edition, earlier or edition.job_id != batch[0].job_id)
            if change is not None:
                found.append(change)
        return found, list(editions)

    def _change(self, connection: Connection, edition: Edition, earlier: bool) -> Change | None:
        if edition.form is Form.OTHER:
            return None
        before = edition_before(connection, edition, errors=edition.form is Form.ERROR)
        kind = transition(before, edition, site_was_known=earlier)
        if kind is not ChangeKind.CONTENT or before is None:
            return None if kind is None else _plain(kind, before, edition)
        old, new = page_at(self.index, before.key), page_at(self.index, edition.key)
        if old is None or new is None:
            return None
        common = self._common_of(connection, before.job_id)
        weight = weigh_pages(old, new, common | self._common_of(connection, edition.job_id))
        return _weighed(weight, before, edition)

    def _common_of(self, connection: Connection, job_id: int) -> frozenset[str]:
        if job_id not in self._common:
            self._common[job_id] = common_in_job(connection, self.index, job_id)
        return self._common[job_id]


def transition(
    before: Edition | None, after: Edition, *, site_was_known: bool
) -> ChangeKind | None:
    """What happened to the page; CONTENT when its texts are still to be compared.

    A page without an earlier capture is new only if its site was captured before.
    """
    was = before.form if before else None
    if after.form is Form.PAGE:
        if was is Form.PAGE:
            same = before is not None and before.text_digest == after.text_digest
            return None if same else ChangeKind.CONTENT
        was_away = was in (Form.GONE, Form.REDIRECT)
        return ChangeKind.NEW if was_away or (was is None and site_was_known) else None
    if after.form is Form.GONE and was in (Form.PAGE, Form.REDIRECT):
        return ChangeKind.GONE
    if was is Form.PAGE and after.form in (Form.REDIRECT, Form.ERROR):
        return ChangeKind(after.form.value)
    return None


class Page(Protocol):
    """What a page says."""

    @property
    def title(self) -> str: ...

    @property
    def text(self) -> str: ...

    @property
    def language(self) -> str: ...


def weigh_pages(old: Page, new: Page, common: frozenset[str]) -> Weight:
    """How much the difference of two pages' texts matters."""
    before = document(old.title, old.text, old.language, (), common)
    after = document(new.title, new.text, new.language, (), common)
    return weigh(compare(before, after))


def _plain(kind: ChangeKind, before: Edition | None, after: Edition) -> Change:
    return Change(
        from_capture=before.id if before else None,
        to_capture=after.id,
        source_id=after.source_id,
        url=after.url,
        url_key=after.url_key,
        at=after.captured_at,
        kind=kind,
        score=SCORES[kind],
    )


def _weighed(weight: Weight, before: Edition, after: Edition) -> Change:
    return Change(
        from_capture=before.id,
        to_capture=after.id,
        source_id=after.source_id,
        url=after.url,
        url_key=after.url_key,
        at=after.captured_at,
        kind=ChangeKind.CONTENT if weight.score else ChangeKind.BOILERPLATE,
        score=weight.score,
        added_words=weight.added_words,
        removed_words=weight.removed_words,
        changed_sentences=weight.changed_sentences,
        examples=tuple(wire.to_plain(each) for each in weight.examples),
    )
