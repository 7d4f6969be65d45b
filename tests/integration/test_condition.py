"""The condition of an archive as it is read from the database, on both engines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from healtharchive.model.actions import REFUSED, note_action
from healtharchive.model.attempts import Ending, Work
from healtharchive.model.campaigns import create_campaign
from healtharchive.model.copies import CopyState
from healtharchive.model.expiries import Expiry
from healtharchive.model.journal import Actor, record
from healtharchive.model.leases import claim, finish
from healtharchive.model.measures import note_measures
from healtharchive.model.operator import pause_job, reindex_job
from healtharchive.model.progress_samples import take_samples
from healtharchive.model.reader_reports import ReportKind, Written, add_report
from healtharchive.model.rounds import note_round
from healtharchive.model.services import (
    HoldKind,
    Service,
    hold,
    note_beat,
    note_start,
    note_stop,
)
from healtharchive.model.sources import upsert_source
from healtharchive.model.standing import Standing, standing
from healtharchive.model.states import JobEvent, JobStatus, SegmentState, TargetState
from healtharchive.model.tables import archive_jobs, captures, copies, segments, targets
from healtharchive.model.tables_operation import alerts, tokens
from healtharchive.model.target import SPOOL, TargetDefinition, TargetKind, Verdict
from healtharchive.model.targets import declare_targets, get_target
from healtharchive.steward.condition import Condition, TargetNow
from healtharchive.steward.gates import GatePolicy, Record, refusal
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.observing import look
from healtharchive.steward.recovery import Seen, plan
from healtharchive.storage.inspection import Inspection
from healtharchive.work.holder import this_holder
from healtharchive.work.stopping import Stop
from tests.lab.queue import ACTOR, SetClock, SetDatabase, add_job, source_named, terms_of
from tests.lab.workers import settings_for

DISK = TargetDefinition(SPOOL, TargetKind.LOCAL, "/jobs")
BOX = TargetDefinition("box", TargetKind.MOUNT, "/mnt/box", mount_command=("false",))
HOT = TargetDefinition("hot", TargetKind.BIND, "/jobs/hot", parent="box", backing="hot")
COLD = TargetDefinition("cold", TargetKind.OBJECT, "sftp://u@h/archive", ship=True)


@dataclass
class Lab:
    """An archive whose clock the test sets."""

    database: SetDatabase
    clock: SetClock
    root: Path

    def look(self, **settings: object) -> Condition:
        values = {"stall_seconds": 1800, **settings}
        return look(self.database, settings_for(self.root, **values), self.clock)

    def target(self, name: str) -> TargetNow:
        (found,) = [each for each in self.look().targets if each.name == name]
        return found

    def job(self, code: str = "lab", **columns: object) -> int:
        job_id = add_job(self.database, self.root, code)
        if columns:
            self.set_job(job_id, **columns)
        return job_id

    def set_job(self, job_id: int, **columns: object) -> None:
        with self.database.begin() as connection:
            where = archive_jobs.c.id == job_id
            connection.execute(update(archive_jobs).where(where).values(**columns))

    def set_target(self, name: str, **columns: object) -> None:
        with self.database.begin() as connection:
            connection.execute(update(targets).where(targets.c.name == name).values(**columns))

    def event(
        self, subject: str, subject_id: str, what: str, why: str = "", **evidence: object
    ) -> None:
        with self.database.begin() as connection:
            record(
                connection,
                at=self.database.now(connection),
                actor=ACTOR,
                subject=subject,
                subject_id=subject_id,
                what=what,
                why=why,
                evidence=evidence,
            )

    def segment(self, job_id: int, name: str, state: SegmentState = SegmentState.SEALED) -> int:
        with self.database.begin() as connection:
            row = insert(segments).values(
                job_id=job_id,
                name=name,
                state=state,
                path=f"/jobs/{name}",
                fence=1,
                size_bytes=1000,
                sha256="0" * 64,
                records=1,
                sealed_at=self.clock.now(),
                unreadable_records=0,
            )
            key = connection.execute(row).inserted_primary_key
            assert key is not None
            return int(key[0])

    def capture(self, job_id: int, segment_id: int, offset: int) -> int:
        with self.database.begin() as connection:
            key = connection.execute(
                insert(captures).values(
                    segment_id=segment_id,
                    job_id=job_id,
                    source_id=select(archive_jobs.c.source_id)
                    .where(archive_jobs.c.id == job_id)
                    .scalar_subquery(),
                    record_offset=offset,
                    record_length=100,
                    record_type="response",
                    url="https://a.example/",
                    url_key="example,a)/",
                    captured_at=self.clock.now(),
                )
            ).inserted_primary_key
            assert key is not None
            return int(key[0])

    def copy(self, segment_id: int, target: str, state: CopyState) -> None:
        with self.database.begin() as connection:
            connection.execute(
                insert(copies).values(
                    segment_id=segment_id,
                    target=target,
                    name="a",
                    state=state,
                    verified_at=self.clock.now(),
                )
            )


@pytest.fixture
def lab(database_url: str, tmp_path: Path) -> Lab:
    clock = SetClock()
    database = SetDatabase(database_url, clock)
    with database.begin() as connection:
        declare_targets(database, connection, [DISK, BOX, HOT, COLD], actor=ACTOR)
    return Lab(database, clock, tmp_path)


# -- processes -----------------------------------------------------------------------------


def test_a_process_lives_while_its_beat_is_young(lab: Lab) -> None:
    with lab.database.begin() as connection:
        note_start(lab.database, connection, Service.WORKER, "elsewhere:1:2:3", "1", actor=ACTOR)
    lab.clock.advance(60.0)
    assert [each.holder for each in lab.look().services["worker"].living] == ["elsewhere:1:2:3"]
    lab.clock.advance(1.0)
    worker = lab.look().services["worker"]
    assert (worker.living, [each.holder for each in worker.silent]) == ((), ["elsewhere:1:2:3"])
    # A slow heart is given four beats.
    assert lab.look(heartbeat_seconds=20, lease_seconds=60).services["worker"].living
    with lab.database.begin() as connection:
        note_beat(lab.database, connection, Service.WORKER, "elsewhere:1:2:3")
    assert lab.look().services["worker"].living


def test_a_process_of_this_machine_that_is_gone_is_silent_whatever_its_beat_says(lab: Lab) -> None:
    mine = this_holder()
    gone = ":".join([*mine.split(":")[:-1], "1"])  # this pid, of a process before this one
    with lab.database.begin() as connection:
        for holder in (mine, gone):
            note_start(lab.database, connection, Service.STEWARD, holder, "1", actor=ACTOR)
    steward = lab.look().services["steward"]
    assert [each.holder for each in steward.living] == [mine]
    assert [each.holder for each in steward.silent] == [gone]


def test_why_a_service_stopped_and_what_holds_it_are_known(lab: Lab) -> None:
    with lab.database.begin() as connection:
        note_start(lab.database, connection, Service.WORKER, "w1", "1", actor=ACTOR)
    lab.event("worker", "w1", "stop_signal", "SIGTERM from kill (pid 9, root)")
    with lab.database.begin() as connection:
        note_stop(lab.database, connection, Service.WORKER, "w1", "SIGTERM")
        hold(
            lab.database,
            connection,
            Service.WORKER,
            HoldKind.PAUSE,
            who="ada",
            why="the disk is changed",
            actor=ACTOR,
        )
    worker = lab.look().services["worker"]
    assert worker.last_stopped is not None
    assert worker.stopped_by == "SIGTERM from kill (pid 9, root)"
    assert [each.who for each in worker.holds] == ["ada"]


def test_a_run_of_one_job_is_no_worker(lab: Lab) -> None:
    with lab.database.begin() as connection:
        note_start(lab.database, connection, "run", "r1", "1", actor=ACTOR)
    found = lab.look()
    assert found.services["worker"].living == ()
    assert [each.holder for each in found.runs] == ["r1"]


# -- jobs ----------------------------------------------------------------------------------


def started(lab: Lab) -> int:
    job_id = lab.job()
    with lab.database.begin() as connection:
        held = claim(lab.database, connection, Work.CRAWL, terms_of("w1"))
    assert held is not None
    return job_id


def test_the_rate_of_a_crawl_is_over_its_samples_of_the_last_ten_minutes(lab: Lab) -> None:
    job_id = started(lab)
    # Fast at first; in the last ten minutes 30 pages and 6 errors a minute.
    for minute in range(21):
        done = 5000 if minute == 0 else 10_000 + 30 * minute
        lab.set_job(job_id, urls_done=done, urls_failed=6 * minute, urls_queued=720)
        with lab.database.begin() as connection:
            take_samples(lab.database, connection)
        lab.clock.advance(60.0)
    (found,) = lab.look().running
    assert found.pages_per_minute == pytest.approx(30.0)
    assert found.errors_per_minute == pytest.approx(6.0)
    assert found.eta_seconds == pytest.approx(720 / 36 * 60)
    assert (found.worker, found.unit, found.work) == ("w1", ACTOR.unit, "crawl")


def test_samples_of_an_earlier_attempt_say_nothing_about_this_one(lab: Lab) -> None:
    job_id = started(lab)
    for done in (0, 100):
        lab.set_job(job_id, urls_done=done)
        with lab.database.begin() as connection:
            take_samples(lab.database, connection)
        lab.clock.advance(60.0)
    assert lab.look().running[0].pages_per_minute == pytest.approx(100.0)
    lab.set_job(job_id, fence=2)
    assert lab.look().running[0].pages_per_minute is None


def test_a_crawl_is_stalled_by_its_sources_own_rule(lab: Lab) -> None:
    job_id = started(lab)
    assert lab.look(stall_seconds=5000).running[0].stall_seconds == 5000.0
    patient = source_named("lab")
    patient = replace(patient, stall=replace(patient.stall, seconds=7200.0))
    with lab.database.begin() as connection:
        upsert_source(lab.database, connection, patient, actor=ACTOR)
    (found,) = lab.look().running
    assert (found.job_id, found.stall_seconds) == (job_id, 7200.0)


def park(lab: Lab, reason: str = "stale mount (errno 107)") -> None:
    with lab.database.begin() as connection:
        held = claim(lab.database, connection, Work.CRAWL, terms_of("w1"))
        assert held is not None
        columns = {"parked_reason": reason, "not_before": lab.clock.now() + timedelta(minutes=5)}
        ending = Ending(JobEvent.PARK, "infra", "target", reason, 107, columns)
        finish(lab.database, connection, held, ending, actor=ACTOR)


def test_a_job_waits_since_it_got_anything_done_however_often_it_was_tried(lab: Lab) -> None:
    begun = lab.clock.now()
    lab.job()
    for _ in range(3):
        park(lab)
        lab.clock.advance(600.0)
    (found,) = lab.look().waiting
    assert (found.since, found.status) == (begun, "parked")
    assert (found.why, found.next_at) == (
        "stale mount (errno 107)",
        lab.clock.now() - timedelta(minutes=5),
    )
    lab.set_job(found.job_id, progress_at=lab.clock.now())
    assert lab.look().waiting[0].since == lab.clock.now()


def test_a_job_that_waits_for_a_target_says_which(lab: Lab) -> None:
    lab.job(target="box", hot_path="hot")
    (well,) = lab.look().waiting
    assert (well.why, well.target, well.targets) == ("", "", ("box", "hot"))
    lab.set_target("box", state=TargetState.OPEN, verdict=Verdict.STALE, last_error="errno 107")
    (found,) = lab.look().waiting
    assert (found.why, found.target) == ("target box is stale: errno 107", "box")


def test_jobs_that_failed_are_told_apart_from_those_that_wait(lab: Lab) -> None:
    lab.job("a", status=JobStatus.FAILED, last_error="no seed leads anywhere.")
    lab.job("b", status=JobStatus.INDEX_FAILED)
    lab.job("c")
    found = lab.look()
    assert [each.source for each in found.failed] == ["a", "b"]
    assert found.failed[0].why == "no seed leads anywhere"
    assert [each.source for each in found.waiting] == ["c"]
    assert found.jobs == {"failed": 1, "index_failed": 1, "queued": 1}


def test_an_old_job_that_is_indexed_anew_waits_only_since_then(lab: Lab) -> None:
    finished = lab.clock.now()
    job_id = lab.job(status=JobStatus.COMPLETED, finished_at=finished)
    lab.clock.advance(7200.0)
    assert lab.look().unindexed_since == finished
    lab.set_job(job_id, status=JobStatus.INDEXED, indexed_at=lab.clock.now(), captures_written=9)
    assert lab.look().unindexed_since is None
    lab.clock.advance(86_400.0)
    with lab.database.begin() as connection:
        reindex_job(lab.database, connection, job_id, actor=ACTOR)
    assert lab.look().unindexed_since == lab.clock.now()


def test_a_job_waits_to_be_compared_also_when_it_has_grown_since_it_was(lab: Lab) -> None:
    indexed = lab.clock.now()
    job_id = lab.job(status=JobStatus.INDEXED, indexed_at=indexed, captures_written=2)
    assert lab.look().uncompared_since is None
    segment_id = lab.segment(job_id, "1.warc.gz")
    first = lab.capture(job_id, segment_id, 0)
    assert lab.look().uncompared_since == indexed
    lab.set_job(job_id, compared_upto=first)
    assert lab.look().uncompared_since is None
    lab.clock.advance(3600.0)
    lab.set_job(job_id, indexed_at=lab.clock.now())
    second = lab.capture(job_id, segment_id, 100)
    assert lab.look().uncompared_since == lab.clock.now()
    lab.set_job(job_id, compared_upto=second)
    assert lab.look().uncompared_since is None


def test_a_worker_has_nothing_to_do_for_jobs_that_wait_for_a_target_or_a_time(lab: Lab) -> None:
    def for_workers() -> int:
        assert standing_of(lab).jobs.for_workers == lab.look().for_workers
        return lab.look().for_workers

    local, on_box = lab.job("local"), lab.job("far", target="box")
    assert for_workers() == 2
    lab.set_target("box", state=TargetState.OPEN, verdict=Verdict.STALE)
    assert for_workers() == 1
    lab.set_job(on_box, status=JobStatus.RUNNING)  # of a worker that is gone
    assert for_workers() == 1
    lab.set_target("box", state=TargetState.HALF_OPEN)
    assert for_workers() == 2
    lab.set_job(local, not_before=lab.clock.now() + timedelta(minutes=5))
    assert for_workers() == 1
    lab.clock.advance(300.0)
    assert for_workers() == 2
    # A full disk stops crawls and no indexing.
    lab.set_target(SPOOL, state=TargetState.OPEN, verdict=Verdict.FULL)
    assert for_workers() == 0
    lab.set_job(on_box, status=JobStatus.COMPLETED)
    assert for_workers() == 1
    lab.set_job(on_box, status=JobStatus.PAUSED)
    assert for_workers() == 0


def standing_of(lab: Lab) -> Standing:
    with lab.database.read() as connection:
        return standing(lab.database, connection, 60.0)


# -- campaigns -----------------------------------------------------------------------------


def test_a_campaign_is_settled_when_nothing_happens_to_its_jobs_by_itself(lab: Lab) -> None:
    with lab.database.begin() as connection:
        upsert_source(lab.database, connection, source_named("lab"), actor=ACTOR)
        _, (job,) = create_campaign(
            lab.database,
            connection,
            "annual",
            2026,
            jobs_root="/jobs",
            actor=ACTOR,
            sources=["lab"],
        )
    (found,) = lab.look().campaigns
    assert (found.name, found.year, found.ready, found.settled) == (
        "annual-2026",
        2026,
        False,
        False,
    )
    with lab.database.begin() as connection:
        pause_job(lab.database, connection, job.id, actor=ACTOR)
    (found,) = lab.look().campaigns
    assert (found.settled, found.reasons) == (True, (f"job {job.id} (lab) is paused",))
    lab.set_job(job.id, status=JobStatus.INDEXED)
    assert lab.look().campaigns[0].ready


# -- targets and copies --------------------------------------------------------------------


def test_what_waits_to_be_shipped_is_counted_with_the_oldest(lab: Lab) -> None:
    job_id = lab.job()
    first = lab.clock.now()
    one = lab.segment(job_id, "1.warc.gz")
    lab.clock.advance(60.0)
    lab.segment(job_id, "2.warc.gz")
    found = lab.target("cold")
    assert (found.unshipped, found.unshipped_bytes, found.unshipped_since) == (2, 2000, first)
    lab.copy(one, "cold", CopyState.VERIFIED)
    found = lab.target("cold")
    assert found.unshipped_since == first + timedelta(seconds=60)
    assert found.unread_since == lab.clock.now()
    assert lab.target("box").unshipped == 0


def test_a_segment_is_lost_when_no_good_copy_is_left_and_its_own_file_is_gone(lab: Lab) -> None:
    job_id = lab.job()
    kept = lab.segment(job_id, "kept.warc.gz", SegmentState.RELEASED)
    lab.copy(kept, "cold", CopyState.VERIFIED)
    lost = lab.segment(job_id, "lost.warc.gz", SegmentState.RELEASED)
    lab.copy(lost, "cold", CopyState.GONE)
    here = lab.segment(job_id, "here.warc.gz", SegmentState.VERIFIED)
    lab.copy(here, "cold", CopyState.DIFFERS)
    direct = lab.job("direct", target="box")
    burnt = lab.segment(direct, "burnt.warc.gz")
    lab.copy(burnt, "box", CopyState.DIFFERS)
    lab.segment(direct, "unread.warc.gz")
    assert lab.look().lost_segments == ("lost.warc.gz", "burnt.warc.gz")
    assert lab.target("cold").bad_copies == 2
    # Nobody can get at what lies on a target that is not declared any more.
    lab.set_target("cold", declared=False)
    assert "kept.warc.gz" in lab.look().lost_segments


def test_a_repair_is_held_when_time_alone_will_not_help(lab: Lab) -> None:
    assert lab.target("box").held == ""
    lab.set_target("box", state=TargetState.OPEN, verdict=Verdict.STALE)
    assert lab.target("box").held == ""
    lab.set_target("box", verdict=Verdict.READ_ONLY)
    assert lab.target("box").held == "mounting again does not mend 'read_only'"
    lab.set_target("box", verdict=Verdict.WRONG_MOUNT)
    lab.event("target", "box", "held", hold="its server box:22 does not answer")
    assert lab.target("box").held == ""
    lab.event("target", "box", "held", hold="mounting again does not mend 'wrong_mount'")
    assert lab.target("box").held == "mounting again does not mend 'wrong_mount'"
    lab.clock.advance(60.0)
    lab.set_target("box", since=lab.clock.now())  # another trouble: that was said of the last one
    assert lab.target("box").held == ""
    lab.set_target("cold", state=TargetState.OPEN, verdict=Verdict.HUNG)
    assert lab.target("cold").held == ""  # nothing of ours mounts it: it comes back by itself


def test_what_is_said_of_a_held_repair_is_what_the_reconciler_says(lab: Lab) -> None:
    """The words that `observing_storage` knows are those of `recovery` and `gates`."""
    means = StewardMeans(
        settings=settings_for(lab.root),
        database=lab.database,
        clock=lab.clock,
        stop=Stop(lab.clock),
        actor=Actor("t", 1, "lab"),
    )
    with lab.database.read() as connection:
        box = replace(get_target(connection, "box"), state=TargetState.OPEN)
    wrong = Seen(box, Inspection("box", "/mnt/box", Verdict.WRONG_MOUNT), mounted=True)
    repair = plan(wrong)
    assert repair is not None
    lab.set_target("box", state=TargetState.OPEN, verdict=Verdict.WRONG_MOUNT)
    lab.event("target", "box", "held", hold=repair.hold)
    assert lab.target("box").held == repair.hold
    spent = _refused(means.gates, lab.clock.now(), Record(in_last_hour=means.gates.per_hour))
    waits = _refused(
        means.gates, lab.clock.now(), Record(last_apply_at=lab.clock.now(), apply_streak=3)
    )
    for why, held in ((spent, spent), (waits, "")):
        lab.set_target("hot", state=TargetState.OPEN, verdict=Verdict.STALE)
        _refuse(lab, "hot", why)
        assert lab.target("hot").held == held


def _refused(policy: GatePolicy, now: datetime, past: Record) -> str:
    why = refusal(
        verdict=Verdict.STALE,
        open_since=now,
        writers=(),
        record=past,
        deploy_lock_age_seconds=None,
        now=now,
        policy=policy,
    )
    assert why
    return why


def _refuse(lab: Lab, name: str, why: str) -> None:
    with lab.database.begin() as connection:
        note_action(
            connection,
            at=lab.clock.now(),
            subject="target",
            subject_id=name,
            what="recover",
            outcome=REFUSED,
            why=why,
        )


def test_the_disk_is_projected_from_what_was_measured(lab: Lab) -> None:
    assert lab.look().spool is None
    for hour in range(48):
        with lab.database.begin() as connection:
            values = {"spool_used_percent": 40.0 + hour / 12}
            note_measures(lab.database, connection, SPOOL, values, at=lab.clock.now())
        lab.clock.advance(3600.0)
    lab.set_target(SPOOL, evidence={"used_percent": 44.0}, probed_at=lab.clock.now())
    spool = lab.look().spool
    assert spool is not None
    assert (spool.used_percent, spool.seen_at) == (44.0, lab.clock.now())
    assert spool.full_in_days == pytest.approx((92.0 - 44.0) / 2.0, rel=0.05)


# -- what the other reconcilers wrote ------------------------------------------------------


def test_backups_are_read_from_the_journal(lab: Lab) -> None:
    assert lab.look().backup.last_at is None
    made = lab.clock.now()
    lab.event("database", "a.dump", "backup")
    lab.event("database", "a.dump", "restore_test_failed", "captures: 7 rows, not 8.")
    lab.clock.advance(60.0)
    lab.event("database", "b.dump", "backup_failed", "no room is left.")
    backup = lab.look().backup
    assert (backup.last_at, backup.last_error) == (made, "no room is left")
    assert (backup.restored_at, backup.restore_error) == (None, "captures: 7 rows, not 8")
    lab.event("database", "c.dump", "backup")
    lab.event("database", "c.dump", "restore_test")
    backup = lab.look().backup
    assert (backup.last_error, backup.restore_error) == ("", "")
    assert backup.restored_at == lab.clock.now()


def test_only_a_test_of_the_newest_backup_says_how_backups_are(lab: Lab) -> None:
    assert lab.look().backup.unproven_since is None
    first = lab.clock.now()
    for name in ("a.dump", "b.dump"):
        lab.event("database", name, "backup")
        lab.clock.advance(60.0)
    lab.event("database", "a.dump", "restore_test_failed", "an old file is damaged.")
    lab.event("database", "a.dump", "restore_test")
    backup = lab.look().backup
    assert (backup.restored_at, backup.restore_error) == (None, "")
    assert backup.unproven_since == first
    lab.event("database", "b.dump", "restore_test")
    good = lab.clock.now()
    lab.event("database", "a.dump", "restore_test_failed", "an old file is damaged.")
    backup = lab.look().backup
    assert (backup.restored_at, backup.restore_error) == (good, "")
    assert backup.unproven_since == good
    lab.event("database", "b.dump", "restore_test_failed", "the newest is damaged.")
    lab.event("database", "c.dump", "backup")
    lab.event("database", "a.dump", "restore_test")
    assert lab.look().backup.restore_error == "the newest is damaged"


def test_drift_is_what_was_found_and_is_not_over(lab: Lab) -> None:
    lab.event("drift", "env-file", "found", "The env file has changed.")
    lab.event("drift", "schema", "found", "The schema is older.")
    lab.event("drift", "schema", "over")
    found = lab.look()
    assert (found.drift, found.drift_names) == (("The env file has changed.",), ("env-file",))


def test_ends_are_those_of_certificates_seen_lately_and_of_tokens(lab: Lab) -> None:
    lab.event("expiry", "certificate:old.pem", "seen", ends_at="2026-02-01T00:00:00+00:00")
    lab.clock.advance(8 * 86_400.0)
    lab.event("expiry", "certificate:new.pem", "seen", ends_at="2026-03-01T00:00:00+00:00")
    lab.event("expiry", "certificate:new.pem", "unseen", "no answer")
    ends = lab.clock.now() + timedelta(days=1)
    with lab.database.begin() as connection:
        for name, changes in (
            ("ci", {"expires_at": ends}),
            ("gone", {"expires_at": ends, "revoked_at": ends}),
            ("for-ever", {}),
        ):
            row = {"name": name, "digest": name, "scopes": [], "created_at": ends, **changes}
            connection.execute(insert(tokens).values(row))
    found = {(each.kind, each.name) for each in lab.look().expiries}
    assert found == {("token", "ci"), ("certificate", "new.pem")}
    lab.clock.advance(7 * 86_400.0)
    assert [each.name for each in lab.look().expiries if each.kind == "token"] == ["ci"]
    lab.clock.advance(2 * 86_400.0)
    assert [each.name for each in lab.look().expiries if each.kind == "token"] == []


def test_a_certificate_out_of_sight_keeps_its_end_and_says_since_when_and_why(lab: Lab) -> None:
    end = "2026-12-01T00:00:00+00:00"
    lab.event("expiry", "certificate:a:443", "seen", ends_at=end)
    lab.event("expiry", "certificate:typo", "unseen", "it is neither")
    lab.clock.advance(3600.0)
    since = lab.clock.now()
    for _ in range(20):
        lab.event("expiry", "certificate:a:443", "unseen", "Connection refused")
        lab.event("expiry", "certificate:typo", "unseen", "it is neither")
        lab.clock.advance(86_400.0)
    ends_at = datetime.fromisoformat(end)
    typo_since = since - timedelta(hours=1)
    assert set(lab.look().expiries) == {
        Expiry("certificate", "a:443", ends_at, unseen_since=since, trouble="Connection refused"),
        Expiry("certificate", "typo", None, unseen_since=typo_since, trouble="it is neither"),
    }
    lab.event("expiry", "certificate:a:443", "seen", ends_at=end)
    lab.event("expiry", "certificate:typo", "unwatched")
    assert lab.look().expiries == (Expiry("certificate", "a:443", ends_at),)


def test_alerts_that_fire_rounds_and_reports_are_there(lab: Lab) -> None:
    with lab.database.begin() as connection:
        for state in ("pending", "firing", "over"):
            connection.execute(
                insert(alerts).values(
                    name=f"Alert{state}",
                    severity="critical",
                    subject="target",
                    subject_id="box",
                    state=state,
                    summary="it is down",
                    evidence={},
                    since=lab.clock.now(),
                    seen_at=lab.clock.now(),
                )
            )
        note_round(lab.database, connection, "spool", seconds=0.1, error="no room")
        written = Written(kind=ReportKind.ERROR, text="a word is wrong")
        add_report(lab.database, connection, written, ACTOR)
    found = lab.look()
    assert [each.name for each in found.alerts] == ["Alertfiring"]
    assert [(each.name, each.failures) for each in found.rounds] == [("spool", 1)]
    assert (found.reports_open, found.reports_since) == (1, lab.clock.now())


def test_each_reconciler_says_when_its_next_round_is(lab: Lab) -> None:
    with lab.database.begin() as connection:
        note_round(lab.database, connection, "spool", seconds=0.1, every_seconds=300.0)
        note_round(lab.database, connection, "drift", seconds=0.1)  # by an older version
    assert [each.every_seconds for each in lab.look().rounds] == [None, 300.0]
