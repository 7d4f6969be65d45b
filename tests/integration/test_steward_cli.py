"""`storage`, `steward run` and `tier` in a person's hands, on a real sshfs."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from healtharchive.model.database import Database
from healtharchive.model.orders import IndexOrder
from healtharchive.model.progress import note_segments
from healtharchive.model.states import JobStatus
from healtharchive.model.tables import archive_jobs
from healtharchive.model.target import TargetDefinition, Verdict
from healtharchive.search.manifest import manifest
from healtharchive.storage.mount_process import mount_process
from healtharchive.storage.mountinfo import Mount, mount_at, read_mounts
from tests.lab import mounts, warcs
from tests.lab.archive import Archive, CommandFailed
from tests.lab.captured import add_segment, claim_index, completed_job
from tests.lab.processes import kill, wait_for
from tests.lab.queue import ACTOR
from tests.lab.targets import box, look, mounted_pid

SETTINGS = {
    "BREAKER_GOOD_SECONDS": "0",
    "BREAKER_GOOD_PROBES": "1",
    "RECOVER_FIRST_SECONDS": "0.1",
    "MOUNT_SECONDS": "10",
}


@dataclass
class Lab:
    """An archive with a box that is declared and mounted, and a job that is captured."""

    archive: Archive
    server: mounts.Server
    base: TargetDefinition
    database: Database
    order: IndexOrder

    @property
    def path(self) -> Path:
        """The job's directory."""
        return Path(self.order.output_dir)

    @property
    def on_server(self) -> Path:
        """Where its WARC files are to lie on the server."""
        return self.server.files / "lab" / self.path.name

    def run(self, *words: str, codes: tuple[int, ...] = (0,)) -> str:
        return self.archive.run(*words, codes=codes)

    def mend(self, *words: str) -> str:
        return self.run("steward", "run", "storage", "--target", "box", *words)

    def tier(self, verb: str, *words: str, codes: tuple[int, ...] = (0,)) -> str:
        job = ("--job", str(self.order.job_id))
        return self.run("tier", verb, "--target", "box", *job, *words, codes=codes)

    def refused(self, *words: str) -> str:
        """What a command that must not go well says."""
        with pytest.raises(CommandFailed) as caught:
            self.run(*words)
        assert "This is a bug" not in str(caught.value)
        return str(caught.value)

    def set(self, **columns: object) -> None:
        with self.database.begin() as connection:
            query = update(archive_jobs).where(archive_jobs.c.id == self.order.job_id)
            connection.execute(query.values(**columns))

    def events(self, what: str) -> list[dict[str, Any]]:
        told = self.run("events", "--since", "1d", "--limit", "1000", "--json").splitlines()
        return [each for each in map(json.loads, told) if each["what"] == what]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with ExitStack() as undo:
        server = undo.enter_context(mounts.sshd())
        base = undo.enter_context(box(server, tmp_path / "box"))
        archive = Archive(tmp_path / "data", SETTINGS)
        archive.set_up()
        (archive.data_dir / "targets.toml").write_text(
            f'[[target]]\nname = "box"\nkind = "mount"\nroot = "{base.root}"\n'
            f"mount_command = {json.dumps(base.mount_command)}\n"
            f'filesystem = "{base.filesystem}"\nsource = "{base.source}"\n'
            f'server = "{base.server}"\n'
        )
        database = Database(archive.environment["HEALTHARCHIVE_DATABASE_URL"], "the test")
        undo.callback(database.dispose)
        order = completed_job(database, archive.data_dir / "jobs")
        undo.callback(mounts.unmount, Path(order.output_dir))
        made = Lab(archive, server, base, database, order)
        assert "mount " in made.mend()
        yield made


def files_below(path: Path) -> list[str]:
    return sorted(str(each.relative_to(path)) for each in path.rglob("*") if each.is_file())


def with_warcs(lab: Lab) -> dict[str, bytes]:
    """Two WARC files and what else a captured job's directory has; the WARC files' bytes."""
    for serial in (1, 2):
        record = warcs.record("metadata", b"x" * 5000 * serial, [])
        add_segment(lab.order, [record], serial)
    (lab.path / "frontier.sqlite").write_bytes(b"frontier")
    (lab.path / "cdx").mkdir()
    (lab.path / "cdx" / "a.cdxj").write_text("a")
    return {each.name: each.read_bytes() for each in lab.path.glob("warcs/*.warc.gz")}


# -- storage and steward ---------------------------------------------------------------------


def test_status_and_probe_say_what_a_look_finds(lab: Lab) -> None:
    assert lab.run("storage", "probe", "box") == "box is healthy\n"
    (found,) = [e for e in lab.archive.ask("storage", "status") if e["target"]["name"] == "box"]
    assert found["target"]["verdict"] == "healthy"
    kill(mounted_pid(lab.base))
    said = lab.run("storage", "probe", "box", codes=(1,))
    assert "box is stale" in said
    assert "errno 107" in said
    assert "stale" in lab.run("storage", "status")
    assert "There is no target 'bax'" in lab.refused("storage", "probe", "bax")


def test_status_and_why_say_what_holds_a_job(lab: Lab) -> None:
    """The lock of row 33, a steward that is missing, and the target that a job waits for."""
    with lab.database.begin() as connection:
        job = update(archive_jobs).where(archive_jobs.c.id == lab.order.job_id)
        connection.execute(job.values(target="box", status=JobStatus.PARKED))
    kill(mounted_pid(lab.base))
    (lab.archive.data_dir / "deploy.lock").touch()
    lab.archive.run("steward", "run", "storage")
    shown = lab.archive.run("status", codes=(1, 2))
    assert "target   box: stale since" in shown
    assert "old: nothing is repaired automatically" in shown
    assert "steward  none is running" in shown
    told = lab.archive.run("why", "job", str(lab.order.job_id))
    assert "spends no retry, until that is over: target box is stale" in told


def mounts_of_the_lab(lab: Lab) -> list[Mount]:
    """The mounts below its directory: others on this machine come and go."""
    ours = f"{lab.archive.data_dir.parent}/"
    return [each for each in read_mounts() if each.point.startswith(ours)]


def left_of(lab: Lab) -> tuple[object, ...]:
    """Its mounts, the server's files, and what is in its data directory."""
    files = files_below(lab.server.files)
    return (mounts_of_the_lab(lab), files, sorted(lab.archive.data_dir.iterdir()))


def test_a_dry_run_prints_exactly_the_steps_that_are_then_done(lab: Lab) -> None:
    lab.tier("apply")
    kill(mounted_pid(lab.base))
    wait_for(lambda: look(lab.base).verdict is Verdict.STALE, what="the mount is stale")
    table = mounts_of_the_lab(lab)
    foretold = lab.mend("--dry-run").splitlines()
    assert mounts_of_the_lab(lab) == table
    assert [line.split(":")[0] for line in foretold] == [
        "box is stale",
        f"  1. unmount {lab.path}",
        f"  2. unmount {lab.base.root}",
        f"  3. mount {lab.base.root}",
        f"  4. bind {lab.path}",
    ]
    assert lab.mend().splitlines() == foretold
    done = lab.events("recovery_done")[-1]
    steps = [line.split(":")[0].replace(" all", "") for line in done["evidence"]["steps"]]
    assert steps == [line.split(":")[0].partition(". ")[2] for line in foretold[1:]]
    assert look(lab.base).healthy
    assert lab.mend() == "Nothing to do.\n"


def test_a_dry_run_says_what_hinders_it(lab: Lab) -> None:
    (lab.archive.data_dir / "deploy.lock").touch()
    kill(mounted_pid(lab.base))
    assert lab.mend("--dry-run").splitlines()[-1] == "  but not now: a deploy lock is set"
    lab.mend()
    assert lab.events("recovery_refused")[-1]["why"] == "a deploy lock is set"
    os.utime(lab.archive.data_dir / "deploy.lock", (0, 0))
    lab.mend()
    assert look(lab.base).healthy


def test_a_drill_goes_well_and_leaves_nothing_behind(lab: Lab) -> None:
    before = left_of(lab)
    pid = mounted_pid(lab.base)
    drilled = lab.archive.ask("storage", "drill", "box")
    assert drilled["ok"], drilled
    assert [each["what"] for each in drilled["steps"]] == [
        "mount",
        "look",
        "end process",
        "look",
        "unmount all",
        "mount",
        "look",
        "unmount all",
    ]
    scratch = drilled["steps"][0]["path"]
    assert Path(scratch).parent == lab.archive.data_dir
    rehearsed = TargetDefinition("drill", lab.base.kind, scratch, filesystem="fuse.sshfs")
    wait_for(lambda: mount_process(read_mounts(), rehearsed) is None, what="its sshfs has ended")
    assert left_of(lab) == before
    assert mounted_pid(lab.base) == pid, "the target's own mount was not touched"


def test_a_drill_that_fails_says_where_and_leaves_nothing_behind(lab: Lab) -> None:
    (lab.server.directory / "authorized_keys").unlink()
    said = lab.run("storage", "drill", "box", codes=(1,))
    assert "The drill of box FAILED." in said
    assert list(lab.archive.data_dir.glob("drill-*")) == []
    assert "has no mount_command to rehearse with" in lab.refused("storage", "drill", "spool")


def test_evidence_is_listed_shown_and_compared(lab: Lab) -> None:
    kill(mounted_pid(lab.base))
    wait_for(lambda: look(lab.base).verdict is Verdict.STALE, what="the mount is stale")
    lab.mend()
    bundles = sorted(each.name for each in (lab.archive.data_dir / "evidence").iterdir())
    listed = lab.run("storage", "evidence", "list")
    assert all(each in listed for each in bundles)
    before = [each for each in bundles if each.endswith("-before.json")][-1]
    after = [each for each in bundles if each.endswith("-after.json")][-1]
    assert lab.run("storage", "evidence", "show", before).startswith("mount_process_gone: ")
    lines = lab.run("storage", "evidence", "diff", before, after).splitlines()
    assert "verdict: stale -> healthy" in lines
    assert "inspection.errno: 107 -> nothing" in lines
    assert f"process.pid: nothing -> {mounted_pid(lab.base)}" in lines
    assert lab.run("storage", "evidence", "diff", after, after) == "Nothing changed.\n"
    assert "There is no bundle" in lab.refused("storage", "evidence", "diff", before, "none.json")
    (lab.archive.data_dir / "evidence" / "torn.json").write_text("[1")
    assert "cannot be read" in lab.refused("storage", "evidence", "show", "torn.json")


def test_a_bad_targets_file_is_named_with_its_line(lab: Lab) -> None:
    file = lab.archive.data_dir / "targets.toml"
    number = len(file.read_text().splitlines())
    with file.open("a") as stream:
        stream.write('\n[[target]]\nname = "cloud"\nkind = "tape"\nroot = "s3://x"\n')
    for words in (("steward", "run", "storage"), ("tier", "plan", "--target", "box")):
        said = lab.refused(*words)
        assert f"The targets file {file}, line {number + 4} cannot be used: kind:" in said


def test_what_is_no_reconciler_and_no_target_is_said(lab: Lab) -> None:
    assert "There is no reconciler 'sleep'" in lab.refused("steward", "run", "sleep")
    words = ("steward", "run", "storage", "--target", "bax")
    assert "There is no target 'bax'" in lab.refused(*words)
    words = ("steward", "run", "leases", "--target", "box")
    assert "The reconciler leases has no targets." in lab.refused(*words)


# -- tier ------------------------------------------------------------------------------------


def test_tiering_moves_what_is_there_verified_and_survives_a_reboot(lab: Lab) -> None:
    bytes_of = with_warcs(lab)
    listed = [(each.name, each.sha256, each.records, each.sealed_at) for each in manifest(lab.path)]
    plan = lab.tier("plan").splitlines()
    assert [line.split(" to ")[0] for line in plan[1:3]] == [
        f"  {number}. move warcs/{name}" for number, name in enumerate(sorted(bytes_of), 1)
    ]
    assert files_below(lab.server.files / "lab") == [], "a plan changes nothing"

    units = lab.archive.data_dir / "units"
    said = lab.tier("apply", "--units", str(units), "--fstab")
    for name, content in bytes_of.items():
        assert f"moved warcs/{name}" in said
        assert (lab.on_server / "warcs" / name).read_bytes() == content
        assert (lab.path / "warcs" / name).read_bytes() == content
    again = [(each.name, each.sha256, each.records, each.sealed_at) for each in manifest(lab.path)]
    assert again == listed, "the manifest says what it said"
    facts = json.loads((lab.on_server / "warcs" / "job.json").read_text())
    assert (facts["job"], facts["source"]) == (lab.order.job_id, "lab")
    state = lab.archive.data_dir / "state" / f"job-{lab.order.job_id}"
    assert files_below(state) == ["cdx/a.cdxj", "frontier.sqlite"]
    assert len(list(units.glob("*.mount"))) == 1
    assert f" {lab.path} none bind,nofail," in said
    assert lab.tier("plan") == f"job {lab.order.job_id}: nothing to do\n"
    assert "nothing to do" in lab.tier("apply")
    (hot,) = lab.archive.ask("tier", "status")
    assert (hot["root"], hot["parent"]) == (str(lab.path), "box")
    held, order = claim_index(lab.database, lab.order)
    with lab.database.begin() as connection:
        sealed = list(manifest(Path(order.output_dir)))
        added = note_segments(
            lab.database, connection, order.job_id, held.fence, sealed, actor=ACTOR
        )
    assert added == 2, "it can be indexed from there"
    lab.set(status=JobStatus.COMPLETED)

    mounts.unmount(lab.path)  # a reboot
    assert lab.path.exists()
    assert list(lab.path.iterdir()) == []
    assert f"bind {lab.on_server.name}" not in lab.tier("plan")
    assert "1. bind " in lab.tier("plan")
    assert "bound " in lab.tier("apply")
    assert files_below(lab.path / "warcs") == sorted([*bytes_of, "job.json", "manifest.jsonl"])


def test_tiering_that_was_interrupted_is_finished_by_the_next(lab: Lab) -> None:
    bytes_of = with_warcs(lab)
    first, second = sorted(bytes_of)
    (lab.on_server / "warcs").mkdir(parents=True)
    (lab.on_server / "warcs" / first).write_bytes(bytes_of[first])
    (lab.on_server / "warcs" / f".{second}.tier.part").write_bytes(bytes_of[second][:100])
    lab.tier("apply")
    for name, content in bytes_of.items():
        assert (lab.on_server / "warcs" / name).read_bytes() == content
    assert lab.archive.job()["not_before"] is None, "it may be claimed again"


def test_tiering_refuses_what_runs_and_what_is_not_sealed(lab: Lab) -> None:
    bytes_of = with_warcs(lab)
    lab.set(status=JobStatus.RUNNING)
    assert "it runs: pause it first" in lab.tier("apply")
    lab.set(status=JobStatus.PAUSED)
    (lab.path / "warcs" / "x.warc.gz.open").touch()
    assert "it has files that are not sealed" in lab.tier("apply")
    assert mount_at(read_mounts(), lab.path) is None
    assert {each.name for each in lab.path.glob("warcs/*.gz")} == set(bytes_of)
    assert files_below(lab.server.files / "lab") == []


def test_tiering_removes_nothing_when_a_file_is_not_what_it_was(lab: Lab) -> None:
    first, *_ = sorted(with_warcs(lab))
    damaged = bytearray((lab.path / "warcs" / first).read_bytes())
    damaged[50] ^= 1
    (lab.path / "warcs" / first).write_bytes(damaged)
    said = lab.refused("tier", "apply", "--target", "box", "--job", str(lab.order.job_id))
    assert f"{first} did not get to target 'box'" in said
    assert "SHA-256" in said
    assert (lab.path / "warcs" / first).read_bytes() == damaged
    assert not (lab.on_server / "warcs" / first).exists()
    assert mount_at(read_mounts(), lab.path) is None
    assert lab.archive.job()["not_before"] is None


def test_row_04_tiering_never_writes_below_an_empty_mount_point(lab: Lab) -> None:
    with_warcs(lab)
    before = files_below(lab.path)
    pid = mounted_pid(lab.base)
    mounts.unmount(Path(lab.base.root))
    kill(pid)
    said = lab.refused("tier", "apply", "--target", "box", "--job", str(lab.order.job_id))
    assert "Target 'box' is wrong_mount" in said
    assert list(Path(lab.base.root).iterdir()) == []
    shutil.rmtree(lab.path)  # a job that never ran has nothing to move: it is only bound
    lab.path.mkdir()
    lab.refused("tier", "apply", "--target", "box", "--job", str(lab.order.job_id))
    assert list(Path(lab.base.root).iterdir()) == []
    assert mount_at(read_mounts(), lab.path) is None
    assert before


def test_row_05_tiering_asks_for_the_identity(lab: Lab) -> None:
    with_warcs(lab)
    (lab.server.files / ".healtharchive-target.json").write_text('{"target": "b", "id": "0"}')
    said = lab.refused("tier", "apply", "--target", "box", "--job", str(lab.order.job_id))
    assert "carries the identity 0" in said
    assert files_below(lab.server.files) == [".healtharchive-target.json"]


def test_tiering_needs_a_directory_that_is_declared(lab: Lab) -> None:
    with (lab.archive.data_dir / "targets.toml").open("a") as stream:
        stream.write('\n[[target]]\nname = "cloud"\nkind = "object"\nroot = "s3://x/y"\n')
    assert "Target 'cloud' is no directory" in lab.refused("tier", "plan", "--target", "cloud")
    assert "There is no target 'bax'" in lab.refused("tier", "plan", "--target", "bax")
