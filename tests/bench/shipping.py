"""Shipping with its reading back beside plain copies to the same sshfs mount, in one run."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from healtharchive.model.shipments import Parcel
from healtharchive.storage.places import place_for
from healtharchive.storage.shipping import ship_one
from tests.lab import mounts, objects

SIZE_BYTES = 200_000_000
RUNS = 3
COPY_SECONDS = 300.0
Way = Callable[[Path, str], None]


def shipping_table(size_bytes: int = SIZE_BYTES, runs: int = RUNS) -> str:
    """A Markdown table: MB/s of each way to bring one file to one server, median and spread.

    Every way writes the same file under a new name in each run, and they take turns.
    """
    with tempfile.TemporaryDirectory(prefix="bench-shipping-") as directory:
        source = Path(directory) / "segment.warc.gz"
        with source.open("wb") as file:
            for seed in range(size_bytes // 1_000_000):
                file.write(random.Random(seed).randbytes(1_000_000))
        with mounts.sshfs(Path(directory) / "mount") as mount:
            speeds = _measure(_ways(source, mount), source, runs)
    head = "| way | MB/s | reads it back |\n| --- | ---: | --- |\n"
    rows = [
        f"| {name} | {_spread(found)} | {'yes' if reads else 'no'} |\n"
        for (name, reads), found in speeds.items()
    ]
    return head + "".join(rows)


def _measure(
    ways: dict[tuple[str, bool], Way], source: Path, runs: int
) -> dict[tuple[str, bool], list[float]]:
    speeds: dict[tuple[str, bool], list[float]] = {way: [] for way in ways}
    for run in range(runs):
        for number, (way, copy) in enumerate(ways.items()):
            began = time.monotonic()
            copy(source, f"hc/job{number}/warcs/{run}.warc.gz")
            speeds[way].append(source.stat().st_size / 1e6 / (time.monotonic() - began))
    return speeds


def _ways(source: Path, mount: mounts.Sshfs) -> dict[tuple[str, bool], Way]:
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    size = source.stat().st_size

    def ship(target: objects.Target) -> Way:
        def way(path: Path, name: str) -> None:
            with contextlib.closing(place_for(target.definition, target.environ)) as place:
                segment = Parcel(str(path), name, size, sha256)
                ship_one(place, segment, throttle=_freely, tell=_silently)

        return way

    def copy(path: Path, name: str) -> None:
        _cp(path, mount.path / name)

    def copy_and_read(path: Path, name: str) -> None:
        copy(path, name)
        _expect(mount.path / name, sha256)

    def rsync(path: Path, name: str) -> None:
        (mount.path / name).parent.mkdir(parents=True, exist_ok=True)
        command = ["rsync", "--whole-file", "--fsync", str(path), str(mount.path / name)]
        subprocess.run(command, check=True, timeout=COPY_SECONDS)

    ways: dict[tuple[str, bool], Way] = {
        ("`ship_one`, sshfs mount", True): ship(objects.mounted(mount)),
        ("`cp` + fsync + sha256, sshfs mount", True): copy_and_read,
        ("`cp` + fsync, sshfs mount", False): copy,
        ("`ship_one`, SFTP without a mount", True): ship(objects.sftp(mount.server)),
    }
    if shutil.which("rsync"):
        ways["`rsync --whole-file --fsync`, sshfs mount", False] = rsync
    return ways


def _cp(path: Path, destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", str(path), str(destination)], check=True, timeout=COPY_SECONDS)
    descriptor = os.open(destination, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _expect(path: Path, sha256: str) -> None:
    with path.open("rb") as file:
        # Or the reading would be of this machine's own memory.
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise RuntimeError(f"{path} is not what was copied")


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.0f} ({min(values):.0f} to {max(values):.0f})"


def _freely(size_bytes: int) -> None:
    """No bandwidth limit."""


def _silently(step: str, bytes_done: int) -> None:
    """Nobody to tell."""


if __name__ == "__main__":
    print(shipping_table())
