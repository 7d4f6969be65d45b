"""Places without a network: names, options, the bandwidth limit, and what errors stand for."""

from __future__ import annotations

import errno
import io
import sys
from pathlib import Path

import pytest

from healtharchive.model.blame import Blame, EngineMissing, classify
from healtharchive.model.errors import BadInput, SetupError
from healtharchive.model.shipments import Parcel, ShipOrder, TargetOrder
from healtharchive.model.target import TargetDefinition, TargetKind
from healtharchive.model.wire import from_line, to_line
from healtharchive.storage.places import (
    checked,
    common_prefix,
    final_name,
    partial_name,
    place_for,
    resolved,
)
from healtharchive.storage.refusals import LocalTrouble, errno_of, local_file, spoken_as_errno
from healtharchive.storage.throttle import Throttle

OBJECT = TargetDefinition("cold", TargetKind.OBJECT, "s3://bucket/prefix")


@pytest.mark.parametrize("name", ["", "/etc/passwd", "a/../../b", "a//b", "./a", "a/", "a\0b"])
def test_a_name_that_could_leave_the_place_is_refused(name: str) -> None:
    with pytest.raises(BadInput):
        checked(name)


@pytest.mark.parametrize("token", ["", "spool-1", "a_B9"])
def test_a_partials_name_leads_back_to_its_file(token: str) -> None:
    final = "hc/job-1/warcs/a.part.b.warc.gz"
    assert final_name(partial_name(final, token)) == final


def test_a_segment_is_no_partial_and_a_token_is_no_path() -> None:
    assert final_name("hc/job-1/warcs/a.warc.gz") is None
    with pytest.raises(BadInput):
        partial_name("a.warc.gz", "../b")


@pytest.mark.parametrize(
    ("there", "same"),
    [([b"abc", b"de"], 5), ([b"abcdefgh"], 8), ([b"abX"], 0), ([b"abcdefghi"], 0), ([], 0)],
)
def test_a_partial_is_resumed_only_when_the_source_begins_with_all_of_it(
    there: list[bytes], same: int
) -> None:
    assert common_prefix(there, io.BytesIO(b"abcdefgh"), lambda size_bytes: None) == same


def test_a_secret_is_read_from_the_environment_when_it_is_used() -> None:
    target = TargetDefinition(
        "cold", TargetKind.OBJECT, "s3://b", options={"key": "k", "secret": "env:COLD_SECRET"}
    )
    assert resolved(target, {"COLD_SECRET": "s"}) == {"key": "k", "secret": "s"}
    with pytest.raises(SetupError, match="COLD_SECRET"):
        resolved(target, {})


@pytest.mark.parametrize("root", ["ftp://host/directory", "/directory", "sftp:///directory"])
def test_an_object_target_of_an_unknown_kind_is_refused(root: str) -> None:
    with pytest.raises(BadInput):
        place_for(TargetDefinition("cold", TargetKind.OBJECT, root), {})


@pytest.mark.parametrize(
    ("root", "library"),
    [
        ("s3://bucket/prefix", "s3fs"),
        ("sftp://u@127.0.0.1:1/d", "fsspec.implementations.sftp"),
    ],
)
def test_a_library_that_is_not_installed_is_named_with_its_cure(
    monkeypatch: pytest.MonkeyPatch, root: str, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(
        EngineMissing, match=r"is not installed\. Run: pip install --require-hashes"
    ):
        place_for(TargetDefinition("cold", TargetKind.OBJECT, root), {})


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


def test_the_bandwidth_limit_holds_over_many_pieces_of_any_size() -> None:
    time = FakeTime()
    throttle = Throttle(1000, time.monotonic, time.sleep)
    for size_bytes in (10, 5000, 990, 4000):
        throttle(size_bytes)
    assert time.now == pytest.approx(10.0)


def test_after_a_pause_a_seconds_worth_may_go_at_once_and_no_more() -> None:
    time = FakeTime()
    throttle = Throttle(1000, time.monotonic, time.sleep)
    time.now = 3600.0
    throttle(1000)
    assert time.slept == 0.0
    throttle(500)
    assert time.slept == pytest.approx(0.5)


def test_without_a_limit_nothing_waits() -> None:
    time = FakeTime()
    Throttle(0, time.monotonic, time.sleep)(10**12)
    assert time.slept == 0.0


def test_errors_of_the_network_libraries_have_the_errno_of_a_file_operation() -> None:
    import botocore.exceptions as s3
    import paramiko

    def answered(code: str) -> s3.ClientError:
        return s3.ClientError({"Error": {"Code": code, "Message": "no"}}, "PutObject")

    refused = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
    expected: list[tuple[BaseException, int | None]] = [
        (paramiko.ssh_exception.NoValidConnectionsError({("h", 22): refused}), errno.ECONNREFUSED),
        (paramiko.AuthenticationException("no"), errno.EACCES),
        (paramiko.SSHException("Server connection dropped"), errno.ECONNABORTED),
        (EOFError(), errno.ECONNABORTED),
        (OSError("Socket is closed"), errno.ECONNABORTED),
        (ConnectionResetError(errno.ECONNRESET, "reset"), errno.ECONNABORTED),
        (TimeoutError(), errno.ETIMEDOUT),
        (s3.EndpointConnectionError(endpoint_url="http://h"), errno.ECONNREFUSED),
        (s3.ConnectTimeoutError(endpoint_url="http://h"), errno.ETIMEDOUT),
        (s3.ReadTimeoutError(endpoint_url="http://h"), errno.ETIMEDOUT),
        (s3.NoCredentialsError(), errno.EACCES),
        (answered("AccessDenied"), errno.EACCES),
        (answered("NoSuchKey"), errno.ENOENT),
        (answered("QuotaExceeded"), errno.EDQUOT),
        (answered("XMinioStorageFull"), errno.ENOSPC),
        (answered("SlowDown"), errno.ETIMEDOUT),
        (ZeroDivisionError(), None),
    ]
    assert [(error, errno_of(error)) for error, _ in expected] == expected


def test_a_bug_within_a_place_stays_a_bug() -> None:
    with pytest.raises(ZeroDivisionError), spoken_as_errno("a.warc.gz"):
        _ = 1 / 0


def test_a_lost_connection_is_the_targets_fault_and_a_broken_spool_is_not_taken_for_it(
    tmp_path: Path,
) -> None:
    with pytest.raises(OSError, match="gone") as lost, spoken_as_errno("a.warc.gz"):
        raise EOFError("gone")
    fault = classify(lost.value)
    assert (fault.blame, fault.parks, fault.definite) == (Blame.TARGET, True, True)
    path = str(tmp_path / "a.warc.gz")
    with pytest.raises(LocalTrouble) as local, spoken_as_errno("a.warc.gz"), local_file(path):
        raise OSError(errno.EIO, "bad sector")
    assert (local.value.errno, local.value.filename) == (errno.EIO, path)


def test_an_order_survives_the_pipe() -> None:
    parcel = Parcel("/spool/a", "hc/j/warcs/a", 1, "00", facts={"counts": {"found": 3}})
    order = TargetOrder(OBJECT, ShipOrder((parcel,), token="t"), identity="i")
    assert from_line(TargetOrder, to_line(order)) == order
