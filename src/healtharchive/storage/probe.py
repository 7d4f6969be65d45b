"""A bounded look at a path that may be remote: in a child process, killed at its deadline."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import dataclass
from pathlib import Path

from healtharchive.model.blame import Fault, classify_errno
from healtharchive.storage import errand

LOOK = Path(__file__).with_name("look.py")


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe saw of a path: usable or not, with the errno and the step that gave it.

    A look that did not end in time has errno 110 (ETIMEDOUT). `disk_bytes` and `free_bytes` are
    those of the file system the path lies on.
    """

    path: str
    ok: bool
    errno: int | None = None
    step: str = ""
    elapsed_seconds: float = 0.0
    disk_bytes: int = 0
    free_bytes: int = 0

    @property
    def fault(self) -> Fault | None:
        """Whose fault it is that the path cannot be used; None when it can."""
        if self.ok:
            return None
        return classify_errno(self.errno or errno.EIO, f"{self.step} {self.path}".strip())

    @property
    def used_percent(self) -> float:
        """How full the file system is."""
        if not self.disk_bytes:
            return 0.0
        return 100.0 * (self.disk_bytes - self.free_bytes) / self.disk_bytes


def probe(path: str | Path, deadline_seconds: float, write: bool = True) -> ProbeResult:
    """Look at a directory; with `write`, make it if it is missing and write and re-read a file.

    Never takes longer than the deadline and a second: a child that hangs in the kernel is killed
    and left behind.
    """
    text = os.fspath(path)
    order = json.dumps({"path": text, "make": write, "write": write})
    looked = errand.run_script(LOOK, order, deadline_seconds)
    if not looked.in_time:
        return ProbeResult(text, False, errno.ETIMEDOUT, "look at", looked.elapsed_seconds)
    return _result(text, looked.output, looked.elapsed_seconds)


def _result(path: str, output: bytes, elapsed_seconds: float) -> ProbeResult:
    try:
        seen = json.loads(output)
        return ProbeResult(
            path,
            seen["ok"],
            seen.get("errno"),
            seen.get("step", ""),
            elapsed_seconds,
            seen.get("disk_bytes", 0),
            seen.get("free_bytes", 0),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return ProbeResult(path, False, errno.EIO, "look at", elapsed_seconds)
