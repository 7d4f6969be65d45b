"""The one classifier of errors: `classify(exc)` says whose fault it was and what follows."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Blame(StrEnum):
    """Whose fault a failure is. Only `job` spends retry budget; `bug` spends it too, loudly."""

    JOB = "job"
    SITE = "site"
    BROWSER = "browser"
    TARGET = "target"
    HOST = "host"
    BUG = "bug"


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong, in terms the queue can act on.

    `parks` is true when the world is to blame: the job waits and no retry is spent.
    `definite` is true when one sighting is enough to call the target dead (107, 116).
    """

    blame: Blame
    reason: str
    parks: bool
    errno: int | None = None
    definite: bool = False


# errno -> (blame, reason, definite). File operations only: network errors of a fetch never
# reach this table, the transport turns them into a FetchFailed of its own.
ERRNO_TABLE: dict[int, tuple[Blame, str, bool]] = {
    errno.ENOTCONN: (Blame.TARGET, "stale mount", True),
    errno.ESTALE: (Blame.TARGET, "stale file handle", True),
    errno.EIO: (Blame.TARGET, "input/output error", False),
    errno.EROFS: (Blame.TARGET, "read-only file system", True),
    errno.ENODEV: (Blame.TARGET, "device gone", True),
    errno.ETIMEDOUT: (Blame.TARGET, "storage timed out", False),
    errno.EHOSTDOWN: (Blame.TARGET, "storage host down", False),
    errno.ECONNABORTED: (Blame.TARGET, "storage connection aborted", True),
    errno.ENOSPC: (Blame.HOST, "disk full", True),
    errno.EDQUOT: (Blame.HOST, "disk quota exceeded", True),
    errno.EACCES: (Blame.HOST, "not writable", True),
    errno.EPERM: (Blame.HOST, "not permitted", True),
    # No directory can be made where a file is, and no segment takes the name that another file has:
    # a person moves that file away. The target is well, and more tries are of no use.
    errno.EEXIST: (Blame.HOST, "a file is in the way", True),
    errno.EMFILE: (Blame.HOST, "too many open files", False),
    errno.ENFILE: (Blame.HOST, "too many open files", False),
    errno.ENOMEM: (Blame.HOST, "out of memory", False),
    errno.ENETDOWN: (Blame.HOST, "network down", False),
    errno.ENETUNREACH: (Blame.HOST, "network unreachable", False),
    errno.EHOSTUNREACH: (Blame.HOST, "network unreachable", False),
}

# SQLite reports the disk's trouble in its own words (https://www.sqlite.org/rescode.html).
SQLITE_TABLE: dict[str, tuple[Blame, str, int]] = {
    "SQLITE_FULL": (Blame.HOST, "disk full", errno.ENOSPC),
    "SQLITE_IOERR": (Blame.TARGET, "input/output error", errno.EIO),
    "SQLITE_READONLY": (Blame.TARGET, "read-only file system", errno.EROFS),
    "SQLITE_CANTOPEN": (Blame.HOST, "not writable", errno.EACCES),
    "SQLITE_BUSY": (Blame.HOST, "database busy", errno.EBUSY),
    "SQLITE_LOCKED": (Blame.HOST, "database busy", errno.EBUSY),
}


# PostgreSQL's errors by SQLSTATE, the longest prefix first (its manual, appendix A). These are the
# world's; all others are our own statements' fault, whatever class the driver puts them in.
SQLSTATE_TABLE: dict[str, str] = {
    "55P03": "database busy",  # lock not available
    "08": "database unreachable",  # connection exceptions
    "40": "database busy",  # deadlock, serialization failure
    "53": "database out of resources",  # disk full, too many connections
    "57": "database unreachable",  # shut down, crashed, starting, cancelled by somebody
    "58": "database in trouble with its system",  # its own input/output errors
}


class EngineMissing(Exception):
    """The program or service that an engine needs is not there."""


def chain(exc: BaseException) -> Iterator[BaseException]:
    """The exception, then what caused it, outermost first."""
    seen: set[int] = set()
    current: BaseException | None = exc
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        original = getattr(current, "orig", None)  # SQLAlchemy keeps the driver's error here
        current = (
            original
            if isinstance(original, BaseException)
            else (current.__cause__ or current.__context__)
        )


def classify(exc: BaseException) -> Fault:
    """Whose fault `exc` is: the first link of its cause chain that a table knows decides."""
    for link in chain(exc):
        fault = _classify_one(link)
        if fault is not None:
            return fault
    return Fault(Blame.BUG, f"{type(exc).__name__}: {exc}", parks=False)


def classify_errno(number: int, detail: str = "") -> Fault:
    """The fault an errno of a file operation stands for; an unknown one is the host's."""
    blame, reason, definite = ERRNO_TABLE.get(
        number, (Blame.HOST, os.strerror(number).lower(), False)
    )
    text = f"{reason} (errno {number}){': ' + detail if detail else ''}"
    return Fault(blame, text, parks=True, errno=number, definite=definite)


def _classify_one(exc: BaseException) -> Fault | None:
    if isinstance(exc, EngineMissing):
        return Fault(Blame.HOST, f"no engine: {exc}", parks=True)
    if isinstance(exc, MemoryError):
        return Fault(Blame.JOB, "out of memory", parks=False)
    if isinstance(exc, sqlite3.Error):
        return _classify_sqlite(exc)
    if isinstance(exc, OSError) and exc.errno is not None:
        return classify_errno(exc.errno, str(exc.filename or ""))
    if type(exc).__module__.startswith(("psycopg", "sqlalchemy")):
        return _classify_database(exc)
    return None


def _classify_database(exc: BaseException) -> Fault | None:
    """By the SQLSTATE that the server gave; without one there was no server to give it."""
    if getattr(exc, "orig", None) is not None:
        return None  # the driver's own error, the next of the chain, says more
    state: str | None = getattr(exc, "sqlstate", None)
    if state is None:
        names = {base.__name__ for base in type(exc).__mro__}
        unreachable = bool(names & {"OperationalError", "InterfaceError"})
        return Fault(Blame.HOST, "database unreachable", parks=True) if unreachable else None
    for prefix, reason in SQLSTATE_TABLE.items():
        if state.startswith(prefix):
            return Fault(Blame.HOST, f"{reason} (SQLSTATE {state})", parks=True)
    return Fault(Blame.BUG, f"{type(exc).__name__} (SQLSTATE {state}): {_first_line(exc)}", False)


def _first_line(exc: BaseException) -> str:
    return (str(exc).strip().splitlines() or [""])[0]


def _classify_sqlite(exc: sqlite3.Error) -> Fault | None:
    name = getattr(exc, "sqlite_errorname", "") or ""
    for prefix, (blame, reason, number) in SQLITE_TABLE.items():
        if name.startswith(prefix):
            return Fault(blame, f"{reason} ({name})", parks=True, errno=number)
    return None
