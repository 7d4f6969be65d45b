"""The records of a job, for tests that replay it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from healtharchive.model.errors import NotFound


@dataclass
class OnDisk:
    """The records of a directory of WARC files. `elsewhere` are payloads of earlier editions."""

    directory: Path
    elsewhere: dict[str, bytes] = field(default_factory=dict)

    def at(self, segment: str, offset: int, length: int) -> bytes:
        """See `survey.Records`."""
        try:
            with (self.directory / segment).open("rb") as stream:
                stream.seek(offset)
                return stream.read(length)
        except FileNotFoundError as error:
            raise NotFound(f"WARC file {segment} is not here.") from error

    def holding(self, payload_digest: str) -> bytes:
        """See `survey.Records`."""
        if payload_digest not in self.elsewhere:
            raise NotFound("No record of an earlier edition holds it.")
        return self.elsewhere[payload_digest]
