"""The computed ZIP: what Python's zipfile reads of it, any range of it, and files beyond 4 GB."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import random
import zipfile
import zlib
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from healtharchive.search.collection import layout_json, load_layout
from healtharchive.warc.wacz import Entry, Layout, Part, lay_out, literal_entry, totals
from healtharchive.warc.wacz_package import (
    LINES_A_BLOCK,
    About,
    Page,
    index_blocks,
    index_head,
    package,
    package_digest,
    page_lines,
)
from tests.lab.wacz import LayoutFile, bytes_of

MOMENT = datetime(2026, 1, 24, 6, 28, 1, tzinfo=UTC)
GIGABYTE = 1_000_000_000


def entry(name: str, content: bytes, cuts: list[int]) -> Entry:
    """A segment in parts."""
    edges = sorted({0, len(content), *(cut % (len(content) + 1) for cut in cuts)})
    parts = tuple(
        Part(end - start, segment=name, offset=start) for start, end in itertools.pairwise(edges)
    )
    digest = hashlib.sha256(content).hexdigest()
    return Entry(name, parts, len(content), zlib.crc32(content), digest)


files = st.dictionaries(
    st.text(st.characters(codec="utf-8", exclude_characters="\0/\\"), min_size=1, max_size=20),
    st.tuples(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=3)),
    max_size=6,
)


@given(files, st.randoms(use_true_random=False))
def test_zipfile_reads_the_computed_file_and_every_range_of_it_is_right(
    contents: dict[str, tuple[bytes, list[int]]], chance: random.Random
) -> None:
    layout = lay_out([entry(name, *made) for name, made in contents.items()])

    def content(part: Part) -> bytes:
        return contents[part.segment][0][part.offset : part.offset + part.length]

    whole = bytes_of(layout, content, 0, layout.size_bytes)
    assert len(whole) == layout.size_bytes
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert archive.testzip() is None
        for name, (data, _) in contents.items():
            info = archive.getinfo(name)
            assert (info.compress_type, info.date_time) == (0, (1980, 1, 1, 0, 0, 0))
            assert archive.read(name) == data
    for each in layout.entries:
        assert whole[each.start : each.start + each.size_bytes] == contents[each.name][0]
    for _ in range(20):
        start, stop = sorted(chance.randint(0, len(whole)) for _ in range(2))
        assert bytes_of(layout, content, start, stop) == whole[start:stop]
    assert list(layout.between(len(whole), len(whole) + 9)) == []


def sparse(sizes: list[int]) -> Layout:
    """Segments of so many bytes, all zero and nowhere stored."""
    entries = [
        Entry(f"archive/{n}.warc.gz", (Part(size, segment=str(n)),), size, n, f"{n:064}")
        for n, size in enumerate(sizes)
    ]
    return lay_out([*entries, literal_entry("last", b"the end", zlib.crc32(b"the end"))])


def zeros(part: Part) -> bytes:
    return bytes(part.length)


def listed(layout: Layout) -> list[zipfile.ZipInfo]:
    with zipfile.ZipFile(LayoutFile(layout, zeros)) as archive:
        assert archive.read("last") == b"the end"
        return archive.infolist()


def test_more_than_four_gigabytes_need_zip64_and_have_it() -> None:
    for sizes in ([GIGABYTE] * 20, [5 * GIGABYTE], [3 * GIGABYTE, 6 * GIGABYTE, 7]):
        layout = sparse(sizes)
        found = listed(layout)
        assert [each.file_size for each in found] == [*sizes, 7]
        assert layout.size_bytes == found[-1].header_offset + 34 + 7 + tail_bytes(layout)
        for info, placed in zip(found, layout.entries, strict=True):
            header = bytes_of(layout, zeros, info.header_offset, placed.start)
            assert header[:4] == b"PK\3\4"
            assert header[30 : 30 + len(info.filename)] == info.filename.encode()
            wide = info.file_size > 0xFFFFFFFF
            assert len(header) == 30 + len(info.filename) + (20 if wide else 0)


def tail_bytes(layout: Layout) -> int:
    return layout.parts[-1].length


def test_exactly_at_the_edge_of_32_bits_the_sizes_are_still_told_right() -> None:
    for size in (0xFFFFFFFE, 0xFFFFFFFF, 0x100000000):
        (info, _) = listed(sparse([size]))
        assert info.file_size == size
        assert bool(info.extra) is (size >= 0xFFFFFFFF)  # the field itself means "see zip64"


def test_more_entries_than_16_bits_count() -> None:
    assert len(listed(sparse([0] * 65_600))) == 65_601


def test_a_layout_is_kept_and_found_again(tmp_path: Path) -> None:
    directory = tmp_path
    layout = sparse([12, 5 * GIGABYTE])
    (directory / "layout.json").write_bytes(layout_json(layout))
    again = load_layout(directory)
    assert again == layout
    assert again is not None
    assert again.etag == layout.etag
    assert load_layout(directory / "nothing") is None


def test_the_entity_tag_follows_the_content() -> None:
    tags = {sparse(sizes).etag for sizes in ([1, 2], [2, 1], [1, 2, 3])}
    assert len(tags) == 3
    assert sparse([1, 2]).etag in tags


# -- the small files -----------------------------------------------------------------------------


def test_the_index_is_in_members_that_its_idx_points_to() -> None:
    lines = [f"org,example)/{n:06} 2026 {{}}\n".encode() for n in range(2 * LINES_A_BLOCK + 5)]
    members = list(index_blocks(lines))
    packed = b"".join(member for member, _ in members)
    unpacked = []
    for member, line in members:
        key, _, facts = line.partition(b" {")
        said = json.loads(b"{" + facts)
        held = packed[said["offset"] : said["offset"] + said["length"]]
        assert held == member
        assert said["digest"] == f"sha256:{hashlib.sha256(held).hexdigest()}"
        text = zlib.decompress(held, 31)
        assert text.startswith(key + b" {")
        unpacked.append(text)
    assert b"".join(unpacked) == b"".join(lines)
    assert len(members) == 3
    assert index_head() == (b'!meta 0 {"format": "cdxj-gzip-1.0", "filename": "index.cdx.gz"}\n')


def test_the_package_lists_every_file_with_its_digest() -> None:
    entries = [entry("archive/A.warc.gz", b"abc", []), entry("pages/pages.jsonl", b"", [])]
    made = package(About("T", "D", MOMENT, "S 1"), entries)
    facts = json.loads(made)
    assert facts["created"] == "2026-01-24T06:28:01Z"
    assert facts["wacz_version"] == "1.1.1"
    assert facts["resources"][0] == {
        "name": "a.warc.gz",
        "path": "archive/A.warc.gz",
        "hash": f"sha256:{hashlib.sha256(b'abc').hexdigest()}",
        "bytes": 3,
    }
    assert json.loads(package_digest(made))["hash"] == f"sha256:{hashlib.sha256(made).hexdigest()}"


def test_pages_have_what_the_standard_asks_for() -> None:
    pages = [Page("https://x.org/é", MOMENT, "Été\n")]
    head, line = (json.loads(each) for each in page_lines("Pages", pages, "pages"))
    assert head == {"format": "json-pages-1.0", "id": "pages", "title": "Pages"}
    assert (line["url"], line["ts"]) == ("https://x.org/é", "2026-01-24T06:28:01Z")
    assert len(line["id"]) == 24


def test_totals() -> None:
    assert totals([Part(3), Part(4)]) == 7
