"""A real PostgreSQL cluster for a test: made in a temporary directory, gone afterwards."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.processes import descendants, is_alive, kill, wait_for

USER = "archive"
COMMAND_SECONDS = 90.0


class PostgresMissing(Exception):
    """PostgreSQL's programs are not on this machine; `make setup` installs them."""


@dataclass(frozen=True)
class Cluster:
    """A cluster in `directory` that listens on 127.0.0.1:port and on a socket in `directory`."""

    directory: Path
    binaries: Path
    port: int
    fsync: bool

    def url(self, name: str = "postgres") -> str:
        """The address of a database, as HEALTHARCHIVE_DATABASE_URL takes it."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{name}"

    def create_database(self, name: str, *options: str) -> str:
        """A new empty database's address; `options` are createdb's."""
        socket_options = ["-h", str(self.directory), "-p", str(self.port), "-U", USER]
        self._run("createdb", *socket_options, *options, name)
        return self.url(name)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = f"-p {self.port} -k {self.directory} -c listen_addresses=127.0.0.1"
        options += f" -c fsync={'on' if self.fsync else 'off'} -c max_connections=200"
        options += " -c shared_buffers=32MB"
        log = str(self.directory / "log")
        self._run("pg_ctl", "start", "--wait", "-D", self._data, "-l", log, "-o", options)

    def stop(self, mode: str = "fast") -> None:
        """Shut the server down: smart, fast or immediate."""
        self._run("pg_ctl", "stop", "--wait", "-m", mode, "-D", self._data)

    @property
    def pid(self) -> int | None:
        """The server's pid; None when it does not run."""
        try:
            number = int((self.directory / "data" / "postmaster.pid").read_text().split()[0])
        except (FileNotFoundError, ValueError, IndexError):
            return None
        return number if is_alive(number) else None

    def kill(self) -> None:
        """SIGKILL the server; its children see that and end by themselves."""
        if (pid := self.pid) is None:
            return
        children = descendants(pid)
        kill(pid)
        gone = [pid, *(child.pid for child in children)]
        wait_for(lambda: not any(map(is_alive, gone)), what="the killed PostgreSQL is gone")
        # A zombie that nobody has waited for yet would look like a running server to the next.
        (self.directory / "data" / "postmaster.pid").unlink(missing_ok=True)
        (self.directory / f".s.PGSQL.{self.port}.lock").unlink(missing_ok=True)

    @property
    def _data(self) -> str:
        return str(self.directory / "data")

    def initialize(self) -> None:
        """Make the cluster's files."""
        trust = ["--auth=trust", f"--username={USER}", "--encoding=UTF8", "--locale=C.UTF-8"]
        self._run("initdb", "--no-sync", *trust, "-D", self._data)

    def _run(self, program: str, *arguments: str) -> None:
        # Output goes to a file: the server inherits it, and a pipe would never reach its end.
        said = self.directory / "said"
        with said.open("w") as output:
            done = subprocess.run(
                [*_as_owner(), str(self.binaries / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.directory,
                timeout=COMMAND_SECONDS,
                check=False,
            )
        if done.returncode:
            log = self.directory / "log"
            tail = log.read_text()[-1500:] if log.exists() else ""
            raise RuntimeError(f"{program} failed: {said.read_text()}\n{tail}")


@contextmanager
def cluster(*, fsync: bool = False) -> Iterator[Cluster]:
    """A running cluster, owned by the user postgres when we are root (it refuses root)."""
    directory = Path(tempfile.mkdtemp(prefix="lab-pg-"))
    made = Cluster(directory, _binaries(), free_port(), fsync)
    try:
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(directory, account.pw_uid, account.pw_gid)
        made.initialize()
        made.start()
        yield made
    finally:
        if made.pid is not None:
            made.stop("immediate")
        shutil.rmtree(directory, ignore_errors=True)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _binaries() -> Path:
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=_version)
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        raise PostgresMissing("PostgreSQL is not installed. Run: make setup")
    return Path(found[-1] if found else str(on_path)).resolve().parent


def _version(path: str) -> float:
    return float(path.split("/")[4])


def _as_owner() -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
