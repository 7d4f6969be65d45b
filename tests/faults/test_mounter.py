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
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from healtharchive.model.target import TargetDefinition, TargetKind
from healtharchive.storage import mounter, mounting
from healtharchive.storage.mount_orders import Order, Verb, to_line
from healtharchive.storage.mount_power import Asked, Direct, mounter_here
from healtharchive.storage.mounter import powers_for
from healtharchive.storage.mountinfo import mount_at, read_mounts
from tests.lab import mounts
from tests.lab.mounter import USER, MounterLab, laid_out
from tests.lab.processes import wait_for, without_settings


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory that other users can come to, which pytest's are not."""
    directory = Path(tempfile.mkdtemp(prefix="lab-mounter-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def lab(open_path: Path) -> Iterator[MounterLab]:
    with laid_out(open_path) as lab:
        yield lab


def as_user(user: str, lab: MounterLab, line: bytes) -> str:
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


def test_a_jobs_directory_is_bound_as_the_archives_user_and_unbound_again(lab: MounterLab) -> None:
    step = lab.asked.mount(lab.hot, lab.disk)
    assert step.ok, step
    assert mount_at(read_mounts(), lab.hot.root) is not None
    assert Path(lab.disk.root, "hc/2026").owner() == USER, "what is made is the archive's"
    again = lab.asked.mount(lab.hot, lab.disk)
    assert again.detail.startswith("nothing to do")
    assert lab.asked.unmount(lab.hot, lab.disk).ok
    assert mount_at(read_mounts(), lab.hot.root) is None


def test_a_mounts_own_command_has_neither_root_nor_a_capability_nor_our_environment(
    lab: MounterLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "sesame")
    said = lab.jobs / "said"
    tell = f"(id -u; grep Cap /proc/self/status; env) > {said}"
    definition = TargetDefinition(
        "box", TargetKind.MOUNT, str(lab.jobs / "box"), mount_command=("sh", "-c", tell)
    )
    step = mounting.mount(definition, 15.0, powers=powers_for(USER))
    assert not step.ok  # it mounts nothing
    user, *lines = said.read_text().splitlines()
    assert user == str(pwd.getpwnam(USER).pw_uid)
    caps = dict(line.split(":\t") for line in lines if line.startswith("Cap"))
    assert {int(caps[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
    assert "sesame" not in said.read_text()


def test_a_mount_command_that_does_not_end_is_ended_and_the_answer_says_so(open_path: Path) -> None:
    with laid_out(open_path, deadline_seconds=10.0) as lab:
        said = lab.jobs / "pid"
        wait = f"echo $$ > {said}; sleep 600 & wait"
        step = lab.asked.mount(lab.declare(mount_command=["sh", "-c", wait]), None)
        assert "not mounted in time" in step.detail
        assert not [each for each in psutil.process_iter() if _is_of_session(each, said)]


def _is_of_session(process: psutil.Process, pid: Path) -> bool:
    try:
        lives = process.status() != psutil.STATUS_ZOMBIE
        return lives and os.getsid(process.pid) == int(pid.read_text())
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


def test_nothing_is_made_on_the_root_disk_for_a_job_whose_target_is_a_bind_that_is_away(
    lab: MounterLab,
) -> None:
    part = lab.jobs / "part"
    with lab.targets.open("a") as file:
        file.write(
            f'[[target]]\nname = "part"\nkind = "bind"\nroot = "{part}"\n'
            'parent = "disk"\nbacking = "part"\n'
        )
    told = lab.told(to_line(Order(Verb.MOUNT, "part", "hc/2026")))
    assert told["detail"] == f"{part} is not mounted"
    assert not part.exists()


def test_what_the_users_command_says_makes_no_line_of_its_own_in_roots_journal(
    open_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with laid_out(open_path) as lab:
        forged = "echo no; echo unmount box for process 1, user 0: done, it is gone; exit 1"
        step = lab.asked.mount(lab.declare(mount_command=["sh", "-c", forged]), None)
        assert "status 1" in step.detail
    (said,) = capfd.readouterr().out.splitlines()
    assert said.startswith("mount box for process ")


def test_a_peer_that_does_not_wait_for_its_answer_makes_no_failure_of_it(
    lab: MounterLab, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(lab.socket))
        connection.sendall(to_line(Order(Verb.MOUNT, "disk", "hc/2026")))
    said = wait_for(lambda: capfd.readouterr().out, what="the order is carried out")
    assert said.startswith("mount disk hc/2026 for process ")
    assert lab.asked.mount(lab.hot, lab.disk).detail.startswith("nothing to do")
    assert "Traceback" not in capfd.readouterr().err


# -- who and what is refused ---------------------------------------------------------------------


def test_another_user_is_refused_whatever_the_socket_lets_in(lab: MounterLab) -> None:
    line = to_line(Order(Verb.MOUNT, "disk", "hc/2026"))
    assert "may not ask the mounter: only nobody and root may" in as_user("daemon", lab, line)
    assert mount_at(read_mounts(), lab.hot.root) is None
    assert '"ok": true' in as_user(USER, lab, line)


def test_declarations_that_root_did_not_write_are_not_believed(lab: MounterLab) -> None:
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


def test_a_refusal_is_a_step_that_failed_in_words(lab: MounterLab) -> None:
    unknown = replace(lab.disk, name="attic", kind=TargetKind.MOUNT)
    step = lab.asked.mount(unknown, None)
    assert (step.ok, step.what, step.path) == (False, "mount", unknown.root)
    assert "knows no target 'attic'" in step.detail


def test_without_an_answer_the_step_fails_and_says_where_to_look(tmp_path: Path) -> None:
    nobody = Asked(tmp_path / "nothing", tmp_path, 0.5)
    box = TargetDefinition("box", TargetKind.MOUNT, "/srv/box")
    step = nobody.unmount(box, None)
    assert not step.ok
    assert "the mounter does not answer" in step.detail
    assert "nothing: No such file or directory" in step.detail
    assert "`systemctl start healtharchive-mounter.socket`" in step.detail
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "killed"))
        listener.listen()
        hang_up = threading.Thread(target=lambda: listener.accept()[0].close())
        hang_up.start()
        step = Asked(tmp_path / "killed", tmp_path, 5.0).mount(box, None)
        hang_up.join()
    assert "Connection reset" in step.detail or "ended before it had said" in step.detail


def test_a_mount_as_root_knew_it_before_is_not_taken_for_the_one_that_is_declared_now(
    lab: MounterLab,
) -> None:
    moved = replace(lab.disk, root=str(lab.directory / "moved"))
    step = lab.asked.mount(lab.hot, moved)
    assert mount_at(read_mounts(), lab.hot.root) is not None
    assert not step.ok
    assert "bound from" in step.detail
    assert "`healtharchive install` as root makes a changed targets file known" in step.detail


# -- who leads it astray -------------------------------------------------------------------------


def test_a_link_where_a_jobs_directory_should_be_leads_no_mount_elsewhere(lab: MounterLab) -> None:
    elsewhere = lab.directory / "elsewhere"
    (elsewhere / "2026").mkdir(parents=True)
    shutil.chown(elsewhere / "2026", USER)
    (lab.jobs / "hc").symlink_to(elsewhere)
    step = lab.asked.mount(lab.hot, lab.disk)
    assert not step.ok
    assert mount_at(read_mounts(), elsewhere / "2026") is None


def test_a_link_above_a_mount_point_leads_to_no_directory_that_root_makes(lab: MounterLab) -> None:
    elsewhere = lab.directory / "elsewhere"
    elsewhere.mkdir()
    (lab.jobs / "hc").symlink_to(elsewhere)
    order = {"verb": "prepare", "path": str(lab.jobs / "hc/2026")}
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(mounting.MEND), json.dumps(order)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert "'hc' is a symbolic link or a file" in json.loads(done.stdout)["detail"]
    assert not list(elsewhere.iterdir())


def test_a_link_where_a_mount_was_takes_no_other_mount_away(lab: MounterLab) -> None:
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


def test_nothing_is_mounted_on_a_directory_that_is_not_the_users(lab: MounterLab) -> None:
    (lab.jobs / "hc/2026").mkdir(parents=True)  # root's
    step = lab.asked.mount(lab.hot, lab.disk)
    assert (step.ok, "Permission denied" in step.detail) == (False, True)
    assert mount_at(read_mounts(), lab.hot.root) is None


# -- who mounts here -----------------------------------------------------------------------------


def test_whoever_may_mount_does_it_himself_and_others_ask_where_there_is_somebody(
    lab: MounterLab,
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
    for more, who in (([], "Direct"), (["--no-new-privs"], "Asked")):
        done = subprocess.run(
            [*powerless, *more, sys.executable, "-I", "-c", code, *sockets],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stdout.split() == ["Asked", who]
