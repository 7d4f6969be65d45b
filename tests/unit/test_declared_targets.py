"""The targets file: what it says, and how a mistake in it is named with its file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from healtharchive.model.errors import BadInput
from healtharchive.model.target import TargetDefinition, TargetKind
from healtharchive.storage.declared import load_targets, spool

GOOD = """
# the cold tier
[[target]]
name = "box"
kind = "mount"
root = "/mnt/box"
mount_command = ["sshfs", "u@h:/data", "/mnt/box"]
filesystem = "fuse.sshfs"
server = "h:22"
ship = true
connections = 4

[[ target ]]
name = 'cloud'
kind = "object"
root = "s3://bucket/archive"
[target.options]
secret = "env:S3_SECRET"

[[target]]
name = "hc"
kind = "bind"
root = "/jobs/hc"
parent = "box"
backing = "jobs/hc"
"""


def declared(tmp_path: Path, text: str) -> tuple[TargetDefinition, ...]:
    path = tmp_path / "targets.toml"
    path.write_text(text)
    return load_targets(path)


def complaint(tmp_path: Path, text: str) -> str:
    with pytest.raises(BadInput) as caught:
        declared(tmp_path, text)
    said = str(caught.value)
    assert said.startswith(f"The targets file {tmp_path}/targets.toml")
    return said.removeprefix(f"The targets file {tmp_path}/targets.toml")


def test_what_is_declared_is_read(tmp_path: Path) -> None:
    box, cloud, hc = declared(tmp_path, GOOD)
    assert (box.name, box.kind, box.ship, box.connections) == ("box", TargetKind.MOUNT, True, 4)
    assert box.mount_command == ("sshfs", "u@h:/data", "/mnt/box")
    assert cloud.options == {"secret": "env:S3_SECRET"}
    assert (hc.kind, hc.parent, hc.can_be_mounted) == (TargetKind.BIND, "box", True)


def test_no_file_and_an_empty_one_declare_nothing(tmp_path: Path) -> None:
    assert load_targets(tmp_path / "none.toml") == ()
    assert declared(tmp_path, "") == ()
    assert spool(Path("/jobs")) == TargetDefinition("spool", TargetKind.LOCAL, "/jobs")


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("connections = 4", "connections = ", 11, "Invalid value"),
        ("connections = 4", 'connections = "many"', 11, "connections: input should be a valid int"),
        ("connections = 4", "connections = 0", 4, "connections are at least 1"),
        ("connections = 4", "colour = 4", 11, "there is no setting 'colour'"),
        ('kind = "object"', 'kind = "tape"', 15, "kind: input should be 'local', 'mount'"),
        ('root = "s3://', 'root = "http://', 14, "the root of an object target begins with sftp"),
        ('root = "/jobs/hc"', 'root = "jobs/hc"', 21, "its root must be an absolute directory"),
        ('root = "/jobs/hc"', "", 20, "root: field required"),
        ('name = "hc"', 'name = "box"', 21, "two targets are called 'box'"),
        ("name = 'cloud'", "name = 'spool'", 14, "a name is small letters"),
        ("name = 'cloud'", "name = 'Cloud Nine'", 14, "a name is small letters"),
        ('parent = "box"', 'parent = "bax"', 24, "there is no target 'bax'"),
        ('backing = "jobs/hc"', "", 21, "a bind names its parent and the backing"),
        ('server = "h:22"', 'server = "h"', 4, "its server is written host:port"),
        ("ship = true", 'unit = "box.mount"', 4, "by its mount_command or by its unit"),
        ("# the cold tier", "[ship]", 2, "there is no setting 'ship'"),
    ],
)
def test_a_mistake_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, reason: str
) -> None:
    assert old in GOOD
    assert (
        complaint(tmp_path, GOOD.replace(old, new))
        .lower()
        .startswith(f", line {line} cannot be used: ")
    )
    assert reason in complaint(tmp_path, GOOD.replace(old, new))


def test_a_single_table_and_what_is_no_text(tmp_path: Path) -> None:
    assert "each target begins with a line [[target]]" in complaint(tmp_path, '[target]\nname="x"')
    assert "each target begins with" in complaint(tmp_path, "target = 3")
    (tmp_path / "targets.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="it is not UTF-8"):
        load_targets(tmp_path / "targets.toml")


def test_inline_tables_are_read_and_their_mistakes_named_too(tmp_path: Path) -> None:
    line = 'target = [{name = "a", kind = "local", root = "/a"},'
    (first, second) = declared(tmp_path, f'{line}\n{{name="b", kind="local", root="/b"}}]')
    assert (first.name, second.name) == ("a", "b")
    assert "two targets are called 'a'" in complaint(
        tmp_path, f'{line}\n{{name="a", kind="local", root="/b"}}]'
    )
