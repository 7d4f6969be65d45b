"""The search page: a form, its filters, and the pages that match with their words marked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.responses import RedirectResponse, Response

from healtharchive.model.campaigns import list_campaigns
from healtharchive.model.pictures import with_thumbnail
from healtharchive.web import enhanced
from healtharchive.web import form as forms
from healtharchive.web.facets import Narrowing
from healtharchive.web.finding import Findings, find
from healtharchive.web.form import Wrong
from healtharchive.web.language import Language
from healtharchive.web.progress import source_names
from healtharchive.web.visit import Site, SiteDep, Visit, VisitDep

router = APIRouter(include_in_schema=False)
# The prefix of each field's words in the table of texts; sources and campaigns have names.
WORDS = {"lang": "language.", "type": "type.", "which": "which.", "sort": "sort."}


@dataclass(frozen=True, slots=True)
class Choice:
    """One line of a select."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field, in the reader's language."""

    field: str
    sentence: str


@dataclass(frozen=True, slots=True)
class SearchErrors:
    """A form that cannot be searched, and why."""

    errors: tuple[FieldError, ...]


@dataclass(frozen=True, slots=True)
class _Known:
    """What the form can be filled with."""

    sources: Mapping[str, str]
    campaigns: tuple[str, ...]


@router.get("/")
def home(visit: VisitDep) -> Response:
    """Leads to the search page in the reader's language."""
    headers = {"Vary": "Accept-Language", "Cache-Control": "no-cache"}
    return RedirectResponse(f"/{visit.language}/", 302, headers=headers)


@router.get("/{language}")
def without_slash(language: Language) -> Response:
    """Leads to the search page."""
    return RedirectResponse(f"/{language}/", 308)


@router.get("/{language}/")
def show(visit: VisitDep, site: SiteDep) -> Response:
    """The search form, and what it finds."""
    form = forms.read(visit.request.query_params)
    with site.database.read() as connection:
        known = _known(connection)
    wrongs = forms.problems(form, tuple(known.sources), known.campaigns)
    findings = Findings()
    # The API answers an empty form with everything; the page shows its lead.
    asked = forms.is_asked(form) or visit.wants_json
    if asked and not wrongs:
        findings = _with_thumbnails(site, find(site.settings, form, known.sources))
    errors = tuple(_error(visit, wrong) for wrong in wrongs)
    facts = SearchErrors(errors) if errors else findings
    return enhanced.answer(
        visit,
        "search.html",
        facts,
        status=422 if errors else 200,
        **_choices(visit, known),
        form=form,
        answer=findings,
        errors=errors,
        wrong_fields={error.field for error in errors},
        searched=asked,
        narrowing=Narrowing(visit, form, known.sources),
        page_link=lambda number: visit.link(page=str(number)),
        refresh_seconds=None,
    )


def _with_thumbnails(site: Site, findings: Findings) -> Findings:
    with site.database.read() as connection:
        pictured = with_thumbnail(connection, [hit.capture_id for hit in findings.hits])
    hits = tuple(replace(hit, thumbnail=hit.capture_id in pictured) for hit in findings.hits)
    return replace(findings, hits=hits)


def _known(connection: Connection) -> _Known:
    names = tuple(campaign.name for campaign in list_campaigns(connection))
    return _Known(source_names(connection), names)


def _error(visit: Visit, wrong: Wrong) -> FieldError:
    name = visit.say("search." + wrong.field)
    return FieldError(wrong.field, visit.say(wrong.key, field=name, **wrong.values))


def _choices(visit: Visit, known: _Known) -> dict[str, list[Choice]]:
    def worded(field: str, values: tuple[str, ...]) -> list[Choice]:
        return [Choice(value, visit.say(WORDS[field] + value)) for value in values]

    return {
        "sources": [Choice(code, name) for code, name in known.sources.items()],
        "campaigns": [Choice(name, name) for name in known.campaigns],
        "languages": worded("lang", forms.LANGUAGES),
        "types": worded("type", forms.TYPES),
        "whiches": worded("which", forms.WHICHES),
        "sorts": worded("sort", forms.SORTS),
    }
