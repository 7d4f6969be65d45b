"""What would mend a target: one table of every kind and verdict, and the order of the steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from healtharchive.model.states import TargetState
from healtharchive.model.target import TargetDefinition, TargetKind, Verdict
from healtharchive.model.targets import Target
from healtharchive.steward.recovery import Repair, Seen, plan, sentences
from healtharchive.storage.inspection import Inspection

NOW = datetime(2026, 1, 24, 3, tzinfo=UTC)
BOX = TargetDefinition(
    "box", TargetKind.MOUNT, "/mnt/box", mount_command=("sshfs",), server="box:22"
)
HC = TargetDefinition("hc", TargetKind.BIND, "/jobs/hc", parent="box", backing="/mnt/box/hc")
PHAC = replace(HC, name="phac", root="/jobs/phac", backing="/mnt/box/phac")
DISK = TargetDefinition("disk", TargetKind.LOCAL, "/disk")
CLOUD = TargetDefinition("cloud", TargetKind.OBJECT, "s3://cloud/x")
BAD = tuple(each for each in Verdict if each is not Verdict.HEALTHY)
DEAD = (Verdict.STALE, Verdict.HUNG, Verdict.IO_ERROR)
NOT_OURS = "it is not a mount of ours: it must be mended where it is"


def target_with(definition: TargetDefinition, **columns: object) -> Target:
    """A target's row; open, and looked at after it tripped, unless told otherwise."""
    values: dict[str, object] = dict.fromkeys(each.name for each in dataclasses.fields(Target))
    values |= {
        "name": definition.name,
        "kind": definition.kind,
        "root": definition.root,
        "parent": definition.parent or None,
        "definition": definition,
        "state": TargetState.OPEN,
        "since": NOW,
        "tripped_at": NOW,
        "probed_at": NOW + timedelta(seconds=1),
    }
    return Target(**{**values, **columns})  # type: ignore[arg-type]


def seen_as(definition: TargetDefinition, verdict: Verdict, **values: object) -> Seen:
    """A target as a look found it: mounted, and all its hot paths too."""
    hot_paths = (HC, PHAC) if definition.kind is TargetKind.MOUNT else ()
    found: dict[str, object] = {
        "target": target_with(definition),
        "inspection": Inspection(definition.name, definition.root, verdict),
        "mounted": True,
        "device": "0:50",
        "hot_paths": hot_paths,
        "bound": frozenset(each.name for each in hot_paths),
        "parent": target_with(BOX, state=TargetState.CLOSED, verdict=Verdict.HEALTHY)
        if definition.parent
        else None,
    }
    return Seen(**{**found, **values})  # type: ignore[arg-type]


def steps_of(repair: Repair | None) -> list[str]:
    assert repair is not None
    assert not (repair.steps and repair.hold)
    return [f"{each.what} {each.subject}" for each in repair.steps]


def hold_of(seen: Seen) -> str:
    repair = plan(seen)
    assert repair is not None
    assert not repair.steps
    return repair.hold


REMOUNTED = [
    "unmount /jobs/hc",
    "unmount /jobs/phac",
    "unmount /mnt/box",
    "mount /mnt/box",
    "bind /jobs/hc",
    "bind /jobs/phac",
]
REBOUND = ["unmount /jobs/hc", "bind /jobs/hc"]


def table() -> Iterator[tuple[TargetDefinition, Verdict, list[str] | str]]:
    for verdict in BAD:
        by_hand = f"mounting again does not mend '{verdict}'"
        yield DISK, verdict, NOT_OURS
        yield CLOUD, verdict, NOT_OURS
        yield BOX, verdict, REMOUNTED if verdict in DEAD else by_hand
        rebinds = (*DEAD, Verdict.WRONG_MOUNT)
        yield HC, verdict, REBOUND if verdict in rebinds else by_hand


@pytest.mark.parametrize(("definition", "verdict", "expected"), list(table()))
def test_the_plan_for_each_kind_and_verdict(
    definition: TargetDefinition, verdict: Verdict, expected: list[str] | str
) -> None:
    seen = seen_as(definition, verdict)
    if verdict is Verdict.HUNG and definition is BOX:
        expected = [*REMOUNTED[:2], "abort 0:50", *REMOUNTED[2:]]
    repair = plan(seen)
    assert repair is not None
    assert (repair.hold or steps_of(repair)) == expected
    assert plan(seen) == repair, "the plan is pure"


@pytest.mark.parametrize("definition", [BOX, HC, DISK, CLOUD])
def test_nothing_is_planned_for_a_healthy_target(definition: TargetDefinition) -> None:
    assert plan(seen_as(definition, Verdict.HEALTHY)) is None


@pytest.mark.parametrize("state", [TargetState.CLOSED, TargetState.HALF_OPEN])
@pytest.mark.parametrize("verdict", BAD)
def test_nothing_is_done_before_the_breaker_is_open(state: TargetState, verdict: Verdict) -> None:
    seen = seen_as(BOX, verdict, target=target_with(BOX, state=state))
    assert hold_of(seen) == "it is not confirmed yet"


def test_row_06_what_hangs_is_let_go_then_ended_then_unmounted_inside_out() -> None:
    repair = plan(seen_as(BOX, Verdict.HUNG, mount_pid=4711))
    assert steps_of(repair) == [
        "unmount /jobs/hc",
        "unmount /jobs/phac",
        "abort 0:50",
        "end_process 4711",
        *REMOUNTED[2:],
    ]


def test_row_04_what_is_not_mounted_is_only_mounted() -> None:
    seen = seen_as(BOX, Verdict.WRONG_MOUNT, mounted=False, bound=frozenset())
    assert steps_of(plan(seen)) == REMOUNTED[3:]


def test_row_03_binds_left_by_a_mount_that_is_gone_are_unmounted_first() -> None:
    """They stay mounted when the mount below them ended in order."""
    seen = seen_as(BOX, Verdict.WRONG_MOUNT, mounted=False, bound=frozenset({"phac"}))
    assert steps_of(plan(seen)) == ["unmount /jobs/phac", *REMOUNTED[3:]]


def test_row_05_a_wrong_mount_is_never_mounted_over() -> None:
    assert "does not mend 'wrong_mount'" in hold_of(seen_as(BOX, Verdict.WRONG_MOUNT))


@pytest.mark.parametrize(
    ("verdict", "mounted"),
    [*((each, True) for each in DEAD), (Verdict.WRONG_MOUNT, False)],
)
def test_a_server_that_does_not_answer_is_waited_for(verdict: Verdict, mounted: bool) -> None:
    """No try is spent on it: they are counted, and are needed when it is back."""
    away = seen_as(BOX, verdict, mounted=mounted, server_answers=False)
    assert hold_of(away) == "its server box:22 does not answer"
    for answer in (True, None):
        assert steps_of(plan(replace(away, server_answers=answer)))[-3:] == REMOUNTED[3:]


def test_nobody_said_how_it_is_mounted() -> None:
    unknown = replace(BOX, mount_command=())
    assert hold_of(seen_as(unknown, Verdict.STALE)) == "nobody said how it is mounted"
    by_unit = replace(unknown, unit="box.mount")
    assert steps_of(plan(seen_as(by_unit, Verdict.STALE))) == REMOUNTED


def test_a_bind_that_is_not_there_is_only_bound() -> None:
    assert steps_of(plan(seen_as(HC, Verdict.WRONG_MOUNT, mounted=False))) == ["bind /jobs/hc"]


def test_a_hot_path_waits_for_its_target_and_for_a_look_at_it() -> None:
    unseen = target_with(BOX, state=TargetState.CLOSED, probed_at=NOW - timedelta(seconds=1))
    for parent in (unseen, replace(unseen, probed_at=None)):
        assert "was not looked at since" in hold_of(seen_as(HC, Verdict.STALE, parent=parent))
    sick = target_with(BOX, verdict=Verdict.STALE)
    assert hold_of(seen_as(HC, Verdict.STALE, parent=sick)) == "its target box comes first"
    for state in TargetState:
        well = target_with(BOX, verdict=Verdict.HEALTHY, state=state)
        assert steps_of(plan(seen_as(HC, Verdict.STALE, parent=well))) == REBOUND


@pytest.mark.parametrize("state", list(TargetState))
def test_row_10_binding_again_gives_no_rights(state: TargetState) -> None:
    parent = target_with(BOX, verdict=Verdict.HEALTHY, state=state)
    seen = seen_as(HC, Verdict.NOT_WRITABLE, parent=parent)
    assert hold_of(seen) == "mounting again does not mend 'not_writable'"


def test_the_sentences_number_the_steps_and_name_the_holds() -> None:
    repairs = [plan(seen_as(HC, Verdict.STALE)), plan(seen_as(DISK, Verdict.FULL))]
    assert sentences([each for each in repairs if each]) == [
        "hc is stale:",
        "  1. unmount /jobs/hc: it is tied to a session that is gone",
        "  2. bind /jobs/hc: its target is healthy",
        f"disk is full: nothing to do, {NOT_OURS}",
    ]
