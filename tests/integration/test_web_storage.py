"""The storage page and `status`: how every target is, from the database alone."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from selectolax.lexbor import LexborHTMLParser
from sqlalchemy import insert, update
from starlette.testclient import TestClient

from healtharchive.cli.main import main
from healtharchive.model.database import Database
from healtharchive.model.journal import Actor, this_process
from healtharchive.model.services import note_start
from healtharchive.model.states import TargetState
from healtharchive.model.tables import archive_jobs, copies, segments, targets
from healtharchive.model.target import SPOOL, TargetDefinition, TargetKind, Verdict
from healtharchive.model.targets import declare_targets
from healtharchive.web.app import create_app
from healtharchive.web.texts import TEXTS
from tests.lab.queue import ACTOR
from tests.lab.small_archive import Exchange, SmallArchive, build

BOX, HOT = "box", "hot-1"
SECRET = "sftp://somebody@storage.example/archive"
TROUBLE = "stat /mnt/box: Transport endpoint is not connected <b>(errno 107)</b>"


def set_target(database: Database, name: str, **values: Any) -> None:
    with database.begin() as connection:
        connection.execute(update(targets).where(targets.c.name == name).values(**values))


@pytest.fixture
def archive(tmp_path: Path, database_url: str) -> Iterator[SmallArchive]:
    """Four targets: the spool, a sick box with a hot path for which a job waits, and a cold one."""
    made = build(tmp_path, [Exchange("/", b"<p>here</p>")], database_url)
    definitions = [
        TargetDefinition(SPOOL, TargetKind.LOCAL, str(tmp_path / "jobs")),
        TargetDefinition(BOX, TargetKind.MOUNT, "/mnt/box"),
        TargetDefinition("cold", TargetKind.OBJECT, SECRET, ship=True),
        TargetDefinition(HOT, TargetKind.BIND, "/srv/hot", parent=BOX, backing="/mnt/box/1"),
    ]
    with made.database.begin() as connection:
        declare_targets(made.database, connection, definitions, actor=ACTOR)
        now = made.database.now(connection)
        job = {"target": BOX, "hot_path": HOT, "status": "parked"}
        connection.execute(update(archive_jobs).values(**job))
        for name, state in (("verified", "verified"), ("differs", "differs"), ("gone", "gone")):
            connection.execute(insert(copies).values(**_copy(connection, name, state)))
    healthy = {"verdict": Verdict.HEALTHY, "probed_at": now, "last_healthy_at": now}
    full = {"used_percent": 81.4, "free_bytes": 1}
    set_target(made.database, SPOOL, **healthy, evidence=full)
    set_target(made.database, "cold", **healthy)
    sick = {
        "state": TargetState.OPEN,
        "verdict": Verdict.STALE,
        "last_error": TROUBLE,
        "last_healthy_at": now - timedelta(minutes=5),
    }
    set_target(made.database, BOX, **sick, probed_at=now)
    set_target(made.database, HOT, **sick, probed_at=now)
    yield made
    made.database.dispose()


def _copy(connection: Any, name: str, state: str) -> dict[str, object]:
    segment = connection.execute(
        insert(segments).values(
            job_id=1,
            name=f"{name}.warc.gz",
            state="released",
            path=f"/gone/{name}",
            fence=1,
            size_bytes=1,
            sha256="",
            records=1,
            unreadable_records=0,
        )
    ).inserted_primary_key
    return {"segment_id": segment[0], "target": "cold", "name": name, "state": state}


@pytest.fixture
def site(archive: SmallArchive) -> Iterator[httpx.Client]:
    app = create_app(archive.settings, archive.database)
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_page_tells_all_in_the_readers_language_without_scripts(
    site: httpx.Client, language: str
) -> None:
    answer = site.get(f"/{language}/targets")
    assert answer.status_code == 200
    assert "<script" not in answer.text
    assert "<b>(errno" not in answer.text
    tree = LexborHTMLParser(answer.text)
    assert [each.text(strip=True) for each in tree.css(".card h2 .code")] == [SPOOL, BOX, "cold"]
    text = tree.text()
    number = 0 if language == "en" else 1
    for key in ("target.breaker.open", "target.look.stale", "target.trouble", "target.hot_paths"):
        assert TEXTS[key][number] in text
    assert TROUBLE in text
    assert HOT in text
    assert "somebody" not in text  # where a store is, and who may enter it, is nobody's business
    (here,) = tree.css("nav a[aria-current]")
    assert (here.text(), here.attributes["href"]) == (
        TEXTS["nav.targets"][number],
        f"/{language}/targets",
    )
    ids = [each.attributes["id"] for each in tree.css("[id]")]
    assert len(ids) == len(set(ids))
    assert len(tree.css("h1")) == 1


def test_json_has_the_same_facts_at_every_address(site: httpx.Client) -> None:
    by_query = site.get("/en/targets?format=json").json()
    by_wish = site.get("/fr/targets", headers={"Accept": "application/json"}).json()
    assert by_query == by_wish == site.get("/api/targets").json()
    spool, box, cold = by_query["targets"]
    assert (spool["breaker"], spool["used_percent"], spool["trouble"]) == ("closed", 81.4, "")
    assert (box["breaker"], box["last_look"], box["trouble"]) == ("open", "stale", TROUBLE)
    assert box["jobs_waiting"] == 1
    assert datetime.fromisoformat(box["last_healthy_at"]) < datetime.fromisoformat(box["looked_at"])
    (hot,) = box["hot_paths"]
    assert (hot["name"], hot["breaker"], hot["jobs_waiting"]) == (HOT, "open", 1)
    assert cold["copies"] == {"verified": 1, "bad": 2, "waiting": 0, "waiting_bytes": 0}
    assert (box["copies"], cold["hot_paths"]) == (None, [])
    assert "/api/targets" in site.get("/api/openapi.json").json()["paths"]


def test_the_page_reloads_only_while_something_is_sick_and_nobody_minds(
    archive: SmallArchive, site: httpx.Client
) -> None:
    reload = '<meta http-equiv="refresh"'
    assert reload in site.get("/en/targets").text
    assert reload not in site.get("/en/targets?refresh=off").text
    for name in (BOX, HOT):
        set_target(archive.database, name, state=TargetState.CLOSED, verdict=Verdict.HEALTHY)
    page = site.get("/en/targets").text
    assert reload not in page
    assert "errno 107" not in page  # it is well again: its last trouble is over


def test_a_hot_path_whose_target_is_declared_no_more_is_still_shown(
    archive: SmallArchive, site: httpx.Client
) -> None:
    set_target(archive.database, BOX, declared=False)
    names = [each["name"] for each in site.get("/api/targets").json()["targets"]]
    assert names == [SPOOL, "cold", HOT]


def test_before_the_first_steward_the_page_says_what_to_start(tmp_path: Path) -> None:
    empty = build(tmp_path, [])
    with TestClient(create_app(empty.settings, empty.database)) as client:
        page = client.get("/en/targets").text
    assert "healtharchive steward" in page


def test_every_state_and_verdict_has_a_name_for_people(
    archive: SmallArchive, site: httpx.Client
) -> None:
    for state in TargetState:
        set_target(archive.database, BOX, state=state)
        assert site.get("/fr/targets").status_code == 200
    for verdict in Verdict:
        set_target(archive.database, BOX, verdict=verdict)
        assert site.get("/fr/targets").status_code == 200


def test_healthz_is_the_live_probe(site: httpx.Client) -> None:
    for address in ("/healthz", "/health/live"):
        answer = site.get(address)
        assert (answer.status_code, answer.json()["status"]) == (200, "ok")
        assert answer.headers["Cache-Control"] == "no-store"


# -- status --------------------------------------------------------------------------------------


@pytest.fixture
def told(archive: SmallArchive, monkeypatch: pytest.MonkeyPatch) -> SmallArchive:
    """`status` in this process asks the archive."""
    monkeypatch.setenv("HEALTHARCHIVE_DATA_DIR", str(archive.settings.data_dir))
    monkeypatch.setenv("HEALTHARCHIVE_DATABASE_URL", archive.settings.database_url)
    monkeypatch.setenv("HEALTHARCHIVE_ENV_FILE", str(archive.settings.data_dir / "none.env"))
    (archive.settings.data_dir / "none.env").touch()
    return archive


def status(*words: str) -> str:
    with redirect_stdout(io.StringIO()) as out:
        assert main(["status", *words]) in (1, 2)
    return out.getvalue()


def start_steward(database: Database, actor: Actor) -> None:
    with database.begin() as connection:
        note_start(database, connection, "steward", "steward-1", "1", actor=actor)


def test_status_names_sick_targets_and_a_missing_steward(told: SmallArchive) -> None:
    lines = status().splitlines()
    (sick,) = [line for line in lines if line.startswith(f"target   {BOX}")]
    assert "stale since" in sick
    assert "errno 107" in sick
    assert not [line for line in lines if line.startswith("target   cold")]
    assert any("start `healtharchive steward`" in line for line in lines)
    start_steward(told.database, this_process())
    assert "start `healtharchive steward`" not in status()


def test_status_warns_of_a_full_spool_from_the_spools_row(told: SmallArchive) -> None:
    assert "81 % of the disk under jobs_root was used at" in status()
    found = json.loads(status("--json"))
    assert (found["spool"]["used_percent"], found["spool"]["warns"]) == (81.4, True)
    assert {each["name"] for each in found["sick_targets"]} == {BOX, HOT}
    assert found["stewards"] == []
    set_target(told.database, SPOOL, evidence={"used_percent": 74.9})
    assert "jobs_root" not in status()
    set_target(told.database, SPOOL, evidence={"used_percent": 75.0})
    assert "75 % of the disk" in status()
    set_target(told.database, SPOOL, evidence={"detail": "it hangs"})
    assert json.loads(status("--json"))["spool"] is None
