"""Which records of a WARC file leave a WACZ with the captures that are not shown.

Crawlers write a request before its response or after it, and other records wherever they like. So
what accompanies a capture is found by what the records say of one another, not by their order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from healtharchive.warc.reader import BadRecord, WarcRecord
from healtharchive.warc.wacz_holes import Holes, holes_of

# Of a URL, as others name it: urn:text:, urn:pageinfo: and so on.
OF_A_URL = re.compile(r"^urn:[a-z]+:(?=https?:)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Said:
    """What is needed of a record: its place, its URL, and the ids of its own and of others."""

    offset: int
    length: int
    url: str
    ids: tuple[str, ...]


def left_out(
    records: Iterable[WarcRecord | BadRecord],
    captured: Mapping[int, bool],
    watch: Callable[[int], None] = lambda _: None,
) -> Holes:
    """What is to be cut out of a file. `captured` has each capture's offset: True if not shown.

    With a capture goes every other record that is linked with it, and every one of its URL that is
    linked with no capture that is shown. What cannot be read goes too: nobody knows what it holds.
    """
    cut: list[tuple[int, int]] = []
    hidden: list[_Said] = []
    shown: list[_Said] = []
    others: list[_Said] = []
    for record in records:
        watch(0)
        if isinstance(record, BadRecord):
            cut.append((record.offset, record.length))
        elif record.record_type != "warcinfo":
            kinds = {True: hidden, False: shown, None: others}
            kinds[captured.get(record.offset)].append(_said(record))
    linked = _linked(hidden, others)
    kept = _linked(shown, others)
    urls = {each.url for each in hidden}
    beside = [
        each
        for each in others
        if each.offset in linked or (each.url in urls and each.offset not in kept)
    ]
    return holes_of([*cut, *((each.offset, each.length) for each in (*hidden, *beside))])


def _said(record: WarcRecord) -> _Said:
    about = [*record.headers.all("WARC-Concurrent-To")]
    if record.record_type != "revisit":  # what that refers to is another capture
        about += record.headers.all("WARC-Refers-To")
    url = OF_A_URL.sub("", record.target_uri or "")
    return _Said(record.offset, record.length, url, (record.record_id, *about))


def _linked(captures: Iterable[_Said], others: Iterable[_Said]) -> set[int]:
    """The offsets of the others that are linked with one of the captures, over however many."""
    by_id: dict[str, list[_Said]] = {}
    for each in others:
        for name in each.ids:
            by_id.setdefault(name, []).append(each)
    found: set[int] = set()
    waiting = [name for each in captures for name in each.ids]
    while waiting:
        for each in by_id.pop(waiting.pop(), ()):
            found.add(each.offset)
            waiting += each.ids
    return found
