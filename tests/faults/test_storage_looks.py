"""Looks at real targets in every condition: typed, in time, and never piling up.

Row numbers are those of the fault matrix in the reliability notes.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from healtharchive.model.target import TargetDefinition, TargetKind, Verdict
from healtharchive.storage import mounting
from healtharchive.storage.inspection import Inspection, inspect_path, inspect_target
from healtharchive.storage.mountinfo import mount_at, read_mounts
from healtharchive.storage.prober import Prober
from tests.lab import mounts
from tests.lab.processes import is_alive, wait_for

ID = "0" * 31 + "1"
DEADLINE_SECONDS = 10.0
HANG_SECONDS = 0.7  # how long a look at a hanging mount may take in these tests


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that other users than root can come to, unlike pytest's own."""
    directory = Path(tempfile.mkdtemp(prefix="storage-looks-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def base(remote: mounts.Sshfs) -> TargetDefinition:
    return TargetDefinition(
        "box",
        TargetKind.MOUNT,
        str(remote.path),
        filesystem="fuse.sshfs",
        source=remote.server.source,
    )


def small(path: Path, source: str = "lab") -> TargetDefinition:
    return TargetDefinition("small", TargetKind.MOUNT, str(path), filesystem="tmpfs", source=source)


def look(definition: TargetDefinition, **wishes: object) -> Inspection:
    return inspect_target(definition, **{"deadline_seconds": DEADLINE_SECONDS, **wishes})  # type: ignore[arg-type]


def test_a_healthy_mount_is_found_with_its_facts_and_left_as_it_was(tmp_path: Path) -> None:
    with mounts.sshfs(tmp_path / "box") as remote:
        definition = base(remote)
        assert mounting.identify(definition, ID).ok
        found = look(definition, identity=ID)
        left = os.listdir(remote.server.files)
    assert (found.verdict, found.identity, found.detail) == (Verdict.HEALTHY, ID, "")
    assert (found.filesystem, found.source) == ("fuse.sshfs", remote.server.source)
    assert 0 < found.free_bytes <= found.disk_bytes
    assert found.files_free > 0
    assert found.waiting == 0
    assert left == [".healtharchive-target.json"]


@pytest.mark.parametrize("write", [True, False])
def test_row_01_a_mount_whose_process_was_killed_is_stale(tmp_path: Path, write: bool) -> None:
    with mounts.sshfs(tmp_path / "box") as remote:
        remote.make_stale()
        found = look(base(remote), identity=ID, write=write)
        job = inspect_path(remote.path / "job", deadline_seconds=DEADLINE_SECONDS)
    assert (found.verdict, found.errno) == (Verdict.STALE, errno.ENOTCONN)
    assert (job.verdict, job.errno) == (Verdict.STALE, errno.ENOTCONN)


def test_row_01_a_mount_whose_connection_was_aborted_is_stale(tmp_path: Path) -> None:
    with mounts.sshfs(tmp_path / "box") as remote:
        device = look(base(remote)).device
        assert mounting.abort_connection(device).ok
        found = look(base(remote))
    assert (found.verdict, found.errno) == (Verdict.STALE, errno.ENOTCONN)


def test_row_03_bind_left_behind_is_found_though_the_base_is_fine(tmp_path: Path) -> None:
    with mounts.sshfs(tmp_path / "box") as remote:
        (remote.path / "hc").mkdir()
        parent = base(remote)
        hot = TargetDefinition("hc", TargetKind.BIND, str(tmp_path / "hot"), backing="hc")
        with mounts.bind(remote.path / "hc", tmp_path / "hot"):
            assert look(hot, parent=parent).verdict is Verdict.HEALTHY
            remote.mend()
            found = look(hot, parent=parent)
            assert look(parent).verdict is Verdict.HEALTHY
    assert (found.verdict, found.errno) == (Verdict.STALE, errno.ENOTCONN)


def test_row_03_a_bind_of_another_directory_is_wrong_and_not_written_to(tmp_path: Path) -> None:
    with mounts.tmpfs(tmp_path / "box") as box:
        (box / "other").mkdir()
        written_before = (box / "other").stat().st_mtime_ns
        hot = TargetDefinition("hc", TargetKind.BIND, str(tmp_path / "hot"), backing="hc")
        with mounts.bind(box / "other", tmp_path / "hot"):
            found = look(hot, parent=small(box))
        assert (box / "other").stat().st_mtime_ns == written_before
    assert found.verdict is Verdict.WRONG_MOUNT
    assert "/other" in found.detail


def test_row_04_an_unmounted_path_is_on_the_root_disk_and_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "box"
    path.mkdir()
    written_before = path.stat().st_mtime_ns
    found = look(small(path))
    assert found.verdict is Verdict.WRONG_MOUNT
    assert "no mount point" in found.detail
    assert path.stat().st_mtime_ns == written_before


@pytest.mark.parametrize("there", ["", "f" * 32])
def test_row_05_without_the_right_identity_nothing_is_written(tmp_path: Path, there: str) -> None:
    with mounts.tmpfs(tmp_path / "box") as box:
        if there:
            assert mounting.identify(small(box), there).ok
        written_before = box.stat().st_mtime_ns
        found = look(small(box), identity=ID)
        assert box.stat().st_mtime_ns == written_before
    assert (found.verdict, found.step, found.identity) == (Verdict.WRONG_MOUNT, "identity", there)


def test_row_05_a_local_target_too_must_carry_its_identity(tmp_path: Path) -> None:
    local = TargetDefinition("disk", TargetKind.LOCAL, str(tmp_path))
    assert look(local, identity=ID).verdict is Verdict.WRONG_MOUNT
    assert mounting.identify(local, ID).ok
    assert look(local, identity=ID).verdict is Verdict.HEALTHY


def test_row_05_another_source_or_file_system_is_wrong(tmp_path: Path) -> None:
    with mounts.tmpfs(tmp_path / "box") as box:
        source = look(small(box, "elsewhere"))
        other = TargetDefinition("small", TargetKind.MOUNT, str(box), filesystem="fuse.sshfs")
        filesystem = look(other)
    assert (source.verdict, filesystem.verdict) == (Verdict.WRONG_MOUNT, Verdict.WRONG_MOUNT)
    assert "lab" in source.detail
    assert "tmpfs" in filesystem.detail


def test_an_identity_is_written_once_and_never_over_anothers(tmp_path: Path) -> None:
    local = TargetDefinition("disk", TargetKind.LOCAL, str(tmp_path))
    assert mounting.identify(local, ID).ok
    assert mounting.identify(local, ID).ok
    refused = mounting.identify(local, "f" * 32)
    assert not refused.ok
    assert "disk" in refused.detail
    assert look(local).identity == ID


def test_row_06_a_black_hole_is_hung_within_the_deadline(tmp_path: Path) -> None:
    with mounts.sshfs(tmp_path / "box") as remote:
        remote.hang()
        began = time.monotonic()
        found = look(base(remote), deadline_seconds=HANG_SECONDS)
        took_seconds = time.monotonic() - began
        remote.resume()
    assert (found.verdict, found.errno) == (Verdict.HUNG, errno.ETIMEDOUT)
    assert took_seconds < HANG_SECONDS + 3.0


def test_row_07_an_unkillable_look_is_the_only_one_and_leaves_no_zombie(tmp_path: Path) -> None:
    # The server hangs, not sshfs: a request that sshfs has read cannot be taken back.
    with mounts.sshfs(tmp_path / "box", alive_seconds=60) as remote:
        prober = Prober()
        definition = base(remote)
        assert prober.look(definition, deadline_seconds=DEADLINE_SECONDS).healthy
        remote.server.hang()
        first = prober.look(definition, deadline_seconds=HANG_SECONDS)
        pid = prober.stuck()["box"]
        began = time.monotonic()
        again = [prober.look(definition, deadline_seconds=HANG_SECONDS) for _ in range(5)]
        took_seconds = time.monotonic() - began
        job = prober.look_at_path(remote.path / "job", target="box", deadline_seconds=HANG_SECONDS)
        assert is_alive(pid)
        assert prober.stuck() == {"box": pid}
        remote.server.resume()
        wait_for(lambda: not prober.stuck(), what="the stuck look ended and was reaped")
        gone = not Path(f"/proc/{pid}").exists()
        after = prober.look(definition, deadline_seconds=DEADLINE_SECONDS)
    assert {each.verdict for each in (first, job, *again)} == {Verdict.HUNG}
    assert took_seconds < HANG_SECONDS, "no further look was begun"
    assert str(pid) in again[0].detail
    assert again[0].waiting
    assert gone
    assert after.verdict is Verdict.HEALTHY


def test_row_07_a_stuck_look_is_no_obstacle_once_the_mount_was_replaced(tmp_path: Path) -> None:
    with (
        mounts.sshd() as first,
        mounts.sshd() as second,
        mounts.sshfs(tmp_path / "box", first, alive_seconds=60) as remote,
    ):
        prober = Prober()
        definition = TargetDefinition("box", TargetKind.MOUNT, str(remote.path))
        assert prober.look(definition, deadline_seconds=DEADLINE_SECONDS).healthy
        first.hang()
        prober.look(definition, deadline_seconds=HANG_SECONDS)
        assert prober.stuck()
        mounts.unmount(remote.path)  # lazily: the old session lives on, and hangs on
        with mounts.sshfs(remote.path, second):
            found = prober.look(definition, deadline_seconds=DEADLINE_SECONDS)
        first.resume()
        wait_for(lambda: not prober.stuck(), what="the stuck look ended and was reaped")
    assert found.verdict is Verdict.HEALTHY


@pytest.mark.parametrize(
    ("name", "verdict"),
    [("EIO", Verdict.IO_ERROR), ("ESTALE", Verdict.STALE), ("EREMOTEIO", Verdict.IO_ERROR)],
)
def test_row_09_errors_of_the_disk_are_told_apart(
    tmp_path: Path, name: str, verdict: Verdict
) -> None:
    code = (
        "import sys; from healtharchive.storage.inspection import inspect_path as look;"
        "found = look(sys.argv[1], deadline_seconds=30);"
        "print(found.verdict.value, found.errno, found.step)"
    )
    inject = ["strace", "-f", "-o", "/dev/null", "-e", f"inject=fsync:error={name}"]
    command = [*inject, sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == [verdict.value, str(getattr(errno, name)), "write"]
    assert list(tmp_path.iterdir()) == []


def test_row_10_a_read_only_mount_is_found_by_writing(tmp_path: Path) -> None:
    with mounts.tmpfs(tmp_path / "box") as box:
        mounts.set_read_only(box)
        found = look(small(box))
        assert look(small(box), write=False).healthy
    assert (found.verdict, found.errno) == (Verdict.READ_ONLY, errno.EROFS)


def test_row_10_what_root_may_write_the_crawlers_user_may_not(place: Path) -> None:
    local = TargetDefinition("disk", TargetKind.LOCAL, str(place))
    assert look(local).healthy
    found = look(local, user="nobody")
    assert (found.verdict, found.errno, found.step) == (
        Verdict.NOT_WRITABLE,
        errno.EACCES,
        "write",
    )
    place.chmod(0o777)
    assert look(local, user="nobody").healthy


def test_row_10_a_user_that_does_not_exist_may_not_write(place: Path) -> None:
    found = inspect_path(place, deadline_seconds=DEADLINE_SECONDS, user="no-such-user")
    assert (found.verdict, found.step) == (Verdict.NOT_WRITABLE, "become user")


def test_a_full_disk_is_full(tmp_path: Path) -> None:
    with mounts.tmpfs(tmp_path / "box", "1m") as box:
        (box / "filler").write_bytes(bytes(look(small(box)).free_bytes))
        found = look(small(box))
    assert (found.verdict, found.errno) == (Verdict.FULL, errno.ENOSPC)


@pytest.mark.parametrize("write", [True, False])
def test_a_disk_without_inodes_is_full(tmp_path: Path, write: bool) -> None:
    with mounts.tmpfs(tmp_path / "box", inodes=8) as box:
        for number in range(look(small(box), write=False).files_free):
            (box / str(number)).touch()
        found = look(small(box), write=write)
    assert (found.verdict, found.files_free) == (Verdict.FULL, 0)


def test_a_full_disk_behind_the_server_is_full_though_sshfs_has_no_word_for_it(
    tmp_path: Path,
) -> None:
    with (
        mounts.sshd() as server,
        mounts.tmpfs(server.files, "1m") as disk,
        mounts.sshfs(tmp_path / "box", server) as remote,
    ):
        (disk / "filler").write_bytes(bytes(os.statvfs(disk).f_bavail * 4096))
        found = look(base(remote))
    assert found.verdict is Verdict.FULL
    assert found.errno in (errno.EPERM, errno.EIO)


def test_a_directory_that_the_server_lost_is_missing(tmp_path: Path) -> None:
    with mounts.sshfs(tmp_path / "box") as remote:
        assert look(base(remote)).healthy
        shutil.rmtree(remote.server.files)
        found = look(base(remote), identity=ID)
        remote.server.files.mkdir()
        assert wait_for(lambda: look(base(remote)).healthy, what="the directory is back")
    assert (found.verdict, found.errno) == (Verdict.MISSING, errno.ENOENT)


def test_a_jobs_directory_is_made_only_when_asked_for(tmp_path: Path) -> None:
    job = tmp_path / "job"
    missing = inspect_path(job, deadline_seconds=DEADLINE_SECONDS, target="disk")
    assert (missing.verdict, missing.target, job.exists()) == (Verdict.MISSING, "disk", False)
    made = inspect_path(job, deadline_seconds=DEADLINE_SECONDS, make=True)
    assert made.healthy
    assert job.is_dir()


def test_a_job_under_a_mount_is_told_which_mount_it_is_on(tmp_path: Path) -> None:
    with mounts.tmpfs(tmp_path / "box") as box:
        found = inspect_path(box, deadline_seconds=DEADLINE_SECONDS)
        at = mount_at(read_mounts(), box)
    assert at is not None
    assert (found.device, found.filesystem, found.source) == (at.device, "tmpfs", "lab")


def test_an_object_target_has_no_directory_to_look_at() -> None:
    with pytest.raises(ValueError, match="object target"):
        look(TargetDefinition("far", TargetKind.OBJECT, "s3://bucket/prefix"))
