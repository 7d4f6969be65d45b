"""Grafana's dashboards: what each panel asks, and where it stands."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

SCHEMA_VERSION = 37  # of Grafana 9; newer ones read it
COLUMNS = 24
DAY = 86_400
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
Kind = Literal["stat", "timeseries", "table"]
SIZES: Mapping[Kind, tuple[int, int]] = {"stat": (4, 4), "timeseries": (12, 8), "table": (12, 8)}


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: its questions as (expression, legend). `unit` is Grafana's word for it."""

    title: str
    kind: Kind
    asks: tuple[tuple[str, str], ...]
    unit: str = "short"
    worst: float | None = None  # from there on it is shown in red


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A page of panels; `uid` is its address for ever."""

    uid: str
    title: str
    panels: tuple[Panel, ...]


def _stat(title: str, expr: str, unit: str = "short", worst: float | None = None) -> Panel:
    return Panel(title, "stat", ((expr, ""),), unit, worst)


def _lines(title: str, unit: str, *asks: tuple[str, str]) -> Panel:
    return Panel(title, "timeseries", asks, unit)


JOB = "job {{job_id}} {{source}}"
# What stands for %s in every selector: the archive that is looked at.
INSTANCE = 'instance=~"$instance"'
OVERVIEW = Dashboard(
    "healtharchive-overview",
    "HealthArchive: overview",
    (
        _stat("Jobs running", "sum(healtharchive_crawl_running_jobs{%s})"),
        _stat("Jobs parked", "sum(healtharchive_parked_jobs{%s}) or vector(0)", worst=1),
        _stat("Alerts", "sum(healtharchive_alerts_firing{%s}) or vector(0)", worst=1),
        _stat(
            "Targets down",
            'sum(1 - healtharchive_target_breaker_state{state="closed", %s})',
            worst=1,
        ),
        _stat("Disk used", "max(healtharchive_spool_used_ratio{%s})", "percentunit", 0.75),
        _stat(
            "Newest backup",
            "time() - max(healtharchive_backup_timestamp_seconds{%s})",
            "s",
            1.5 * DAY,
        ),
        _lines("Services living", "short", ("healtharchive_service_processes{%s}", "{{service}}")),
        _lines("Jobs by state", "short", ("sum by (state) (healtharchive_jobs{%s})", "{{state}}")),
        _lines(
            "Pages a second",
            "reqps",
            ("sum by (result) (rate(healtharchive_pages_total{%s}[5m]))", "{{result}}"),
        ),
        Panel("Alerts that fire", "table", (("healtharchive_alerts_firing{%s}", ""),)),
        _lines(
            "Steward: round times",
            "s",
            ("healtharchive_reconciler_last_round_seconds{%s}", "{{reconciler}}"),
        ),
        _lines(
            "Steward: failures in a row",
            "short",
            ("healtharchive_reconciler_failures{%s}", "{{reconciler}}"),
        ),
        _lines(
            "What automation did an hour",
            "short",
            (
                "sum by (what, outcome) (increase(healtharchive_actions_total{%s}[1h]))",
                "{{what}} {{outcome}}",
            ),
        ),
        Panel("Campaigns ready", "table", (("healtharchive_campaign_ready{%s}", ""),)),
    ),
)
CRAWL = Dashboard(
    "healtharchive-crawl",
    "HealthArchive: crawls",
    (
        _lines(
            "Pages a second by job",
            "reqps",
            ('rate(healtharchive_job_pages_total{result="done", %s}[5m])', JOB),
        ),
        _lines(
            "Errors a second by job",
            "reqps",
            ('rate(healtharchive_job_pages_total{result="failed", %s}[5m])', JOB),
        ),
        _lines(
            "URLs queued",
            "short",
            ('healtharchive_job_urls{state="queued", %s}', JOB),
        ),
        _lines(
            "Bytes a second by source",
            "Bps",
            ("rate(healtharchive_written_bytes_total{%s}[5m])", "{{source}}"),
        ),
        _lines(
            "Seconds without progress",
            "s",
            ("healtharchive_job_idle_seconds{%s}", JOB),
        ),
        _lines(
            "Parked jobs",
            "short",
            ("healtharchive_parked_jobs{%s}", "for {{target}}"),
            ("healtharchive_parked_jobs_by_blame{%s}", "by {{blame}}"),
        ),
        _lines(
            "Claims, back-offs and rescues an hour",
            "short",
            ("sum(increase(healtharchive_claims_total{%s}[1h]))", "claims"),
            ("sum(increase(healtharchive_parks_total{%s}[1h]))", "back-offs"),
            ("sum(increase(healtharchive_rescues_total{%s}[1h]))", "rescues"),
        ),
        _lines(
            "Waiting to be searchable and compared",
            "s",
            ("healtharchive_index_lag_seconds{%s}", "index"),
            ("healtharchive_comparison_lag_seconds{%s}", "comparison"),
        ),
    ),
)
STORAGE = Dashboard(
    "healtharchive-storage",
    "HealthArchive: storage",
    (
        _lines(
            "Breakers closed",
            "short",
            ('healtharchive_target_breaker_state{state="closed", %s}', "{{target}}"),
        ),
        _lines(
            "Since a target was seen healthy",
            "s",
            ("time() - healtharchive_target_last_healthy_timestamp_seconds{%s}", "{{target}}"),
        ),
        _lines(
            "Repairs an hour",
            "short",
            (
                "sum by (target, result) (increase(healtharchive_recoveries_total{%s}[1h]))",
                "{{target}} {{result}}",
            ),
        ),
        _lines(
            "Oldest unshipped", "s", ("healtharchive_target_shipping_lag_seconds{%s}", "{{target}}")
        ),
        _lines(
            "Bytes not safe yet",
            "bytes",
            ("healtharchive_target_unshipped_bytes{%s}", "waiting for {{target}}"),
            ("healtharchive_unverified_bytes{%s}", "without any verified copy"),
        ),
        _lines("Copies", "bytes", ("healtharchive_copies_bytes{%s}", "{{target}} {{state}}")),
        _lines("Segments", "bytes", ("healtharchive_segments_bytes{%s}", "{{state}}")),
        _lines(
            "Since the copy unread the longest was read",
            "s",
            ("time() - healtharchive_target_unread_timestamp_seconds{%s}", "{{target}}"),
        ),
        _lines(
            "Disk used",
            "percentunit",
            ("healtharchive_spool_used_ratio{%s}", "used"),
            ("healtharchive_limit_ratio{%s}", "{{limit}}"),
        ),
        _lines(
            "Disk free, and in a week",
            "bytes",
            ("healtharchive_spool_free_bytes{%s}", "free"),
            ("predict_linear(healtharchive_spool_free_bytes{%s}[6h], 604800)", "in a week"),
        ),
    ),
)
DASHBOARDS = (OVERVIEW, CRAWL, STORAGE)


def dashboard_file(dashboard: Dashboard) -> str:
    """The dashboard as Grafana imports it."""
    return json.dumps(_dashboard(dashboard), indent=2) + "\n"


def _dashboard(dashboard: Dashboard) -> dict[str, Any]:
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["healtharchive"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "timezone": "utc",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {"list": [_datasource_variable(), _instance_variable()]},
        "panels": _panels(dashboard.panels),
    }


def _datasource_variable() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
    }


def _instance_variable() -> dict[str, Any]:
    query = "label_values(healtharchive_build_info, instance)"
    return {
        "name": "instance",
        "label": "Archive",
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": "instance"},
        "definition": query,
        "refresh": 2,  # whenever the time range changes
        "includeAll": True,
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }


def _panels(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """The panels from left to right, each row as high as its highest panel."""
    placed: list[dict[str, Any]] = []
    x = y = height = 0
    for number, panel in enumerate(panels, 1):
        w, h = SIZES[panel.kind]
        if x + w > COLUMNS:
            x, y, height = 0, y + height, 0
        placed.append(_panel(number, panel, {"x": x, "y": y, "w": w, "h": h}))
        x, height = x + w, max(height, h)
    return placed


def _panel(number: int, panel: Panel, place: Mapping[str, int]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.worst is not None:
        steps.append({"color": "red", "value": panel.worst})
    defaults = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    return {
        "id": number,
        "title": panel.title,
        "type": panel.kind,
        "datasource": DATASOURCE,
        "gridPos": dict(place),
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            _target(chr(ord("A") + index), *ask, instant=panel.kind != "timeseries")
            for index, ask in enumerate(panel.asks)
        ],
    }


def _target(letter: str, expr: str, legend: str, *, instant: bool) -> dict[str, Any]:
    return {
        "refId": letter,
        "datasource": DATASOURCE,
        "expr": expr.replace("%s", INSTANCE),
        "legendFormat": legend,
        "instant": instant,
        "range": not instant,
        "format": "table" if instant else "time_series",
    }
