"""What the archive has but does not show: who decided it, and which captures that means.

The bytes stay where they are; a suppressed capture only has the number of its suppression, and
every question of a reader leaves it out (`tables.SHOWN`). A rule is kept by URL or by the record's
place in its WARC file, so it also meets what is captured later, and captures that are made anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, update

from healtharchive.model.database import Database
from healtharchive.model.errors import BadInput, NotFound
from healtharchive.model.journal import Actor, record
from healtharchive.model.operator import reindex_job
from healtharchive.model.states import JobStatus
from healtharchive.model.tables import (
    BIGGEST_ID,
    SHOWN,
    archive_jobs,
    captures,
    reader_reports,
    segments,
    suppressions,
)
from healtharchive.model.withheld import LISTED, Found, hidden_by, portions, shown_among

NAMED_IN_EVENT = 100


class RuleKind(StrEnum):
    """What a suppression is of: one capture, all of a URL, or all URLs with a beginning."""

    CAPTURE = "capture"
    URL = "url"
    PREFIX = "prefix"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is not to be shown. Keys as in `captures`: `first_key` alone, or up to `end_key`.

    A rule for one capture has the place of its record: `record_offset` in the file `segment`.
    """

    kind: RuleKind
    url: str
    first_key: str
    end_key: str | None = None
    segment: str | None = None
    record_offset: int | None = None

    def meets(self, segment: str, record_offset: int, url_key: str) -> bool:
        """Whether a record is not to be shown."""
        if self.kind is RuleKind.CAPTURE:
            return self.segment == segment and self.record_offset == record_offset
        if self.end_key is None:
            return url_key == self.first_key
        return self.first_key <= url_key < self.end_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a rule was made, by which person, and the reader's report that asked for it."""

    why: str
    who: str
    report_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """A rule that was made; `captures` is how many it hides now. It is over when it was lifted."""

    id: int
    at: datetime
    rule: Rule
    why: str
    who: str
    report_id: int | None
    lifted_at: datetime | None
    lifted_why: str | None
    lifted_by: str | None
    captures: int


# -- deciding --------------------------------------------------------------------------------------


def rule_of_capture(connection: Connection, capture_id: int) -> Rule:
    """The rule that hides one capture. NotFound when there is none of this number."""
    query = (
        select(captures.c.url, captures.c.url_key, captures.c.record_offset, segments.c.name)
        .join(segments, segments.c.id == captures.c.segment_id)
        .where(captures.c.id == min(capture_id, BIGGEST_ID))
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(
            f"There is no capture {capture_id}.", "`healtharchive search` finds those there are."
        )
    return Rule(
        kind=RuleKind.CAPTURE,
        url=row.url,
        first_key=row.url_key,
        segment=row.name,
        record_offset=row.record_offset,
    )


def suppress(
    database: Database, connection: Connection, rule: Rule, reason: Reason, *, actor: Actor
) -> tuple[Suppression, bool]:
    """Make a rule and hide what it meets, with its event; the rule there is already, if any.

    The second value says whether it is new. NotFound when the report is not there.
    """
    known = connection.execute(_active().where(*_same(rule))).first()
    if known is not None:
        return get_suppression(connection, known.id), False
    if reason.report_id is not None:
        _require_report(connection, reason.report_id)
    now = database.now(connection)
    result = connection.execute(
        insert(suppressions).values(
            at=now,
            kind=rule.kind,
            url=rule.url,
            first_key=rule.first_key,
            end_key=rule.end_key,
            segment=rule.segment,
            record_offset=rule.record_offset,
            why=reason.why,
            who=reason.who,
            report_id=reason.report_id,
        )
    )
    assert result.inserted_primary_key is not None
    number = int(result.inserted_primary_key[0])
    hidden = captures.c.id.in_(select(captures.c.id).where(SHOWN, *_met_by(rule)))
    connection.execute(update(captures).where(hidden).values(suppressed_by=number))
    found = hidden_by(connection, number)
    record(
        connection,
        at=now,
        actor=actor,
        subject="suppression",
        subject_id=number,
        what="suppressed",
        why=reason.why,
        evidence={
            "kind": rule.kind,
            "url": rule.url,
            "who": reason.who,
            "report": reason.report_id,
            "captures": len(found),
            "named": [each.id for each in found[:NAMED_IN_EVENT]],
        },
    )
    return get_suppression(connection, number), True


def lift(
    database: Database, connection: Connection, number: int, *, who: str, why: str, actor: Actor
) -> list[Found]:
    """End a suppression, with its event; the captures that are shown again.

    What another one meets stays hidden by that. Their segments are to be indexed again, for the
    search index has nothing of them. NotFound; BadInput when it is over, or a job is being indexed.
    """
    known = get_suppression(connection, number)
    if known.lifted_at is not None:
        raise BadInput(f"Suppression {number} was lifted on {known.lifted_at:%Y-%m-%d}.", LISTED)
    now = database.now(connection)
    connection.execute(
        update(suppressions)
        .where(suppressions.c.id == number)
        .values(lifted_at=now, lifted_why=why, lifted_by=who)
    )
    before = hidden_by(connection, number)
    freed = captures.c.suppressed_by == number
    connection.execute(update(captures).where(freed).values(suppressed_by=None))
    # Many captures and few rules: each rule looks for its own among those.
    for other, rule in active_rules(connection):
        again = captures.c.id.in_(select(captures.c.id).where(SHOWN, *_met_by(rule)))
        connection.execute(update(captures).where(again).values(suppressed_by=other))
    shown = shown_among(connection, [each.id for each in before])
    found = [each for each in before if each.id in shown]
    _index_again(database, connection, found, actor, f"suppression {number} was lifted")
    record(
        connection,
        at=now,
        actor=actor,
        subject="suppression",
        subject_id=number,
        what="lifted",
        why=why,
        evidence={"who": who, "captures": len(found)},
    )
    return found


def apply_rules(
    connection: Connection,
    segment: str,
    placed: Mapping[int, str],
    numbers: Mapping[int, int],
) -> None:
    """Hide what active rules meet of the captures just stored in a segment.

    `placed` are their URL keys and `numbers` their own numbers, both by the record's offset.
    """
    rules = active_rules(connection)
    if not rules:
        return
    found: dict[int, list[int]] = {}
    for offset, key in placed.items():
        met = next((number for number, rule in rules if rule.meets(segment, offset, key)), None)
        if met is not None:
            found.setdefault(met, []).append(numbers[offset])
    for number, ids in found.items():
        for some in portions(ids):
            fresh = update(captures).where(captures.c.id.in_(some), SHOWN)
            connection.execute(fresh.values(suppressed_by=number))


# -- asking ----------------------------------------------------------------------------------------


def get_suppression(connection: Connection, number: int) -> Suppression:
    """One suppression, also when it is over; NotFound when there is none."""
    query = _listed().where(suppressions.c.id == min(number, BIGGEST_ID))
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"There is no suppression {number}.", LISTED)
    return _suppression(row)


def list_suppressions(connection: Connection, *, lifted: bool = False) -> list[Suppression]:
    """All that hide something, in their order; with `lifted` also those that are over."""
    query = _listed().order_by(suppressions.c.id)
    if not lifted:
        query = query.where(suppressions.c.lifted_at.is_(None))
    return [_suppression(row) for row in connection.execute(query)]


def find_suppression(connection: Connection, rule: Rule) -> int:
    """The number of the active suppression with this very rule; NotFound when there is none."""
    number = connection.execute(_active().where(*_same(rule))).scalar()
    if number is None:
        raise NotFound(f"There is no suppression of this {rule.kind}: {rule.url}", LISTED)
    return int(number)


def active_rules(connection: Connection) -> list[tuple[int, Rule]]:
    """What hides something now, each with its number, oldest first."""
    query = select(suppressions).where(suppressions.c.lifted_at.is_(None))
    return [(row.id, _rule(row)) for row in connection.execute(query.order_by(suppressions.c.id))]


# -- rows ------------------------------------------------------------------------------------------


def _active() -> Any:
    return select(suppressions.c.id).where(suppressions.c.lifted_at.is_(None))


def _same(rule: Rule) -> list[ColumnElement[bool]]:
    """The rows with this very rule."""
    wanted = {
        suppressions.c.kind: str(rule.kind),
        suppressions.c.first_key: rule.first_key,
        suppressions.c.end_key: rule.end_key,
        suppressions.c.segment: rule.segment,
        suppressions.c.record_offset: rule.record_offset,
    }
    return [
        column.is_(None) if value is None else column == value for column, value in wanted.items()
    ]


def _met_by(rule: Rule) -> list[ColumnElement[bool]]:
    """The captures that a rule meets, as `Rule.meets` says it."""
    if rule.kind is RuleKind.CAPTURE:
        place = select(segments.c.id).where(segments.c.name == rule.segment)
        return [
            captures.c.segment_id.in_(place),
            captures.c.record_offset == rule.record_offset,
        ]
    if rule.end_key is None:
        return [captures.c.url_key == rule.first_key]
    return [captures.c.url_key >= rule.first_key, captures.c.url_key < rule.end_key]


def _listed() -> Any:
    hidden = (
        select(func.count())
        .where(captures.c.suppressed_by == suppressions.c.id)
        .correlate(suppressions)
        .scalar_subquery()
    )
    return select(suppressions, hidden.label("captures"))


def _suppression(row: Row[Any]) -> Suppression:
    return Suppression(
        id=row.id,
        at=row.at,
        rule=_rule(row),
        why=row.why,
        who=row.who,
        report_id=row.report_id,
        lifted_at=row.lifted_at,
        lifted_why=row.lifted_why,
        lifted_by=row.lifted_by,
        captures=row.captures,
    )


def _rule(row: Row[Any]) -> Rule:
    return Rule(
        kind=RuleKind(row.kind),
        url=row.url,
        first_key=row.first_key,
        end_key=row.end_key,
        segment=row.segment,
        record_offset=row.record_offset,
    )


def _require_report(connection: Connection, report_id: int) -> None:
    query = select(reader_reports.c.id).where(reader_reports.c.id == min(report_id, BIGGEST_ID))
    if connection.execute(query).one_or_none() is None:
        raise NotFound(
            f"There is no report {report_id}.", "`healtharchive reports --all` shows all there are."
        )


def _index_again(
    database: Database, connection: Connection, found: Sequence[Found], actor: Actor, why: str
) -> None:
    """Have the segments of these captures indexed again, now or when their jobs' crawls end."""
    for some in portions(sorted({each.segment_id for each in found})):
        anew = update(segments).where(segments.c.id.in_(some), segments.c.indexed_at.is_not(None))
        connection.execute(anew.values(indexed_at=None))
    for job_id in sorted({each.job_id for each in found}):
        query = select(archive_jobs.c.status).where(archive_jobs.c.id == job_id)
        status = connection.execute(query).scalar_one()
        if status == JobStatus.INDEXING:
            raise BadInput(
                f"Job {job_id} is being indexed now.",
                f"Try again when it has ended: `healtharchive show-job --id {job_id}`.",
            )
        if status == JobStatus.INDEXED:
            reindex_job(database, connection, job_id, actor=actor, why=why)
