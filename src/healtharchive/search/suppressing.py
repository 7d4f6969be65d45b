"""Suppressing and lifting as one act: the database, the search index, and the list that is kept.

The list stands beside the WARC files, so that an archive made anew from them hides what this one
hid. It has no more than `healtharchive suppressions --json` prints.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from healtharchive.model.database import Database
from healtharchive.model.errors import SetupError
from healtharchive.model.journal import Actor
from healtharchive.model.kept_list import KEPT_NAME, list_text, parse_list
from healtharchive.model.suppression import (
    Reason,
    Rule,
    Suppression,
    lift,
    list_suppressions,
    suppress,
)
from healtharchive.model.withheld import Found, hidden_by, same_bodies
from healtharchive.search.index import SearchIndex
from healtharchive.search.indexed import remove_suppressed
from healtharchive.warc.segment import fsync_directory

PART_SUFFIX = ".part"


@dataclass(frozen=True, slots=True)
class Place:
    """Where it is done: the database, the directory of the index, and that of the WARC files."""

    database: Database
    search_dir: Path
    jobs_root: Path


@dataclass(frozen=True, slots=True)
class Done:
    """A suppression, whether it is new, and how many shown captures have a body that it hides."""

    suppression: Suppression
    new: bool
    same_bodies: int


def hide(place: Place, rule: Rule, reason: Reason, *, actor: Actor) -> Done:
    """Show nothing of what the rule meets, from now on; doing it again completes what was begun.

    When it returns, search finds nothing of it either. SetupError or OSError when the index or the
    list cannot be written: what is read from the database is hidden then.
    """
    database = place.database
    with database.begin() as connection:
        made, new = suppress(database, connection, rule, reason, actor=actor)
        others = same_bodies(connection, hidden_by(connection, made.id))
    if SearchIndex.exists(place.search_dir):
        remove_suppressed(database, SearchIndex(place.search_dir), made.id)
    keep(place)
    return Done(made, new, others)


def show_again(place: Place, number: int, *, who: str, why: str, actor: Actor) -> list[Found]:
    """Lift a suppression; the captures that are shown again, whose jobs are indexed again."""
    database = place.database
    with database.begin() as connection:
        found = lift(database, connection, number, who=who, why=why, actor=actor)
    keep(place)
    return found


def keep(place: Place) -> None:
    """Write the list, durably and in one step. SetupError when it cannot be written."""
    with place.database.read() as connection:
        active = list_suppressions(connection)
    path = place.jobs_root / KEPT_NAME
    part = path.with_name(path.name + PART_SUFFIX)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as stream:
            stream.write(list_text(active))
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(part, path)
        fsync_directory(path.parent)
    except OSError as error:
        raise SetupError(
            f"{path} cannot be written: {error.strerror or error}.",
            "All else is done; make it writable and run the same command again.",
        ) from None


def read_list(path: Path) -> list[Suppression]:
    """The suppressions of a list. BadInput when it is none; SetupError when it cannot be read."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror or error}.") from None
    return parse_list(text, str(path))


def restore(database: Database, listed: Iterable[Suppression], *, actor: Actor) -> list[int]:
    """Make the suppressions of a list that are not there yet; their numbers.

    Reports have other numbers in another database, so none is named.
    """
    made: list[int] = []
    for each in listed:
        if each.lifted_at is not None:
            continue
        with database.begin() as connection:
            reason = Reason(why=each.why, who=each.who)
            found, new = suppress(database, connection, each.rule, reason, actor=actor)
        if new:
            made.append(found.id)
    return made
