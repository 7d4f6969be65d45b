"""What is left of a child that was killed: it ends when it gets a turn, or it waits in the kernel.

A killed process needs the processor to end; on a busy machine it may not get any for seconds.
Only one that stays in an uninterruptible wait is held by what does not answer, such as a mount.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

LONGEST_DEATH_SECONDS = 30.0  # a killed process that only waits for its turn has ended by then
UNINTERRUPTIBLE = "D"  # proc(5), field 3


class Remains(StrEnum):
    """What a killed process is doing."""

    ENDING = "ending"  # to be waited for
    HANGS = "hangs"  # in the kernel: it is left behind
    STAYS = "stays"  # it does not end, and nothing tells why: it is left behind too


def remains(killed_seconds: float, kernel_seconds: float, patience_seconds: float) -> Remains:
    """What a child that was killed so long ago is doing. Pure.

    `kernel_seconds` is how long it has been seen in an uninterruptible wait, and nothing else.
    """
    if killed_seconds > 0 and kernel_seconds >= patience_seconds:
        return Remains.HANGS
    if killed_seconds >= LONGEST_DEATH_SECONDS:
        return Remains.STAYS
    return Remains.ENDING


def waits_in_kernel(pid: int) -> bool:
    """Whether a process that was killed, or one of its threads, is in an uninterruptible wait.

    The first thread may be gone while another one still hangs in a write.
    """
    tasks = Path(f"/proc/{pid}/task")
    try:
        stats = [each / "stat" for each in tasks.iterdir()]
    except OSError:
        return False  # it has ended meanwhile
    return any(_state(stat) == UNINTERRUPTIBLE for stat in stats)


def _state(stat: Path) -> str:
    try:
        text = stat.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # it has ended meanwhile
    return text.rpartition(")")[2].strip()[:1]
