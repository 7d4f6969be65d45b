"""Which old events nobody asks for any more: whoever writes a new question of events looks here.

What is asked of events however old they are: the newest of a kind about a thing (`told`, `why`,
when a job's wait began, when it last failed, what its crawl left out); the state of a thing at
a moment (`incident`); whether a loss was told; which backups were tried or sent; how a process
that is still known began and ended. Nobody asks for an event that a later one of its kind
has made old, unless something that is kept names it as its cause.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Text,
    and_,
    cast,
    exists,
    func,
    or_,
    select,
)

from healtharchive.model.losses import FOUND_AGAIN
from healtharchive.model.remarks import KINDS as REMARKS
from healtharchive.model.restore_tests import BAD, GOOD, MADE, restore_tests
from healtharchive.model.restore_tests import SUBJECT as DATABASE
from healtharchive.model.retention_operation import HOLDER_CHARACTERS, HOLDER_MARK
from healtharchive.model.services import Service
from healtharchive.model.tables import actions, events
from healtharchive.model.tables_operation import services
from healtharchive.model.told import LOST

SEGMENT, TARGET = "segment", "target"
SENT, SENT_REMEMBERED = "send_backup", 400  # as many as the backup reconciler looks back at
APART = (DATABASE, SEGMENT, *(str(each) for each in Service))


def events_unread(connection: Connection, cutoff: datetime) -> ColumnElement[bool]:
    """Whether an event is older than the cutoff and nobody asks for it. See the module."""
    own = events.c
    newest = connection.execute(select(func.coalesce(func.max(own.id), 0))).scalar_one()
    later = events.alias("later")
    superseded = _exists(later, _same_thing(later, cutoff), _same_kind(later))
    return and_(
        own.at < cutoff,
        own.id < newest,  # else its number would be given again
        ~_names_it(),
        or_(
            and_(own.subject.not_in(APART), superseded, _sent_long_ago()),
            and_(own.subject == SEGMENT, _segment_unread(cutoff)),
            and_(own.subject == DATABASE, _backup_unread(connection, cutoff)),
            and_(own.subject.in_([*Service]), _process_unread(superseded)),
        ),
    )


def _exists(other: FromClause, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists(select(other.c.id).where(*conditions).correlate(events))


def _same_thing(later: FromClause, cutoff: datetime) -> ColumnElement[bool]:
    """A later one about the same thing; old as well, or how things were at the cutoff is lost."""
    return and_(
        later.c.subject == events.c.subject,
        later.c.subject_id == events.c.subject_id,
        later.c.id > events.c.id,
        later.c.at < cutoff,
    )


def _same_kind(later: FromClause) -> ColumnElement[bool]:
    """It says all that a reader looks for in the earlier one: a state, a crawl's remarks."""
    return and_(
        later.c.what == events.c.what,
        or_(events.c.to_state.is_(None), later.c.to_state.is_not(None)),
        or_(~_has_remarks(events), _has_remarks(later)),
    )


def _has_remarks(table: FromClause) -> ColumnElement[bool]:
    text = cast(table.c.evidence, Text)
    return or_(*(text.contains(f'"{kind}: ', autoescape=True) for kind in REMARKS))


def _names_it() -> ColumnElement[bool]:
    """Whether an event or an action that is still there names the event."""
    caused = events.alias("caused")
    return or_(
        _exists(caused, caused.c.caused_by == events.c.id),
        _exists(actions, actions.c.event_id == events.c.id),
    )


def _sent_long_ago() -> ColumnElement[bool]:
    sent = events.alias("sent")
    floor = (
        select(sent.c.id)
        .where(sent.c.subject == TARGET, sent.c.what == SENT)
        .where(sent.c.subject_id == events.c.subject_id)
        .order_by(sent.c.id.desc())
        .offset(SENT_REMEMBERED - 1)
        .limit(1)
        .correlate(events)
        .scalar_subquery()
    )
    is_one = and_(events.c.subject == TARGET, events.c.what == SENT)
    return or_(~is_one, func.coalesce(floor, 0) > events.c.id)


def _segment_unread(cutoff: datetime) -> ColumnElement[bool]:
    """There are as many as WARC files: each keeps its last state, and a loss that goes on."""
    state, told, loss = (events.alias(each) for each in ("state", "told", "loss"))
    own = events.c
    later_state = _exists(state, _same_thing(state, cutoff), state.c.to_state.is_not(None))
    later_word = told.c.what.in_((LOST, *FOUND_AGAIN))
    told_again = _exists(told, _same_thing(told, cutoff), later_word)
    loss_before = _exists(
        loss,
        loss.c.subject == own.subject,
        loss.c.subject_id == own.subject_id,
        loss.c.what == LOST,
        loss.c.id < own.id,
    )
    return and_(
        or_(own.to_state.is_(None), later_state),
        or_(own.what != LOST, told_again),
        or_(own.what.not_in(FOUND_AGAIN), ~loss_before),
    )


def _backup_unread(connection: Connection, cutoff: datetime) -> ColumnElement[bool]:
    """Tests stay, and every backup since the one that was last restored well."""
    later, good = events.alias("later_backup"), restore_tests(connection).good
    proven = select(func.max(events.c.id)).where(
        events.c.subject == DATABASE,
        events.c.what == MADE,
        events.c.subject_id == (good.subject_id if good else ""),
    )
    anchor = connection.execute(proven).scalar_one() or 0
    newer = _exists(
        later,
        later.c.subject == DATABASE,
        later.c.what == events.c.what,
        later.c.id > events.c.id,
        later.c.at < cutoff,
    )
    return and_(events.c.what.not_in((GOOD, BAD)), events.c.id < anchor, newer)


def _process_unread(superseded: ColumnElement[bool]) -> ColumnElement[bool]:
    """What a process said goes when its row has gone; of a machine the last of each kind stays."""
    holder = func.substr(services.c.holder, 1, HOLDER_CHARACTERS)
    known = _exists(services, services.c.service == events.c.subject, holder == events.c.subject_id)
    return and_(~known, or_(events.c.subject_id.contains(HOLDER_MARK), superseded))
