"""The demo judges itself; this is its short form."""

from __future__ import annotations

import subprocess
import sys

from tests.lab.processes import ROOT


def test_demo_captures_indexes_and_finds_what_the_site_serves() -> None:
    words = ["-m", "tests.lab.demo", "--check", "--small", "--pages", "30"]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
