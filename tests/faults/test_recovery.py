"""The storage reconciler on real sshfs, turn by turn: what it mends, how, and what it leaves.

Row numbers are those of the fault matrix in the reliability notes. The clock is the test's: waits
of minutes pass at once, while mounts, processes and looks are real.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest
from sqlalchemy import update

from healtharchive.model import schema
from healtharchive.model.journal import Event, read
from healtharchive.model.states import JobStatus, TargetState
from healtharchive.model.tables import archive_jobs
from healtharchive.model.target import TargetDefinition, TargetKind, Verdict
from healtharchive.model.targets import Target, declare_targets, get_target
from healtharchive.steward import mending
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.recovery import Repair
from healtharchive.steward.storage import Storage
from healtharchive.storage import mounting
from healtharchive.storage.identity import FILE_NAME
from healtharchive.storage.mountinfo import Mount, mount_at, read_mounts
from healtharchive.work.stopping import Stop
from tests.lab import mounts
from tests.lab.processes import is_alive, kill, kill_tree, spawn, wait_for
from tests.lab.queue import ACTOR, SetClock, SetDatabase, add_job
from tests.lab.targets import box, look, mounted_pid
from tests.lab.workers import settings_for

HOT = ("hot-1", "hot-2")
ROUND_SECONDS = 5.0
STEPS = 6  # of a dead mount with two hot paths


class Killed(BaseException):
    """What a recovery that is killed ends with; nothing catches it."""


@dataclass
class Lab:
    """A mounted box with two hot paths, and a steward's storage to take turns with."""

    directory: Path
    server: mounts.Server
    base: TargetDefinition
    database: SetDatabase
    clock: SetClock
    storage: Storage = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Another process would know what is in the database, and nothing else."""
        means = StewardMeans(
            settings=settings_for(
                self.directory,
                mount_seconds=8.0,
                recover_first_seconds=10.0,
                recover_max_seconds=600.0,
                recover_per_hour=12,
                park_forget_seconds=600.0,
            ),
            database=self.database,
            clock=self.clock,
            stop=Stop(self.clock),
            actor=ACTOR,
        )
        self.storage = Storage(means)

    def turn(self, name: str = "box", seconds: float = ROUND_SECONDS) -> Repair | None:
        """Time passes, then it is the target's turn."""
        self.clock.advance(seconds)
        return self.storage.turn(name)

    def round(self) -> list[Repair | None]:
        return [self.turn(name) for name in ("box", *HOT)]

    def target(self, name: str = "box") -> Target:
        with self.database.read() as connection:
            return get_target(connection, name)

    def told(self, name: str = "box", *whats: str) -> list[Event]:
        """What the journal says of a target, all or only events of these kinds."""
        with self.database.read() as connection:
            found = read(connection, subject="target", subject_id=name, limit=1000)
        return [each for each in found if not whats or each.what in whats]

    def die(self) -> None:
        """The mount's process is killed; nobody else is."""
        pid = mounted_pid(self.base)
        kill(pid)
        wait_for(lambda: look(self.base).verdict is Verdict.STALE, what="the mount is stale")

    def mount(self) -> Mount:
        at = mount_at(read_mounts(), self.base.root)
        assert at is not None
        return at

    def hot_path(self, name: str) -> Path:
        return self.directory / "jobs" / name

    def all_healthy(self) -> bool:
        return all(self.storage.observe(name)[1] is None for name in ("box", *HOT))

    def assert_shown(self) -> None:
        """What is written by a hot path lies on the server."""
        for name in HOT:
            (self.hot_path(name) / "proof").write_text(name)
            assert (self.server.files / "hc" / name / "proof").read_text() == name


@contextmanager
def lab_in(directory: Path) -> Iterator[Lab]:
    with ExitStack() as undo:
        server = undo.enter_context(mounts.sshd())
        base = undo.enter_context(box(server, directory / "box"))
        for name in HOT:
            undo.callback(mounts.unmount, directory / "jobs" / name)
        clock = SetClock()
        database = SetDatabase(f"sqlite:///{directory / 'archive.sqlite'}", clock)
        undo.callback(database.dispose)
        schema.upgrade(database)
        (directory / "targets.toml").write_text(
            f'[[target]]\nname = "box"\nkind = "mount"\nroot = "{base.root}"\n'
            f"mount_command = {json.dumps(base.mount_command)}\n"
            f'filesystem = "{base.filesystem}"\nsource = "{base.source}"\n'
            f'server = "{base.server}"\n'
        )
        lab = Lab(directory, server, base, database, clock)
        lab.storage.declare()
        hot = [
            TargetDefinition(
                name, TargetKind.BIND, str(lab.hot_path(name)), parent="box", backing=f"hc/{name}"
            )
            for name in HOT
        ]
        with database.begin() as connection:
            declare_targets(database, connection, hot, actor=ACTOR, only_add=True)
        for name in ("box", *HOT):
            for _ in range(8):
                if lab.turn(name) is None and lab.target(name).state is TargetState.CLOSED:
                    break
            assert lab.target(name).verdict is Verdict.HEALTHY, lab.target(name).last_error
        clock.advance(3600.0)
        for name in ("box", *HOT):  # an hour later all is well: what came before is forgotten
            assert lab.turn(name) is None
        yield lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with lab_in(tmp_path) as made:
        yield made


def steps_done(event: Event) -> list[str]:
    """The steps of a recovery as they were done, without their outcome."""
    return [line.partition(":")[0] for line in event.evidence["steps"]]


# -- what is mended --------------------------------------------------------------------------


def test_row_01_a_dead_mount_and_its_hot_paths_are_mended_in_one_turn(lab: Lab) -> None:
    before = len(lab.told())
    lab.die()
    repair = lab.turn()
    assert repair is not None
    assert [f"{each.what} {Path(each.subject).name}" for each in repair.steps] == [
        "unmount hot-1",
        "unmount hot-2",
        "unmount box",
        "mount box",
        "bind hot-1",
        "bind hot-2",
    ]
    lab.assert_shown()
    assert [lab.turn(name) for name in HOT] == [None, None]
    events = lab.told()[before:]
    assert [each.what for each in events] == ["trip", "recovery_began", "recovery_done"]
    assert events[1].evidence["cause"] == "mount_process_gone"
    assert events[1].evidence["steps"] == [each.sentence for each in repair.steps]
    bundles = sorted(each.name for each in (lab.directory / "evidence").glob("box-*"))
    assert bundles[-2].removesuffix("-after.json") == bundles[-1].removesuffix("-before.json")
    for _ in range(4):
        assert lab.turn() is None
    assert lab.target().state is TargetState.CLOSED


def test_row_03_only_the_binds_left_behind_are_bound_again(lab: Lab) -> None:
    lab.die()
    mounts.unmount(Path(lab.base.root))
    assert mounting.mount(lab.base, 15.0).ok
    session = lab.mount()
    assert lab.turn() is None
    applied = lab.target().last_apply_at
    for name in HOT:
        lab.turn(name)  # it trips, and its target is looked at before anything else
        assert lab.turn() is None
        lab.turn(name)
        assert [each.what for each in lab.told(name)][-3:] == [
            "trip",
            "recovery_began",
            "recovery_done",
        ]
        done = lab.told(name, "recovery_done")[-1]
        root = lab.hot_path(name)
        assert steps_done(done) == [f"unmount all {root}", f"bind {root}"]
    lab.assert_shown()
    assert lab.mount() == session, "the mount itself is well: nobody touches it"
    assert lab.target().last_apply_at == applied


def test_row_03_binds_of_a_mount_that_ended_by_itself_are_mended_in_one_turn(lab: Lab) -> None:
    lab.die()
    mounts.unmount(Path(lab.base.root))
    repair = lab.turn()
    assert repair is not None
    assert repair.verdict is Verdict.WRONG_MOUNT
    assert lab.told()[-1].what == "recovery_done", lab.told()[-1].why
    assert lab.all_healthy()
    lab.assert_shown()


def test_row_06_a_mount_that_hangs_is_ended_and_mended(lab: Lab) -> None:
    pid = mounted_pid(lab.base)
    kill(pid, signal.SIGSTOP)
    repair = lab.turn()
    assert repair is not None
    assert [each.what for each in repair.steps][2:5] == ["abort", "end_process", "unmount"]
    assert lab.all_healthy()
    lab.assert_shown()
    assert not is_alive(pid), "it may be a zombie where nobody reaps orphans"


def test_a_recovery_killed_after_any_step_is_finished_by_the_next_turns(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, taken = mending._do, list[int]()

    def killed_after(number: int) -> None:
        done = 0

        def do(*arguments: object) -> object:
            nonlocal done
            step = real(*arguments)  # type: ignore[arg-type]
            done += 1
            if done == number:
                raise Killed
            return step

        monkeypatch.setattr(mending, "_do", do)

    for number in range(1, STEPS + 1):
        lab.die()
        killed_after(number)
        with pytest.raises(Killed):
            lab.turn()
        monkeypatch.setattr(mending, "_do", real)
        lab.restart()
        rounds = 0
        while not lab.all_healthy():
            lab.clock.advance(30.0)  # the wait after a repair that did not help
            lab.round()
            rounds += 1
            assert rounds <= 2, f"killed after step {number}: {lab.told()[-1].why}"
        lab.assert_shown()
        assert [m.point for m in read_mounts() if m.point == lab.base.root] == [lab.base.root]
        taken.append(rounds)
        for _ in range(40):
            lab.round()
            if all(lab.target(name).state is TargetState.CLOSED for name in ("box", *HOT)):
                break
        lab.clock.advance(3600.0)
        lab.round()
    print("rounds needed after a kill behind step 1 to 6:", taken)


# -- what is left alone ----------------------------------------------------------------------


def test_row_05_a_mount_with_another_identity_is_quarantined(lab: Lab) -> None:
    mark = lab.server.files / FILE_NAME
    ours = mark.read_text()
    mark.write_text('{"target": "somebody", "id": "0123"}\n')
    listing, session = sorted(lab.server.files.rglob("*")), lab.mount()
    for _ in range(8):
        repair = lab.turn(seconds=20.0)
        assert repair is not None
        assert (repair.steps, repair.verdict) == ((), Verdict.WRONG_MOUNT)
    assert sorted(lab.server.files.rglob("*")) == listing, "nothing was written to it"
    assert lab.mount() == session, "nothing was mounted over it"
    assert lab.told("box", "recovery_began", "recovery_failed")[1:] == []
    (held,) = lab.told("box", "held")
    assert "carries the identity 0123" in held.why
    assert held.evidence["hold"] == repair.hold
    mark.write_text(ours)
    for _ in range(4):
        lab.turn()
    assert lab.target().state is TargetState.CLOSED


def test_row_04_a_plain_local_directory_is_never_written_to(lab: Lab) -> None:
    lab.die()
    for path in (*(lab.hot_path(name) for name in HOT), Path(lab.base.root)):
        mounts.unmount(path)
    places = [Path(lab.base.root), *(lab.hot_path(name) for name in HOT)]
    for place in places:  # what a crawl left there before anybody saw it
        (place / "warcs").mkdir(parents=True)
        (place / "warcs" / "stray.warc.gz").write_bytes(b"stray")
    for _ in range(3):
        lab.clock.advance(60.0)
        lab.round()
    for place in places:
        assert [str(each.relative_to(place)) for each in place.rglob("*")] == [
            "warcs",
            "warcs/stray.warc.gz",
        ]
        assert mount_at(read_mounts(), place) is None
    failed = lab.told("box", "recovery_failed")[-1]
    assert "has files of its own, which a mount would hide" in failed.why
    for place in places:
        (place / "warcs" / "stray.warc.gz").unlink()
    lab.clock.advance(600.0)
    lab.round()
    assert lab.all_healthy(), "empty directories hide nothing"
    lab.assert_shown()


def test_row_08_what_cannot_be_repaired_is_tried_slowly_and_told_once(lab: Lab) -> None:
    keys = lab.server.directory / "authorized_keys"
    keys.rename(keys.with_name("elsewhere"))
    lab.die()
    began = lab.clock.monotonic()
    tried = list[float]()
    while lab.clock.monotonic() < began + 320.0:
        seen = len(lab.told("box", "recovery_failed"))
        lab.turn(seconds=10.0)
        if len(lab.told("box", "recovery_failed")) > seen:
            tried.append(lab.clock.monotonic() - began - 10.0)
    assert tried == [0, 10, 30, 70, 150, 310], lab.told()[-1].why
    assert len(lab.told("box", "recovery_refused")) <= len(tried), "one refusal, not one a turn"
    keys.with_name("elsewhere").rename(keys)
    lab.turn(seconds=600.0)
    assert lab.all_healthy()
    for _ in range(20):
        lab.turn()
    assert lab.target().state is TargetState.CLOSED
    assert lab.told("box", "held", "alert") == [], "it was tried: nobody held it"


def test_a_server_that_is_away_costs_no_try_and_is_used_as_soon_as_it_is_back(lab: Lab) -> None:
    keys = lab.server.directory / "authorized_keys"
    keys.rename(keys.with_name("elsewhere"))
    lab.die()
    for _ in range(4):
        lab.turn(seconds=60.0)
    failed = len(lab.told("box", "recovery_failed"))
    assert failed == 4
    keys.with_name("elsewhere").rename(keys)
    lab.server.hang()
    try:
        for _ in range(3):
            repair = lab.turn(seconds=1.0)
            assert repair is not None
            assert repair.hold == f"its server {lab.base.server} does not answer"
    finally:
        lab.server.resume()
    assert len(lab.told("box", "recovery_failed")) == failed
    lab.turn(seconds=1.0)
    assert lab.told()[-1].what == "recovery_done", "it does not wait for the last try's time"
    assert lab.all_healthy()


def test_row_33_a_deploy_lock_holds_and_a_stale_one_does_not(lab: Lab) -> None:
    lock = lab.storage.means.settings.deploy_lock
    lock.touch()
    stamp = lab.clock.now().timestamp()
    os.utime(lock, (stamp, stamp))
    lab.die()
    for _ in range(5):
        lab.turn()
    (refusal,) = lab.told("box", "recovery_refused")
    assert refusal.why == "a deploy lock is set"
    assert refusal.evidence["steps"][0].startswith(f"unmount {lab.hot_path('hot-1')}")
    assert lab.target().last_error is not None
    lab.clock.advance(3600.0)
    lab.turn()
    assert lab.told()[-1].what == "recovery_done"
    assert lab.all_healthy()


def test_a_writer_is_waited_for_until_it_hangs_like_its_target(lab: Lab) -> None:
    job_id = add_job(lab.database, lab.directory / "jobs")
    with lab.database.begin() as connection:
        connection.execute(
            update(archive_jobs)
            .where(archive_jobs.c.id == job_id)
            .values(status=JobStatus.RUNNING, target="box", hot_path="hot-1")
        )
    lab.die()
    for _ in range(2):
        lab.turn(seconds=4.0)
    (refusal,) = lab.told("box", "recovery_refused")
    assert refusal.why == f"it is still used by job {job_id}"
    assert lab.told("box", "recovery_began")[1:] == []
    lab.turn(seconds=9.0)
    assert lab.told()[-1].what == "recovery_done"
    assert lab.all_healthy()


def never(*_: object) -> NoReturn:
    raise AssertionError("a dry run does nothing")


def mounts_of(lab: Lab) -> list[Mount]:
    """The lab's own: other tests of this machine mount meanwhile."""
    return [each for each in read_mounts() if each.point.startswith(f"{lab.directory}/")]


def test_a_dry_run_mounts_and_unmounts_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.die()
    monkeypatch.setattr(mending, "_do", never)
    table = mounts_of(lab)
    seen, repair = lab.storage.observe("box")
    assert repair is not None
    assert len(repair.steps) == STEPS
    assert lab.storage.objection(seen, repair) == ""
    assert mounts_of(lab) == table
    assert lab.target().last_apply_at is None or lab.told("box", "recovery_began")[1:] == []


def test_a_mount_that_hangs_opens_its_breaker_before_a_look_could_be_sure(lab: Lab) -> None:
    before = len(lab.told("box", "trip"))  # that it was not mounted yet
    lab.server.hang()
    asking = spawn(["ls", f"{lab.base.root}/never-seen-before"])

    def felt() -> bool:
        lab.clock.advance(0.25)
        lab.storage.feel(lab.target())
        return lab.target().state is TargetState.OPEN

    try:
        wait_for(felt, what="the silence is felt", every=0.25)
    finally:
        lab.server.resume()
        kill_tree(asking)
    trip = max(lab.told("box", "trip"), key=lambda event: event.id)
    assert lab.target().verdict is Verdict.HUNG
    assert trip.evidence["step"] == "pulse"
    assert "its server has said nothing for" in trip.why
    lab.storage.feel(lab.target())
    assert len(lab.told("box", "trip")) == before + 1
