"""What the retention reconciler plans, and the files that rows become."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from healtharchive.model.errors import SetupError
from healtharchive.model.retention import Month
from healtharchive.steward.retention import Due, Observed, cutoff_of, plan
from healtharchive.steward.retired_files import add, alone, digest_of, digests_in, line_of

NOW = datetime(2026, 1, 24, 6, 17, tzinfo=UTC)


def test_only_whole_months_go() -> None:
    assert cutoff_of(NOW, 730.0) == datetime(2024, 1, 1, tzinfo=UTC)
    assert cutoff_of(datetime(2026, 1, 30, 23, 59, tzinfo=UTC), 30.0).month == 12


@pytest.mark.parametrize(("text", "end"), [("2024-12", (2025, 1)), ("2024-02", (2024, 3))])
def test_a_month_ends_where_the_next_one_begins(text: str, end: tuple[int, int]) -> None:
    month = Month.named(text)
    assert str(month) == text
    assert (month.end.year, month.end.month, month.end.day) == (*end, 1)
    assert Month.of(month.end - timedelta(microseconds=1)) == month


def test_each_month_of_a_kind_is_a_step_with_its_file() -> None:
    (step,) = plan(Observed(NOW, (Due("events", Month(2024, 3), 7),)), Path("/s"))
    assert step.subject_id == "events-2024-03"
    assert step.evidence == {"rows": 7, "file": "/s/retired/events-2024-03.jsonl.gz"}
    assert "7 events of 2024-03" in step.sentence


def test_a_line_is_added_once_and_every_gzip_program_reads_all(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    rows = [{"id": n, "at": NOW, "why": "\N{LATIN SMALL LETTER E WITH ACUTE}\n"} for n in range(5)]
    lines = [line_of(each) for each in rows]
    assert add(path, lines[:3]) == 3
    assert add(path, lines) == 2
    before = path.read_bytes()
    assert add(path, lines) == 0
    assert path.read_bytes() == before
    assert gzip.decompress(before).splitlines(keepends=True) == lines
    assert set(digests_in(path)) == {digest_of(each) for each in lines}
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_what_ends_in_the_midst_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    add(path, [b"one\n"])
    before = path.read_bytes()

    def lines() -> Iterator[bytes]:
        yield b"two\n"
        raise SetupError("the database is gone")

    with pytest.raises(SetupError):
        add(path, lines())
    assert path.read_bytes() == before
    assert add(path, [b"two\n"]) == 1


@pytest.mark.parametrize("cut", [1, 12, 40])
def test_a_cut_file_is_refused_with_its_name(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.jsonl.gz"
    add(path, [b"%d\n" % number for number in range(100)])
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(SetupError, match="is damaged"):
        add(path, [b"more\n"])


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with alone(tmp_path / "r") as first, alone(tmp_path / "r") as second:
        assert (first, second) == (True, False)
    with alone(tmp_path / "r") as again:
        assert again
