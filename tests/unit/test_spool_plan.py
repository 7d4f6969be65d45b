"""What the spool reconciler plans from what was seen: measured, tidied, released, in this order."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from healtharchive.model.errors import SetupError
from healtharchive.steward.spool import (
    TIDYING,
    Disk,
    Observed,
    Removable,
    Rubbish,
    ask_tidier,
    is_local,
    plan,
)
from healtharchive.storage.mountinfo import read_mounts
from tests.lab.workers import settings_for

NOW = datetime(2026, 1, 24, 6, 17, tzinfo=UTC)
DAY = 86_400.0
RUBBISH = tuple(Rubbish(kind, f"/x/{kind}", 100) for kind in ("logs", "wacz", "evidence"))
REMOVABLE = Removable(3, 3000, {"box": 2})


def steps(used: float, **more: Any) -> list[str]:
    observed = Observed(
        now=NOW,
        disk=Disk(used, 1000, 2000),
        measured_at=more.pop("measured_at", NOW),
        rubbish=RUBBISH,
        removable=REMOVABLE,
    )
    settings = settings_for(Path("/nowhere"), **more)
    return [f"{each.what} {each.subject_id}" for each in plan(observed, settings)]


def test_what_is_derived_goes_before_any_local_file_of_a_segment() -> None:
    assert steps(86.0) == [
        "tidy wacz",
        "tidy evidence",
        "tidy logs",
        "release segments",
        "prove box",
    ]


def test_below_the_soft_limit_no_local_file_goes_and_below_the_warning_no_wacz() -> None:
    assert steps(84.9) == ["tidy wacz", "tidy evidence", "tidy logs"]
    assert steps(74.9) == ["tidy evidence", "tidy logs"]


def test_the_disk_is_measured_every_five_minutes() -> None:
    assert "measure spool" in steps(10.0, measured_at=None)
    assert "measure spool" not in steps(10.0, measured_at=NOW - timedelta(seconds=299))
    assert "measure spool" in steps(10.0, measured_at=NOW - timedelta(seconds=300))


def test_each_removal_says_how_many_bytes_it_frees() -> None:
    observed = Observed(
        now=NOW,
        disk=Disk(90.0, 1, 10),
        measured_at=NOW,
        rubbish=[Rubbish("wacz", "/x/1", 5), Rubbish("wacz", "/x/2", 7)],
        removable=REMOVABLE,
    )
    tidy, release, _ = plan(observed, settings_for(Path("/nowhere")))
    assert tidy.evidence == {"bytes": 12, "paths": ["/x/1", "/x/2"]}
    assert release.evidence["bytes"] == 3000


def test_nothing_is_planned_while_nobody_knows_how_full_the_disk_is() -> None:
    observed = Observed(now=NOW, disk=None, measured_at=None, rubbish=RUBBISH, removable=REMOVABLE)
    assert plan(observed, settings_for(Path("/nowhere"))) == []


def test_a_path_on_a_network_or_fuse_file_system_is_not_local() -> None:
    table = (
        "1 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "2 1 0:50 / /box rw - fuse.sshfs u@box:/ rw\n"
        "3 1 0:51 / /share rw - nfs4 server:/x rw\n"
        "4 1 8:2 / /spool rw - xfs /dev/sdb rw\n"
    )
    mounts = read_mounts(table)
    assert is_local(mounts, "/var/lib")
    assert is_local(mounts, "/spool/jobs")
    assert not is_local(mounts, "/box/jobs")
    assert not is_local(mounts, "/share/x")


# -- the child that finds and removes ----------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Old things that are ours, new ones, and some that only look like ours."""
    for state, age in (("a" * 32, 8), ("b" * 32, 6), ("not-a-state", 99)):
        made(tmp_path / f"wacz/job-7/{state}/layout.json", age)
        made(tmp_path / f"wacz/job-7/{state}/index.cdx", age)
    made(tmp_path / f"wacz/other-7/{'c' * 32}/layout.json", 99)
    made(tmp_path / f"wacz/job-8/{'d' * 32}/index.cdx", 99)  # no layout: in the making
    made(tmp_path / "evidence/box-20250101T000000Z-before.json", 91)
    made(tmp_path / "evidence/box-20260101T000000Z-after.json", 89)
    made(tmp_path / "evidence/notes-of-the-operator.json", 999)
    made(tmp_path / "jobs/hc/1/crawler.log", 91)
    made(tmp_path / "jobs/hc/1/crawl.log", 91)
    made(tmp_path / "jobs/hc/1/crawl.log.1", 89)
    made(tmp_path / "jobs/hc/1/frontier.sqlite", 91)
    return tmp_path


def made(path: Path, age_days: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("0123456789")
    then = NOW.timestamp() - age_days * DAY
    os.utime(path, (then, then))
    os.utime(path.parent, (then, then))


def tidier(order: dict[str, Any]) -> Any:
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(TIDYING)],
        input=json.dumps(order).encode(),
        capture_output=True,
        check=True,
        timeout=30,
    )
    return json.loads(done.stdout)


def look(home: Path) -> list[str]:
    order = {
        "look": {
            "wacz": str(home / "wacz"),
            "evidence": str(home / "evidence"),
            "logs": [
                str(home / "jobs/hc/1" / name)
                for name in ("crawl.log", "crawl.log.1", "crawler.log", "crawler.log.1")
            ],
        },
        "now": NOW.timestamp(),
        "older": {"wacz": 7 * DAY, "evidence": 90 * DAY, "logs": 90 * DAY},
        "most": 40,
    }
    return [str(Path(each["path"]).relative_to(home)) for each in tidier(order)["found"]]


def test_only_what_is_old_enough_and_has_a_name_of_ours_is_found(home: Path) -> None:
    assert sorted(look(home)) == [
        "evidence/box-20250101T000000Z-before.json",
        "jobs/hc/1/crawl.log",
        "jobs/hc/1/crawler.log",
        f"wacz/job-7/{'a' * 32}",
    ]


def test_a_state_that_was_read_lately_is_kept(home: Path) -> None:
    layout = home / f"wacz/job-7/{'a' * 32}/layout.json"
    os.utime(layout, (NOW.timestamp() - DAY, layout.stat().st_mtime))
    assert f"wacz/job-7/{'a' * 32}" not in look(home)


def test_removing_takes_what_is_named_and_refuses_every_other_name(home: Path) -> None:
    state = home / f"wacz/job-7/{'a' * 32}"
    answer = tidier({"kind": "wacz", "remove": [str(state)]})
    assert answer == {"removed": 1, "freed_bytes": 20, "trouble": ""}
    assert not state.exists()
    frontier = home / "jobs/hc/1/frontier.sqlite"
    for kind in ("wacz", "evidence", "logs"):
        answer = tidier({"kind": kind, "remove": [str(frontier)]})
        assert answer["removed"] == 0
        assert "not ours" in answer["trouble"]
    assert frontier.exists()


def test_the_paths_of_thousands_of_logs_are_no_longer_than_an_order_may_be(home: Path) -> None:
    log = str(home / "jobs/hc/1/crawler.log")
    logs = [log, *(f"/nowhere/{number:04d}/{'x' * 100}/crawler.log" for number in range(3000))]
    order = {
        "look": {"wacz": "", "evidence": "", "logs": logs},
        "now": NOW.timestamp(),
        "older": {"wacz": DAY, "evidence": DAY, "logs": DAY},
        "most": 40,
    }
    assert [each["path"] for each in ask_tidier(order)["found"]] == [log]


def test_a_tidier_that_cannot_be_started_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(subprocess, "Popen", no_room)
    with pytest.raises(SetupError, match="did not end well"):
        ask_tidier({})


def test_a_link_is_never_followed_to_what_it_leads_to(home: Path) -> None:
    state = home / f"wacz/job-9/{'e' * 32}"
    state.parent.mkdir()
    state.symlink_to(home / "jobs")
    assert f"wacz/job-9/{'e' * 32}" not in look(home)
    assert "not ours" in tidier({"kind": "wacz", "remove": [str(state)]})["trouble"]
    assert (home / "jobs/hc/1/crawler.log").exists()


def test_the_share_is_rounded_and_so_is_the_total() -> None:
    disk = replace(Disk(50.0, 500, 1000), total_bytes=None)
    assert set(disk.measures) == {"spool_used_percent", "spool_free_bytes"}
