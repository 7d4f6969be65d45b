"""`incident draft`: the night of 2026-01-24 from a journal, on both databases."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import update

from healtharchive.model.database import Database
from healtharchive.model.tables import archive_jobs, events
from healtharchive.steward.incident import draft
from healtharchive.steward.incident_records import Records, gather
from tests.lab.archive import Archive
from tests.lab.incidents import NIGHT, PARKS, UNTIL, Night, at
from tests.lab.queue import add_job
from tests.lab.workers import settings_for

HEADINGS = [
    "Metadata",
    "Summary",
    "Impact",
    "Detection",
    "Timeline (UTC)",
    "Root cause",
    "Contributing factors",
    "Resolution / Recovery",
    "Post-incident verification",
    "Open questions (still unknown)",
    "Action items (TODOs)",
    "Automation opportunities",
    "References / Artifacts",
]
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def night(database: Database, directory: Path) -> int:
    """Write the night's journal; its job."""
    job_id = add_job(database, directory, "phac")
    with database.begin() as connection:
        # The job is older than the night; its beginnings are told before it.
        connection.execute(update(events).values(at=at(4, 0), to_state="parked"))
        connection.execute(update(archive_jobs).values(created_at=at(4, 0)))
        Night(connection, job_id).write()
    return job_id


def records_of(database: Database, directory: Path, **settings: object) -> Records:
    """The night's records."""
    found = gather(
        database, settings_for(directory, **settings), NIGHT, UNTIL, host="vps1", version="0.1.0"
    )
    assert found is not None
    return found


@pytest.fixture
def document(database: Database, tmp_path: Path) -> str:
    """The night's draft."""
    night(database, tmp_path)
    return draft(records_of(database, tmp_path))


def part(document: str, heading: str) -> str:
    """What is under a heading."""
    return document.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_it_has_the_sections_of_an_incident_document_in_their_order(document: str) -> None:
    assert re.findall(r"^## (.*)$", document, re.MULTILINE) == HEADINGS
    assert document.startswith("# Incident: target box stale; worker stopped (2026-01-24)\n")
    assert "\nStatus: draft\n" in document


def test_start_end_severity_and_area_follow_from_the_events(document: str) -> None:
    metadata = part(document, "Metadata")
    assert "Start (UTC): 2026-01-24T06:17:10Z" in metadata
    assert "End (UTC): 2026-01-24T12:31:05Z" in metadata
    assert "Severity: sev1 (by rule: jobs waited 6 h 3 min without any worker" in metadata
    assert "Primary area: storage" in metadata
    assert "Owner: (unassigned)" in metadata
    assert "Duration: 6 h 13 min (2026-01-24T06:17:10Z" in part(document, "Impact")


def test_what_repeats_is_told_once_with_its_count_and_its_end(document: str) -> None:
    timeline = part(document, "Timeline (UTC)")
    assert timeline.count(" park: ") == 1
    assert f"{PARKS} times until 2026-01-24T06:27:45Z" in timeline
    assert "06:28:02Z — worker w stopped" in timeline


def test_the_cost_is_counted_from_the_journal_and_the_samples(document: str) -> None:
    impact = part(document, "Impact")
    assert f"{PARKS} waits" in impact
    assert "6 h 49 min without a new page" in impact
    assert "worker lived for 6 h 3 min" in impact
    assert (
        "the longest stretch was 6 h 17 min, 2026-01-24T06:17:00Z to 2026-01-24T12:34:00Z" in impact
    )
    assert "User-facing impact: unknown: no `serve` is on record" in impact


def test_detection_says_how_long_it_took(document: str) -> None:
    detection = part(document, "Detection")
    assert "First alert: 2026-01-24T06:30:02Z (12 min after the first trouble)" in detection
    assert "First operator's command: 2026-01-24T12:31:03Z (6 h 13 min after" in detection
    assert "First automatic action: none in the span" in detection


def test_causes_lead_from_before_the_span_to_what_they_did(document: str) -> None:
    cause = part(document, "Root cause")
    assert "- 2026-01-24T05:30:00Z (before the span) — deploy 1 done" in cause
    assert "  - 2026-01-24T06:17:10Z — target box trip: closed → open" in cause
    assert re.search(rf"    - 2026-01-24T06:18:00Z — job \d+ park.*{PARKS} times", cause)
    assert "SIGTERM from an unknown sender" in cause
    assert "evidence/box-061712-before.json" in cause


def test_gaps_become_questions(document: str) -> None:
    asked = part(document, "Open questions (still unknown)")
    assert "Who sent SIGTERM to the worker at 2026-01-24T06:28:01Z?" in asked
    assert "between 2026-01-24T06:28:02Z and 2026-01-24T12:20:00Z (5 h 51 min)" in asked


def test_a_target_that_tripped_with_no_cause_is_a_question(
    database: Database, tmp_path: Path
) -> None:
    night(database, tmp_path)
    with database.begin() as connection:
        connection.execute(update(events).where(events.c.what == "trip").values(caused_by=None))
    asked = part(draft(records_of(database, tmp_path)), "Open questions (still unknown)")
    assert "What made target box stale?" in asked


def test_missing_watchers_are_factors_only_while_they_are_missing(
    database: Database, tmp_path: Path
) -> None:
    night(database, tmp_path)
    factors = part(draft(records_of(database, tmp_path)), "Contributing factors")
    assert "`notify_urls` is not set" in factors
    assert "`heartbeat_url` is not set" in factors
    told = {"notify_urls": "json://127.0.0.1/", "heartbeat_url": "https://example.org/"}
    factors = part(draft(records_of(database, tmp_path, **told)), "Contributing factors")
    assert "not set" not in factors
    assert re.search(r"Job \d+ was claimed 41 times, more than 6 times an hour", factors) is None


def test_no_time_outside_the_span_but_causes(document: str) -> None:
    for line in document.splitlines():
        if "(before the span)" in line:
            continue
        for found in STAMP.findall(line):
            moment = datetime.fromisoformat(found).astimezone(UTC)
            assert NIGHT <= moment <= UNTIL, line


def test_no_trouble_is_said_and_not_made_up(database: Database, tmp_path: Path) -> None:
    night(database, tmp_path)
    settings = settings_for(tmp_path)
    calm = gather(database, settings, at(12, 31, 4), UNTIL, host="vps1", version="0.1.0")
    assert calm is not None
    document = draft(calm)
    assert "Severity: sev4" in document
    assert "none of them is trouble" in document
    assert gather(database, settings, at(1, 0), at(2, 0), host="vps1", version="0") is None


def test_the_command_writes_a_file_once_and_ends_with_1_when_there_is_nothing(
    tmp_path: Path,
) -> None:
    archive = Archive(tmp_path / "archive")
    archive.set_up()
    database = Database(archive.environment["HEALTHARCHIVE_DATABASE_URL"])
    night(database, tmp_path)
    database.dispose()
    span = ("--since", "2026-01-24T05:45Z", "--until", "2026-01-24T12:35Z")
    file = tmp_path / "draft.md"
    archive.run("incident", "draft", *span, "--title", "The night", "--output", str(file))
    assert file.read_text().startswith("# Incident: The night (2026-01-24)\n")
    archive.run("incident", "draft", *span, "--output", str(file), codes=(2,))
    nothing = archive.run("incident", "draft", "--since", "2020-01-01T00:00Z",
                          "--until", "2020-01-02T00:00Z", codes=(1,))  # fmt: skip
    assert nothing == (
        "The journal has nothing between 2020-01-01T00:00:00Z and 2020-01-02T00:00:00Z.\n"
    )
    archive.run("incident", "draft", "--since", "yesterday", codes=(2,))
