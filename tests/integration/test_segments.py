"""Segments through death and disk trouble: what was confirmed is whole, the rest comes again."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator
from hypothesis import given, settings
from hypothesis import strategies as st

from healtharchive.crawl.batch import Batch, Capture, FoundUrl, Kind
from healtharchive.crawl.frontier import Frontier
from healtharchive.crawl.segments import Recovery, Segments
from healtharchive.model.blame import classify
from healtharchive.model.errors import LeaseLost
from healtharchive.model.orders import SealedSegment
from healtharchive.warc.digest import sha256_file
from healtharchive.warc.record import dns_record, warcinfo
from healtharchive.warc.segment import OpenSegment, SegmentBroken

NOW = datetime(2026, 1, 24, 6, 28, tzinfo=UTC)
ORIGIN = "https://a.example"


def begin(directory: Path, fence: int = 1, urls: int = 0) -> tuple[Frontier, Segments]:
    frontier = Frontier(directory / "frontier.sqlite", fence)
    found = [FoundUrl(f"{ORIGIN}/{n}", ORIGIN, Kind.PAGE, 1) for n in range(urls)]
    frontier.commit(Batch(found=found))
    return frontier, Segments(frontier, directory / "warcs", "hc-test-job1")


def confirm(frontier: Frontier, segment: OpenSegment, url_ids: list[int]) -> None:
    """Write and commit one small record for each URL."""
    batch = Batch(segment=segment.name)
    for url_id in url_ids:
        record = dns_record(f"host-{url_id}", ["192.0.2.1"], 60, NOW)
        offset, length = segment.append([record], 1)
        digest = f"sha256:{url_id}"
        batch.captures.append(
            Capture("response", offset, length, 1, offset, length, url_id, payload_digest=digest)
        )
    segment.sync()
    frontier.commit(batch)


def records_in(path: Path) -> int:
    with path.open("rb") as stream:
        return sum(1 for _ in ArchiveIterator(stream, verify_digests=True))


def test_a_sealed_segment_is_listed_with_its_true_digest_size_and_count(tmp_path: Path) -> None:
    frontier, segments = begin(tmp_path, urls=3)
    segment = segments.open_next()
    segment.append([warcinfo(segment.name, NOW, [("software", "test")])], 1)
    confirm(frontier, segment, [1, 2, 3])
    sealed = segments.seal(segment, NOW)
    assert sha256_file(Path(sealed.path)) == (sealed.sha256, sealed.size_bytes)
    assert records_in(Path(sealed.path)) == sealed.records == 4
    (line,) = (tmp_path / "warcs/manifest.jsonl").read_text().splitlines()
    assert json.loads(line)["sha256"] == sealed.sha256
    frontier.close()


@settings(max_examples=25, deadline=None)
@given(cut=st.integers(min_value=0, max_value=400), junk=st.binary(max_size=50))
def test_row_21_recovery_keeps_what_was_confirmed_and_requeues_what_was_lost(
    tmp_path_factory: pytest.TempPathFactory, cut: int, junk: bytes
) -> None:
    directory = tmp_path_factory.mktemp("job")
    frontier, segments = begin(directory, urls=6)
    segment = segments.open_next()
    confirm(frontier, segment, [1, 2, 3, 4])
    segment.append([dns_record("torn", ["192.0.2.9"], 60, NOW)], 1)  # never confirmed
    segment.close()
    frontier.close()
    size = segment.open_path.stat().st_size
    os.truncate(segment.open_path, max(0, size - cut))
    with segment.open_path.open("ab") as stream:
        stream.write(junk)

    frontier, segments = begin(directory, fence=2)
    segments.recover(NOW)
    counts = frontier.count()
    assert counts.add_up
    assert counts.found == 6
    kept = sum(records_in(Path(each.path)) for each in segments.sealed())
    assert kept == counts.done
    assert counts.queued == 6 - kept
    assert kept >= 4 - cut // 100
    assert segments.recover(NOW) == []
    assert not list((directory / "warcs").glob("*.open"))
    frontier.close()


def test_row_21_a_crash_between_the_rename_and_the_commit_of_a_seal_loses_nothing(
    tmp_path: Path,
) -> None:
    frontier, segments = begin(tmp_path, urls=2)
    segment = segments.open_next()
    confirm(frontier, segment, [1, 2])
    os.rename(segment.open_path, segment.final_path)
    frontier.close()
    frontier, segments = begin(tmp_path, fence=2)
    (recovery,) = segments.recover(NOW)
    assert recovery.requeued_urls == 0
    (sealed,) = segments.sealed()
    assert sealed.records == 2
    assert sha256_file(segment.final_path)[0] == sealed.sha256
    frontier.close()


def captured(directory: Path, fence: int, url_id: int = 1) -> SealedSegment:
    """One attempt that seals one segment, with the record of one URL."""
    frontier, segments = begin(directory, fence, urls=fence)
    segment = segments.open_next()
    segment.append([warcinfo(segment.name, NOW, [("software", f"attempt {frontier.path}")])], 1)
    confirm(frontier, segment, [url_id])
    sealed = segments.seal(segment, NOW)
    frontier.close()
    return sealed


def test_a_token_that_is_given_twice_replaces_no_file_and_no_name(tmp_path: Path) -> None:
    first = captured(tmp_path, 2)
    (tmp_path / "frontier.sqlite").unlink()  # the machine is lost, and the database restored
    second = captured(tmp_path, 2)
    assert second.name != first.name
    assert sha256_file(Path(first.path))[0] == first.sha256
    Path(second.path).unlink()  # released: its name is in the manifest alone
    (tmp_path / "frontier.sqlite").unlink()
    assert captured(tmp_path, 2).name not in (first.name, second.name)


def listed(directory: Path) -> list[dict[str, object]]:
    """What the manifest says, line by line."""
    lines = (directory / "warcs/manifest.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_a_lost_frontier_takes_no_line_of_the_manifest_along(tmp_path: Path) -> None:
    first, second = captured(tmp_path, 2), captured(tmp_path, 3, url_id=2)
    before = listed(tmp_path)
    assert [each["name"] for each in before] == [first.name, second.name]
    (tmp_path / "frontier.sqlite").unlink()
    frontier, segments = begin(tmp_path, fence=4, urls=3)
    assert listed(tmp_path) == before
    segment = segments.open_next()
    confirm(frontier, segment, [1])
    frontier.close()  # killed: the next attempt's recovery writes the manifest

    frontier, segments = begin(tmp_path, fence=5)
    segments.recover(NOW)
    third = segments.open_next()
    confirm(frontier, third, [2])
    segments.seal(third, NOW)
    names = [each["name"] for each in listed(tmp_path)]
    assert names == [first.name, second.name, segment.name, third.name]
    assert listed(tmp_path)[:2] == before
    for line in listed(tmp_path):
        file = tmp_path / "warcs" / str(line["name"])
        assert sha256_file(file) == (line["sha256"], line["size_bytes"])
    frontier.close()


def no_links(path: Path, final: Path) -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted", str(path))


@pytest.mark.parametrize("links", [True, False])
def test_a_segment_is_never_named_over_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    for name in ("taken.warc.gz", "free.warc.gz"):
        segment = OpenSegment(tmp_path, name)
        segment.append([b"ours"], 1)
        segment.sync()
        if name == "taken.warc.gz":
            segment.final_path.write_bytes(b"the sole copy")
            with pytest.raises(FileExistsError, match="not replaced"):
                segment.publish()
            assert segment.final_path.read_bytes() == b"the sole copy"
            assert segment.open_path.read_bytes() == b"ours"
        else:
            segment.publish()
            assert segment.final_path.read_bytes() == b"ours"
            assert not segment.open_path.exists()
        segment.close()


def test_row_21_a_crash_between_the_two_names_of_a_seal_loses_nothing(tmp_path: Path) -> None:
    frontier, segments = begin(tmp_path, urls=2)
    segment = segments.open_next()
    confirm(frontier, segment, [1, 2])
    os.link(segment.open_path, segment.final_path)
    frontier.close()
    frontier, segments = begin(tmp_path, fence=2)
    (recovery,) = segments.recover(NOW)
    assert recovery == Recovery(segment.name, 2, 0)
    assert [each.name for each in (tmp_path / "warcs").glob("*.warc.gz*")] == [segment.name]
    assert records_in(segment.final_path) == 2
    frontier.close()


@pytest.mark.parametrize("written", [True, False])
def test_a_recovery_replaces_and_removes_no_file_that_is_not_its_own(
    tmp_path: Path, written: bool
) -> None:
    frontier, segments = begin(tmp_path, urls=2)
    segment = segments.open_next()
    confirm(frontier, segment, [1])
    if not written:
        segment.open_path.unlink()
    segment.final_path.write_bytes(b"came back from a target")
    frontier.close()
    frontier, segments = begin(tmp_path, fence=2)
    if written:
        with pytest.raises(FileExistsError, match="not replaced"):
            segments.recover(NOW)
    else:
        assert segments.recover(NOW) == [Recovery(segment.name, 0, 1)]
    assert segment.final_path.read_bytes() == b"came back from a target"
    frontier.close()


def test_a_revisit_of_a_lost_payload_is_captured_again(tmp_path: Path) -> None:
    frontier, segments = begin(tmp_path, urls=2)
    first = segments.open_next()
    confirm(frontier, first, [1])
    second = segments.open_next()
    offset, length = second.append([dns_record("again", ["192.0.2.1"], 60, NOW)], 1)
    second.sync()
    revisit = Capture("revisit", offset, length, 1, offset, length, 2, payload_digest="sha256:1")
    frontier.commit(Batch(segment=second.name, captures=[revisit]))
    frontier.close()
    os.truncate(first.open_path, 10)
    frontier, segments = begin(tmp_path, fence=2)
    segments.recover(NOW)
    assert frontier.count().queued == 2
    assert frontier.count().done == 0
    frontier.close()


def test_a_stale_attempt_cannot_seal(tmp_path: Path) -> None:
    frontier, segments = begin(tmp_path, urls=1)
    segment = segments.open_next()
    confirm(frontier, segment, [1])
    later = Frontier(tmp_path / "frontier.sqlite", 2)
    with pytest.raises(LeaseLost):
        segments.seal(segment, NOW)
    assert not segment.final_path.exists()
    later.close()
    frontier.close()


def test_after_a_failed_write_a_segment_takes_nothing_more(tmp_path: Path) -> None:
    segment = OpenSegment(tmp_path, "x.warc.gz")

    def failing() -> Iterator[bytes]:
        yield b"the beginning of a record"
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        segment.append(failing(), 1)
    for again in (segment.sync, segment.publish, lambda: segment.append([b"x"], 1)):
        with pytest.raises(SegmentBroken) as broken:
            again()
        assert classify(broken.value).errno == 28
    segment.close()
