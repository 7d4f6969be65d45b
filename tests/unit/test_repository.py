"""What no commit may hold, and what every machine must be able to install."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

from tests.lab.processes import ROOT

# In pieces, so that this file does not hold what it looks for.
REGISTRIES = ("pypi" + ".org", "files.python" + "hosted.org", "registry." + "npmjs.org")
PLACES = ("/work" + "/main", "/opt" + "/wheels")
MOST_LINES = 400
# Import name -> distribution name, where they differ.
# What these packages import beyond the rest is an extra: who has it not, never imports them.
EXTRA_ROOMS = ("crawl/browser", "crawl/container", "search/dataset")
DISTRIBUTIONS = {
    "re2": "google-re2",
    "fastwarc": "fastwarc",
    "yaml": "pyyaml",
    "importlib_metadata": "importlib-metadata",
    "psycopg": "psycopg",
}


def tracked() -> list[Path]:
    """Every file of the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = [name for name in listed.stdout.decode().split("\0") if name]
    return [path for name in names if (path := ROOT / name).is_file()]


def test_no_file_names_a_package_registry_or_a_place_of_one_machine() -> None:
    files = tracked()
    assert len(files) > 100
    for path in files:
        text = path.read_text(encoding="utf-8", errors="replace")
        for word in (*REGISTRIES, *PLACES):
            assert word not in text, f"{path.relative_to(ROOT)} holds {word}"


def test_files_stay_short_enough_to_read() -> None:
    for path in (ROOT / "src").rglob("*.py"):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= MOST_LINES, f"{path.relative_to(ROOT)} has {lines} lines"


def imported(folder: str) -> set[str]:
    """The third-party distributions that a folder's modules import."""
    names: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    ours = {"healtharchive", "tests", *sys.stdlib_module_names}
    return {DISTRIBUTIONS.get(name, name.replace("_", "-")) for name in names - ours}


def locked(name: str) -> set[str]:
    """The distributions in a lock file; each has at least one hash."""
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text)
    pinned = [block for block in blocks if re.match(r"[A-Za-z0-9._-]+(\[.*?\])?==", block)]
    assert pinned
    assert all("--hash=sha256:" in block for block in pinned)
    return {re.split(r"[\[=]", block)[0].lower().replace("_", "-") for block in pinned}


def test_everything_imported_is_locked_with_hashes() -> None:
    extras = set.union(*(imported(f"src/healtharchive/{room}") for room in EXTRA_ROOMS))
    assert imported("src") - extras <= locked("run.lock")
    assert extras <= locked("dev.lock")
    tests = imported("tests") - imported("tests/bench")
    assert tests <= locked("dev.lock")
    benched = locked("bench.lock") | locked("bench-browser.lock")
    assert imported("tests/bench") <= benched | locked("dev.lock")
