"""The pulse of a FUSE mount: whether its server still answers, found out without asking the mount.

A look needs its whole deadline to tell a mount that hangs from a slow one. The kernel knows sooner:
requests wait, and either the mount's process is stopped, or its server has said nothing meanwhile.
A busy server answers slowly, but it answers.
"""

from __future__ import annotations

from dataclasses import dataclass

from healtharchive.model.target import TargetDefinition
from healtharchive.storage.mount_process import mount_process, process_facts
from healtharchive.storage.mountinfo import Mount, mount_at, waiting_requests
from healtharchive.storage.sockets import heard_seconds, open_sockets, partners

UNWATCHED_SECONDS = 5.0  # after such a gap nobody knows whether the same requests wait still
STOPPED = ("T", "t")  # by a signal, by a debugger (proc(5), stat)


@dataclass(frozen=True, slots=True)
class Silence:
    """A mount that hangs: how many requests wait, since how long, and why nobody answers them."""

    waiting: int
    seconds: float
    why: str
    device: str

    @property
    def detail(self) -> str:
        """It in one sentence."""
        wait = f"{self.waiting} requests wait" if self.waiting != 1 else "1 request waits"
        return f"{wait} since {self.seconds:.1f} s, and {self.why}"


@dataclass(slots=True)
class Pulse:
    """Feels the pulse of one mount, some times a second. Never touches its path."""

    _waits: tuple[str, float] | None = None  # the mount's device, since when requests wait there
    _felt_at: float = 0.0

    def feel(
        self,
        definition: TargetDefinition,
        mounts: tuple[Mount, ...],
        now: float,
        patience_seconds: float,
    ) -> Silence | None:
        """The silence, once it has lasted so long; None while the server answers or nobody asks.

        `now` is monotonic. None also where nothing certain can be known: no FUSE mount, or one
        whose server is not at the other end of an ssh.
        """
        at = mount_at(mounts, definition.root)
        waiting = waiting_requests(at.device) if at is not None and at.is_fuse else None
        unwatched = now - self._felt_at > UNWATCHED_SECONDS
        self._felt_at = now
        if at is None or not waiting or unwatched:
            self._waits = None
        if at is None or not waiting:
            return None
        if self._waits is None or self._waits[0] != at.device:
            self._waits = (at.device, now)
        lasts = now - self._waits[1]
        if lasts < patience_seconds:
            return None
        pid = mount_process(mounts, definition)
        why = _why_silent(pid, patience_seconds) if pid is not None else ""
        if not why:
            return None
        self._waits = None  # said once; whoever feels again after a while begins anew
        return Silence(waiting, lasts, why, at.device)


def _why_silent(pid: int, patience_seconds: float) -> str:
    facts = process_facts(pid)
    if facts is not None and facts.state in STOPPED:
        return f"process {pid}, which serves it, is stopped"
    sockets = open_sockets()
    heard = heard_seconds({pid, *partners(pid, sockets)}, sockets)
    if heard is not None and heard >= patience_seconds:
        return f"its server has said nothing for {heard:.1f} s"
    return ""
