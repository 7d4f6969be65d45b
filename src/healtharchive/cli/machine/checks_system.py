"""Checks of the machine: limits, clock, FUSE, memory, and what the kernel allows."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Iterator
from pathlib import Path

from healtharchive.cli.machine.checks import Checked, Surroundings, fail, fine, unknown, warn
from healtharchive.cli.machine.requirements import numbers
from healtharchive.cli.messages import size
from healtharchive.model.target import TargetKind

SOUND_SSHFS = (3, 7, 6)
LEAST_FILES, LEAST_PROCESSES = 4096, 1024
FREE_FOR_US_BYTES = 1_000_000_000
PROC = Path("/proc")
FUSE_CONF = Path("/etc/fuse.conf")


def limits(around: Surroundings) -> Iterator[Checked]:
    """How many files and processes the worker may have, or whoever asks where none lives."""
    pid, whose = "self", "this user"
    if around.condition is not None and (living := around.condition.services["worker"].living):
        pid, whose = str(living[0].pid), "the worker"
    found = _limits_of(pid)
    if not found:
        found, whose = _own_limits(), "this user"
    for about, name, least in (
        ("open files", "Max open files", LEAST_FILES),
        ("processes", "Max processes", LEAST_PROCESSES),
    ):
        limit = found[name]
        said = f"{whose.capitalize()} may have {limit if limit is not None else 'any number of'}"
        if limit is not None and limit < least:
            cure = "healtharchive install writes units with higher limits; or raise ulimit"
            yield warn(about, f"{said} {about}, fewer than {least}.", cure)
        else:
            yield fine(about, f"{said} {about}.")


def _limits_of(pid: str) -> dict[str, int | None]:
    """The soft limits of a process by their names in proc(5); None: no limit. Empty: not ours."""
    try:
        text = (PROC / pid / "limits").read_text(encoding="utf-8")
    except OSError:
        return {}
    rows = re.findall(r"^(Max [a-z ]+?)\s{2,}(\S+)", text, re.MULTILINE)
    return {name: None if soft == "unlimited" else int(soft) for name, soft in rows}


def _own_limits() -> dict[str, int | None]:
    found = {
        "Max open files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "Max processes": resource.getrlimit(resource.RLIMIT_NPROC)[0],
    }
    return {name: None if each == resource.RLIM_INFINITY else each for name, each in found.items()}


def clock(around: Surroundings) -> Iterator[Checked]:
    """Whether the machine's clock is set by others."""
    said = around.ask(["timedatectl", "show", "--property=NTPSynchronized", "--value"])
    if not said.well:
        yield unknown(
            "clock", f"Whether the clock is set by NTP cannot be seen: {said.text or 'no answer'}."
        )
    elif said.text == "yes":
        yield fine("clock", "The clock is set by NTP.")
    else:
        yield warn("clock", "The clock is not set by NTP.", "timedatectl set-ntp true")


def fuse(around: Surroundings) -> Iterator[Checked]:
    """sshfs and FUSE, where a target is mounted by them."""
    commands = [each for each in around.targets if _is_sshfs(each.mount_command)]
    if not commands:
        return
    yield from _sshfs(around)
    if around.ask(["fusermount3", "-V"]).well:
        yield fine("fuse3", "fusermount3 is there.")
    else:
        yield fail("fuse3", "There is no fusermount3.", "apt-get install fuse3")
    wanted = [each.name for each in commands if "allow_other" in " ".join(each.mount_command)]
    if not wanted:
        return
    if re.search(r"^\s*user_allow_other\b", _text(FUSE_CONF), re.MULTILINE):
        yield fine("fuse.conf", f"{FUSE_CONF} has user_allow_other.")
    elif around.user == "root" or (not around.user and os.geteuid() == 0):
        yield fine("fuse.conf", "allow_other needs no permission: root mounts.")
    else:
        cure = f"echo user_allow_other >> {FUSE_CONF}"
        yield fail("fuse.conf", f"{wanted[0]} needs user_allow_other in {FUSE_CONF}.", cure)


def _is_sshfs(command: tuple[str, ...]) -> bool:
    return any(Path(word).name == "sshfs" for word in command[:3])


def _sshfs(around: Surroundings) -> Iterator[Checked]:
    said = around.ask(["sshfs", "--version"])
    found = re.search(r"SSHFS version (\S+)", said.text)
    if said.status is None or found is None:
        yield fail("sshfs", f"sshfs does not answer: {said.text}.", "apt-get install sshfs")
    elif numbers(found[1]) < SOUND_SSHFS:
        said_so = f"sshfs {found[1]} has known holes: it shows a failed write once, or never."
        cure = "Install 3.7.6 or newer; until then ship sealed segments and write to the spool."
        yield warn("sshfs", said_so, cure)
    else:
        yield fine("sshfs", f"sshfs {found[1]}.")


def memory(around: Surroundings) -> Iterator[Checked]:
    """Whether the browsers that may run at once fit into the memory."""
    if not any(each.engine in ("browser", "auto") for each in around.sources.values()):
        return
    found = dict(re.findall(r"^(MemTotal|SwapTotal):\s+(\d+) kB", _text(PROC / "meminfo"), re.M))
    if "MemTotal" not in found:
        yield unknown("memory", "How much memory there is cannot be seen.")
        return
    there, swap = int(found["MemTotal"]) * 1024, int(found.get("SwapTotal", 0)) * 1024
    settings = around.settings
    needed = settings.worker_jobs * settings.browser_memory_bytes + FREE_FOR_US_BYTES
    jobs = f"{settings.worker_jobs} crawls with browsers"
    said = f"{jobs} may need {size(needed)}; there are {size(there)} and {size(swap)} of swap."
    if needed > there + swap:
        cure = "Set HEALTHARCHIVE_WORKER_JOBS or HEALTHARCHIVE_BROWSER_MEMORY_BYTES lower."
        yield warn("memory", said, cure)
    else:
        yield fine("memory", said)


def kernel(around: Surroundings) -> Iterator[Checked]:
    """What browsers and containers need of the kernel: user namespaces, overlay, FUSE."""
    engines = {each.engine for each in around.sources.values()}
    if engines & {"browser", "auto", "container"}:
        yield from _namespaces()
    if "container" in engines:
        yield from _filesystem("overlay", "containers")
    if any(each.kind is TargetKind.MOUNT for each in around.targets):
        yield from _filesystem("fuse", "mounts")


def _namespaces() -> Iterator[Checked]:
    switches = {
        "sys/user/max_user_namespaces": "0",
        "sys/kernel/unprivileged_userns_clone": "0",
        "sys/kernel/apparmor_restrict_unprivileged_userns": "1",
    }
    closed = [name for name, value in switches.items() if _text(PROC / name).strip() == value]
    for name in closed:
        key = name.removeprefix("sys/").replace("/", ".")
        said = f"{key} keeps browsers from a sandbox of their own, and podman from running."
        yield warn("user namespaces", said, f"sysctl {key}")
    if closed:
        return
    if (PROC / "sys/user/max_user_namespaces").exists():
        yield fine("user namespaces", "User namespaces are allowed.")
    else:
        yield unknown("user namespaces", "Whether user namespaces are allowed cannot be seen.")


def _filesystem(name: str, what_for: str) -> Iterator[Checked]:
    known = re.search(rf"\b{name}$", _text(PROC / "filesystems"), re.MULTILINE)
    if known:
        yield fine(name, f"The kernel knows {name}, which {what_for} need.")
    else:
        yield warn(name, f"The kernel does not know {name} yet.", f"modprobe {name}")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
