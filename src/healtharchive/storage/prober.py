"""Looks at targets without ever piling up: at most one stuck child for a target."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from healtharchive.model.clock import Clock, SystemClock
from healtharchive.model.target import TargetDefinition, Verdict
from healtharchive.storage.inspection import (
    Inspection,
    Looked,
    look_at_path,
    look_at_target,
    mount_facts,
)
from healtharchive.storage.mountinfo import Mount, read_mounts


@dataclass(frozen=True, slots=True)
class _Stuck:
    process: subprocess.Popen[bytes]
    since: datetime
    device: str


class Prober:
    """Looks at targets, and remembers the children that did not end.

    While a target's child is stuck, further looks at it answer `hung` at once. Each look reaps the
    children that have ended since. One thread at a time may use it.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._stuck: dict[str, _Stuck] = {}
        # Stuck in a mount that has been replaced since: only waiting to be reaped.
        self._left: list[subprocess.Popen[bytes]] = []

    def look(
        self,
        definition: TargetDefinition,
        *,
        deadline_seconds: float,
        identity: str = "",
        write: bool = True,
        user: str = "",
        mounts: Sequence[Mount] | None = None,
        parent: TargetDefinition | None = None,
    ) -> Inspection:
        """What `inspect_target` finds, in at most the deadline and a second."""
        table = read_mounts() if mounts is None else mounts
        blank = mount_facts(definition.name, definition.root, table)
        return self._look(
            definition.name,
            blank,
            lambda: look_at_target(
                definition,
                deadline_seconds=deadline_seconds,
                identity=identity,
                write=write,
                user=user,
                mounts=table,
                parent=parent,
            ),
        )

    def look_at_path(
        self,
        path: str | Path,
        *,
        deadline_seconds: float,
        target: str = "",
        write: bool = True,
        make: bool = False,
        user: str = "",
        mounts: Sequence[Mount] | None = None,
    ) -> Inspection:
        """What `inspect_path` finds; paths of one target share its one stuck child."""
        table = read_mounts() if mounts is None else mounts
        return self._look(
            target or str(path),
            mount_facts(target, str(path), table),
            lambda: look_at_path(
                path,
                deadline_seconds=deadline_seconds,
                target=target,
                write=write,
                make=make,
                user=user,
                mounts=table,
            ),
        )

    def stuck(self) -> dict[str, int]:
        """The pid of the stuck child of each target (or path) that has one."""
        self._reap()
        return {name: stuck.process.pid for name, stuck in self._stuck.items()}

    def _look(self, name: str, blank: Inspection, look: Callable[[], Looked]) -> Inspection:
        self._reap()
        earlier = self._stuck.get(name)
        if earlier is not None and earlier.device == blank.device:
            return self._still_hung(blank, earlier)
        looked = look()
        if looked.stuck is not None:
            if earlier is not None:
                self._left.append(earlier.process)
            self._stuck[name] = _Stuck(looked.stuck, self._clock.now(), blank.device)
        return looked.inspection

    def _still_hung(self, blank: Inspection, stuck: _Stuck) -> Inspection:
        since = stuck.since.isoformat(timespec="seconds")
        return replace(
            blank,
            verdict=Verdict.HUNG,
            errno=errno.ETIMEDOUT,
            step="look at",
            detail=f"process {stuck.process.pid} is stuck there since {since}",
        )

    def _reap(self) -> None:
        self._left = [process for process in self._left if process.poll() is None]
        ended = [name for name, stuck in self._stuck.items() if stuck.process.poll() is not None]
        for name in ended:
            del self._stuck[name]
