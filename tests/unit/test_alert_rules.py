"""Each alert rule finds what it should and nothing else, and one root cause is one alert."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from healtharchive.model.expiries import Expiry
from healtharchive.model.rounds import Round
from healtharchive.model.services import HoldKind, Service
from healtharchive.steward.condition import BackupNow, CampaignNow, SpoolNow
from healtharchive.steward.findings import GRAVITY, worth_telling
from healtharchive.steward.rules import RULES
from tests.lab.conditions import (
    NOW,
    ago,
    found_in,
    healthy,
    hold,
    names,
    never,
    process,
    running,
    stopped,
    target,
    waiting,
    with_services,
)

SICK: dict[str, Any] = {"state": "open", "verdict": "stale", "error": "errno 107"}
WORKER_GONE = {"services": with_services(stopped(Service.WORKER)), "jobs": {"parked": 2}}
NO_STEWARD = with_services(stopped(Service.STEWARD))
PAUSE = hold(Service.WORKER, HoldKind.PAUSE, at=ago(days=2))
OWED = hold(Service.WORKER, HoldKind.OWED, at=ago(minutes=10), until=ago(minutes=5))
ROUND = Round("spool", NOW, NOW, 0.1, 7, 0, None, None, 300.0)

# The rule, what is wrong, and the nearest condition in which nothing is.
CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("StewardDown", {"services": NO_STEWARD}, {"services": NO_STEWARD, "targets": ()}),
    ("WorkerDown", WORKER_GONE, {**WORKER_GONE, "jobs": {"indexed": 2}}),
    # What waits for a dead target, or for its time, is no work for anybody.
    ("WorkerDown", WORKER_GONE, {**WORKER_GONE, "for_workers": 0}),
    (
        "WorkerDown",
        {"services": with_services(never(Service.WORKER)), "jobs": {"queued": 1}},
        # A run of that one job is all that is needed.
        {
            "services": with_services(never(Service.WORKER)),
            "jobs": {"running": 1},
            "runs": (process("run"),),
        },
    ),
    (
        "ServeDown",
        {"services": with_services(stopped(Service.SERVE))},
        {"services": with_services(stopped(Service.SERVE, at=ago(days=2)))},
    ),
    (
        "ServeDown",
        {"services": with_services(stopped(Service.SERVE, by="SIGTERM from kill (pid 1)"))},
        {"services": with_services(stopped(Service.SERVE, by="SIGINT from the terminal"))},
    ),
    (
        "WorkerPaused",
        {"services": with_services(stopped(Service.WORKER, PAUSE)), "jobs": {"queued": 1}},
        {"services": with_services(stopped(Service.WORKER, PAUSE))},
    ),
    (
        "RestartOwed",
        {"services": with_services(stopped(Service.WORKER, OWED)), "jobs": {"queued": 1}},
        {
            "services": with_services(
                stopped(Service.WORKER, replace(OWED, until=NOW + timedelta(minutes=5)))
            ),
            "jobs": {"queued": 1},
        },
    ),
    (
        "ReconcilerFailing",
        {"rounds": (replace(ROUND, failures=3, last_error="no room"),)},
        {"rounds": (replace(ROUND, failures=2, last_error="no room"),)},
    ),
    (
        "ReconcilerFailing",
        {"rounds": (replace(ROUND, ended_at=ago(hours=3)),)},
        {"rounds": (replace(ROUND, ended_at=ago(minutes=40)),)},
    ),
    ("TargetDown", {"targets": (target("box", **SICK),)}, {"targets": (target("box"),)}),
    (
        "TargetHeld",
        {"targets": (target("box", **SICK, held="it was repaired 12 times in the last hour"),)},
        {"targets": (target("box", held="of an earlier trouble"),)},
    ),
    (
        "TargetFlapping",
        {"targets": (target("box", trips=3, since=ago(minutes=1)),)},
        {"targets": (target("box", trips=3, since=ago(hours=1)),)},
    ),
    (
        "TargetFlapping",  # it failed once more, and for long: that is not over
        {"targets": (target("box", **{**SICK, "trips": 3, "since": ago(hours=1)}),)},
        {"targets": (target("box", trips=2, since=ago(minutes=1)),)},
    ),
    (
        "JobStalled",
        {"running": (running(progress_at=ago(hours=1)),)},
        {"running": (running(progress_at=ago(hours=1), stall_seconds=7200.0),)},
    ),
    (
        "JobStalled",
        {"running": (running(progress_at=None, started_at=ago(hours=1)),)},
        {"running": (running(progress_at=ago(days=1), started_at=ago(minutes=1)),)},
    ),
    ("JobFailed", {"failed": (waiting(status="failed"),)}, {}),
    (
        "JobParkedLong",
        {"waiting": (waiting(),)},
        {"waiting": (waiting(status="retryable"),)},
    ),
    (
        "CrawlErrors",
        {"running": (running(errors_per_minute=61.0),)},
        {"running": (running(errors_per_minute=0.5, pages_per_minute=0.0),)},
    ),
    (
        "SpoolFilling",
        {"spool": SpoolNow(75.0, NOW, None)},
        {"spool": SpoolNow(74.9, NOW, None)},
    ),
    ("SpoolFull", {"spool": SpoolNow(85.0, NOW, None)}, {"spool": None}),
    (
        "SpoolFull",
        {"targets": (target("spool", state="open", verdict="full", error="no inode is free"),)},
        {"targets": (target("spool", verdict="full"),)},
    ),
    (
        "DiskFullSoon",
        {"spool": SpoolNow(40.0, NOW, 6.9)},
        {"spool": SpoolNow(40.0, NOW, 7.1)},
    ),
    (
        "ShippingLate",
        {"targets": (target("box", unshipped=1, unshipped_since=ago(hours=13)),)},
        {"targets": (target("box", unshipped=1, unshipped_since=ago(hours=11)),)},
    ),
    ("CopyBad", {"targets": (target("box", bad_copies=1),)}, {}),
    ("SegmentLost", {"lost_segments": ("a.warc.gz",)}, {}),
    (
        "FixityLate",
        {"targets": (target("box", unread_since=ago(days=100)),)},
        {"targets": (target("box", unread_since=ago(days=98)),)},
    ),
    ("IndexLate", {"unindexed_since": ago(hours=3)}, {"unindexed_since": ago(hours=1)}),
    (
        "BackupOld",
        {"backup": BackupNow(ago(hours=37), "", None, "")},
        {"backup": BackupNow(ago(hours=35), "", None, "")},
    ),
    (
        "RestoreFailed",
        {"backup": BackupNow(NOW, "", ago(days=9), "captures: 7 rows, not 8")},
        {"backup": BackupNow(NOW, "", NOW, "")},
    ),
    (
        "Drift",
        {"drift": ("The env file has changed.",), "drift_names": ("env-file",)},
        {"drift": ()},
    ),
    (
        "Expiring",
        {"expiries": (Expiry("token", "ci", NOW + timedelta(days=20)),)},
        {"expiries": (Expiry("token", "ci", NOW + timedelta(days=22)),)},
    ),
    (
        "DeployLocked",
        {"deploy_lock_age_seconds": 3601.0},
        {"deploy_lock_age_seconds": 3599.0},
    ),
    ("ReportsWaiting", {"reports_open": 1, "reports_since": ago(days=4)}, {}),
    ("ComparisonLate", {"uncompared_since": ago(days=2)}, {}),
    (
        "CampaignNotReady",
        {"campaigns": (CampaignNow("annual-2026", 2026, False, ("job 7 failed",), True),)},
        {"campaigns": (CampaignNow("annual-2026", 2026, False, ("job 7 waits",), False),)},
    ),
]


@pytest.mark.parametrize(("name", "wrong", "right"), CASES, ids=[case[0] for case in CASES])
def test_a_rule_finds_what_is_wrong_and_nothing_beside_it(
    name: str, wrong: dict[str, Any], right: dict[str, Any]
) -> None:
    assert names(found_in(healthy(**wrong))) == [name]
    assert names(found_in(healthy(**right))) == []


def test_every_rule_has_a_case() -> None:
    assert {case[0] for case in CASES} == {rule.name for rule in RULES}


def test_nothing_is_wrong_with_a_healthy_archive_or_a_new_one() -> None:
    assert found_in(healthy()) == []
    alone = {each: never(each) for each in map(str, Service)}
    new = healthy(
        services=alone, jobs={}, targets=(), spool=None, backup=BackupNow(None, "", None, "")
    )
    assert found_in(new) == []


def test_a_steward_that_made_no_backup_is_asked_for_one_only_when_it_had_the_time() -> None:
    none = BackupNow(None, "", None, "")
    assert names(found_in(healthy(backup=none))) == []
    assert names(found_in(healthy(backup=none), backup_every_seconds=3600)) == ["BackupOld"]


def test_backups_that_nobody_could_restore_for_two_weeks_are_an_alert() -> None:
    def unproven(days: float) -> BackupNow:
        return BackupNow(NOW, "", None, "", unproven_since=ago(days=days))

    assert found_in(healthy(backup=unproven(13.9))) == []
    assert names(found_in(healthy(backup=unproven(14.1)))) == ["RestoreFailed"]
    assert found_in(healthy(backup=unproven(14.1)), restore_test_days=8.0) == []


def test_an_overdue_restart_of_what_runs_again_is_no_alert() -> None:
    back = replace(with_services()[Service.WORKER], holds=(OWED,))
    assert found_in(healthy(services=with_services(back))) == []


def test_a_certificate_out_of_sight_is_told_with_its_reason_and_its_last_known_end() -> None:
    known = Expiry(
        "certificate",
        "a:443",
        NOW + timedelta(days=90),
        unseen_since=ago(hours=3),
        trouble="Connection refused",
    )
    typo = Expiry("certificate", "a.pem", None, unseen_since=NOW, trouble="it is neither")
    fresh = replace(known, unseen_since=ago(hours=1))
    first, second = found_in(healthy(expiries=(known, fresh, typo)))
    assert names([first, second]) == ["Expiring", "Expiring"]
    assert "a:443 ends on" in first.found.sentence
    assert f"since {ago(hours=3):%Y-%m-%d %H:%M}Z: Connection refused" in first.found.sentence
    assert second.found.sentence.endswith(f"since {NOW:%Y-%m-%d %H:%M}Z: it is neither.")


def test_a_token_is_told_of_in_the_second_half_of_its_life() -> None:
    new = Expiry("token", "week", NOW + timedelta(days=6), began_at=ago(days=1))
    old = Expiry("token", "old-week", NOW + timedelta(days=3), began_at=ago(days=4))
    (only,) = found_in(healthy(expiries=(new, old)))
    assert only.found.subject_id == "old-week"


def test_a_pause_whose_time_is_over_covers_nothing() -> None:
    over = replace(PAUSE, until=ago(minutes=1))
    worker = stopped(Service.WORKER, over)
    found = found_in(healthy(services=with_services(worker), jobs={"queued": 1}))
    assert names(found) == ["WorkerDown"]


# -- one root cause ------------------------------------------------------------------------

BOX_DOWN = target("box", **SICK, unshipped=1, unshipped_since=ago(days=1), bad_copies=1)
HOT_DOWN = target("hot", **SICK, kind="bind", parent="box", unread_since=ago(days=200))
ON_BOX = ("box", "hot")
NIGHT: dict[str, Any] = {
    "targets": (BOX_DOWN, HOT_DOWN),
    "waiting": (
        waiting(7, targets=ON_BOX),
        waiting(9, targets=ON_BOX, status="completed", since=ago(hours=5)),
    ),
    "running": (running(8, targets=ON_BOX, progress_at=ago(hours=1), errors_per_minute=99.0),),
    "unindexed_since": ago(hours=5),
}


def test_a_dead_target_explains_all_that_hangs_on_it() -> None:
    found = found_in(healthy(**NIGHT))
    assert names(found) == ["TargetDown"]
    explained = {each.rule.name for each in found if each.explained_by == "TargetDown"}
    assert explained == {
        "TargetDown",
        "JobParkedLong",
        "JobStalled",
        "CrawlErrors",
        "ShippingLate",
        "CopyBad",
        "FixityLate",
        "IndexLate",
    }
    assert {each.cause_id for each in found if each.explained_by} == {"box"}


def test_a_held_repair_is_the_root_of_it_all() -> None:
    held = replace(BOX_DOWN, held="nobody said how it is mounted", trips=3, since=ago(minutes=2))
    found = found_in(healthy(**{**NIGHT, "targets": (held, HOT_DOWN)}))
    assert names(found) == ["TargetHeld"]
    assert {each.explained_by for each in found[1:]} == {"TargetHeld"}


def test_a_flapping_target_is_one_message_whether_it_is_just_down_or_just_well() -> None:
    down = replace(BOX_DOWN, trips=3, since=ago(minutes=2))
    well = target("box", trips=3, since=ago(minutes=2), bad_copies=1)
    hot = replace(HOT_DOWN, trips=4, since=ago(minutes=2))
    for box in (down, well):
        found = found_in(healthy(**{**NIGHT, "targets": (box, hot)}))
        assert names(found) == ["TargetFlapping"]
        assert {each.cause_id for each in found if each.explained_by} == {"box"}
        assert {each.explained_by for each in found} == {"", "TargetFlapping"}


def test_no_alert_hides_a_graver_one() -> None:
    gravity = {each.name: GRAVITY.index(each.severity) for each in RULES}
    for rule in RULES:
        for cause in rule.explained_by:
            assert gravity[cause] <= gravity[rule.name], f"{cause} hides {rule.name}"


def test_a_dead_target_explains_nothing_that_does_not_need_it() -> None:
    other = {
        "targets": (
            target("box", **SICK),
            target("cold", unshipped=1, unshipped_since=ago(days=1)),
        ),
        "waiting": (waiting(7, targets=("spool",)),),
        "running": (running(8, targets=("cold",), progress_at=ago(hours=1)),),
        "unindexed_since": ago(hours=5),
    }
    assert sorted(names(found_in(healthy(**other)))) == [
        "IndexLate",
        "JobParkedLong",
        "JobStalled",
        "ShippingLate",
        "TargetDown",
    ]


@pytest.mark.parametrize(
    ("worker", "root"),
    [
        (stopped(Service.WORKER), "WorkerDown"),
        (stopped(Service.WORKER, PAUSE), "WorkerPaused"),
        (stopped(Service.WORKER, OWED), "RestartOwed"),
    ],
)
def test_a_worker_that_is_down_explains_what_it_does_not_do(worker: Any, root: str) -> None:
    found = found_in(
        healthy(
            services=with_services(worker),
            jobs={"completed": 1, "running": 1},
            running=(running(progress_at=ago(hours=1)),),
            unindexed_since=ago(hours=5),
            uncompared_since=ago(days=2),
        )
    )
    assert names(found) == [root]
    explained = {each.rule.name for each in found if each.explained_by}
    assert explained - {"WorkerDown"} == {"IndexLate", "ComparisonLate", "JobStalled"}


def test_without_a_steward_what_it_would_do_is_explained() -> None:
    found = found_in(
        healthy(
            services=with_services(stopped(Service.STEWARD), stopped(Service.WORKER, OWED)),
            jobs={"queued": 1},
            targets=(
                target(
                    "cold",
                    unshipped=1,
                    unshipped_since=ago(days=1),
                    unread_since=ago(days=200),
                ),
            ),
            backup=BackupNow(ago(days=9), "", None, ""),
            rounds=(replace(ROUND, failures=3),),
        )
    )
    assert names(found) == ["StewardDown"]
    assert {each.rule.name for each in found if each.explained_by} == {
        "RestartOwed",
        "WorkerDown",
        "ShippingLate",
        "FixityLate",
        "BackupOld",
        "ReconcilerFailing",
    }


def test_an_owed_restart_of_the_pages_explains_no_missing_worker() -> None:
    owed = hold(Service.SERVE, HoldKind.OWED, at=ago(minutes=10))
    services = with_services(stopped(Service.SERVE, owed), stopped(Service.WORKER))
    found = found_in(healthy(services=services, jobs={"queued": 1}))
    assert sorted(names(found)) == ["RestartOwed", "WorkerDown"]
    assert [each.rule.name for each in found if each.explained_by] == ["ServeDown"]


def test_a_full_disk_explains_that_it_fills_and_the_jobs_that_need_no_other_target() -> None:
    full = {
        "spool": SpoolNow(93.0, NOW, 0.0),
        "waiting": (waiting(7), waiting(8, targets=("cold",))),
        "targets": (target("spool", state="open", verdict="full"), target("cold")),
    }
    found = found_in(healthy(**full))
    assert names(found) == ["SpoolFull", "JobParkedLong"]
    assert [each.rule.name for each in found if each.explained_by] == [
        "SpoolFilling",
        "DiskFullSoon",
        "JobParkedLong",
    ]


# -- what is told --------------------------------------------------------------------------


def test_what_is_critical_is_told_at_once_and_what_has_not_lasted_is_not() -> None:
    found = found_in(
        healthy(
            targets=(target("box", **{**SICK, "since": ago(seconds=1)}),),
            waiting=(waiting(7, since=ago(minutes=1)), waiting(8, since=ago(hours=3))),
        )
    )
    told = worth_telling(found, NOW)
    assert [(each.rule.name, each.found.subject_id) for each in told] == [
        ("TargetDown", "box"),
        ("JobParkedLong", "8"),
    ]


def test_every_sentence_is_one_and_names_its_subject() -> None:
    for name, wrong, _ in CASES:
        for each in found_in(healthy(**wrong)):
            sentence = each.found.sentence
            assert sentence.endswith("."), f"{name}: {sentence}"
            assert not any(each in sentence for each in ("..", "None", "  ")), sentence
            assert each.command.startswith(("healtharchive ", "systemctl start ")), name


def test_everything_that_is_found_says_what_is_next_and_what_is_left_to_a_person() -> None:
    steward_gone = with_services(stopped(Service.STEWARD))
    for name, wrong, _ in CASES:
        for condition in (wrong, {**wrong, "services": steward_gone}):
            for each in found_in(healthy(**condition)):
                for said in (each.next_step.by_itself, each.next_step.only_you):
                    assert said.endswith((".", "?")), f"{name}: {said}"
                    assert not any(each in said for each in ("..", "None", "  ", ";.")), said


def test_no_rule_has_the_words_of_another() -> None:
    said = {
        each.rule.name: each.next_step.only_you
        for _, wrong, _ in CASES
        for each in found_in(healthy(**wrong))
    }
    assert set(said) == {rule.name for rule in RULES}
    # Three rules are about the same disk, two about a target that is away.
    assert len(set(said.values())) >= len(RULES) - 4
