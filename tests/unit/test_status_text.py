"""The screen of `status`: what is wrong first, each with its cure; or that all is well."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from healtharchive.cli.status import verdict_of
from healtharchive.cli.status_text import screen
from healtharchive.model.actions import Action
from healtharchive.model.services import HoldKind, Service
from healtharchive.steward.condition import (
    AlertNow,
    CampaignNow,
    Condition,
    SpoolNow,
)
from tests.lab.conditions import (
    NOW,
    ago,
    found_in,
    healthy,
    hold,
    process,
    running,
    settings_here,
    stopped,
    target,
    waiting,
    with_services,
)

SICK: dict[str, Any] = {"state": "open", "verdict": "stale", "error": "errno 107"}


def shown(condition: Condition, year: int | None = None) -> list[str]:
    return screen(condition, found_in(condition), settings_here(), year)


def verdict(condition: Condition) -> str:
    return verdict_of(found_in(condition), condition)


def only(lines: list[str], beginning: str) -> str:
    (found,) = [line for line in lines if line.startswith(beginning)]
    return found


def test_when_all_is_well_the_first_line_says_so_in_one_sentence() -> None:
    lines = shown(healthy())
    assert lines[0] == "All is well: 3 indexed; worker, steward and serve run."
    assert verdict(healthy()) == "fine"
    assert not [line for line in lines[1:] if line.startswith(("All", "FAIL", "WARN"))]


def test_a_crawl_that_waits_politely_says_for_whom_and_until_when() -> None:
    words = "waits politely for a.example: it asked to be left alone so long (Retry-After)"
    soon = NOW + timedelta(minutes=50)
    still = {"progress_at": ago(minutes=40), "waits_until": soon, "waits": words}
    waits = healthy(running=(running(**still),))
    assert f"{words}, until " in only(shown(waits), "running")
    assert verdict(waits) == "fine"
    over = healthy(running=(running(**{**still, "waits_until": ago(minutes=31), "waits": ""}),))
    assert "politely" not in only(shown(over), "running")
    assert "JobStalled" in "".join(found.rule.name for found in found_in(over))


def test_what_fails_comes_before_what_warns_each_with_command_and_playbook() -> None:
    wrong = healthy(
        failed=(waiting(9, status="failed", why="no seed leads anywhere"),),
        targets=(target("box", **SICK),),
        reports_open=2,
        reports_since=ago(days=9),
    )
    lines = shown(wrong)
    assert lines[0].startswith("FAIL  TargetDown (3 d): box is stale since")
    assert lines[1] == "      run `healtharchive why target box`; read docs/playbooks/targetdown.md"
    assert lines[2].startswith("      next: the steward looks at it every 4 s")
    assert lines[3].startswith("      only you: look at the other side")
    assert lines[4].startswith("WARN  JobFailed")
    assert lines[5] == "      run `healtharchive why job 9`; read docs/playbooks/jobfailed.md"
    assert lines[8].startswith("NOTE  ReportsWaiting")
    assert verdict(wrong) == "critical"
    assert verdict(replace(wrong, targets=())) == "warnings"


def test_a_note_is_no_warning() -> None:
    noted = healthy(reports_open=2, reports_since=ago(days=9))
    assert verdict(noted) == "fine"
    assert [line.split()[0] for line in shown(noted)[:2]] == ["All", "NOTE"]


def test_what_is_explained_stands_below_its_cause_and_is_counted() -> None:
    jobs = tuple(waiting(number, targets=("box",)) for number in range(10, 16))
    lines = shown(healthy(targets=(target("box", **SICK),), waiting=jobs))
    assert [line.split(":")[0] for line in lines[:8]] == [
        "FAIL  TargetDown (3 d)",
        "      run `healtharchive why target box`; read docs/playbooks/targetdown.md",
        "      next",
        "      only you",
        "      hence JobParkedLong",
        "      hence JobParkedLong",
        "      hence JobParkedLong",
        "      hence also 3 × JobParkedLong",
    ]
    assert not [line for line in lines if line.startswith("WARN")]


def test_what_hangs_on_something_that_has_not_lasted_is_not_told_either() -> None:
    pause = hold(Service.WORKER, HoldKind.PAUSE, at=ago(hours=3))
    paused = healthy(
        services=with_services(stopped(Service.WORKER, pause)),
        jobs={"completed": 1},
        unindexed_since=ago(hours=5),
    )
    lines = shown(paused)
    assert lines[0].startswith("All is well")
    assert "is paused by ada" in only(lines, "worker   is paused")


def test_processes_are_named_with_unit_and_silent_ones_too() -> None:
    silent = replace(
        with_services()[Service.STEWARD],
        living=(),
        silent=(process("steward", beat_at=ago(minutes=5)),),
    )
    run = process("run", holder="vps1:900:1:2", unit="healtharchive-job-7-0123abcd.service")
    lines = shown(healthy(services=with_services(silent), runs=(run,)))
    workers = [line for line in lines if line.startswith("worker")]
    assert workers[0].startswith(
        "worker   vps1:812:1:worker in healtharchive-worker.service, since 2026-01-23 12:00:00Z"
    )
    assert "vps1:900:1:2 in healtharchive-job-7-0123abcd.service" in workers[1]
    assert only(lines, "steward  vps1").endswith("is silent since 2026-01-24 11:55:00Z (5 min ago)")
    assert "start `healtharchive steward`" in only(lines, "steward  none")


def test_a_running_job_shows_its_rate_and_how_long_its_queue_takes() -> None:
    lines = shown(healthy(running=(running(),), jobs={"running": 1}))
    assert only(lines, "running") == (
        "running  job 6 (hc): 100 of 401 URLs done, 60 pages a minute, what is queued takes "
        "5 min more, held by vps1:812:1:worker in healtharchive-worker.service"
    )


def test_a_waiting_job_shows_its_reason_and_when_it_is_released() -> None:
    lines = shown(healthy(waiting=(waiting(),), jobs={"parked": 1}))
    assert only(lines, "waiting") == (
        "waiting  job 7 (phac): stale mount (errno 107); next try 2026-01-24 12:01:00Z (in 1 min)"
    )
    many = tuple(waiting(number) for number in range(30))
    assert only(shown(healthy(waiting=many)), "waiting  …") == (
        "waiting  … and 20 more: `healtharchive list-jobs`"
    )


def test_campaigns_are_the_newest_or_those_of_the_year() -> None:
    old = CampaignNow("annual-2025", 2025, True, ())
    new = CampaignNow("annual-2026", 2026, False, ("a", "b", "c", "d"))
    both = healthy(campaigns=(new, old))
    assert only(shown(both), "campaign") == (
        "campaign annual-2026: ready for search: NO (a; b; c; and 1 more)"
    )
    assert only(shown(both, 2025), "campaign") == "campaign annual-2025: ready for search: YES"
    assert only(shown(both, 2024), "campaign") == "campaign there is none of 2024"


def test_the_disk_its_projection_actions_and_alerts_are_there() -> None:
    action = Action(ago(minutes=2), "target", "box", "recover", "applied", "it was stale")
    alert = AlertNow(
        "TargetDown", "critical", "target", "box", "box is stale", ago(hours=1), NOW, ""
    )
    lines = shown(healthy(spool=SpoolNow(61.0, NOW, 12.3), actions=(action,), alerts=(alert,)))
    assert only(lines, "spool") == (
        "spool    61 % used at 2026-01-24 12:00:00Z (now); full in 12.3 days if it goes on "
        "like this"
    )
    assert only(lines, "did") == (
        "did      2026-01-24 11:58:00Z (2 min ago) recover target box: applied. it was stale"
    )
    assert only(lines, "alert").startswith("alert    TargetDown (critical) since 2026-01-24 11:00")


def test_a_hostile_reason_moves_no_cursor() -> None:
    hostile = waiting(9, status="failed", why="\x1b[2J\x1b]0;owned\x07")
    assert not any("\x1b" in line or "\x07" in line for line in shown(healthy(failed=(hostile,))))


def test_an_older_index_is_told_with_who_makes_the_new_one() -> None:
    assert not any(line.startswith("search") for line in shown(healthy()))
    lines = shown(healthy(index_renewal="it has format v2"))
    assert only(lines, "search") == "search   the steward makes the index anew: it has format v2"
    assert lines[0].startswith("All is well")
    gone = replace(with_services()[Service.STEWARD], living=())
    lines = shown(healthy(index_renewal="it has format v2", services=with_services(gone)))
    assert "no steward is running that would go on" in only(lines, "search")


def test_a_new_deploy_lock_is_told_as_what_it_does() -> None:
    lines = shown(healthy(deploy_lock_age_seconds=60.0))
    assert only(lines, "lock").endswith("is 1 min old: nothing is repaired automatically")
    assert lines[0].startswith("All is well")
    old = shown(healthy(deploy_lock_age_seconds=timedelta(hours=2).total_seconds()))
    assert old[0].startswith("WARN  DeployLocked")
