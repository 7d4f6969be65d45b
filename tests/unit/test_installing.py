"""What `install` plans: only what differs, the same again in the same words, never a loss."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from healtharchive.cli.install import check_homes
from healtharchive.cli.machine import layout, webservers
from healtharchive.cli.machine.envtemplate import GROUPS, env_text
from healtharchive.cli.machine.installing import Seen, Tree, plan
from healtharchive.cli.machine.layout import Command, File
from healtharchive.cli.machine.units import (
    CONTAINERS,
    MOUNTER,
    MOUNTER_UNITS,
    OLD_DROP_IN,
    Machine,
    machine_of,
    unit_files,
)
from healtharchive.model.errors import BadInput, SetupError
from healtharchive.model.target import TargetDefinition, TargetKind
from healtharchive.settings import load
from healtharchive.settings.declared import variable_of
from tests.lab.archive import command
from tests.lab.processes import without_settings

PROGRAM = Path("/opt/healtharchive/bin/healtharchive")
MOST_EXPOSED = {
    "healtharchive-worker.service": 30,
    "healtharchive-steward.service": 30,
    "healtharchive-serve.service": 30,
    "healtharchive-wanted@.service": 30,
    # It mounts for all to see, so it has no view of the file system of its own.
    "healtharchive-mounter@.service": 45,
    # It makes namespaces and mounts, with set-uid programs.
    "healtharchive-containers.service": 51,
}
SERVICES = tuple(MOST_EXPOSED)[:4]
BOX = TargetDefinition("box", TargetKind.MOUNT, "/mnt/far/box", mount_command=("sshfs", "a", "b"))
NOTHING = Seen({}, {}, frozenset(), frozenset(), False)


def machine(*targets: TargetDefinition, **settings: str) -> Machine:
    env = {"HEALTHARCHIVE_DATA_DIR": "/var/lib/healtharchive"}
    env |= {variable_of(name.lower()): value for name, value in settings.items()}
    return machine_of(
        load(env, env_file=Path("/nowhere")),
        targets,
        program=PROGRAM,
        parts=[PROGRAM.parents[1]],
        user="healtharchive",
        env_file=Path("/etc/healtharchive/backend.env"),
        targets_text="# as it is declared\n",
    )


def parts(found: Machine | None = None) -> list[layout.Part]:
    made = found or machine()
    return layout.installed(made, unit_files(made), env_text({}), {})


def seen(wanted: list[layout.Part], *, other: dict[Path, str] | None = None) -> Seen:
    """A machine on which all of it is there; with these files' texts instead."""
    files: dict[Path, str | None] = {p.path: p.text for p in wanted if isinstance(p, File)}
    directories = {p.path: (p.mode, p.owner) for p in wanted if isinstance(p, layout.Directory)}
    made = {path for p in wanted if isinstance(p, Command) for path in p.makes}
    return Seen(
        files | (other or {}),
        directories,
        frozenset({*files, *directories, *made}),
        frozenset({"healtharchive"}),
        False,
    )


def sentences(wanted: list[layout.Part], found: Seen) -> list[str]:
    return [each.sentence for each in plan(wanted, found)]


# -- the plan ----------------------------------------------------------------------------------


def test_on_a_bare_machine_the_user_comes_before_what_belongs_to_it() -> None:
    said = sentences(parts(), NOTHING)
    user = said.index("run systemd-sysusers healtharchive.conf")
    assert user < said.index("write /etc/healtharchive/backend.env (0640 root:healtharchive)")
    assert user < said.index("make /var/lib/healtharchive (0750 healtharchive)")
    assert said.index("run systemctl daemon-reload") > max(
        place for place, each in enumerate(said) if each.startswith("write /etc/systemd")
    )


def test_what_is_as_it_should_be_is_left_alone() -> None:
    assert sentences(parts(), seen(parts())) == []


def test_the_settings_file_is_never_overwritten() -> None:
    env = Path("/etc/healtharchive/backend.env")
    assert sentences(parts(), seen(parts(), other={env: "HEALTHARCHIVE_LOG_LEVEL=debug\n"})) == []


def test_a_unit_that_was_changed_is_put_right_and_systemd_told() -> None:
    unit = layout.UNIT_DIR / "healtharchive-worker.service"
    assert sentences(parts(), seen(parts(), other={unit: "[Service]\n"})) == [
        f"change {unit}",
        "run systemctl daemon-reload",
    ]


def test_an_installation_that_was_interrupted_before_systemd_was_told_is_finished() -> None:
    found = replace(seen(parts()), reload_needed=True)
    assert sentences(parts(), found) == ["run systemctl daemon-reload"]


def test_mounts_that_are_declared_later_bring_the_mounter_and_take_it_away_again() -> None:
    near = machine(replace(BOX, root="/srv/healtharchive/box"))
    without, with_mounts = parts(), parts(near)
    assert sentences(with_mounts, seen(without)) == [
        f"write {layout.MOUNTS} (0640 root:healtharchive)",
        f"change {layout.UNIT_DIR}/healtharchive-steward.service",
        *(f"write {layout.UNIT_DIR}/{name} (0644 root:root)" for name in MOUNTER_UNITS),
        "run systemctl daemon-reload",
        f"run systemctl enable {' '.join(near.enabled)}",
    ]
    assert sentences(without, seen(with_mounts)) == [
        f"change {layout.UNIT_DIR}/healtharchive-steward.service",
        f"run systemctl disable --now {MOUNTER}",
        *(f"remove {layout.UNIT_DIR}/{name}" for name in MOUNTER_UNITS),
        f"remove {layout.MOUNTS}",
        "run systemctl daemon-reload",
    ]


def test_root_is_told_again_when_the_targets_file_has_changed() -> None:
    before, after = machine(BOX), replace(machine(BOX), targets_text="# another\n")
    assert sentences(parts(after), seen(parts(before))) == [f"change {layout.MOUNTS}"]


def test_the_power_that_the_steward_had_before_there_was_a_mounter_is_taken_from_it() -> None:
    drop_in = layout.UNIT_DIR / OLD_DROP_IN
    found = seen(parts(machine(BOX)))
    found = replace(found, there=found.there | {drop_in})
    said = [f"remove {drop_in}", "run systemctl daemon-reload"]
    assert sentences(parts(machine(BOX)), found) == said


def test_removal_stops_first_and_takes_neither_data_nor_settings() -> None:
    said = sentences(layout.removed({}), seen(parts(machine(BOX))))
    assert said[0].startswith("run systemctl disable --now healtharchive.target")
    assert said[-1] == "run systemctl daemon-reload"
    kept = ("/etc/healtharchive", "/var/lib/healtharchive", "/srv/healtharchive")
    assert [each for each in said if any(path in each for path in kept)] == [
        f"remove {layout.MOUNTS}"  # a copy; the targets file stays
    ]


def test_removal_of_what_is_not_there_does_nothing() -> None:
    assert sentences(layout.removed({}), NOTHING) == []


# -- the units ---------------------------------------------------------------------------------


@pytest.fixture(params=["local", "mounts", "containers", "in a home"])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The units as files, for an archive of each kind."""
    made = machine(BOX) if request.param == "mounts" else machine()
    if request.param == "containers":
        made = replace(machine(), containers=True, container_runtime="runc")
    if request.param == "in a home":
        made = replace(made, in_homes=(Path("/home/one/venv"),))
    # There is no such program: systemd would say nothing else of the units.
    (tmp_path / "bin").mkdir()
    for name in ("healtharchive", "python"):
        (tmp_path / "bin" / name).symlink_to("/bin/true")
    made = replace(made, program=tmp_path / "bin/healtharchive")
    for name, text in unit_files(made).items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def analyze(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "info"},
    )


def test_systemd_finds_nothing_wrong_with_the_units(written: Path) -> None:
    names = [path.name for path in written.iterdir() if path.is_file()]
    units = [f"./{name.replace('@.', '@worker.')}" for name in names]
    done = analyze("verify", "--man=no", *units, cwd=written)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_each_service_is_as_closed_as_its_work_allows(written: Path) -> None:
    for name, most in MOST_EXPOSED.items():
        if not (written / name).exists():
            assert name in (MOUNTER_UNITS[1], CONTAINERS)
            continue
        done = analyze("security", "--offline=true", f"--threshold={most}", name, cwd=written)
        assert done.returncode == 0, f"{name}: {done.stdout.splitlines()[-1]}"


def test_no_service_can_stay_dead_for_having_failed_too_often(written: Path) -> None:
    for name in (*SERVICES, CONTAINERS):
        if (written / name).exists():
            assert "StartLimitIntervalSec=0\n" in (written / name).read_text()
    if (written / MOUNTER).exists():
        assert "TriggerLimitIntervalSec=0\n" in (written / MOUNTER).read_text()
    assert "StartLimitIntervalSec=0\n" in (written / "healtharchive-wanted@.path").read_text()


def test_a_worker_has_the_time_that_its_crawls_have_to_stop() -> None:
    text = unit_files(machine(STOP_SECONDS="300"))["healtharchive-worker.service"]
    assert "TimeoutStopSec=330\n" in text


def test_what_services_write_to_is_named_and_no_mount_of_a_target_is() -> None:
    local = TargetDefinition("disk", TargetKind.LOCAL, "/mnt/disk")
    found = machine(BOX, local, JOBS_ROOT="/data/jobs", DATABASE_URL="sqlite:////data/db/a.sqlite")
    assert found.writable == (
        "-/data/db",
        "-/data/jobs",
        "-/mnt/disk",
        "-/mnt/far",
        "-/srv/healtharchive",
        "-/var/lib/healtharchive",
    )


# -- the settings file -------------------------------------------------------------------------


def test_a_new_settings_file_can_be_read_and_sets_what_it_was_given(tmp_path: Path) -> None:
    path = tmp_path / "backend.env"
    path.write_text(env_text({"operator": 'The "best" library $5', "bind_port": "8100"}))
    settings = load({"HEALTHARCHIVE_ENV_FILE": str(path)})
    assert settings.operator == 'The "best" library $5'
    assert settings.bind_port == 8100
    assert settings.unknown == ()


def test_every_line_of_a_new_settings_file_is_right_when_uncommented(tmp_path: Path) -> None:
    lines = [
        line.removeprefix("#")
        for line in env_text({}).splitlines()
        if line.startswith("#HEALTHARCHIVE_") and "=data_dir/" not in line and "/var" not in line
    ]
    path = tmp_path / "backend.env"
    path.write_text("\n".join(lines))
    settings = load({"HEALTHARCHIVE_ENV_FILE": str(path)})
    assert settings.unknown == ()
    shown = {name for _, names in GROUPS for name in names}
    assert set(settings.origins) <= shown


# -- the web server ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "localhost", "a b.example", "-a.example", "a.example\n}"])
def test_a_domain_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="is no name of a web site"):
        webservers.site_text("caddy", name, load({}, env_file=Path("/nowhere")))


# -- the command -------------------------------------------------------------------------------


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("install", *words),
        env={**without_settings(), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_dry_run_says_exactly_what_is_then_done_and_a_second_time_nothing_is(
    tmp_path: Path,
) -> None:
    words = (
        "--prefix",
        str(tmp_path / "tree"),
        "--web",
        "nginx",
        "--domain",
        "archive.example.org",
    )
    planned = run(*words, "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert not (tmp_path / "tree").exists()
    done = run(*words)
    assert done.stdout == planned.stdout
    assert "write /etc/nginx/conf.d/healtharchive.conf" in done.stdout
    env = tmp_path / "tree/etc/healtharchive/backend.env"
    assert env.stat().st_mode & 0o777 == 0o640
    assert "HEALTHARCHIVE_PUBLIC_URL=https://archive.example.org\n" in env.read_text()
    assert run(*words).stdout.startswith("Nothing is to be done")


def test_settings_of_whoever_installs_do_not_reach_the_services(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    run("--prefix", str(tree), HEALTHARCHIVE_DATA_DIR=str(tmp_path / "mine"))
    for path in tree.rglob("*"):
        assert not path.is_file() or str(tmp_path / "mine") not in path.read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--web", "apache"), "'apache' is no web server that is known here"),
        (("--web", "caddy"), "caddy needs to know the site's name"),
        (("--web", "caddy", "--domain", "x"), "'x' is no name of a web site"),
    ],
)
def test_what_cannot_be_installed_is_one_sentence(words: tuple[str, ...], said: str) -> None:
    done = run("--dry-run", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("path", ["/srv/my data", "/srv/100%h", '/srv/"x"', "/srv/a\nUser=root"])
def test_what_a_unit_would_read_as_something_else_is_refused(path: str) -> None:
    with pytest.raises(SetupError, match="cannot stand in a unit of systemd's"):
        machine(DATA_DIR=path)
    assert machine(DATA_DIR="/srv/été/a-b_c.d+e@f~1#(g)").data_dir == Path(
        "/srv/été/a-b_c.d+e@f~1#(g)"
    )


def test_a_mounter_is_not_installed_where_it_could_not_do_its_work(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    (home / "venv").mkdir(parents=True)
    made = replace(machine(BOX), in_homes=(home / "venv",))
    home.chmod(0o755)
    tmp_path.chmod(0o700)
    with pytest.raises(SetupError, match="There are mounts to make, and that cannot be done from"):
        check_homes(made)
    check_homes(replace(made, mounts=False))


def test_a_tree_never_belongs_to_anybody_else_and_no_command_is_planned_for_it() -> None:
    tree = Tree(Path("/tree"))
    assert not [each for each in tree.parts(parts()) if isinstance(each, Command)]
