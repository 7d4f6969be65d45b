"""What `doctor` prints: cures that work on this machine, and one line of each thing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from healtharchive.cli.doctor import tell
from healtharchive.cli.machine import checks_database
from healtharchive.cli.machine.checks import Checked, Level
from tests.lab.conditions import healthy, never, with_services
from tests.unit.test_doctor import around


@pytest.mark.parametrize(
    ("booted", "start"),
    [(True, "systemctl start healtharchive-worker.service"), (False, "healtharchive worker")],
)
def test_a_service_that_does_not_run_is_started_as_this_machine_starts_services(
    booted: bool, start: str, tmp_path: Path
) -> None:
    condition = healthy(services=with_services(never("worker")))
    machine = replace(around(tmp_path), booted=booted, condition=condition)
    (found,) = (each for each in checks_database.services(machine) if each.level is not Level.OK)
    assert (found.about, found.level, found.cure) == ("worker", Level.WARN, start)


def test_what_a_program_says_in_several_lines_is_told_in_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tell(Checked("clock", Level.UNKNOWN, "It says: no bus.\nHost is down."))
    assert capsys.readouterr().out == "UNKNOWN  clock: It says: no bus. Host is down.\n"
