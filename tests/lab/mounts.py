"""Real mounts that can be full, read-only, or stale with errno 107. Root and loopback only."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.lab.postgres import free_port
from tests.lab.processes import descendants, kill, kill_tree, spawn, wait_for

COMMAND_SECONDS = 20.0
PORT_IN_NAMESPACE = 2222


@contextmanager
def tmpfs(path: Path, size: str = "8m", inodes: int = 0) -> Iterator[Path]:
    """A file system of this size mounted at the directory, which is made. 0 inodes: no limit."""
    path.mkdir(parents=True, exist_ok=True)
    options = f"size={size},mode=0777,nr_inodes={inodes}"
    _run("mount", "-t", "tmpfs", "-o", options, "lab", str(path))
    try:
        yield path
    finally:
        unmount(path)


def resize(path: Path, size: str) -> None:
    """Give a mounted tmpfs another size."""
    _run("mount", "-o", f"remount,size={size}", str(path))


def set_read_only(path: Path, read_only: bool = True) -> None:
    """Turn a mount read-only (EROFS), or back."""
    _run("mount", "-o", f"remount,{'ro' if read_only else 'rw'}", str(path))


@contextmanager
def bind(source: Path, path: Path) -> Iterator[Path]:
    """A directory seen at a second place too; it stays tied to the mount it was made from."""
    path.mkdir(parents=True, exist_ok=True)
    _run("mount", "--bind", str(source), str(path))
    try:
        yield path
    finally:
        unmount(path)


def unmount(path: Path) -> None:
    """Take a mount away at once, even when it is dead and has open files."""
    subprocess.run(
        ["umount", "-l", str(path)],
        timeout=COMMAND_SECONDS,
        check=False,
        stderr=subprocess.DEVNULL,
    )


def is_mounted(path: Path) -> bool:
    """Whether the kernel lists a mount there; never touches the path itself."""
    place = str(path.absolute())
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return any(line.split(" ")[4] == place for line in lines)


@dataclass(frozen=True)
class Server:
    """An sshd of our own on loopback, which serves `files` over SFTP."""

    directory: Path
    port: int
    host: str = "127.0.0.1"
    user: str = field(default_factory=lambda: pwd.getpwuid(os.geteuid()).pw_name)

    @property
    def files(self) -> Path:
        """What the server's clients see, as it lies on the local disk."""
        return self.directory / "files"

    @property
    def key(self) -> Path:
        """The private key that opens it."""
        return self.directory / "client_key"

    @property
    def pid(self) -> int:
        """The pid of sshd."""
        return int((self.directory / "sshd.pid").read_text())

    @property
    def source(self) -> str:
        """What mountinfo shows as the source of its mounts."""
        return f"{self.user}@{self.host}:{self.files}"

    def mount_command(self, path: Path, alive_seconds: int = 2) -> tuple[str, ...]:
        """The command that mounts the files at the directory, and goes on in the background.

        After two times `alive_seconds` without an answer the connection counts as dead.
        """
        options = {
            "IdentityFile": self.key,
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "ServerAliveInterval": alive_seconds,
            "ServerAliveCountMax": 2,
            "ConnectTimeout": 5,  # else an ssh that waits for a greeting waits for ever
        }
        command = ["sshfs", "-p", str(self.port), "-o", "reconnect,allow_other"]
        for name, value in options.items():
            command += ["-o", f"{name}={value}"]
        return (*command, self.source, str(path))

    def hang(self) -> None:
        """Stop sshd and its sessions: connections stay open, nothing is answered until `resume`."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a hung sshd go on."""
        self._send(signal.SIGCONT)

    def end(self) -> None:
        """Kill sshd and its sessions: from now on connections are refused."""
        self._send(signal.SIGKILL)

    def drop_sessions(self) -> None:
        """Kill the sessions, and with them all files they have open; sshd takes new ones."""
        for process in descendants(self.pid):
            kill(process.pid)

    def _send(self, number: int) -> None:
        for pid in (self.pid, *(process.pid for process in descendants(self.pid))):
            kill(pid, number)


@dataclass
class Sshfs:
    """A mount of the server's files through sshfs."""

    server: Server
    path: Path
    alive_seconds: int = 2
    _process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The pid of sshfs."""
        assert self._process is not None, "not mounted"
        return self._process.pid

    def mount(self) -> None:
        """Mount it (again), and wait until it is there."""
        program, *words = self.server.mount_command(self.path, self.alive_seconds)
        command = [program, "-f", *words]
        self._process = spawn(command, log=self.server.directory / "sshfs.log")
        wait_for(lambda: is_mounted(self.path), what=f"sshfs mounted {self.path}")

    def make_stale(self) -> None:
        """Kill sshfs: from now on the path, and binds of it, give errno 107."""
        if self._process is not None:
            kill_tree(self._process)

    def hang(self) -> None:
        """Stop sshfs: from now on touching the path blocks, until `resume`."""
        kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a hung sshfs go on."""
        kill(self.pid, signal.SIGCONT)

    def unmount(self) -> None:
        """End the mount and its process, whatever state they are in."""
        self.make_stale()
        unmount(self.path)

    def mend(self) -> None:
        """Unmount what is dead and mount anew."""
        self.unmount()
        self.mount()


@contextmanager
def sshd(*, user: str = "root", host: str = "127.0.0.1", namespace: str = "") -> Iterator[Server]:
    """An sshd that lives as long as the block, for one user; in a network namespace if it says so.

    On loopback it has a port of its own, in a namespace always the same.
    """
    directory = Path(tempfile.mkdtemp(prefix="lab-sshd-"))
    directory.chmod(0o755)  # the user must be able to get to his files
    server = Server(directory, PORT_IN_NAMESPACE if namespace else free_port(), host, user)
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, directory, ignore_errors=True)
        server.files.mkdir()
        shutil.chown(server.files, user)
        for name in ("host_key", "client_key"):
            _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name))
        shutil.copy(directory / "client_key.pub", directory / "authorized_keys")
        Path("/run/sshd").mkdir(exist_ok=True)
        (directory / "config").write_text(_configuration(server))
        undo.callback(_end_clients, server)
        undo.enter_context(again(server, namespace))
        yield server


@contextmanager
def again(server: Server, namespace: str = "") -> Iterator[None]:
    """The server's sshd for as long as the block: the first one, or another after its end."""
    program = shutil.which("sshd") or "/usr/sbin/sshd"
    # Not `ip netns exec`: that gives sshd a mount namespace of its own too.
    prefix = ["nsenter", f"--net=/run/netns/{namespace}"] if namespace else []
    log = server.directory / "sshd.log"
    log.unlink(missing_ok=True)
    command = [*prefix, program, "-D", "-e", "-f", str(server.directory / "config")]
    process = spawn(command, log=log)
    try:
        (server.directory / "sshd.pid").write_text(str(process.pid))
        wait_for(lambda: _listens(server), what="sshd listens")
        yield
    finally:
        kill_tree(process)


def _end_clients(server: Server) -> None:
    """The ssh processes that are left of sshfs that were killed: those with this server's key."""
    for process in psutil.process_iter(["cmdline"]):
        if f"IdentityFile={server.key}" in " ".join(process.info["cmdline"] or ()):
            kill(process.pid)


def _configuration(server: Server) -> str:
    return (
        f"Port {server.port}\nListenAddress {server.host}\nHostKey {server.directory}/host_key\n"
        f"AuthorizedKeysFile {server.directory}/authorized_keys\nPidFile none\n"
        "StrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n"
        "Subsystem sftp internal-sftp\nMaxStartups 100\n"
    )


def _listens(server: Server) -> bool:
    log = server.directory / "sshd.log"
    return log.exists() and "listening on" in log.read_text()


@contextmanager
def sshfs(path: Path, server: Server | None = None, alive_seconds: int = 2) -> Iterator[Sshfs]:
    """The server's files mounted at the directory, which is made; a server of its own if none."""
    with ExitStack() as undo:
        at = server or undo.enter_context(sshd())
        path.mkdir(parents=True, exist_ok=True)
        mounted = Sshfs(at, path, alive_seconds)
        undo.callback(unmount, path)
        mounted.mount()
        undo.callback(mounted.unmount)
        yield mounted


def _run(*command: str) -> None:
    done = subprocess.run(
        command, timeout=COMMAND_SECONDS, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr.strip()}")
