"""Two captures side by side or in one, section by section: what one says and the other does not.

/fr/compare?from=12&to=57&view=side
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import groupby

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.responses import Response

from healtharchive.model.changes import around_pair
from healtharchive.model.errors import NotFound
from healtharchive.model.holdings import Holding
from healtharchive.model.pictures import PictureKind, pictures_of
from healtharchive.model.tables import BIGGEST_ID
from healtharchive.search.compare.comparison import Kind, Piece, SectionChange
from healtharchive.search.compare.request import Compared, LiveFacts, live_order_for, order_for
from healtharchive.search.compare.weighing import FACT_BAND, SENTENCE_BAND, WORDING_BAND
from healtharchive.search.compare.wording import Mark, Run
from healtharchive.web.cdx_query import Asked
from healtharchive.web.described import query
from healtharchive.web.finding import IndexUnavailable
from healtharchive.web.trouble import Missing, Unusable
from healtharchive.web.visit import Site, SiteDep, VisitDep

router = APIRouter(include_in_schema=False)
VIEWS = ("inline", "side")
LIVE = "live"
CONTEXT = 2  # sentences that stay in sight beside a change
LEAST_FOLDED = 3
MOST_SHOWN = 4_000  # sentences: a longer comparison is cut, and says so
WEIGHTS = (("facts", FACT_BAND), ("sentences", SENTENCE_BAND), ("wording", WORDING_BAND))
FIELDS = query(
    {
        "from": "Number of the earlier capture.",
        "to": "Number of the later capture, or the word live: the page of today.",
        "view": "inline or side; only the page differs.",
    }
)
STEPS = ("0", "25", "50", "75", "100")  # of the overlaid pictures


@dataclass(frozen=True, slots=True)
class Compares:
    """One of the two captures; without a number it is the site's page of today."""

    id: int | None
    url: str
    title: str | None
    captured_at: datetime
    source: str
    screenshot: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonFacts:
    """What became of each sentence from the older capture to the newer.

    `score` is how much it matters, from 0 (nothing, or the page's frame alone) to 1. `structured`
    is false where the pages' headings could not be told. `previous` and `next` are capture numbers
    of the pairs before and after this one; null when there are none.
    """

    old: Compares
    new: Compares
    score: float
    added_words: int
    removed_words: int
    changed_sentences: int
    structured: bool
    note: str
    previous: int | None
    next: int | None
    sections: tuple[SectionChange, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Sentences that are shown together; `folded` ones have not changed."""

    folded: bool
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """A section as the page shows it. `state`: same, changed, added, removed or moved."""

    heading: str
    old_heading: str
    state: str
    groups: tuple[Group, ...]


@router.get("/{language}/compare")
def show(visit: VisitDep, site: SiteDep) -> Response:
    """The comparison of the captures that `from` and `to` number; `view` is inline or side.

    `to` may be the word live: the site's page of today.
    """
    asked = Asked(visit.request.query_params.multi_items())
    view = asked.choice("view", VIEWS, "inline")
    old = _number(asked, "from")
    live = asked.text("to") == LIVE
    facts = _live_facts(site, old) if live else _facts(site, old, _number(asked, "to"))
    shown, cut = _shown(facts.sections)
    answer = visit.answer(
        "compare.html",
        facts,
        view=view,
        weight=weight_of(facts.score),
        stretches=_stretches,
        sections=shown,
        cut=cut,
        steps=STEPS,
        views=[(each, visit.link(view=each)) for each in VIEWS],
        link_of=lambda old, new: visit.link(**{"from": str(old), "to": str(new)}),
        live_link=visit.link(to=LIVE) if site.settings.live_every_seconds and not live else "",
    )
    answer.headers["X-Robots-Tag"] = "noindex, nofollow"
    return answer


def _number(asked: Asked, name: str) -> int:
    number = asked.number(name, 1, BIGGEST_ID)
    if number is None:
        raise Unusable("trouble.400.missing", name=name)
    return number


def _facts(site: Site, from_capture: int, to_capture: int) -> ComparisonFacts:
    with _asking(site) as connection:
        old, new, order = order_for(connection, site.settings.search_dir, from_capture, to_capture)
        previous, following = around_pair(connection, old, new)
        sides = [_compares(each, _is_pictured(connection, each.id)) for each in (old, new)]
    compared = site.comparers.compare(order, partial(_common, site, old, new))
    return _compared(compared, sides[0], sides[1], previous, following)


def _live_facts(site: Site, capture: int) -> ComparisonFacts:
    every = site.settings.live_every_seconds
    if not every:
        raise Missing("trouble.404.compare.live")
    with _asking(site) as connection:
        old, order = live_order_for(
            connection, site.settings.search_dir, capture, site.settings.user_agent
        )
    compared = site.comparers.compare_live(order, every, partial(_common, site, old))
    live = compared.live or LiveFacts(old.url, site.clock.now(), "")
    new = Compares(None, live.url, live.title, live.at, old.source, False)
    return _compared(compared, _compares(old, False), new, None, None)


def _common(site: Site, *holdings: Holding) -> frozenset[str]:
    with _asking(site) as connection:
        jobs = (each.job_id for each in holdings)
        return site.frames.of_jobs(connection, site.settings.search_dir, jobs)


@contextmanager
def _asking(site: Site) -> Iterator[Connection]:
    """A connection for finding out what to compare, with what may go wrong there."""
    with site.database.read() as connection:
        try:
            yield connection
        except NotFound as error:
            raise Missing("trouble.404.compare") from error
        except (OSError, ValueError) as error:  # tantivy's own errors are ValueErrors
            raise IndexUnavailable(f"The search index cannot be read: {error}") from error


def _compared(
    compared: Compared, old: Compares, new: Compares, previous: int | None, following: int | None
) -> ComparisonFacts:
    if compared.refused:
        raise Missing(f"trouble.404.compare.{compared.refused}")
    weight = compared.weight
    return ComparisonFacts(
        old=old,
        new=new,
        score=weight.score,
        added_words=weight.added_words,
        removed_words=weight.removed_words,
        changed_sentences=weight.changed_sentences,
        structured=compared.structured,
        note=compared.comparison.note,
        previous=previous,
        next=following,
        sections=compared.comparison.sections,
    )


def _is_pictured(connection: Connection, capture: int) -> bool:
    return PictureKind.SCREENSHOT in pictures_of(connection, capture)


def _compares(holding: Holding, screenshot: bool) -> Compares:
    return Compares(
        holding.id, holding.url, holding.title, holding.captured_at, holding.source, screenshot
    )


def weight_of(score: float) -> str:
    """What a score stands for, as a word: none, moved, wording, sentences or facts."""
    for word, (least, _) in WEIGHTS:
        if score >= least:
            return word
    return "moved" if score else "none"


def _shown(sections: Sequence[SectionChange]) -> tuple[list[Shown], bool]:
    """The sections to show, and whether they are cut."""
    found: list[Shown] = []
    left = MOST_SHOWN
    for section in sections:
        pieces = section.pieces[:left]
        left -= len(pieces)
        if pieces and pieces[0].heading and pieces[0].kind is Kind.SAME and section.heading:
            pieces = pieces[1:]  # it stands above the section
        found.append(
            Shown(section.heading, section.old_heading, _state(section), tuple(_groups(pieces)))
        )
        if left <= 0:
            return found, True
    return found, False


def _stretches(piece: Piece) -> list[tuple[Mark, list[Run]]]:
    """A sentence's runs, those with the same mark together."""
    return [(mark, list(runs)) for mark, runs in groupby(piece.runs, lambda run: run.mark)]


def _state(section: SectionChange) -> str:
    if not section.in_old:
        return "added"
    if not section.in_new:
        return "removed"
    if any(piece.kind is not Kind.SAME for piece in section.pieces):
        return "changed"
    return "moved" if section.moved else "same"


def _groups(pieces: Sequence[Piece]) -> Iterator[Group]:
    """Changes with a little of what stands around them; the rest is folded."""
    near: set[int] = set()
    for at, piece in enumerate(pieces):
        if piece.kind is not Kind.SAME:
            near.update(range(at - CONTEXT, at + CONTEXT + 1))
    start = 0
    for at in range(1, len(pieces) + 1):
        if at == len(pieces) or (at in near) is not (start in near):
            far = start not in near and bool(near)
            yield Group(far and at - start >= LEAST_FOLDED, tuple(pieces[start:at]))
            start = at
