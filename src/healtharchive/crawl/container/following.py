"""Following a container's log: one process of the engine's that writes to us while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from healtharchive.crawl.container.logs import LogReader

PIECE_BYTES = 1 << 16
KEPT_BYTES = 50_000_000  # of the log in our own directory, twice: the file and the one before it
END_SECONDS = 2.0


class Following:
    """The log of one container, read as it comes and kept in a file.

    The process dies with ours where setpriv (util-linux) is there to arrange that.
    """

    def __init__(self, command: Sequence[str], log: LogReader, kept: Path) -> None:
        setpriv = shutil.which("setpriv")
        self._command = [*((setpriv, "--pdeathsig", "KILL", "--") if setpriv else ()), *command]
        self._log = log
        self._kept = kept
        self._task: asyncio.Task[None] | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more comes: the container has ended, or its engine's process has."""
        return self._task is None or self._task.done()

    def start(self) -> None:
        """Begin to read in the background."""
        self._task = asyncio.create_task(self._read())

    async def drain(self, seconds: float) -> None:
        """Wait for the end of the log, which comes soon after the container's."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=seconds)

    async def close(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=END_SECONDS)

    async def _read(self) -> None:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
        except OSError:
            return  # the next look at the container says what is wrong
        assert process.stdout is not None
        try:
            while data := await process.stdout.read(PIECE_BYTES):
                self._log.feed(data)
                self._keep(data)
            await process.wait()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    def _keep(self, data: bytes) -> None:
        """Append to our own copy; a disk that is full is told by others."""
        with contextlib.suppress(OSError):
            with self._kept.open("ab") as stream:
                stream.write(data)
                size = stream.tell()
            if size > KEPT_BYTES:
                os.replace(self._kept, self._kept.with_suffix(".log.1"))
