"""The deploy lock: a file that says who deploys, why, and since when; one at a time."""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from healtharchive.model.errors import NotFound, SetupError

NOBODY = "somebody"


class Locked(SetupError):
    """Somebody else deploys."""


@dataclass(frozen=True, slots=True)
class DeployLock:
    """A lock as it is on disk. `at` is when it was made, as ISO 8601."""

    who: str
    why: str
    at: str
    host: str
    pid: int


def read(path: Path) -> DeployLock | None:
    """The lock; None when there is none. One that is no lock of ours counts all the same."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        found = json.loads(text)
        return DeployLock(**{name: found[name] for name in DeployLock.__dataclass_fields__})
    except (ValueError, TypeError, KeyError):
        return DeployLock(NOBODY, " ".join(text.split())[:200], "", "", 0)


def age_seconds(path: Path, now: datetime) -> float | None:
    """How old the lock is; None when there is none. One of the future is as old as it is ahead."""
    try:
        made = path.stat().st_mtime
    except OSError:
        return None
    return abs(now.timestamp() - made)


def take(path: Path, why: str, now: datetime, lapses_seconds: float) -> DeployLock:
    """Make the lock, which is there whole or not at all. Locked when somebody has it.

    One that is older than `lapses_seconds` is nobody's any more and is replaced.
    """
    lock = DeployLock(_me(), why, now.isoformat(), socket.gethostname(), os.getpid())
    try:
        with _alone(path.parent):
            _refuse_taken(path, now, lapses_seconds)
            fresh = path.with_name(f"{path.name}.new-{os.getpid()}")
            with open(fresh, "w", encoding="utf-8") as file:
                json.dump(asdict(lock), file)
                file.flush()
                os.fsync(file.fileno())
            os.utime(fresh, (now.timestamp(), now.timestamp()))
            os.replace(fresh, path)
    except OSError as error:
        raise _unusable(path, error) from error
    return lock


def keep(path: Path, lock: DeployLock, now: datetime) -> None:
    """Say that the deployment still goes on, so that its lock does not lapse meanwhile."""
    if read(path) != lock:
        raise Locked(
            f"The deploy lock {path} is no longer ours: somebody took it away or took it over.",
            "Nothing more is done; `healtharchive deploy check` says how it stands.",
        )
    os.utime(path, (now.timestamp(), now.timestamp()))


def give_back(path: Path, lock: DeployLock | None = None) -> DeployLock:
    """Remove the lock, only if it is this one where one is given. NotFound when there is none."""
    try:
        with _alone(path.parent):
            found = read(path)
            if found is None or (lock is not None and found != lock):
                raise NotFound(f"There is no deploy lock {path}.", "Nothing is locked.")
            path.unlink()
    except OSError as error:
        raise _unusable(path, error) from error
    return found


def _refuse_taken(path: Path, now: datetime, lapses_seconds: float) -> None:
    found, age = read(path), age_seconds(path, now)
    if found is None or age is None or age >= lapses_seconds:
        return
    since = f" since {found.at}" if found.at else ""
    raise Locked(
        f"{found.who} deploys already{since} ({age:.0f} s): {found.why or 'no reason is given'}.",
        "Wait for its end, or end it with `healtharchive deploy unlock` if nobody does any more.",
    )


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """While inside, nobody else takes or gives back a lock in this directory."""
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _me() -> str:
    if name := os.environ.get("SUDO_USER", ""):
        return name
    with contextlib.suppress(KeyError, OSError):
        return getpass.getuser()
    return f"uid {os.getuid()}"


def _unusable(path: Path, error: OSError) -> SetupError:
    return SetupError(
        f"The deploy lock {path} cannot be used: {error.strerror}.",
        "Make its directory writable for this user, or set HEALTHARCHIVE_DEPLOY_LOCK.",
    )
