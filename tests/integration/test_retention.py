"""Old rows leave the database for files, and no question has another answer afterwards."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text

from healtharchive.model import incident
from healtharchive.model.actions import last_applied, last_done, last_refusal
from healtharchive.model.alerts import alerts_to_tell, open_alerts
from healtharchive.model.condition import (
    last_failures,
    newest_process,
    waits_since,
)
from healtharchive.model.database import Database
from healtharchive.model.expiries import expiries
from healtharchive.model.journal import Event, read, record, story
from healtharchive.model.losses import FOUND_AGAIN
from healtharchive.model.remarks import remarks_of
from healtharchive.model.restore_tests import restore_tests
from healtharchive.model.retention import KINDS, RETIRE, SUBJECT, months_due, take_turn
from healtharchive.model.rounds import note_round
from healtharchive.model.service_past import newest_process as newest_on
from healtharchive.model.service_past import resumed_at
from healtharchive.model.services import Service, last_stopped, open_holds
from healtharchive.model.standing_operation import operation_standing
from healtharchive.model.tables import events
from healtharchive.model.told import LOST, last_of_each, last_told, newest_told
from healtharchive.model.wire import to_line
from healtharchive.steward import retention as reconciler
from healtharchive.steward import retention_child
from healtharchive.steward.delegating import Facts, environment
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.retention import Retention, cutoff_of
from healtharchive.steward.retention_child import RetireOrder
from healtharchive.steward.retired_files import DIRECTORY, alone, line_of
from healtharchive.steward.rounds import Told, take_round
from tests.lab.archive import Archive, command
from tests.lab.old_journal import LIVES, everything, live_through
from tests.lab.processes import ROOT
from tests.lab.queue import ACTOR, add_job
from tests.lab.stewards import means_for

DAYS = 365.0
SEEDS = (1, 2)


@pytest.fixture
def means(tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> StewardMeans:
    monkeypatch.setattr(reconciler, "MONTHS", 100)
    for source in ("hc", "phac"):
        add_job(database, tmp_path, source)
    return means_for(tmp_path, database, journal_days=DAYS)


@pytest.fixture
def here(means: StewardMeans, monkeypatch: pytest.MonkeyPatch) -> StewardMeans:
    """The same; the child's work is done in this process, for there is much of it."""

    def obey(_: str, order: RetireOrder, *__: Any) -> Facts:
        Path(order.file).parent.mkdir(parents=True, exist_ok=True)
        return retention_child.retire(order, means.database, lambda _: None)

    monkeypatch.setattr(reconciler, "delegate", obey)
    return means


def retired(means: StewardMeans) -> list[Told]:
    """A round; what became of each step."""
    return take_round(Retention(means), means)


def all_retired(means: StewardMeans) -> None:
    """Rounds until nothing is due: what names another row goes before it."""
    for _ in range(20):
        told = retired(means)
        assert {each.outcome for each in told} <= {"applied"}, told
        if not told:
            return
    raise AssertionError("it does not end")


def filed(means: StewardMeans) -> Counter[bytes]:
    """Every line of the files, by kind, with how often it is there."""
    found: Counter[bytes] = Counter()
    for path in sorted((means.settings.state_dir / DIRECTORY).glob("*.jsonl.gz")):
        kind = path.name.partition("-")[0].encode()
        with gzip.open(path) as file:
            found.update(kind + b" " + line for line in file)
    return found


def lines_in(database: Database) -> Counter[bytes]:
    """Every row as the line that it becomes; not what retiring itself wrote."""
    return Counter(
        kind.encode() + b" " + line_of(row)
        for kind, rows in everything(database).items()
        for row in rows
        if row.get("subject") != SUBJECT
    )


def answers(means: StewardMeans) -> Iterator[tuple[str, Any]]:
    """What the house asks of these tables, however old the answer is."""
    with means.database.read() as connection:
        now = means.database.now(connection)
        cutoff = cutoff_of(now, DAYS)
        for subject, (things, whats) in LIVES.items():
            yield f"states {subject}", incident.states_before(connection, subject, cutoff)
            if subject in ("job", "target", "drift", "expiry"):
                yield (
                    f"last {subject}",
                    [last_of_each(connection, subject, [what]) for what in whats],
                )
            for thing in things:
                yield (
                    f"acted {subject} {thing}",
                    [
                        (last_done(connection, *key, now), last_applied(connection, *key, now))
                        + ((last_refusal(connection, *key),) if subject == "target" else ())
                        for what in ("recover", "start", "keep_suppressions")
                        if subject not in ("database", "segment") and ":" not in thing
                        for key in [(subject, thing, what)]
                    ],
                )
        yield "waits", waits_since(connection, [1, 2])
        yield "failures", last_failures(connection, [1, 2])
        yield "remarks", [remarks_of(connection, job) for job in (1, 2)]
        yield (
            "backup",
            [last_told(connection, "database", (what,)) for what in LIVES["database"][1]],
        )
        yield "tests", restore_tests(connection).good
        yield "test", restore_tests(connection).last
        yield "sent", newest_told(connection, "target", ("send_backup",), "box", limit=400)
        yield "losses", _losses(connection)
        yield "alerts", (open_alerts(connection), alerts_to_tell(connection))
        yield "holds", open_holds(connection)
        for service in Service:
            yield (
                f"{service}",
                (
                    newest_process(connection, service),
                    last_stopped(connection, service),
                    [newest_on(connection, service, host) for host in ("lab", "old")],
                    [resumed_at(connection, service, host) for host in ("lab", "old")],
                ),
            )
            stopped = last_stopped(connection, service)
            if stopped is not None:
                yield (
                    f"end {service}",
                    last_told(connection, service, ("stop_signal",), stopped.holder[:128]),
                )
        yield "expiries", expiries(connection, now)
        standing = operation_standing(connection, now, 60.0)
        yield "counted", {key: n for key, n in standing.actions.items() if key[0] != SUBJECT}
        yield "standing", replace(standing, actions={}, rounds=(), events=0)


def _losses(connection: Any) -> list[str]:
    """For each segment whether its loss counts as told: what `Fixity` asks."""
    found = []
    for thing in LIVES["segment"][0]:
        told = story(connection, "segment", thing)
        found += [each.what for each in told if each.what in (LOST, *FOUND_AGAIN)][-1:]
    return [each for each in found if each == LOST]


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_and_every_question_has_the_same_answer(
    here: StewardMeans, seed: int
) -> None:
    means = here
    live_through(means.database, seed)
    before, asked = lines_in(means.database), dict(answers(means))
    all_retired(means)
    after, moved = lines_in(means.database), filed(means)
    assert after + moved == before  # each row is in one place, once, as it was
    for kind in KINDS:
        assert any(line.startswith(kind.encode()) for line in moved), kind
    for question, answer in answers(means):
        assert answer == asked[question], question
    young = {line for line in before if b"events" in line[:7] and _is_young(line, means)}
    assert young <= set(after)


def _is_young(line: bytes, means: StewardMeans) -> bool:
    with means.database.read() as connection:
        cutoff = cutoff_of(means.database.now(connection), DAYS)
    return str(json.loads(line.partition(b" ")[2])["at"]) >= cutoff.isoformat()


MOMENTS = (
    "before the file has its name",
    "between file and delete",
    "in the midst of the deletes",
)


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_moment_nothing_is_lost_and_nothing_is_there_twice(
    here: StewardMeans, moment: str
) -> None:
    means = here
    live_through(means.database, 3)
    before = lines_in(means.database)
    step = max(Retention(means).plan(), key=lambda each: int(each.evidence["rows"]))
    with means.database.read() as connection:
        cutoff = cutoff_of(means.database.now(connection), DAYS).isoformat()
    kind, _, month = step.subject_id.partition("-")
    order = RetireOrder(step.evidence["file"], kind, month, cutoff)
    child = [sys.executable, "-m", "tests.lab.killed_retirement", moment]
    ended = subprocess.run(
        child, input=to_line(order), env=environment(means), cwd=ROOT, timeout=60, check=False
    )
    assert ended.returncode == -9
    assert set(lines_in(means.database) + filed(means)) == set(before)
    told = ["retire"] if moment == MOMENTS[-1] else []
    assert told_to_be_retired(means) == told  # with the first rows that are gone
    all_retired(means)
    assert lines_in(means.database) + filed(means) == before


def test_a_cause_stays_while_what_it_caused_does(here: StewardMeans) -> None:
    means = here
    with means.database.begin() as connection:
        now = means.database.now(connection)
        long_ago = now - timedelta(days=3 * DAYS)

        def note(at: Any, caused_by: int | None = None) -> int:
            job = {"subject": "job", "subject_id": 1, "what": "park"}
            return record(connection, at=at, actor=ACTOR, caused_by=caused_by, **job)

        forgotten, cause = note(long_ago), note(long_ago)
        between = note(long_ago + timedelta(days=40), cause)
        note(long_ago + timedelta(days=80))
        note(now, between)
    all_retired(means)
    with means.database.read() as connection:
        told = {each.id for each in story(connection, "job", 1)}
    assert {cause, between} <= told
    assert forgotten not in told


def test_the_newest_event_stays_however_old_it_is(means: StewardMeans) -> None:
    """Else its number would be given again, and who follows the journal would miss one."""
    with means.database.begin() as connection:
        at = means.database.now(connection) - timedelta(days=3 * DAYS)
        connection.execute(insert(events).values(_event(at)))
        cutoff = at + timedelta(days=90)
        assert months_due(connection, "events", cutoff, 9) == []


def _event(at: Any) -> dict[str, Any]:
    return {
        "at": at,
        "host": "lab",
        "unit": "lab",
        "pid": 1,
        "subject": "segment",
        "subject_id": "a.warc.gz",
        "what": "indexed",
        "evidence": {},
    }


def many(means: StewardMeans, number: int) -> None:
    """That many events of one kind and month, long ago."""
    with means.database.begin() as connection:
        at = cutoff_of(means.database.now(connection), 2 * DAYS)
        connection.execute(insert(events), [_event(at)] * number)
        record(connection, at=at, actor=ACTOR, subject="x", subject_id=1, what="y")


def test_it_deletes_in_small_transactions(
    means: StewardMeans, monkeypatch: pytest.MonkeyPatch
) -> None:
    from healtharchive.model import retention

    many(means, 1200)
    sizes = []
    real = retention.retire

    def counted(connection: Any, kind: str, cutoff: Any, ids: list[int]) -> int:
        sizes.append(len(ids))
        return real(connection, kind, cutoff, ids)

    monkeypatch.setattr(retention, "retire", counted)
    (step,) = Retention(means).plan()
    kind, _, month = step.subject_id.partition("-")
    with means.database.read() as connection:
        cutoff = cutoff_of(means.database.now(connection), DAYS).isoformat()
    order = RetireOrder(step.evidence["file"], kind, month, cutoff)
    Path(order.file).parent.mkdir(parents=True)
    facts = retention_child.retire(order, means.database, lambda _: None)
    assert facts == {"rows": 1200, "added": 1200}
    assert sizes == [500, 500, 200]


def test_a_damaged_file_is_left_alone_and_so_are_the_rows(means: StewardMeans) -> None:
    many(means, 10)
    (step,) = Retention(means).plan()
    path = Path(step.evidence["file"])
    path.parent.mkdir(parents=True)
    whole = gzip.compress(b'{"id": 1}\n' * 100)
    path.write_bytes(whole[:-12])
    (told,) = retired(means)
    assert told.outcome == "failed"
    assert f"{path} is damaged" in told.why
    assert path.read_bytes() == whole[:-12]
    with means.database.read() as connection:
        number = select(func.count()).where(events.c.what == "indexed")
        assert connection.execute(number).scalar_one() == 10


def test_where_no_file_can_be_written_nothing_is_deleted(means: StewardMeans) -> None:
    many(means, 10)
    means.settings.state_dir.mkdir(exist_ok=True)
    (means.settings.state_dir / DIRECTORY).write_text("in the way")
    (told,) = retired(means)
    assert told.outcome == "failed"
    with means.database.read() as connection:
        number = select(func.count()).where(events.c.what == "indexed")
        assert connection.execute(number).scalar_one() == 10


def test_two_stewards_do_not_do_it_at_once(means: StewardMeans) -> None:
    many(means, 10)
    with alone(means.settings.state_dir / DIRECTORY) as is_alone:
        assert is_alone
        (told,) = retired(means)
        assert told.why == "another steward is doing it"
    assert filed(means) == Counter()
    assert told_to_be_retired(means) == []  # nobody is sent to a file that is not there


def test_who_retires_keeps_no_other_machine_s_steward_waiting(means: StewardMeans) -> None:
    database = means.database
    with database.read() as connection:
        assert take_turn(database, connection)
        with database.read() as other:
            assert take_turn(database, other) == database.is_sqlite  # it has one machine
        with database.begin() as other:
            if not database.is_sqlite:
                other.execute(text("SET LOCAL lock_timeout = '5s'"))
            note_round(database, other, SUBJECT, seconds=1.0)
    with database.read() as connection:
        assert take_turn(database, connection)


def told_to_be_retired(means: StewardMeans) -> list[str]:
    with means.database.read() as connection:
        return [each.what for each in read(connection, subject=SUBJECT)]


def test_the_files_are_for_the_archive_only(means: StewardMeans) -> None:
    many(means, 10)
    retired(means)
    (path,) = (means.settings.state_dir / DIRECTORY).glob("*.gz")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_dry_run_says_what_would_go_and_the_events_say_where_they_went(tmp_path: Path) -> None:
    archive = Archive(tmp_path, {"JOURNAL_DAYS": str(DAYS)})
    archive.set_up()
    database = Database(archive.environment["HEALTHARCHIVE_DATABASE_URL"])
    means = means_for(tmp_path, database)
    with database.begin() as connection:
        record(
            connection,
            at=database.now(connection) - timedelta(days=3 * DAYS),
            actor=ACTOR,
            subject="source",
            subject_id="hc",
            what="changed",
        )
    many(means, 10)
    said = archive.run("steward", "run", "retention", "--dry-run")
    assert "10 events of" in said
    assert not (tmp_path / "state" / DIRECTORY).exists()
    assert archive.run("steward", "run", "retention") == said
    told: list[Event] = []
    with database.read() as connection:
        told = [
            e for e in story(connection, SUBJECT, said.split()[2].rstrip(":")) if e.what == RETIRE
        ]
    assert told[0].evidence["rows"] == 10
    database.dispose()
    asked = command("events", "--since", "1000d")
    done = subprocess.run(
        asked,
        env={**os.environ, **archive.environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(told[0].evidence["file"]) in done.stderr
    assert "zcat" in done.stderr
    # A thing that is older than what was retired, and a draft of a time that was.
    file = str(told[0].evidence["file"])
    assert file in asked_of(archive, "why", "source", "hc").stderr
    drafted = asked_of(archive, "incident", "draft", "--since", "1200d")
    assert f"- Older events that nothing asks for any more are in {file} on" in drafted.stdout
    month = said.split()[2].removeprefix("events-").rstrip(":")
    span = ("--since", f"{month}-10", "--until", f"{month}-20")
    gone = asked_of(archive, "incident", "draft", *span)
    assert "has nothing between" in gone.stdout
    assert file in gone.stdout
    assert "Older events" not in asked_of(archive, "incident", "draft", "--since", "1d").stdout
    recent = subprocess.run(
        [*asked[:-1], "1d"],
        env={**os.environ, **archive.environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert recent.stderr == ""


def asked_of(archive: Archive, *words: str) -> subprocess.CompletedProcess[str]:
    """What a command says, on both its outputs."""
    environment = {**os.environ, **archive.environment}
    return subprocess.run(
        command(*words), env=environment, capture_output=True, text=True, timeout=60, check=False
    )
