"""Checks of files and directories: settings, modes, disks, room. Children touch what may hang."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from healtharchive.cli.machine.checks import Checked, Surroundings, fail, fine, unknown, warn
from healtharchive.cli.machine.checks_database import is_remote
from healtharchive.cli.machine.layout import CONFIGURATION
from healtharchive.cli.messages import size
from healtharchive.model.target import TargetDefinition, TargetKind, Verdict
from healtharchive.settings.declared import declarations
from healtharchive.storage.inspection import Inspection, inspect_path
from healtharchive.storage.mountinfo import covering, read_mounts

LOOK_SECONDS = 15.0
# What is lost, or hangs a process, when it lies on a disk that may go away.
LOCAL = ("data_dir", "jobs_root", "search_dir", "state_dir", "wacz_dir", "datasets_dir")
OTHERS = ("evidence_dir", "backup_dir")
FEW_INODES = 0.05
SECRETS = CONFIGURATION / "secrets.env"  # what is no setting, such as the env:NAME of a target
CARELESS = re.compile(r"\bStrictHostKeyChecking=(no|off|accept-new)\b", re.IGNORECASE)


def env_file(around: Surroundings) -> Iterator[Checked]:
    """Who may read the settings file, and what is in it that nobody knows."""
    path = around.settings.env_file
    if path is None:
        yield fine("settings", "There is no settings file; environment and defaults are used.")
    else:
        yield from _modes(around, path)
    for each in around.settings.unknown:
        hint = f" Did you mean {each.suggestion}?" if each.suggestion else ""
        yield warn("settings", f"There is no setting {each.variable}.{hint}", f"See {each.origin}.")
    if not around.settings.operator:
        cure = "Set HEALTHARCHIVE_OPERATOR to a name and an address."
        yield warn("operator", "Sites cannot tell who captures them: no operator is set.", cure)


def secrets_file(_: Surroundings) -> Iterator[Checked]:
    """Who may read the file that units take their secrets from."""
    try:
        mode = stat.S_IMODE(SECRETS.stat().st_mode)
    except OSError:
        return
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        said = f"Everybody can read or write {SECRETS} (mode {mode:04o})."
        yield fail("secrets", said, f"chmod 640 {SECRETS}")
    else:
        yield fine("secrets", f"{SECRETS} (mode {mode:04o}) is closed to others.")


def _modes(around: Surroundings, path: Path) -> Iterator[Checked]:
    mode = stat.S_IMODE(path.stat().st_mode)
    secrets = [
        name
        for name, (_, declaration) in declarations().items()
        if declaration.secret and str(path) in around.settings.origin(name)
    ]
    if "@" in around.settings.database_url and str(path) in around.settings.origin("database_url"):
        secrets.append("database_url")
    if mode & stat.S_IROTH and secrets:
        said = f"Everybody can read {path} (mode {mode:04o}), which sets {', '.join(secrets)}."
        yield fail("settings", said, f"chmod 640 {path}")
    elif mode & stat.S_IWOTH:
        yield fail("settings", f"Everybody can write to {path}.", f"chmod 640 {path}")
    else:
        yield fine("settings", f"{path} (mode {mode:04o}) is read.")


def directories(around: Surroundings) -> Iterator[Checked]:
    """Each directory: on a local disk where it must be, there, and writable for the services."""
    mounts, data_dir = read_mounts(), around.settings.data_dir
    made = _there(data_dir)
    for name in (*LOCAL, *OTHERS):
        path: Path = getattr(around.settings, name)
        if not made and data_dir in path.parents:
            continue  # one line about data_dir is enough
        disk = covering(mounts, path)
        if disk is None:
            yield unknown(name, f"Nobody knows which disk {path} is on.")
        elif name in LOCAL and is_remote(disk.filesystem):
            said = f"{path} lies on {disk.source} ({disk.filesystem}), which may go away."
            cure = f"Set HEALTHARCHIVE_{name.upper()} to a directory on a local disk."
            yield fail(name, said, cure)
        else:
            yield _usable(around, name, path)


def _usable(around: Surroundings, name: str, path: Path) -> Checked:
    user = around.settings.crawler_user or around.user
    seen = inspect_path(path, deadline_seconds=LOOK_SECONDS, user=user)
    whose = f"for {user}" if user and os.geteuid() == 0 else "for this user"
    if seen.healthy:
        return fine(name, f"{path} is writable {whose}.")
    owner = user or "healtharchive"
    if seen.errno == errno.ENOENT and name != "data_dir" and _can_be_made(path, user):
        return fine(name, f"{path} is not there yet and is made when it is needed.")
    if seen.verdict is Verdict.MISSING:
        return fail(name, f"There is no {path}.", f"install -d -o {owner} -m 750 {path}")
    said = f"{path} cannot be used {whose}: {seen.detail or seen.verdict}."
    return fail(name, said, f"chown {owner}: {path}")


def _can_be_made(path: Path, user: str) -> bool:
    """Whether the nearest directory above takes something new."""
    near = next((each for each in path.parents if _there(each)), None)
    if near is None:
        return False
    return inspect_path(near, deadline_seconds=LOOK_SECONDS, user=user).healthy


def room(around: Surroundings) -> Iterator[Checked]:
    """Whether there is room for crawls: bytes and inodes under jobs_root."""
    settings = around.settings
    near = next((e for e in (settings.jobs_root, *settings.jobs_root.parents) if _there(e)), None)
    disk = covering(read_mounts(), settings.jobs_root)
    if near is None or disk is None or is_remote(disk.filesystem):
        yield unknown("spool", "How full the disk under jobs_root is cannot be seen.")
        return
    seen = inspect_path(near, deadline_seconds=LOOK_SECONDS, write=False)
    if not seen.disk_bytes:
        yield unknown("spool", f"How full the disk of {near} is cannot be seen.")
        return
    yield _fullness(around, seen)
    needed = 2 * settings.segment_bytes * settings.worker_jobs
    if seen.free_bytes < needed:
        said = f"{size(seen.free_bytes)} are free; two segments a job need {size(needed)}."
        cure = "Make room, or set HEALTHARCHIVE_SEGMENT_BYTES or HEALTHARCHIVE_WORKER_JOBS lower."
        yield fail("spool", said, cure)
    if seen.files_total and seen.files_free < FEW_INODES * seen.files_total:
        said = f"Only {seen.files_free:,} of {seen.files_total:,} inodes are free."
        yield warn("inodes", said, f"du --inodes -x -d 3 {near} | sort -n | tail")


def _fullness(around: Surroundings, seen: Inspection) -> Checked:
    used = 100.0 * (seen.disk_bytes - seen.free_bytes) / seen.disk_bytes
    said = f"The disk under jobs_root is {used:.0f} % full, {size(seen.free_bytes)} are free"
    cure = "healtharchive steward run spool --dry-run"
    if used >= around.settings.spool_soft_percent:
        return fail("spool", f"{said}: no crawl is begun.", cure)
    if used >= around.settings.spool_warn_percent:
        return warn("spool", f"{said}.", cure)
    return fine("spool", f"{said}.")


def _there(path: Path) -> bool:
    return inspect_path(path, deadline_seconds=LOOK_SECONDS, write=False).healthy


# -- keys ----------------------------------------------------------------------------------


def keys(around: Surroundings) -> Iterator[Checked]:
    """The SSH keys of targets, and whether their servers are known."""
    for target in around.targets:
        about = f"target {target.name}"
        words = " ".join(target.mount_command)
        for path in _key_files(target):
            yield _key_modes(about, path)
        if CARELESS.search(words):
            said = "Its mount_command takes any server for the right one."
            yield warn(about, said, "Take StrictHostKeyChecking out and use known_hosts.")
        elif _host(target):
            yield _known_host(around, target)


def _key_files(target: TargetDefinition) -> list[Path]:
    words = target.mount_command
    named = [found[1] for word in words if (found := re.search(r"IdentityFile=([^,\s]+)", word))]
    named += [after for word, after in pairwise(words) if word == "-i"]
    if "key_filename" in target.options:
        named.append(target.options["key_filename"])
    return [Path(each) for each in named if each.startswith("/")]


def _key_modes(about: str, path: Path) -> Checked:
    disk = covering(read_mounts(), path)
    if disk is None or is_remote(disk.filesystem):
        return unknown(about, f"The key {path} lies on a disk that may hang; it is not looked at.")
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except PermissionError:
        return unknown(about, f"This user cannot see the key {path}.", "sudo healtharchive doctor")
    except OSError as error:
        return fail(about, f"The key {path} cannot be read: {error.strerror}.", f"ls -l {path}")
    if mode & 0o077:
        said = f"Others may read the key {path} (mode {mode:04o}): ssh refuses it."
        return fail(about, said, f"chmod 600 {path}")
    return fine(about, f"The key {path} is its owner's alone.")


def _host(target: TargetDefinition) -> str:
    """The server that SSH must know: `[host]:port` unless the port is 22."""
    if target.kind is TargetKind.OBJECT:
        found = re.match(r"sftp://(?:[^@/]*@)?(\[[^\]]+\]|[^:/]+)(?::(\d+))?", target.root)
    elif target.mount_command and "sshfs" in Path(target.mount_command[0]).name:
        found = re.match(r"(.+):(\d+)$", target.server)
    else:
        return ""
    if found is None:
        return ""
    host, port = found[1].strip("[]"), found[2] or "22"
    return host if port == "22" else f"[{host}]:{port}"


def _known_host(around: Surroundings, target: TargetDefinition) -> Checked:
    about, host = f"target {target.name}", _host(target)
    words = " ".join(target.mount_command)
    named = target.options.get("known_hosts") or ""
    found = re.search(r"UserKnownHostsFile=([^,\s]+)", words)
    path = Path(found[1] if found else named or Path("~/.ssh/known_hosts").expanduser())
    said = around.ask(["ssh-keygen", "-F", host, "-f", str(path)])
    if said.status is None:
        return unknown(about, f"Whether {host} is known cannot be seen: {said.text}.")
    if said.well:
        return fine(about, f"{path} knows {host}.")
    if not (found or named) and around.user:
        cure = f"sudo -u {around.user} ssh-keygen -F '{host}'"
        return unknown(about, f"{path} does not know {host}; the services' own may.", cure)
    name, _, port = host.strip("[").replace("]", "").partition(":")
    cure = f"ssh-keyscan -p {port or 22} {name} >> {path}  # then compare the key"
    return fail(about, f"{path} does not know {host}: SSH will refuse it.", cure)
