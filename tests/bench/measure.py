"""One run of one crawler: what it took, and what it brought."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fastwarc.warc import ArchiveIterator, WarcRecordType


@dataclass(frozen=True, slots=True)
class Run:
    """Figures of one run. Memory is the peak of the biggest process, in bytes."""

    crawler: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    pages: int
    payload_bytes: int
    warc_bytes: int

    @property
    def pages_per_second(self) -> float:
        return self.pages / self.seconds

    @property
    def megabytes_per_second(self) -> float:
        return self.payload_bytes / 1e6 / self.seconds

    @property
    def cpu_seconds_per_1000_pages(self) -> float:
        return self.cpu_seconds / self.pages * 1000


def run(
    crawler: str, command: Sequence[str], directory: Path, *, stdin: bytes = b"", seconds: float
) -> Run:
    """Run a command to its end and read the WARC files it left in the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / "log"
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        )
        assert process.stdin is not None
        process.stdin.write(stdin)
        process.stdin.flush()
        usage = _wait(process, started + seconds)
    elapsed = time.monotonic() - started
    pages, payload, size = contents(directory)
    if not pages:
        raise RuntimeError(
            f"{crawler} captured nothing:\n{log.read_text(errors='replace')[-3000:]}"
        )
    cpu = usage.ru_utime + usage.ru_stime
    return Run(crawler, elapsed, cpu, usage.ru_maxrss * 1024, pages, payload, size)


def _wait(process: subprocess.Popen[bytes], deadline: float) -> os.struct_rusage:  # type: ignore[name-defined]
    while time.monotonic() < deadline:
        pid, _, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = 0
            return usage
        time.sleep(0.01)
    process.kill()
    process.wait()
    raise RuntimeError(f"{process.args} did not end in time")


def contents(directory: Path) -> tuple[int, int, int]:
    """How many responses the WARC files hold, the bytes of their blocks, and the files' size."""
    pages = payload = size = 0
    kinds = WarcRecordType.response | WarcRecordType.revisit
    for path in sorted(directory.rglob("*.warc.gz")):
        size += path.stat().st_size
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream, record_types=kinds, parse_http=False):
                pages += 1
                payload += record.content_length
    return pages, payload, size
