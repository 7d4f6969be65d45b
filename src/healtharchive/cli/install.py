"""`install` puts the archive's services on this machine, under systemd, or takes them off it."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from healtharchive.cli.machine.installing import Change
    from healtharchive.cli.machine.layout import Part
    from healtharchive.cli.machine.units import Machine
    from healtharchive.cli.machine.webservers import WebServer
    from healtharchive.settings import Settings

app = typer.Typer()
PANEL = "Set-up"
PACKAGE = Path(__file__).resolve().parents[1]
DATA_DIR = Path("/var/lib/healtharchive")


@app.command(rich_help_panel=PANEL)
def install(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take the services away; data and settings stay.")
    ] = False,
    user: Annotated[
        str, typer.Option("--user", help="The user that the services run as.")
    ] = "healtharchive",
    web: Annotated[
        str, typer.Option("--web", help="Also a web server's configuration: caddy or nginx.")
    ] = "",
    domain: Annotated[
        str, typer.Option("--domain", help="The name that readers reach the archive by.")
    ] = "",
    prefix: Annotated[
        str, typer.Option("--prefix", help="Write the files below this directory; run nothing.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Put the archive's services on this machine: user, directories, settings file, units."""
    from healtharchive.cli.machine.installing import Tree, plan

    _check_machine(dry_run=dry_run or bool(prefix))
    tree = Tree(Path(prefix).absolute() if prefix else None)
    settings = _settings(tree.at(Path("/etc/healtharchive/backend.env")))
    server = _web_server(web, domain)
    parts = tree.parts(_parts(settings, user, server, domain, remove=remove))
    changes = plan(parts, tree.look(parts))
    for change in changes:
        if not dry_run:
            tree.make(change)
        if not as_json:
            print(change.sentence)
    _tell(changes, _next_steps(server, domain, user) if not remove else [], as_json=as_json)


def _parts(
    settings: Settings, user: str, server: WebServer | None, domain: str, *, remove: bool
) -> list[Part]:
    from healtharchive.cli.machine import layout, units, webservers
    from healtharchive.cli.machine.envtemplate import env_text
    from healtharchive.crawl.sources import load_all
    from healtharchive.storage.declared import targets_in, targets_text

    if remove:
        return layout.removed({Path(path): "" for path in webservers.FILES.values()})
    # Read once: whoever owns the file could have another in its place by a second time.
    text = targets_text(settings.targets_file)
    machine = units.machine_of(
        settings,
        targets_in(settings.targets_file, text),
        program=_program(),
        parts=_program_parts(),
        user=user,
        env_file=layout.CONFIGURATION / "backend.env",
        targets_text=text,
        sources=load_all(settings.sources_dir).values(),
    )
    check_homes(machine)
    if machine.mounts:
        check_owner(_run_by_root(), user)
    site: Mapping[Path, str] = {}
    if server is not None:
        path = Path(webservers.FILES[server])
        site = {path: webservers.site_text(server, domain, settings)}
    first = env_text(_first_values(settings, domain if server else ""))
    return layout.installed(machine, units.unit_files(machine), first, site)


def _settings(env_file: Path) -> Settings:
    """What the services will be told: the settings file, and nothing of who installs them."""
    from healtharchive.settings import envfile, load

    written = envfile.read(env_file) if env_file.exists() else []
    # Their data directory is the system's, whatever it would be for this user.
    unless_set = {"HEALTHARCHIVE_DATA_DIR": str(DATA_DIR)}
    return load(unless_set | {each.name: each.value for each in written}, env_file=env_file)


def _first_values(settings: Settings, domain: str) -> dict[str, str]:
    """What a new settings file sets."""
    values = {
        "database_url": settings.embedded_database_url,
        "data_dir": str(settings.data_dir),
        "operator": "",
    }
    if domain:
        values["public_url"] = f"https://{domain}"
        values["replay_url"] = f"https://replay.{domain}"
        values["trusted_proxies"] = "127.0.0.1,::1"
    return values


def _web_server(name: str, domain: str) -> WebServer | None:
    from typing import get_args

    from healtharchive.cli.machine.webservers import WebServer
    from healtharchive.model.errors import BadInput

    if not name:
        return None
    for known in get_args(WebServer):
        if name == known:
            if not domain:
                raise BadInput(f"{name} needs to know the site's name.", "Add --domain NAME.")
            return known  # type: ignore[no-any-return]
    raise BadInput(f"'{name}' is no web server that is known here.", "Use caddy or nginx.")


def _program() -> Path:
    """The command that the units start. SetupError when their user could not run it."""
    from healtharchive.cli.machine.units import in_a_home
    from healtharchive.model.errors import SetupError

    program = Path(sys.prefix).absolute() / "bin/healtharchive"
    if not program.exists():
        raise SetupError(
            f"There is no {program}, which the services would run.",
            "Install healtharchive into this Python with pip.",
        )
    for part in _program_parts():
        closed = [each for each in part.parents if _is_closed(each)]
        if closed and not in_a_home(part):
            raise SetupError(
                f"Another user cannot run {program}: {closed[0]} is closed to others.",
                "Install healtharchive somewhere else, such as /opt/healtharchive.",
            )
    return program


def check_homes(machine: Machine) -> None:
    """SetupError when the mounter could not do its work as the archive's user.

    The services are shown what they need of a home directory, wherever it is; the mounter has no
    view of the file system of its own.
    """
    from healtharchive.model.errors import SetupError

    closed = [each for part in machine.in_homes for each in part.parents if _is_closed(each)]
    if machine.mounts and closed:
        raise SetupError(
            f"There are mounts to make, and that cannot be done from {closed[0]}, which is closed "
            f"to user {machine.user}.",
            "Install healtharchive somewhere else, such as /opt/healtharchive.",
        )


def check_owner(paths: Iterable[Path], user: str) -> None:
    """SetupError when the archive's user could change what root's mounter runs: he were root."""
    from healtharchive.model.errors import SetupError

    for path in (each for start in paths for each in (start, *start.parents)):
        if _may_write(user, path.stat()):
            raise SetupError(
                f"There are mounts to make, by a process of root's that runs what is in {path}, "
                f"which user {user} may change.",
                f"Give it to root: `chown -R root:root {path}; chmod -R go-w {path}`.",
            )


def _may_write(user: str, found: os.stat_result) -> bool:
    import pwd

    shared = bool(found.st_mode & stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        return shared
    in_group = found.st_gid == account.pw_gid and bool(found.st_mode & stat.S_IWGRP)
    return account.pw_uid != 0 and (shared or in_group or found.st_uid == account.pw_uid)


def _run_by_root() -> list[Path]:
    """Where the mounter's Python, its packages and its code are."""
    import sysconfig

    return [
        *_program_parts(),
        Path(sys.prefix, "bin"),
        Path(sysconfig.get_path("purelib")),
        PACKAGE,
    ]


def _is_closed(directory: Path) -> bool:
    return not directory.stat().st_mode & 0o001


def _program_parts() -> list[Path]:
    """The directories of this Python, of what is installed in it, and of this program."""
    found = {Path(each).resolve() for each in (sys.prefix, sys.base_prefix, PACKAGE.parent)}
    return sorted(found)


def _check_machine(*, dry_run: bool) -> None:
    from healtharchive.model.errors import SetupError
    from healtharchive.work.systemd import is_booted

    if dry_run:
        return
    if os.geteuid() != 0:
        raise SetupError(
            "Only root can install the services.",
            "Run it with sudo; `healtharchive install --dry-run` shows what it would do.",
        )
    if not is_booted():
        raise SetupError(
            "This machine is not run by systemd.",
            "`healtharchive install --prefix DIR` writes the files elsewhere; "
            "`healtharchive up` needs no systemd.",
        )


def _next_steps(server: WebServer | None, domain: str, user: str) -> list[str]:
    from healtharchive.cli.machine.webservers import next_step

    steps = [
        "Say in /etc/healtharchive/backend.env who runs the archive (HEALTHARCHIVE_OPERATOR), "
        "and which database it has.",
        f"`sudo -u {user} {_program()} db upgrade`",
        "`systemctl start healtharchive.target`",
    ]
    return [*steps, next_step(server, domain)] if server else steps


def _tell(changes: list[Change], steps: list[str], *, as_json: bool) -> None:
    from healtharchive.cli.render import print_json

    if as_json:
        print_json({"changes": [each.sentence for each in changes], "next": steps})
    elif not changes:
        print("Nothing is to be done: all is as it should be.")
    elif steps:
        print("\nThen:")
        for number, step in enumerate(steps, start=1):
            print(f"{number}. {step}")
