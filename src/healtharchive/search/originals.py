"""The page that a payload is, read off a record that holds it: for whoever has only its digest."""

from __future__ import annotations

from pathlib import Path

from healtharchive.model.captures import responses_with
from healtharchive.model.database import Database
from healtharchive.model.errors import BadInput
from healtharchive.model.holdings import copies_of
from healtharchive.search.extract import PageText
from healtharchive.search.harvest import body_of, page_of
from healtharchive.search.stored import OutOfReach, Stored, fetch_in_child, find
from healtharchive.warc.payload import http_head

ORIGINALS_TRIED = 3


def page_of_payload(database: Database, digest: str, kind: str, url: str) -> PageText | None:
    """What the newest records with the payload say; None when it is not in the archive.

    `url` is where it was found. OutOfReach: it may be on a target that cannot be read now.
    """
    with database.read() as connection:
        originals = [
            Stored(at.path, at.offset, at.length, copies_of(connection, Path(at.path).name))
            for at in responses_with(connection, digest, ORIGINALS_TRIED)
        ]
    out_of_reach: OutOfReach | None = None
    for original in originals:
        try:
            record = find(original, fetch_in_child).record
            head = http_head(record)
            if head:
                return page_of(head, kind, body_of(record), url)
        except OutOfReach as error:
            out_of_reach = error
        except (BadInput, FileNotFoundError):
            continue
    if out_of_reach is not None:
        raise out_of_reach  # not lost, only away: it is tried again later
    return None
