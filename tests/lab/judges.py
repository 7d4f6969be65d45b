"""Other people's servers and testers, in an environment of their own that `make setup` makes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.lab.postgres import free_port
from tests.lab.processes import ROOT, running, wait_for

PROGRAMS = ROOT / "build" / "judges" / "bin"
COLLECTION = "lab"
START_SECONDS = 60.0
CONFIG = "framed_replay: false\nenable_memento: true\nredirect_to_exact: false\n"


def program(name: str) -> Path:
    """A judge's program; AssertionError names what makes it."""
    path = PROGRAMS / name
    assert path.exists(), f"{path} is missing: run `make setup`"
    return path


@contextmanager
def pywb(directory: Path, warcs: Sequence[Path]) -> Iterator[str]:
    """pywb over these WARC files, by its collection's address; `directory` is its own."""
    directory.mkdir()
    (directory / "config.yaml").write_text(CONFIG, encoding="utf-8")
    manager = program("wb-manager")
    for words in (["init", COLLECTION], ["add", COLLECTION, *map(str, warcs)]):
        subprocess.run([manager, *words], cwd=directory, check=True, capture_output=True)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    options = ["-b", "127.0.0.1", "-p", str(port), "-d", str(directory)]
    with running([program("wayback"), *options], log=directory / "log"):
        wait_for(lambda: _answers(address), what="pywb answers", seconds=START_SECONDS)
        yield f"{address}/{COLLECTION}"


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, trust_env=False, timeout=10.0).status_code == 200
    except httpx.TransportError:
        return False
