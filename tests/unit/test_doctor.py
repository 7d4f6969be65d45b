"""What `doctor` finds, check by check: each trouble is told with its cure, and only it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from healtharchive.cli.machine import (
    checks_containers,
    checks_files,
    checks_operation,
    checks_program,
    checks_system,
    requirements,
)
from healtharchive.cli.machine.checks import Answer, Checked, Level, Surroundings, ask, worst
from healtharchive.cli.machine.units import MOUNTER
from healtharchive.model.clock import SystemClock
from healtharchive.model.container import ContainerOptions
from healtharchive.model.errors import INSTALL_PACKAGES
from healtharchive.model.source import SourceDefinition
from healtharchive.model.target import TargetDefinition, TargetKind
from healtharchive.settings import load
from healtharchive.storage.mountinfo import read_mounts
from tests.lab.queue import source_named

SSHFS = ("sshfs", "archive@box.example:", "/mnt/box")
BOX = TargetDefinition(
    "box", TargetKind.MOUNT, "/mnt/box", mount_command=SSHFS, server="box.example:23"
)


def saying(answers: Mapping[str, Answer]) -> Callable[[Sequence[str]], Answer]:
    """Programs that say what the test wants; every other one is not installed."""

    def said(words: Sequence[str]) -> Answer:
        return answers.get(words[0], Answer(None, f"{words[0]} is not installed"))

    return said


def around(
    directory: Path, answers: Mapping[str, Answer] | None = None, **settings: object
) -> Surroundings:
    """A machine on which nothing of the archive runs."""
    values = {"data_dir": directory, **settings}
    env = {f"HEALTHARCHIVE_{name.upper()}": str(value) for name, value in values.items()}
    return Surroundings(
        settings=load(env, env_file=directory / "backend.env"),
        clock=SystemClock(),
        ask=saying(answers or {}),
        database=None,
        condition=None,
        sources={},
        targets=(),
        user="",
        booted=False,
    )


def engine(name: str) -> dict[str, SourceDefinition]:
    return {"lab": replace(source_named("lab"), engine=name)}  # type: ignore[arg-type]


def levels(found: Iterable[Checked]) -> dict[str, Level]:
    """The gravest level of each thing."""
    gravest: dict[str, Level] = {}
    order = list(Level)
    for each in found:
        before = gravest.get(each.about, Level.OK)
        gravest[each.about] = max(before, each.level, key=order.index)
        assert each.level is Level.OK or each.sentence.endswith((".", "?")), each
        assert each.level in (Level.OK, Level.UNKNOWN) or each.cure, each
    return gravest


def test_the_exit_code_is_that_of_the_worst() -> None:
    found = {level: Checked("x", level, "") for level in Level}
    assert worst([]) == worst([found[Level.OK]]) == 0
    assert worst([found[Level.OK], found[Level.UNKNOWN]]) == 1
    assert worst([found[Level.WARN]]) == 1
    assert worst([found[Level.FAIL], found[Level.OK]]) == 2


def test_a_program_that_is_missing_or_fails_is_told_apart() -> None:
    assert ask(["no-such-program-here"]) == Answer(None, "no-such-program-here is not installed")
    assert ask(["sh", "-c", "echo said >&2; exit 3"]) == Answer(3, "said")


# -- the program ---------------------------------------------------------------------------


def test_extras_are_asked_for_by_what_needs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requirements, "installed_version", lambda name: None)
    assert levels(checks_program.extras(around(tmp_path))) == {}
    machine = replace(
        around(tmp_path, notify_urls="json://127.0.0.1/"),
        sources=engine("auto"),
        targets=(TargetDefinition("cold", TargetKind.OBJECT, "s3://bucket/"),),
    )
    found = list(checks_program.extras(machine))
    wanted = {"extra browser", "extra s3", "extra notify"}
    assert levels(found) == dict.fromkeys(wanted, Level.FAIL)
    assert any(INSTALL_PACKAGES in each.cure for each in found)


def test_the_browser_must_be_there_and_start(tmp_path: Path) -> None:
    machine = replace(around(tmp_path, {"sh": Answer(1, "no libnss")}), sources=engine("browser"))
    missing = replace(machine, settings=replace(machine.settings, browser="no-such-browser"))
    assert levels(checks_program.browser(missing)) == {"browser": Level.FAIL}
    broken = replace(machine, settings=replace(machine.settings, browser="sh"))
    assert levels(checks_program.browser(broken)) == {"browser": Level.FAIL}
    well = replace(broken, ask=saying({"sh": Answer(0, "Chromium 140")}))
    assert levels(checks_program.browser(well)) == {"browser": Level.OK}


def test_a_container_source_needs_an_engine_that_answers_and_its_image(tmp_path: Path) -> None:
    source = replace(engine("container")["lab"], container=ContainerOptions(engine="podman"))
    machine = replace(around(tmp_path), sources={"lab": source})
    assert levels(checks_containers.container(machine)) == {"container": Level.FAIL}
    machine = replace(machine, ask=saying({"podman": Answer(0, "{}")}))
    assert levels(checks_containers.container(machine)) == {"container": Level.OK}

    def without_image(words: Sequence[str]) -> Answer:
        return Answer(0 if words[1] == "info" else 1, "")

    machine = replace(machine, ask=without_image)
    assert levels(checks_containers.container(machine)) == {"container": Level.WARN}


def test_podman_under_systemd_is_told_of_step_by_step(tmp_path: Path) -> None:
    answers = {"systemctl": Answer(0, "")}
    source = replace(engine("container")["lab"], container=ContainerOptions(engine="podman"))
    machine = replace(around(tmp_path, answers), sources={"lab": source}, user="healtharchive")
    steps = {
        "no podman": {"podman": Answer(125, "connection refused")},
        "no newuidmap": {"newuidmap": Answer(1, "usage"), "getsubids": Answer(1, "")},
        "/etc/subgid": {"getsubids": Answer(0, "0: healtharchive 200000 65536")},
        "connection refused": {"podman": Answer(0, "runc")},
    }
    for words, step in steps.items():
        found = list(checks_containers.container(machine))
        assert {each.level for each in found} == {Level.FAIL}
        assert words in " ".join(each.sentence for each in found)
        answers.update(step)
    assert levels(checks_containers.container(machine)) == {"container": Level.OK}


def test_docker_under_systemd_needs_the_group_that_is_as_good_as_root(tmp_path: Path) -> None:
    source = replace(engine("container")["lab"], container=ContainerOptions(engine="docker"))
    answers = {"docker": Answer(0, "{}"), "id": Answer(0, "healtharchive")}
    machine = replace(around(tmp_path, answers), sources={"lab": source}, user="healtharchive")
    found = list(checks_containers.container(machine))
    assert [each.level for each in found] == [Level.FAIL, Level.OK]
    assert "may not use docker" in found[0].sentence
    answers["id"] = Answer(0, "healtharchive docker")
    assert levels(checks_containers.container(machine)) == {"container": Level.OK}


# -- files ---------------------------------------------------------------------------------


def test_a_settings_file_with_secrets_that_everybody_reads_fails(tmp_path: Path) -> None:
    file = tmp_path / "backend.env"
    file.write_text("HEALTHARCHIVE_ADMIN_TOKEN=abc\nHEALTHARCHIVE_OPERATR=me\n")
    file.chmod(0o644)
    found = levels(checks_files.env_file(around(tmp_path)))
    assert found == {"settings": Level.FAIL, "operator": Level.WARN}
    file.chmod(0o640)
    found = levels(checks_files.env_file(around(tmp_path, operator="me")))
    assert found == {"settings": Level.WARN}  # the variable that nobody knows
    file.write_text("HEALTHARCHIVE_DATABASE_URL=postgresql://a:b@host/name\n")
    file.chmod(0o604)
    (failed,) = [e for e in checks_files.env_file(around(tmp_path)) if e.level is Level.FAIL]
    assert "database_url" in failed.sentence
    assert failed.cure == f"chmod 640 {file}"


def test_directories_must_be_there_or_can_be_made(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert levels(checks_files.directories(around(data))) == {"data_dir": Level.FAIL}
    data.mkdir()
    found = levels(checks_files.directories(around(data)))
    assert set(found.values()) == {Level.OK}
    assert set(found) == {*checks_files.LOCAL, *checks_files.OTHERS}
    (data / "jobs").write_text("a file where a directory belongs")
    found = levels(checks_files.directories(around(data)))
    assert found.pop("jobs_root") is Level.FAIL
    assert set(found.values()) == {Level.OK}


def test_a_directory_on_a_remote_disk_fails_and_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = f"30 1 0:50 / {tmp_path} rw - fuse.sshfs box: rw\n1 1 8:1 / / rw - ext4 /dev/sda rw\n"
    real = checks_files.read_mounts
    monkeypatch.setattr(checks_files, "read_mounts", lambda: real(table))
    monkeypatch.setattr(checks_files, "_usable", lambda *_: pytest.fail("it was touched"))
    monkeypatch.setattr(checks_files, "OTHERS", ())
    found = list(checks_files.directories(around(tmp_path)))
    assert {each.level for each in found} == {Level.FAIL}
    assert "fuse.sshfs" in found[0].sentence


def test_the_spool_needs_room_for_its_segments(tmp_path: Path) -> None:
    easy = {"spool_warn_percent": 100, "spool_soft_percent": 99.9, "spool_full_percent": 100}
    roomy = around(tmp_path, segment_bytes=10_000, **easy)
    assert levels(checks_files.room(roomy))["spool"] is Level.OK
    tight = around(tmp_path, segment_bytes=100_000_000_000, worker_jobs=64, **easy)
    assert levels(checks_files.room(tight))["spool"] is Level.FAIL
    full = around(tmp_path, segment_bytes=10_000, spool_warn_percent=1, spool_soft_percent=1)
    assert levels(checks_files.room(full))["spool"] is Level.FAIL


def test_a_key_that_others_read_and_a_server_that_nobody_knows(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("secret")
    key.chmod(0o644)
    command = (*SSHFS, "-o", f"IdentityFile={key},UserKnownHostsFile={tmp_path}/known")
    machine = replace(
        around(tmp_path, {"ssh-keygen": Answer(1, "")}),
        targets=(replace(BOX, mount_command=command),),
    )
    found = list(checks_files.keys(machine))
    assert [each.level for each in found] == [Level.FAIL, Level.FAIL]
    assert found[0].cure == f"chmod 600 {key}"
    assert found[1].cure.startswith(f"ssh-keyscan -p 23 box.example >> {tmp_path}/known")
    key.chmod(0o600)
    machine = replace(machine, ask=saying({"ssh-keygen": Answer(0, "found")}))
    assert {each.level for each in checks_files.keys(machine)} == {Level.OK}
    careless = replace(BOX, mount_command=(*SSHFS, "-o", "StrictHostKeyChecking=no"))
    machine = replace(machine, targets=(careless,))
    assert levels(checks_files.keys(machine)) == {"target box": Level.WARN}


# -- the machine ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "level"),
    [("3.7.3", Level.WARN), ("3.7.6", Level.OK), ("3.7.10", Level.OK), ("4.0", Level.OK)],
)
def test_the_version_of_sshfs(tmp_path: Path, version: str, level: Level) -> None:
    answers = {"sshfs": Answer(0, f"SSHFS version {version}\nFUSE library version 3.14.0"),
               "fusermount3": Answer(0, "")}  # fmt: skip
    machine = replace(around(tmp_path, answers), targets=(BOX,))
    assert levels(checks_system.fuse(machine)) == {"sshfs": level, "fuse3": Level.OK}
    assert levels(checks_system.fuse(replace(machine, targets=()))) == {}


def test_allow_other_needs_permission_unless_root_mounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = tmp_path / "fuse.conf"
    conf.write_text("#user_allow_other\n")
    monkeypatch.setattr(checks_system, "FUSE_CONF", conf)
    target = replace(BOX, mount_command=(*SSHFS, "-o", "reconnect,allow_other"))
    machine = replace(around(tmp_path), targets=(target,), user="healtharchive")
    assert levels(checks_system.fuse(machine))["fuse.conf"] is Level.FAIL
    assert levels(checks_system.fuse(replace(machine, user="root")))["fuse.conf"] is Level.OK
    conf.write_text("user_allow_other\n")
    assert levels(checks_system.fuse(machine))["fuse.conf"] is Level.OK


def test_a_clock_that_nobody_sets(tmp_path: Path) -> None:
    for text, level in (("yes", Level.OK), ("no", Level.WARN)):
        machine = around(tmp_path, {"timedatectl": Answer(0, text)})
        assert levels(checks_system.clock(machine)) == {"clock": level}
    assert levels(checks_system.clock(around(tmp_path))) == {"clock": Level.UNKNOWN}


def test_memory_for_the_browsers_and_what_the_kernel_forbids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proc = tmp_path / "proc"
    (proc / "sys/user").mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal:  4000000 kB\nSwapTotal:  0 kB\n")
    (proc / "sys/user/max_user_namespaces").write_text("0\n")
    (proc / "filesystems").write_text("nodev\tproc\n\text4\n")
    monkeypatch.setattr(checks_system, "PROC", proc)
    machine = replace(around(tmp_path, worker_jobs=2), sources=engine("container"))
    assert levels(checks_system.kernel(machine)) == {
        "user namespaces": Level.WARN,
        "overlay": Level.WARN,
    }
    machine = replace(machine, sources=engine("browser"))
    assert levels(checks_system.memory(machine)) == {"memory": Level.WARN}
    (proc / "meminfo").write_text("MemTotal:  8000000 kB\nSwapTotal:  0 kB\n")
    (proc / "sys/user/max_user_namespaces").write_text("1000\n")
    assert levels(checks_system.memory(machine)) == {"memory": Level.OK}
    assert levels(checks_system.kernel(machine)) == {"user namespaces": Level.OK}


def test_few_open_files_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "self").mkdir()
    row = "Max open files            {}                 524288               files\n"
    rows = row + "Max processes             unlimited            unlimited            processes\n"
    monkeypatch.setattr(checks_system, "PROC", tmp_path)
    for soft, level in (("1024", Level.WARN), ("65536", Level.OK)):
        (tmp_path / "self/limits").write_text(rows.format(soft))
        found = levels(checks_system.limits(around(tmp_path)))
        assert found == {"open files": level, "processes": Level.OK}


# -- how it is run -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "level"),
    [
        ({}, Level.OK),
        ({"bind_host": "0.0.0.0"}, Level.WARN),
        ({"bind_host": "0.0.0.0", "trusted_proxies": "10.0.0.1"}, Level.OK),
        ({"public_url": "https://a.example"}, Level.WARN),
        ({"public_url": "https://a.example", "trusted_proxies": "127.0.0.1"}, Level.OK),
    ],
)
def test_who_reaches_the_pages(tmp_path: Path, settings: dict[str, str], level: Level) -> None:
    assert levels(checks_operation.listeners(around(tmp_path, **settings))) == {"web pages": level}


def test_the_operations_pages_are_for_this_machine_and_have_their_own_port(tmp_path: Path) -> None:
    machine = around(tmp_path, operations_port=8091, operations_host="0.0.0.0")
    assert levels(checks_operation.listeners(machine))["operations"] is Level.FAIL
    machine = around(tmp_path, operations_port=8095, operations_host="0.0.0.0")
    assert levels(checks_operation.listeners(machine))["operations"] is Level.WARN


def test_hours_zones_and_days_that_are_none(tmp_path: Path) -> None:
    def of(**settings: str) -> dict[str, Level]:
        machine = around(tmp_path, **settings)
        return levels([*checks_operation.hours(machine), *checks_operation.edition(machine)])

    assert of() == {}
    well = {"quiet_hours": "22:00-07:00", "quiet_zone": "Europe/Berlin", "edition_on": "01-15"}
    assert of(**well) == {"quiet hours": Level.OK, "editions": Level.OK}
    assert of(edition_on="02-30")["editions"] is Level.FAIL


def test_units_that_install_would_change_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks_operation, "UNIT_DIR", tmp_path)
    machine = around(tmp_path)
    assert levels(checks_operation.units(machine)) == {"units": Level.UNKNOWN}
    machine = replace(machine, booted=True, user="healtharchive")
    assert levels(checks_operation.units(machine)) == {"units": Level.UNKNOWN}
    (tmp_path / "healtharchive-worker.service").touch()
    python = checks_operation.PROGRAM[0]
    for text, level in (
        ('{"changes": []}', Level.OK),
        ('{"changes": ["change /etc/systemd/system/healtharchive-worker.service"]}', Level.WARN),
        ("healtharchive: it is broken", Level.UNKNOWN),
    ):
        asked = replace(machine, ask=saying({python: Answer(0, text)}))
        assert levels(checks_operation.units(asked)) == {"units": level}


@pytest.mark.parametrize(
    ("listens", "optional", "found"),
    [
        (0, "shared:1", {"mounter": Level.OK}),
        (3, "shared:1", {"mounter": Level.FAIL}),
        (0, "master:1", {"mounter": Level.OK, "target box": Level.FAIL}),
    ],
)
def test_a_mounter_that_does_not_listen_and_mounts_that_no_service_sees(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    listens: int,
    optional: str,
    found: dict[str, Level],
) -> None:
    table = read_mounts(f"20 1 8:1 / / rw,relatime {optional} - ext4 /dev/sda1 rw\n")
    monkeypatch.setattr(checks_operation, "UNIT_DIR", tmp_path)
    monkeypatch.setattr(checks_operation, "read_mounts", lambda: table)
    machine = around(tmp_path, {"systemctl": Answer(listens, "")})
    machine = replace(machine, booted=True, targets=(BOX,))
    assert levels(checks_operation.mounter(machine)) == {}, "`units` says that it is not installed"
    (tmp_path / MOUNTER).touch()
    assert levels(checks_operation.mounter(machine)) == found


def test_nobody_who_is_told_is_told(tmp_path: Path) -> None:
    silent = levels(checks_operation.alerting(around(tmp_path)))
    assert silent == {"alerts": Level.WARN, "heartbeat": Level.WARN}
    told = around(tmp_path, notify_urls="json://127.0.0.1/", heartbeat_url="https://a.example/")
    assert levels(checks_operation.alerting(told)) == {}
