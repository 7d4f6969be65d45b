"""Records left out of a segment: what is left, and where the others lie then."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from healtharchive.warc.wacz_holes import holes_of

records = st.lists(st.tuples(st.binary(min_size=1, max_size=20), st.booleans()), max_size=12)


@given(records, st.randoms(use_true_random=False))
def test_what_is_left_holds_every_other_record_where_the_index_says(
    made: list[tuple[bytes, bool]], chance: object
) -> None:
    segment, spans, lines, at = b"", [], [], 0
    for number, (data, left_out) in enumerate(made):
        facts = {"offset": str(at), "length": str(len(data))}
        lines.append(f"org,example)/{number:02} 2026 {json.dumps(facts)}\n".encode())
        if left_out:
            spans.append((at, len(data)))
        segment += data
        at += len(data)
    holes = holes_of(spans[::-1])
    left = b"".join(
        segment[part.offset : part.offset + part.length] for part in holes.parts("s", len(segment))
    )
    assert left == b"".join(data for data, left_out in made if not left_out)
    found = []
    for line in holes.lines(lines):
        facts = json.loads(b"{" + line.partition(b" {")[2])
        start = int(facts["offset"])
        found.append(left[start : start + int(facts["length"])])
    assert found == [data for data, left_out in made if not left_out]


def test_spans_that_overlap_or_touch_are_one_hole() -> None:
    holes = holes_of([(10, 5), (0, 2), (12, 8), (20, 1)])
    assert [(each.offset, each.length) for each in holes.holes] == [(0, 2), (10, 11)]
    assert [holes.moved(at) for at in (0, 1, 2, 9, 10, 20, 21)] == [None, None, 0, 7, None, None, 8]


def test_without_holes_the_segment_is_one_part_and_no_line_is_read_twice() -> None:
    holes = holes_of(())
    (part,) = holes.parts("s", 9)
    assert (part.offset, part.length, part.segment) == (0, 9, "s")
    assert list(holes.lines([b"as it is\n"])) == [b"as it is\n"]
