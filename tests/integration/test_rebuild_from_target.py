"""`rebuild --from TARGET` in an empty directory gives the archive that was lost."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.lab import mounts, objects
from tests.lab.archive import IMPATIENT, Archive, tail
from tests.lab.night import end, start, target_toml, unmount_all
from tests.lab.processes import wait_for
from tests.lab.site import serving

NAME = "cold"
SETTINGS = {
    **IMPATIENT,
    "SEGMENT_BYTES": "400000",
    "SHIP_EVERY_SECONDS": "0.5",
    "PROBE_EVERY_SECONDS": "1",
    "BREAKER_GOOD_SECONDS": "0.5",
}
SEARCHES = (
    ("documentation",),
    ("documentation", "--all"),
    ("python", "--lang", "en"),
    ("the", "--type", "html", "--all"),
    ("documentation", "--campaign", "annual-2026"),
    ("documentation", "--source", "other-site"),
)
CAPTURES = """
    SELECT sources.code, campaigns.name, captures.url, captured_at, status_code, payload_digest,
           record_type, record_offset, record_length, segments.name
    FROM captures JOIN segments ON segments.id = captures.segment_id
    JOIN archive_jobs ON archive_jobs.id = captures.job_id
    JOIN sources ON sources.id = captures.source_id
    LEFT JOIN campaigns ON campaigns.id = archive_jobs.campaign_id"""
SNAPSHOTS = "SELECT url, captured_at, title, language, text_chars, payload_digest FROM snapshots"
JOBS = """
    SELECT sources.code, campaigns.name, campaigns.kind, campaigns.year, status
    FROM archive_jobs JOIN sources ON sources.id = archive_jobs.source_id
    LEFT JOIN campaigns ON campaigns.id = archive_jobs.campaign_id"""

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(params=["mount", pytest.param("sftp", marks=pytest.mark.long)])
def targets_file(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A targets file with one target that is shipped to."""
    with ExitStack() as undo:
        server = undo.enter_context(mounts.sshd())
        undo.callback(unmount_all, tmp_path)
        if request.param == "mount":
            yield target_toml(NAME, tmp_path, server).rstrip() + "\nship = true\n"
            return
        definition = objects.sftp(server).definition
        options = "\n".join(f"{k} = {json.dumps(v)}" for k, v in definition.options.items())
        yield (
            f'[[target]]\nname = "{NAME}"\nkind = "object"\nroot = "{definition.root}"\n'
            f"ship = true\n[target.options]\n{options}\n"
        )


def rows(archive: Archive, query: str) -> Counter[tuple[Any, ...]]:
    with closing(sqlite3.connect(archive.data_dir / "healtharchive.sqlite")) as database:
        return Counter(database.execute(query).fetchall())


def found(archive: Archive, words: tuple[str, ...]) -> tuple[int, list[dict[str, Any]]]:
    """How much a search finds, and its hits without the numbers that a database gives."""
    answer = archive.ask("search", *words, "--size", "100")
    numbers = ("id", "capture_id", "snapshot_id", "job_id")
    hits = [{k: v for k, v in hit.items() if k not in numbers} for hit in answer["hits"]]
    # Hits of the same score come in any order.
    return answer["total"], sorted(hits, key=lambda hit: json.dumps(hit, sort_keys=True))


def contents(archive: Archive) -> dict[str, object]:
    """All that two archives must have in common."""
    told: dict[str, object] = {
        "captures": rows(archive, CAPTURES),
        "snapshots": rows(archive, SNAPSHOTS),
        "jobs": rows(archive, JOBS),
    }
    return told | {" ".join(words): found(archive, words) for words in SEARCHES}


def all_released(archive: Archive) -> None:
    """Let a steward ship all there is."""
    steward = start(archive, "steward")
    try:
        wait_for(
            lambda: set(rows(archive, "SELECT state FROM segments")) == {("released",)},
            what=f"all is released: {tail(archive.data_dir / 'steward.log')}",
            seconds=60.0,
            every=0.5,
        )
    finally:
        end(steward)


def hide_one(archive: Archive) -> str:
    """Suppress a page that a search finds; its URL."""
    url = str(archive.ask("search", "documentation")["hits"][0]["url"])
    archive.run("suppress", "--url", url, "--why", "its owner asked")
    return url


def list_is_kept(archive: Archive) -> None:
    """Bring the list of what is not shown to the target; then there is nothing to do any more.

    A round that the steward's end cut off is repeated when its pause is over.
    """
    wait_for(
        lambda: "Nothing to do." in archive.run("steward", "run", "keeping"),
        what="the list is kept",
        seconds=90.0,
        every=2.0,
    )
    told = rows(archive, "SELECT outcome FROM actions WHERE what = 'keep_suppressions'")
    assert told["applied",] == 1


def test_a_rebuild_from_a_target_alone_gives_the_same_captures_snapshots_and_searches(
    targets_file: str, tmp_path: Path
) -> None:
    archive = Archive(tmp_path / "old", SETTINGS)
    archive.data_dir.mkdir()
    (archive.data_dir / "targets.toml").write_text(targets_file)
    with serving(12) as site:
        archive.set_up(site.source_toml("demo"), site.source_toml("other-site"))
        sources = ("--source", "demo", "--source", "other-site")
        archive.run("campaign", "create", "annual", "--year", "2026", *sources)
        archive.run("create-job", "--source", "demo")
        for job in archive.jobs():
            archive.run("run-db-job", "--id", str(job["id"]), "--until-settled")
    taken_down = hide_one(archive)
    before = contents(archive)
    assert len(before["captures"]) > 200  # type: ignore[arg-type]
    all_released(archive)
    list_is_kept(archive)
    segments = rows(archive, "SELECT name, sha256, size_bytes FROM segments")
    shutil.rmtree(archive.data_dir)

    fresh = Archive(tmp_path / "new", SETTINGS)
    fresh.data_dir.mkdir()
    (fresh.data_dir / "targets.toml").write_text(targets_file)
    (fresh.data_dir / "backend.env").touch()
    fresh.run("db", "upgrade")
    done = fresh.ask("rebuild", "--from", NAME)
    assert done["indexed"] == 3
    assert [each["rule"]["url"] for each in fresh.ask("suppressions")] == [taken_down]
    assert contents(fresh) == before
    assert rows(fresh, "SELECT name, sha256, size_bytes FROM segments") == segments
    for path in (fresh.data_dir / "jobs").glob("*/*"):
        if (path / "warcs").is_dir():
            assert fresh.run("verify", str(path))
    copies = rows(fresh, "SELECT state FROM copies")
    assert copies == Counter({("verified",): sum(segments.values())})
    # And it goes on as an archive: what the target has is not sent again.
    all_released(fresh)
    assert rows(fresh, "SELECT count(*) FROM events WHERE what = 'copy_failed'") == {(0,): 1}
    assert contents(fresh)["documentation"] == before["documentation"]
