"""A place in an S3 bucket. A partial is a multipart upload: nobody sees it until it is complete."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

from healtharchive.storage.places import Entry, Watch, checked, engine, final_name
from healtharchive.storage.refusals import spoken_as_errno

PART_BYTES = 5 << 20  # the least that S3 takes for a part that is not the last
BIG_PART_BYTES = 50 << 20
SMALL_PARTS = 1000  # an upload may have 10,000 parts: bigger ones after these
READ_BYTES = 8 << 20
ATTEMPTS = 2


class S3Place:
    """Objects below one prefix of a bucket.

    Options: `key`, `secret`, `token`, `endpoint_url`, `region_name`; others go to s3fs.
    """

    def __init__(
        self, bucket: str, prefix: str, options: Mapping[str, str], timeout_seconds: float
    ) -> None:
        self._bucket = bucket
        self._prefix = prefix
        own = dict(options)
        client = {key: own.pop(key) for key in ("region_name",) if key in own}
        with spoken_as_errno(bucket):
            library = engine("s3fs")
            self._files = library.S3FileSystem(
                **own,
                client_kwargs=client,
                config_kwargs={
                    "connect_timeout": timeout_seconds,
                    "read_timeout": timeout_seconds,
                    "retries": {"max_attempts": 0},
                    # Servers other than Amazon's often know no trailing checksums.
                    "request_checksum_calculation": "when_required",
                    "response_checksum_validation": "when_required",
                },
                use_listings_cache=False,
                skip_instance_cache=True,
            )
            self._files.retries = ATTEMPTS
            self._sync = engine("fsspec.asyn").sync
            self._timeout_seconds = timeout_seconds

    def size(self, name: str) -> int | None:
        final = final_name(checked(name))
        if final is not None:
            upload = self._upload(final)
            return sum(part["Size"] for part in self._parts(final, upload)) if upload else None
        try:
            return int(self._ask("head_object", name)["ContentLength"])
        except FileNotFoundError:
            return None

    def agreed(self, partial: str, source: BinaryIO, watch: Watch) -> int:
        """Parts cannot be read before the upload is complete: their MD5 is compared (the ETag)."""
        final = _final(partial)
        upload = self._upload(final)
        same = 0
        for number, part in enumerate(self._parts(final, upload) if upload else [], 1):
            source.seek(same)
            ours = source.read(part["Size"])
            watch(0)
            etag = hashlib.md5(ours, usedforsecurity=False).hexdigest()
            is_last = not source.read(1)
            is_whole = part["Size"] == _part_bytes(number) or is_last
            if (part["PartNumber"], part["ETag"].strip('"')) != (number, etag) or not is_whole:
                return 0
            same += len(ours)
        return same

    def write(self, partial: str, pieces: Iterable[bytes], start: int) -> None:
        final = _final(partial)
        if start == 0:
            self.remove(partial)
        upload = self._upload(final) or self._ask("create_multipart_upload", final)["UploadId"]
        number = len(self._parts(final, upload))
        waiting = bytearray()
        for piece in pieces:
            waiting += piece
            while len(waiting) >= _part_bytes(number + 1):
                number += 1
                self._send(final, upload, number, waiting[: _part_bytes(number)])
                del waiting[: _part_bytes(number)]
        if waiting or number == 0:
            self._send(final, upload, number + 1, waiting)

    def publish(self, partial: str, final: str) -> None:
        upload = self._upload(_final(partial))
        if upload is None:
            raise FileNotFoundError(2, "the upload is gone", partial)
        parts = [
            {"PartNumber": part["PartNumber"], "ETag": part["ETag"]}
            for part in self._parts(final, upload)
        ]
        whole = {"Parts": parts}
        self._ask("complete_multipart_upload", final, UploadId=upload, MultipartUpload=whole)

    def read(
        self, name: str, offset: int = 0, length: int | None = None, fresh: bool = False
    ) -> Iterator[bytes]:
        end = self.size(name)
        if end is None:
            raise FileNotFoundError(2, "no such object", name)
        if length is not None:
            end = min(end, offset + length)
        while offset < end:
            stop = min(end, offset + READ_BYTES)
            with spoken_as_errno(name):
                piece: bytes = self._files.cat_file(
                    f"{self._bucket}/{self._key(name)}", start=offset, end=stop
                )
            yield piece
            offset = stop

    def replace(self, name: str, content: bytes) -> None:
        self._ask("put_object", checked(name), Body=content)

    def entries(self, directory: str) -> list[Entry]:
        below = "/".join(filter(None, [self._bucket, self._prefix, directory]))
        try:
            with spoken_as_errno(directory or self._bucket):
                found = self._files.ls(below, detail=True, refresh=True)
        except FileNotFoundError:
            return []
        entries = [
            Entry(
                each["name"].rpartition("/")[2], each["type"] == "directory", each.get("size") or 0
            )
            for each in found
            if each["name"] != below
        ]
        return sorted(entries, key=lambda entry: entry.name)

    def remove(self, name: str) -> None:
        final = final_name(checked(name))
        if final is None:
            self._ask("delete_object", name)
            return
        for upload in self._uploads(final):
            with contextlib.suppress(FileNotFoundError):
                self._ask("abort_multipart_upload", final, UploadId=upload)

    def space(self) -> tuple[int, int]:
        return 0, 0

    def close(self) -> None:
        if self._files._s3 is not None:
            self._files.close_session(self._files.loop, self._files._s3)

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{checked(name)}" if self._prefix else checked(name)

    def _ask(self, operation: str, name: str, **arguments: Any) -> Any:
        return self._call(operation, name, Key=self._key(name), **arguments)

    def _call(self, operation: str, name: str, **arguments: Any) -> Any:
        """One request. The library's time-outs do not see a server that stops taking bytes."""
        parts = max(1.0, len(arguments.get("Body", b"")) / PART_BYTES)
        limit_seconds = ATTEMPTS * self._timeout_seconds * parts
        with spoken_as_errno(name):
            return self._sync(
                self._files.loop,
                self._files._call_s3,
                operation,
                timeout=limit_seconds,
                Bucket=self._bucket,
                **arguments,
            )

    def _send(self, final: str, upload: str, number: int, body: bytearray) -> None:
        self._ask("upload_part", final, UploadId=upload, PartNumber=number, Body=bytes(body))

    def _uploads(self, final: str) -> list[str]:
        """The uploads for an object that were begun and not completed, oldest first."""
        key = self._key(final)
        answer = self._call("list_multipart_uploads", final, Prefix=key)
        begun = [each for each in answer.get("Uploads", []) if each["Key"] == key]
        return [each["UploadId"] for each in sorted(begun, key=lambda each: each["Initiated"])]

    def _upload(self, final: str) -> str | None:
        uploads = self._uploads(final)
        return uploads[-1] if uploads else None

    def _parts(self, final: str, upload: str) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = []
        marker = 0
        while True:
            answer = self._ask("list_parts", final, UploadId=upload, PartNumberMarker=marker)
            parts += answer.get("Parts", [])
            if not answer.get("IsTruncated"):
                return parts
            marker = answer["NextPartNumberMarker"]


def _part_bytes(number: int) -> int:
    return PART_BYTES if number <= SMALL_PARTS else BIG_PART_BYTES


def _final(partial: str) -> str:
    final = final_name(checked(partial))
    if final is None:
        raise ValueError(f"{partial} is not the name of a partial")
    return final
