"""/metrics: what Prometheus reads is what the database says, and only those who may read it do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import insert, update
from starlette.testclient import TestClient

from healtharchive.model.states import JobStatus
from healtharchive.model.tables import archive_jobs, targets
from healtharchive.web.app import create_app
from healtharchive.web.metrics import DECLARED
from healtharchive.web.metrics_reference import reference
from tests.lab.processes import ROOT
from tests.lab.small_archive import MOMENT, Exchange, SmallArchive, build

LOOPBACK = ("127.0.0.1", 50_000)
STRANGER = ("192.0.2.7", 50_000)


@pytest.fixture
def archive(tmp_path: Path) -> SmallArchive:
    return build(tmp_path, [Exchange("/", b"<p>here</p>", title="Here", language="en")])


def scraped(archive: SmallArchive) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    with TestClient(create_app(archive.settings, archive.database), client=LOOPBACK) as site:
        answer = site.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_the_numbers_are_the_database_s(archive: SmallArchive) -> None:
    with archive.database.begin() as connection:
        connection.execute(
            update(archive_jobs).values(
                status=JobStatus.RUNNING, progress_at=MOMENT, bytes_written=77, urls_queued=5
            )
        )
        connection.execute(
            insert(targets).values(
                name="cold", kind="mount", root="/x", state="open", since=MOMENT, probed_at=MOMENT
            )
        )
    found = scraped(archive)
    job = (("job", "1"), ("source", "lab"))
    assert found["healtharchive_crawl_running_jobs", ()] == 1
    assert found["healtharchive_jobs", (("source", "lab"), ("state", "running"))] == 1
    assert found["healtharchive_job_written_bytes", job] == 77
    assert found["healtharchive_job_urls", (*job, ("state", "queued"))] == 5
    assert found["healtharchive_job_progress_timestamp_seconds", job] == MOMENT.timestamp()
    assert found["healtharchive_captures", ()] == 8
    assert (
        found["healtharchive_segments_bytes", (("state", "sealed"),)] == archive.warc.stat().st_size
    )
    assert found["healtharchive_target_breaker_state", (("state", "open"), ("target", "cold"))] == 1
    assert (
        found["healtharchive_target_breaker_state", (("state", "closed"), ("target", "cold"))] == 0
    )
    assert (
        "healtharchive_target_last_healthy_timestamp_seconds",
        (("target", "cold"),),
    ) not in found


def test_parked_jobs_are_counted_by_what_they_wait_for(archive: SmallArchive) -> None:
    with archive.database.begin() as connection:
        connection.execute(
            update(archive_jobs).values(status=JobStatus.PARKED, parked_target="cold")
        )
    found = scraped(archive)
    assert found["healtharchive_parked_jobs", (("target", "cold"),)] == 1
    assert found["healtharchive_crawl_running_jobs", ()] == 0


@pytest.mark.parametrize(
    ("clients", "status"), [("", 404), ("192.0.2.0/24", 200), ("198.51.100.1", 404)]
)
def test_only_those_who_may_are_answered(archive: SmallArchive, clients: str, status: int) -> None:
    settings = replace(archive.settings, metrics_clients=clients)
    with TestClient(create_app(settings, archive.database), client=STRANGER) as site:
        assert site.get("/metrics").status_code == status


def test_the_reference_page_is_the_declarations() -> None:
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
    assert page == reference(), "run `make docs`"


def test_names_follow_prometheus_conventions() -> None:
    for each in DECLARED:
        assert each.name.startswith("healtharchive_")
        assert not each.name.endswith("_total")  # only counters end so
        assert each.help.endswith(".")
