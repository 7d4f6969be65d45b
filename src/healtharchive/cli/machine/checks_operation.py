"""Checks of how the archive is run: units, web server, listeners, hours and days."""

from __future__ import annotations

import ipaddress
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from healtharchive.cli.machine import webservers
from healtharchive.cli.machine.checks import Checked, Surroundings, fail, fine, unknown, warn
from healtharchive.cli.machine.layout import UNIT_DIR
from healtharchive.cli.machine.systemctl import unit
from healtharchive.cli.machine.units import MOUNTER
from healtharchive.model.errors import HealthArchiveError
from healtharchive.settings.edition_day import edition_day
from healtharchive.storage.mountinfo import MOUNTED, covering, read_mounts

INSTALL = "healtharchive install --dry-run"
PROGRAM = (sys.executable, "-P", "-m", "healtharchive.cli.main")
VALIDATE = {
    "nginx": ["nginx", "-t"],
    "caddy": ["caddy", "validate", "--config", "/etc/caddy/Caddyfile"],
}


def units(around: Surroundings) -> Iterator[Checked]:
    """Whether this machine is as `install` would make it: user, directories, units, enabled."""
    if not around.booted:
        yield unknown("units", "This machine is not run by systemd: there are no units.")
        return
    if not (UNIT_DIR / unit("worker")).exists():
        yield unknown("units", "No unit of the archive is installed.", INSTALL)
        return
    planned = around.ask([*PROGRAM, "install", "--dry-run", "--json", "--user", around.user])
    try:
        changes = json.loads(planned.text)["changes"]
    except (ValueError, KeyError, TypeError):
        said = planned.text.splitlines()[-1] if planned.text else "it says nothing"
        yield unknown("units", f"`{INSTALL}` does not say what would change: {said}.", INSTALL)
        return
    for each in changes:
        yield warn("units", f"`healtharchive install` would {each}.", "healtharchive install")
    if not changes:
        yield fine("units", "Units and directories are as `healtharchive install` makes them.")


def mounter(around: Surroundings) -> Iterator[Checked]:
    """Whether mounts are made for the steward, and every service sees what is mounted."""
    mounted = [each for each in around.targets if each.kind in MOUNTED]
    if not around.booted or not mounted or not (UNIT_DIR / MOUNTER).exists():
        return
    if around.ask(["systemctl", "is-active", MOUNTER]).well:
        yield fine("mounter", f"{MOUNTER} takes the steward's orders.")
    else:
        said = f"{MOUNTER} does not listen: no mount is made or mended."
        yield fail("mounter", said, f"systemctl start {MOUNTER}")
    for each in mounted:
        disk = covering(read_mounts(), Path(each.root).parent)
        if disk is not None and not disk.shared:
            said = f"What is mounted at {each.root} is not seen by the services."
            cure = f"mount --make-shared {disk.point}, then restart healtharchive.target"
            yield fail(f"target {each.name}", said, cure)


def web_server(around: Surroundings) -> Iterator[Checked]:
    """The configuration of the web server before the pages, where one is installed by us."""
    for name, file in webservers.FILES.items():
        if not Path(file).exists():
            continue
        said = around.ask(VALIDATE[name])
        if said.well:
            yield fine(name, f"{name} accepts its configuration.")
        elif said.status is None:
            yield unknown(name, f"{file} is there, and cannot be checked: {said.text}.")
        else:
            last = said.text.splitlines()[-1] if said.text else "it does not say why"
            yield fail(name, f"{name} refuses its configuration: {last}", " ".join(VALIDATE[name]))


def listeners(around: Surroundings) -> Iterator[Checked]:
    """Who can reach the pages, and whether by a proxy that is trusted."""
    settings = around.settings
    host, proxies = settings.bind_host, settings.trusted_proxies
    if not is_loopback(host) and not proxies:
        said = f"The web pages listen on {host} with no proxy before them: plain HTTP to everybody."
        cure = "Set HEALTHARCHIVE_BIND_HOST=127.0.0.1 and put a web server before it."
        yield warn("web pages", said, cure)
    elif settings.public_url and is_loopback(host) and not proxies:
        said = "A proxy is before the pages and is not trusted: all readers count as one client."
        yield warn("web pages", said, "Set HEALTHARCHIVE_TRUSTED_PROXIES=127.0.0.1,::1.")
    else:
        yield fine("web pages", f"The web pages listen on {host}:{settings.bind_port}.")
    if settings.operations_port and not is_loopback(settings.operations_host):
        said = f"The operations pages listen on {settings.operations_host}, not only for us."
        yield warn("operations", said, "Set HEALTHARCHIVE_OPERATIONS_HOST=127.0.0.1.")
    ports = [settings.bind_port, settings.replay_port or settings.bind_port + 1]
    if settings.operations_port in ports:
        said = f"The operations pages have port {settings.operations_port}, as others do."
        yield fail("operations", said, "Set HEALTHARCHIVE_OPERATIONS_PORT to another one.")


def is_loopback(host: str) -> bool:
    """Whether an address is only reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def hours(around: Surroundings) -> Iterator[Checked]:
    """Quiet hours and their zone."""
    settings = around.settings
    if settings.quiet_hours:
        said = f"It is quiet {settings.quiet_hours} ({settings.quiet_zone})."
        yield fine("quiet hours", said)


def edition(around: Surroundings) -> Iterator[Checked]:
    """The day on which editions are created."""
    try:
        found = edition_day(around.settings.edition_on)
    except HealthArchiveError as error:
        yield fail("editions", error.what, error.cure)
        return
    if found is not None:
        said = f"The next edition is created on {around.settings.edition_on} (MM-DD)."
        yield fine("editions", said)


def alerting(around: Surroundings) -> Iterator[Checked]:
    """Whether anybody would be told, and whether anybody watches the watcher."""
    settings = around.settings
    if not settings.notify_urls:
        cure = "Set HEALTHARCHIVE_NOTIFY_URLS; `healtharchive alerts test` tries it."
        yield warn("alerts", "Nobody is told of alerts: notify_urls is not set.", cure)
    if not settings.heartbeat_url:
        cure = "Set HEALTHARCHIVE_HEARTBEAT_URL to a dead man's switch."
        yield warn("heartbeat", "If the whole machine dies, nobody is told.", cure)


def deploy_lock(around: Surroundings) -> Iterator[Checked]:
    """A lock that somebody forgot."""
    if around.condition is None or around.condition.deploy_lock_age_seconds is None:
        return
    age, lapses = around.condition.deploy_lock_age_seconds, around.settings.deploy_lock_seconds
    said = f"A deploy lock is {age:.0f} s old"
    if age >= lapses:
        yield warn("deploy lock", f"{said} and ignored by now.", "healtharchive deploy unlock")
    else:
        yield warn("deploy lock", f"{said}: nothing is mended.", "healtharchive deploy unlock")
