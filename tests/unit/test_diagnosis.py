"""From evidence to a cause: every kind, each with the lines it rests on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from healtharchive.storage.diagnosis import CauseKind, diagnose
from healtharchive.storage.evidence import Evidence, diff

SSHFS = {"pid": 71, "program": "sshfs", "state": "S", "started_at": "", "waits_in": ""}
ANSWERS = {"result": "answers", "said": "SSH-2.0-OpenSSH"}
MATCHING = {
    "backing": "/srv/box/hc",
    "device": "0:50",
    "base_point": "/srv/box",
    "base_device": "0:50",
    "base_mounted": True,
    "matches": True,
}
STALE = Evidence(
    taken_at="2026-01-24T06:17:10.000+00:00",
    target="box",
    kind="mount",
    root="/srv/box",
    verdict="stale",
    mounted=True,
    inspection={"detail": "list /srv/box: not connected (errno 107)"},
    mounts=("/srv/box fuse.sshfs u@h:/ device 0:50",),
    waiting=0,
    program="sshfs",
    process=SSHFS,
    server=ANSWERS,
)
OOM = "2026-01-24T06:17:01+00:00 Out of memory: Killed process 71 (sshfs) total-vm:9kB"
OTHER_OOM = "2026-01-24T06:17:01+00:00 Out of memory: Killed process 72 (chromium) total-vm:9kB"


def changed(**facts: Any) -> Evidence:
    return replace(STALE, **facts)


@pytest.mark.parametrize(
    ("evidence", "kind"),
    [
        (changed(process=None), CauseKind.MOUNT_PROCESS_GONE),
        (changed(process=None, server={"result": "refused", "said": ""}), "mount_process_gone"),
        (changed(server={"result": "unreachable", "said": "no route"}), "server_unreachable"),
        (changed(verdict="hung", server={"result": "timeout", "said": ""}), "server_unreachable"),
        (changed(verdict="io_error", server={"result": "refused", "said": ""}), "server_refused"),
        (changed(verdict="hung", waiting=3), "keepalive_timeout"),
        (changed(verdict="hung", waiting=3, server=None), "keepalive_timeout"),
        (changed(verdict="missing"), "server_directory_gone"),
        (changed(verdict="hung", process={**SSHFS, "state": "T"}), "hung_process"),
        (changed(verdict="wrong_mount", mounted=False, process=None), "not_mounted"),
        (changed(verdict="wrong_mount"), "wrong_mount"),
        (changed(verdict="full"), "local_resource"),
        (changed(verdict="read_only"), "local_resource"),
        (changed(verdict="not_writable"), "local_resource"),
        (changed(kind="local", verdict="io_error", program="", process=None), "local_resource"),
        (changed(program="", process=None, server=None, verdict="io_error"), "unknown"),
        (changed(verdict="healthy", server={"result": "refused", "said": ""}), "unknown"),
    ],
)
def test_each_evidence_has_its_cause(evidence: Evidence, kind: str) -> None:
    cause = diagnose(evidence)
    assert cause.kind == kind
    assert cause.sentence.endswith(".")
    assert cause.because


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        ({"matches": False, "base_device": "0:51"}, "bind_left_behind"),
        ({}, "mount_process_gone"),
        ({"matches": False, "base_device": "254:0", "base_mounted": False}, "mount_process_gone"),
    ],
)
def test_a_stale_bind_is_left_behind_only_when_its_base_was_mounted_anew(
    facts: dict[str, Any], kind: str
) -> None:
    evidence = changed(kind="bind", root="/srv/hot", bind={**MATCHING, **facts}, process=None)
    assert diagnose(evidence).kind == kind


def test_a_bind_of_an_unmounted_parent_is_not_mounted() -> None:
    bind = {**MATCHING, "base_mounted": False}
    evidence = changed(kind="bind", verdict="wrong_mount", bind=bind, process=None)
    assert diagnose(evidence).kind is CauseKind.NOT_MOUNTED


def test_the_out_of_memory_killer_is_named_only_when_it_took_the_mounts_process() -> None:
    killed = diagnose(changed(process=None, kernel=(OTHER_OOM, OOM)))
    assert "memory" in killed.sentence
    assert f"kernel: {OOM}" in killed.because
    spared = diagnose(changed(process=None, kernel=(OTHER_OOM,)))
    assert "memory" not in spared.sentence


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"extra": {"exit_status": -15}}, "SIGTERM"),
        ({"extra": {"exit_status": 1}}, "exit status 1"),
        ({"unit": {"ExecMainCode": "2", "ExecMainStatus": "9"}}, "SIGKILL"),
    ],
)
def test_how_the_process_ended_is_said_when_it_is_known(facts: dict[str, Any], words: str) -> None:
    assert words in diagnose(changed(process=None, **facts)).sentence


def test_a_difference_names_what_changed_and_not_what_always_does() -> None:
    after = changed(
        verdict="healthy",
        taken_at="2026-01-24T06:18:00.000+00:00",
        memory={"MemAvailable_bytes": 5},
        mounts=("/srv/box fuse.sshfs u@h:/ device 0:51",),
        inspection={"elapsed_seconds": 0.2},
    )
    assert diff(STALE, after) == [
        "inspection.detail: list /srv/box: not connected (errno 107) -> nothing",
        "verdict: stale -> healthy",
        "no longer mounted: /srv/box fuse.sshfs u@h:/ device 0:50",
        "mounted now: /srv/box fuse.sshfs u@h:/ device 0:51",
    ]
