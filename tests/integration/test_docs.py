"""The documentation is true: its commands run, its links lead somewhere, it becomes a site."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from healtharchive.cli.status_text import WORDS
from healtharchive.cli.steward import BY_TARGET
from healtharchive.model.database import Database
from healtharchive.settings.declared import ENV_FILE_VARIABLE, declarations, variable_of
from healtharchive.steward.alert_rules import AlertRule
from healtharchive.steward.monitoring.exprs import OWN_RULES, OwnRule
from healtharchive.steward.reconcilers import reconcilers
from healtharchive.steward.rules import RULES
from tests.lab.archive import Archive
from tests.lab.documented import Command, commands_of, objection, pages
from tests.lab.processes import ROOT
from tests.lab.site import Site, serving
from tests.lab.stewards import means_for

PAGES = (
    *("README.md", "docs/install.md", "docs/operate.md", "docs/storage.md", "docs/alerts.md"),
    *("docs/backups.md", "docs/deploy.md", "docs/operations.md", "docs/incidents.md"),
)
BLOCK = re.compile(r"^( *)```console\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
SITE_URL = "http://127.0.0.1:8000"
# What these end with is a verdict: a tour starts no worker and installs nothing.
VERDICTS = {("status",): (0, 1, 2), ("deploy", "check"): (0, 1)}
PLAYBOOKS = ROOT / "docs/playbooks"
TROUBLES = ("errno-107", "errno-28", "errno-5", "wrong-database", "no-seeds", "worker-stopped")
SECTIONS = ("*Means*", "*Looks like*", "*Check*", "*By itself*", "*You*", "*Over*")
UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))
EVERY_RULE: tuple[AlertRule | OwnRule, ...] = (*RULES, *OWN_RULES)
LOADED = re.compile(r"<(?:link|script|img)\b[^>]*?(?:href|src)=\"([^\"]+)\"")
SITE_SECONDS = 240.0


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
            archive.run(
                *[word.replace(SITE_URL, site.url) for word in words],
                codes=VERDICTS.get(tuple(words), (0,)),
            )
            ran += 1
    assert ran >= 35
    assert archive.jobs()[0]["status"] == "indexed"


# -- what the pages name -------------------------------------------------------------------


def test_every_command_that_any_page_names_exists_with_its_options() -> None:
    found = [command for page in pages() for command in commands_of(page)]
    assert len(found) > 200
    wrong = {str(each): objection(each) for each in found if objection(each)}
    assert not wrong


@pytest.mark.parametrize(
    "words",
    [
        "sttus",
        "status --yaer 2026",
        "storage prob box",
        "worker paws",
        "retry-job --job 7",
        "list-jobs --limit many",
        "steward run",
    ],
)
def test_a_command_that_is_not_there_is_noticed(words: str) -> None:
    assert objection(Command("a page", tuple(words.split()), mentioned=False))


def test_every_setting_that_any_page_names_exists() -> None:
    known = {ENV_FILE_VARIABLE, *(variable_of(name) for name in declarations())}
    for page in pages():
        for name in re.findall(r"\bHEALTHARCHIVE_[A-Z_]*[A-Z]\b", page.read_text(encoding="utf-8")):
            assert name in known, f"{page.name}: {name}"


def test_every_target_of_make_that_any_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in pages():
        for name in re.findall(r"(?:`|^)make ([a-z0-9-]+)", page.read_text(encoding="utf-8"), re.M):
            assert name in targets, f"{page.name}: make {name}"


def test_the_operators_page_names_every_part_of_the_steward(
    database: Database, tmp_path: Path
) -> None:
    text = (ROOT / "docs/operate.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \|", text, re.MULTILINE)
    told = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}
    parts = {each.name for each in reconcilers(means_for(tmp_path, database))}
    assert parts | set(BY_TARGET) == told


# -- the playbooks -------------------------------------------------------------------------


def test_every_alert_has_its_playbook_and_every_playbook_its_alert_or_trouble() -> None:
    there = {page.stem for page in PLAYBOOKS.glob("*.md")}
    assert there == {"index", *TROUBLES, *(rule.name.lower() for rule in EVERY_RULE)}


def test_every_playbook_says_what_it_means_what_happens_and_what_is_left() -> None:
    for page in PLAYBOOKS.glob("*.md"):
        if page.stem == "index":
            continue
        text = page.read_text(encoding="utf-8")
        places = [text.find(f"\n{section}") for section in SECTIONS]
        assert -1 not in places, page.name
        assert places == sorted(places), page.name


def test_blocks_and_tables_begin_on_lines_of_their_own() -> None:
    for page in pages():
        for line in page.read_text(encoding="utf-8").splitlines():
            assert not re.search(r"\S+ *```", line), f"{page.name}: {line}"
            assert not re.match(r"[^|`]*\*: \|", line), f"{page.name}: {line}"


@pytest.mark.parametrize("rule", EVERY_RULE, ids=lambda rule: rule.name)
def test_a_playbook_says_how_grave_its_alert_is_and_when_it_is_told(
    rule: AlertRule | OwnRule,
) -> None:
    lines = (PLAYBOOKS / f"{rule.name.lower()}.md").read_text(encoding="utf-8").splitlines()
    lasts = length(rule.lasts_seconds)
    alone = ", by Prometheus alone" if isinstance(rule, OwnRule) else ""
    assert lines[0] == f"# {rule.name}"
    told = f"told when it has lasted {lasts}" if lasts else "told at once"
    assert lines[2] == f"{rule.severity}, {told}{alone}"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_playbook_shows_its_alert_as_status_does(rule: AlertRule) -> None:
    text = (PLAYBOOKS / f"{rule.playbook}.md").read_text(encoding="utf-8")
    shown = re.search(r"```text\n(.*)\n +run `(.+)`; read (\S+)\n```", text)
    assert shown
    assert shown[1].startswith(f"{WORDS[rule.severity]}  {rule.name}: ")
    assert shown[3] == f"docs/playbooks/{rule.playbook}.md"
    if shown[2].startswith("healtharchive "):
        assert not objection(Command(rule.name, tuple(shown[2].split()[1:]), mentioned=False))


def test_the_table_of_playbooks_is_the_list_of_rules() -> None:
    text = (PLAYBOOKS / "index.md").read_text(encoding="utf-8")
    for rule in EVERY_RULE:
        lasts = length(rule.lasts_seconds)
        told = f"after {lasts}" if lasts else "at once"
        page = f"[{rule.name}]({rule.name.lower()}.md)"
        assert f"| {page} | {rule.severity} | {told} | {rule.meaning} |\n" in text
    for trouble in TROUBLES:
        assert f"]({trouble}.md)" in text


def length(seconds: float) -> str:
    """A length of time in one unit, as the playbooks write it; empty for none."""
    if not seconds:
        return ""
    size, unit = next(each for each in UNITS if seconds >= each[0] and not seconds % each[0])
    count = int(seconds // size)
    return f"{count} {unit}{'s' * (count > 1)}"


def test_every_playbook_that_the_program_names_exists() -> None:
    for file in (ROOT / "src").rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        for name in re.findall(r"\b(?:playbook|PLAYBOOK) ?= ?\"([a-z0-9-]+)\"", text):
            assert (PLAYBOOKS / f"{name}.md").exists(), f"{file.name}: {name}"


# -- links, and the site -------------------------------------------------------------------


def test_every_link_between_the_pages_leads_somewhere() -> None:
    for page in pages():
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_documentation_becomes_a_site_that_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    done = built(ROOT / "docs", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    html = list((tmp_path / "site").rglob("*.html"))
    assert len(html) > len(pages()) - 1  # the README is no page of the site
    for page in html:
        for address in LOADED.findall(page.read_text(encoding="utf-8")):
            assert not re.match(r"(?:[a-z]+:)?//", address), f"{page.name}: {address}"


@pytest.mark.parametrize(
    ("page", "text", "said"),
    [
        ("lonely.md", "# Nobody leads here\n", "isn't included in any toctree"),
        ("operate.md", "# Operate\n\n[gone](nowhere.md)\n", "nowhere"),
        ("operate.md", "# Operate\n\n[gone](storage.md#no-such-heading)\n", "no-such-heading"),
    ],
)
def test_a_broken_link_or_a_page_nobody_leads_to_is_an_error(
    page: str, text: str, said: str, tmp_path: Path
) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for name in ("conf.py", "storage.md"):
        shutil.copy(ROOT / "docs" / name, docs)
    (docs / "index.md").write_text("# Index\n\n```{toctree}\noperate\nstorage\n```\n")
    (docs / "operate.md").write_text("# Operate\n")
    (docs / page).write_text(text)
    done = built(docs, tmp_path)
    assert done.returncode != 0
    assert said in done.stderr


def built(docs: Path, directory: Path) -> subprocess.CompletedProcess[str]:
    """The site as `make site` builds it, into `site` in the directory."""
    line = re.search(r"^\t\$\(RUN\)/python (-m sphinx .*)$", (ROOT / "Makefile").read_text(), re.M)
    assert line
    words = line[1].replace("build/", f"{directory}/").replace(" docs ", f" {docs} ").split()
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SITE_SECONDS,
        check=False,
    )
