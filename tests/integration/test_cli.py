"""The command line: every command answers, and bad input is one sentence and an exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from healtharchive.model.database import Database
from healtharchive.model.progress import note_segments
from healtharchive.search.manifest import manifest
from tests.lab import warcs
from tests.lab.archive import Archive
from tests.lab.captured import add_segment, claim_index, completed_job
from tests.lab.commands import Run, in_process
from tests.lab.postgres import free_port
from tests.lab.processes import without_settings
from tests.lab.queue import ACTOR

SITE_TOML = """code = "city"
name = "City"
seeds = [{url = "https://city.example/"}]
[scope]
hosts = ["city.example"]
"""
COMMANDS = [
    "crawl",
    "changes",
    "compare",
    "verify",
    "rebuild",
    "worker",
    "serve",
    "up",
    "status",
    "why",
    "events",
    "create-job",
    "list-jobs",
    "show-job",
    "run-db-job",
    "retry-job",
    "pause",
    "resume",
    "cancel",
    "reindex-job",
    "search",
    "config",
    "version",
    "campaign",
    "source",
    "db",
]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """An archive with a schema and nothing in it."""
    made = Archive(tmp_path / "data")
    made.set_up()
    return made


@pytest.fixture
def run(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run a command in this process: its exit code, what it printed, what it complained of."""
    return in_process(archive, monkeypatch, capsys)


def test_help_names_every_command(archive: Archive) -> None:
    text = archive.run("--help")
    for name in COMMANDS:
        assert f" {name} " in text
        archive.run(name, "--help")


def test_a_jobs_life_in_a_persons_hands(run: Any) -> None:
    def job(*words: str) -> dict[str, Any]:
        code, out, err = run(*words, "--json")
        assert (code, err) == (0, "")
        found: dict[str, Any] = json.loads(out)
        return found

    made = job("create-job", "--source", "hc", "--pages", "10")
    assert (made["status"], made["config"]) == ("queued", {"limits": {"pages": 10}})
    number = ("--id", str(made["id"]))
    assert job("pause", *number, "--why", "moving")["status"] == "paused"
    assert job("resume", *number)["status"] == "queued"
    assert job("cancel", *number)["status"] == "cancelled"
    assert job("retry-job", *number)["status"] == "queued"
    assert job("show-job", *number)["job"]["id"] == made["id"]
    code, out, _ = run("why", "job", str(made["id"]))
    assert code == 0
    assert "moving" in out
    assert "start `healtharchive worker`" in out


def test_a_campaign_is_created_once_and_says_why_it_is_not_ready(run: Any) -> None:
    first = json.loads(run("campaign", "create", "annual", "--year", "2026", "--json")[1])
    assert [each["source"] for each in first["added"]] == ["hc", "phac", "cihr"]
    again = json.loads(run("campaign", "create", "annual", "--year", "2026", "--json")[1])
    assert again["added"] == []
    code, out, _ = run("campaign", "status", "annual-2026")
    assert code == 0
    assert "Ready for search: NO" in out
    for source in ("hc", "phac", "cihr"):
        assert f"({source}): " in out


@pytest.mark.parametrize(
    "words",
    [
        "list-jobs",
        "status",
        "config",
        "source list",
        "campaign list",
        "campaign status annual-2026",
        "source check https://www.canada.ca/en/health-canada.html --offline",
        "search measles",
        "db current",
        "why job 1",
    ],
)
def test_every_listing_has_json(run: Any, words: str) -> None:
    run("campaign", "create", "annual", "--year", "2026")
    code, out, _ = run(*words.split(), "--json")
    assert code in ((0, 1, 2) if words == "status" else (0,))
    assert json.loads(out) is not None


def test_events_are_one_json_object_a_line(run: Any) -> None:
    run("create-job", "--source", "hc")
    lines = run("events", "--since", "1h", "--json")[1].splitlines()
    assert [json.loads(line)["what"] for line in lines][-1] == "created"


def test_config_shows_where_each_value_comes_from_and_masks_secrets(run: Any) -> None:
    url = "postgresql://somebody:open-sesame@db.example/archive"
    _, out, _ = run("config", DATABASE_URL=url)
    assert "open-sesame" not in out
    assert "HEALTHARCHIVE_DATABASE_URL" in out
    assert "default" in out


def test_an_added_source_is_kept_and_can_be_captured(run: Any, tmp_path: Path) -> None:
    (tmp_path / "city.toml").write_text(SITE_TOML)
    assert run("source", "add", str(tmp_path / "city.toml"))[0] == 0
    codes = [each["code"] for each in json.loads(run("source", "list", "--json")[1])]
    assert "city" in codes
    assert run("create-job", "--source", "city")[0] == 0


BAD_INPUT: list[tuple[str, dict[str, str], str]] = [
    ("crawl mailto:someone", {}, "not the URL"),
    ("crawl http://", {}, "not the URL"),
    ("create-job --source nowhere", {}, "no source 'nowhere'"),
    ("show-job --id 999", {}, "no job 999"),
    ("show-job --id 99999999999999999999", {}, "no job"),
    ("show-job --id six", {}, "--id"),
    ("pause --id 999", {}, "no job 999"),
    ("run-db-job --id 999", {}, "no job 999"),
    ("why job 999", {}, "nothing about job 999"),
    ("campaign status nothing-2026", {}, "no campaign"),
    ("campaign create monthly --year 2026", {}, "monthly"),
    ("campaign create annual --year 1066", {}, "1066"),
    ("list-jobs --status sleeping", {}, "no state 'sleeping'"),
    ("events --since yesterday", {}, "no length of time"),
    ("search x --from tomorrow", {}, "no day"),
    ("search x --source nowhere", {}, "no source 'nowhere'"),
    ("list-jobs --source nowhere", {}, "no source 'nowhere'"),
    ("source check not-a-url --offline", {}, "not the URL"),
    ("source check https://a.example/ --source nowhere --offline", {}, "no source"),
    ("source add {tmp}/missing.toml", {}, "cannot be read"),
    ("source add {tmp}/wrong.toml", {}, "line 2"),
    ("verify {tmp}/missing.warc.gz", {}, "no file"),
    ("verify", {}, "Nothing to verify"),
    ("status", {"DATABASE_URL": "mysql://localhost/x"}, "mysql"),
    ("status", {"DATABASE_URL": "what is this"}, "not a URL"),
    ("status", {"DATABASE_URL": "sqlite:///{tmp}/empty.sqlite"}, "db upgrade"),
    ("status", {"DATABASE_URL": "postgresql://u@127.0.0.1:{port}/x"}, "cannot be reached"),
    ("status", {"ENV_FILE": "{tmp}"}, "{tmp}"),
    ("status", {"WORKER_JOBS": "many"}, "HEALTHARCHIVE_WORKER_JOBS"),
    ("crawl http://a.example/", {"DATABASE_URL": "", "DATA_DIR": "{tmp}/file/below"}, "{tmp}"),
    ("source add {tmp}/right.toml", {"SOURCES_DIR": "{tmp}/file/below"}, "cannot be kept"),
    ("serve", {"BIND_HOST": "203.0.113.1"}, "HEALTHARCHIVE_BIND_HOST"),
    ("fly", {}, "fly"),
]


@pytest.mark.parametrize(("words", "settings", "expected"), BAD_INPUT)
def test_bad_input_is_one_sentence_and_an_exit_code(
    run: Any, tmp_path: Path, words: str, settings: dict[str, str], expected: str
) -> None:
    (tmp_path / "wrong.toml").write_text('code = "city"\nname = 7\n')
    (tmp_path / "right.toml").write_text(SITE_TOML)
    (tmp_path / "file").write_text("a file, not a directory")
    filled = {"tmp": str(tmp_path), "port": str(free_port())}
    code, _, complaint = run(
        *(word.format(**filled) for word in words.split()),
        **{name: value.format(**filled) for name, value in settings.items()},
    )
    assert code not in (0, 70), complaint
    assert len(complaint.strip().splitlines()) == 1, complaint
    assert expected.format(**filled) in complaint
    assert "Traceback" not in complaint


def test_without_any_setting_no_database_is_made_up(tmp_path: Path, run: Any) -> None:
    assert not any(name.startswith("HEALTHARCHIVE_") for name in without_settings())
    code, _, complaint = run("status", DATABASE_URL="", DATA_DIR=str(tmp_path / "new"))
    assert code == 2  # for machines: critical, as all that keeps `status` from looking
    assert "No database is set" in complaint
    assert not (tmp_path / "new").exists()


def test_verify_of_a_job_names_a_segment_that_was_deleted_with_its_manifest(
    archive: Archive, run: Any, tmp_path: Path
) -> None:
    database = Database(archive.environment["HEALTHARCHIVE_DATABASE_URL"])
    order = completed_job(database, tmp_path / "jobs")
    path = add_segment(order, warcs.small_site()[1:])
    held, order = claim_index(database, order)
    with database.begin() as connection:
        sealed = manifest(Path(order.output_dir))
        note_segments(database, connection, order.job_id, held.fence, sealed, actor=ACTOR)
    database.dispose()
    words = ("verify", "--job", str(order.job_id))
    assert run(*words)[0] == 0
    path.unlink()
    (path.parent / "manifest.jsonl").unlink()
    code, out, _ = run(*words)
    assert code == 1
    assert f"{path}: 0 records, 0 B, 1 problems" in out
    assert "the database has it, but it is gone" in out
