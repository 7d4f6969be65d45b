"""Verifying against what was written down: what is cut off or gone is seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from healtharchive.warc.inventory import Entry, Inventory
from tests.lab import warcs
from tests.lab.captured import list_segment


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """Two sealed segments and their manifest."""
    for name in ("a.warc.gz", "b.warc.gz"):
        records = warcs.small_site()
        list_segment(warcs.write(tmp_path / name, records), len(records))
    return tmp_path


def problems(directory: Path, sample: int | None = None) -> dict[str, list[str]]:
    """What is wrong, by the file's name."""
    inventory = Inventory()
    inventory.add_directory(directory)
    inventory.look_for_the_missing()
    return {
        report.path.name: [each.reason for each in report.problems]
        for report in inventory.verified(sample_percent=sample, seed=0)
    }


def without_last_record(path: Path) -> None:
    """Cut a file at a record's boundary: what is left is sound by itself."""
    last = warcs.member(warcs.small_site()[-1])
    assert path.read_bytes().endswith(last)
    path.write_bytes(path.read_bytes().removesuffix(last))


def test_what_is_as_it_was_sealed_is_sound(job: Path) -> None:
    assert problems(job) == {"a.warc.gz": [], "b.warc.gz": []}


def test_a_file_cut_at_a_records_end_differs_in_size_digest_and_records(job: Path) -> None:
    without_last_record(job / "b.warc.gz")
    found = problems(job)
    assert found["a.warc.gz"] == []
    size, digest, records = found["b.warc.gz"]
    assert "bytes; manifest.jsonl says" in size
    assert "SHA-256" in digest
    assert records == "it has 10 readable records; manifest.jsonl says 11"


def test_a_sample_is_compared_by_its_size(job: Path) -> None:
    without_last_record(job / "b.warc.gz")
    (size,) = problems(job, sample=50)["b.warc.gz"]
    assert "bytes; manifest.jsonl says" in size


def lose(job: Path) -> None:
    (job / "a.warc.gz").unlink()


def garble(job: Path) -> None:
    (job / "manifest.jsonl").write_text("{torn")


def add(job: Path) -> None:
    warcs.write(job / "c.warc.gz", warcs.small_site())


@pytest.mark.parametrize(
    ("harm", "name", "said"),
    [
        (lose, "a.warc.gz", ["manifest.jsonl has it, but it is gone"]),
        (garble, "manifest.jsonl", ["line 1 cannot be read"]),
        (add, "c.warc.gz", ["manifest.jsonl does not list it"]),
    ],
)
def test_what_manifest_and_directory_disagree_on_is_named(
    job: Path, harm: Callable[[Path], None], name: str, said: list[str]
) -> None:
    harm(job)
    assert problems(job)[name] == said


def test_the_database_knows_what_manifest_and_file_have_lost(job: Path) -> None:
    inventory = Inventory()
    inventory.add_entries(
        Entry(job / name, 1, "", 1, "the database") for name in ("gone.warc.gz", "away.warc.gz")
    )
    inventory.look_for_the_missing(released=[job / "away.warc.gz"])
    (report,) = inventory.verified(sample_percent=None, seed=0)
    assert report.path.name == "gone.warc.gz"
    assert report.problems[0].reason == "the database has it, but it is gone"
