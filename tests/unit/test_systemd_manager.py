"""How systemd is asked: what it refuses, or never answers, is one sentence with its command."""

from __future__ import annotations

from pathlib import Path

import pytest

from healtharchive.model.errors import SetupError
from healtharchive.work.systemd import Manager, answer_of, complaint_of, is_booted

WORKER = "healtharchive-worker.service"


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of that name, which says what it was asked and what a test has it say."""
    program = tmp_path / "systemctl"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return program


def says(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_a_machine_without_its_directory_is_not_run_by_systemd(tmp_path: Path) -> None:
    assert is_booted(tmp_path)
    assert not is_booted(tmp_path / "none")


def test_each_user_asks_a_systemd_of_their_own(systemctl: Path) -> None:
    says(systemctl, 'echo "$@"')
    assert Manager("system").order("stop", WORKER) == f"--no-ask-password stop {WORKER}"
    assert Manager("user").order("stop", WORKER) == f"--user --no-ask-password stop {WORKER}"
    assert Manager("user").command("stop", WORKER) == ["systemctl", "--user", "stop", WORKER]


@pytest.mark.parametrize(
    ("state", "runs"),
    [("active", True), ("activating", True), ("deactivating", True), ("failed", False)],
)
def test_a_unit_runs_from_its_start_to_its_end(systemctl: Path, state: str, runs: bool) -> None:
    says(systemctl, f"echo {state}")
    assert Manager("system").runs(WORKER) is runs


def test_what_systemd_refuses_is_told_in_its_own_words(systemctl: Path) -> None:
    says(systemctl, "echo 'Failed to stop it:\n  access denied.' >&2; exit 4")
    manager = Manager("system")
    with pytest.raises(SetupError, match=f"stop {WORKER}` failed: Failed to stop it: access deni"):
        manager.order("stop", WORKER)
    assert not manager.answers()
    assert manager.ask("stop", WORKER).returncode == 4


def test_a_refusal_without_a_word_has_its_exit_code(systemctl: Path) -> None:
    says(systemctl, "exit 3")
    assert complaint_of(answer_of(["systemctl", "x"])) == "`systemctl x` failed: it ended with 3."
    says(systemctl, "exit 0")
    assert complaint_of(answer_of(["systemctl", "x"])) == ""


def test_a_systemd_that_does_not_answer_is_left_at_the_deadline(systemctl: Path) -> None:
    says(systemctl, "exec sleep 60")
    with pytest.raises(SetupError, match=r"`systemctl show` took more than"):
        answer_of(["systemctl", "show"], seconds=0.2)


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(SetupError, match="`/none/systemctl show` cannot be run: No such file"):
        answer_of(["/none/systemctl", "show"])
