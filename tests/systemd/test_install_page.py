"""Whoever has never seen it follows the install page: each of its commands, in its order.

On a bare tree under a real systemd. `REPLACED` is all that the machine cannot do as it is written.
"""

from __future__ import annotations

import re
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.lab.documented import FENCE, SHELL
from tests.lab.installed import Installed, machine
from tests.lab.mounts import Server, sshd
from tests.lab.postgres import free_port
from tests.lab.processes import ROOT, wait_for
from tests.lab.receiver import Receiver, receiving
from tests.lab.site import HOST, Site, serving

PAGE = ROOT / "docs/install.md"
TREE = "/usr/local/src/healtharchive"
PACKAGES = "/opt/locked-packages"
FETCHED = ("web/replay_assets", "web/static/htmx")  # by scripts/replay-web and scripts/htmx
KEY = "/etc/healtharchive/id_ed25519.pub"
BLOCK_SECONDS = 240.0
WAIT_SECONDS = 180.0
# A regular expression, and what is run in the place of what it finds. Names in {} are the lab's.
REPLACED = {
    # The machine has these packages; `sudo` is not among those that the tests install.
    r"apt-get .*": "true",
    r"sudo -u (\w+)": r"runuser -u \1 --",
    # What is locked lies in the environment of the tests: it is only made visible in the new one.
    r"\S+pip install --require-hashes -r requirements/run.lock": (
        "(cd $(echo /opt/healtharchive/lib/python3*/site-packages)"
        f"; rm -rf setuptools* pkg_resources *distutils*; echo {PACKAGES} > locked.pth)"
    ),
    r"git pull --ff-only": "true",
    # The box: box.example is this machine (/etc/hosts), its sshd has a port of its own.
    r"(?<=-[pP] )23\b": "{port}",
    r'(?<="-p", ")23\b': "{port}",
    r"box\.example:23": "box.example:{port}",
    r"u1@": "{user}@",
    r"/home/archive": "{files}/archive",
    # The site: plain HTTP on loopback, which a source has to allow; ours, and not to be spared.
    r"delay_seconds = 1\.0": "delay_seconds = 0.05",
    r"https://health\.city\.example/": "{site}/",
    r'hosts = \["health\.city\.example"\]': f'hosts = ["{HOST}"]',
    r'(name = "City health department")': rf'\1\nallow_private_hosts = ["{HOST}"]',
    r"search health": "search documentation",
    # Ports, for other tests run beside this one; who is told; no certificates are asked for.
    r"(sed .*HEALTHARCHIVE_OPERATOR=.* (\S+))": (
        r"\1\necho HEALTHARCHIVE_BIND_PORT={pages} >> \2"
        r"\necho HEALTHARCHIVE_REPLAY_PORT={replay} >> \2"
    ),
    r"ntfys://ntfy\.example\.org/TOPIC": "{hook}",
    r"systemctl reload caddy": (
        "HOME=/run caddy validate --config /etc/caddy/Caddyfile --adapter caddyfile"
    ),
}
# `doctor` warns of Debian 12's sshfs, as the page says; every other block ends with 0.
VERDICTS = {"healtharchive doctor\n": (0, 1)}

pytestmark = pytest.mark.timeout(900)


@dataclass
class Newcomer:
    """Somebody on a bare machine who has the page, a storage box and a site."""

    archive: Installed
    box: Server
    lab: dict[str, str]
    directory: str = "/root"
    ran: list[tuple[str, str]] = field(default_factory=list)

    def follow(self, block: str) -> None:
        """Run a block of the page as soon as the page has it run; each of its commands works."""
        for sign, has_come in self._patience().items():
            if sign in block:
                wait_for(has_come, what=f"it is time for {sign}", seconds=WAIT_SECONDS, every=1.0)
        said = self._run(block)
        self.ran.append((block, said))
        if f"cat {KEY}" in block:  # "Let the box know the key"
            (self.box.directory / "authorized_keys").write_text(said)

    def said(self, command: str) -> str:
        """What the last block with this command printed."""
        return next(said for block, said in reversed(self.ran) if command in block)

    def _run(self, block: str) -> str:
        own = block
        for found, instead in REPLACED.items():
            own = re.sub(found, instead.format(**self.lab), own)
        printed = self.archive.systemd.run(
            *("bash", "-euo", "pipefail", "-c"),
            f"cd {self.directory}\n{own}\npwd > /run/directory",
            environment={"HOME": "/root"},
            codes=VERDICTS.get(block, (0,)),
            seconds=BLOCK_SECONDS,
        )
        self.directory = self.archive.read("/run/directory").strip()
        return printed

    def _patience(self) -> dict[str, Callable[[], bool]]:
        """Until when the page has its reader wait before a command."""
        return {
            "storage status": self.box_is_trusted,
            "campaign status": self.all_captured,
            "search ": self.all_verified,
        }

    def box_is_trusted(self) -> bool:
        return bool(self._box()["target"]["state"] == "closed")

    def all_captured(self) -> bool:
        return all(job["status"] == "indexed" for job in self.archive.ask("list-jobs"))

    def all_verified(self) -> bool:
        """Whether all WARC files are on the box and were read back."""
        copies = self._box()["copies"]
        return bool(copies["verified"] and not copies["waiting"]) and bool(self.on_the_box())

    def on_the_box(self) -> list[Path]:
        return list((self.box.files / "archive").rglob("*.warc.gz"))

    def _box(self) -> dict[str, Any]:
        (box,) = (each for each in self.archive.ask("storage", "status") if each["target"]["ship"])
        return dict(box)


def blocks(section: str = "") -> list[str]:
    """The blocks of commands of the numbered steps, or of another section of the page."""
    _, *parts = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    chosen = [each for each in parts if each.startswith(section or tuple("123456789"))]
    found = [each for part in chosen for each in FENCE.findall(part)]
    return [re.sub(r"^\$ ", "", text, flags=re.M) for _, kind, text in found if kind in SHELL]


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(3, nasty=False) as running:
        yield running


@pytest.fixture
def box() -> Iterator[Server]:
    with sshd() as running:
        yield running


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def newcomer(tmp_path: Path, site: Site, box: Server, hook: Receiver) -> Iterator[Newcomer]:
    ports = {"pages": free_port(), "replay": free_port(), "port": box.port}
    names = {"user": box.user, "files": box.files, "site": site.url, "hook": hook.hook}
    with machine(tmp_path) as systemd:
        newcomer = Newcomer(
            Installed(systemd, ports["pages"]),
            box,
            {name: str(value) for name, value in {**ports, **names}.items()},
        )
        bring_tree(newcomer, tmp_path)
        systemd.run("mknod", "-m", "666", "/dev/fuse", "c", "10", "229")  # /dev has only a few
        systemd.run("sh", "-c", f"echo '{HOST} box.example' >> /etc/hosts")
        systemd.run("mkdir", PACKAGES)
        systemd.run("mount", "--bind", sysconfig.get_path("purelib"), PACKAGES)
        yield newcomer


def bring_tree(newcomer: Newcomer, directory: Path) -> None:
    """The repository as a clone of it would be, and what its two scripts fetch from elsewhere."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, timeout=60).stdout
    there = [name for name in names.split(b"\0") if name and (ROOT / name.decode()).exists()]
    listing = directory / "files"
    listing.write_bytes(b"\0".join(there))
    fetched = " ".join(f"src/healtharchive/{each}" for each in FETCHED)
    copy = f"tar -c --null -T {listing} --no-recursion | tar -x --no-same-owner -C {TREE}"
    more = f"tar -c {fetched} | tar -x --no-same-owner -C {TREE}"
    newcomer.archive.systemd.run(
        "sh", "-euc", f"mkdir -p {TREE}; cd {ROOT}; {copy}; {more}", seconds=BLOCK_SECONDS
    )


def test_a_newcomer_who_follows_the_page_gets_a_campaign_that_is_kept_on_the_box(
    newcomer: Newcomer, hook: Receiver
) -> None:
    for block in blocks():
        newcomer.follow(block)
    assert "FAIL" not in newcomer.said("healtharchive doctor")
    assert "Ready for search: YES" in newcomer.said("campaign status")
    assert "All is well: 1 indexed" in newcomer.said("campaign status")
    assert "http://" in newcomer.said("search ")
    assert newcomer.on_the_box()
    assert any("test" in each.lower() for each in hook.subjects())
    assert "Valid configuration" in newcomer.said("--web caddy")
    # It was restarted, and upgraded: it goes on.
    assert "All is well: 1 indexed" in newcomer.said("git pull")
    newcomer.archive.run("campaign", "create", "annual", "--year", "2027", "--source", "city")
    wait_for(newcomer.all_captured, what="the next campaign", seconds=WAIT_SECONDS, every=1.0)
    for block in blocks("Away with it"):
        newcomer.follow(block)
    units = ("systemctl", "list-unit-files", "--no-legend", "healtharchive*")
    assert newcomer.archive.systemd.run(*units, codes=(0, 1)) == ""


@pytest.mark.long  # test_restore_page follows the same section
def test_a_newcomer_who_takes_postgresql_gets_an_archive_on_it(newcomer: Newcomer) -> None:
    quiet = "for each in /etc/postgresql/*/main/postgresql.conf"  # only its socket, not our port
    quiet += """; do echo "listen_addresses = ''" >> $each; done"""
    newcomer.archive.systemd.run("sh", "-euc", quiet)
    steps = blocks()
    schema = next(number for number, each in enumerate(steps) if "db upgrade" in each)
    start = next(each for each in steps if each.startswith("systemctl start"))
    for block in (*steps[:schema], *blocks("PostgreSQL"), steps[schema], start):
        newcomer.follow(block)
    assert "postgresql" in newcomer.said("db current")
    assert "All is well" in newcomer.archive.run("status")
    newcomer.archive.run("backup", "now")
    assert "restored" in newcomer.archive.run("backup", "test")
