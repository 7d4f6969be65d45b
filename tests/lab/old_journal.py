"""A database with a long past: events, actions, alerts and processes, young and old."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Table, insert, select

from healtharchive.model.database import Database
from healtharchive.model.tables import actions, events
from healtharchive.model.tables_operation import alerts, service_holds, services

SPAN = timedelta(days=520)
HOLDERS = ("lab:1:2:3", "lab:4:5:6", "old:7:8:9")
# subject: (its things, what happens to them)
LIVES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "job": (("1", "2"), ("created", "park", "fail", "complete", "resume", "retry", "note")),
    "target": (("box", "spool"), ("trip", "trial_ok", "send_backup", "held", "seen")),
    "drift": (("settings",), ("found", "over")),
    "expiry": (("file:/x.pem",), ("seen", "unseen", "unwatched")),
    "segment": (("a.warc.gz", "b.warc.gz"), ("sealed", "lost", "restore", "release", "local_good")),
    "database": (("b1", "b2", "b3"), ("backup", "backup_failed", "restore_test")),
    "worker": ((*HOLDERS, "lab", "all"), ("stop_signal", "stopped", "runs_one", "paused")),
}  # fmt: skip
STATEFUL = ("park", "fail", "complete", "trip", "trial_ok", "sealed", "restore", "release")
REMARKING = ("complete", "fail")
KINDS: dict[str, Table] = {
    each.name: each for each in (events, actions, alerts, services, service_holds)
}


def live_through(database: Database, seed: int, number: int = 150) -> None:
    """Write 17 months of what happens, at random, in the order in which it happened."""
    chance = random.Random(seed)
    with database.begin() as connection:
        now = database.now(connection)
        for moment in _moments(chance, now, number):
            event = _event(chance, moment)
            if chance.random() < 0.2:
                recent = select(events.c.id).order_by(events.c.id.desc()).limit(30)
                event["caused_by"] = chance.choice([*connection.execute(recent).scalars(), None])
            key = connection.execute(insert(events).values(event)).inserted_primary_key
            if chance.random() < 0.3:
                outcome = chance.choice(["applied", "failed", "refused"])
                what = chance.choice(["recover", "start", "keep_suppressions"])
                same = {name: event[name] for name in ("at", "subject", "subject_id", "why")}
                one = {**same, "what": what, "outcome": outcome, "event_id": key and key[0]}
                connection.execute(insert(actions).values(one))
        for moment in _moments(chance, now, number // 5):
            connection.execute(insert(alerts).values(_alert(chance, moment)))
            connection.execute(insert(service_holds).values(_hold(chance, moment)))
        for serial, moment in enumerate(_moments(chance, now, number // 5)):
            connection.execute(insert(services).values(_process(chance, moment, serial)))


def everything(database: Database) -> dict[str, list[dict[str, Any]]]:
    """Every row of each table that grows, in order."""
    found = {}
    with database.read() as connection:
        for name, table in KINDS.items():
            rows = connection.execute(select(table).order_by(table.c.id))
            found[name] = [dict(row._mapping) for row in rows]
    return found


def _moments(chance: random.Random, now: datetime, number: int) -> Iterator[datetime]:
    ages = sorted((chance.random() for _ in range(number)), reverse=True)
    return (now - SPAN * age for age in ages)


def _event(chance: random.Random, moment: datetime) -> dict[str, Any]:
    subject = chance.choice(list(LIVES))
    things, whats = LIVES[subject]
    what = chance.choice(whats)
    remarks = what in REMARKING and chance.random() < 0.5
    evidence = {"excluded: a trap": chance.randrange(9)} if remarks else {"n": chance.randrange(9)}
    if what == "seen":
        evidence["ends_at"] = moment.isoformat()  # type: ignore[assignment]
    return {
        "at": moment,
        "host": "lab",
        "unit": "lab.service",
        "pid": 7,
        "subject": subject,
        "subject_id": chance.choice(things),
        "what": what,
        "to_state": what if what in STATEFUL else None,
        "why": f'chance {chance.random()}, \N{LATIN SMALL LETTER E WITH ACUTE}, "quoted"\n',
        "evidence": evidence,
    }


def _alert(chance: random.Random, moment: datetime) -> dict[str, Any]:
    over = moment + timedelta(hours=1) if chance.random() < 0.8 else None
    return {
        "name": chance.choice(["TargetDown", "SpoolFull"]),
        "severity": "critical",
        "subject": "target",
        "subject_id": chance.choice(["box", "spool"]),
        "state": "over" if over else "firing",
        "summary": "it is so",
        "since": moment,
        "seen_at": moment,
        "fired_at": moment,
        "over_at": over,
        "sent_at": chance.choice([moment, None]),
        "over_sent_at": chance.choice([over, None]),
    }


def _hold(chance: random.Random, moment: datetime) -> dict[str, Any]:
    return {
        "service": chance.choice(["worker", "serve"]),
        "host": chance.choice(["", "lab", "old"]),
        "kind": chance.choice(["pause", "owed"]),
        "who": "an operator",
        "why": "it is so",
        "at": moment,
        "ended_at": moment + timedelta(hours=1) if chance.random() < 0.8 else None,
    }


def _process(chance: random.Random, moment: datetime, serial: int) -> dict[str, Any]:
    host = chance.choice(["lab", "old"])
    stopped = moment + timedelta(days=chance.randrange(90)) if chance.random() < 0.8 else None
    known = serial < len(HOLDERS)
    return {
        "service": chance.choice(["worker", "steward"]),
        "holder": HOLDERS[serial] if known else f"{host}:{serial}:x:y",
        "host": host,
        "unit": "lab.service",
        "pid": serial,
        "version": "1",
        "started_at": moment,
        "beat_at": moment,
        "stopped_at": stopped,
        "stop_reason": "it was asked to" if stopped else None,
    }
