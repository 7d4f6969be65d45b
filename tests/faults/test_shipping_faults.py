"""Shipping while its child is killed, its server dies, hangs or is full, and its mount goes."""

from __future__ import annotations

import contextlib
import errno
import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from healtharchive.model.blame import Blame, classify
from healtharchive.model.shipments import (
    CheckOrder,
    Expected,
    InspectOrder,
    Parcel,
    ShipOrder,
    TargetOrder,
)
from healtharchive.model.target import TargetDefinition, TargetKind, Verdict
from healtharchive.storage.places import place_for
from healtharchive.storage.shipping import ship_one
from tests.lab import mounts, objects
from tests.lab.objects import Target, obeyed, parcel, shipping_child
from tests.lab.processes import is_alive, kill, wait_for

BIG_BYTES = 30_000_000
JOB = "hc/hc-2026-job1/warcs"
KILLS = 5
START_SECONDS = 0.6  # a child is up and connected by then, mostly
WORK_SECONDS = 1.6

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(params=objects.KINDS)
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    with objects.target(request.param, tmp_path) as made:
        yield made


def nothing(*_: object) -> None:
    """Neither waits nor tells."""


def ship_order(definition: TargetDefinition, *parcels: Parcel) -> TargetOrder:
    return TargetOrder(definition, ShipOrder(parcels), timeout_seconds=3.0)


def assert_complete(target: Target, *parcels: Parcel) -> None:
    for each in parcels:
        assert target.files.get(each.name) == Path(each.path).read_bytes()
    lines = (target.files.get(f"{JOB}/manifest.jsonl") or b"").decode().splitlines()
    assert len(lines) == len(parcels)
    assert all(each.sha256 in line for each, line in zip(parcels, lines, strict=True))


# -- the child ends -------------------------------------------------------------------------


def test_row_13_a_child_killed_at_random_moments_leaves_what_the_next_one_finishes(
    target: Target, tmp_path: Path
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # shown when the test fails
    chance = random.Random(seed)
    parcels = tuple(
        parcel(tmp_path, f"{JOB}/{number}.warc.gz", BIG_BYTES // 3, number) for number in range(3)
    )
    order = ship_order(target.limited(20_000_000), *parcels)
    for _ in range(KILLS):
        with shipping_child(order, target, tmp_path / "child.log") as child:
            time.sleep(START_SECONDS + chance.random() * WORK_SECONDS)
            kill(child.process.pid)
        for each in parcels:
            assert target.files.get(each.name) in (None, Path(each.path).read_bytes())
    reports = obeyed(ship_order(target.definition, *parcels), target, tmp_path / "child.log")
    assert [r.name for r in reports if r.kind == "verified"] == [each.name for each in parcels]
    assert_complete(target, *parcels)
    assert not [name for name in target.files.names() if ".part" in name]


def test_row_16_a_kill_between_verifying_and_freeing_costs_nothing_and_sends_nothing_again(
    target: Target, tmp_path: Path
) -> None:
    first, second = (parcel(tmp_path, f"{JOB}/{n}.warc.gz", 6_000_000, n) for n in (1, 2))
    order = ship_order(target.limited(4_000_000), first, second)
    with shipping_child(order, target, tmp_path / "child.log") as child:
        verified = next(r for r in child.reports() if r.kind == "verified")
        kill(child.process.pid)
    assert verified.name == first.name
    reports = obeyed(ship_order(target.definition, first, second), target, tmp_path / "child.log")
    receipts = [r.receipt for r in reports if r.receipt is not None]
    assert [(r.name, r.already_there) for r in receipts] == [
        (first.name, True),
        (second.name, False),
    ]
    assert receipts[0].sent_bytes == 0
    assert_complete(target, first, second)


@pytest.mark.parametrize("how", ["SIGTERM", "its parent's end"])
def test_row_13_a_child_that_is_stopped_ends_soon_and_leaves_a_partial_to_resume(
    target: Target, tmp_path: Path, how: str
) -> None:
    segment = parcel(tmp_path, f"{JOB}/a.warc.gz", BIG_BYTES)
    order = ship_order(target.limited(6_000_000), segment)
    with shipping_child(order, target, tmp_path / "child.log") as child:
        reports = child.reports()
        next(r for r in reports if r.step == "sending" and r.bytes_done > 10_000_000)
        if how == "SIGTERM":
            kill(child.process.pid, signal.SIGTERM)
        else:
            child.hang_up()
        *_, end = reports
    assert (end.kind, end.outcome) == ("end", "stopped")
    assert segment.name not in target.files.names()
    reports_of_next = obeyed(ship_order(target.definition, segment), target, tmp_path / "next.log")
    (receipt,) = (r.receipt for r in reports_of_next if r.receipt is not None)
    assert receipt.resumed_at_bytes > 9_000_000
    assert_complete(target, segment)


# -- the server fails -----------------------------------------------------------------------


def small_target(kind: str, undo: ExitStack, directory: Path) -> tuple[Target, Path]:
    """A target on a file system of 4 MB, and where that is mounted."""
    if kind == "local":
        small = undo.enter_context(mounts.tmpfs(directory / "target", "4m"))
        return objects.local(small), small
    server = undo.enter_context(mounts.sshd())
    small = undo.enter_context(mounts.tmpfs(server.files, "4m"))
    if kind == "sftp":
        return objects.sftp(server), small
    return objects.mounted(undo.enter_context(mounts.sshfs(directory / "target", server))), small


@pytest.mark.parametrize("kind", ["local", "mount", "sftp"])
def test_row_11_a_full_target_says_so_and_the_push_goes_on_when_there_is_room(
    tmp_path: Path, kind: str
) -> None:
    with ExitStack() as undo:
        target, small = small_target(kind, undo, tmp_path)
        segment = parcel(tmp_path, f"{JOB}/a.warc.gz", 6_000_000)
        order = ship_order(target.definition, segment)
        *_, failed, end = obeyed(order, target, tmp_path / "child.log")
        assert (failed.errno, failed.side, end.outcome) == (errno.ENOSPC, "target", "infra")
        assert segment.name not in target.files.names()
        mounts.resize(small, "16m")
        obeyed(order, target, tmp_path / "child.log")
        assert_complete(target, segment)


def test_row_10_a_read_only_server_says_so_and_is_not_taken_for_a_full_or_broken_one(
    tmp_path: Path,
) -> None:
    with ExitStack() as undo:
        target, small = small_target("sftp", undo, tmp_path)
        mounts.set_read_only(small)
        order = TargetOrder(target.definition, InspectOrder())
        found = obeyed(order, target, tmp_path / "child.log")[0].inspection
    assert found is not None
    assert (found.verdict, found.errno, found.step) == (
        Verdict.READ_ONLY,
        errno.EROFS,
        "write",
    )


def test_row_12_the_eleventh_connection_is_refused_with_an_errno_of_its_own(
    tmp_path: Path,
) -> None:
    with mounts.sshd() as server, objects.crowded_sshd(server, 10) as port:
        target = objects.sftp(server, port)
        with pytest.raises(OSError, match="refused") as refused:
            place_for(target.definition, {}, timeout_seconds=5.0)
        order = TargetOrder(target.definition, InspectOrder(), timeout_seconds=5.0)
        found = obeyed(order, target, tmp_path / "child.log")[0].inspection
    assert refused.value.errno == errno.ECONNREFUSED
    assert classify(refused.value).parks
    assert found is not None
    assert (found.errno, found.step) == (errno.ECONNREFUSED, "connect")


def test_row_12_an_sftp_place_has_exactly_one_connection(tmp_path: Path) -> None:
    with mounts.sshd() as server:
        target = objects.sftp(server)
        with contextlib.closing(place_for(target.definition, {})) as place:
            segment = parcel(tmp_path, f"{JOB}/a.warc.gz", 6_000_000)
            ship_one(place, segment, throttle=nothing, tell=nothing)
            assert connections_to(server.port) == 1
        wait_for(lambda: connections_to(server.port) == 0, what="the connection is closed")


def connections_to(port: int) -> int:
    """How many connections of this process lead to the port."""
    found = psutil.Process().net_connections("tcp")
    return sum(1 for c in found if c.raddr and c.raddr.port == port and c.status == "ESTABLISHED")


def test_row_13_a_connection_lost_in_the_midst_is_told_and_the_push_resumed(
    tmp_path: Path,
) -> None:
    with mounts.sshd() as server:
        target = objects.sftp(server)
        segment = parcel(tmp_path, f"{JOB}/a.warc.gz", BIG_BYTES)
        order = ship_order(target.limited(10_000_000), segment)
        with shipping_child(order, target, tmp_path / "child.log") as child:
            reports = child.reports()
            next(r for r in reports if r.step == "sending" and r.bytes_done > 5_000_000)
            for process in objects.sessions(server):
                process.kill()
            *_, end = reports
        assert (end.outcome, end.errno, end.blame) == ("infra", errno.ECONNABORTED, Blame.TARGET)
        reports_of_next = obeyed(order, target, tmp_path / "child.log")
        (receipt,) = (r.receipt for r in reports_of_next if r.receipt is not None)
        assert receipt.resumed_at_bytes > 0
        assert_complete(target, segment)


@pytest.mark.parametrize("kind", ["sftp", "s3"])
def test_row_06_a_server_that_hangs_costs_the_time_out_and_loses_nothing(
    tmp_path: Path, kind: str
) -> None:
    with ExitStack() as undo:
        if kind == "sftp":
            server = undo.enter_context(mounts.sshd())
            target = objects.sftp(server)
        else:
            s3_server = undo.enter_context(objects.s3_server(tmp_path / "s3.log"))
            target = objects.s3(s3_server)
        segment = parcel(tmp_path, f"{JOB}/a.warc.gz", BIG_BYTES)
        order = ship_order(target.limited(10_000_000), segment)
        with shipping_child(order, target, tmp_path / "child.log") as child:
            reports = child.reports()
            next(r for r in reports if r.step == "sending" and r.bytes_done > 8_000_000)
            pids = (
                [each.pid for each in objects.sessions(server)]
                if kind == "sftp"
                else [s3_server.process.pid]
            )
            for pid in pids:
                kill(pid, signal.SIGSTOP)
            try:
                *_, end = reports
            finally:
                for pid in filter(is_alive, pids):
                    kill(pid, signal.SIGCONT)
        assert (end.outcome, end.errno) == ("infra", errno.ETIMEDOUT)
        obeyed(ship_order(target.definition, segment), target, tmp_path / "child.log")
        assert_complete(target, segment)


@pytest.mark.parametrize("kind", ["sftp", "s3"])
def test_a_server_that_is_not_there_refuses_and_a_wrong_key_is_not_permitted(
    tmp_path: Path, kind: str
) -> None:
    with objects.target(kind, tmp_path) as target:
        definition = target.definition
    order = TargetOrder(definition, InspectOrder(), timeout_seconds=3.0)
    found = obeyed(order, target, tmp_path / "child.log")[0].inspection
    assert found is not None
    assert (found.verdict, found.errno) == (Verdict.IO_ERROR, errno.ECONNREFUSED)


def test_a_server_whose_key_is_not_known_is_not_trusted(tmp_path: Path) -> None:
    with mounts.sshd() as server:
        target = objects.sftp(server)
        nobody = tmp_path / "known_hosts"
        nobody.touch()
        options = {**target.definition.options, "known_hosts": str(nobody)}
        with pytest.raises(OSError, match="ssh-keyscan") as refused:
            place_for(replace(target.definition, options=options), {})
    assert refused.value.errno == errno.EACCES


# -- the mount goes -------------------------------------------------------------------------


def test_row_02_a_mount_that_dies_while_shipping_is_told_at_once_and_resumed_when_it_is_back(
    tmp_path: Path,
) -> None:
    with mounts.sshfs(tmp_path / "target") as mount:
        target = objects.mounted(mount)
        segment = parcel(tmp_path, f"{JOB}/a.warc.gz", BIG_BYTES)
        order = ship_order(target.limited(10_000_000), segment)
        with shipping_child(order, target, tmp_path / "child.log") as child:
            reports = child.reports()
            next(r for r in reports if r.step == "sending" and r.bytes_done > 8_000_000)
            mount.make_stale()
            *_, end = reports
        assert (end.outcome, end.blame) == ("infra", Blame.TARGET)
        assert end.errno in (errno.ENOTCONN, errno.ECONNABORTED)
        mount.mend()
        obeyed(order, target, tmp_path / "child.log")
        assert_complete(target, segment)


def test_row_04_nothing_is_written_where_a_mount_should_be_and_is_not(tmp_path: Path) -> None:
    bare = tmp_path / "target"
    bare.mkdir()
    definition = TargetDefinition("cold", TargetKind.MOUNT, str(bare), ship=True)
    target = Target("mount", definition, objects.Directory(bare))
    segment = parcel(tmp_path, f"{JOB}/a.warc.gz")
    (end,) = obeyed(ship_order(definition, segment), target, tmp_path / "child.log")
    assert (end.outcome, end.errno, end.blame) == ("infra", errno.ENODEV, Blame.TARGET)
    assert list(bare.iterdir()) == []


def test_row_04_a_mount_that_is_taken_away_while_shipping_uncovers_no_local_directory(
    tmp_path: Path,
) -> None:
    with mounts.sshfs(tmp_path / "target") as mount:
        target = objects.mounted(mount)
        segment = parcel(tmp_path, f"{JOB}/a.warc.gz", BIG_BYTES)
        order = ship_order(target.limited(10_000_000), segment)
        with shipping_child(order, target, tmp_path / "child.log") as child:
            reports = child.reports()
            next(r for r in reports if r.step == "sending" and r.bytes_done > 8_000_000)
            mount.unmount()
            *_, end = reports
        assert end.outcome == "infra"
        assert list(mount.path.iterdir()) == []


def test_row_17_a_bit_that_flips_on_the_server_is_seen_past_this_machines_cache(
    tmp_path: Path,
) -> None:
    with mounts.sshfs(tmp_path / "target") as mount:
        target = objects.mounted(mount)
        segment = parcel(tmp_path, f"{JOB}/a.warc.gz", 6_000_000)
        obeyed(ship_order(target.definition, segment), target, tmp_path / "child.log")
        content = bytearray((mount.path / segment.name).read_bytes())  # now it is cached here
        content[4_000_000] ^= 1
        with open(mount.server.files / segment.name, "r+b") as file:
            file.write(content)
        expected = Expected(segment.name, segment.size_bytes, segment.sha256)
        order = TargetOrder(target.definition, CheckOrder((expected,)))
        reports = obeyed(order, target, tmp_path / "child.log")
    assert [r.finding for r in reports if r.kind == "checked"] == ["differs"]
