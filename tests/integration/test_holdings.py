"""What the archive holds, asked on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert

from healtharchive.model.errors import NotFound
from healtharchive.model.holdings import (
    count_sightings,
    get_holding,
    nearest_holding,
    payload_holding,
    segments_of_job,
    sightings_around,
)
from healtharchive.model.tables import captures
from tests.lab.small_archive import Exchange, SmallArchive, build

KEY = "org,example)/page"
PAGE = "http://example.org/page"
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
STATUSES = (200, 404, 200, 301, 200)


@pytest.fixture
def archive(tmp_path: Path, database_url: str) -> Iterator[SmallArchive]:
    made = build(tmp_path, [Exchange("/", b"<p>home</p>", title="Home")], database_url)
    with made.database.begin() as connection:
        for number, status in enumerate(STATUSES):
            connection.execute(
                insert(captures).values(
                    segment_id=1,
                    job_id=made.job_id,
                    source_id=1,
                    record_offset=1_000_000 + number,
                    record_length=1,
                    record_type="revisit" if number == 4 else "response",
                    url=PAGE,
                    url_key=KEY,
                    captured_at=FIRST + number * DAY,
                    status_code=status,
                    payload_digest="sha256:same" if status == 200 else None,
                )
            )
    yield made
    made.database.dispose()


def test_the_nearest_capture_is_one_that_is_no_error(archive: SmallArchive) -> None:
    with archive.database.read() as connection:
        for asked, day in [(-400, 0), (0.9, 0), (1.2, 2), (2.6, 3), (400, 4)]:
            found = nearest_holding(connection, KEY, FIRST + asked * DAY, PAGE)
            assert found is not None
            assert found.captured_at == FIRST + day * DAY
        assert nearest_holding(connection, "org,example)/never", FIRST, PAGE) is None


def test_the_captures_around_a_moment_come_in_order(archive: SmallArchive) -> None:
    with archive.database.read() as connection:
        around = sightings_around(connection, KEY, FIRST + 3 * DAY, 3)
        assert [each.captured_at for each in around] == [FIRST + day * DAY for day in (2, 3, 4)]
        assert len(sightings_around(connection, KEY, FIRST, 50)) == len(STATUSES)
        assert count_sightings(connection, KEY) == len(STATUSES)


def test_a_revisit_finds_the_newest_response_with_its_payload(archive: SmallArchive) -> None:
    with archive.database.read() as connection:
        revisit = nearest_holding(connection, KEY, FIRST + 4 * DAY, PAGE)
        assert revisit is not None
        assert revisit.record_type == "revisit"
        original = payload_holding(connection, revisit)
        assert original is not None
        assert original.captured_at == FIRST + 2 * DAY


def test_a_capture_has_its_names_and_one_that_is_not_there_is_said(archive: SmallArchive) -> None:
    with archive.database.read() as connection:
        home = get_holding(connection, archive.ids["/"])
        assert (home.source, home.campaign, home.title) == ("lab", "annual-2026", "Home")
        assert home.segment_path == str(archive.warc)
        assert [each.name for each in segments_of_job(connection, archive.job_id)] == [home.segment]
        for missing in (0, -1, 10_000, 1 << 70):
            with pytest.raises(NotFound, match=f"There is no capture {missing}"):
                get_holding(connection, missing)
