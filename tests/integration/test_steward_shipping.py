"""The steward ships, releases, re-reads and restores: to a directory, a mount, SFTP and S3."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from healtharchive.model.states import TargetEvent, TargetState
from healtharchive.model.targets import change_target
from healtharchive.steward.fixity import Fixity
from healtharchive.steward.shipping import Shipping
from healtharchive.storage.identity import FILE_NAME
from tests.lab import mounts, objects
from tests.lab.objects import Directory, Files, Target
from tests.lab.queue import ACTOR
from tests.lab.spool import SIZE_BYTES, Spool, content_of

DAY = 86_400.0


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path)
    yield made
    made.database.dispose()


@pytest.fixture(params=objects.KINDS)
def target(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Target]:
    with objects.target(request.param, tmp_path) as made:
        for name, value in made.environ.items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Target, Target]]:
    """A directory `near` and an SFTP server `far`."""
    with mounts.sshd() as server:
        yield (
            named(objects.local(tmp_path / "near"), "near"),
            named(objects.sftp(server), "far"),
        )


def named(target: Target, name: str) -> Target:
    return replace(target, definition=replace(target.definition, name=name))


def name_of(path: Path) -> str:
    return str(path.relative_to(path.parents[3]))


def flip(files: Files, name: str) -> None:
    changed = bytearray(files.get(name) or b"")
    changed[1234] ^= 1
    files.put(name, bytes(changed))


# -- shipping and release ---------------------------------------------------------------------


def test_segments_are_shipped_oldest_first_released_after_that_and_never_again(
    spool: Spool, target: Target
) -> None:
    spool.declare(target)
    paths = [spool.seal(n, age=age) for n, age in ((1, 10.0), (2, 30.0), (3, 20.0))]
    assert spool.shipping.turn("cold") == 3
    verified = [e.subject_id for e in spool.told() if e.what == "copy_verified"]
    assert verified == [paths[n].name for n in (1, 2, 0)]
    for number, path in enumerate(paths, 1):
        assert not path.exists()
        assert target.files.get(name_of(path)) == content_of(number)
        assert spool.whats(path) == ["copy_verified", "ship", "verify", "release"]
    assert spool.states() == ["released"] * 3
    sent = [e.evidence["sent_bytes"] for e in spool.told() if e.what == "copy_verified"]
    assert sent == [SIZE_BYTES] * 3
    assert spool.shipping.turn("cold") == 0
    assert len(spool.told()) == 12
    assert not [name for name in target.files.names() if ".part" in name]


def test_nothing_is_released_before_every_target_has_a_verified_copy(
    spool: Spool, two: tuple[Target, Target]
) -> None:
    spool.declare(*two)
    path = spool.seal(1)
    spool.shipping.turn("near")
    assert spool.states() == ["shipped"]
    assert path.exists()
    spool.shipping.turn("far")
    assert spool.states() == ["released"]
    assert not path.exists()
    for each in two:
        assert each.files.get(name_of(path)) == content_of(1)
    assert spool.whats(path) == ["copy_verified", "ship", "copy_verified", "verify", "release"]


def test_nothing_is_released_before_it_is_indexed(spool: Spool, tmp_path: Path) -> None:
    spool.declare(objects.local(tmp_path / "cold"))
    path = spool.seal(1, indexed=False)
    spool.shipping.turn("cold")
    assert spool.states() == ["verified"]
    assert path.exists()


def test_a_segment_shipped_long_before_its_job_is_indexed_gets_a_fresh_proof_and_is_released(
    spool: Spool, tmp_path: Path
) -> None:
    spool.declare(objects.local(tmp_path / "cold"))
    path = spool.seal(1, indexed=False)
    spool.shipping.turn("cold")
    for _ in range(3):  # a crawl of some days
        spool.clock.advance(DAY)
        spool.fixity.turn("cold")
    spool.clock.advance(DAY + 1.0)
    spool.index()
    assert spool.shipping.release() == 0
    assert path.exists()
    spool.fixity.turn("cold")
    assert spool.shipping.release() == 1
    assert not path.exists()


def test_both_targets_need_a_fresh_proof(spool: Spool, two: tuple[Target, Target]) -> None:
    spool.declare(*two)
    spool.seal(1, indexed=False)
    spool.shipping.turn("near")
    spool.clock.advance(DAY + 1.0)
    spool.index()
    spool.shipping.turn("far")
    assert spool.states() == ["verified"]
    spool.fixity.turn("near")
    assert spool.shipping.release() == 1


def test_a_target_that_fails_in_the_midst_takes_no_copy_away_and_blames_no_segment(
    spool: Spool, tmp_path: Path
) -> None:
    with mounts.tmpfs(tmp_path / "cold", "4m"):
        spool.declare(objects.local(tmp_path / "cold"))
        first, second = spool.seal(1, age=20.0), spool.seal(2, 6_000_000, age=10.0)
        third = spool.seal(3)
        assert spool.shipping.turn("cold") == 1
        assert spool.copies() == ["verified"]
        assert spool.whats(first)[-1] == "release"
        assert spool.whats(second) == spool.whats(third) == []
        assert spool.state_of("cold") is TargetState.OPEN
        assert spool.shipping.plan("cold") == []
        mounts.resize(tmp_path / "cold", "16m")
        spool.clock.advance(1.0)
        spool.breaker("cold", TargetEvent.PROBE_OK, TargetEvent.TRIAL_OK)
        assert [each.path for each in spool.shipping.plan("cold")] == [str(second), str(third)]
        assert spool.shipping.turn("cold") == 2
        assert spool.states() == ["released"] * 3


def test_a_target_that_fails_vaguely_is_left_alone_a_little_and_then_tried_in_order(
    spool: Spool, tmp_path: Path
) -> None:
    with mounts.sshd() as server:
        away = objects.sftp(server)
    spool.declare(away)
    path = spool.seal(1)
    assert spool.shipping.turn("cold") == 0
    assert spool.shipping.plan("cold") == []
    spool.clock.advance(11.0)
    assert [each.path for each in spool.shipping.plan("cold")] == [str(path)]


def test_a_file_that_is_not_what_was_sealed_is_kept_told_and_does_not_stop_the_others(
    spool: Spool, tmp_path: Path
) -> None:
    target = objects.local(tmp_path / "cold")
    spool.declare(target)
    bad, good = spool.seal(1, age=10.0), spool.seal(2)
    bad.write_bytes(content_of(7))
    assert spool.shipping.turn("cold") == 1
    assert spool.states() == ["sealed", "released"]
    assert bad.exists()
    assert not good.exists()
    (told,) = spool.told(bad)
    assert told.what == "copy_failed"
    assert "our own file" in told.why
    assert spool.shipping.plan("cold") == []
    assert target.files.get(name_of(bad)) is None


def test_two_targets_that_release_at_once_do_not_get_in_each_others_way(
    spool: Spool, tmp_path: Path
) -> None:
    spool.declare(objects.local(tmp_path / "cold"))
    paths = [spool.seal(number, 1000, indexed=False) for number in range(8)]
    spool.shipping.turn("cold")
    spool.index()
    other = Shipping(spool.means)  # another process: `steward run shipping`
    released: list[int] = []
    threads = [
        threading.Thread(target=lambda s=each: released.append(s.release()))
        for each in (spool.shipping, spool.shipping, other)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60.0)
    assert sum(released) == len(paths)
    assert all(spool.whats(path).count("release") == 1 for path in paths)


def test_a_steward_that_dies_between_removing_a_file_and_saying_so_is_finished_by_the_next(
    spool: Spool, tmp_path: Path
) -> None:
    spool.declare(objects.local(tmp_path / "cold"))
    path = spool.seal(1, indexed=False)
    spool.shipping.turn("cold")
    spool.index()
    path.unlink()
    assert Shipping(spool.means).release() == 1
    assert spool.states() == ["released"]


# -- fixity and restoring ---------------------------------------------------------------------


@pytest.mark.parametrize("how", ["flipped", "gone"])
def test_row_17_a_bad_copy_is_found_named_and_restored_from_the_other_target(
    spool: Spool, two: tuple[Target, Target], how: str
) -> None:
    spool.declare(*two)
    near, far = two
    path, sound = spool.seal(1), spool.seal(2)
    spool.shipping.turn("near")
    spool.shipping.turn("far")
    assert spool.states() == ["released"] * 2
    if how == "flipped":
        flip(far.files, name_of(path))
    else:
        far.files.remove(name_of(path))
    spool.clock.advance(DAY)
    assert spool.fixity.turn("far") == 1
    found = spool.told(path)[-1]
    assert found.what == ("copy_differs" if how == "flipped" else "copy_gone")
    assert name_of(path) in found.why
    assert "far" in found.why
    spool.fixity.turn("near")
    assert path.read_bytes() == content_of(1)
    assert spool.shipping.turn("far") == 1
    assert far.files.get(name_of(path)) == near.files.get(name_of(path)) == content_of(1)
    assert spool.states() == ["released"] * 2
    assert spool.whats(path)[5:] == [
        found.what, "restore", "copy_verified", "ship", "verify", "release",
    ]  # fmt: skip
    assert spool.whats(sound)[-1] == "release"


def test_row_17_a_bad_copy_is_replaced_from_the_spool_while_the_file_is_still_there(
    spool: Spool, target: Target
) -> None:
    spool.declare(target)
    path = spool.seal(1, indexed=False)
    spool.shipping.turn("cold")
    flip(target.files, name_of(path))
    spool.clock.advance(DAY)
    assert spool.fixity.turn("cold") == 1
    assert spool.copies() == ["differs"]
    assert spool.shipping.turn("cold") == 1
    assert target.files.get(name_of(path)) == content_of(1)


def test_a_loss_is_told_once_whoever_finds_it(spool: Spool, tmp_path: Path) -> None:
    target = objects.local(tmp_path / "cold")
    spool.declare(target)
    path = spool.seal(1)
    spool.shipping.turn("cold")
    target.files.remove(name_of(path))
    spool.clock.advance(DAY)
    for fixity in (spool.fixity, spool.fixity, Fixity(spool.means)):
        fixity.turn("cold")
    assert spool.whats(path)[-2:] == ["copy_gone", "lost"]
    assert spool.whats(path).count("lost") == 1


def test_a_target_that_went_away_is_not_taken_for_the_loss_of_all_its_files(
    spool: Spool, tmp_path: Path
) -> None:
    target = objects.local(tmp_path / "cold")
    spool.declare(target)
    path = spool.seal(1)
    spool.shipping.turn("cold")
    (tmp_path / "cold" / FILE_NAME).write_text('{"target": "cold", "id": "ours"}\n')
    with spool.database.begin() as connection:
        change_target(
            spool.database, connection, "cold", None, actor=ACTOR, columns={"identity": "ours"}
        )
    os.rename(tmp_path / "cold", tmp_path / "elsewhere")
    spool.clock.advance(DAY)
    assert spool.fixity.turn("cold") == 0
    assert spool.copies() == ["verified"]
    assert "lost" not in spool.whats(path)


def test_what_one_sick_target_cannot_give_another_one_gives(spool: Spool, tmp_path: Path) -> None:
    three = [named(objects.local(tmp_path / name), name) for name in ("one", "two", "three")]
    spool.declare(*three)
    path = spool.seal(1)
    for each in three:
        spool.shipping.turn(each.definition.name)
    assert spool.states() == ["released"]
    Directory(tmp_path / "three").remove(name_of(path))
    spool.clock.advance(DAY)
    spool.fixity.turn("three")
    spool.breaker("one", TargetEvent.TRIP)
    spool.fixity.turn("one")
    assert not path.exists()
    spool.fixity.turn("two")
    assert path.read_bytes() == content_of(1)
