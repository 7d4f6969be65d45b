"""The mounter as a process, and as somebody hostile would ask it. Root and loopback only."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from healtharchive.model.target import TargetDefinition, TargetKind
from healtharchive.storage import mounter, mounting
from healtharchive.storage.mount_orders import Order, Verb, to_line
from healtharchive.storage.mount_power import Asked, Direct, mounter_here
from healtharchive.storage.mounter import powers_for
from healtharchive.storage.mountinfo import mount_at, read_mounts
from tests.lab import mounts
from tests.lab.processes import without_settings

USER = "nobody"
DEADLINE_SECONDS = 60.0  # a process starts slowly beside many others


@dataclass(frozen=True)
class Lab:
    """An archive of user nobody, with a directory that is declared as a target."""

    directory: Path
    socket: Path

    @property
    def targets(self) -> Path:
        return self.directory / "mounts.toml"

    @property
    def jobs(self) -> Path:
        return self.directory / "jobs"

    @property
    def disk(self) -> TargetDefinition:
        return TargetDefinition("disk", TargetKind.LOCAL, str(self.directory / "disk"))

    @property
    def hot(self) -> TargetDefinition:
        path = self.jobs / "hc/2026"
        return TargetDefinition(
            "hot-1", TargetKind.BIND, str(path), parent="disk", backing="hc/2026"
        )

    @property
    def asked(self) -> Asked:
        return Asked(self.socket, self.jobs, DEADLINE_SECONDS)

    def told(self, line: bytes) -> dict[str, object]:
        """What the mounter answers to a line."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(DEADLINE_SECONDS)
            connection.connect(str(self.socket))
            connection.sendall(line)
            return dict(json.loads(connection.recv(65_536)))


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory that other users can come to, which pytest's are not."""
    directory = Path(tempfile.mkdtemp(prefix="lab-mounter-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def lab(open_path: Path) -> Iterator[Lab]:
    lab = Lab(open_path, open_path / "mounter")
    for path in (lab.jobs, Path(lab.disk.root)):
        path.mkdir()
        shutil.chown(path, USER)
    lab.targets.write_text(f'[[target]]\nname = "disk"\nkind = "local"\nroot = "{lab.disk.root}"\n')
    lab.targets.chmod(0o640)
    with listening(lab):
        yield lab
    mounts.unmount(Path(lab.hot.root))


@contextmanager
def listening(lab: Lab) -> Iterator[None]:
    """What systemd does: a mounter of its own for each connection."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(lab.socket))
        lab.socket.chmod(0o666)
        listener.listen()
        thread = threading.Thread(target=_serve, args=(listener, lab))
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(DEADLINE_SECONDS)


def _serve(listener: socket.socket, lab: Lab) -> None:
    words = ["--user", USER, "--jobs-root", str(lab.jobs), "--targets", str(lab.targets)]
    words += ["--deadline-seconds", str(DEADLINE_SECONDS)]
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            subprocess.run(
                [sys.executable, "-I", "-m", "healtharchive.storage.mounter", *words],
                stdin=connection.fileno(),
                timeout=2 * DEADLINE_SECONDS,
                check=True,
            )


def as_user(user: str, lab: Lab, line: bytes) -> str:
    """What the mounter answers a process of that user."""
    code = (
        "import socket, sys\nwith socket.socket(socket.AF_UNIX) as c:\n"
        "  c.connect(sys.argv[1]); c.sendall(sys.argv[2].encode()); print(c.recv(9999).decode())"
    )
    entry = pwd.getpwnam(user)
    become = [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
    done = subprocess.run(
        ["setpriv", *become, "/usr/bin/python3", "-I", "-c", code, str(lab.socket), line.decode()],
        env=without_settings(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


# -- the work ------------------------------------------------------------------------------------


def test_a_jobs_directory_is_bound_as_the_archives_user_and_unbound_again(lab: Lab) -> None:
    step = lab.asked.mount(lab.hot, lab.disk)
    assert step.ok, step
    assert mount_at(read_mounts(), lab.hot.root) is not None
    assert Path(lab.disk.root, "hc/2026").owner() == USER, "what is made is the archive's"
    again = lab.asked.mount(lab.hot, lab.disk)
    assert again.detail.startswith("nothing to do")
    assert lab.asked.unmount(lab.hot, lab.disk).ok
    assert mount_at(read_mounts(), lab.hot.root) is None


def test_a_mounts_own_command_has_neither_root_nor_a_capability_nor_our_environment(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "sesame")
    said = lab.jobs / "said"
    tell = f"(id -u; grep Cap /proc/self/status; env) > {said}"
    definition = TargetDefinition(
        "box", TargetKind.MOUNT, str(lab.jobs / "box"), mount_command=("sh", "-c", tell)
    )
    step = mounting.mount(definition, DEADLINE_SECONDS, powers=powers_for(USER))
    assert not step.ok  # it mounts nothing
    user, *lines = said.read_text().splitlines()
    assert user == str(pwd.getpwnam(USER).pw_uid)
    caps = dict(line.split(":\t") for line in lines if line.startswith("Cap"))
    assert {int(caps[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
    assert "sesame" not in said.read_text()


# -- who and what is refused ---------------------------------------------------------------------


def test_another_user_is_refused_whatever_the_socket_lets_in(lab: Lab) -> None:
    line = to_line(Order(Verb.MOUNT, "disk", "hc/2026"))
    assert "may not ask the mounter: only nobody and root may" in as_user("daemon", lab, line)
    assert mount_at(read_mounts(), lab.hot.root) is None
    assert '"ok": true' in as_user(USER, lab, line)


def test_declarations_that_root_did_not_write_are_not_believed(lab: Lab) -> None:
    line = to_line(Order(Verb.MOUNT, "disk", "hc/2026"))
    os.chown(lab.targets, pwd.getpwnam(USER).pw_uid, -1)
    assert "is not root's alone to write" in str(lab.told(line)["refused"])
    os.chown(lab.targets, 0, -1)
    lab.targets.chmod(0o666)
    assert "is not root's alone to write" in str(lab.told(line)["refused"])
    lab.targets.unlink()
    assert "`healtharchive install` writes it" in str(lab.told(line)["refused"])
    assert mount_at(read_mounts(), lab.hot.root) is None


def test_an_order_that_does_not_end_is_refused_in_time() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b'{"verb": ')
        with pytest.raises(mounter.BadInput, match=r"No order came within 0\.2 s"):
            mounter.read_order(ours, seconds=0.2)
        theirs.sendall(b"x" * 5000)
        assert len(mounter.read_order(ours)) == mounter.ORDER_BYTES + 1


def test_a_refusal_is_a_step_that_failed_in_words(lab: Lab) -> None:
    unknown = replace(lab.disk, name="attic", kind=TargetKind.MOUNT)
    step = lab.asked.mount(unknown, None)
    assert (step.ok, step.what, step.path) == (False, "mount", unknown.root)
    assert "knows no target 'attic'" in step.detail


def test_without_an_answer_the_step_fails_and_says_where_to_look(tmp_path: Path) -> None:
    nobody = Asked(tmp_path / "nothing", tmp_path, 0.5)
    step = nobody.unmount(TargetDefinition("box", TargetKind.MOUNT, "/srv/box"), None)
    assert not step.ok
    assert "the mounter does not answer" in step.detail


# -- who leads it astray -------------------------------------------------------------------------


def test_a_link_where_a_jobs_directory_should_be_leads_no_mount_elsewhere(lab: Lab) -> None:
    elsewhere = lab.directory / "elsewhere"
    (elsewhere / "2026").mkdir(parents=True)
    shutil.chown(elsewhere / "2026", USER)
    (lab.jobs / "hc").symlink_to(elsewhere)
    step = lab.asked.mount(lab.hot, lab.disk)
    assert not step.ok
    assert mount_at(read_mounts(), elsewhere / "2026") is None


def test_a_link_where_a_mount_was_takes_no_other_mount_away(lab: Lab) -> None:
    elsewhere = lab.directory / "elsewhere"
    with mounts.tmpfs(elsewhere / "2026"):
        (lab.jobs / "hc").mkdir()
        with mounts.tmpfs(lab.jobs / "hc/2026"):
            (lab.jobs / "hc").rename(lab.jobs / "was")
            (lab.jobs / "hc").symlink_to(elsewhere)
            unmounted = mounting.unmount(lab.hot.root, powers=powers_for(USER))
            assert unmounted.detail == "nothing to do: nothing is mounted there"
            script = [*powers_for(USER).mending, sys.executable, "-I", "-S", str(mounting.MEND)]
            order = {"verb": "unmount", "path": lab.hot.root}
            subprocess.run([*script, json.dumps(order)], check=True, timeout=30)
            assert mount_at(read_mounts(), elsewhere / "2026") is not None
            mounts.unmount(lab.jobs / "was/2026")


def test_nothing_is_mounted_on_a_directory_that_is_not_the_users(lab: Lab) -> None:
    (lab.jobs / "hc/2026").mkdir(parents=True)  # root's
    step = lab.asked.mount(lab.hot, lab.disk)
    assert (step.ok, "Permission denied" in step.detail) == (False, True)
    assert mount_at(read_mounts(), lab.hot.root) is None


# -- who mounts here -----------------------------------------------------------------------------


def test_whoever_may_mount_does_it_himself_and_others_ask_where_there_is_somebody(
    lab: Lab,
) -> None:
    assert isinstance(mounter_here(lab.socket, jobs_root=lab.jobs, mount_seconds=1.0), Direct)
    code = (
        "import sys; from pathlib import Path\n"
        "from healtharchive.storage.mount_power import mounter_here\n"
        "for each in sys.argv[1:]:\n"
        "    found = mounter_here(Path(each), jobs_root=Path('/j'), mount_seconds=1.0)\n"
        "    print(type(found).__name__)"
    )
    powerless = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]
    sockets = [str(lab.socket), str(lab.directory / "none")]
    done = subprocess.run(
        [*powerless, sys.executable, "-I", "-c", code, *sockets],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == ["Asked", "Direct"]
