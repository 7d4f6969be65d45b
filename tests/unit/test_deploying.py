"""A deployment decided: may it be, which steps is it, and what leads back."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from healtharchive.cli.machine import deploying_lock, requirements
from healtharchive.cli.machine.deploying import Drain, Standing, Step, judge, plan, way_back
from healtharchive.cli.machine.deploying_schema import objections, pending
from healtharchive.model.errors import NotFound

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WELL = Standing(
    schema="0010",
    head="0011",
    pending={"0011": ()},
    unmet=(),
    drains=(),
    database_bytes=1_000,
    free_bytes=10_000,
    source_error="",
    lock="",
    running=("worker", "steward", "serve"),
    unmanaged=(),
    version="2.0",
    versions=("1.9",),
)
MINDED = replace(WELL, pending={"0011": ("it does drop column",)})


def words(steps: list[Step]) -> list[str]:
    return [f"{each.what} {each.service}".strip() for each in steps]


def test_additions_let_the_services_run_on_until_each_is_restarted() -> None:
    assert words(plan(WELL)) == [
        "lock", "backup", "upgrade", "restart worker", "restart steward", "restart serve",
        "verify", "unlock",
    ]  # fmt: skip
    assert "upgrade" not in words(plan(replace(WELL, schema="0011", pending={})))


def test_what_an_older_program_minds_is_done_while_none_runs() -> None:
    assert words(plan(MINDED)) == [
        "lock", "backup", "stop worker", "stop steward", "stop serve", "upgrade",
        "start worker", "start steward", "start serve", "verify", "unlock",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": "0012"}, "newer than the 0011"),
        ({"schema": ""}, "no schema"),
        ({"unmet": ("alembic is 1.0, older than 1.13",)}, "alembic is 1.0"),
        ({"lock": "anna deploys already"}, "anna deploys already"),
        ({"free_bytes": 1_999}, "are free in backup_dir"),
        ({"source_error": "hc.toml, line 3 cannot be used"}, "hc.toml"),
        ({"schema": "0008", "pending": {"0009": ("it does drop table",)}}, "not only additions"),
    ],
)
def test_each_reason_against_it_is_named(change: dict[str, object], reason: str) -> None:
    verdict = judge(replace(WELL, **change))  # type: ignore[arg-type]
    assert not verdict.ready
    assert [each for each in verdict.reasons if reason in each], verdict


def test_what_is_interrupted_is_told_and_no_reason_against_it() -> None:
    verdict = judge(replace(WELL, drains=(Drain(7, "phac", "crawl", 7200.0),)))
    assert verdict.ready
    assert any("job 7 (phac) has run for 2 h (crawl)" in each for each in verdict.notes)


def test_the_way_back_is_as_long_as_the_way_that_was_gone() -> None:
    lock, backup, upgrade, restart, *_ = plan(WELL)
    assert way_back(WELL, (lock, backup)) == []
    units = "healtharchive-worker.service healtharchive-steward.service healtharchive-serve.service"
    assert way_back(WELL, (lock, backup, upgrade)) == [
        f"systemctl stop {units}",
        "healtharchive db downgrade 0010 --yes  # drops only additions",
        "install the version 1.9 again, where the units find it",
        f"systemctl restart {units}",
    ]
    assert way_back(MINDED, (lock, backup, upgrade))[1].startswith("restore the backup")
    assert way_back(replace(WELL, pending={}), (lock, backup, restart)) == [
        "install the version 1.9 again, where the units find it",
        f"systemctl restart {units}",
    ]


# -- migrations and packages ---------------------------------------------------------------


def test_additions_are_told_from_what_an_older_program_minds() -> None:
    ours = {revision: objections(text) for revision, text in pending("0000").items()}
    assert ours["0009"] == []  # new tables only
    assert ours["0007"] == ["it does alter column"]
    assert ours["0010"] == []  # columns that may be empty, a table, indexes
    assert list(pending("0009")) == ["0010"]
    add = "def upgrade():\n    op.add_column('t', sa.Column('c', sa.Text, {}))\n"
    assert objections(add.format("nullable=True")) == []
    assert objections(add.format("nullable=False, server_default='x'")) == []
    assert objections(add.format("nullable=False")) != []
    assert objections("def upgrade():\n    op.add_column('t', column)\n") != []
    assert objections("def downgrade():\n    op.drop_table('t')\n") == []
    assert objections("def upgrade():\n    op.create_index('i', 't', ['c'], unique=True)\n") != []


def test_the_programs_own_requirements_are_understood_and_met() -> None:
    ours = requirements.own_requirements()
    assert {"alembic", "sqlalchemy"} <= {each.name for each in ours if not each.extra}
    assert {"browser", "sftp", "notify"} <= {each.extra for each in ours}
    assert requirements.unmet(ours, requirements.installed_version) == []
    with pytest.raises(ValueError, match="unknown form"):
        requirements.parse(["thing @ file:///elsewhere"])


def test_missing_and_older_packages_are_named() -> None:
    found = {"a": "1.9", "b": None, "c": "2.0"}
    required = requirements.parse(["a>=1.10", "b>=1", "c>=2", 'd>=1; extra == "sftp"'])
    assert requirements.unmet(required, found.get) == ["a is 1.9, older than 1.10",
                                                       "b is not installed"]  # fmt: skip
    assert requirements.unmet(required, found.get, "sftp") == ["d is not installed"]


# -- the lock ------------------------------------------------------------------------------


def test_of_many_who_deploy_at_once_one_has_the_lock(tmp_path: Path) -> None:
    path, won, lost = tmp_path / "deploy.lock", [], []
    ready = threading.Barrier(8)

    def try_it(number: int) -> None:
        ready.wait()
        try:
            won.append(deploying_lock.take(path, f"try {number}", NOW, 3600.0))
        except deploying_lock.Locked as error:
            lost.append(str(error))

    threads = [threading.Thread(target=try_it, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(won) == 1
    assert len(lost) == 7
    assert won[0].why in lost[0]
    assert deploying_lock.read(path) == won[0]


def test_a_lock_that_is_too_old_is_taken_over_and_one_that_is_kept_is_not(tmp_path: Path) -> None:
    path = tmp_path / "deploy.lock"
    first = deploying_lock.take(path, "first", NOW, 3600.0)
    later = NOW + timedelta(seconds=3599)
    deploying_lock.keep(path, first, later)
    much_later = NOW + timedelta(seconds=3601)
    with pytest.raises(deploying_lock.Locked):
        deploying_lock.take(path, "second", much_later, 3600.0)
    second = deploying_lock.take(path, "second", later + timedelta(seconds=3600), 3600.0)
    with pytest.raises(deploying_lock.Locked, match="no longer ours"):
        deploying_lock.keep(path, first, later)
    with pytest.raises(NotFound):
        deploying_lock.give_back(path, first)
    assert deploying_lock.give_back(path, second) == second
    assert not path.exists()


def test_a_lock_that_somebody_touched_by_hand_counts_too(tmp_path: Path) -> None:
    path = tmp_path / "deploy.lock"
    path.write_text("back at noon\n")
    found = deploying_lock.read(path)
    assert found is not None
    assert (found.who, found.why) == ("somebody", "back at noon")
