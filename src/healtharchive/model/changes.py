"""What changed from one capture of a page to the next: the rows that a feed is made of.

They are derived from the captures and their texts, and can be made anew at any time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    delete,
    exists,
    func,
    or_,
    select,
    tuple_,
    update,
)

from healtharchive.model.database import Database
from healtharchive.model.holdings import Holding
from healtharchive.model.leases import lease_lost
from healtharchive.model.tables import (
    SHOWN,
    archive_jobs,
    captures,
    changes,
    segments,
    snapshots,
    sources,
)

GONE = (404, 410)
NOT_MODIFIED = 304


class ChangeKind(StrEnum):
    """What happened to a page between two captures."""

    CONTENT = "content"
    BOILERPLATE = "boilerplate"  # its text differs, but only in what is no content
    NEW = "new"  # not there before, or back again
    GONE = "gone"
    REDIRECT = "redirect"
    ERROR = "error"


class Form(StrEnum):
    """What a capture found at its URL."""

    PAGE = "page"
    REDIRECT = "redirect"
    GONE = "gone"
    ERROR = "error"
    OTHER = "other"  # a picture, a style sheet, an empty page


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """One capture of a URL as it is compared; `key` is its page's in the search index."""

    id: int
    job_id: int
    source_id: int
    url: str
    url_key: str
    captured_at: datetime
    status_code: int | None
    text_digest: str | None
    segment: str
    record_offset: int

    @property
    def key(self) -> str:
        """Its page's key in the search index."""
        return f"{self.segment}:{self.record_offset}"

    @property
    def form(self) -> Form:
        """What was found."""
        status = self.status_code or 0
        if self.text_digest:
            return Form.PAGE
        if status in range(300, 400) and status != NOT_MODIFIED:
            return Form.REDIRECT
        if status in GONE:
            return Form.GONE
        return Form.ERROR if status >= 400 else Form.OTHER


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change to store. `examples` are JSON, the gravest first; `score` is 0 to 1."""

    from_capture: int | None
    to_capture: int
    source_id: int
    url: str
    url_key: str
    at: datetime
    kind: ChangeKind
    score: float
    added_words: int = 0
    removed_words: int = 0
    changed_sentences: int = 0
    examples: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedChange:
    """One change as a reader asks for it, with the names around it."""

    id: int
    from_capture: int | None
    from_at: datetime | None
    to_capture: int
    at: datetime
    source: str
    source_name: str
    url: str
    title: str | None
    language: str | None
    kind: str
    score: float
    added_words: int
    removed_words: int
    changed_sentences: int
    examples: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a list of changes one stands: the next page begins after it."""

    value: datetime | float
    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Which changes to list: newest first or gravest first, from `after` on."""

    source: str = ""
    url: str = ""  # exactly this
    url_key: str = ""  # the same URL's key: what the index of the table has
    since: datetime | None = None
    until: datetime | None = None
    least_score: float = 0.0
    order: Literal["time", "score"] = "time"
    after: Place | None = None
    limit: int = 50


# -- what is to be compared ------------------------------------------------------------------------


def compared_upto(connection: Connection, job_id: int) -> int:
    """The newest capture of a job that has been compared; 0 when none was."""
    query = select(archive_jobs.c.compared_upto).where(archive_jobs.c.id == job_id)
    return int(connection.execute(query).scalar_one())


def note_compared(connection: Connection, job_id: int, capture_id: int) -> None:
    """Note that the job's captures are compared up to this one; 0: none of them is."""
    connection.execute(
        update(archive_jobs).where(archive_jobs.c.id == job_id).values(compared_upto=capture_id)
    )


def require_unclaimed(connection: Connection, job_id: int, fence: int) -> None:
    """For a person's command: LeaseLost when the job was claimed since it had this token."""
    query = select(archive_jobs.c.id).where(
        archive_jobs.c.id == job_id, archive_jobs.c.fence == fence
    )
    if connection.execute(query.with_for_update()).one_or_none() is None:
        raise lease_lost(job_id, fence)


def editions_of_job(
    connection: Connection, job_id: int, after_id: int, limit: int
) -> list[Edition]:
    """The job's next captures after the one with this number, in the order of their numbers."""
    query = (
        _editions()
        .where(captures.c.job_id == job_id, captures.c.id > after_id)
        .order_by(captures.c.id)
        .limit(limit)
    )
    return [_edition(row) for row in connection.execute(query)]


def edition_before(connection: Connection, edition: Edition, *, errors: bool) -> Edition | None:
    """The capture of the same URL before this one, a failed one only when `errors` says so."""
    earlier = or_(
        captures.c.captured_at < edition.captured_at,
        and_(captures.c.captured_at == edition.captured_at, captures.c.id < edition.id),
    )
    query = _same_url(edition).where(earlier)
    if not errors:
        status = func.coalesce(captures.c.status_code, 0)
        query = query.where(or_(status < 400, status.in_(GONE)))
    newest = query.order_by(captures.c.captured_at.desc(), captures.c.id.desc()).limit(1)
    row = connection.execute(newest).one_or_none()
    return None if row is None else _edition(row)


def editions_after(connection: Connection, edition: Edition, limit: int) -> list[Edition]:
    """The next captures of the same URL that another job made, oldest first."""
    query = (
        _same_url(edition)
        .where(captures.c.captured_at >= edition.captured_at, captures.c.job_id != edition.job_id)
        .order_by(captures.c.captured_at, captures.c.id)
        .limit(limit)
    )
    return [_edition(row) for row in connection.execute(query)]


def neighbours(connection: Connection, source_id: int, job_id: int) -> tuple[bool, bool]:
    """Whether the source's other jobs have captures before this job's first one, and after it."""
    at = captures.c.captured_at
    first = connection.execute(select(func.min(at)).where(captures.c.job_id == job_id)).scalar()
    if first is None:
        return False, False
    others = (captures.c.source_id == source_id, captures.c.job_id != job_id)
    before, after = connection.execute(
        select(exists().where(*others, at < first), exists().where(*others, at >= first))
    ).one()
    return bool(before), bool(after)


# -- rows ------------------------------------------------------------------------------------------


def replace_changes(
    database: Database,
    connection: Connection,
    capture_ids: Sequence[int],
    found: Iterable[Change],
) -> None:
    """These are all the changes that lead to these captures."""
    if capture_ids:
        connection.execute(delete(changes).where(changes.c.to_capture.in_(capture_ids)))
    rows = [{**asdict(each), "examples": list(each.examples)} for each in found]
    if rows:
        # Somebody may compute the same at the same time: a person's command, and a worker.
        connection.execute(database.insert_ignore(changes), rows)


def list_changes(connection: Connection, wish: Wish) -> list[ListedChange]:
    """One page of changes. A page begun with `after` stays the same while changes are added."""
    column = changes.c.at if wish.order == "time" else changes.c.score
    query = _listed().where(*_conditions(wish))
    if wish.after is not None:
        query = query.where(tuple_(column, changes.c.id) < tuple_(wish.after.value, wish.after.id))
    query = query.order_by(column.desc(), changes.c.id.desc()).limit(wish.limit)
    return [_change(row) for row in connection.execute(query)]


def _conditions(wish: Wish) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [changes.c.score >= wish.least_score]
    if wish.source:
        found.append(sources.c.code == wish.source)
    if wish.url_key:
        found.append(changes.c.url_key == wish.url_key)
    if wish.url:
        found.append(changes.c.url == wish.url)
    if wish.since is not None:
        found.append(changes.c.at >= wish.since)
    if wish.until is not None:
        found.append(changes.c.at < wish.until)
    return found


def _listed() -> Select[Any]:
    before, after = captures.alias("before"), captures.alias("after")
    page = snapshots.alias("page")
    page_before = snapshots.alias("page_before")
    return (
        select(
            changes,
            before.c.captured_at.label("from_at"),
            sources.c.code.label("source"),
            sources.c.name.label("source_name"),
            func.coalesce(page.c.title, page_before.c.title).label("title"),
            func.coalesce(page.c.language, page_before.c.language).label("language"),
        )
        .join(sources, sources.c.id == changes.c.source_id)
        .join(after, after.c.id == changes.c.to_capture)
        .outerjoin(before, before.c.id == changes.c.from_capture)
        .outerjoin(page, page.c.capture_id == changes.c.to_capture)
        .outerjoin(page_before, page_before.c.capture_id == changes.c.from_capture)
        # Its sentences are those of both captures.
        .where(after.c.suppressed_by.is_(None), before.c.suppressed_by.is_(None))
    )


def _change(row: Row[Any]) -> ListedChange:
    return ListedChange(**{name: getattr(row, name) for name in ListedChange.__dataclass_fields__})


def _editions() -> Select[Any]:
    return (
        select(
            captures.c.id,
            captures.c.job_id,
            captures.c.source_id,
            captures.c.url,
            captures.c.url_key,
            captures.c.captured_at,
            captures.c.status_code,
            snapshots.c.text_digest,
            segments.c.name.label("segment"),
            captures.c.record_offset,
        )
        .join(segments, segments.c.id == captures.c.segment_id)
        .outerjoin(snapshots, snapshots.c.capture_id == captures.c.id)
        .where(SHOWN)
    )


def _same_url(edition: Edition) -> Select[Any]:
    """By the exact URL: http and https have one key, and one redirects to the other."""
    return _editions().where(
        captures.c.url_key == edition.url_key,
        captures.c.url == edition.url,
        captures.c.source_id == edition.source_id,
    )


def _edition(row: Row[Any]) -> Edition:
    return Edition(**row._mapping)


def around_pair(
    connection: Connection, old: Holding, new: Holding
) -> tuple[int | None, int | None]:
    """The pages captured of the same URL just before the one capture and just after the other."""
    at, number = snapshots.c.captured_at, snapshots.c.capture_id
    before = (
        select(number)
        .join(captures, captures.c.id == number)
        .where(snapshots.c.url_key == old.url_key, snapshots.c.url == old.url, SHOWN)
        .where(tuple_(at, number) < tuple_(old.captured_at, old.id))
        .order_by(at.desc(), number.desc())
    )
    after = (
        select(number)
        .join(captures, captures.c.id == number)
        .where(snapshots.c.url_key == new.url_key, snapshots.c.url == new.url, SHOWN)
        .where(tuple_(at, number) > tuple_(new.captured_at, new.id))
        .order_by(at, number)
    )
    return (
        connection.execute(before.limit(1)).scalar(),
        connection.execute(after.limit(1)).scalar(),
    )
