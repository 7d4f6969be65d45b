"""What counts as drift, in which sentence, and that each is told once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from healtharchive.model.services import Process
from healtharchive.model.told import Told
from healtharchive.settings.declared import Unknown
from healtharchive.steward.drift import FOUND, OVER, Observed, Written, drifts, plan
from tests.lab.queue import source_named

NOW = datetime(2026, 1, 24, 6, 17, tzinfo=UTC)


def process(service: str, began_hours_ago: float, **more: Any) -> Process:
    began = NOW - timedelta(hours=began_hours_ago)
    values = {
        "holder": f"{service} 1",
        "host": "lab",
        "unit": f"healtharchive-{service}.service",
        "pid": 41,
        "version": "0.1.0",
        "started_at": began,
        "beat_at": NOW,
        "stopped_at": None,
        "stop_reason": None,
        **more,
    }
    return Process(service=service, **values)


FINE = Observed(
    now=NOW,
    host="lab",
    env_file=Path("/etc/healtharchive/backend.env"),
    written=Written("d1", NOW - timedelta(hours=9)),
    env_trouble="",
    unknown=(),
    files={"hc": source_named("hc"), "new": source_named("new")},
    known={"hc": source_named("hc"), "made-by-crawl": source_named("x")},
    sources_trouble="",
    targets_trouble="",
    schema_trouble="",
    living=(process("worker", 5), process("steward", 4)),
)


def test_nothing_drifts_when_all_is_as_it_is_written() -> None:
    assert drifts(FINE) == {}


def test_a_changed_env_file_names_who_began_before_it_and_the_command() -> None:
    changed = replace(FINE, written=Written("d2", NOW - timedelta(hours=4.5)))
    assert drifts(changed) == {
        "env-file": "/etc/healtharchive/backend.env was changed at 2026-01-24T01:47:00Z, after "
        "worker began: run `systemctl restart healtharchive-worker.service`."
    }


def test_processes_without_a_unit_and_on_other_machines_are_told_apart() -> None:
    living = (process("worker", 5, unit="shell", pid=77), process("serve", 5, host="other"))
    changed = replace(FINE, written=Written("d2", NOW), living=living)
    assert "stop process 77 and start it again" in drifts(changed)["env-file"]
    assert "serve" not in drifts(changed)["env-file"]


def test_unknown_settings_are_named_with_what_was_meant() -> None:
    unknown = (Unknown("HEALTHARCHIVE_WORKERJOBS", "x line 3", "HEALTHARCHIVE_WORKER_JOBS"),)
    sentence = drifts(replace(FINE, unknown=unknown))["unknown-settings"]
    assert "HEALTHARCHIVE_WORKERJOBS (x line 3; HEALTHARCHIVE_WORKER_JOBS?)" in sentence


def test_a_source_whose_file_was_changed_is_named() -> None:
    files = {"hc": replace(source_named("hc"), name="another name")}
    assert "source hc" in drifts(replace(FINE, files=files))["sources"]


def test_older_processes_beside_newer_ones_are_told_to_restart() -> None:
    living = (process("worker", 5, version="0.9.0"), process("serve", 1, version="0.10.0"))
    sentence = drifts(replace(FINE, living=living))["versions"]
    assert sentence.startswith("worker 0.9.0 on lab runs beside version 0.10.0")
    assert "systemctl restart healtharchive-worker.service" in sentence


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("env_trouble", "env-file"),
        ("sources_trouble", "sources"),
        ("targets_trouble", "targets-file"),
        ("schema_trouble", "schema"),
    ],
)
def test_a_file_that_cannot_be_used_is_drift_in_its_own_words(field: str, kind: str) -> None:
    assert drifts(replace(FINE, **{field: "Line 3 is wrong."}))[kind] == "Line 3 is wrong."


def test_each_difference_is_told_once_and_its_end_too() -> None:
    (step,) = plan({"schema": "It is old."}, {})
    assert (step.what, step.subject_id, step.why) == (FOUND, "schema", "It is old.")
    told = {"schema": Told("schema", FOUND, NOW, "It is old.")}
    assert plan({"schema": "It is old."}, told) == []
    assert [each.what for each in plan({"schema": "It is new."}, told)] == [FOUND]
    assert [each.what for each in plan({}, told)] == [OVER]
    assert plan({}, {"schema": Told("schema", OVER, NOW)}) == []
