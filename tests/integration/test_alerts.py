"""Alerts from the look to the message: rows, events, real receivers, and a steward that dies."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import psutil
import pytest
from sqlalchemy import insert, update

from healtharchive.model.actions import note_action
from healtharchive.model.alerts import Alert, AlertState, newest_alerts, note_end_told
from healtharchive.model.database import Database
from healtharchive.model.errors import SetupError
from healtharchive.model.journal import Event, read
from healtharchive.model.states import JobStatus
from healtharchive.model.tables import archive_jobs
from healtharchive.model.tables_operation import reconcilers
from healtharchive.settings import load
from healtharchive.steward import delivery
from healtharchive.steward.alert_rules import AlertRule, Finding, Found, NextStep
from healtharchive.steward.alerting import Alerts
from healtharchive.steward.heartbeat import Heartbeat
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.notifying import Notify, send_test
from healtharchive.steward.reconcilers import reconcilers as reconcilers_of
from healtharchive.steward.rounds import Told, take_round
from healtharchive.steward.sending import SendingOrder, SendingReport
from healtharchive.work.stopping import Stop
from tests.lab.archive import Archive, CommandFailed, command, tail
from tests.lab.mailbox_server import Mailbox, mailbox
from tests.lab.processes import child_running, kill, kill_tree, spawn, stop, wait_for
from tests.lab.queue import ACTOR, SetClock, SetDatabase, add_job
from tests.lab.receiver import Receiver, receiving

SENDING = "healtharchive.steward.sending"
HOOK = "json://127.0.0.1:9/s3cr3t-path"


SOON = NextStep("it is mounted again at 06:30:00Z.", "look at the other side.")


def rule(name: str, lasts_seconds: float, severity: str = "critical") -> AlertRule:
    return AlertRule(
        name=name,
        severity=severity,  # type: ignore[arg-type]
        lasts_seconds=lasts_seconds,
        meaning="",
        find=lambda condition, settings: (),
        next_step=lambda found, condition, settings: SOON,
        command="healtharchive why target box",
    )


DOWN = Finding(rule("TargetDown", 60.0), Found("target", "box", "box is stale: errno 107"), SOON)
LATE = Finding(
    rule("ShippingLate", 0.0, "warning"), Found("target", "box", "nothing is shipped"), SOON
)


@dataclass
class Post:
    """Stands for the children that send: keeps the orders, and takes them or not."""

    takes: bool = True
    orders: list[SendingOrder] = field(default_factory=list)

    def __call__(self, orders: Sequence[SendingOrder]) -> list[SendingReport]:
        self.orders += orders
        return [SendingReport(self.takes, "" if self.takes else "it is away") for _ in orders]

    def subjects(self) -> list[str]:
        return [each.subject.partition(": ")[2].partition(" – ")[0] for each in self.orders]


@dataclass
class Lab:
    """The three reconcilers on a real database whose clock the test sets."""

    clock: SetClock
    database: SetDatabase
    environment: dict[str, str]
    post: Post = field(default_factory=Post)
    found: list[Finding] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self, **settings: str) -> None:
        """Another process: it knows what is in the database, and nothing else."""
        self.environment |= {f"HEALTHARCHIVE_{k}": v for k, v in settings.items()}
        self.means = StewardMeans(
            settings=load(self.environment),
            database=self.database,
            clock=self.clock,
            stop=Stop(self.clock),
            actor=ACTOR,
        )
        self.alerts = Alerts(self.means, lambda: self.found)
        self.notify = Notify(self.means, self.post)

    def pass_time(self, seconds: float, *found: Finding, every: float = 10.0) -> None:
        """So long with these findings; a round of each reconciler every so often."""
        self.found = list(found)
        for _ in range(int(seconds / every)):
            self.clock.advance(every)
            take_round(self.alerts, self.means)
            take_round(self.notify, self.means)

    def rows(self) -> list[Alert]:
        with self.database.read() as connection:
            return newest_alerts(connection)

    def row(self) -> Alert:
        (row,) = self.rows()
        return row

    def events(self, subject: str) -> list[Event]:
        with self.database.read() as connection:
            return read(connection, subject=subject)

    def whats(self, subject: str) -> list[str]:
        return [each.what for each in self.events(subject)]


@pytest.fixture
def lab(database_url: str, tmp_path: Path) -> Iterator[Lab]:
    clock = SetClock()
    database = SetDatabase(database_url, clock)
    known = {"DATA_DIR": str(tmp_path), "DATABASE_URL": database_url, "NOTIFY_URLS": HOOK}
    env_file = tmp_path / "backend.env"
    env_file.touch()
    known["ENV_FILE"] = str(env_file)
    yield Lab(clock, database, {f"HEALTHARCHIVE_{k}": v for k, v in known.items()})
    database.dispose()


# -- rows and events -------------------------------------------------------------------------


def test_an_incident_is_one_row_two_events_and_two_messages(lab: Lab) -> None:
    lab.pass_time(50, DOWN)
    assert lab.row().state is AlertState.PENDING
    assert lab.whats("alert") == []
    lab.pass_time(600, DOWN)
    with lab.database.begin() as connection:
        note_action(
            connection,
            at=lab.clock.now(),
            subject="target",
            subject_id="box",
            what="recover",
            outcome="applied",
            why="mounted again",
        )
    lab.pass_time(600)
    assert lab.row().state is AlertState.OVER
    assert [(e.what, e.subject_id) for e in lab.events("alert")] == [
        ("alert_fires", "TargetDown:target:box"),
        ("alert_over", "TargetDown:target:box"),
    ]
    assert lab.post.subjects() == ["TargetDown box", "over: TargetDown box"]
    assert [each.good_news for each in lab.post.orders] == [False, True]
    assert "recover applied: mounted again" in lab.post.orders[1].body
    assert lab.whats("people") == ["tell_people", "tell_people"]


def test_a_dry_run_says_what_would_fire_and_tells_nobody(lab: Lab) -> None:
    lab.found = [LATE]
    dry = take_round(lab.alerts, lab.means, dry_run=True)
    assert [each.step.what for each in dry] == ["alert_fires"]
    assert lab.row().state is AlertState.PENDING
    assert lab.whats("alert") == []
    lab.pass_time(10, LATE)
    lab.clock.advance(60.0)
    dry = take_round(lab.notify, lab.means, dry_run=True)
    assert [each.step.what for each in dry] == ["tell_people"]
    assert lab.post.orders == []


def test_another_steward_goes_on_where_one_was_killed(lab: Lab) -> None:
    lab.pass_time(70, DOWN)
    assert lab.post.orders == []
    lab.restart()
    lab.pass_time(600, DOWN)
    lab.restart()
    lab.pass_time(20)
    lab.restart()
    lab.pass_time(600)
    assert lab.post.subjects() == ["TargetDown box", "over: TargetDown box"]
    assert len(lab.rows()) == 1


def test_two_stewards_that_look_at_once_make_one_row_of_an_incident(lab: Lab) -> None:
    note_rounds(lab, "alerts")
    lab.found = [Finding(DOWN.rule, Found("target", f"box-{n}", "sick"), SOON) for n in range(30)]
    together = threading.Barrier(3)

    def look() -> None:
        together.wait()
        lab.alerts.plan()

    threads = [threading.Thread(target=look) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60.0)
    assert len(lab.rows()) == 30


def test_a_deploy_does_not_silence_alerts(lab: Lab) -> None:
    lab.means.settings.deploy_lock.parent.mkdir(parents=True, exist_ok=True)
    lab.means.settings.deploy_lock.touch()
    os.utime(lab.means.settings.deploy_lock, (lab.clock.now().timestamp(),) * 2)
    lab.pass_time(200, DOWN)
    assert lab.post.subjects() == ["TargetDown box"]


def test_a_storm_is_not_a_message_a_minute(lab: Lab) -> None:
    lab.restart(NOTIFY_GROUP_SECONDS="0")
    for number in range(40):
        new = Finding(LATE.rule, Found("target", f"box-{number}", "late"), SOON)
        lab.pass_time(10, new)
    assert len(lab.post.orders) == 20
    assert lab.whats("people").count("tell_people_refused") == 1


def test_with_nowhere_to_send_alerts_are_kept_all_the_same(lab: Lab) -> None:
    del lab.environment["HEALTHARCHIVE_NOTIFY_URLS"]
    lab.restart()
    lab.pass_time(300, DOWN)
    assert lab.row().state is AlertState.FIRING
    assert lab.post.orders == []


@pytest.mark.parametrize(
    ("about", "done"),
    [
        (("service", "worker"), ("worker", "vps1")),
        (("service", "worker"), ("service", "worker")),
        (("database", "backup"), ("database", "2026-01-24.sqlite")),
        (("job", "7"), ("job", "7")),
    ],
)
def test_a_message_says_what_was_done_or_refused_and_nothing_about_other_things(
    lab: Lab, about: tuple[str, str], done: tuple[str, str]
) -> None:
    with lab.database.begin() as connection:
        for subject, subject_id in (done, ("job", "8"), ("target", "box")):
            note_action(
                connection,
                at=lab.clock.now(),
                subject=subject,
                subject_id=subject_id,
                what="restart",
                outcome="refused",
                why=f"{subject} {subject_id}: a deploy lock is set",
            )
    lab.restart(NOTIFY_GROUP_SECONDS="0")
    lab.pass_time(10, Finding(LATE.rule, Found(*about, "it is so", since=lab.clock.now()), SOON))
    (order,) = lab.post.orders
    said = f"{done[0]} {done[1]}: a deploy lock is set"
    assert order.body.count("restart refused") == 1
    assert f"restart refused: {said}" in order.body


# -- nobody takes the message ----------------------------------------------------------------


def test_a_message_that_nobody_takes_is_tried_ever_more_rarely_and_is_one_event(lab: Lab) -> None:
    lab.post.takes = False
    lab.pass_time(6 * 3600, DOWN, every=60.0)
    assert 10 <= len(lab.post.orders) <= 20
    (event,) = lab.events("people")
    assert event.what == "tell_people_failed"
    assert "address 1 (json): it is away" in event.why
    lab.post.takes = True
    lab.pass_time(1860, DOWN, every=60.0)
    told = len(lab.post.orders)
    lab.pass_time(3600, DOWN, every=60.0)
    assert len(lab.post.orders) == told
    assert lab.whats("people") == ["tell_people_failed", "tell_people"]
    assert lab.row().sent_at is not None


def test_what_one_of_two_addresses_takes_is_told(lab: Lab) -> None:
    class OneOfTwo(Post):
        def __call__(self, orders: Sequence[SendingOrder]) -> list[SendingReport]:
            self.orders += orders
            return [SendingReport(True), SendingReport(False, "it is away")]

    lab.post = OneOfTwo()
    lab.restart(NOTIFY_URLS=f"{HOOK} ntfy://127.0.0.1:9/t0pic-name")
    lab.pass_time(600, DOWN)
    assert len(lab.post.orders) == 2
    (event,) = lab.events("people")
    assert event.why.endswith("but not by address 2 (ntfy): it is away")


def test_nonsense_in_the_settings_is_one_sentence(lab: Lab) -> None:
    with pytest.raises(SetupError, match="HEALTHARCHIVE_QUIET_HOURS is 'at night'"):
        lab.restart(QUIET_HOURS="at night")


def test_no_reconciler_raises_while_it_is_built_whatever_the_settings_hold(lab: Lab) -> None:
    texts = {
        each.name: "at night"
        for each in fields(lab.means.settings)
        if isinstance(getattr(lab.means.settings, each.name), str) and each.name != "database_url"
    }
    assert "quiet_hours" in texts
    odd = replace(lab.means, settings=replace(lab.means.settings, **texts))
    paces = [each.every_seconds() for each in reconcilers_of(odd)]
    assert min(paces) > 0


def test_a_target_that_flaps_is_a_handful_of_messages_and_one_incident(lab: Lab) -> None:
    for _ in range(8):
        lab.pass_time(390, DOWN)
        lab.pass_time(120)
    assert lab.post.subjects() == ["TargetDown box", "over: TargetDown box", "TargetDown box"]
    assert "over for 15 min" in lab.post.orders[-1].body
    assert [each.state for each in lab.rows()] == [AlertState.OVER] * 2
    lab.pass_time(1000)
    assert lab.post.subjects()[3:] == ["over: TargetDown box"]
    newest, first = lab.rows()
    assert (newest.since - first.since).total_seconds() == 510
    assert (newest.seen_at - newest.since).total_seconds() > 3000


def test_what_came_back_while_its_end_was_being_told_is_told_anew(lab: Lab) -> None:
    lab.pass_time(300, DOWN)
    with lab.database.begin() as connection:
        note_end_told(connection, [lab.row().id], lab.clock.now())
    assert lab.row().over_sent_at is None
    lab.pass_time(100, DOWN)
    lab.pass_time(300)
    assert lab.post.subjects() == ["TargetDown box"] * 2 + ["over: TargetDown box"]


# -- real receivers --------------------------------------------------------------------------


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox() as running:
        yield running


def real(lab: Lab, *addresses: str) -> None:
    """Send by real children from here on."""
    lab.restart(NOTIFY_URLS=" ".join(addresses), NOTIFY_GROUP_SECONDS="0")
    lab.notify = Notify(lab.means)


def secret_free(lab: Lab, secret: str = "s3cr3t") -> bool:
    """Whether no event and no row holds the secret."""
    with lab.database.read() as connection:
        told = [repr(each) for each in read(connection)]
    return not any(secret in each for each in [*told, *map(repr, lab.rows())])


def test_a_web_hook_and_a_mailbox_get_the_problem_and_its_end(
    lab: Lab, receiver: Receiver, box: Mailbox
) -> None:
    real(lab, receiver.hook, box.address)
    lab.pass_time(80, DOWN)
    lab.pass_time(40)
    assert receiver.subjects() == [
        "HealthArchive lab: TargetDown box – box is stale: errno 107",
        "HealthArchive lab: over: TargetDown box – after 1 min 10 s",
    ]
    assert [each["type"] for each in receiver.told] == ["warning", "success"]
    assert len(box.texts()) == 2
    said = "What only you can do: look at the other side. Begin with: healtharchive why target box"
    assert said in box.texts()[0]
    assert "What happened: box is stale: errno 107" in receiver.told[0]["message"]


def test_a_mail_server_that_never_ends_its_greeting_costs_one_killed_child(
    lab: Lab, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "SEND_SECONDS", 5.0)
    box.drips.set()
    real(lab, box.address)
    lab.pass_time(80, DOWN)
    (event,) = lab.events("people")
    assert event.what == "tell_people_failed"
    assert "it was not done within 5 s" in event.why
    assert child_running(os.getpid(), SENDING) is None
    box.drips.clear()
    monkeypatch.setattr(delivery, "SEND_SECONDS", 60.0)
    lab.pass_time(60, DOWN)
    assert lab.whats("people") == ["tell_people_failed", "tell_people"]
    assert len(box.messages) == 1


def test_no_secret_is_in_an_event_a_log_or_a_command_line(
    lab: Lab,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(delivery, "SEND_SECONDS", 20.0)
    monkeypatch.setenv("HEALTHARCHIVE_NOTIFY_URLS", receiver.hook)
    receiver.hangs.set()
    real(lab, receiver.hook)
    turn = threading.Thread(target=lab.pass_time, args=(70, DOWN))
    turn.start()
    wait_for(lambda: receiver.asked, what="the hook was asked", seconds=60.0)
    pid = child_running(os.getpid(), SENDING)
    assert pid is not None
    child = psutil.Process(pid)
    assert "s3cr3t" not in repr(child.cmdline())
    assert "s3cr3t" not in repr(child.environ())
    turn.join(60.0)
    receiver.hangs.clear()
    receiver.status = 500
    lab.pass_time(60, DOWN)
    assert lab.whats("people") == ["tell_people_failed"]
    assert secret_free(lab)
    assert "s3cr3t" not in caplog.text


def test_a_missing_apprise_is_one_sentence_and_the_steward_goes_on(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "apprise.py").write_text("raise ImportError('no apprise here')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    real(lab, HOOK)
    lab.pass_time(200, DOWN)
    (event,) = lab.events("people")
    assert event.what == "tell_people_failed"
    assert "apprise is not installed. Run: pip install" in event.why
    assert lab.row().state is AlertState.FIRING
    with pytest.raises(SetupError, match="apprise is not installed"):
        send_test(lab.means)


# -- heartbeat -------------------------------------------------------------------------------


def beat(heartbeat: Heartbeat, lab: Lab) -> list[Told]:
    return take_round(heartbeat, lab.means)


def note_rounds(lab: Lab, name: str, failures: int = 0) -> None:
    now = lab.clock.now()
    with lab.database.begin() as connection:
        values = {"began_at": now, "ended_at": now, "failures": failures}
        known = update(reconcilers).where(reconcilers.c.name == name).values(values)
        if connection.execute(known).rowcount == 0:
            connection.execute(insert(reconcilers).values(name=name, **values))


def test_the_heartbeat_asks_while_all_is_well_and_is_silent_when_not(
    lab: Lab, receiver: Receiver
) -> None:
    lab.restart(HEARTBEAT_URL=receiver.url)
    heartbeat = Heartbeat(lab.means)
    note_rounds(lab, "alerts")
    take_round(heartbeat, lab.means, dry_run=True)
    assert receiver.asked == []
    for _ in range(3):
        beat(heartbeat, lab)
    assert receiver.asked == ["GET /s3cr3t-path"] * 3
    note_rounds(lab, "shipping", failures=3)
    beat(heartbeat, lab)
    for seconds in (5 * 86_400.0, 31 * 86_400.0):  # it hangs, and later it is no more
        lab.clock.advance(seconds)
        note_rounds(lab, "alerts")
        beat(heartbeat, lab)
        assert len(receiver.asked) == 3 + (seconds > 30 * 86_400)
    note_rounds(lab, "shipping")
    for silent in (301.0, 40_000.0, 90_000.0, 90 * 86_400.0):
        lab.clock.advance(silent)
        beat(heartbeat, lab)
        assert len(receiver.asked) == 4
    note_rounds(lab, "alerts")
    beat(heartbeat, lab)
    assert len(receiver.asked) == 5
    assert lab.whats("heartbeat") == ["heartbeat_begins"]


def test_a_heartbeat_that_is_not_answered_is_told_once_and_fails_nothing(
    lab: Lab, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    lab.restart(HEARTBEAT_URL=receiver.url)
    heartbeat = Heartbeat(lab.means)
    beat(heartbeat, lab)
    receiver.status = 503
    told = [each for _ in range(4) for each in beat(heartbeat, lab)]
    assert [each.outcome for each in told] == ["applied"]
    receiver.status = 200
    for _ in range(2):
        beat(heartbeat, lab)
    assert lab.whats("heartbeat") == [
        "heartbeat_begins",
        "heartbeat_unanswered",
        "heartbeat_answered",
    ]
    assert "it answered 503" in lab.events("heartbeat")[1].why
    assert len([each for each in caplog.records if each.levelno >= logging.WARNING]) == 1
    assert secret_free(lab)
    assert "s3cr3t" not in caplog.text


def test_a_heartbeat_without_an_address_asks_nobody(lab: Lab) -> None:
    heartbeat = Heartbeat(lab.means, lab.post)
    assert beat(heartbeat, lab) == []
    assert lab.post.orders == []


# -- the real thing --------------------------------------------------------------------------


def test_a_steward_killed_while_it_sends_sends_once_after_its_restart(
    tmp_path: Path, receiver: Receiver
) -> None:
    settings = {
        "NOTIFY_URLS": receiver.hook,
        "NOTIFY_GROUP_SECONDS": "0",
        "STEWARD_EVERY_SECONDS": "0.5",
    }
    archive = Archive(tmp_path / "data", settings)
    archive.set_up()
    database = Database(archive.environment["HEALTHARCHIVE_DATABASE_URL"], "the test")
    job = add_job(database, tmp_path)
    with database.begin() as connection:
        failed = update(archive_jobs).where(archive_jobs.c.id == job)
        connection.execute(failed.values(status=JobStatus.FAILED, last_error="no seed"))
    receiver.hangs.set()
    log = tmp_path / "steward.log"
    steward = spawn(command("steward"), environment=archive.environment, log=log)
    try:
        wait_for(lambda: receiver.asked, what="the hook was asked", seconds=90.0)
        kill(steward.pid)
        kill_tree(steward)
        receiver.hangs.clear()
        assert receiver.told == []
        steward = spawn(command("steward"), environment=archive.environment, log=log)
        wait_for(lambda: receiver.told, what="the hook was told", seconds=90.0)
        wait_for(
            lambda: [e for e in archive.ask("alerts") if e["name"] == "JobFailed" and e["sent_at"]],
            what="its row says that it was told",
        )
    finally:
        stop(steward)
        database.dispose()
    assert len([each for each in receiver.subjects() if "JobFailed" in each]) == 1
    assert "s3cr3t" not in tail(log, 1_000_000)


def test_the_command_line_shows_alerts_and_sends_a_test(tmp_path: Path, receiver: Receiver) -> None:
    archive = Archive(tmp_path / "data")
    archive.set_up()
    assert archive.run("alerts") == "No alert is open.\n"
    assert archive.ask("alerts") == []
    with pytest.raises(CommandFailed, match="HEALTHARCHIVE_NOTIFY_URLS is empty"):
        archive.run("alerts", "test")
    told = Archive(tmp_path / "data", {"NOTIFY_URLS": receiver.hook})
    assert told.run("alerts", "test") == "A test message was taken by 1 address.\n"
    (subject,) = receiver.subjects()
    assert subject.endswith(": a test")
    receiver.status = 500
    with pytest.raises(CommandFailed) as caught:
        told.run("alerts", "test")
    assert "address 1 (json)" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)
    database = Database(archive.environment["HEALTHARCHIVE_DATABASE_URL"], "the test")
    job = add_job(database, tmp_path)
    with database.begin() as connection:
        failed = update(archive_jobs).where(archive_jobs.c.id == job)
        connection.execute(failed.values(status=JobStatus.FAILED, last_error="no seed"))
    database.dispose()
    assert "alert_fires" in archive.run("steward", "run", "alerts").replace(" ", "_")
    shown = archive.run("alerts", "--all")
    assert f"firing   warning  JobFailed job {job}, since" in shown
    assert "not told" in shown
    events = archive.run("events", "--since", "1d", "--json").splitlines()
    assert "alert_fires" in [json.loads(each)["what"] for each in events]
