"""Other people's tools read our WACZ files: py-wacz's `wacz validate`, and frictionless in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.judges import program
from tests.lab.kept_collections import Editions, on_sqlite

COLLECTIONS = (["--job", "1"], ["--job", "2"], ["--source", "lab"], ["--campaign", "annual-2026"])


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Editions:
    return on_sqlite(tmp_path_factory.mktemp("judged"))


def validate(file: Path) -> subprocess.CompletedProcess[str]:
    """The judge's word."""
    command = [str(program("wacz")), "validate", "-f", str(file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)


@pytest.mark.parametrize("words", COLLECTIONS, ids=lambda words: words[1])
def test_py_wacz_calls_every_export_valid(
    archive: Editions, words: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "made.wacz"
    command = [sys.executable, "-m", "healtharchive.cli.main", "export", "wacz", *words]
    subprocess.run([*command, "--output", str(file)], env=archive.environ, check=True, timeout=120)
    said = validate(file)
    assert "the passed WACZ is valid" in said.stdout, said.stdout + said.stderr


def test_py_wacz_sees_damage(archive: Editions, tmp_path: Path) -> None:
    """So that its word counts for something."""
    file = tmp_path / "made.wacz"
    command = [sys.executable, "-m", "healtharchive.cli.main", "export", "wacz", "--job", "1"]
    done = subprocess.run(
        [*command, "--output", str(file), "--json"],
        env=archive.environ,
        check=True,
        timeout=120,
        capture_output=True,
    )
    content = bytearray(file.read_bytes())
    assert json.loads(done.stdout)["size_bytes"] == len(content)
    at = content.index(b'"url": "https://www.example.org/en/measles"')
    content[at + 10] ^= 1
    file.write_bytes(content)
    assert "the passed WACZ is valid" not in validate(file).stdout
