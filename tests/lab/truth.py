"""The truth about the lab's site, and what in a job's WARC files differs from it.

Nothing of HealthArchive is imported here: the truth comes from what the site declares about
itself, and the WARC files are read with fastwarc and a de-chunker of our own.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType

if TYPE_CHECKING:
    from tests.lab.answers import Page
    from tests.lab.content import Content

TRAP_BUDGET = 1_200  # URLs of the endless parts that a crawl may follow: 500 each, and some
NOT_FOR_ROBOTS = ("/private/", "/excluded/")


@dataclass(frozen=True, slots=True)
class Expected:
    """What an archive holds of one URL: one of these (status, SHA-256 of the entity or None)."""

    answers: frozenset[tuple[int, str | None]]
    required: bool = True
    most: int | None = 1


@dataclass(frozen=True, slots=True)
class Held:
    """One capture that was found in a WARC file."""

    url: str
    status: int
    entity_sha256: str
    kind: str  # response or revisit
    file: str
    offset: int


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which an archive is not what the site served."""

    kind: str  # missing, extra, duplicate, wrong, revisit
    url: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.url} {self.detail}".rstrip()


@dataclass(frozen=True)
class Truth:
    """Every URL that a right crawl of the site captures."""

    base: str
    expected: dict[str, Expected]
    content: Content | None = field(default=None, repr=False)

    @classmethod
    def of(cls, content: Content) -> Truth:
        """Follow the links that the site declares, from its entrance; traps are left aside."""
        expected: dict[str, Expected] = {}
        waiting = ["/", "/robots.txt"] if content.nasty else ["/"]
        waiting += [target for target, page in content.by_target.items() if not page.required]
        if content.nasty:  # what the sitemaps list
            waiting += [target for target in content.by_target if "/leaf/sitemap-" in target]
        seen = set(waiting)
        while waiting:
            target = waiting.pop()
            if target.startswith(NOT_FOR_ROBOTS) or (content.nasty and content.trap(target)):
                continue
            expected[content.base + target] = _expected(content.resolve(target))
            new = [link for link in content.links(target) if link not in seen]
            seen.update(new)
            waiting += new
        return cls(content.base, expected, content)

    @property
    def required(self) -> set[str]:
        """The URLs that must be there."""
        return {url for url, expected in self.expected.items() if expected.required}

    def of_url(self, url: str) -> Expected | None:
        """What is expected of a URL; None when no archive should hold it."""
        if url in self.expected:
            return self.expected[url]
        target = url.removeprefix(self.base)
        page = self.content.trap(target) if self.content and self.content.nasty else None
        return _expected(page) if page and url.startswith(self.base) else None


def _expected(page: Page) -> Expected:
    answers = frozenset((answer.status, answer.entity_sha256) for answer in page.right)
    return Expected(answers, page.required, page.most)


def compare(job_dir: Path, truth: Truth, *, trap_budget: int = TRAP_BUDGET) -> list[Difference]:
    """Every difference between the job's sealed WARC files and the truth; empty when right."""
    return differences(list(read_captures(warc_files(job_dir))), truth, trap_budget=trap_budget)


def differences(
    held: list[Held], truth: Truth, *, trap_budget: int = TRAP_BUDGET
) -> list[Difference]:
    """The same for captures already read."""
    by_url: dict[str, list[Held]] = defaultdict(list)
    for each in held:
        by_url[each.url].append(each)
    found = [Difference("missing", url) for url in sorted(truth.required - by_url.keys())]
    in_traps = 0
    for url, captures in by_url.items():
        expected = truth.of_url(url)
        if expected is None:
            found.append(Difference("extra", url, f"in {captures[0].file}"))
            continue
        in_traps += url not in truth.expected
        found += _differences_of_one(url, captures, expected)
    if in_traps > trap_budget:
        found.append(Difference("extra", truth.base, f"{in_traps} URLs of endless parts"))
    return [*found, *_lonely_revisits(held)]


def _differences_of_one(url: str, captures: list[Held], expected: Expected) -> Iterator[Difference]:
    if expected.most is not None and len(captures) > expected.most:
        where = ", ".join(f"{each.file}@{each.offset}" for each in captures)
        yield Difference("duplicate", url, where)
    any_entity = {status for status, digest in expected.answers if digest is None}
    for each in captures:
        answer = (each.status, each.entity_sha256)
        if answer not in expected.answers and each.status not in any_entity:
            detail = f"{each.status} {each.entity_sha256[:12]} at {each.file}@{each.offset}"
            yield Difference(
                "wrong", url, f"{detail}, expected {sorted(map(str, expected.answers))}"
            )


def _lonely_revisits(held: list[Held]) -> Iterator[Difference]:
    payloads = {each.entity_sha256 for each in held if each.kind == "response"}
    for each in held:
        if each.kind == "revisit" and each.entity_sha256 not in payloads:
            yield Difference("revisit", each.url, "of a payload that no response holds")


def warc_files(job_dir: Path) -> list[Path]:
    """The sealed WARC files of a job, in order."""
    return sorted((job_dir / "warcs").glob("*.warc.gz"))


def read_captures(paths: Iterable[Path]) -> Iterator[Held]:
    """Every captured exchange, as fastwarc reads it."""
    kinds = WarcRecordType.response | WarcRecordType.revisit
    for path in paths:
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream, record_types=kinds, parse_http=False):
                yield _held(record, path)


def _held(record: WarcRecord, path: Path) -> Held:
    block: bytes = record.reader.read()
    head, _, body = block.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    is_revisit = record.record_type == WarcRecordType.revisit
    if is_revisit:
        digest = str(record.headers.get("WARC-Payload-Digest", "")).removeprefix("sha256:")
    else:
        chunked = b"\r\ntransfer-encoding: chunked" in head.lower()
        digest = hashlib.sha256(dechunk(body) if chunked else body).hexdigest()
    return Held(
        url=str(record.headers["WARC-Target-URI"]).strip("<>"),  # wget puts brackets around it
        status=status,
        entity_sha256=digest,
        kind="revisit" if is_revisit else "response",
        file=path.name,
        offset=record.stream_pos,
    )


def dechunk(framed: bytes) -> bytes:
    """The entity of a chunked body; of a cut one, what there is of it."""
    pieces = []
    at = 0
    while (end := framed.find(b"\r\n", at)) >= 0:
        size = int(framed[at:end].split(b";")[0], 16)
        if size == 0:
            break
        pieces.append(framed[end + 2 : end + 2 + size])
        at = end + 2 + size + 2
    return b"".join(pieces)


def count_with_fastwarc(paths: Iterable[Path]) -> Counter[str]:
    """How many records of each type a second reader finds; digests are verified on the way.

    Raises ValueError at a block that does not fit its digest.
    """
    counts: Counter[str] = Counter()
    for path in paths:
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream, parse_http=False):
                if "WARC-Block-Digest" in record.headers and not record.verify_block_digest():
                    raise ValueError(f"{path.name}@{record.stream_pos}: wrong block digest")
                counts[str(record.headers["WARC-Type"])] += 1
    return counts


def miscounts(job_dir: Path, counts: Mapping[str, int]) -> list[str]:
    """Where fastwarc counts otherwise than the job's manifest, file by file, or the job's counts.

    `counts` has the job's `captures`, `revisits` and `done` URLs.
    """
    found = []
    listed = {
        facts["name"]: facts["records"]
        for line in (job_dir / "warcs" / "manifest.jsonl").read_text().splitlines()
        if (facts := json.loads(line))
    }
    by_file = {path.name: count_with_fastwarc([path]) for path in warc_files(job_dir)}
    for name in sorted(listed.keys() | by_file.keys()):
        held = sum(by_file[name].values()) if name in by_file else None
        if held != listed.get(name):
            found.append(f"{name}: {held} records, the manifest says {listed.get(name)}")
    kinds: Counter[str] = sum(by_file.values(), Counter())
    told = {
        "response": counts["captures"],
        "revisit": counts["revisits"],
        "request": counts["done"],
    }
    found += [
        f"{kinds[kind]} {kind} records, the job counts {number}"
        for kind, number in told.items()
        if kinds[kind] != number
    ]
    return found


def warcio_check(paths: Iterable[Path]) -> list[str]:
    """What `warcio check` says is wrong with the files; empty when it finds nothing."""
    from warcio.bufferedreaders import BufferedReader
    from warcio.cli import main

    # warcio #73: it breaks off at `br` with the brotli library. Digests are of the encoded body.
    BufferedReader.DECOMPRESSORS.pop("br", None)
    output = io.StringIO()
    status: object = 0
    with redirect_stdout(output):
        try:
            status = main(["check", *map(str, paths)])
        except SystemExit as ended:
            status = ended.code
    said = output.getvalue().splitlines()
    return said if said or not status else [f"warcio check ended with {status}"]
