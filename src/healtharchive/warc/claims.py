"""Digest claims: what a record's header says its bytes hash to, and whether they do."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from healtharchive.warc.payload import Dechunker, http_head
from healtharchive.warc.reader import WarcRecord
from healtharchive.warc.record import ENTITY_DIGEST_FIELD

BLOCK_FIELD = "WARC-Block-Digest"
PAYLOAD_FIELD = "WARC-Payload-Digest"
ALGORITHMS = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")
# Which bytes a field may speak of. WARC-Payload-Digest of a chunked response is the body without
# its chunks by the standard, and the framed body by the habit of most tools.
SUBJECTS = {
    BLOCK_FIELD: ("block",),
    PAYLOAD_FIELD: ("body", "entity"),
    ENTITY_DIGEST_FIELD: ("entity",),
}


class Hash(Protocol):
    """What hashlib's objects have in common."""

    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Claim:
    """One digest field of a record: `value` in hex, base32 or base64."""

    field: str
    algorithm: str
    value: str

    @property
    def known(self) -> bool:
        """Whether we can compute such a digest."""
        return self.algorithm in ALGORITHMS

    def is_met_by(self, digest: bytes) -> bool:
        """Whether `value` is this digest, in any of the three encodings."""
        return digest in _decodings(self.value)


def digest_claims(record: WarcRecord) -> list[Claim]:
    """The digests a record gives of its own bytes.

    A revisit's payload digest speaks of the record it refers to, a segment's of all segments.
    """
    fields = [BLOCK_FIELD]
    if record.record_type != "revisit" and "WARC-Segment-Number" not in record.headers:
        fields += [PAYLOAD_FIELD, ENTITY_DIGEST_FIELD]
    return [_claim(name, value) for name in fields for value in record.headers.all(name)]


def _claim(field: str, text: str) -> Claim:
    algorithm, _, value = text.partition(":")
    return Claim(field, algorithm.strip().lower().replace("-", ""), value.strip())


def broken_claims(record: WarcRecord, claims: list[Claim]) -> list[str]:
    """What is wrong with a record's digests, one sentence each; reads the block once."""
    faults = [f"{each.field} has an unknown algorithm" for each in claims if not each.known]
    known = [each for each in claims if each.known]
    if not known:
        return faults
    hashes = _hash_block(record, known)
    for claim in known:
        found = [hashes[subject, claim.algorithm] for subject in SUBJECTS[claim.field]]
        if not any(claim.is_met_by(each.digest()) for each in found):
            faults.append(f"{claim.field} does not match the bytes")
    return faults


def payload_digest(record: WarcRecord, algorithm: str) -> bytes:
    """The digest of the record's body as it lies in the file, chunks and all."""
    claim = Claim(PAYLOAD_FIELD, algorithm, "")
    return _hash_block(record, [claim])["body", algorithm].digest()


def _hash_block(record: WarcRecord, claims: list[Claim]) -> dict[tuple[str, str], Hash]:
    """Hashes of the block, the body after its HTTP head, and that body without its chunks."""
    hashes: dict[tuple[str, str], Hash] = {
        (subject, claim.algorithm): hashlib.new(claim.algorithm, usedforsecurity=False)
        for claim in claims
        for subject in SUBJECTS[claim.field]
    }
    wanted = {subject for subject, _ in hashes}
    head = http_head(record) if wanted != {"block"} else None
    dechunker = Dechunker() if head and head.chunked and "entity" in wanted else None
    unread = head.size_bytes if head else 0
    for piece in record.block_stream():
        body = piece[unread:]
        unread = max(0, unread - len(piece))
        parts = {"block": piece, "body": body}
        parts["entity"] = dechunker.feed(body) if dechunker else body
        for (subject, _), each in hashes.items():
            each.update(parts[subject])
    return hashes


def _decodings(value: str) -> set[bytes]:
    """The bytes `value` may stand for in hex, base32 and base64, by their lengths at most one."""
    found: set[bytes] = set()
    padded32 = value.upper() + "=" * (-len(value) % 8)
    padded64 = value.replace("-", "+").replace("_", "/") + "=" * (-len(value) % 4)
    for decode, text in (
        (base64.b16decode, value.upper()),
        (base64.b32decode, padded32),
        (partial(base64.b64decode, validate=True), padded64),
    ):
        with contextlib.suppress(ValueError):
            found.add(decode(text))
    return found
