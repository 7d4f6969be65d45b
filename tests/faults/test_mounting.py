"""Real mounts mended: dead, hung and nested ones go away, come back, and each step can be repeated.

Row numbers are those of the fault matrix in the reliability notes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from healtharchive.model.target import TargetDefinition, TargetKind, Verdict
from healtharchive.storage import mounting
from healtharchive.storage.diagnosis import CauseKind
from healtharchive.storage.mount_process import end_mount_process, mount_process
from healtharchive.storage.mountinfo import Mount, mount_at, read_mounts
from tests.lab import mounts
from tests.lab.processes import kill, wait_for
from tests.lab.targets import box, cause_of, hot, look, mounted_pid

MOUNT_SECONDS = 15.0
HANG_SECONDS = 0.7


def test_row_01_a_killed_mount_and_its_bind_are_healed_by_the_steps(tmp_path: Path) -> None:
    with (
        mounts.sshd() as server,
        box(server, tmp_path / "box") as base,
        hot(base, tmp_path / "hot") as hc,
    ):
        assert mounting.mount(base, MOUNT_SECONDS).ok
        assert mounting.mount(hc, MOUNT_SECONDS, parent=base).ok
        assert look(hc, base).healthy
        kill(mounted_pid(base))
        wait_for(lambda: look(hc, base).verdict is Verdict.STALE, what="the bind is stale")
        assert look(base).verdict is Verdict.STALE

        steps = [*mounting.unmount_all(hc.root), *mounting.unmount_all(base.root)]
        steps += [mounting.mount(base, MOUNT_SECONDS)]
        steps += [mounting.mount(hc, MOUNT_SECONDS, parent=base)]
        assert [step for step in steps if not step.ok] == []
        assert look(base).healthy
        assert look(hc, base).healthy


def test_row_03_only_the_bind_left_behind_is_bound_again(tmp_path: Path) -> None:
    with (
        mounts.sshd() as server,
        box(server, tmp_path / "box") as base,
        hot(base, tmp_path / "hot") as hc,
    ):
        assert mounting.mount(base, MOUNT_SECONDS).ok
        assert mounting.mount(hc, MOUNT_SECONDS, parent=base).ok
        kill(mounted_pid(base))
        assert mounting.unmount(base.root).ok
        assert mounting.mount(base, MOUNT_SECONDS).ok
        session = mount_at(read_mounts(), base.root)

        cause, _ = cause_of(hc, base)
        assert cause.kind is CauseKind.BIND_LEFT_BEHIND
        refused = mounting.mount(hc, MOUNT_SECONDS, parent=base)
        assert not refused.ok, "over a dead bind nothing is bound"
        assert mounting.unmount_all(hc.root)[-1].ok
        assert mounting.mount(hc, MOUNT_SECONDS, parent=base).ok
        assert look(hc, base).healthy
        assert mount_at(read_mounts(), base.root) == session


def mounts_below(directory: Path) -> list[Mount]:
    """Those of this test: others mount on the same machine meanwhile."""
    return [each for each in read_mounts() if each.point.startswith(f"{directory}/")]


def test_every_step_done_twice_is_done_once(tmp_path: Path) -> None:
    with (
        mounts.sshd() as server,
        box(server, tmp_path / "box") as base,
        hot(base, tmp_path / "hot") as hc,
    ):
        assert mounting.mount(base, MOUNT_SECONDS).ok
        assert mounting.mount(hc, MOUNT_SECONDS, parent=base).ok
        table = mounts_below(tmp_path)
        again = [mounting.mount(base, MOUNT_SECONDS), mounting.mount(hc, 5.0, parent=base)]
        assert [step.ok for step in again] == [True, True]
        assert all("nothing to do" in step.detail for step in again)
        assert mounts_below(tmp_path) == table
        device = look(base).device
        for step in (mounting.abort_connection, mounting.abort_connection):
            assert step(device).ok
        for path in (hc.root, base.root) * 2:
            assert mounting.unmount_all(path)[-1].ok
            assert mounting.unmount(path).ok
        assert mount_at(read_mounts(), base.root) is None
        assert mounting.abort_connection(device).ok


def test_row_06_a_hung_mount_with_a_mount_inside_it_goes_away_in_time(tmp_path: Path) -> None:
    with mounts.sshfs(tmp_path / "box", alive_seconds=60) as remote:
        inside = remote.path / "jobs" / "hc"
        inside.mkdir(parents=True)
        (tmp_path / "local").mkdir()
        with mounts.bind(tmp_path / "local", inside):
            remote.server.hang()
            began = time.monotonic()
            steps = mounting.unmount_all(str(remote.path))
            took_seconds = time.monotonic() - began
            table = read_mounts()
            remote.server.resume()
    assert steps[-1].ok
    assert took_seconds < 20.0
    assert [m.point for m in table if m.point.startswith(str(tmp_path))] == []


def test_row_06_a_mount_whose_process_is_stopped_is_ended_and_mounted_again(
    tmp_path: Path,
) -> None:
    with mounts.sshd() as server, box(server, tmp_path / "box") as base:
        assert mounting.mount(base, MOUNT_SECONDS).ok
        pid = mounted_pid(base)
        kill(pid, signal.SIGSTOP)
        cause, taken = cause_of(base, deadline_seconds=HANG_SECONDS)
        assert (taken.verdict, cause.kind) == ("hung", CauseKind.HUNG_PROCESS)
        assert end_mount_process(pid, base.root).ok
        assert mounting.unmount_all(base.root)[-1].ok
        assert mounting.mount(base, MOUNT_SECONDS).ok
        assert look(base).healthy
        assert mounted_pid(base) != pid


def test_nested_and_stacked_mounts_go_inside_out(tmp_path: Path) -> None:
    path = tmp_path / "box"
    with mounts.tmpfs(path), mounts.tmpfs(path), mounts.tmpfs(path / "in" / "deep"):
        steps = mounting.unmount_all(str(path))
        left = [m.point for m in read_mounts() if m.point.startswith(str(path))]
    assert left == []
    assert [step.path for step in steps] == [f"{path}/in/deep", *[str(path)] * 3]
    assert all(step.ok for step in steps)


def test_a_dead_mount_with_open_files_goes_away(tmp_path: Path) -> None:
    with mounts.sshfs(tmp_path / "box") as remote:
        opened = open(remote.path / "file", "wb")  # noqa: SIM115 - closing it fails, as it should
        opened.write(b"x")
        remote.make_stale()
        assert mounting.unmount(str(remote.path)).ok
        assert mount_at(read_mounts(), remote.path) is None
        with pytest.raises(OSError, match="not connected"):
            opened.close()


def test_row_04_a_mount_would_hide_files_and_is_refused(tmp_path: Path) -> None:
    with mounts.sshd() as server, box(server, tmp_path / "box") as base:
        (tmp_path / "box").mkdir()
        (tmp_path / "box" / "precious.warc.gz").write_bytes(b"x")
        refused = mounting.mount(base, MOUNT_SECONDS)
        assert mount_at(read_mounts(), base.root) is None
        cause, _ = cause_of(base)
    assert not refused.ok
    assert "hide" in refused.detail
    assert cause.kind is CauseKind.NOT_MOUNTED


def test_row_04_nothing_is_bound_while_its_base_is_away(tmp_path: Path) -> None:
    with (
        mounts.sshd() as server,
        box(server, tmp_path / "box") as base,
        hot(base, tmp_path / "hot") as hc,
    ):
        refused = mounting.mount(hc, MOUNT_SECONDS, parent=base)
    assert not refused.ok
    assert not (tmp_path / "box").exists(), "no backing directory is made on the root disk"


def test_row_05_another_mount_in_the_way_is_left_alone(tmp_path: Path) -> None:
    with (
        mounts.sshd() as server,
        box(server, tmp_path / "box") as base,
        mounts.tmpfs(tmp_path / "box") as other,
    ):
        refused = mounting.mount(base, MOUNT_SECONDS)
        at = mount_at(read_mounts(), other)
        cause, _ = cause_of(base)
    assert not refused.ok
    assert "tmpfs" in refused.detail
    assert at is not None
    assert at.filesystem == "tmpfs"
    assert cause.kind is CauseKind.WRONG_MOUNT


def test_a_bind_refuses_to_hide_files(tmp_path: Path) -> None:
    (tmp_path / "hot").mkdir()
    (tmp_path / "hot" / "precious").touch()
    refused = mounting.bind(str(tmp_path / "backing"), str(tmp_path / "hot"))
    assert not refused.ok
    assert "hide" in refused.detail


def test_a_mount_command_that_fails_is_quoted(tmp_path: Path) -> None:
    with mounts.sshd() as server, box(server, tmp_path / "box") as base:
        server_away = mounting.mount(
            replace(base, mount_command=("sh", "-c", "echo no such thing >&2; exit 3")), 5.0
        )
        nobody = mounting.mount(replace(base, mount_command=("no-such-program",)), 5.0)
        undeclared = mounting.mount(replace(base, mount_command=()), 5.0)
    assert not server_away.ok
    assert "status 3" in server_away.detail
    assert "no such thing" in server_away.detail
    assert not nobody.ok
    assert "no-such-program" in nobody.detail
    assert not undeclared.ok


def test_a_mount_command_that_does_not_end_is_ended(tmp_path: Path) -> None:
    slow = TargetDefinition(
        "box", TargetKind.MOUNT, str(tmp_path / "box"), mount_command=("sleep", "61.7")
    )
    began = time.monotonic()
    step = mounting.mount(slow, 0.5)
    assert not step.ok
    assert "in time" in step.detail
    assert time.monotonic() - began < 5.0
    left = subprocess.run(["pgrep", "-f", "sleep 61.7"], check=False, timeout=5).returncode
    assert left == 1, "no such process is left"


def test_a_command_that_mounts_something_else_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "box"
    other = TargetDefinition(
        "box",
        TargetKind.MOUNT,
        str(path),
        mount_command=("mount", "-t", "tmpfs", "lab", str(path)),
        filesystem="fuse.sshfs",
    )
    try:
        step = mounting.mount(other, 5.0)
    finally:
        mounts.unmount(path)
    assert not step.ok
    assert "tmpfs" in step.detail


def test_a_mount_command_in_the_foreground_is_left_running(tmp_path: Path) -> None:
    with mounts.sshd() as server, box(server, tmp_path / "box") as base:
        program, *words = base.mount_command
        foreground = replace(base, mount_command=(program, "-f", *words))
        assert mounting.mount(foreground, MOUNT_SECONDS).ok
        assert look(foreground).healthy


def test_only_the_process_that_serves_the_mount_is_ended(tmp_path: Path) -> None:
    with mounts.sshd() as server, box(server, tmp_path / "box") as base:
        assert mounting.mount(base, MOUNT_SECONDS).ok
        pid = mounted_pid(base)
        assert not end_mount_process(pid, str(tmp_path / "elsewhere")).ok
        assert not end_mount_process(os.getpid(), base.root).ok
        assert look(base).healthy
        assert end_mount_process(pid, base.root).ok
        assert mount_process(read_mounts(), base) is None
        assert end_mount_process(pid, base.root).ok, "once gone there is nothing to do"
        assert look(base).verdict is Verdict.STALE


def test_a_recovery_killed_at_any_step_is_finished_by_the_next(tmp_path: Path) -> None:
    with (
        mounts.sshd() as server,
        box(server, tmp_path / "box") as base,
        hot(base, tmp_path / "hot") as hc,
    ):
        assert mounting.mount(base, MOUNT_SECONDS).ok
        assert mounting.mount(hc, MOUNT_SECONDS, parent=base).ok
        for steps_done in range(4):
            kill(mounted_pid(base))
            wait_for(lambda: mount_process(read_mounts(), base) is None, what="sshfs ended")
            _recover(base, hc, steps_done)
            _recover(base, hc, 4)
            assert look(base).healthy, f"after {steps_done} steps"
            assert look(hc, base).healthy, f"after {steps_done} steps"


def _recover(base: TargetDefinition, hc: TargetDefinition, steps: int) -> None:
    """The first steps of a recovery; what is healthy by then is not taken away again."""
    if not look(hc, base).healthy and steps > 0:
        mounting.unmount_all(hc.root)
    if not look(base).healthy and steps > 1:
        mounting.unmount_all(base.root)
    if steps > 2:
        mounting.mount(base, MOUNT_SECONDS)
    if steps > 3:
        mounting.mount(hc, MOUNT_SECONDS, parent=base)


def test_row_06_the_mount_table_and_the_counters_of_a_hung_mount_are_read_at_once(
    tmp_path: Path,
) -> None:
    with mounts.sshfs(tmp_path / "box") as remote:
        at = mount_at(read_mounts(), remote.path)
        assert at is not None
        remote.hang()
        code = (
            "import os, sys; from healtharchive.storage.mountinfo import *;"
            "mounts = read_mounts(); at = mount_at(mounts, sys.argv[1]);"
            "print(at.source, waiting_requests(at.device), covering(mounts, sys.argv[1]) == at)"
        )
        command = [sys.executable, "-c", code, str(remote.path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        remote.resume()
    source, waiting, covered = done.stdout.split()
    assert (source, covered) == (remote.server.source, "True")
    assert int(waiting) >= 0
