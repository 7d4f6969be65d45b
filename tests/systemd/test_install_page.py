"""Whoever has never seen it follows the install page: each of its commands, in its order.

On a bare tree under a real systemd. `REPLACED` is all that the machine cannot do as it is written.
"""

from __future__ import annotations

import re
import subprocess
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

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
BOX = "/srv/healtharchive/box"
BLOCK_SECONDS = 240.0
CAMPAIGN_SECONDS = 120.0
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
    # The site: plain HTTP on loopback, which a source has to allow.
    r"https://health\.city\.example/": "{site}/",
    r'hosts = \["health\.city\.example"\]': f'hosts = ["{HOST}"]',
    r'(name = "City health department")': rf'\1\nallow_private_hosts = ["{HOST}"]',
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
BEFORE_POSTGRESQL = "sudo -u healtharchive healtharchive db upgrade"  # the page: "In step 3 …"
# `doctor` warns of Debian 12's sshfs, as the page says; every other block ends with 0.
VERDICTS = {"healtharchive doctor\n": (0, 1)}


@dataclass
class Newcomer:
    """Somebody on a bare machine who has the page, a storage box and a site."""

    archive: Installed
    box: Server
    lab: dict[str, str]
    directory: str = "/root"
    said: dict[str, str] = field(default_factory=dict)

    def run(self, block: str) -> str:
        """What a block of the page prints; it ends with 0, each of its commands does."""
        own = block
        for found, instead in REPLACED.items():
            own = re.sub(found, instead.format(**self.lab), own)
        script = f"cd {self.directory}\n{own}\npwd > /run/directory"
        self.said[block] = self.archive.systemd.run(
            *("bash", "-euo", "pipefail", "-c", script),
            environment={"HOME": "/root"},
            codes=VERDICTS.get(block, (0,)),
            seconds=BLOCK_SECONDS,
        )
        self.directory = self.archive.read("/run/directory").strip()
        return self.said[block]

    def mounted_and_trusted(self) -> bool:
        (box,) = (each for each in self.archive.ask("storage", "status") if each["name"] == "box")
        return bool(box["breaker"] == "closed" and box["verdict"] == "healthy")

    def captured(self) -> bool:
        return bool(self.archive.job()["status"] == "indexed")


def blocks(*, section: str = "") -> list[str]:
    """The blocks of commands of the numbered steps, or of one section after them."""
    _, *parts = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    chosen = [each for each in parts if each.startswith(section or tuple("0123456789"))]
    found = [each for part in chosen for each in FENCE.findall(part)]
    assert found
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
    archive = newcomer.archive
    for block in blocks():
        if "storage status" in block:
            wait_for(newcomer.mounted_and_trusted, what="the box", seconds=90.0, every=1.0)
        if "campaign status" in block:
            wait_for(newcomer.captured, what="the campaign", seconds=CAMPAIGN_SECONDS, every=1.0)
        if "search" in block:
            wait_for(
                lambda: list(newcomer.box.files.rglob("*.warc.gz")),
                what="its files on the box",
                seconds=CAMPAIGN_SECONDS,
                every=1.0,
            )
        said = newcomer.run(block)
        if block.startswith("cat /etc/healtharchive/id_ed25519.pub"):
            assert said.startswith("ssh-ed25519 ")
            (newcomer.box.directory / "authorized_keys").write_text(said)
        print(block, "=>", said, sep="\n")
    raise AssertionError("look")
