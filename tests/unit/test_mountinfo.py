"""The kernel's mount table, read and judged: no path is touched."""

from __future__ import annotations

from dataclasses import replace

from healtharchive.model.target import TargetDefinition, TargetKind
from healtharchive.storage.mountinfo import (
    below,
    covering,
    mount_at,
    objection,
    read_mounts,
    same_source,
)

# As printed on a machine with an sshfs base, a bind of it, and a bind left from an older session.
TABLE = r"""
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
40 27 0:50 / /srv/box rw,nosuid,nodev shared:7 master:1 - fuse.sshfs u@h:/data rw,user_id=0
41 27 0:50 /jobs/hc /srv/jobs/hc rw,nosuid,nodev - fuse.sshfs u@h:/data rw,user_id=0
42 27 0:49 /jobs/phac /srv/jobs/phac rw,nosuid,nodev - fuse.sshfs u@h:/data rw,user_id=0
43 40 0:60 / /srv/box/cache rw - tmpfs lab rw,size=1k
44 27 0:61 / /srv/a\040place\134x rw - tmpfs with\040space rw
"""
MOUNTS = read_mounts(TABLE)
BASE = TargetDefinition(
    "box", TargetKind.MOUNT, "/srv/box", filesystem="fuse.sshfs", source="u@h:/data"
)
HOT = TargetDefinition("hc", TargetKind.BIND, "/srv/jobs/hc", parent="box", backing="jobs/hc")
PHAC = TargetDefinition(
    "phac", TargetKind.BIND, "/srv/jobs/phac", parent="box", backing="/srv/box/jobs/phac"
)


def test_octal_escapes_and_optional_fields_are_read() -> None:
    assert MOUNTS[5].point == "/srv/a place\\x"
    assert MOUNTS[5].source == "with space"
    assert (MOUNTS[1].device, MOUNTS[1].filesystem) == ("0:50", "fuse.sshfs")
    assert MOUNTS[1].options == ("rw", "nosuid", "nodev", "user_id=0")
    assert [each.shared for each in MOUNTS[:3]] == [False, True, False]


def test_the_kernels_own_table_is_read_and_has_a_root() -> None:
    assert mount_at(read_mounts(), "/") is not None


def test_a_path_is_covered_by_the_nearest_mount_above_it() -> None:
    assert covering(MOUNTS, "/srv/box/cache/x") == MOUNTS[4]
    assert covering(MOUNTS, "/srv/box/cachet") == MOUNTS[1]
    assert covering(MOUNTS, "/srv/elsewhere") == MOUNTS[0]
    assert mount_at(MOUNTS, "/srv/box/") == MOUNTS[1]
    assert mount_at(MOUNTS, "/srv/box/jobs") is None


def test_of_stacked_mounts_the_topmost_is_at_the_path() -> None:
    stacked = read_mounts(TABLE + "45 40 0:70 / /srv/box rw - tmpfs lab rw\n")
    top = mount_at(stacked, "/srv/box")
    assert top is not None
    assert top.id == 45


def test_a_mount_hidden_by_a_later_one_is_not_found_at_its_path() -> None:
    hidden = read_mounts(TABLE + "46 27 0:71 / /srv rw - tmpfs lab rw\n")
    assert mount_at(hidden, "/srv/box") is None
    found = covering(hidden, "/srv/box")
    assert found is not None
    assert found.point == "/srv"


def test_nested_mounts_come_innermost_first() -> None:
    assert [m.point for m in below(MOUNTS, "/srv/box")] == ["/srv/box/cache"]
    assert [m.id for m in below(MOUNTS, "/srv")] == [43, 42, 41, 44, 40]


def test_a_bind_is_compared_by_device_and_root_and_never_by_its_options() -> None:
    base, fresh, old = MOUNTS[1], MOUNTS[2], MOUNTS[3]
    assert same_source(fresh, base, "/srv/box", "jobs/hc")
    assert same_source(fresh, base, "", "/srv/box/jobs/hc")
    assert not same_source(fresh, base, "/srv/box", "jobs/other")
    assert not same_source(old, base, "/srv/box", "jobs/phac"), "of an earlier session"
    assert not same_source(fresh, base, "/srv/elsewhere", "jobs/hc")


def test_a_bind_of_a_bind_adds_up_the_roots() -> None:
    base = replace(MOUNTS[1], root="/deep", point="/srv/box")
    bind = replace(MOUNTS[2], root="/deep/jobs/hc")
    assert same_source(bind, base, "/srv/box", "jobs/hc")


def test_the_declared_mounts_are_not_objected_to() -> None:
    assert objection(BASE, MOUNTS) == ""
    assert objection(HOT, MOUNTS, BASE) == ""


def test_each_wrong_mount_is_named_with_what_is_there_instead() -> None:
    assert "/dev/vda" in objection(replace(BASE, root="/srv/none"), MOUNTS)
    assert "not fuse.rclone" in objection(replace(BASE, filesystem="fuse.rclone"), MOUNTS)
    assert "u@h:/data" in objection(replace(BASE, source="u@other:/data"), MOUNTS)
    assert "0:49" in objection(PHAC, MOUNTS, BASE)


def test_a_bind_made_from_the_root_disk_while_its_parent_was_away_is_wrong() -> None:
    rebooted = read_mounts(
        "27 1 254:0 / / rw - ext4 /dev/vda rw\n"
        "28 27 254:0 /srv/box/jobs/hc /srv/jobs/hc rw - ext4 /dev/vda rw\n"
    )
    assert "/srv/box" in objection(HOT, rebooted, BASE)
