"""Profile directories of Chromium, and the processes that belong to one. Nothing of either remains.

A directory is named after the process that made it, so that a later attempt sees whether it was
left behind. Chromium's processes are known by the directory: each names it in its command line.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PREFIX = "chromium-"
PROCESSES = "processes"  # written by launch.py: pid and start of driver and Chromium
DRIVER_WORD = " run-driver "
# What Chromium's processes are called (proc(5), comm); Python is what they are before they begin.
NAMES = ("chrom", "headless", "brave", "edge", "python")
GONE_SECONDS = 5.0  # a kill takes milliseconds, unless the kernel waits for a disk
# Chromium's own words, before its first start. Without schemes a 401 is an answer like any other:
# otherwise a prompt that nobody sees holds the page's load event for ever.
LOCAL_STATE = {"auth": {"schemes": "none"}}


@dataclass(frozen=True, slots=True)
class Process:
    """A process; `started` (clock ticks since boot) tells it from a later one of the same pid."""

    pid: int
    started: int


def make(parent: Path) -> Path:
    """A new profile directory of this process, ready for Chromium. OSError if it can't be made."""
    parent.mkdir(parents=True, exist_ok=True)
    ours = process(os.getpid())
    assert ours is not None
    profile = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{ours.pid}-{ours.started}-", dir=parent))
    profile = profile.resolve()  # as it will stand in the command lines
    (profile / "tmp").mkdir()
    (profile / "Local State").write_text(json.dumps(LOCAL_STATE), encoding="ascii")
    return profile


def environment(profile: Path) -> dict[str, str]:
    """The variables Chromium gets: none of ours, for pages must not read them."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(profile),
        "XDG_CONFIG_HOME": str(profile / ".config"),
        "XDG_CACHE_HOME": str(profile / ".cache"),
        # A socket lies there, and its path may have 107 bytes only (unix(7)). launch.py goes
        # into the profile, so this names its tmp however long the profile's own path is.
        "TMPDIR": "/proc/self/cwd/tmp",
        "TZ": "UTC",
        "LANG": "C.UTF-8",
    }


def remove_left_profiles(parent: Path) -> int:
    """Wipe the profiles whose makers are gone, end what still runs in them; how many there were."""
    count = 0
    for profile in sorted(parent.glob(f"{PREFIX}*-*-*")):
        pid, _, started = profile.name.removeprefix(PREFIX).rpartition("-")[0].partition("-")
        if not (pid.isdigit() and started.isdigit() and profile.is_dir()):
            continue
        if process(int(pid)) != Process(int(pid), int(started)):
            clear(profile.resolve())
            count += 1
    return count


def clear(profile: Path) -> None:
    """End every process of a profile, its driver too, and remove it. Blocks for a few seconds at
    most; what the kernel does not give back until then is left to the next attempt."""
    driver = driver_of(profile)
    until = time.monotonic() + GONE_SECONDS
    # More than once: what is about to end may still be starting something.
    while (members := family(profile)) and time.monotonic() < until:
        end(members)
        time.sleep(0.02)
    if driver is not None:
        end([driver])
    if not members:
        shutil.rmtree(profile, ignore_errors=True)


def family(profile: Path) -> list[Process]:
    """The living processes of the browser in this profile, its crash handlers too.

    Blocks if one of them is stuck in the kernel: its command line can't be read then.
    """
    words = f" --user-data-dir={profile} ", f" --database={profile}{os.sep}"
    known = {each.pid for root in _written(profile) or () for each in lineage(root)}
    return [
        each
        for each in _everybody()
        if (each.pid in known or _may_be_browser(each.pid))
        and any(word in _line(each.pid) for word in words)
    ]


def lineage(root: Process) -> list[Process]:
    """A process and all that descend from it, as far as they live. Never blocks."""
    children: dict[int, list[Process]] = {}
    for each in _everybody():
        children.setdefault(_parent(each.pid), []).append(each)
    found = [root] if process(root.pid) == root else []
    for each in found:  # which grows meanwhile
        found += children.get(each.pid, ())
    return found


def drivers() -> set[Process]:
    """The drivers of playwright that are children of this process."""
    here = os.getpid()
    ours = (each for each in _everybody() if _parent(each.pid) == here)
    return {each for each in ours if DRIVER_WORD in _line(each.pid)}


def driver_of(profile: Path) -> Process | None:
    """The driver that started the browser in this profile, if it still lives."""
    written = _written(profile)
    return written[0] if written and DRIVER_WORD in _line(written[0].pid) else None


def browser_of(profile: Path) -> Process | None:
    """The main process of the browser in this profile, if it still lives."""
    written = _written(profile)
    return (
        written[1] if written and f" --user-data-dir={profile} " in _line(written[1].pid) else None
    )


def _written(profile: Path) -> tuple[Process, Process] | None:
    """The driver and the browser as launch.py wrote them down."""
    try:
        numbers = [int(each) for each in (profile / PROCESSES).read_text("ascii").split()]
    except (OSError, ValueError):
        return None
    if len(numbers) != 4:
        return None
    return Process(numbers[0], numbers[1]), Process(numbers[2], numbers[3])


def process(pid: int) -> Process | None:
    """The process of this pid, unless it is gone or only waits to be asked for its status."""
    fields = _stat(pid)
    if fields is None or fields[0] in ("Z", "X"):
        return None
    return Process(pid, int(fields[19]))


def end(processes: Iterable[Process]) -> None:
    """Kill these processes, the stopped ones too; not another that got the same pid."""
    for each in processes:
        if process(each.pid) == each:
            try:
                os.kill(each.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue


def memory_bytes(pid: int) -> int:
    """The process's share of resident memory: pages that several have are counted once over all.
    Where that can't be read, the resident size."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            for line in file:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    fields = _stat(pid)
    return int(fields[21]) * os.sysconf("SC_PAGE_SIZE") if fields else 0


def is_renderer(each: Process) -> bool:
    """Whether the process runs pages."""
    return "--type=renderer" in _line(each.pid)


def _everybody() -> Iterator[Process]:
    for name in os.listdir("/proc"):
        if name.isdigit() and (found := process(int(name))) is not None:
            yield found


def _may_be_browser(pid: int) -> bool:
    """By its name, which can be read of everybody."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            name = file.read().lower()
    except OSError:
        return False
    return any(each in name for each in NAMES)


def _line(pid: int) -> str:
    """The command line, a space before, after and between its words: Chromium's children rewrite
    theirs to that form themselves. It lies in the process's memory: while that waits for a dead
    disk or mount, whoever reads it waits too."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return " " + os.fsdecode(file.read()).replace("\0", " ") + " "
    except OSError:
        return " "


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the third on (proc(5)); the second may hold anything."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return None
