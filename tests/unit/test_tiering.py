"""Hot paths planned: what is moved, what is left alone, and what a reboot needs."""

from __future__ import annotations

import configparser
import json
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from healtharchive.model.jobs import Job
from healtharchive.model.states import HELD, JobStatus, TargetState
from healtharchive.model.target import TargetDefinition, TargetKind
from healtharchive.steward.tiering import HotPath, fstab_line, plan, unit, unit_name, write_units
from healtharchive.storage import local_files
from healtharchive.storage.mountinfo import Mount, read_mounts
from tests.unit.test_policy import job_with
from tests.unit.test_recovery import target_with

COMMAND_SECONDS = 20.0
BOX = TargetDefinition("box", TargetKind.MOUNT, "/mnt/box", mount_command=("sshfs",))
TARGET = target_with(BOX, state=TargetState.CLOSED)
PATH = "/jobs/hc/20260124T000000Z__hc-crawl"
BACKING = "/mnt/box/hc/20260124T000000Z__hc-crawl"
WARC = "warcs/hc-a1-00001.warc.gz"
TABLE = """
27 1 254:0 / / rw - ext4 /dev/vda rw
40 27 0:50 / /mnt/box rw - fuse.sshfs u@h:/data rw
"""
BOUND = f"41 27 0:50 /hc/{Path(PATH).name} {PATH} rw - fuse.sshfs u@h:/data rw\n"


def job(**columns: object) -> Job:
    values = {"id": 7, "source": "hc", "status": JobStatus.PAUSED, "output_dir": PATH}
    return job_with(**{**values, **columns})


def planned(job: Job, *files: str, mounts: str = TABLE) -> HotPath:
    table: tuple[Mount, ...] = read_mounts(mounts)
    (hot,) = plan([job], TARGET, table, {job.id: files})
    return hot


def test_a_job_that_never_ran_is_bound_and_declared() -> None:
    hot = planned(job(status=JobStatus.QUEUED))
    assert (hot.path, hot.backing, hot.name) == (PATH, BACKING, "hot-7")
    assert hot.steps == [
        f"bind {BACKING} at {PATH}",
        "declare the hot path hot-7 of target box",
    ]
    assert hot.definition == TargetDefinition(
        "hot-7", TargetKind.BIND, PATH, parent="box", backing=BACKING
    )


def test_only_warc_files_go_to_the_target() -> None:
    hot = planned(job(), "cdx/a.cdxj", "frontier.sqlite", "warcs/manifest.jsonl", WARC)
    assert hot.steps == [
        f"move {WARC} to {BACKING} and read it back",
        "move its frontier and what else is not a WARC file to its state directory",
        f"bind {BACKING} at {PATH}",
        "declare the hot path hot-7 of target box",
    ]


def test_what_a_reboot_lost_is_bound_again_and_what_is_done_is_left() -> None:
    known = job(target="box", hot_path="hot-7")
    assert planned(known).steps == [f"bind {BACKING} at {PATH}"]
    assert planned(known, mounts=TABLE + BOUND).steps == []
    interrupted = planned(job(), WARC, mounts=TABLE + BOUND)
    assert interrupted.steps == ["declare the hot path hot-7 of target box"]


@pytest.mark.parametrize("status", HELD)
def test_a_job_that_runs_is_left_alone(status: JobStatus) -> None:
    hot = planned(job(status=status), WARC)
    assert (hot.hold, hot.steps, hot.files) == ("it runs: pause it first", [], ())


@pytest.mark.parametrize(
    ("columns", "files", "mounts", "hold"),
    [
        ({"target": "other"}, (), TABLE, "it lies on target other already"),
        ({"target": "box"}, (), TABLE, "its directory lies on the target without a hot path"),
        (
            {},
            (f"{WARC}.open",),
            TABLE,
            f"it has files that are not sealed ({WARC}.open): let it run to a stop first",
        ),
        (
            {},
            ("warcs/notes.txt",),
            TABLE,
            "it has files that are not sealed (warcs/notes.txt): let it run to a stop first",
        ),
        (
            {},
            (),
            TABLE + f"41 27 0:60 / {PATH} rw - tmpfs lab rw\n",
            f"what is mounted at its path is not {BACKING}",
        ),
        (  # left by an earlier session of the box: it is dead, and the steward's to mend
            {"target": "box", "hot_path": "hot-7"},
            (),
            TABLE + BOUND.replace("0:50", "0:49"),
            f"what is mounted at its path is not {BACKING}",
        ),
    ],
)
def test_what_is_left_alone_says_why(
    columns: dict[str, object], files: tuple[str, ...], mounts: str, hold: str
) -> None:
    hot = planned(job(**columns), *files, mounts=mounts)
    assert (hot.hold, hot.steps) == (hold, [])


# -- after a reboot --------------------------------------------------------------------------


def _escape(path: str) -> str:
    done = subprocess.run(
        ["systemd-escape", "--path", "--suffix=mount", "--", path],
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=True,
    )
    return done.stdout.rstrip("\n")


parts = st.text(st.characters(exclude_characters="\0/\n\r", exclude_categories=["Cs"]), min_size=1)


@settings(max_examples=60, deadline=None)
@given(st.lists(parts.filter(lambda part: part not in (".", "..")), max_size=4))
@example(["srv", "a-b", "c.d_e:f", "g h\\x2d"])
@example([".hidden", "é"])
@example(["", "jobs", ""])
@example([])
def test_the_unit_is_called_as_systemd_calls_it(words: list[str]) -> None:
    path = "/" + "/".join(words)
    assert unit_name(path) == _escape(path)


def hot_at(path: str, backing: str) -> HotPath:
    return HotPath(7, "hot-7", "box", path, backing)


def test_the_unit_file_is_one_that_systemd_takes(tmp_path: Path) -> None:
    hot = hot_at("/jobs/hc/100 % sure-of it", "/mnt/box/hc/100 % sure-of it")
    (path,) = write_units(tmp_path / "units", [hot], TARGET)
    assert path.name == unit_name(hot.path)
    read = configparser.ConfigParser(interpolation=None)
    read.optionxform = str  # type: ignore[assignment,method-assign]
    read.read_string(path.read_text())
    assert dict(read["Mount"]) == {
        "What": hot.backing.replace("%", "%%"),
        "Where": hot.path.replace("%", "%%"),
        "Type": "none",
        "Options": "bind,nofail",
    }
    assert read["Unit"]["RequiresMountsFor"] == '"/mnt/box"'
    assert read["Install"]["WantedBy"] == "multi-user.target"
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--generators=no", str(path)],
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    complaints = [line for line in done.stderr.splitlines() if path.name in line]
    assert complaints == []


def test_a_target_with_a_unit_is_required_by_that() -> None:
    by_unit = target_with(replace(BOX, mount_command=(), unit="mnt-box.mount"))
    text = unit(hot_at(PATH, BACKING), by_unit)
    assert "Requires=mnt-box.mount\nAfter=mnt-box.mount\n" in text
    assert "RequiresMountsFor" not in text


def test_the_fstab_line_is_one_that_findmnt_reads(tmp_path: Path) -> None:
    hot = hot_at("/jobs/a b/c\\d", "/mnt/the box/a b/c\\d")
    spaced = target_with(replace(BOX, root="/mnt/the box"))
    line = fstab_line(hot, spaced)
    assert len(line.split(" ")) == 6
    table = tmp_path / "fstab"
    table.write_text(line + "\n")
    command = f"findmnt --fstab --tab-file {shlex.quote(str(table))} --json --evaluate"
    done = subprocess.run(
        [*shlex.split(command), "-o", "SOURCE,TARGET,FSTYPE,OPTIONS"],
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=True,
    )
    (found,) = json.loads(done.stdout)["filesystems"]
    assert (found["source"], found["target"]) == (hot.backing, hot.path)
    assert found["options"] == "bind,nofail,x-systemd.requires-mounts-for=/mnt/the box"


# -- the local directory that is emptied -----------------------------------------------------


def test_state_is_moved_whole_however_often_it_is_interrupted(tmp_path: Path) -> None:
    path, state = tmp_path / "job", tmp_path / "state"
    (path / "warcs").mkdir(parents=True)
    (path / "cdx").mkdir()
    (path / "spill-1").mkdir()
    (path / "cdx" / "a.cdxj").write_text("cdx")
    (path / "frontier.sqlite").write_text("frontier")
    (path / "frontier.sqlite-wal").write_text("wal")
    state.mkdir()
    (state / "frontier.sqlite").write_text("frontier")  # killed before it was removed here
    (state / "frontier.sqlite-wal.moving").write_text("w")  # killed in the midst of copying
    for _ in range(2):
        local_files.move_state(str(path), str(state), "warcs")
        assert sorted(each.name for each in path.iterdir()) == ["warcs"]
        assert local_files.listed(str(state)) == (
            "cdx/a.cdxj",
            "frontier.sqlite",
            "frontier.sqlite-wal",
        )
    assert (state / "frontier.sqlite-wal").read_text() == "wal"


def test_a_manifest_is_read_line_by_line(tmp_path: Path) -> None:
    assert local_files.manifest_lines(str(tmp_path), "manifest.jsonl") == {}
    (tmp_path / "manifest.jsonl").write_text('{"name": "a", "records": 3}\n{"na\n[]\n{"x": 1}\n')
    lines = local_files.manifest_lines(str(tmp_path), "manifest.jsonl")
    assert lines == {"a": {"name": "a", "records": 3}}
