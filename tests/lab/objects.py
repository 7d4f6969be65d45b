"""Real targets to ship to: a directory, an sshfs mount, an sshd's SFTP, and moto's S3 server."""

from __future__ import annotations

import hashlib
import importlib
import random
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import psutil

from healtharchive.model.shipments import Parcel, ShipReport, TargetOrder
from healtharchive.model.target import TargetDefinition, TargetKind
from healtharchive.model.wire import from_line, to_line
from tests.lab import mounts
from tests.lab.postgres import free_port
from tests.lab.processes import descendants, kill_tree, running, spawn, stop, wait_for

BUCKET = "cold"
PREFIX = "archive"
KINDS = ("local", "mount", "sftp", "s3")


class Files(Protocol):
    """The target's files as they lie behind its server, past every protocol of ours."""

    def get(self, name: str) -> bytes | None:
        """All bytes of a file; None when there is none."""

    def put(self, name: str, content: bytes) -> None:
        """Make a file have this content, as a disk or a stranger might."""

    def remove(self, name: str) -> None:
        """Take a file away."""

    def names(self) -> list[str]:
        """Every file that can be seen, sorted."""


@dataclass(frozen=True)
class Directory:
    """Files in a directory of this machine."""

    root: Path

    def get(self, name: str) -> bytes | None:
        path = self.root / name
        return path.read_bytes() if path.exists() else None

    def put(self, name: str, content: bytes) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def remove(self, name: str) -> None:
        (self.root / name).unlink()

    def names(self) -> list[str]:
        found = [path for path in self.root.rglob("*") if path.is_file()]
        return sorted(str(path.relative_to(self.root)) for path in found)


@dataclass(frozen=True)
class Bucket:
    """Objects in the S3 server's bucket, through another client than ours."""

    client: Any

    def get(self, name: str) -> bytes | None:
        if name not in self.names():
            return None
        answer = self.client.get_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}")
        content: bytes = answer["Body"].read()
        return content

    def put(self, name: str, content: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}", Body=content)

    def remove(self, name: str) -> None:
        self.client.delete_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}")

    def names(self) -> list[str]:
        found = self.client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return sorted(each["Key"].removeprefix(f"{PREFIX}/") for each in found)


@dataclass(frozen=True)
class Target:
    """A target to ship to, and its files seen from behind."""

    kind: str
    definition: TargetDefinition
    files: Files
    environ: dict[str, str] = field(default_factory=dict)

    def limited(self, bytes_per_second: int) -> TargetDefinition:
        """The same target with a bandwidth limit."""
        return replace(self.definition, bytes_per_second=bytes_per_second)


@contextmanager
def target(kind: str, directory: Path) -> Iterator[Target]:
    """A target of this kind that lives as long as the block."""
    with ExitStack() as undo:
        makers: dict[str, Callable[[], Target]] = {
            "local": lambda: local(directory / "target"),
            "mount": lambda: mounted(undo.enter_context(mounts.sshfs(directory / "target"))),
            "sftp": lambda: sftp(undo.enter_context(mounts.sshd())),
            "s3": lambda: s3(undo.enter_context(s3_server(directory / "s3.log"))),
        }
        yield makers[kind]()


def local(root: Path) -> Target:
    """A plain directory as a target."""
    definition = TargetDefinition("cold", TargetKind.LOCAL, str(root), ship=True)
    return Target("local", definition, Directory(root))


def mounted(mount: mounts.Sshfs) -> Target:
    """An sshfs mount as a target."""
    definition = TargetDefinition("cold", TargetKind.MOUNT, str(mount.path), ship=True)
    return Target("mount", definition, Directory(mount.server.files))


def sftp(server: mounts.Server, port: int = 0, directory: str = "") -> Target:
    """The sshd's files as an SFTP target; `port` when another sshd serves them."""
    port = port or server.port
    known = server.directory / f"known_hosts_{port}"
    kind, key = (server.directory / "host_key.pub").read_text().split()[:2]
    known.write_text(f"[127.0.0.1]:{port} {kind} {key}\n")
    options = {"key_filename": str(server.key), "known_hosts": str(known)}
    root = f"sftp://root@127.0.0.1:{port}{server.files}{directory}"
    definition = TargetDefinition("cold", TargetKind.OBJECT, root, ship=True, options=options)
    return Target("sftp", definition, Directory(server.files))


@dataclass
class S3Server:
    """A moto server on loopback."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def s3_server(log: Path) -> Iterator[S3Server]:
    """moto's S3 server with an empty bucket."""
    port = free_port()
    program = Path(sys.executable).with_name("moto_server")
    process = spawn([program, "-H", "127.0.0.1", "-p", str(port)], log=log)
    try:
        server = S3Server(port, process)
        wait_for(lambda: _answers(port), what="moto's server listens")
        client(server).create_bucket(Bucket=BUCKET)
        yield server
    finally:
        stop(process)


def client(server: S3Server) -> Any:
    """An S3 client that is not ours."""
    library = importlib.import_module("boto3")  # it has no types
    return library.client(
        "s3",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="lab",
        aws_secret_access_key="lab",
    )


def s3(server: S3Server) -> Target:
    """The S3 server's bucket as a target; the secret comes from the environment."""
    options = {
        "key": "lab",
        "secret": "env:LAB_S3_SECRET",
        "endpoint_url": server.url,
        "region_name": "us-east-1",
    }
    root = f"s3://{BUCKET}/{PREFIX}"
    definition = TargetDefinition("cold", TargetKind.OBJECT, root, ship=True, options=options)
    return Target("s3", definition, Bucket(client(server)), {"LAB_S3_SECRET": "lab"})


@contextmanager
def crowded_sshd(server: mounts.Server, connections: int) -> Iterator[int]:
    """The port of a second sshd of the server, at its limit of connections."""
    port = free_port()
    lines = (server.directory / "config").read_text().splitlines()
    kept = [line for line in lines if not line.startswith(("Port ", "MaxStartups "))]
    limit = [f"Port {port}", f"MaxStartups {connections}:100:{connections}"]
    config = server.directory / "crowded_config"
    config.write_text("\n".join([*limit, *kept, ""]))
    command = ["/usr/sbin/sshd", "-D", "-e", "-f", str(config)]
    with ExitStack() as undo:
        undo.enter_context(running(command, log=server.directory / "crowded.log"))
        wait_for(lambda: _answers(port), what="the crowded sshd listens")
        for _ in range(connections):
            # Each stays unauthenticated, which is what the limit counts.
            undo.enter_context(socket.create_connection(("127.0.0.1", port), 5.0)).recv(8)
        yield port


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True


def sessions(server: mounts.Server) -> list[psutil.Process]:
    """The processes of the sshd that serve somebody now."""
    config = str(server.directory / "config")
    for process in psutil.process_iter(["cmdline"]):
        if config in " ".join(process.info["cmdline"] or []):
            return descendants(process.pid)
    return []


def parcel(
    directory: Path, name: str, size_bytes: int = 300_000, seed: int = 1, **facts: Any
) -> Parcel:
    """A sealed segment of random bytes in the spool, to be shipped under this name."""
    content = random.Random(seed).randbytes(size_bytes)
    path = directory / "spool" / str(seed) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    sealed_at = "2026-01-24T06:28:02+00:00"
    return Parcel(str(path), name, size_bytes, sha256, 7, sealed_at, 3, facts)


@dataclass
class ShippingChild:
    """A shipping child that runs, and what it has reported."""

    process: subprocess.Popen[bytes]

    def reports(self) -> Iterator[ShipReport]:
        """Each report as it comes, until the child's output ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            yield from_line(ShipReport, line)

    def hang_up(self) -> None:
        """Close its stdin, as the end of its parent would."""
        assert self.process.stdin is not None
        self.process.stdin.close()


@contextmanager
def shipping_child(order: TargetOrder, target: Target, log: Path) -> Iterator[ShippingChild]:
    """The child with this order, killed at the end of the block if it still runs."""
    process = spawn(
        [sys.executable, "-m", "healtharchive.storage"],
        environment=target.environ,
        log=log,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    try:
        process.stdin.write(to_line(order))
        process.stdin.flush()
        yield ShippingChild(process)
    finally:
        kill_tree(process)
        process.stdin.close()
        if process.stdout is not None:
            process.stdout.close()


def obeyed(order: TargetOrder, target: Target, log: Path) -> list[ShipReport]:
    """All that a child reports of an order, to its end."""
    with shipping_child(order, target, log) as child:
        reports = list(child.reports())
    assert reports, f"the child said nothing: {log.read_text()[-2000:]}"
    return reports
