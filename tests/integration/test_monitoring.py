"""The files for Prometheus, Alertmanager and Grafana: in their own programs' eyes, and for real."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from healtharchive.model.states import JobStatus
from healtharchive.model.tables import archive_jobs, targets
from healtharchive.settings import load
from healtharchive.steward.metrics import DECLARED
from healtharchive.steward.metrics_operation import limits_ratio, limits_seconds
from healtharchive.steward.monitoring.dashboards import DASHBOARDS
from healtharchive.steward.monitoring.exprs import EXPRS
from healtharchive.steward.monitoring.files import SHIPPED, made_files
from healtharchive.steward.monitoring.rules import alert_file, told_rules
from healtharchive.steward.rules import RULES
from tests.lab.archive import Archive
from tests.lab.postgres import free_port
from tests.lab.processes import ROOT, running, wait_for
from tests.lab.small_archive import Exchange, build

NAME = re.compile(r"\b(healtharchive_[a-z_]+)")
ALERTMANAGER = """\
route:
  receiver: nobody
  group_by: [alertname, instance]
receivers:
  - name: nobody
"""


def asked(address: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read() or b"null")


def reached(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


# -- the files ---------------------------------------------------------------------------------


def test_the_shipped_files_are_what_the_code_makes() -> None:
    shipped = {path.name: path.read_text(encoding="utf-8") for path in SHIPPED.iterdir()}
    assert shipped == made_files(), "run `make docs`"


def test_the_command_writes_them_and_names_a_directory_it_cannot_write(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data")
    printed = archive.run("monitoring", "write", str(tmp_path / "made"))
    assert printed.split() == [str(tmp_path / "made" / name) for name in sorted(made_files())]
    for name, text in made_files().items():
        assert (tmp_path / "made" / name).read_text(encoding="utf-8") == text
    (tmp_path / "file").touch()
    said = subprocess.run(
        [ROOT / ".venv/bin/healtharchive", "monitoring", "write", tmp_path / "file"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said.returncode == 3
    assert said.stderr.startswith("healtharchive: The files cannot be written to ")
    assert said.stderr.count("\n") == 1


def test_rules_and_panels_ask_only_for_metrics_that_there_are() -> None:
    known = {each.name for each in DECLARED}
    for name, found in EXPRS.items():
        assert set(NAME.findall(found.expr)) <= known, name
    for board in DASHBOARDS:
        for panel in board.panels:
            for expr, _ in panel.asks:
                assert NAME.findall(expr)
                assert set(NAME.findall(expr)) <= known, f"{board.title}: {panel.title}"


def test_every_limit_that_a_rule_goes_by_is_told() -> None:
    settings = load({})
    for metric, told in (("seconds", limits_seconds(settings)), ("ratio", limits_ratio(settings))):
        used = re.findall(rf'limit_{metric}{{limit="(\w+)"', alert_file())
        assert used
        assert set(used) <= set(told)


# -- Grafana -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in made_files() if name.startswith("grafana")])
def test_a_dashboard_is_one_that_grafana_reads(name: str) -> None:
    board = json.loads(made_files()[name])
    assert board["schemaVersion"] >= 36
    assert re.fullmatch(r"[a-z-]{1,40}", board["uid"])
    variables = {each["name"]: each["type"] for each in board["templating"]["list"]}
    assert variables == {"datasource": "datasource", "instance": "query"}
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids) >= 8
    for panel in board["panels"]:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        for target in panel["targets"]:
            selectors = re.findall(r"\{[^{}]*\}", target["expr"])
            assert selectors
            assert all('instance=~"$instance"' in each for each in selectors)


def test_no_panel_lies_over_another() -> None:
    for text in (text for name, text in made_files().items() if name.startswith("grafana")):
        taken: set[tuple[int, int]] = set()
        for panel in json.loads(text)["panels"]:
            place = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert not taken & cells, panel["title"]
            taken |= cells


# -- Alertmanager ------------------------------------------------------------------------------


def alertmanager_config(directory: Path) -> Path:
    path = directory / "alertmanager.yml"
    path.write_text(ALERTMANAGER + made_files()["alertmanager-inhibit.yml"])
    return path


def test_amtool_accepts_the_inhibition_in_a_whole_configuration(tmp_path: Path) -> None:
    done = subprocess.run(
        ["amtool", "check-config", str(alertmanager_config(tmp_path))],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    links = made_files()["alertmanager-inhibit.yml"].count("source_matchers")
    assert f"{links} inhibit rules" in done.stdout


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("alertmanager")
    port = free_port()
    command = [
        "prometheus-alertmanager",
        f"--config.file={alertmanager_config(directory)}",
        f"--storage.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    address = f"http://127.0.0.1:{port}"
    with running(command, log=directory / "log"):
        wait_for(lambda: reached(f"{address}/-/ready"), what="Alertmanager is ready")
        yield address


BOX = {"target": "box", "kind": "mount", "place": "box"}
HOT_PATH = {"target": "hc", "kind": "bind", "place": "box"}
OTHER = {"target": "attic", "kind": "mount", "place": "attic"}
JOB_ON_HC = {"job_id": "7", "target": "hc", "place": "box"}
JOB_ON_SPOOL = {"job_id": "8", "target": "spool", "place": "spool"}
Sent = tuple[str, Mapping[str, str]]
# What fires at once, and which of it people are told.
TOLD: tuple[tuple[tuple[Sent, ...], tuple[str, ...]], ...] = (
    ((("TargetDown", BOX), ("TargetDown", HOT_PATH)), ("TargetDown box",)),
    ((("TargetDown", HOT_PATH), ("JobParkedLong", JOB_ON_HC)), ("TargetDown hc",)),
    ((("TargetDown", BOX), ("JobStalled", JOB_ON_HC)), ("TargetDown box",)),
    ((("TargetDown", BOX), ("ShippingLate", OTHER)), ("ShippingLate attic", "TargetDown box")),
    ((("TargetDown", OTHER), ("TargetDown", BOX)), ("TargetDown attic", "TargetDown box")),
    (
        (("TargetDown", HOT_PATH), ("ShippingLate", BOX)),  # one hot path says little of the box
        ("ShippingLate box", "TargetDown hc"),
    ),
    (
        (("TargetHeld", BOX), ("TargetDown", BOX), ("TargetFlapping", BOX), ("CopyBad", BOX)),
        ("TargetHeld box",),
    ),
    (
        (
            ("TargetFlapping", BOX),
            ("TargetDown", BOX),
            ("TargetFlapping", HOT_PATH),
            ("JobParkedLong", JOB_ON_HC),
            ("ShippingLate", BOX),
        ),
        ("TargetFlapping box",),
    ),
    (
        (("TargetFlapping", OTHER), ("TargetDown", BOX)),
        ("TargetDown box", "TargetFlapping attic"),
    ),
    ((("StewardDown", {}), ("ComparisonLate", {})), ("StewardDown",)),
    (
        (("RestartOwed", {"service": "worker"}), ("WorkerDown", {}), ("ComparisonLate", {})),
        ("RestartOwed",),
    ),
    (
        (("RestartOwed", {"service": "serve"}), ("WorkerDown", {})),
        ("RestartOwed", "WorkerDown"),
    ),
    ((("WorkerPaused", {}), ("IndexLate", JOB_ON_HC)), ("WorkerPaused",)),
    ((("WorkerDown", {}), ("CrawlErrors", JOB_ON_HC)), ("CrawlErrors hc", "WorkerDown")),
    (
        (("StewardDown", {}), ("BackupOld", {}), ("RestartOwed", {"service": "serve"})),
        ("StewardDown",),
    ),
    ((("StewardDown", {}), ("TargetDown", BOX)), ("StewardDown", "TargetDown box")),
    (
        (("SpoolFull", {}), ("SpoolFilling", {}), ("JobParkedLong", JOB_ON_SPOOL)),
        ("SpoolFull",),
    ),
    ((("SpoolFull", {}), ("JobParkedLong", JOB_ON_HC)), ("JobParkedLong hc", "SpoolFull")),
)


def test_one_root_cause_is_one_alert_in_a_real_alertmanager(alertmanager: str) -> None:
    now = datetime.now(UTC)
    ends = (now + timedelta(minutes=10)).isoformat()
    sent = [
        {"labels": {"alertname": name, "instance": str(number), **labels}, "endsAt": ends}
        for number, (fired, _) in enumerate(TOLD)
        for name, labels in fired
    ]
    asked(f"{alertmanager}/api/v2/alerts", sent)

    def told() -> list[tuple[str, ...]]:
        told_of: list[list[str]] = [[] for _ in TOLD]
        answer = asked(f"{alertmanager}/api/v2/alerts?inhibited=false&active=true")
        for alert in answer:
            labels = alert["labels"]
            words = f"{labels['alertname']} {labels.get('target', '')}".strip()
            told_of[int(labels["instance"])].append(words)
        return [tuple(sorted(each)) for each in told_of]

    wanted = [tuple(sorted(each)) for _, each in TOLD]
    wait_for(lambda: all(told()), what="Alertmanager has taken the alerts")
    assert told() == wanted


def test_every_explanation_of_the_rules_is_among_them() -> None:
    pairs = set()
    for block in made_files()["alertmanager-inhibit.yml"].split("source_matchers")[1:]:
        cause = re.findall(r'alertname = "(\w+)"', block)[0]
        explained = re.findall(r'alertname =~ "([\w|]+)"', block)[0]
        pairs |= {(cause, name) for name in explained.split("|")}
    assert pairs == {(cause, rule.name) for rule in told_rules() for cause in rule.explained_by}
    assert {each.name for each in RULES} >= {cause for cause, _ in pairs}


# -- Prometheus --------------------------------------------------------------------------------


@contextmanager
def prometheus(directory: Path, served_port: int) -> Iterator[str]:
    """A real Prometheus that asks the pages every 3 s, by rules that do not wait long."""
    port = free_port()
    (directory / "alerts.yml").write_text(alert_file(shortened=100))
    (directory / "prometheus.yml").write_text(
        "global:\n"
        "  scrape_interval: 3s\n"  # which is also how long a scrape may take: others work here too
        "  evaluation_interval: 1s\n"
        "rule_files: [alerts.yml]\n"
        "scrape_configs:\n"
        "  - job_name: healtharchive\n"
        f"    static_configs: [{{targets: ['127.0.0.1:{served_port}']}}]\n"
    )
    command = [
        "prometheus",
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    address = f"http://127.0.0.1:{port}"
    with running(command, log=directory / "prometheus.log"):
        wait_for(lambda: reached(f"{address}/-/ready"), what="Prometheus is ready")
        yield address


def firing(address: str) -> dict[str, dict[str, Any]]:
    alerts = asked(f"{address}/api/v1/alerts")["data"]["alerts"]
    return {each["labels"]["alertname"]: each for each in alerts if each["state"] == "firing"}


def test_a_real_prometheus_scrapes_the_archive_and_fires(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    exchanges = [Exchange("/", b"<p>here</p>", title="Here", language="en")]
    small = build(tmp_path / "data", exchanges)
    archive = Archive(small.settings.data_dir, {"DATABASE_URL": small.settings.database_url})
    (archive.data_dir / "backend.env").touch()
    sick: dict[str, Any] = {"kind": "mount", "root": "/x", "state": "open"}
    with small.database.begin() as connection:
        now = small.database.now(connection)
        connection.execute(insert(targets).values(name="box", since=now, **sick))
        connection.execute(
            update(archive_jobs).values(status=JobStatus.QUEUED, target=None, not_before=None)
        )
    port = free_port()
    with archive.serving(port), prometheus(tmp_path, port) as address:
        wait_for(
            lambda: {"TargetDown", "WorkerDown"} <= set(firing(address)),
            what="the sick target and the missing worker fire",
            seconds=120,
            every=0.5,
        )
        found = firing(address)
        down = found["TargetDown"]
        assert down["labels"]["target"] == "box"
        assert down["labels"]["severity"] == "critical"
        assert down["annotations"]["summary"].startswith("box cannot be used")
        assert down["annotations"]["runbook"] == "docs/playbooks/targetdown.md"
        assert "1 jobs have something to do" in found["WorkerDown"]["annotations"]["summary"]
        assert "ScrapeDown" not in found
        rules = asked(f"{address}/api/v1/rules")["data"]["groups"]
        health = {rule["name"]: rule["health"] for group in rules for rule in group["rules"]}
        assert set(health.values()) == {"ok"}, health
        with small.database.begin() as connection:
            connection.execute(update(targets).values(state="closed"))
        wait_for(
            lambda: "TargetDown" not in firing(address),
            what="the alert is over",
            seconds=30,
            every=0.5,
        )
