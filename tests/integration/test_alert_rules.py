"""Each rule for Prometheus, judged by promtool: silent while all is well, fires after its time."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from healtharchive.steward.monitoring.as_yaml import Plain, to_yaml
from healtharchive.steward.monitoring.exprs import EXPRS, UNTELLABLE
from healtharchive.steward.monitoring.rules import alert_file, duration, told_rules
from healtharchive.steward.rules import RULES

RULES_BY_NAME = {each.name: each for each in told_rules()}
STEPS_BEFORE = 10  # in which all is well
HOUR, DAY = 3600, 86_400
NOW = "now"  # a moment that goes with the clock: whatever it is was done just then

# A healthy archive. `job 7` writes to the hot path `hc`, which is a bind of `box`.
HEALTHY: dict[str, float | str] = {
    'limit_seconds{limit="backup"}': DAY,
    'limit_seconds{limit="deploy_lock"}': HOUR,
    'limit_seconds{limit="fixity"}': 90 * DAY,
    'limit_seconds{limit="flapping"}': 600,
    'limit_seconds{limit="index_lag"}': 7200,
    'limit_seconds{limit="repay"}': 30,
    'limit_seconds{limit="restore_test"}': 7 * DAY,
    'limit_seconds{limit="ship_lag"}': 43_200,
    'limit_seconds{limit="spool_full"}': 7 * DAY,
    'limit_ratio{limit="spool_warn"}': 0.75,
    'limit_ratio{limit="spool_soft"}': 0.85,
    'service_processes{service="steward"}': 1,
    'service_processes{service="worker"}': 1,
    'service_processes{service="serve"}': 1,
    'service_beat_timestamp_seconds{service="serve"}': NOW,
    'service_start_timestamp_seconds{service="steward"}': 0,
    'service_holds{service="worker",kind="pause"}': 0,
    'service_holds{service="worker",kind="owed"}': 0,
    'service_holds{service="serve",kind="owed"}': 0,
    'service_holds{service="steward",kind="owed"}': 0,
    "worker_paused": 0,
    'reconciler_failures{reconciler="storage"}': 0,
    'reconciler_last_round_timestamp_seconds{reconciler="storage"}': NOW,
    'reconciler_pace_seconds{reconciler="storage"}': 10,
    'target_info{target="box",kind="mount",place="box"}': 1,
    'target_info{target="hc",kind="bind",place="box"}': 1,
    'target_info{target="spool",kind="local",place="spool"}': 1,
    'target_breaker_state{target="box",state="closed"}': 1,
    'target_breaker_state{target="hc",state="closed"}': 1,
    'target_breaker_state{target="spool",state="closed"}': 1,
    'target_verdict{target="spool",verdict="full"}': 0,
    'target_breaker_timestamp_seconds{target="box"}': NOW,
    'target_trips{target="box"}': 0,
    'target_held{target="box"}': 0,
    'target_shipping_lag_seconds{target="box"}': 100,
    'target_unread_timestamp_seconds{target="box"}': NOW,
    'copies_bytes{target="box",state="verified"}': 1e12,
    'copies_bytes{target="box",state="differs"}': 0,
    "lost_segments": 0,
    "spool_used_ratio": 0.5,
    "spool_free_bytes": 5e11,
    'job_info{job_id="7",source="phac",campaign="annual-2026",target="hc",place="box"}': 1,
    'jobs{source="phac",state="running"}': 1,
    'jobs{source="phac",state="parked"}': 0,
    'jobs{source="phac",state="failed"}': 0,
    'job_idle_seconds{job_id="7",source="phac"}': 20,
    'job_stall_seconds{job_id="7",source="phac"}': 1800,
    'job_parked{job_id="7",source="phac"}': 0,
    'job_pages_total{job_id="7",source="phac",result="done"}': "0+600x{steps}",
    'job_pages_total{job_id="7",source="phac",result="failed"}': "0+60x{steps}",
    'job_index_lag_seconds{job_id="7",source="phac"}': 10,
    "worker_waiting_jobs": 1,
    "comparison_lag_seconds": 0,
    'campaign_settled{campaign="annual-2026"}': 0,
    'campaign_ready{campaign="annual-2026"}': 0,
    "backup_timestamp_seconds": NOW,
    "restore_test_ok": 1,
    "backup_unproven_timestamp_seconds": NOW,
    'drift{thing="schema"}': 0,
    'expiry_warn_timestamp_seconds{kind="certificate",name="archive.example"}': 1e9,
    "reader_reports_open": 0,
    "deploy_lock_age_seconds": 60,
    "database_up": 1,
    "textfile_timestamp_seconds": NOW,
}
TARGET = {"target": "box", "kind": "mount", "place": "box"}
JOB = {
    "job_id": "7",
    "source": "phac",
    "campaign": "annual-2026",
    "target": "hc",
    "place": "box",
}


@dataclass(frozen=True)
class Case:
    """What goes wrong, the alert that tells it, its labels, and others that come with it.

    `after_steps` is when its expression sees it, after what is wrong has begun.
    """

    alert: str
    wrong: Mapping[str, float | str | None]  # None: the series is not there at all
    labels: Mapping[str, str] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    after_steps: int = 0


CASES = (
    Case("StewardDown", {'service_processes{service="steward"}': 0}, {"service": "steward"}),
    Case("WorkerDown", {'service_processes{service="worker"}': 0}),
    Case("ServeDown", {'service_processes{service="serve"}': 0}, {"service": "serve"}),
    Case("WorkerPaused", {"worker_paused": 1, 'jobs{source="phac",state="parked"}': 1}),
    Case(
        "RestartOwed",
        {'service_restart_owed_timestamp_seconds{service="worker"}': -1000},
        {"service": "worker"},
    ),
    Case(
        "ReconcilerFailing",
        {'reconciler_failures{reconciler="storage"}': 3},
        {"reconciler": "storage"},
    ),
    Case("TargetDown", {'target_breaker_state{target="box",state="closed"}': 0}, TARGET),
    Case("TargetHeld", {'target_held{target="box"}': 1}, TARGET),
    Case("TargetFlapping", {'target_trips{target="box"}': 3}, TARGET),
    Case("SpoolFilling", {"spool_used_ratio": 0.75}),
    Case("SpoolFull", {"spool_used_ratio": 0.85}, also=("SpoolFilling",)),
    Case("DiskFullSoon", {"spool_free_bytes": "5e11-1e9x{steps}"}, after_steps=-9),
    Case("ShippingLate", {'target_shipping_lag_seconds{target="box"}': 43_200}, TARGET),
    Case("CopyBad", {'copies_bytes{target="box",state="differs"}': 1e9}, TARGET),
    Case("SegmentLost", {"lost_segments": 1}),
    Case("FixityLate", {'target_unread_timestamp_seconds{target="box"}': -100 * DAY}, TARGET),
    Case("JobStalled", {'job_idle_seconds{job_id="7",source="phac"}': 1801}, JOB),
    Case(
        "JobFailed",
        {'jobs{source="phac",state="failed"}': 1},
        {"source": "phac", "state": "failed"},
    ),
    Case("JobParkedLong", {'job_parked{job_id="7",source="phac"}': 1}, JOB),
    Case(
        "CrawlErrors",
        {'job_pages_total{job_id="7",source="phac",result="failed"}': "0+700x{steps}"},
        JOB,
        after_steps=-9,
    ),
    Case("IndexLate", {'job_index_lag_seconds{job_id="7",source="phac"}': 7200}, JOB),
    Case("ComparisonLate", {"comparison_lag_seconds": 5}),
    Case(
        "CampaignNotReady",
        {'campaign_settled{campaign="annual-2026"}': 1},
        {"campaign": "annual-2026"},
    ),
    Case("BackupOld", {"backup_timestamp_seconds": -1.6 * DAY}),
    Case("RestoreFailed", {"restore_test_ok": 0}),
    Case("Drift", {'drift{thing="schema"}': 1}, {"thing": "schema"}),
    Case(
        "Expiring",
        {'expiry_warn_timestamp_seconds{kind="certificate",name="archive.example"}': 0},
        {"kind": "certificate", "name": "archive.example"},
    ),
    Case("ReportsWaiting", {"reader_reports_open": 2}),
    Case("DeployLocked", {"deploy_lock_age_seconds": HOUR}),
    Case("DatabaseDown", {"database_up": 0}),
    Case("ScrapeDown", {"up": 0}, {"job": "healtharchive"}),
    Case("TextfileStale", {"textfile_timestamp_seconds": -400}),
)
# What looks like trouble and is none, or is told by another alert.
HARMLESS: Mapping[str, Mapping[str, float | str | None]] = {
    "a worker that is paused": {
        'service_processes{service="worker"}': 0,
        'service_holds{service="worker",kind="pause"}': 1,
    },
    "no worker and nothing to do": {
        'service_processes{service="worker"}': 0,
        "worker_waiting_jobs": 0,
    },
    "a pause while nothing waits": {"worker_paused": 1},
    "pages that were last served two days ago": {
        'service_processes{service="serve"}': 0,
        'service_beat_timestamp_seconds{service="serve"}': -2 * DAY,
    },
    "a full disk, whose breaker is open for that": {
        'target_breaker_state{target="spool",state="closed"}': 0,
        'target_verdict{target="spool",verdict="full"}': 1,
    },
    "a target that flapped long ago": {
        'target_trips{target="box"}': 5,
        'target_breaker_timestamp_seconds{target="box"}': -HOUR,
    },
    "a campaign that is ready": {
        'campaign_settled{campaign="annual-2026"}': 1,
        'campaign_ready{campaign="annual-2026"}': 1,
    },
    "a reconciler whose rounds are rare": {
        'reconciler_last_round_timestamp_seconds{reconciler="storage"}': -HOUR,
        'reconciler_pace_seconds{reconciler="storage"}': 2 * HOUR,
    },
    "backups that are not tried for ten days": {
        "restore_test_ok": None,
        "backup_unproven_timestamp_seconds": -10 * DAY,
    },
    "an archive that has just begun and has no backup": {
        "backup_timestamp_seconds": None,
    },
}
OTHER_CASES = (
    Case(  # a reconciler that hangs
        "ReconcilerFailing",
        {'reconciler_last_round_timestamp_seconds{reconciler="storage"}': -HOUR},
        {"reconciler": "storage"},
        after_steps=1,  # a steward that was just started is given ten minutes
    ),
    Case(  # none was ever made, and the steward has been there for days
        "BackupOld",
        {
            "backup_timestamp_seconds": None,
            'service_start_timestamp_seconds{service="steward"}': -2 * DAY,
        },
        after_steps=4,  # Prometheus goes on seeing a series for five minutes
    ),
    Case(  # its role may not create a database: no backup is ever tried
        "RestoreFailed",
        {"restore_test_ok": None, "backup_unproven_timestamp_seconds": -14.1 * DAY},
    ),
    Case(  # it flapped, and is down for good
        "TargetFlapping",
        {
            'target_trips{target="box"}': 3,
            'target_breaker_timestamp_seconds{target="box"}': -HOUR,
            'target_breaker_state{target="box",state="closed"}': 0,
        },
        TARGET,
        also=("TargetDown",),
    ),
    Case(  # a hot path alone
        "TargetDown",
        {'target_breaker_state{target="hc",state="closed"}': 0},
        {"target": "hc", "kind": "bind", "place": "box"},
    ),
)


def step_seconds(case: Case) -> int:
    """The time between two looks: fine where little time counts, coarse where days do."""
    lasts = RULES_BY_NAME[case.alert].lasts_seconds
    if lasts <= 900:
        return 30
    return 300 if lasts <= 7200 else 3600


def series(
    changed: Mapping[str, float | str | None], step: int, steps: int, *, before: int = STEPS_BEFORE
) -> list[Plain]:
    """The input of a test: healthy for some steps, then with these changes."""
    rows: dict[str, str] = {'up{job="healtharchive",instance="a"}': f"1x{steps}"}
    for name, good in HEALTHY.items():
        bad = changed.get(name, good)
        rows[_named(name)] = _values(good, bad, step, steps, before)
    for name, bad in changed.items():
        if name == "up":
            rows['up{job="healtharchive",instance="a"}'] = _values(1, bad, step, steps, before)
        elif name not in HEALTHY:
            rows[_named(name)] = _values(None, bad, step, steps, before)
    return [{"series": name, "values": values} for name, values in rows.items()]


def _named(name: str) -> str:
    head, _, labels = name.partition("{")
    inner = labels.removesuffix("}")
    return f'healtharchive_{head}{{{inner + "," if inner else ""}instance="a"}}'


def _values(
    good: float | str | None, bad: float | str | None, step: int, steps: int, before: int
) -> str:
    """promtool's notation: AxN is A and N more of it."""
    if isinstance(bad, str) and bad != NOW:
        return bad.format(steps=steps)
    if good == bad:
        return _run(good, step, 0, steps)
    return f"{_run(good, step, 0, before - 1)} {_run(bad, step, before, steps - before)}"


def _run(value: float | str | None, step: int, first: int, more: int) -> str:
    if value is None:
        return f"_x{more + 1}"
    if value == NOW:
        return f"{first * step}+{step}x{more}"
    return f"{value}x{more}"


def fires(alert: str, labels: Mapping[str, str], instance: str = "a") -> dict[str, Plain]:
    """The sample that Prometheus writes of an alert that fires."""
    told = {
        "alertname": alert,
        "alertstate": "firing",
        "severity": RULES_BY_NAME[alert].severity,
        "instance": instance,
        **labels,
    }
    inner = ",".join(f'{name}="{value}"' for name, value in told.items())
    return {"labels": f"ALERTS{{{inner}}}", "value": 1}


def asked(seconds: int, samples: list[Plain]) -> Plain:
    question = 'ALERTS{alertstate="firing"}'
    return {"expr": question, "eval_time": duration(seconds), "exp_samples": samples}


def group_of(case: Case, step: int) -> Plain:
    """One test: silent at first, silent until it has lasted long enough, and then it fires."""
    lasts = int(RULES_BY_NAME[case.alert].lasts_seconds)
    seen = (STEPS_BEFORE + case.after_steps) * step
    steps = (seen + lasts) // step + 4
    wanted = [fires(case.alert, case.labels), *(fires(each, case.labels) for each in case.also)]
    early = [asked(seen - step, [])] if seen >= step else []
    pending = [asked(seen + lasts - step, [])] if lasts >= step and not case.also else []
    return {
        "name": case.alert,
        "interval": duration(step),
        "input_series": series(case.wrong, step, steps),
        "promql_expr_test": [
            *early,
            *pending,
            asked(seen + max(lasts, 300 * bool(case.also)) + step, wanted),
        ],
    }


def run_promtool(directory: Path, groups: list[Plain], step: int) -> str:
    """What promtool objects to; empty when it is content."""
    (directory / "alerts.yml").write_text(alert_file())
    tests = directory / f"tests-{step}.yml"
    tests.write_text(
        to_yaml(
            {
                "rule_files": ["alerts.yml"],
                "evaluation_interval": duration(step),
                "tests": groups,
            }
        )
    )
    done = subprocess.run(
        ["promtool", "test", "rules", tests.name],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_promtool_accepts_the_rules(tmp_path: Path) -> None:
    path = tmp_path / "alerts.yml"
    path.write_text(alert_file())
    done = subprocess.run(
        ["promtool", "check", "rules", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"{len(told_rules())} rules found" in done.stdout


def test_every_alert_has_an_expression_or_a_reason_why_prometheus_cannot_tell() -> None:
    for rule in RULES:
        assert (rule.name in EXPRS) != (rule.name in UNTELLABLE), rule.name
    assert {each.name for each in told_rules()} == set(EXPRS)


def test_every_alert_has_its_test() -> None:
    assert [case.alert for case in CASES] == list(EXPRS)


@pytest.mark.parametrize("step", [30, 300, 3600])
def test_each_alert_fires_alone_after_its_time_and_not_before(tmp_path: Path, step: int) -> None:
    groups = [group_of(case, step) for case in CASES if step_seconds(case) == step]
    assert groups
    assert run_promtool(tmp_path, groups, step) == ""


def test_each_alert_tells_the_other_ways_in_which_it_may_come(tmp_path: Path) -> None:
    groups = [group_of(case, 60) for case in OTHER_CASES]
    assert run_promtool(tmp_path, groups, 60) == ""


@pytest.mark.parametrize("what", [None, *HARMLESS])
def test_nothing_fires_while_all_is_well(tmp_path: Path, what: str | None) -> None:
    changed = HARMLESS[what] if what else {}
    steps = 50
    group: Plain = {
        "interval": "5m",
        "input_series": series(changed, 300, steps),
        "promql_expr_test": [asked(seconds, []) for seconds in range(0, 300 * steps, 3000)],
    }
    assert run_promtool(tmp_path, [group], 300) == ""


def test_a_job_that_is_tried_now_and_then_is_parked_all_the_same(tmp_path: Path) -> None:
    parked = {'job_parked{job_id="7",source="phac"}': "1 1 0 " * 60}
    group: Plain = {
        "interval": "5m",
        "input_series": series(parked, 300, 100),
        "promql_expr_test": [asked(3 * HOUR, [fires("JobParkedLong", JOB)])],
    }
    assert run_promtool(tmp_path, [group], 300) == ""


def test_two_archives_in_one_prometheus_are_not_mixed_up(tmp_path: Path) -> None:
    well = series({}, 30, 100)
    sick = series({'target_breaker_state{target="box",state="closed"}': 0}, 30, 100)
    renamed = [
        {key: str(text).replace('instance="a"', 'instance="b"') for key, text in each.items()}
        for each in sick
        if isinstance(each, Mapping)
    ]
    group: Plain = {
        "interval": "30s",
        "input_series": [*well, *renamed],
        "promql_expr_test": [asked(900, [fires("TargetDown", TARGET, "b")])],
    }
    assert run_promtool(tmp_path, [group], 30) == ""


def test_sentences_name_only_labels_that_the_alert_has() -> None:
    for name, found in EXPRS.items():
        used = set(re.findall(r"\$labels\.(\w+)", found.summary))
        assert used <= {*found.labels, "service", "instance"}, name
