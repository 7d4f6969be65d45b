"""A real systemd as the first process of namespaces of its own, on a copy-on-write view of `/`.

Root only. What runs in it sees this machine's programs and the directories that are shared with
it, and its loopback network is ours. When the block ends, all of it is killed and unmounted.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.processes import kill_tree, spawn, wait_for, without_settings

BOOT_SECONDS = 30.0
COMMAND_SECONDS = 60.0
SYSTEMD = "/lib/systemd/systemd"
GROUPS = Path("/sys/fs/cgroup")  # version 1, a directory for each controller; "unified" beside them
UNUSED = ("cpuset",)  # a group of it takes nobody before it has been set up, and systemd makes none
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
# Of what every service waits for, only the journal: the rest would set up this machine again.
KEPT = ("systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket")
GOAL = "sysinit.target"

# Takes itself into so many groups, then becomes the command after them.
ENTER = """\
left=$1; shift
while [ "$left" -gt 0 ]; do echo $$ > "$1/cgroup.procs" || exit 1; shift; left=$((left - 1)); done
exec "$@"
"""
# Runs as the first process of the namespaces, before systemd takes its place. The mounts are in
# the mount namespace alone and end with it.
SCRIPT = """\
set -eu
root=$1; shift
mount -t tmpfs -o mode=755 none "$root"
mkdir "$root/upper" "$root/work" "$root/seen"
mount -t overlay -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" none "$root/seen"
cd "$root/seen"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 none sys/fs/cgroup
mkdir sys/fs/cgroup/systemd
mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
mount -t tmpfs -o mode=755 none run
mount -t tmpfs -o mode=1777 none tmp
mount -t tmpfs -o mode=755 none dev
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 none dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for each in {devices}; do touch "dev/$each"; mount --bind "/dev/$each" "dev/$each"; done
for each in "$@"; do mkdir -p ".$each"; mount --bind "$each" ".$each"; done
for each in lib/systemd/system/*.target.wants/* lib/systemd/system/modprobe@.service; do
  name=$(basename "$each")
  case " {kept} " in *" $name "*) ;; *) ln -sf /dev/null "etc/systemd/system/$name" ;; esac
done
: > etc/fstab
# Not chroot: in one, nobody can make a user namespace, and Chromium's sandbox is one.
mkdir old
pivot_root . old
cd /
umount -l /old
rmdir /old
# As systemd does on a machine, and not where it is told of a container: what is mounted is seen by
# services that have a view of their own.
mount --make-rshared /
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  {systemd} --system --unit={goal} --log-target=null --show-status=no
"""


@dataclass(frozen=True)
class Systemd:
    """A booted systemd. `pid` is its first process, as this side sees it."""

    pid: int

    def command(self, *words: str | Path) -> list[str]:
        """The command line that runs another one in there."""
        within = ["nsenter", "-t", str(self.pid), "-p", "-m", "-u", "-i", "-C", "-r", "-w"]
        return [*within, *(str(word) for word in words)]

    def run(
        self,
        *words: str | Path,
        environment: Mapping[str, str] | None = None,
        codes: Sequence[int] = (0,),
        seconds: float = COMMAND_SECONDS,
    ) -> str:
        """What a command in there prints; AssertionError when it ends with another exit code."""
        done = self.attempt(*words, environment=environment, seconds=seconds)
        said = f"{shlex.join(str(word) for word in words)}: {done.returncode}\n"
        assert done.returncode in codes, said + done.stdout + done.stderr
        return done.stdout

    def attempt(
        self,
        *words: str | Path,
        environment: Mapping[str, str] | None = None,
        seconds: float = COMMAND_SECONDS,
    ) -> subprocess.CompletedProcess[str]:
        """A command in there that has ended, however it did."""
        return subprocess.run(
            self.command(*words),
            env={**without_settings(), **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def active(self, unit: str) -> bool:
        """Whether a unit runs, begins or ends now."""
        state = self.attempt("systemctl", "show", "--property=ActiveState", "--value", unit).stdout
        return state.strip() in ("active", "activating", "deactivating", "reloading")


@contextmanager
def booted(*shared: Path) -> Iterator[Systemd]:
    """A systemd that has reached sysinit.target, with these directories as they are here.

    What is elsewhere on the root file system can be read in there; what is written there is gone
    afterwards.
    """
    groups = _make_groups()
    directory = Path(tempfile.mkdtemp(prefix="lab-systemd-"))
    log = directory / "boot.log"
    root = directory / "root"
    root.mkdir()
    script = SCRIPT.format(
        devices=" ".join(DEVICES), kept=" ".join(KEPT), systemd=SYSTEMD, goal=GOAL
    )
    namespaces = ["--pid", "--mount", "--cgroup", "--ipc", "--uts", "--fork", "--kill-child"]
    inside: list[str | Path] = ["unshare", *namespaces, "sh", "-c", script, "sh", root, *shared]
    process = spawn(["sh", "-c", ENTER, "sh", str(len(groups)), *groups, *inside], log=log)
    try:
        pid = wait_for(
            lambda: _first_process(process, log), what="the namespaces", seconds=BOOT_SECONDS
        )
        systemd = Systemd(pid)
        wait_for(lambda: _is_up(systemd), what="systemd is up", seconds=BOOT_SECONDS, every=0.2)
        yield systemd
    finally:
        kill_tree(process)  # the kernel kills what is left in the namespace with its first process
        for group in groups:
            _remove_group(group)
        shutil.rmtree(directory)


def _first_process(process: subprocess.Popen[bytes], log: Path) -> int | None:
    """The child of unshare, once it has become systemd."""
    assert process.poll() is None, log.read_text(errors="replace")
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in listed:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
                return int(pid)
    return None


def _is_up(systemd: Systemd) -> bool:
    state = systemd.attempt("systemctl", "is-active", GOAL).stdout
    return state.strip() == "active"


def _make_groups() -> list[Path]:
    """A control group of its own in each hierarchy: systemd makes its slices below it."""
    name = f"lab-{os.getpid()}-{os.urandom(4).hex()}"
    groups = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        hierarchy = controllers.removeprefix("name=") or "unified"
        parent = GROUPS / hierarchy / path.lstrip("/")
        if hierarchy not in UNUSED and parent.is_dir():
            groups.append(parent / name)
            groups[-1].mkdir()
    return groups


def _remove_group(group: Path) -> None:
    """Remove a group and all below it, once its last process is gone."""

    def gone() -> bool:
        for path, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(path)
        return not group.exists()

    wait_for(gone, what=f"{group} is empty", seconds=10.0)
