"""What the mounter takes for an order, and that nothing in one leads beyond what root declared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healtharchive.model.errors import BadInput
from healtharchive.model.target import TargetDefinition, TargetKind
from healtharchive.storage.mount_orders import (
    ORDER_BYTES,
    Grant,
    Order,
    Task,
    Verb,
    from_line,
    granted,
    order_for,
    to_line,
)

JOBS = Path("/var/lib/healtharchive/jobs")
BOX = TargetDefinition("box", TargetKind.MOUNT, "/srv/box", mount_command=("sshfs", "a", "b"))
NAS = TargetDefinition("nas", TargetKind.MOUNT, "/srv/nas", unit="srv-nas.mount")
HC = TargetDefinition("hc", TargetKind.BIND, "/srv/hc", parent="box", backing="jobs/hc")
DISK = TargetDefinition("disk", TargetKind.LOCAL, "/mnt/disk")
CLOUD = TargetDefinition("cloud", TargetKind.OBJECT, "s3://bucket/x")
GRANT = Grant("healtharchive", str(JOBS), {e.name: e for e in (BOX, NAS, HC, DISK, CLOUD)})
HOT = TargetDefinition(
    "hot-7", TargetKind.BIND, f"{JOBS}/hc/2026__hc", parent="box", backing="/srv/box/hc/2026__hc"
)


def refusal(line: bytes) -> str:
    with pytest.raises(BadInput) as caught:
        granted(from_line(line), GRANT)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def line(**words: object) -> bytes:
    return json.dumps({"verb": "mount", "target": "box", "job": "", **words}).encode() + b"\n"


# -- what is granted -----------------------------------------------------------------------------


@pytest.mark.parametrize("verb", [Verb.MOUNT, Verb.UNMOUNT, Verb.ABORT])
def test_a_declared_target_is_mounted_as_root_declared_it(verb: Verb) -> None:
    assert granted(from_line(to_line(Order(verb, "box"))), GRANT) == Task(verb, BOX)


def test_a_declared_bind_comes_with_the_target_that_it_lies_on() -> None:
    assert granted(Order(Verb.MOUNT, "hc"), GRANT) == Task(Verb.MOUNT, HC, BOX)


def test_a_jobs_directory_is_bound_below_the_jobs_root_and_nowhere_else() -> None:
    task = granted(Order(Verb.MOUNT, "disk", "hc/2026__hc"), GRANT)
    assert (task.definition.root, task.definition.kind) == (HOT.root, TargetKind.BIND)
    assert (task.definition.backing, task.parent) == ("hc/2026__hc", DISK)


def test_only_the_process_of_what_a_unit_mounts_is_the_mounters_to_end() -> None:
    assert granted(Order(Verb.END, "nas"), GRANT) == Task(Verb.END, NAS)
    assert "is healtharchive's own to end" in refusal(line(verb="end"))


def test_a_hot_path_is_asked_for_by_its_job_and_all_else_by_its_name() -> None:
    assert order_for(Verb.MOUNT, HOT, BOX, JOBS) == Order(Verb.MOUNT, "box", "hc/2026__hc")
    assert order_for(Verb.UNMOUNT, BOX, None, JOBS) == Order(Verb.UNMOUNT, "box")
    assert order_for(Verb.MOUNT, HC, BOX, JOBS) == Order(Verb.MOUNT, "hc")
    task = granted(order_for(Verb.MOUNT, HOT, BOX, JOBS), GRANT)
    assert (task.definition.root, task.parent) == (HOT.root, BOX)


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (line(target="attic"), "knows no target 'attic'"),
        (line(target="cloud"), "knows no target 'cloud'"),
        (line(target="disk"), "Target 'disk' is not mounted: it is local"),
        (line(verb="chmod"), "cannot 'chmod': it can mount, unmount, abort, end"),
        (line(verb="abort", target="hc"), "No process serves /srv/hc"),
        (line(verb="abort", job="hc/2026__hc"), "No process serves"),
        (line(target=7), "are texts"),
        (line(root="/etc"), "and nothing else"),
        (b'{"verb": "mount"}', "has a verb, a target and a job"),
        (b"[]", "has a verb, a target and a job"),
        (b"", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 1000, "no JSON"),
        (b" " * (ORDER_BYTES + 1), "longer than 1024 bytes"),
    ],
)
def test_what_is_no_order_or_not_declared_is_refused_in_a_sentence(sent: bytes, said: str) -> None:
    assert said in refusal(sent)


@pytest.mark.parametrize(
    "job",
    [
        "..",
        "../x",
        "hc/..",
        "hc/../x",
        "/etc/cron.d",
        "hc",
        "hc/a/b",
        ".ssh/a",
        "a/.b",
        "a/b\n",
        "-/b",
    ],
)
def test_a_directory_that_no_job_has_is_refused(job: str) -> None:
    assert "is no directory of a job" in refusal(line(job=job))


@given(job=st.text(max_size=40) | st.from_regex(r"[a./~-]{1,6}/[a./~\n-]{1,6}", fullmatch=True))
def test_whatever_is_asked_nothing_is_granted_outside_of_the_jobs_root(job: str) -> None:
    try:
        task = granted(Order(Verb.MOUNT, "box", job), GRANT)
    except BadInput:
        return
    if job:
        path = Path(task.definition.root)
        assert path.parent.parent == JOBS
        assert ".." not in path.parts
