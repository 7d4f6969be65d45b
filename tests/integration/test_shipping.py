"""Shipping to a directory, an sshfs mount, an sshd and an S3 server: the same for each."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest

from healtharchive.model.shipments import (
    CheckOrder,
    Expected,
    FetchOrder,
    InspectOrder,
    ListOrder,
    Parcel,
    Receipt,
    ShipOrder,
    ShipReport,
    TargetOrder,
    Wanted,
)
from healtharchive.model.target import Verdict
from healtharchive.storage import __main__ as storage_child
from healtharchive.storage.fixity import check_one, fetch_one
from healtharchive.storage.identity import FILE_NAME
from healtharchive.storage.manifest import listings, note
from healtharchive.storage.places import Entry, Place, digest, place_for
from healtharchive.storage.refusals import Differs, LocalTrouble, Occupied
from healtharchive.storage.shipping import Tell, ship_one
from healtharchive.storage.throttle import Throttle
from tests.lab import objects
from tests.lab.objects import Target, obeyed, parcel
from tests.unit.test_places import FakeTime

BIG_BYTES = 12_000_000  # three parts of a multipart upload
JOB = "hc/hc-2026-job1/warcs"


class Cut(Exception):
    """The shipping ends here."""


@pytest.fixture(scope="module", params=objects.KINDS)
def target(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    with objects.target(request.param, tmp_path_factory.mktemp("targets")) as made:
        yield made


@pytest.fixture
def place(target: Target) -> Iterator[Place]:
    with contextlib.closing(place_for(target.definition, target.environ)) as made:
        for name in target.files.names():
            target.files.remove(name)
        yield made


def nothing(*_: object) -> None:
    """Neither waits nor tells."""


def ship(place: Place, segment: Parcel, tell: Tell = nothing) -> Receipt:
    return ship_one(place, segment, throttle=nothing, tell=tell)


@dataclass
class CutAfter:
    """A throttle that ends the shipping once so many bytes have gone."""

    left_bytes: int

    def __call__(self, size_bytes: int) -> None:
        self.left_bytes -= size_bytes
        if self.left_bytes < 0:
            raise Cut


def cut_after(place: Place, segment: Parcel, size_bytes: int) -> None:
    with pytest.raises(Cut):
        ship_one(place, segment, throttle=CutAfter(size_bytes), tell=nothing)


def flipped(content: bytes | None, at: int = 1234) -> bytes:
    assert content is not None
    changed = bytearray(content)
    changed[at] ^= 1
    return bytes(changed)


def test_a_small_file_is_replaced_read_in_ranges_listed_and_removed(place: Place) -> None:
    assert place.size("a/b/facts.json") is None
    assert place.entries("a/b") == []
    place.replace("a/b/facts.json", b"0123")
    place.replace("a/b/facts.json", b"0123456789")
    assert place.size("a/b/facts.json") == 10
    assert b"".join(place.read("a/b/facts.json")) == b"0123456789"
    assert b"".join(place.read("a/b/facts.json", 3, 4)) == b"3456"
    assert b"".join(place.read("a/b/facts.json", 8, 100)) == b"89"
    assert place.entries("a/b") == [Entry("facts.json", False, 10)]
    assert [(e.name, e.is_directory) for e in place.entries("a")] == [("b", True)]
    place.remove("a/b/facts.json")
    place.remove("a/b/facts.json")
    assert place.size("a/b/facts.json") is None
    with pytest.raises(FileNotFoundError):
        b"".join(place.read("a/b/facts.json"))


# -- shipping -------------------------------------------------------------------------------


def test_a_segment_arrives_whole_with_its_manifest_line_and_its_jobs_facts(
    place: Place, target: Target, tmp_path: Path
) -> None:
    segment = parcel(tmp_path, f"{JOB}/a.warc.gz", BIG_BYTES, campaign="2026")
    receipt = ship(place, segment)
    local = Path(segment.path).read_bytes()
    assert target.files.get(segment.name) == local
    assert hashlib.sha256(local).hexdigest() == segment.sha256 == receipt.sha256
    assert (receipt.already_there, receipt.sent_bytes) == (False, BIG_BYTES)
    line = json.loads(target.files.get(f"{JOB}/manifest.jsonl") or b"")
    assert line == {
        "name": "a.warc.gz",
        "size_bytes": BIG_BYTES,
        "sha256": segment.sha256,
        "records": 7,
        "sealed_at": "2026-01-24T06:28:02+00:00",
        "fence": 3,
    }
    assert json.loads(target.files.get(f"{JOB}/job.json") or b"") == {"campaign": "2026"}
    names = [f"{JOB}/{name}" for name in ("a.warc.gz", "job.json", "manifest.jsonl")]
    assert target.files.names() == names


def test_what_is_there_already_is_read_and_not_sent_again(place: Place, tmp_path: Path) -> None:
    segment = parcel(tmp_path, f"{JOB}/a.warc.gz")
    ship(place, segment)
    again = ship(place, segment)
    assert (again.already_there, again.sent_bytes) == (True, 0)
    assert (again.sha256, again.size_bytes) == (segment.sha256, segment.size_bytes)


def test_an_empty_file_is_shipped_too(place: Place, target: Target, tmp_path: Path) -> None:
    segment = parcel(tmp_path, f"{JOB}/empty.warc.gz", 0)
    ship(place, segment)
    assert target.files.get(segment.name) == b""


def test_the_manifest_is_sorted_complete_and_unchanged_by_shipping_again(
    place: Place, target: Target, tmp_path: Path
) -> None:
    segments = [
        parcel(tmp_path, f"{JOB}/{name}.warc.gz", 1000 + seed, seed, state="running")
        for seed, name in enumerate("cab")
    ]
    for segment in segments:
        ship(place, segment)
    first = target.files.get(f"{JOB}/manifest.jsonl")
    lines = [json.loads(line) for line in (first or b"").splitlines()]
    assert [line["name"] for line in lines] == ["a.warc.gz", "b.warc.gz", "c.warc.gz"]
    for segment in segments:
        ship(place, segment)
    assert target.files.get(f"{JOB}/manifest.jsonl") == first
    note(place, replace(segments[0], facts={"state": "complete"}))
    assert json.loads(target.files.get(f"{JOB}/job.json") or b"") == {"state": "complete"}


def test_a_damaged_manifest_is_kept_beside_and_written_anew(
    place: Place, target: Target, tmp_path: Path
) -> None:
    ship(place, parcel(tmp_path, f"{JOB}/a.warc.gz", 1000))
    damaged = (target.files.get(f"{JOB}/manifest.jsonl") or b"") + b'{"name": "b.warc'
    target.files.put(f"{JOB}/manifest.jsonl", damaged)
    ship(place, parcel(tmp_path, f"{JOB}/c.warc.gz", 1000))
    (listing,) = listings(place)
    assert [line["name"] for line in listing.lines] == ["a.warc.gz", "c.warc.gz"]
    assert target.files.get(f"{JOB}/manifest.jsonl.damaged") == damaged


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_row_13_a_push_cut_at_any_byte_is_resumed_and_never_visible(
    place: Place, target: Target, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    segment = parcel(tmp_path, f"{JOB}/cut.warc.gz", BIG_BYTES, seed)
    whole = Path(segment.path).read_bytes()
    for cut in sorted(chance.randrange(BIG_BYTES) for _ in range(3)):
        cut_after(place, segment, cut)
        # Whole it may be: what a resumed push saves can take the cut to the reading back.
        assert target.files.get(segment.name) in (None, whole), f"seed {seed}, cut at {cut}"
    ship(place, segment)
    assert target.files.get(segment.name) == whole
    assert not [name for name in target.files.names() if ".part" in name]


def test_row_13_a_cut_push_goes_on_where_it_was(place: Place, tmp_path: Path) -> None:
    segment = parcel(tmp_path, f"{JOB}/resumed.warc.gz", BIG_BYTES)
    cut_after(place, segment, 11_000_000)
    receipt = ship(place, segment)
    assert 9_000_000 < receipt.resumed_at_bytes < BIG_BYTES


def test_row_13_a_partial_of_other_bytes_is_begun_anew(
    place: Place, target: Target, tmp_path: Path
) -> None:
    cut_after(place, parcel(tmp_path, f"{JOB}/other.warc.gz", BIG_BYTES, seed=1), 11_000_000)
    segment = parcel(tmp_path, f"{JOB}/other.warc.gz", BIG_BYTES, seed=2)
    assert ship(place, segment).resumed_at_bytes == 0
    assert target.files.get(segment.name) == Path(segment.path).read_bytes()


@pytest.mark.parametrize("damage", ["wrong", "short"])
def test_row_14_silently_changed_bytes_are_found_removed_and_sent_again(
    place: Place, target: Target, tmp_path: Path, damage: str
) -> None:
    segment = parcel(tmp_path, f"{JOB}/changed.warc.gz", BIG_BYTES)
    local = Path(segment.path).read_bytes()

    def spoil(step: str, _: int) -> None:
        if step == "published":
            target.files.put(segment.name, flipped(local) if damage == "wrong" else local[:-1])

    with pytest.raises(Differs, match=segment.sha256):
        ship(place, segment, tell=spoil)
    assert segment.name not in target.files.names()
    assert f"{JOB}/manifest.jsonl" not in target.files.names()
    assert Path(segment.path).read_bytes() == local
    assert not ship(place, segment).already_there
    assert target.files.get(segment.name) == local


def test_row_15_a_rename_whose_answer_was_lost_is_recognised(
    place: Place, target: Target, tmp_path: Path
) -> None:
    segment = parcel(tmp_path, f"{JOB}/renamed.warc.gz", BIG_BYTES)

    def lose(step: str, _: int) -> None:
        if step == "published":
            raise Cut

    with pytest.raises(Cut):
        ship(place, segment, tell=lose)
    receipt = ship(place, segment)
    assert (receipt.already_there, receipt.sent_bytes) == (True, 0)
    assert segment.sha256.encode() in (target.files.get(f"{JOB}/manifest.jsonl") or b"")


def test_a_bad_file_under_the_final_name_gives_way_to_the_good_one(
    place: Place, target: Target, tmp_path: Path
) -> None:
    segment = parcel(tmp_path, f"{JOB}/a.warc.gz")
    ship(place, segment)
    target.files.put(segment.name, flipped(target.files.get(segment.name)))
    assert not ship(place, segment).already_there
    assert target.files.get(segment.name) == Path(segment.path).read_bytes()


def test_another_archives_verified_file_is_left_alone(
    place: Place, target: Target, tmp_path: Path
) -> None:
    theirs = parcel(tmp_path, f"{JOB}/a.warc.gz", seed=1)
    ship(place, theirs)
    with pytest.raises(Occupied):
        ship(place, parcel(tmp_path, f"{JOB}/a.warc.gz", seed=2))
    assert target.files.get(theirs.name) == Path(theirs.path).read_bytes()


def test_a_local_file_that_changed_since_its_seal_is_not_published(
    place: Place, target: Target, tmp_path: Path
) -> None:
    segment = parcel(tmp_path, f"{JOB}/a.warc.gz")
    for damage in (flipped(Path(segment.path).read_bytes()), b"short"):
        Path(segment.path).write_bytes(damage)
        with pytest.raises(LocalTrouble):
            ship(place, segment)
    Path(segment.path).unlink()
    with pytest.raises(LocalTrouble):
        ship(place, segment)
    assert target.files.names() == []


def test_the_bandwidth_limit_counts_what_is_sent_and_what_is_read_back(
    place: Place, tmp_path: Path
) -> None:
    segment = parcel(tmp_path, f"{JOB}/slow.warc.gz", 5_000_000)
    time = FakeTime()
    throttle = Throttle(1_000_000, time.monotonic, time.sleep)
    ship_one(place, segment, throttle=throttle, tell=nothing)
    assert time.slept == pytest.approx(10.0)


def test_row_17_a_check_names_one_flipped_bit_and_a_missing_file(
    place: Place, target: Target, tmp_path: Path
) -> None:
    segments = [parcel(tmp_path, f"{JOB}/{n}.warc.gz", seed=s) for s, n in enumerate("abcd")]
    for segment in segments:
        ship(place, segment)
    target.files.put(segments[1].name, flipped(target.files.get(segments[1].name)))
    target.files.remove(segments[2].name)
    target.files.put(segments[3].name, b"short")
    expected = [Expected(each.name, each.size_bytes, each.sha256) for each in segments]
    found = [check_one(place, each, nothing)[0] for each in expected]
    assert found == ["good", "differs", "gone", "differs"]


def test_row_17_a_file_is_fetched_back_and_a_bad_one_is_not(
    place: Place, target: Target, tmp_path: Path
) -> None:
    segment = parcel(tmp_path, f"{JOB}/a.warc.gz", BIG_BYTES)
    ship(place, segment)
    destination = tmp_path / "restored" / "a.warc.gz"
    wanted = Wanted(segment.name, segment.size_bytes, segment.sha256, str(destination))
    fetch_one(place, wanted, nothing)
    assert destination.read_bytes() == Path(segment.path).read_bytes()
    target.files.put(segment.name, flipped(target.files.get(segment.name)))
    with pytest.raises(Differs):
        fetch_one(place, wanted, nothing)
    assert destination.read_bytes() == Path(segment.path).read_bytes()
    assert list(destination.parent.iterdir()) == [destination]
    assert digest(place, segment.name, nothing)[0] != segment.sha256


@pytest.mark.parametrize("target", ["local"], indirect=True)
def test_two_that_fetch_one_file_never_write_to_it_together(
    place: Place, target: Target, tmp_path: Path
) -> None:
    """One target hung and gives after all, while another is asked: both would seem to be right."""
    segment = parcel(tmp_path, f"{JOB}/a.warc.gz", BIG_BYTES)
    ship(place, segment)
    destination = tmp_path / "restored" / "a.warc.gz"
    wanted = Wanted(segment.name, segment.size_bytes, segment.sha256, str(destination))
    destination.parent.mkdir()
    destination.with_name("a.warc.gz.fetch").write_bytes(b"left by one that was killed")
    refused = []

    def meanwhile(_: int) -> None:
        if not refused:
            refused.append(True)
            with pytest.raises(LocalTrouble, match="unavailable"):
                fetch_one(place, wanted, nothing)
            assert not destination.exists()

    fetch_one(place, wanted, meanwhile)
    assert refused
    assert destination.read_bytes() == Path(segment.path).read_bytes()
    assert list(destination.parent.iterdir()) == [destination]


def test_a_file_that_may_not_be_read_keeps_no_other_from_being_read(tmp_path: Path) -> None:
    class Owned:
        def size(self, name: str) -> int:
            if name == "a":
                raise PermissionError(errno.EACCES, "Permission denied", name)
            return 1

    wanted = CheckOrder(tuple(Expected(name, 9, "0" * 64) for name in "abc"))
    order = TargetOrder(objects.local(tmp_path).definition, wanted, "")
    said: list[ShipReport] = []
    place = cast(Place, Owned())
    storage_child._check(place, order, wanted, nothing, said.append)
    found = [(each.kind, each.name) for each in said if each.kind != "shipped"]
    assert found == [("failed", "a"), ("checked", "b"), ("checked", "c")]


def test_a_child_ships_checks_fetches_and_lists(
    place: Place, target: Target, tmp_path: Path
) -> None:
    log = tmp_path / "child.log"
    segments = [
        parcel(tmp_path, f"{source}/job1/warcs/{source}.warc.gz", BIG_BYTES, source=source)
        for source in ("hc", "phac", "cihr")
    ]
    lost, *good = segments
    Path(lost.path).unlink()
    reports = obeyed(TargetOrder(target.definition, ShipOrder(tuple(segments))), target, log)
    assert [r.name for r in reports if r.kind == "verified"] == [s.name for s in good]
    (failed,) = (r for r in reports if r.kind == "failed")
    assert (failed.name, failed.side, failed.errno) == (lost.name, "local", 2)
    assert reports[-1].outcome == "complete"

    target.files.remove(good[0].name)
    expected = tuple(Expected(s.name, s.size_bytes, s.sha256) for s in good)
    reports = obeyed(TargetOrder(target.definition, CheckOrder(expected)), target, log)
    found = [(r.name, r.finding) for r in reports if r.kind == "checked"]
    assert found == [(good[0].name, "gone"), (good[1].name, "good")]

    wanted = tuple(
        Wanted(s.name, s.size_bytes, s.sha256, str(tmp_path / "back" / s.sha256)) for s in good
    )
    reports = obeyed(TargetOrder(target.definition, FetchOrder(wanted)), target, log)
    assert [(r.kind, r.name) for r in reports if r.kind in ("failed", "fetched")] == [
        ("failed", good[0].name),
        ("fetched", good[1].name),
    ]
    assert (tmp_path / "back" / good[1].sha256).read_bytes() == Path(good[1].path).read_bytes()

    reports = obeyed(TargetOrder(target.definition, ListOrder()), target, log)
    found_listings = [r.listing for r in reports if r.listing is not None]
    assert [each.directory for each in found_listings] == ["cihr/job1/warcs", "phac/job1/warcs"]
    assert found_listings[0].facts == {"source": "cihr"}
    assert found_listings[0].lines[0]["sha256"] == good[1].sha256
    assert found_listings[0].sizes_bytes["cihr.warc.gz"] == BIG_BYTES


def test_a_childs_inspection_knows_the_target_by_its_identity(
    place: Place, target: Target, tmp_path: Path
) -> None:
    def look(identity: str, adopt: bool = False) -> tuple[Verdict, str]:
        order = TargetOrder(target.definition, InspectOrder(adopt), identity)
        reports = obeyed(order, target, tmp_path / "child.log")
        assert reports[-1].outcome == "complete"
        (found,) = (r.inspection for r in reports if r.inspection is not None)
        return found.verdict, found.identity

    assert look("") == (Verdict.HEALTHY, "")
    assert look("aa11") == (Verdict.WRONG_MOUNT, "")
    assert target.files.names() == []
    assert look("aa11", adopt=True) == (Verdict.HEALTHY, "aa11")
    assert look("aa11") == (Verdict.HEALTHY, "aa11")
    assert look("bb22", adopt=True) == (Verdict.WRONG_MOUNT, "aa11")
    assert target.files.names() == [FILE_NAME]


def test_row_05_a_child_writes_nothing_to_a_target_with_another_identity(
    place: Place, target: Target, tmp_path: Path
) -> None:
    segment = parcel(tmp_path, f"{JOB}/a.warc.gz")
    order = TargetOrder(target.definition, ShipOrder((segment,)), identity="aa11")
    (end,) = obeyed(order, target, tmp_path / "child.log")
    assert (end.outcome, end.blame, end.side) == ("infra", "target", "target")
    assert target.files.names() == []
