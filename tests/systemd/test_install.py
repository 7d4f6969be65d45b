"""`healtharchive install` on a bare machine: once, again, after changes, interrupted, and away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from healtharchive.cli.machine import layout
from healtharchive.cli.machine.units import ENABLED, MOUNTER
from tests.lab.archive import command
from tests.lab.installed import DATA_DIR, ENV_FILE, UNITS, USER, install, machine
from tests.lab.systemd import Systemd

NOTHING = "Nothing is to be done: all is as it should be.\n"
DOMAIN = "archive.example.org"
MOUNTS = str(layout.MOUNTS)
CERTIFICATES = f"/etc/letsencrypt/live/{DOMAIN}"


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Systemd]:
    with machine(tmp_path) as systemd:
        yield systemd


def planned(text: str) -> list[str]:
    """The lines about changes, without what a person does then."""
    return text.partition("\nThen:\n")[0].splitlines()


def test_it_does_what_its_dry_run_says_and_the_second_time_nothing(bare: Systemd) -> None:
    said = install(bare, "--dry-run")
    assert bare.attempt("getent", "passwd", USER).returncode == 2
    assert install(bare) == said
    assert install(bare, "--dry-run") == NOTHING
    assert install(bare) == NOTHING
    modes = bare.run("stat", "-c", "%a %U:%G", ENV_FILE, str(DATA_DIR), "/run/healtharchive/wanted")
    assert modes.split("\n")[:3] == [
        f"640 root:{USER}",
        f"750 {USER}:{USER}",
        f"770 root:{USER}",
    ]
    assert bare.run("systemctl", "is-enabled", *UNITS).split() == ["enabled"] * len(UNITS)


def test_an_installation_that_was_interrupted_is_finished_by_the_next(bare: Systemd) -> None:
    install(bare)
    unit = f"/etc/systemd/system/{UNITS[0]}"
    bare.run("rm", "/etc/systemd/system/healtharchive.target.wants/" + UNITS[0], ENV_FILE)
    bare.run("sh", "-c", 'echo "# changed" >> "$1"', "-", unit)
    said = planned(install(bare))
    assert f"change {unit}" in said
    assert f"write {ENV_FILE} (0640 root:{USER})" in said
    assert "run systemctl daemon-reload" in said
    assert install(bare) == NOTHING
    # systemd was not told of this change, though the file is right again.
    bare.run("touch", "-d", "2 hours", unit)
    assert planned(install(bare)) == ["run systemctl daemon-reload"]


def test_settings_and_data_outlive_an_installation_and_its_removal(bare: Systemd) -> None:
    install(bare)
    bare.run("sh", "-c", 'echo "HEALTHARCHIVE_WORKER_JOBS=3" >> "$1"', "-", ENV_FILE)
    bare.run("touch", f"{DATA_DIR}/precious")
    install(bare, "--user", USER)
    bare.run("systemctl", "start", "healtharchive-wanted@worker.path")
    removed = planned(install(bare, "--remove"))
    assert removed[0].startswith("run systemctl disable --now healtharchive.target")
    left = bare.run("systemctl", "list-unit-files", "--no-legend", "healtharchive*", codes=(0, 1))
    assert left == ""
    assert not bare.active("healtharchive-wanted@worker.path")
    assert "HEALTHARCHIVE_WORKER_JOBS=3" in bare.run("cat", ENV_FILE)
    bare.run("test", "-e", f"{DATA_DIR}/precious")
    assert install(bare, "--remove") == NOTHING


def test_another_user_is_told_in_one_sentence_that_this_is_roots(bare: Systemd) -> None:
    as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    done = bare.attempt(*as_nobody, *command("install"))
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "Only root can install the services. Run it with sudo" in done.stderr
    assert bare.run(*as_nobody, *command("install", "--dry-run")).startswith(
        "write /etc/sysusers.d"
    )


def test_declared_mounts_bring_the_mounter_and_leave_the_steward_without_power(
    bare: Systemd,
) -> None:
    install(bare)
    target = '[[target]]\nname = "box"\nkind = "mount"\nroot = "/srv/healtharchive/box"\n'
    text = target + 'mount_command = ["sshfs", "u@h:", "/srv/healtharchive/box"]\n'
    bare.run("sh", "-c", 'printf %s "$1" > "$2"', "-", text, f"{DATA_DIR}/targets.toml")
    assert planned(install(bare)) == [
        f"write {MOUNTS} (0640 root:{USER})",
        f"change /etc/systemd/system/{UNITS[1]}",
        f"write /etc/systemd/system/{MOUNTER} (0644 root:root)",
        "write /etc/systemd/system/healtharchive-mounter@.service (0644 root:root)",
        "run systemctl daemon-reload",
        f"run systemctl enable {' '.join(ENABLED)} {MOUNTER}",
    ]
    assert bare.run("tail", "-n", "+4", MOUNTS) == text
    shown = bare.run("systemctl", "show", UNITS[1], "--property=AmbientCapabilities,ProtectSystem")
    assert shown.split() == ["AmbientCapabilities=", "ProtectSystem=strict"]
    bare.run("systemctl", "start", MOUNTER)
    assert bare.run("stat", "-c", "%a %U:%G", "/run/healtharchive/mounter") == f"660 root:{USER}\n"
    bare.run("rm", f"{DATA_DIR}/targets.toml")
    install(bare)
    assert not bare.active(MOUNTER)
    left = bare.run("systemctl", "list-unit-files", "--no-legend", "*mounter*", codes=(0, 1))
    assert left == ""
    assert install(bare) == NOTHING


def test_nginx_takes_its_configuration(bare: Systemd, tmp_path: Path) -> None:
    install(bare, "--web", "nginx", "--domain", DOMAIN)
    certificate = trustme.CA().issue_cert(DOMAIN, f"replay.{DOMAIN}")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "fullchain.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "privkey.pem")
    bare.run("mkdir", "-p", CERTIFICATES)
    for name in ("fullchain.pem", "privkey.pem"):
        bare.run("cp", tmp_path / name, f"{CERTIFICATES}/{name}")
    done = bare.attempt("nginx", "-t")
    assert done.returncode == 0, done.stderr
    assert "test is successful" in done.stderr
    assert "warn" not in done.stderr


def test_caddy_takes_its_configuration(bare: Systemd) -> None:
    install(bare, "--web", "caddy", "--domain", DOMAIN)
    bare.run("sh", "-c", "echo 'import healtharchive.caddy' > /etc/caddy/Caddyfile")
    validate = ("caddy", "validate", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile")
    done = bare.attempt(*validate, environment={"HOME": "/run", "XDG_DATA_HOME": "/run"})
    assert done.returncode == 0, done.stderr
    assert "Valid configuration" in done.stdout + done.stderr
