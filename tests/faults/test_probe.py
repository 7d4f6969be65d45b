"""Probes of real mounts: stale, hanging, full and read-only ones, each within its deadline."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from healtharchive.model.blame import Blame
from healtharchive.storage.probe import probe
from tests.lab import mounts


def test_a_healthy_directory_is_made_written_and_left_empty(tmp_path: Path) -> None:
    place = tmp_path / "jobs" / "hc"
    result = probe(place, 10.0)
    assert result.ok
    assert result.fault is None
    assert 0 < result.free_bytes <= result.disk_bytes
    assert list(place.iterdir()) == []


def test_looking_without_writing_makes_nothing(tmp_path: Path) -> None:
    result = probe(tmp_path / "missing", 10.0, write=False)
    assert (result.ok, result.errno, result.step) == (False, errno.ENOENT, "list")
    assert not (tmp_path / "missing").exists()


def test_a_stale_mount_is_the_targets_fault_at_once(tmp_path: Path) -> None:
    with mounts.sshfs(tmp_path / "remote") as remote:
        assert probe(remote.path / "job", 10.0).ok
        remote.make_stale()
        result = probe(remote.path / "job", 10.0)
    assert result.errno == errno.ENOTCONN
    assert result.fault is not None
    assert (result.fault.blame, result.fault.parks, result.fault.definite) == (
        Blame.TARGET,
        True,
        True,
    )


def test_a_hanging_mount_costs_one_killed_child(tmp_path: Path) -> None:
    with mounts.sshfs(tmp_path / "remote") as remote:
        remote.hang()
        result = probe(remote.path / "job", 0.5)
        remote.resume()
    assert (result.ok, result.errno) == (False, errno.ETIMEDOUT)
    assert result.fault is not None
    assert result.fault.parks


@pytest.mark.parametrize("write", [True, False])
def test_a_read_only_file_system_is_found_by_writing_only(tmp_path: Path, write: bool) -> None:
    with mounts.tmpfs(tmp_path / "small") as small:
        mounts.set_read_only(small)
        result = probe(small, 10.0, write=write)
    assert result.errno == (errno.EROFS if write else None)


def test_a_full_disk_is_found_by_writing(tmp_path: Path) -> None:
    with mounts.tmpfs(tmp_path / "small", "1m") as small:
        # tmpfs gives out what it has at once, so that nothing is left to write one byte into.
        free_bytes = probe(small, 10.0, write=False).free_bytes
        (small / "filler").write_bytes(bytes(free_bytes))
        result = probe(small, 10.0)
    assert result.errno == errno.ENOSPC
    assert result.used_percent == 100.0
