"""Backups on real targets: sent, interrupted, sent on, and fetched by a machine that has none."""

from __future__ import annotations

import base64
import contextlib
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from healtharchive.model import schema, tokens
from healtharchive.model.clock import SystemClock
from healtharchive.model.database import Database
from healtharchive.model.errors import SetupError
from healtharchive.model.journal import record
from healtharchive.model.target import TargetDefinition
from healtharchive.model.targets import declare_targets, get_target
from healtharchive.model.wire import from_line, to_line
from healtharchive.steward.backup_files import SendOrder, Task, kept_in
from healtharchive.steward.backups import MAKE, SEND, TRY, Backups
from healtharchive.steward.delegating import Said, environment
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.retired_files import DIRECTORY, add, digests_in, file_of
from healtharchive.steward.rounds import Told, take_round
from healtharchive.storage.places import partial_name, place_for
from healtharchive.work.stopping import Stop
from tests.lab import mounts, objects
from tests.lab.archive import Archive
from tests.lab.objects import Target
from tests.lab.processes import kill_tree, spawn
from tests.lab.queue import ACTOR, SetClock, SetDatabase, add_job
from tests.lab.workers import settings_for

MIB = 1 << 20
REMOTE = ("mount", "sftp", "s3")

pytestmark = pytest.mark.timeout(300)


class Machine:
    """An archive of a machine, whose time the test sets, and the target it ships to."""

    def __init__(self, directory: Path, host: str, target: Target) -> None:
        directory.mkdir()
        clock = SetClock()
        self.clock, self.target = clock, target
        self.database = SetDatabase(f"sqlite:///{directory / 'archive.sqlite'}", clock)
        schema.upgrade(self.database)
        self.means = StewardMeans(
            settings=settings_for(directory, backups_kept=2),
            database=self.database,
            clock=clock,
            stop=Stop(SystemClock()),
            actor=replace(ACTOR, host=host),
        )
        self.declare(target.definition)

    def declare(self, definition: TargetDefinition) -> None:
        with self.database.begin() as connection:
            declare_targets(self.database, connection, [definition], actor=ACTOR)

    def asked(self, what: str, name: str = "") -> Told:
        (told,) = take_round(Backups(self.means, asked=what, asked_name=name), self.means)
        return told

    def make(self) -> str:
        """A backup of this moment, a day after the one before."""
        self.clock.advance(86_400)
        told = self.asked(MAKE)
        assert told.outcome == "applied", told.why
        name = told.step.subject_id
        with self.database.begin() as connection:  # else a round that sends it would try it too
            now = self.database.now(connection)
            facts = {"subject": "database", "subject_id": name, "what": TRY, "why": "by the test"}
            record(connection, at=now, actor=ACTOR, **facts)
        return name

    def send(self) -> Told:
        """What became of sending the newest."""
        (sent,) = take_round(Backups(self.means), self.means)
        assert sent.step.what == SEND
        return sent

    def order(self, name: str, bytes_per_second: int) -> SendOrder:
        """The order to send a backup, slowly."""
        directory = str(self.means.settings.backup_dir)
        return SendOrder(directory, name, self.target.limited(bytes_per_second), "", self.place)

    @property
    def place(self) -> str:
        """The directory of its backups on the target."""
        return f"_backups/{self.means.actor.host}-archive"


@pytest.fixture(params=REMOTE)
def target(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Target]:
    with objects.target(request.param, tmp_path / "lab") as made:
        for name, value in made.environ.items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
def start(tmp_path: Path, target: Target) -> Iterator[Callable[[str], Machine]]:
    """Another machine of this name, which ships to the target."""
    with contextlib.ExitStack() as undo:

        def machine(host: str) -> Machine:
            made = Machine(tmp_path / host, host, target)
            undo.callback(made.database.dispose)
            return made

        yield machine


@pytest.fixture(autouse=True)
def _lab(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()


def fill(machine: Machine, size_bytes: int) -> None:
    """Rows that no compression makes much smaller."""
    chance = random.Random(1)
    with machine.database.begin() as connection:
        for number in range(size_bytes // MIB):
            record(
                connection,
                at=machine.database.now(connection),
                actor=ACTOR,
                subject="lab",
                subject_id=number,
                what="filled",
                why=base64.b85encode(chance.randbytes(MIB)).decode(),
            )


def interrupt(machine: Machine, name: str, log: Path) -> int:
    """Kill the child that sends a backup while it does; how many bytes it said had gone."""
    order = Task(machine.order(name, 2 * MIB))
    process = spawn(
        [sys.executable, "-m", "healtharchive.steward.backup_child"],
        environment=environment(machine.means),
        log=log,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(to_line(order))
        process.stdin.flush()
        for line in process.stdout:
            said = from_line(Said, line)
            assert said.kind == "progress", said
            if said.doing.startswith("sending") and (sent := int(said.doing.split()[1])) > 5 * MIB:
                return sent
    finally:
        kill_tree(process)
        process.stdin.close()
        process.stdout.close()
    raise AssertionError(f"it was never in the midst of sending: {log.read_text()}")


def left_of(machine: Machine, name: str) -> int:
    """How many bytes of an interrupted copy the target keeps."""
    with contextlib.closing(place_for(machine.target.definition, os.environ)) as place:
        return place.size(partial_name(f"{machine.place}/{name}", "backup")) or 0


def test_an_interrupted_copy_is_sent_on_and_another_machine_restores_it(
    start: Callable[[str], Machine], tmp_path: Path
) -> None:
    first = start("first")
    add_job(first.database, tmp_path, "hc")
    fill(first, 9 * MIB)
    name = first.make()
    size = (first.means.settings.backup_dir / name).stat().st_size
    assert size > 8 * MIB
    interrupt(first, name, tmp_path / "child.log")
    assert f"{first.place}/{name}" not in first.target.files.names()  # nobody sees half of it
    left = left_of(first, name)
    assert 0 < left < size
    sent = first.send()
    assert sent.outcome == "applied", sent.why
    assert f"{size - left} bytes were sent" in sent.why
    local = (first.means.settings.backup_dir / name).read_bytes()
    assert first.target.files.get(f"{first.place}/{name}") == local
    assert left_of(first, name) == 0

    second = start("second")  # it knows no more than the target's address
    facts = Backups(second.means).fetch("cold")
    assert (facts["name"], facts["archive"], facts["came"]) == (name, "first-archive", True)
    assert (second.means.settings.backup_dir / name).read_bytes() == local
    assert (second.means.settings.backup_dir / name).stat().st_mode & 0o777 == 0o600
    tried = second.asked(TRY, name)
    assert tried.outcome == "applied", tried.why
    assert Backups(second.means).fetch("cold")["came"] is False


def test_what_an_interrupted_copy_left_goes_when_a_newer_backup_took_its_turn(
    start: Callable[[str], Machine], tmp_path: Path
) -> None:
    machine = start("first")
    fill(machine, 9 * MIB)
    old = machine.make()
    interrupt(machine, old, tmp_path / "child.log")
    assert left_of(machine, old) > 0
    with machine.database.begin() as connection:
        connection.execute(text("DELETE FROM events WHERE what = 'filled'"))
    newer = machine.make()
    assert machine.send().outcome == "applied"
    assert left_of(machine, old) == 0
    names = [each.rpartition("/")[2] for each in machine.target.files.names()]
    assert [each for each in names if each.endswith(".gz")] == [newer]


@pytest.mark.parametrize("target", ["mount"], indirect=True)
def test_older_copies_leave_the_target_and_of_the_others_any_can_be_fetched(
    start: Callable[[str], Machine],
) -> None:
    machine = start("first")
    made = []
    for _ in range(3):
        made.append(machine.make())
        assert machine.send().outcome == "applied"
    there = [each.rpartition("/")[2] for each in machine.target.files.names()]
    assert sorted(each for each in there if each.endswith(".gz")) == made[1:]
    second = start("second")
    assert Backups(second.means).fetch("cold", name=made[1])["name"] == made[1]
    assert [each.name for each in kept_in(second.means.settings.backup_dir)] == [made[1]]
    with pytest.raises(SetupError, match=f"no backup '{made[0]}'"):
        Backups(second.means).fetch("cold", name=made[0])


@pytest.mark.parametrize("target", ["sftp"], indirect=True)
def test_a_copy_that_is_damaged_there_is_not_taken_and_an_older_one_can_be(
    start: Callable[[str], Machine],
) -> None:
    machine = start("first")
    older = machine.make()
    assert machine.send().outcome == "applied"
    newest = machine.make()
    assert machine.send().outcome == "applied"
    path = f"{machine.place}/{newest}"
    content = bytearray(machine.target.files.get(path) or b"")
    content[len(content) // 2] ^= 1
    machine.target.files.put(path, bytes(content))
    second = start("second")
    with pytest.raises(SetupError, match=f"{newest} on target 'cold' is damaged"):
        Backups(second.means).fetch("cold")
    assert list(second.means.settings.backup_dir.iterdir()) == []
    assert Backups(second.means).fetch("cold", name=older)["name"] == older
    assert second.asked(TRY, older).outcome == "applied"


@pytest.mark.parametrize("target", ["mount", "s3"], indirect=True)
def test_retired_rows_go_along_and_come_back_with_a_backup(start: Callable[[str], Machine]) -> None:
    """They are in no backup any more: else they were lost with the machine."""
    first = start("first")
    path = file_of(first.means.settings.state_dir, "events-2024-03")
    path.parent.mkdir(parents=True)
    add(path, [b"a line\n"])
    first.make()
    assert first.send().outcome == "applied"
    there = f"{first.place}/{DIRECTORY}/{path.name}"
    assert first.target.files.get(there) == path.read_bytes()
    add(path, [b"another\n"])
    name = first.make()
    assert first.send().outcome == "applied"
    assert first.target.files.get(there) == path.read_bytes()

    second = start("second")
    facts = Backups(second.means).fetch("cold")
    assert (facts["name"], facts["retired_files"]) == (name, 1)
    back = file_of(second.means.settings.state_dir, "events-2024-03")
    assert back.read_bytes() == path.read_bytes()
    add(back, [b"of the new machine\n"])
    assert Backups(second.means).fetch("cold")["retired_files"] == 0
    assert len(list(digests_in(back))) == 3  # what is here stays


@pytest.mark.parametrize("target", ["mount"], indirect=True)
def test_a_good_backup_of_another_archive_is_not_replaced(start: Callable[[str], Machine]) -> None:
    first, second = start("first"), start("second")
    fill(first, MIB)
    name = first.make()
    assert first.send().outcome == "applied"
    assert second.make() == name
    own = second.means.settings.backup_dir / name
    before = own.read_bytes()
    with pytest.raises(SetupError, match="another backup of this name, and whole"):
        Backups(second.means).fetch("cold", "first-archive")
    assert own.read_bytes() == before
    own.write_bytes(b"damaged")
    assert Backups(second.means).fetch("cold", "first-archive")["came"] is True


# -- which is meant ---------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["sftp"], indirect=True)
def test_of_several_archives_one_has_to_be_named_where_none_is_our_own(
    start: Callable[[str], Machine],
) -> None:
    for host in ("first", "second"):
        machine = start(host)
        made = machine.make()
        assert machine.send().outcome == "applied"
    assert Backups(machine.means).fetch("cold")["archive"] == "second-archive"
    third = Backups(start("third").means)
    with pytest.raises(SetupError, match="several archives: first-archive, second-archive"):
        third.fetch("cold")
    with pytest.raises(SetupError, match="no backups of 'fourth-archive'"):
        third.fetch("cold", "fourth-archive")
    assert third.fetch("cold", "second-archive")["name"] == made


@pytest.mark.parametrize("target", ["mount"], indirect=True)
def test_a_target_without_a_backup_and_one_that_is_away_have_a_sentence(
    start: Callable[[str], Machine], target: Target
) -> None:
    backups = Backups(start("first").means)
    with pytest.raises(SetupError, match="There is no backup on target 'cold'"):
        backups.fetch("cold")
    mounts.unmount(Path(target.definition.root))
    with pytest.raises(SetupError, match=r"'cold' did not give its backup: .*mount is not there"):
        backups.fetch("cold")


@pytest.mark.parametrize("target", ["sftp"], indirect=True)
def test_the_command_fetches_for_a_new_machine(
    start: Callable[[str], Machine], target: Target, tmp_path: Path
) -> None:
    first = start("first")
    name = first.make()
    assert first.send().outcome == "applied"
    definition = target.definition
    options = "".join(f"{key} = '{value}'\n" for key, value in definition.options.items())
    archive = Archive(tmp_path / "new")
    archive.set_up()
    (archive.data_dir / "targets.toml").write_text(
        f"[[target]]\nname = 'cold'\nkind = 'object'\nroot = '{definition.root}'\nship = true\n"
        f"[target.options]\n{options}"
    )
    assert f"{name} of first-archive: it was fetched" in archive.run("backup", "fetch", "cold")
    assert archive.ask("backup", "test", name)["name"] == name
    assert archive.run("backup", "fetch", "warm", codes=(4,)) == ""
    with first.database.read() as connection:
        assert get_target(connection, "cold").definition == definition


# -- tokens -----------------------------------------------------------------------------------


def test_a_restored_backup_lets_nobody_in_with_a_token_of_before(
    tmp_path: Path, database: Database
) -> None:
    """A token that was revoked after the backup must not be good again; no token is."""
    means = StewardMeans(
        settings=settings_for(tmp_path),
        database=database,
        clock=SystemClock(),
        stop=Stop(SystemClock()),
        actor=ACTOR,
    )
    secret, month = tokens.new_secret(), timedelta(days=30)
    with database.begin() as connection:
        scopes = [tokens.Scope.ADMIN]
        tokens.create_token(database, connection, "ci", scopes, month, secret, actor=ACTOR)
    (made,) = take_round(Backups(means, asked=MAKE), means)
    assert made.outcome == "applied", made.why
    with database.read() as connection:
        assert tokens.find_good(database, connection, secret) is not None  # here nothing changed
    (tried,) = take_round(Backups(means, asked=TRY, asked_name=made.step.subject_id), means)
    assert tried.outcome == "applied", tried.why
    with restored(means.settings.backup_dir / made.step.subject_id, database, tmp_path) as back:
        with back.read() as connection:
            assert tokens.find_good(back, connection, secret) is None
            assert not tokens.any_good(back, connection)
        with back.begin() as connection:  # and its name is free for the new one
            tokens.create_token(back, connection, "ci", scopes, month, secret, actor=ACTOR)


@contextlib.contextmanager
def restored(path: Path, database: Database, directory: Path) -> Iterator[Database]:
    """The backup, restored by the tools that the page names."""
    url = f"sqlite:///{directory / 'back.sqlite'}"
    if database.is_sqlite:
        unpacked = subprocess.run(["gzip", "-dc", path], check=True, capture_output=True)
        (directory / "back.sqlite").write_bytes(unpacked.stdout)
    else:
        own = database.engine.url
        back_url = own.set(drivername="postgresql", database=f"{own.database}_back")
        url = back_url.render_as_string(hide_password=False)
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as at:
            at.execute(text(f'CREATE DATABASE "{own.database}_back"'))
        command = ["pg_restore", "--no-owner", "--exit-on-error", f"--dbname={url}", path]
        subprocess.run(command, check=True, capture_output=True)
    back = Database(url)
    yield back
    back.dispose()
