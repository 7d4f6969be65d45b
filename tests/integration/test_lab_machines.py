"""The lab's machines break as they say, and mend as they say."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.lab import injection, mounts, postgres
from tests.lab.processes import (
    TooLate,
    child_running,
    is_alive,
    kill_tree,
    running,
    spawn,
    wait_for,
)


def test_postgres_starts_answers_dies_and_comes_back() -> None:
    with postgres.cluster() as cluster:
        url = cluster.create_database("lab")
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept (n int)")
        cluster.kill()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url, connect_timeout=2)
        cluster.start()
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_full_tmpfs_says_no_space_and_a_bigger_one_takes_it(tmp_path: Path) -> None:
    with mounts.tmpfs(tmp_path / "small", "1m") as small:
        with pytest.raises(OSError, match="No space") as refused:
            (small / "file").write_bytes(b"x" * 2_000_000)
        assert refused.value.errno == errno.ENOSPC
        mounts.resize(small, "4m")
        (small / "file").write_bytes(b"x" * 2_000_000)
        mounts.set_read_only(small)
        with pytest.raises(OSError, match="Read-only"):
            (small / "other").write_bytes(b"x")
    assert not mounts.is_mounted(small)


def test_stale_sshfs_gives_errno_107_until_it_is_mended(tmp_path: Path) -> None:
    with mounts.sshfs(tmp_path / "remote") as remote:
        (remote.path / "file").write_text("kept")
        with mounts.bind(remote.path, tmp_path / "hot") as hot:
            remote.make_stale()
            for path in (remote.path, hot):
                with pytest.raises(OSError, match="not connected") as refused:
                    os.listdir(path)
                assert refused.value.errno == 107
        remote.mend()
        assert (remote.path / "file").read_text() == "kept"
    assert not mounts.is_mounted(remote.path)


def test_injected_fsync_fails_in_a_running_process_and_only_then(tmp_path: Path) -> None:
    script = (
        "import os, sys\nf = open(sys.argv[1], 'wb')\n"
        "for line in sys.stdin:\n"
        "    try:\n        os.fsync(f.fileno()); print('fine', flush=True)\n"
        "    except OSError as e:\n        print(e.errno, flush=True)\n"
    )
    child = spawn(
        [sys.executable, "-c", script, tmp_path / "f"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    with child.stdin as asks, child.stdout as says:

        def ask() -> bytes:
            asks.write(b"\n")
            asks.flush()
            return says.readline().strip()

        try:
            assert ask() == b"fine"
            with injection.failing(child.pid, injection.Failure(), tmp_path / "log") as log:
                assert ask() == b"5"
                assert injection.injected(log) == 1
            assert ask() == b"fine"
        finally:
            kill_tree(child)


def test_a_tree_of_processes_ends_with_the_block() -> None:
    shell = "sleep 300 & wait"
    with running(["sh", "-c", shell]) as parent:
        child = wait_for(lambda: child_running(parent.pid, "sleep"), what="sleep runs")
    assert parent.poll() is not None
    wait_for(lambda: not is_alive(child), what="sleep ended", seconds=5)


def test_waiting_has_an_end_and_says_for_what() -> None:
    with pytest.raises(TooLate, match="pigs fly"):
        wait_for(lambda: None, what="pigs fly", seconds=0.1)
