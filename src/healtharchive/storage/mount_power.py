"""Who makes and unmakes the mounts of this machine: we ourselves, or root's mounter for us."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from healtharchive.model.target import TargetDefinition
from healtharchive.storage import mounting
from healtharchive.storage.mount_orders import Order, Verb, order_for, to_line
from healtharchive.storage.mount_process import end_mount_process
from healtharchive.storage.mountinfo import mount_at, objection, read_mounts
from healtharchive.storage.mounting import Step

STATUS = Path("/proc/self/status")
CAP_SYS_ADMIN = 21  # capabilities(7)
ANSWER_BYTES = 65_536
SOCKET_UNIT = "healtharchive-mounter.socket"
MARGIN_SECONDS = 20.0  # beyond what a mount may take: a start under load, and the steps around it


class Mounter(Protocol):
    """What takes a repair's steps. Each is bounded in time, and says how it went."""

    def mount(self, definition: TargetDefinition, parent: TargetDefinition | None) -> Step:
        """Mount a target, or bind a hot path again."""

    def unmount(self, definition: TargetDefinition, parent: TargetDefinition | None) -> Step:
        """Take away all that is mounted at its root."""

    def abort(self, definition: TargetDefinition, device: str) -> Step:
        """Let go whoever hangs on the target's mount, which is this device."""

    def end_process(self, definition: TargetDefinition, pid: int) -> Step:
        """End the process that serves the target's mount."""


@dataclass(frozen=True, slots=True)
class Direct:
    """With our own power: as root, or what `fusermount3` lets a user do."""

    mount_seconds: float

    def mount(self, definition: TargetDefinition, parent: TargetDefinition | None) -> Step:
        return mounting.mount(definition, self.mount_seconds, parent=parent)

    def unmount(self, definition: TargetDefinition, parent: TargetDefinition | None) -> Step:
        return mounting.unmount_all(definition.root)[-1]

    def abort(self, definition: TargetDefinition, device: str) -> Step:
        return mounting.abort_connection(device)

    def end_process(self, definition: TargetDefinition, pid: int) -> Step:
        return end_mount_process(pid, definition.root)


@dataclass(frozen=True, slots=True)
class Asked:
    """The mounter behind a socket. It knows each target by name, and finds the rest itself."""

    socket: Path
    jobs_root: Path
    mount_seconds: float

    def mount(self, definition: TargetDefinition, parent: TargetDefinition | None) -> Step:
        step = self._ask(order_for(Verb.MOUNT, definition, parent, self.jobs_root), definition)
        return _unless(step, objection(definition, read_mounts(), parent))

    def unmount(self, definition: TargetDefinition, parent: TargetDefinition | None) -> Step:
        step = self._ask(order_for(Verb.UNMOUNT, definition, parent, self.jobs_root), definition)
        left = mount_at(read_mounts(), definition.root)
        return _unless(step, f"still mounted: {left}" if left else "")

    def abort(self, definition: TargetDefinition, device: str) -> Step:
        return self._ask(Order(Verb.ABORT, definition.name), definition)

    def end_process(self, definition: TargetDefinition, pid: int) -> Step:
        if _is_ours(pid):
            return end_mount_process(pid, definition.root)
        return self._ask(Order(Verb.END, definition.name), definition)

    def _ask(self, order: Order, definition: TargetDefinition) -> Step:
        began = time.monotonic()
        try:
            said = json.loads(self._exchange(to_line(order)))
            if "refused" in said:
                return Step(order.verb, definition.root, False, str(said["refused"]))
            return Step(**said)
        except OSError as error:
            reason = f"{self.socket}: {error.strerror or error}"
        except (ValueError, TypeError):
            reason = "it ended before it had said how it went"
        detail = (
            f"the mounter does not answer ({reason}): `systemctl start {SOCKET_UNIT}`, then "
            "`journalctl -u 'healtharchive-mounter*'`"
        )
        return Step(order.verb, definition.root, False, detail, time.monotonic() - began)

    def _exchange(self, line: bytes) -> bytes:
        ends_at = time.monotonic() + self.mount_seconds + MARGIN_SECONDS
        said = b""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(self.mount_seconds + MARGIN_SECONDS)
            connection.connect(str(self.socket))
            connection.sendall(line)
            while not said.endswith(b"\n") and len(said) < ANSWER_BYTES:
                connection.settimeout(max(ends_at - time.monotonic(), 0.001))
                more = connection.recv(ANSWER_BYTES)
                if not more:
                    break
                said += more
        return said


def mounter_here(path: Path, *, jobs_root: Path, mount_seconds: float) -> Direct | Asked:
    """Who mounts on this machine for this process: the mounter only where we cannot ourselves.

    Who may gain no privilege cannot, not even by `fusermount3`: a mounter that is not there is then
    what is to be told, and not what came of trying.
    """
    status = STATUS.read_text()
    if not _may_mount(status) and (_may_not_gain(status) or os.access(path, os.W_OK)):
        return Asked(path, jobs_root, mount_seconds)
    return Direct(mount_seconds)


def _may_mount(status: str) -> bool:
    """Whether the kernel lets this process mount. Root need not have that power, in a service."""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> CAP_SYS_ADMIN & 1)


def _may_not_gain(status: str) -> bool:
    return re.search(r"^NoNewPrivs:\s*1$", status, re.MULTILINE) is not None


def _unless(step: Step, wrong: str) -> Step:
    """The step, failed where it was done and we see something else: root may know another target
    by this name, or what is mounted there is not seen here."""
    if not step.ok or not wrong:
        return step
    cure = "`healtharchive install` as root makes a changed targets file known to the mounter"
    detail = (
        f"{step.detail}, says the mounter; but {wrong}: {cure}, and `healtharchive doctor` says"
    )
    return replace(step, ok=False, detail=f"{detail} whether mounts are seen here")


def _is_ours(pid: int) -> bool:
    """Whether we may end the process ourselves. One that is gone is nobody's any more."""
    try:
        return os.stat(f"/proc/{pid}").st_uid == os.geteuid()
    except OSError:
        return True
