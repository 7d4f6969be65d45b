"""Comparing two captures for somebody who waits: a child does it, with a deadline.

What is stored may lie on a dead mount and may be made to be slow, so this process opens no file of
it. The texts come from the search index; the stored pages are read for their headings, and for the
texts of what is not indexed.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection

from healtharchive.model.holdings import (
    REVISIT,
    Holding,
    copies_of,
    get_holding,
    payload_holding,
)
from healtharchive.model.sources import get_source
from healtharchive.model.wire import from_line, to_line
from healtharchive.search.compare.comparison import Comparison
from healtharchive.search.compare.live import LiveOrder, order_of
from healtharchive.search.compare.texts import page_at
from healtharchive.search.compare.weighing import Weight
from healtharchive.search.index import SearchIndex
from healtharchive.search.stored import Stored
from healtharchive.storage.errand import abandon

COMMAND = (sys.executable, "-P", "-m", "healtharchive.search.compare")
DEADLINE_SECONDS = 15.0

Refusal = Literal["", "out_of_reach", "unreadable", "no_text", "too_large", "live"]


@dataclass(frozen=True, slots=True)
class Side:
    """One page to compare. `text` is what the index has of it; `record` holds its headings.

    `payload` is the record that holds the body when this one is a revisit. A side with a `live`
    order has nothing else: it is fetched from its site now.
    """

    title: str = ""
    text: str = ""
    language: str = ""
    url: str = ""
    mime: str = ""
    record: Stored | None = None
    payload: Stored | None = None
    live: LiveOrder | None = None


@dataclass(frozen=True, slots=True)
class CompareOrder:
    """Two pages, and the keys of the blocks that most pages of their sites have."""

    old: Side
    new: Side
    common: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LiveFacts:
    """Where and when today's page was fetched, and its title."""

    url: str
    at: datetime
    title: str


@dataclass(frozen=True, slots=True)
class Compared:
    """The answer; without a comparison it says why. `structured`: both pages gave their headings.

    `reason` is for the operator.
    """

    comparison: Comparison = field(default_factory=lambda: Comparison(()))
    weight: Weight = field(default_factory=lambda: Weight(0.0, 0, 0, 0, ()))
    structured: bool = True
    refused: Refusal = ""
    reason: str = ""
    live: LiveFacts | None = None


def order_for(
    connection: Connection, search_dir: Path, from_capture: int, to_capture: int
) -> tuple[Holding, Holding, CompareOrder]:
    """What to compare, but for what is common. NotFound when there is no such capture."""
    old, new = get_holding(connection, from_capture), get_holding(connection, to_capture)
    index = SearchIndex(search_dir) if SearchIndex.exists(search_dir) else None
    sides = [_side(connection, index, each) for each in (old, new)]
    return old, new, CompareOrder(sides[0], sides[1])


def live_order_for(
    connection: Connection, search_dir: Path, capture: int, agent: str
) -> tuple[Holding, CompareOrder]:
    """The same for a capture and its page of today. NotFound when there is no such capture."""
    holding = get_holding(connection, capture)
    source = get_source(connection, holding.source)
    index = SearchIndex(search_dir) if SearchIndex.exists(search_dir) else None
    new = Side(live=order_of(source, holding.url, agent))
    return holding, CompareOrder(_side(connection, index, holding), new)


def compare_in_child(order: CompareOrder, deadline_seconds: float = DEADLINE_SECONDS) -> Compared:
    """The comparison of two pages. Never raises for what they hold or where they lie.

    When the stored pages do not answer in time, their indexed texts alone are compared.
    """
    compared = _ask(order, deadline_seconds)
    if compared.refused == "out_of_reach" and order.old.text and order.new.text:
        texts = replace(
            order,
            old=replace(order.old, record=None, payload=None),
            new=replace(order.new, record=None, payload=None),
        )
        return _ask(texts, deadline_seconds)
    return compared


def _ask(order: CompareOrder, deadline_seconds: float) -> Compared:
    process = subprocess.Popen(
        COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, cwd="/"
    )
    try:
        output, _ = process.communicate(to_line(order), deadline_seconds)
    except subprocess.TimeoutExpired:
        abandon(process)
        # Whether the site was late or the storage, nobody can tell; either may be asked again.
        late: Refusal = "live" if order.new.live else "out_of_reach"
        return Compared(refused=late, reason="no answer within the deadline")
    if not output:
        return Compared(refused="too_large", reason=f"it ended with {process.returncode}")
    return from_line(Compared, output)


def _side(connection: Connection, index: SearchIndex | None, holding: Holding) -> Side:
    page = page_at(index, f"{holding.segment}:{holding.record_offset}") if index else None
    payload = payload_holding(connection, holding) if holding.record_type == REVISIT else None
    return Side(
        title=page.title if page else "",
        text=page.text if page else "",
        language=(page.language if page else holding.language) or "",
        url=holding.url,
        mime=holding.mime or "",
        record=_stored(connection, holding),
        payload=_stored(connection, payload) if payload else None,
    )


def _stored(connection: Connection, holding: Holding) -> Stored:
    return Stored(
        holding.segment_path,
        holding.record_offset,
        holding.record_length,
        copies_of(connection, holding.segment),
    )
