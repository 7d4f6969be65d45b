"""Building WARC 1.1 records: header fields, and the gzip member around each record."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from datetime import datetime

from isal import isal_zlib

from healtharchive.warc.digest import label, sha256_hex

# isal level 2: ten times less CPU than zlib 6 for a fifth more bytes (anchors/libraries.md).
GZIP_LEVEL = 2
GZIP_WBITS = 31
RECORD_END = b"\r\n\r\n"
REVISIT_PROFILE = "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"
# The digest of the de-chunked body of a chunked response. WARC 1.1 §5.9 would have it in
# WARC-Payload-Digest, but warcio (#74) and FastWARC hash the framed bytes and would call a
# correct value wrong: see docs/decisions/0002-payload-digest-of-chunked-responses.md.
ENTITY_DIGEST_FIELD = "HealthArchive-Payload-Digest"

Fields = list[tuple[str, str]]


def new_record_id() -> str:
    """A fresh WARC-Record-ID value."""
    return f"<urn:uuid:{uuid.uuid4()}>"


def warc_date(moment: datetime) -> str:
    """An aware moment as WARC-Date with microseconds (WARC 1.1 §5.4)."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def header(record_type: str, fields: Fields, length_bytes: int) -> bytes:
    """A record's header block: version line, fields, Content-Length, and the empty line.

    A field value never contains a line break: one that came from outside is flattened.
    """
    lines = [f"WARC/1.1\r\nWARC-Type: {record_type}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in fields]
    lines.append(f"Content-Length: {length_bytes}\r\n\r\n")
    text = "".join(lines)
    if not text.count("\r") == text.count("\n") == len(fields) + 4:
        safe = [(name, " ".join(value.split())) for name, value in fields]
        return header(record_type, safe, length_bytes)
    return text.encode("utf-8", "replace")


def member(head: bytes, block: bytes) -> bytes:
    """One whole small record as one gzip member (WARC 1.1 Annex D)."""
    compressed: bytes = isal_zlib.compress(
        b"".join((head, block, RECORD_END)), GZIP_LEVEL, GZIP_WBITS
    )
    return compressed


def member_stream(head: bytes, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """One record of any size as one gzip member, piece by piece, in constant memory."""
    packer = isal_zlib.compressobj(GZIP_LEVEL, isal_zlib.DEFLATED, GZIP_WBITS)
    yield packer.compress(head)
    for chunk in chunks:
        if piece := packer.compress(chunk):
            yield piece
    yield packer.compress(RECORD_END)
    yield packer.flush()


def warcinfo(filename: str, moment: datetime, facts: Fields) -> bytes:
    """The warcinfo record that opens a segment (WARC 1.1 §6.2), as a gzip member."""
    block = "".join(f"{name}: {' '.join(value.split())}\r\n" for name, value in facts).encode()
    fields: Fields = [
        ("WARC-Record-ID", new_record_id()),
        ("WARC-Date", warc_date(moment)),
        ("WARC-Filename", filename),
        ("WARC-Block-Digest", label(sha256_hex(block))),
        ("Content-Type", "application/warc-fields"),
    ]
    return member(header("warcinfo", fields, len(block)), block)


def dns_record(host: str, addresses: Iterable[str], ttl_seconds: int, moment: datetime) -> bytes:
    """What a host name resolved to, as a `resource` record (RFC 4501 name, text/dns)."""
    lines = [moment.strftime("%Y%m%d%H%M%S")]
    for address in addresses:
        kind = "AAAA" if ":" in address else "A"
        lines.append(f"{host}.\t{ttl_seconds}\tIN\t{kind}\t{address}")
    block = ("\r\n".join(lines) + "\r\n").encode()
    digest = label(sha256_hex(block))
    fields: Fields = [
        ("WARC-Record-ID", new_record_id()),
        ("WARC-Date", warc_date(moment)),
        ("WARC-Target-URI", f"dns:{host}"),
        ("WARC-Block-Digest", digest),
        ("WARC-Payload-Digest", digest),
        ("Content-Type", "text/dns"),
    ]
    return member(header("resource", fields, len(block)), block)
