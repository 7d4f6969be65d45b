"""Segments as the crawl writes them, of exchanges that never went over a wire."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from healtharchive.crawl.exchange import Exchange, SpooledBody
from healtharchive.crawl.frontier import Frontier
from healtharchive.crawl.recorder import Recorder
from healtharchive.warc.record import dns_record, warcinfo
from healtharchive.warc.salvage import Span
from healtharchive.warc.segment import OpenSegment
from tests.lab.warcs import in_chunks

MOMENT = datetime(2026, 11, 23, 10, 11, 12, 345678, tzinfo=UTC)
NAME = "hc-annual-2026-job1-a1-00001.warc.gz"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a made-up server sent for a path; `framed` is the body as it went over the wire."""

    path: str
    body: bytes
    chunked: bool = False
    truncated: str = ""
    tls: str = ""
    coding: str = ""

    @property
    def url(self) -> str:
        return f"https://example.org{self.path}"

    @property
    def framed(self) -> bytes:
        return in_chunks(self.body) if self.chunked else self.body

    @property
    def head(self) -> bytes:
        framing = (
            "Transfer-Encoding: chunked" if self.chunked else f"Content-Length: {len(self.body)}"
        )
        coding = f"Content-Encoding: {self.coding}\r\n" if self.coding else ""
        return f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{coding}{framing}\r\n\r\n".encode()

    def exchange(self, directory: Path, number: int) -> Exchange:
        """The exchange that the transport would have made of it."""
        body = SpooledBody(directory)
        body.write(self.framed)
        return Exchange(
            url=self.url,
            request=f"GET {self.path} HTTP/1.1\r\nHost: example.org\r\n\r\n".encode(),
            response_head=self.head,
            body=body,
            status=200,
            headers=(("Content-Type", "text/html"),),
            chunked=self.chunked,
            entity_digest=hashlib.sha256(self.body).hexdigest(),
            entity_bytes=len(self.body),
            block_digest=hashlib.sha256(self.head + self.framed).hexdigest(),
            ip="127.0.0.1",
            tls=self.tls,
            cipher="TLS_AES_256_GCM_SHA384" if self.tls else "",
            started_at=MOMENT + timedelta(seconds=number),
            elapsed_seconds=0.1,
            truncated=self.truncated,
        )


@dataclass(frozen=True, slots=True)
class Recording:
    """A segment, its spans (warcinfo, dns, then one an answer), and what it records."""

    path: Path
    spans: tuple[Span, ...]
    records: int


def record(directory: Path, answers: Sequence[Answer], *, sealed: bool = True) -> Recording:
    """Write a segment of these answers with the crawl's own recorder."""
    segment = OpenSegment(directory, NAME)
    info = warcinfo(
        NAME, MOMENT, [("software", "healtharchive"), ("format", "WARC File Format 1.1")]
    )
    dns = dns_record("example.org", ["127.0.0.1", "::1"], 60, MOMENT)
    places = [(*segment.append([each], 1), 1) for each in (info, dns)]
    with closing(Frontier(directory / "frontier.sqlite", 1)) as frontier:
        recorder = Recorder(frontier, None)
        for number, answer in enumerate(answers):
            pieces, capture = recorder.records(1, answer.exchange(directory, number))
            places.append((*segment.append(pieces, capture.records), capture.records))
    segment.sync()
    if sealed:
        segment.publish()
    segment.close()
    spans = tuple(Span(number, *place) for number, place in enumerate(places))
    path = segment.final_path if sealed else segment.open_path
    return Recording(path, spans, segment.records)
