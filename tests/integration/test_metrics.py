"""/metrics: what Prometheus reads is what the database says, and only those who may read it do."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Connection, event, insert, update
from starlette.testclient import TestClient

from healtharchive.model.actions import note_action
from healtharchive.model.campaigns import readiness
from healtharchive.model.copies import CopyState
from healtharchive.model.database import Database
from healtharchive.model.journal import Actor, record
from healtharchive.model.measures import note_measures
from healtharchive.model.rounds import note_round
from healtharchive.model.services import HoldKind, Service, hold, note_start, note_stop
from healtharchive.model.standing import standing
from healtharchive.model.states import JobStatus, Quality, SegmentState
from healtharchive.model.tables import (
    archive_jobs,
    attempts,
    copies,
    reader_reports,
    segments,
    sources,
    targets,
)
from healtharchive.model.tables_operation import alerts, services, tokens
from healtharchive.model.target import TargetDefinition, TargetKind
from healtharchive.model.wire import to_plain
from healtharchive.steward.metrics import DECLARED
from healtharchive.web.app import create_app
from healtharchive.web.metrics_reference import reference
from tests.lab.processes import ROOT
from tests.lab.small_archive import CAMPAIGN, MOMENT, Exchange, SmallArchive, build

LOOPBACK = ("127.0.0.1", 50_000)
STRANGER = ("192.0.2.7", 50_000)
ACTOR = Actor("lab.service", 7, "lab")
JOB = (("job_id", "1"), ("source", "lab"))
Found = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def archive(tmp_path: Path, empty_database_url: str) -> SmallArchive:
    exchanges = [Exchange("/", b"<p>here</p>", title="Here", language="en")]
    return build(tmp_path, exchanges, empty_database_url)


def text_of(archive: SmallArchive) -> str:
    with TestClient(create_app(archive.settings, archive.database), client=LOOPBACK) as site:
        answer = site.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return answer.text


def scraped(archive: SmallArchive) -> Found:
    return {
        (sample.name.removeprefix("healtharchive_"), tuple(sorted(sample.labels.items()))): (
            sample.value
        )
        for family in text_string_to_metric_families(text_of(archive))
        for sample in family.samples
    }


def labels(**values: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(values.items()))


def add_target(connection: Connection, name: str = "cold", **columns: Any) -> None:
    values = {"kind": "mount", "root": "/x", "state": "closed", "since": MOMENT, "ship": True}
    connection.execute(insert(targets).values(name=name, **{**values, **columns}))


def test_the_numbers_of_jobs_are_the_database_s(archive: SmallArchive) -> None:
    with archive.database.begin() as connection:
        now = archive.database.now(connection)
        connection.execute(
            update(archive_jobs).values(
                status=JobStatus.RUNNING,
                progress_at=now - timedelta(seconds=100),
                bytes_written=77,
                urls_queued=5,
                fence=3,
                attempt_count=3,
                park_count=2,
                rescue_count=1,
            )
        )
        connection.execute(
            insert(attempts).values(
                job_id=1,
                fence=3,
                work="crawl",
                worker="w",
                host="lab",
                pid=1,
                started_at=now - timedelta(seconds=900),
            )
        )
    found = scraped(archive)
    assert found["crawl_running_jobs", ()] == 1
    assert found["jobs", labels(source="lab", state="running")] == 1
    assert found["job_written_bytes", JOB] == 77
    assert found["job_urls", labels(**dict(JOB), state="queued")] == 5
    assert found["job_pages_total", labels(**dict(JOB), result="done")] == 8
    assert found["job_pages_total", labels(**dict(JOB), result="failed")] == 1
    assert found["job_progress_timestamp_seconds", JOB] == pytest.approx(now.timestamp() - 100)
    assert 100 <= found["job_idle_seconds", JOB] < 400
    assert found["job_stall_seconds", JOB] == archive.settings.stall_seconds
    assert found["job_parked", JOB] == 0
    info = labels(**dict(JOB), campaign=CAMPAIGN, target="spool", place="spool")
    assert found["job_info", info] == 1
    assert found["claims_total", labels(source="lab")] == 3
    assert found["parks_total", labels(source="lab")] == 2
    assert found["rescues_total", labels(source="lab")] == 1
    assert found["captures", ()] == 8
    assert found["segments_bytes", labels(state="sealed")] == archive.warc.stat().st_size
    assert found["database_up", ()] == 1


def test_a_source_s_own_rule_says_when_its_crawl_is_stalled(archive: SmallArchive) -> None:
    with archive.database.begin() as connection:
        connection.execute(update(archive_jobs).values(status=JobStatus.RUNNING))
        definition = connection.execute(sources.select()).one().definition
        changed = {**definition, "stall": {**definition["stall"], "seconds": 77.0}}
        connection.execute(update(sources).values(definition=changed))
    assert scraped(archive)["job_stall_seconds", JOB] == 77


def test_parked_jobs_are_counted_by_what_they_wait_for_and_whose_fault_it_was(
    archive: SmallArchive,
) -> None:
    with archive.database.begin() as connection:
        now = archive.database.now(connection)
        connection.execute(
            update(archive_jobs).values(status=JobStatus.PARKED, parked_target="cold", fence=1)
        )
        attempt = {"work": "crawl", "worker": "w", "host": "lab", "pid": 1, "started_at": now}
        connection.execute(insert(attempts).values(job_id=1, fence=1, blame="target", **attempt))
    found = scraped(archive)
    assert found["parked_jobs", labels(target="cold")] == 1
    assert found["parked_jobs_by_blame", labels(blame="target")] == 1
    assert found["job_parked", JOB] == 1
    assert found["crawl_running_jobs", ()] == 0
    assert found["claimable_jobs", ()] == 1


@pytest.mark.parametrize(
    ("columns", "state"),
    [
        ({"not_before": MOMENT + timedelta(days=10_000)}, "closed"),
        ({"target": "cold"}, "open"),
        ({"hot_path": "cold"}, "open"),
    ],
)
def test_a_job_that_must_wait_is_not_claimable(
    archive: SmallArchive, columns: dict[str, Any], state: str
) -> None:
    with archive.database.begin() as connection:
        add_target(connection, state=state)
        connection.execute(update(archive_jobs).values(status=JobStatus.QUEUED, **columns))
    assert scraped(archive)["claimable_jobs", ()] == 0


def test_captures_that_wait_to_be_searchable_and_compared_have_a_lag(
    archive: SmallArchive,
) -> None:
    found = scraped(archive)
    assert found["index_lag_seconds", ()] == 0
    assert found["comparison_lag_seconds", ()] == 0  # nobody knows when it was indexed
    with archive.database.begin() as connection:
        hour_ago = archive.database.now(connection) - timedelta(hours=1)
        connection.execute(update(archive_jobs).values(indexed_at=hour_ago))
    assert scraped(archive)["comparison_lag_seconds", ()] >= 3600
    waits = {"status": JobStatus.COMPLETED, "finished_at": hour_ago, "indexed_at": None}
    with archive.database.begin() as connection:
        connection.execute(update(archive_jobs).values(**waits))
    found = scraped(archive)
    assert found["index_lag_seconds", ()] >= 3600
    assert found["job_index_lag_seconds", JOB] >= 3600
    with archive.database.begin() as connection:  # it is found already, and is indexed once more
        connection.execute(update(archive_jobs).values(indexed_at=hour_ago))
    assert scraped(archive)["index_lag_seconds", ()] == 0


@pytest.mark.parametrize("status", list(JobStatus))
@pytest.mark.parametrize("quality", [None, *Quality])
def test_a_campaign_is_ready_exactly_when_it_says_so_itself(
    tmp_path: Path, status: JobStatus, quality: Quality | None
) -> None:
    archive = build(tmp_path, [])
    with archive.database.begin() as connection:
        connection.execute(update(archive_jobs).values(status=status, quality=quality))
    with archive.database.read() as connection:
        (told,) = standing(archive.database, connection, 60.0).jobs.campaigns
        said = readiness(connection, CAMPAIGN)
    assert told.ready == said.ready
    assert told.settled == all(job.settled for job in said.jobs)


def test_what_is_not_shipped_or_not_safe_is_told_by_target(archive: SmallArchive) -> None:
    with archive.database.begin() as connection:
        now = archive.database.now(connection)
        add_target(connection)
        add_target(connection, "hc", kind="bind", parent="cold", ship=False)
        connection.execute(update(segments).values(sealed_at=now - timedelta(seconds=500)))
    size = archive.warc.stat().st_size
    found = scraped(archive)
    assert found["target_unshipped_segments", labels(target="cold")] == 1
    assert found["target_unshipped_bytes", labels(target="cold")] == size
    assert 500 <= found["target_shipping_lag_seconds", labels(target="cold")] < 900
    assert found["unverified_bytes", ()] == size
    assert found["lost_segments", ()] == 0
    assert found["target_info", labels(target="hc", kind="bind", place="cold")] == 1
    with archive.database.begin() as connection:
        connection.execute(
            insert(copies).values(
                segment_id=1,
                target="cold",
                name="x",
                state=CopyState.VERIFIED,
                verified_at=MOMENT,
                failures=0,
            )
        )
    found = scraped(archive)
    assert found["target_shipping_lag_seconds", labels(target="cold")] == 0
    assert found["target_unread_timestamp_seconds", labels(target="cold")] == MOMENT.timestamp()
    assert found["unverified_bytes", ()] == 0
    with archive.database.begin() as connection:
        connection.execute(update(segments).values(state=SegmentState.RELEASED))
        connection.execute(update(copies).values(state=CopyState.DIFFERS))
    assert scraped(archive)["lost_segments", ()] == 1


def test_a_target_s_breaker_verdict_and_held_repair_are_told(archive: SmallArchive) -> None:
    with archive.database.begin() as connection:
        mountable = TargetDefinition("cold", TargetKind.MOUNT, "/x", mount_command=("true",))
        add_target(
            connection,
            state="open",
            probed_at=MOMENT,
            verdict="stale",
            trip_streak=3,
            definition=to_plain(mountable),
        )
    found = scraped(archive)
    assert found["target_breaker_state", labels(target="cold", state="open")] == 1
    assert found["target_breaker_state", labels(target="cold", state="closed")] == 0
    assert found["target_verdict", labels(target="cold", verdict="stale")] == 1
    assert found["target_verdict", labels(target="cold", verdict="hung")] == 0
    assert found["target_trips", labels(target="cold")] == 3
    assert found["target_probed_timestamp_seconds", labels(target="cold")] == MOMENT.timestamp()
    assert found["target_held", labels(target="cold")] == 0
    assert ("target_last_healthy_timestamp_seconds", labels(target="cold")) not in found
    with archive.database.begin() as connection:
        now = archive.database.now(connection)
        about = {"subject": "target", "subject_id": "cold"}
        why = "it was repaired 12 times in the last hour"
        for outcome in ("applied", "applied", "refused"):
            note_action(connection, at=now, what="recover", outcome=outcome, why=why, **about)
    found = scraped(archive)
    assert found["target_held", labels(target="cold")] == 1
    assert found["recoveries_total", labels(target="cold", result="applied")] == 2
    assert found["recoveries_total", labels(target="cold", result="refused")] == 1
    assert found["actions_total", labels(subject="target", what="recover", outcome="applied")] == 2


def test_services_and_what_holds_them_are_told(archive: SmallArchive) -> None:
    database = archive.database
    worker = labels(service="worker")
    with database.begin() as connection:
        note_start(database, connection, "worker", "w1", "1", actor=ACTOR)
        note_start(database, connection, "worker", "w2", "1", actor=ACTOR)
        long_ago = database.now(connection) - timedelta(seconds=61)
        connection.execute(
            update(services).where(services.c.holder == "w2").values(beat_at=long_ago)
        )
    found = scraped(archive)
    assert found["service_processes", worker] == 1  # the other one has fallen silent
    assert found["service_processes", labels(service="steward")] == 0
    assert found["service_start_timestamp_seconds", worker] > MOMENT.timestamp() - 1e9
    assert found["worker_paused", ()] == 0
    assert ("service_restart_owed_timestamp_seconds", worker) not in found
    about = {"who": "somebody", "why": "work", "actor": ACTOR}
    with database.begin() as connection:
        soon = database.now(connection) + timedelta(hours=1)
        hold(database, connection, Service.WORKER, HoldKind.PAUSE, until=soon, **about)
        hold(database, connection, Service.WORKER, HoldKind.OWED, until=long_ago, **about)
    found = scraped(archive)
    assert found["service_holds", labels(service="worker", kind="pause")] == 1
    assert found["worker_paused", ()] == 1
    assert ("service_restart_owed_timestamp_seconds", worker) not in found  # one lives again
    with database.begin() as connection:
        note_stop(database, connection, "worker", "w1", "it was told to")
    found = scraped(archive)
    assert found["service_restart_owed_timestamp_seconds", worker] == pytest.approx(
        long_ago.timestamp(), abs=1
    )


def test_a_pause_that_is_over_by_itself_holds_nothing(archive: SmallArchive) -> None:
    database = archive.database
    with database.begin() as connection:
        over = database.now(connection) - timedelta(seconds=1)
        hold(
            database,
            connection,
            Service.WORKER,
            HoldKind.PAUSE,
            until=over,
            who="x",
            why="y",
            actor=ACTOR,
        )
    assert scraped(archive)["worker_paused", ()] == 0


def test_the_steward_s_rounds_alerts_and_journal_are_told(archive: SmallArchive) -> None:
    database = archive.database
    with database.begin() as connection:
        note_round(database, connection, "storage", seconds=1.5, every_seconds=60.0, rounds=4)
        note_round(database, connection, "storage", seconds=2.5, every_seconds=90.0, error="no")
        now = database.now(connection)
        alert = {"subject": "target", "summary": "x", "evidence": {}, "since": now, "seen_at": now}
        for number, state in enumerate(("firing", "firing", "over")):
            connection.execute(
                insert(alerts).values(
                    name="TargetDown",
                    severity="critical",
                    subject_id=str(number),
                    state=state,
                    **alert,
                )
            )
    found = scraped(archive)
    assert found["reconciler_last_round_seconds", labels(reconciler="storage")] == 2.5
    assert found["reconciler_rounds_total", labels(reconciler="storage")] == 5
    assert found["reconciler_failures", labels(reconciler="storage")] == 1
    assert found["reconciler_last_round_timestamp_seconds", labels(reconciler="storage")] > 0
    assert found["reconciler_pace_seconds", labels(reconciler="storage")] == 90
    assert found["alerts_firing", labels(name="TargetDown", severity="critical")] == 2
    assert found["events_total", ()] >= 1


def noted(database: Database, subject: str, thing: str, what: str, **evidence: str) -> None:
    with database.begin() as connection:
        record(
            connection,
            at=database.now(connection),
            actor=ACTOR,
            subject=subject,
            subject_id=thing,
            what=what,
            evidence=evidence,
        )


def test_backups_drift_and_ends_are_read_from_the_journal(archive: SmallArchive) -> None:
    database = archive.database
    assert ("backup_ok", ()) not in scraped(archive)
    noted(database, "database", "a.dump", "backup")
    noted(database, "database", "a.dump", "restore_test_failed")
    noted(database, "expiry", "certificate:archive.example:443", "seen", ends_at=f"{MOMENT:%FT%TZ}")
    noted(database, "drift", "schema", "found")
    noted(database, "drift", "sources", "found")
    noted(database, "drift", "sources", "over")
    with database.begin() as connection:
        connection.execute(
            insert(tokens).values(
                name="phone", digest="d", scopes=[], created_at=MOMENT, expires_at=MOMENT
            )
        )
        connection.execute(
            insert(reader_reports).values(
                at=MOMENT, url="u", kind="error", text="t", contact="", state="open"
            )
        )
    found = scraped(archive)
    assert found["backup_ok", ()] == 1
    assert found["backup_timestamp_seconds", ()] > 0
    assert found["restore_test_ok", ()] == 0
    assert ("restore_test_timestamp_seconds", ()) not in found
    assert found["backup_unproven_timestamp_seconds", ()] == found["backup_timestamp_seconds", ()]
    end = labels(kind="certificate", name="archive.example:443")
    assert found["expiry_timestamp_seconds", end] == MOMENT.replace(microsecond=0).timestamp()
    assert found["expiry_timestamp_seconds", labels(kind="token", name="phone")] > 0
    early = found["expiry_timestamp_seconds", end] - found["expiry_warn_timestamp_seconds", end]
    assert early == 21 * 86_400
    assert found["drift", labels(thing="schema")] == 1
    assert found["drift", labels(thing="sources")] == 0
    assert found["reader_reports_open", ()] == 1
    noted(database, "database", "b.dump", "backup_failed")
    assert scraped(archive)["backup_ok", ()] == 0


def test_the_disk_is_told_as_it_was_measured_last(archive: SmallArchive) -> None:
    database = archive.database
    assert ("spool_used_ratio", ()) not in scraped(archive)
    with database.begin() as connection:
        for minutes, used in ((0, 20.0), (5, 30.0)):
            numbers = {
                "spool_used_percent": used,
                "spool_free_bytes": 7e9,
                "spool_total_bytes": 1e10,
            }
            at = MOMENT + timedelta(minutes=minutes)
            note_measures(database, connection, "spool", numbers, at=at)
    found = scraped(archive)
    assert found["spool_used_ratio", ()] == pytest.approx(0.3)
    assert found["spool_free_bytes", ()] == 7e9
    assert found["limit_ratio", labels(limit="spool_soft")] == pytest.approx(0.85)


def test_the_deploy_lock_s_age_is_told(archive: SmallArchive) -> None:
    assert ("deploy_lock_age_seconds", ()) not in scraped(archive)
    archive.settings.deploy_lock.touch()
    assert scraped(archive)["deploy_lock_age_seconds", ()] < 300


def test_a_dead_database_is_told_and_nothing_else(archive: SmallArchive, tmp_path: Path) -> None:
    gone = Database(f"sqlite:///{tmp_path / 'nowhere' / 'archive.sqlite'}")
    found = scraped(replace(archive, database=gone))
    assert found["database_up", ()] == 0
    assert [name for name, _ in found if name != "database_up"] == ["build_info"]


@pytest.mark.parametrize(
    ("clients", "status"), [("", 404), ("192.0.2.0/24", 200), ("198.51.100.1", 404)]
)
def test_only_those_who_may_are_answered(tmp_path: Path, clients: str, status: int) -> None:
    archive = build(tmp_path, [])
    settings = replace(archive.settings, metrics_clients=clients)
    with TestClient(create_app(settings, archive.database), client=STRANGER) as site:
        assert site.get("/metrics").status_code == status


def test_promtool_finds_nothing_wrong_with_the_metrics(archive: SmallArchive) -> None:
    with archive.database.begin() as connection:
        add_target(connection)
        connection.execute(update(archive_jobs).values(status=JobStatus.RUNNING))
    judged = subprocess.run(
        ["promtool", "check", "metrics"],
        input=text_of(archive),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (judged.returncode, judged.stdout + judged.stderr) == (0, "")


def test_a_scrape_asks_few_questions_and_never_counts_captures_or_events(
    archive: SmallArchive,
) -> None:
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        asked.append(" ".join(statement.lower().split()))

    event.listen(archive.database.engine, "before_cursor_execute", note)
    with archive.database.read() as connection:
        standing(archive.database, connection, 60.0)
    assert 10 < len(asked) <= 42
    # Whether a job has one that is not compared is a look into the index, job by job.
    of_captures = [each for each in asked if "from captures" in each or "join captures" in each]
    assert [each.count("exists (select captures.id from captures") for each in of_captures] == [1]
    assert "count(" not in of_captures[0]
    counting = [each for each in asked if "from events" in each and "count(" in each]
    assert not counting


def test_the_reference_page_is_the_declarations() -> None:
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
    assert page == reference(), "run `make docs`"


def test_names_follow_prometheus_conventions() -> None:
    assert len({each.name for each in DECLARED}) == len(DECLARED)
    for each in DECLARED:
        assert each.name.startswith("healtharchive_")
        assert each.name.endswith("_total") == (each.kind == "counter")
        assert each.help.endswith(".")
        assert "job" not in each.labels  # Prometheus' own word for what it scrapes
