"""The metrics reconciler: what /metrics tells, as a file for node_exporter's textfile collector."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from healtharchive.model.errors import SetupError
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.metrics import exposition, outside
from healtharchive.steward.rounds import Caps, Step
from healtharchive.work.parking import BackOff

FILE_NAME = "healtharchive.prom"
WRITE = "write_metrics"
MODE = 0o644  # node_exporter is another user
PACE_SECONDS = 15.0
FAILING = BackOff(first_seconds=PACE_SECONDS, longest_seconds=600.0)


@dataclass(slots=True)
class Textfile:
    """Writes healtharchive.prom again and again, where a directory is set."""

    means: StewardMeans
    name: str = "metrics"
    caps: Caps = field(default_factory=lambda: Caps(per_hour=1000, per_day=10_000))
    _failures: int = 0

    def every_seconds(self) -> float:
        """As often as Prometheus asks; longer while it fails, for each failure is an event."""
        return FAILING.wait_seconds(self._failures, lambda: 0.5) if self._failures else PACE_SECONDS

    def plan(self) -> Sequence[Step]:
        """To write the file, where one is wanted."""
        directory = self.means.settings.textfile_dir
        if not directory:
            return []
        path = str(Path(directory) / FILE_NAME)
        return [Step(WRITE, "metrics", "textfile", f"node_exporter reads {path}", quiet=True)]

    def apply(self, step: Step) -> str:
        """Write it anew. SetupError when the directory cannot be written."""
        means = self.means
        told = outside(means, written_at=means.clock.now().timestamp())
        text = exposition(means.database, means.settings, told, strict=True)
        self._failures += 1  # until it is seen to have worked
        write_textfile(Path(means.settings.textfile_dir), text)
        self._failures = 0
        return f"{len(text)} bytes were written"


def write_textfile(directory: Path, text: bytes) -> None:
    """Replace the file in one instant: nobody ever reads half of it. SetupError."""
    try:
        # Its name does not end in .prom: the collector passes over what is being written.
        descriptor, name = tempfile.mkstemp(dir=directory, prefix=f".{FILE_NAME}.")
    except OSError as error:
        raise _refused(directory, error) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), MODE)
            os.fsync(file.fileno())
        os.replace(name, directory / FILE_NAME)
    except OSError as error:
        with suppress(OSError):
            os.unlink(name)
        raise _refused(directory, error) from error


def _refused(directory: Path, error: OSError) -> SetupError:
    return SetupError(
        f"The metrics cannot be written to {directory}: {os.strerror(error.errno or 0)}.",
        "Let the steward's user write there, or correct HEALTHARCHIVE_TEXTFILE_DIR.",
    )
