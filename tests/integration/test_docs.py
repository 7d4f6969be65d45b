"""The commands in the documentation run, in their order, on a new archive."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.archive import Archive
from tests.lab.processes import ROOT
from tests.lab.site import Site, serving

PAGES = ("README.md", "docs/install.md", "docs/operate.md", "docs/storage.md")
BLOCK = re.compile(r"^( *)```console\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
SITE_URL = "http://127.0.0.1:8000"


def commands(page: str) -> list[list[str]]:
    """The `healtharchive` commands of a page's console blocks."""
    text = (ROOT / page).read_text(encoding="utf-8")
    lines = [line.strip() for _, block in BLOCK.findall(text) for line in block.splitlines()]
    said = [shlex.split(line.removeprefix("$ ")) for line in lines if line.startswith("$ ")]
    assert all(words[0] == "healtharchive" for words in said)
    return [words[1:] for words in said]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with serving(10, nasty=False) as running:
        yield running


def test_every_command_of_the_documentation_works_in_its_order(site: Site, tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data")
    archive.data_dir.mkdir()
    (archive.data_dir / "backend.env").touch()
    ran = 0
    for page in PAGES:
        for words in commands(page):
            archive.run(*[word.replace(SITE_URL, site.url) for word in words])
            ran += 1
    assert ran >= 20
    assert archive.jobs()[0]["status"] == "indexed"


def test_every_link_between_the_pages_leads_somewhere() -> None:
    for page in (ROOT / "README.md", *ROOT.glob("docs/**/*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_documentation_names_only_commands_that_there_are() -> None:
    help_text = Archive(ROOT / ".none").run("--help")
    for page in (ROOT / "README.md", *ROOT.glob("docs/*.md")):
        for name in re.findall(r"`healtharchive ([a-z][a-z-]*)", page.read_text(encoding="utf-8")):
            assert re.search(rf"\b{name}\b", help_text), f"{page.name}: healtharchive {name}"
