"""Changes as an Atom feed (RFC 4287)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, SubElement, tostring

from healtharchive.model.changes import ListedChange
from healtharchive.web.visit import Visit

ATOM = "http://www.w3.org/2005/Atom"
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
# What XML 1.0 §2.2 has no way to write.
UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Feed:
    """What a feed is of. `base` stands before each of its addresses.

    `page` shows the same to people, `following` is the next part's address or empty.
    """

    base: str
    own: str
    page: str
    following: str
    subject: str


def atom(visit: Visit, feed_of: Feed, changes: Sequence[ListedChange]) -> bytes:
    """The feed's document."""
    base = feed_of.base
    title = visit.say("changes.feed", site=visit.say("site.name"))
    feed = Element("feed", {"xmlns": ATOM, "xml:lang": str(visit.language)})
    _text(feed, "id", base + feed_of.own)
    _text(feed, "title", f"{feed_of.subject} – {title}" if feed_of.subject else title)
    _text(feed, "updated", _moment(max((each.at for each in changes), default=LONG_AGO)))
    _text(SubElement(feed, "author"), "name", visit.say("site.name"))
    _link(feed, "self", base + feed_of.own, "application/atom+xml")
    _link(feed, "alternate", base + feed_of.page, "text/html")
    if feed_of.following:
        _link(feed, "next", base + feed_of.following, "application/atom+xml")
    for each in changes:
        _entry(SubElement(feed, "entry"), visit, base, each)
    document: bytes = tostring(feed, encoding="utf-8", xml_declaration=True)
    return document


def path_of(change: ListedChange) -> str:
    """The page, below its language, that shows a change: both captures, or the one there is."""
    if change.from_capture is None:
        return f"capture/{change.to_capture}"
    return f"compare?from={change.from_capture}&to={change.to_capture}"


def _entry(entry: Element, visit: Visit, base: str, change: ListedChange) -> None:
    kind = visit.say(f"changes.kind.{change.kind}")
    # The same for the same change, also after a rebuild has given it another number.
    told = f"{change.source} {change.url} {change.at.isoformat()}"
    _text(entry, "id", uuid.uuid5(uuid.NAMESPACE_URL, told).urn)
    _text(entry, "title", f"{change.title or change.url} – {kind}")
    _text(entry, "updated", _moment(change.at))
    _link(entry, "alternate", f"{base}/{visit.language}/{path_of(change)}", "text/html")
    SubElement(entry, "category", {"term": change.kind, "label": kind})
    _text(entry, "summary", _summary(change))


def _summary(change: ListedChange) -> str:
    lines = [change.url]
    for example in change.examples:
        lines += [f"− {example['old']}"] if example["old"] else []
        lines += [f"+ {example['new']}"] if example["new"] else []
    return "\n".join(lines)


def _text(parent: Element, name: str, text: str) -> None:
    SubElement(parent, name).text = UNWRITABLE.sub("\ufffd", text)


def _link(parent: Element, relation: str, address: str, kind: str) -> None:
    SubElement(parent, "link", {"rel": relation, "type": kind, "href": address})


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
