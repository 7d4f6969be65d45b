"""Tokens: who may use the operations pages and the admin API, for what, and until when.

The token itself is nowhere: only its SHA-256 is kept, which is enough for 256 random bits.
No backup has them: one that was revoked since would be good again once it is restored.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, delete, inspect, or_, select, update

from healtharchive.model.database import Database
from healtharchive.model.errors import BadInput, NotFound
from healtharchive.model.journal import Actor, record
from healtharchive.model.tables_operation import tokens

PREFIX = "hat_"  # so that a token in the wrong place is seen to be one
RANDOM_BYTES = 32
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
NOTE_EVERY = timedelta(seconds=60)  # between two notes that a token is used
LISTED = "`healtharchive token list` shows them."


class Scope(StrEnum):
    """What a token is good for. `admin` is good for all of it, and for tokens."""

    READ = "read"
    JOBS = "jobs"
    REPORTS = "reports"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Token:
    """One row of `tokens`, without what could open a door."""

    id: int
    name: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None

    def is_good(self, now: datetime) -> bool:
        """Whether it opens anything now."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class Known:
    """A token that is good now, and its digest."""

    token: Token
    digest: str


def new_secret() -> str:
    """A token, to be shown once."""
    return PREFIX + secrets.token_urlsafe(RANDOM_BYTES)


def digest_of(secret: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


# -- questions -----------------------------------------------------------------------------


def find_good(database: Database, connection: Connection, secret: str) -> Known | None:
    """The token that this is, if it opens anything now."""
    digest = digest_of(secret)
    row = connection.execute(select(tokens).where(tokens.c.digest == digest)).one_or_none()
    if row is None or not hmac.compare_digest(row.digest, digest):
        return None
    return _known(database, connection, row)


def good_by_id(database: Database, connection: Connection, token_id: int) -> Known | None:
    """The token of this number, if it opens anything now."""
    row = connection.execute(select(tokens).where(tokens.c.id == token_id)).one_or_none()
    return None if row is None else _known(database, connection, row)


def any_good(database: Database, connection: Connection) -> bool:
    """Whether any token opens anything now."""
    now = database.now(connection)
    query = select(tokens.c.id).where(
        tokens.c.revoked_at.is_(None),
        or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now),
    )
    return connection.execute(query.limit(1)).first() is not None


def list_tokens(connection: Connection) -> list[Token]:
    """Every token there ever was, the oldest first."""
    return [_token(row) for row in connection.execute(select(tokens).order_by(tokens.c.id))]


def get_token(connection: Connection, name: str) -> Token:
    """One token; NotFound when there is none of this name."""
    row = connection.execute(select(tokens).where(tokens.c.name == name)).one_or_none()
    if row is None:
        raise NotFound(f"There is no token '{name}'.", LISTED)
    return _token(row)


# -- changes -------------------------------------------------------------------------------


def create_token(
    database: Database,
    connection: Connection,
    name: str,
    scopes: Iterable[Scope],
    lasts: timedelta,
    secret: str,
    *,
    actor: Actor,
) -> Token:
    """Let this secret in from now on, with its event. BadInput for a name that cannot be used."""
    if NAME.fullmatch(name) is None:
        raise BadInput(
            f"'{name[:80]}' cannot be a token's name.",
            "Use at most 64 letters, digits, full stops, hyphens and underscores.",
        )
    chosen = sorted(set(scopes))
    if not chosen:
        raise BadInput(
            "A token without a scope opens nothing.", f"The scopes are: {', '.join(Scope)}."
        )
    now = database.now(connection)
    added = connection.execute(
        database.insert_ignore(tokens).values(
            name=name,
            digest=digest_of(secret),
            scopes=[str(each) for each in chosen],
            created_at=now,
            expires_at=now + lasts,
        )
    )
    if added.rowcount != 1:
        raise BadInput(f"There is a token '{name}' already.", f"{LISTED} Choose another name.")
    made = get_token(connection, name)
    _record(connection, now, made, "created", f"it may {', '.join(chosen)}", actor)
    return made


def revoke_token(
    database: Database, connection: Connection, name: str, *, why: str, actor: Actor
) -> Token:
    """Let a token in no more, with its event. NotFound; BadInput when it was revoked before."""
    before = get_token(connection, name)
    now = database.now(connection)
    revoked = connection.execute(
        update(tokens)
        .where(tokens.c.name == name, tokens.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    if revoked.rowcount != 1:
        raise BadInput(f"Token '{name}' is revoked already.", LISTED)
    _record(connection, now, before, "revoked", why, actor)
    return get_token(connection, name)


def forget_tokens(connection: Connection) -> None:
    """Take every token out of a copy of a database; one may be older than this table."""
    if inspect(connection).has_table(tokens.name):
        connection.execute(delete(tokens))


def note_use(database: Database, token: Token, now: datetime, *, actor: Actor) -> None:
    """Write that a token is used, at most once a minute; its first use is an event."""
    if token.used_at is not None and now < token.used_at + NOTE_EVERY:
        return
    with database.begin() as connection:
        first = connection.execute(
            update(tokens)
            .where(tokens.c.id == token.id, tokens.c.used_at.is_(None))
            .values(used_at=now)
        )
        if first.rowcount == 1:
            _record(connection, now, token, "first_used", "somebody came with it", actor)
            return
        connection.execute(update(tokens).where(tokens.c.id == token.id).values(used_at=now))


def _known(database: Database, connection: Connection, row: Row[Any]) -> Known | None:
    token = _token(row)
    return Known(token, row.digest) if token.is_good(database.now(connection)) else None


def _token(row: Row[Any]) -> Token:
    return Token(
        row.id,
        row.name,
        tuple(Scope(each) for each in row.scopes if each in list(Scope)),
        row.created_at,
        row.expires_at,
        row.revoked_at,
        row.used_at,
    )


def _record(
    connection: Connection, now: datetime, token: Token, what: str, why: str, actor: Actor
) -> None:
    record(
        connection,
        at=now,
        actor=actor,
        subject="token",
        subject_id=token.name,
        what=what,
        why=why,
        evidence={
            "scopes": [str(each) for each in token.scopes],
            "expires_at": token.expires_at.isoformat() if token.expires_at else None,
        },
    )
