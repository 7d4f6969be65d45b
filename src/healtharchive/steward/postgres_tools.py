"""PostgreSQL's own programs: the right version of them, and how they find the server.

No secret is ever an argument of theirs: all that the connection needs stands in a service file
that only its owner can read.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import URL

from healtharchive.model.errors import SetupError

PLACES = "/usr/lib/postgresql/*/bin"  # where Debian keeps each version's
SERVICE = "archive"
VERSION = re.compile(r"\(PostgreSQL\)\s+(\d+)")
ASK_SECONDS = 10.0
CONNECT_SECONDS = 10
LAST_WORDS_CHARACTERS = 400


def program(name: str, least_major: int) -> str:
    """The path of pg_dump or pg_restore; SetupError when none is as new as the server."""
    places = [*sorted(glob.glob(f"{PLACES}/{name}"), reverse=True), shutil.which(name)]
    found = [(_major(each), each) for each in places if each]
    fitting = sorted(each for each in found if each[0] >= least_major)
    if fitting:
        return fitting[0][1]
    newest = max((major for major, _ in found), default=0)
    what = f"{name} {newest} is older than the server" if newest else f"{name} is not there"
    raise SetupError(
        f"The database can be neither backed up nor restored: {what}, which is PostgreSQL "
        f"{least_major}.",
        f"Install postgresql-client-{least_major}.",
    )


@contextmanager
def environment(url: URL, database: str = "") -> Iterator[dict[str, str]]:
    """The environment in which PostgreSQL's programs find a database of the archive's server."""
    with TemporaryDirectory(prefix="healtharchive-") as private:
        path = Path(private) / "service.conf"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"[{SERVICE}]\n")
            for name, value in parameters(url, database).items():
                file.write(f"{name}={value}\n")
        ours = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        yield {**ours, "PGSERVICEFILE": str(path), "PGSERVICE": SERVICE}


def parameters(url: URL, database: str = "") -> dict[str, str]:
    """The connection parameters of libpq that a URL stands for."""
    plain = {
        "host": url.host,
        "port": url.port,
        "user": url.username,
        "password": url.password,
        "dbname": database or url.database,
        "connect_timeout": CONNECT_SECONDS,
    }
    found = {name: str(value) for name, value in plain.items() if value is not None}
    for name, value in url.query.items():
        found[name] = value if isinstance(value, str) else ",".join(value)
    if database:
        found["dbname"] = database
    broken = [name for name, value in found.items() if "\n" in value]
    if broken:
        raise SetupError(
            f"The database URL has a line break in its {broken[0]}.",
            "Correct HEALTHARCHIVE_DATABASE_URL.",
        )
    return found


def failure(name: str, status: int, said: bytes) -> SetupError:
    """The sentence about a program that failed: its own last words."""
    words = " ".join(said.decode(errors="replace").split())[-LAST_WORDS_CHARACTERS:]
    return SetupError(f"{name} ended with status {status}: {words or 'it said nothing'}")


def _major(path: str) -> int:
    """A program's major version; 0 when it does not tell."""
    bare: Mapping[str, str] = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    try:
        done = subprocess.run(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ASK_SECONDS,
            env=bare,
            text=True,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = VERSION.search(done.stdout)
    return int(match[1]) if match else 0
