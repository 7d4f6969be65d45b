"""Whoever has to restore a backup follows docs/backups.md: each of its commands, in its order.

On both databases, under a real systemd, as root and as the archive's own user.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab.archive import IMPATIENT
from tests.lab.documented import FENCE
from tests.lab.installed import UNITS, Installed, install, machine
from tests.lab.postgres import free_port
from tests.lab.processes import ROOT, wait_for
from tests.lab.site import Site, serving

BACKUPS, INSTALL = ROOT / "docs/backups.md", ROOT / "docs/install.md"
OTHER = {"sqlite": "**PostgreSQL.**", "postgresql": "**SQLite.**"}
WAIT_SECONDS = 180.0
PAGES = 6  # what comes back is compared, not how much of it there is
# All that the machine cannot do as it is written: it has the packages, without `sudo`.
REPLACED = {r"apt-get .*": "true", r"sudo -u (\w+)": r"runuser -u \1 --"}
# Only its socket: the port is another's on the loopback that the machine shares with us.
QUIET = """\
for each in /etc/postgresql/*/main/postgresql.conf; do
  echo "listen_addresses = ''" >> $each
done
"""
OF_A_JOB = ("id", "source", "campaign", "status", "output_dir")

pytestmark = pytest.mark.timeout(900)


@dataclass(frozen=True)
class Operator:
    """Somebody at the machine of an archive, who has the pages."""

    archive: Installed
    kind: str

    def follow(self, page: Path, section: str) -> str:
        """Run the blocks of a section for this database, in one shell as a person would."""
        blocks = blocks_of(page, section, without=OTHER[self.kind])
        script = "\n".join(["set -x", *blocks])
        for found, instead in REPLACED.items():
            script = re.sub(found, instead, script)
        shell = ("bash", "-euo", "pipefail", "-c", script)
        return self.archive.systemd.run(*shell, environment={"HOME": "/root"}, seconds=240.0)

    def facts(self) -> dict[str, Any]:
        """What the archive holds, as its commands tell."""
        found, status = self.archive.ask("search", "documentation"), self.archive.ask("status")
        jobs = sorted(self.archive.ask("list-jobs"), key=lambda job: int(job["id"]))
        return {
            "jobs": [[job[name] for name in OF_A_JOB] for job in jobs],
            "counts": jobs[0]["counts"],  # of the one that the backup knows: no WARC file has them
            "search": [(each["url"], each["captured_at"]) for each in found["hits"]],
            "captures": self.archive.ask("search", "documentation", "--all")["total"],
            "status": [status[name] for name in ("verdict", "jobs", "campaigns")],
            "sources": self.archive.ask("source", "list"),
        }

    def captured(self) -> bool:
        jobs = self.archive.ask("list-jobs")
        return bool(jobs) and all(job["status"] == "indexed" for job in jobs)


def blocks_of(page: Path, section: str, *, without: str) -> list[str]:
    """The commands of a section; not those after the bold words of the other database."""
    _, *parts = re.split(r"^## ", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (text,) = (part for part in parts if part.startswith(f"{section}\n"))
    paragraphs = re.split(r"^(?=\*\*)", text, flags=re.MULTILINE)
    kept = [each for each in paragraphs if not each.startswith(without)]
    return [block for each in kept for _, kind, block in FENCE.findall(each) if kind == "sh"]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with serving(PAGES, nasty=False) as running:
        yield running


@pytest.fixture(params=[pytest.param("sqlite", marks=pytest.mark.long), "postgresql"])
def operator(request: pytest.FixtureRequest) -> Iterator[Operator]:
    with machine() as systemd:
        install(systemd)
        systemd.run("ln", "-s", f"{sys.prefix}/bin/healtharchive", "/usr/local/bin/healtharchive")
        made = Operator(Installed(systemd, free_port()), request.param)
        made.archive.set(
            OPERATOR='"The lab <lab@example.org>"',
            BIND_PORT=str(made.archive.port),
            REPLAY_PORT=str(free_port()),
            **IMPATIENT,
        )
        if request.param == "postgresql":
            systemd.run("sh", "-euc", QUIET)
            made.follow(INSTALL, "PostgreSQL")
        made.archive.run("db", "upgrade")
        made.archive.systemctl("start", "healtharchive.target")
        made.archive.wait_until_up(*UNITS)
        yield made


def test_whoever_follows_the_page_has_the_archive_as_it_was(operator: Operator, site: Site) -> None:
    archive = operator.archive
    archive.write("/run/source.toml", site.source_toml(), mode="0644")
    archive.run("source", "add", "/run/source.toml")
    archive.run("campaign", "create", "annual", "--year", "2026", "--source", "demo")
    wait_for(operator.captured, what="the site is captured", seconds=WAIT_SECONDS, every=1.0)
    archive.run("token", "create", "marie", "--scope", "admin")
    archive.run("backup", "now")
    # Since the backup: a capture, which `rebuild` finds, and a token that opens nothing any more.
    archive.run("campaign", "create", "annual", "--year", "2027", "--source", "demo")
    wait_for(operator.captured, what="another capture", seconds=WAIT_SECONDS, every=1.0)
    archive.run("token", "revoke", "marie")
    before = operator.facts()
    assert before["search"]

    said = operator.follow(BACKUPS, "Restore for real")
    archive.wait_until_up(*UNITS)
    assert "1 jobs restored" in said
    assert "All is well" in said
    assert operator.facts() == before
    assert archive.ask("token", "list") == []
    archive.run("token", "create", "marie", "--scope", "admin")
    archive.run("backup", "now")  # and so it goes on
    assert "restored" in archive.run("backup", "test")
