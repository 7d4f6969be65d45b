"""The reference page of the settings is what the code declares."""

from __future__ import annotations

import subprocess
import sys

from healtharchive.settings.declared import declarations, variable_of
from tests.lab.processes import ROOT

PAGE = ROOT / "docs/reference/settings.md"


def test_the_reference_page_is_made_from_the_declarations() -> None:
    made = subprocess.run(
        [sys.executable, "-m", "healtharchive.settings.reference"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert PAGE.read_text(encoding="utf-8") == made.stdout, "run `make docs`"


def test_the_page_names_every_setting() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in declarations():
        assert variable_of(name) in text
