"""What ends on a day: certificates and keys, as the steward saw them last, and tokens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, func, select

from healtharchive.model.tables import events
from healtharchive.model.tables_operation import tokens
from healtharchive.model.told import last_of_each

SUBJECT = "expiry"
KEY: Final = "key"
KNOWN_HOSTS: Final = "known hosts file"
SSH_CERTIFICATE: Final = "ssh certificate"
SEEN, UNSEEN, UNWATCHED = "seen", "unseen", "unwatched"
TOLD_LATELY = timedelta(days=7)  # what is still watched is told of every day
UNSEEN_PATIENCE = timedelta(hours=2)  # two more looks: its server may just have been restarted
ENDED_LATELY = timedelta(days=7)  # whoever used a token that ended has noticed by then


@dataclass(frozen=True, slots=True)
class Expiry:
    """A certificate, a key or a token.

    `ends_at` is None for what does not end, or could not be looked at even once. `unseen_since` is
    when it could not be looked at, or was not as it should be, first since all was well with it,
    for the reason `trouble`; None while it is.
    """

    kind: str
    name: str
    ends_at: datetime | None
    began_at: datetime | None = None
    unseen_since: datetime | None = None
    trouble: str = ""

    def ends_soon_at(self, days: float) -> datetime | None:
        """So many days before its end, but not before half its life is over."""
        if self.ends_at is None:
            return None
        early = timedelta(days=days)
        if self.began_at is not None:
            early = min(early, (self.ends_at - self.began_at) / 2)
        return self.ends_at - early

    def warn_at(self, days: float) -> datetime | None:
        """From when on a person should know: it ends soon, or cannot be looked at.

        At once if it never could be, else when that lasts.
        """
        soon = self.ends_soon_at(days)
        if self.unseen_since is None:
            return soon
        return self.unseen_since if soon is None else min(soon, self.unseen_since + UNSEEN_PATIENCE)


def expiries(connection: Connection, now: datetime) -> list[Expiry]:
    """What is watched and ends or is in trouble, and every token that ends and is not revoked."""
    return [*_watched(connection, now), *_tokens(connection, now)]


def _watched(connection: Connection, now: datetime) -> list[Expiry]:
    seen = last_of_each(connection, SUBJECT, (SEEN,))
    unseen_since = _unseen_since(connection)
    found = []
    for thing, last in last_of_each(connection, SUBJECT, (SEEN, UNSEEN, UNWATCHED)).items():
        if last.what == UNWATCHED or now - last.at > TOLD_LATELY:
            continue
        kind, _, name = thing.partition(":")
        good = seen[thing].evidence if thing in seen else {}
        ends_at, began_at = _moment(good.get("ends_at")), _moment(good.get("began_at"))
        if last.what == UNSEEN:
            since = unseen_since[thing]
            found.append(Expiry(kind, name, ends_at, began_at, since, last.why))
        elif ends_at is not None:
            found.append(Expiry(kind, name, ends_at, began_at))
    return found


def _moment(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None


def _unseen_since(connection: Connection) -> dict[str, datetime]:
    """When each thing could not be looked at first since it was last seen, or wanted anew."""
    before = events.alias()
    other = (
        select(func.coalesce(func.max(before.c.id), 0))
        .where(
            before.c.subject == SUBJECT,
            before.c.subject_id == events.c.subject_id,
            before.c.what.in_((SEEN, UNWATCHED)),
        )
        .scalar_subquery()
    )
    query = (
        select(events.c.subject_id, func.min(events.c.at))
        .where(events.c.subject == SUBJECT, events.c.what == UNSEEN, events.c.id > other)
        .group_by(events.c.subject_id)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def _tokens(connection: Connection, now: datetime) -> list[Expiry]:
    query = select(tokens.c.name, tokens.c.created_at, tokens.c.expires_at).where(
        tokens.c.revoked_at.is_(None), tokens.c.expires_at > now - ENDED_LATELY
    )
    rows = connection.execute(query.order_by(tokens.c.id))
    return [Expiry("token", row.name, row.expires_at, row.created_at) for row in rows]
