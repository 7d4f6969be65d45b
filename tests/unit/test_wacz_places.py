"""A table of places gives every stretch of the file that its records make up."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healtharchive.warc.wacz import Part
from healtharchive.warc.wacz_places import (
    PlacesWriter,
    records_between,
    size_of_all,
    spans_of,
)

SEGMENTS = {"a": bytes(range(256)) * 3, "b": bytes(reversed(range(256))) * 3}
RECORDS = st.lists(
    st.tuples(st.sampled_from(sorted(SEGMENTS)), st.integers(0, 600), st.integers(1, 100)),
    min_size=1,
    max_size=30,
)
Record = tuple[str, int, int]


def written(path: Path, records: list[Record]) -> bytes:
    """What the records come to, whose table is written."""
    with path.open("wb") as stream:
        writer = PlacesWriter(stream)
        for record in records:
            writer.add(*record)
        writer.end()
    return b"".join(SEGMENTS[name][at : at + length] for name, at, length in records)


def content(part: Part) -> bytes:
    return SEGMENTS[part.segment][part.offset : part.offset + part.length]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("places") / "originals.places"


@given(RECORDS, st.integers(0, 3000), st.integers(0, 3000))
def test_every_stretch_is_found(table: Path, records: list[Record], start: int, stop: int) -> None:
    whole = written(table, records)
    assert size_of_all(table) == len(whole)
    found = b"".join(content(part) for part in records_between(table, start, stop))
    assert found == whole[start:stop]


@given(RECORDS, st.integers(1, 400))
def test_what_is_read_at_once_is_bounded_and_holds_what_is_wanted(
    records: list[Record], most_bytes: int
) -> None:
    parts = [Part(length, segment=name, offset=at) for name, at, length in records]
    spans = list(spans_of(parts, most_bytes))
    assert [part for span in spans for part in span.parts] == parts
    for span in spans:
        assert len(span.parts) == 1 or span.whole.length <= most_bytes
        for part in span.parts:
            start = part.offset - span.whole.offset
            assert start >= 0
            assert content(span.whole)[start : start + part.length] == content(part)


def test_neighbours_are_read_together_and_others_not() -> None:
    near = [Part(10, segment="a", offset=at) for at in (0, 10, 60_000)]
    far = [Part(10, segment="a", offset=200_000), Part(10, segment="b", offset=200_010)]
    assert [len(span.parts) for span in spans_of([*near, *far], 4 << 20)] == [3, 1, 1]


@pytest.mark.parametrize("left", [0, 7, 8, 30, 57])
def test_a_table_that_is_cut_short_is_not_whole(table: Path, left: int) -> None:
    written(table, [("a", 0, 10), ("b", 5, 20)])
    data = table.read_bytes()
    assert left < len(data)
    table.write_bytes(data[:left])
    with pytest.raises(ValueError, match=r"\S"):
        size_of_all(table)
