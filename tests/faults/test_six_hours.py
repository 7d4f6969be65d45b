"""The six hours of 2026-01-24 go by without a human: two messages, and everything went on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.six_hours import ON_BOX, live, text, verdicts

pytestmark = pytest.mark.timeout(600)


def test_the_night_of_the_incident_needs_nobody_and_wakes_nobody_twice(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    course = live(tmp_path)
    assert verdicts(course) == [], text(course)
    problem, recovery = course.messages
    assert "TargetDown" in problem["title"]
    assert "over" in recovery["title"]
    assert {code for code, hour in course.claims if hour not in ("05", "06", "12")} == set()
    assert all(course.claims[code, "12"] == 1 for code in ON_BOX)
    assert any("worker stopped" in line for line in course.document.splitlines()[:1])
