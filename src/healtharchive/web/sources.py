"""The sources page: the sites that are captured."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter
from starlette.responses import Response

from healtharchive.model.source import SourceDefinition
from healtharchive.model.sources import list_sources
from healtharchive.web.visit import SiteDep, VisitDep

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What the public may know of one source."""

    code: str
    name: str
    description: str
    languages: tuple[str, ...]
    seeds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sources:
    """Every enabled source, in the order campaigns take them."""

    sources: tuple[SourceFacts, ...]


@router.get("/{language}/sources")
def show_all(visit: VisitDep, site: SiteDep) -> Response:
    """The sources, each with where its capture begins."""
    with site.database.read() as connection:
        found = tuple(_facts(source) for source in list_sources(connection))
    return visit.answer("sources.html", Sources(found))


def _facts(source: SourceDefinition) -> SourceFacts:
    return SourceFacts(
        code=source.code,
        name=source.name,
        description=source.description,
        languages=source.languages,
        seeds=tuple(seed.url for seed in source.seeds),
    )
