"""WARC records made by hand, so that tests do not trust our own writer (nor anyone else's)."""

from __future__ import annotations

import base64
import gzip
import hashlib
import uuid
from collections.abc import Iterable
from pathlib import Path

DATE = "2026-11-23T10:11:12.345678Z"

Fields = tuple[tuple[str, str], ...]


def sha256(data: bytes) -> str:
    """A digest as HealthArchive writes it."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def sha1(data: bytes) -> str:
    """A digest as most other tools write it."""
    return "sha1:" + base64.b32encode(hashlib.sha1(data).digest()).decode()


def record_id(name: str) -> str:
    """The same id for the same name."""
    return f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, name)}>"


def record(record_type: str, block: bytes, fields: Fields = (), *, version: str = "1.1") -> bytes:
    """A record with exactly these fields, Content-Length, and the two line breaks."""
    lines = [f"WARC/{version}", f"WARC-Type: {record_type}"]
    lines += [f"{name}: {value}" for name, value in fields]
    lines.append(f"Content-Length: {len(block)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + block + b"\r\n\r\n"


def http_response(
    body: bytes, *, status: str = "200 OK", mime: str = "text/html", chunked: bool = False
) -> bytes:
    """A response as a server sends it; `body` is what is framed, not yet in chunks."""
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    head = f"HTTP/1.1 {status}\r\nContent-Type: {mime}\r\n{framing}\r\n\r\n"
    return head.encode() + (in_chunks(body) if chunked else body)


def in_chunks(body: bytes, size: int = 100) -> bytes:
    """A body as chunks with an extension and a trailer, as RFC 9112 §7.1 allows."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    framed = b"".join(b"%x;a=b\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return framed + b"0\r\nX-Trailer: 1\r\n\r\n"


def common(name: str, url: str, block: bytes, content_type: str) -> Fields:
    """The fields every record of a capture has."""
    return (
        ("WARC-Record-ID", record_id(name)),
        ("WARC-Date", DATE),
        ("WARC-Target-URI", url),
        ("WARC-Block-Digest", sha256(block)),
        ("Content-Type", content_type),
    )


def exchange(url: str, body: bytes, *, chunked: bool = False) -> list[bytes]:
    """A request and its response, as the crawl writes them."""
    asked = f"GET {url} HTTP/1.1\r\nHost: example.org\r\n\r\n".encode()
    sent = http_response(body, chunked=chunked)
    digest_field = "HealthArchive-Payload-Digest" if chunked else "WARC-Payload-Digest"
    request = (("WARC-Concurrent-To", record_id(f"response {url}")),)
    response = ((digest_field, sha256(body)),)
    return [
        record(
            "request",
            asked,
            common(f"request {url}", url, asked, "application/http; msgtype=request") + request,
        ),
        record(
            "response",
            sent,
            common(f"response {url}", url, sent, "application/http; msgtype=response") + response,
        ),
    ]


def warcinfo() -> bytes:
    """The record that opens a file."""
    block = b"software: by hand\r\n"
    fields = (
        ("WARC-Record-ID", record_id("warcinfo")),
        ("WARC-Date", DATE),
        ("WARC-Block-Digest", sha256(block)),
        ("Content-Type", "application/warc-fields"),
    )
    return record("warcinfo", block, fields)


def revisit(url: str, original: str, body: bytes) -> bytes:
    """A revisit of a capture of `original` whose payload was `body`."""
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
    fields = (
        *common(f"revisit {url}", url, block, "application/http; msgtype=response"),
        ("WARC-Payload-Digest", sha256(body)),
        ("WARC-Profile", "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"),
        ("WARC-Refers-To-Target-URI", original),
        ("WARC-Refers-To-Date", DATE),
    )
    return record("revisit", block, fields)


def small_site(pages: int = 4) -> list[bytes]:
    """The records of a small crawl: warcinfo, dns, exchanges (one of them chunked), a revisit."""
    dns = b"20261123101112\r\nexample.org.\t60\tIN\tA\t127.0.0.1\r\n"
    records = [warcinfo(), record("resource", dns, common("d", "dns:example.org", dns, "text/dns"))]
    for number in range(pages):
        body = f"<p>Page {number} of the site, é</p>".encode() * (20 + number)
        records += exchange(f"http://example.org/{number}", body, chunked=number == 1)
    records.append(revisit("http://example.org/again", "http://example.org/0", body))
    return records


def member(data: bytes, level: int = 6) -> bytes:
    """One gzip member, the same bytes each time."""
    return gzip.compress(data, level, mtime=0)


def write(path: Path, records: Iterable[bytes]) -> Path:
    """Write records to a file: a gzip member each if its name ends with .gz."""
    compressed = path.name.endswith(".gz")
    path.write_bytes(b"".join(member(each) if compressed else each for each in records))
    return path
