"""Keys in trouble as the operator hears of it: from the file to the sentence of the alert."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from healtharchive.model.database import Database
from healtharchive.model.expiries import Expiry, expiries
from healtharchive.model.targets import declare_targets
from healtharchive.steward.expiry import Expiries
from healtharchive.steward.rounds import Told, take_round
from tests.lab import mounts, objects
from tests.lab.conditions import NOW, ago, found_in, healthy
from tests.lab.queue import ACTOR
from tests.lab.stewards import means_for


@pytest.fixture(scope="module")
def server() -> Iterator[mounts.Server]:
    with mounts.sshd() as running:
        yield running


def whats(told: list[Told]) -> dict[str, str]:
    """What was told of each file, by its name."""
    return {Path(each.step.subject_id).name: each.step.what for each in told}


def test_a_targets_key_is_watched_from_its_declaration_to_the_end_of_its_trouble(
    database: Database, tmp_path: Path, server: mounts.Server
) -> None:
    definition = objects.sftp(server).definition
    known = Path(definition.options["known_hosts"])
    with database.begin() as connection:
        declare_targets(database, connection, [definition], actor=ACTOR)
    steward = means_for(tmp_path, database)
    reconciler = Expiries(steward)
    assert whats(take_round(reconciler, steward)) == {"client_key": "seen", known.name: "seen"}
    assert take_round(reconciler, steward) == []
    assert ends(database) == []

    server.key.chmod(0o644)
    kept = known.read_text()
    known.unlink()
    assert whats(take_round(reconciler, steward)) == {"client_key": "unseen", known.name: "unseen"}
    sentences = said(ends(database))
    assert any(
        f"The key {server.key} is not as it should be since" in each
        and "others than its owner may read or change it (mode 0644; `chmod 600` ends that)" in each
        for each in sentences
    )
    assert any(
        f"The known hosts file {known} is not as it should be since" in each
        and each.endswith("there is no such file.")
        for each in sentences
    )

    server.key.chmod(0o600)
    known.write_text(kept)
    assert whats(take_round(reconciler, steward)) == {"client_key": "seen", known.name: "seen"}
    assert ends(database) == []

    year_ago = NOW.timestamp() - 365 * 86_400
    os.utime(server.key, (year_ago, year_ago))
    aged = replace(steward, settings=replace(steward.settings, key_days=90.0))
    assert whats(take_round(Expiries(aged), aged)) == {"client_key": "seen"}
    (only,) = said(ends(database))
    assert only.startswith(f"The key {server.key} was to be replaced on 2025-")

    with database.begin() as connection:
        declare_targets(database, connection, [], actor=ACTOR)
    told = whats(take_round(reconciler, steward))
    assert told == {"client_key": "unwatched", known.name: "unwatched"}


def ends(database: Database) -> list[Expiry]:
    with database.read() as connection:
        return expiries(connection, database.now(connection))


def said(found: list[Expiry]) -> list[str]:
    """The alerts that follow, once the patience with them is over."""
    old = [replace(each, unseen_since=ago(days=1) if each.unseen_since else None) for each in found]
    return [each.found.sentence for each in found_in(healthy(expiries=tuple(old)))]


def test_a_key_that_has_an_age_and_is_open_is_one_sentence() -> None:
    key = Expiry("key", "/k", NOW + timedelta(days=5), ago(days=85), ago(days=1), "it is open")
    assert said([key]) == [
        f"The key /k is to be replaced on {NOW + timedelta(days=5):%Y-%m-%d %H:%M}Z and is not as "
        f"it should be since {ago(days=1):%Y-%m-%d %H:%M}Z: it is open."
    ]
