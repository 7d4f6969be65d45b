"""What a search finds, as the page and the API show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from healtharchive.model.database import Database
from healtharchive.settings import Settings
from healtharchive.web.form import Form

PER_PAGE = 20


class Unsearchable(Exception):
    """The words cannot be searched as they stand."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a snippet; `highlighted` when it is one of the words searched for."""

    text: str
    highlighted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One page that matches: the capture that did, out of `captures` of the page."""

    capture_id: int
    url: str
    name: str
    language: str | None
    captured_at: datetime
    source: str
    source_name: str
    campaign: str | None
    type: str
    captures: int
    snippet: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """One page of results."""

    total: int = 0
    page: int = 1
    pages: int = 0
    per_page: int = PER_PAGE
    hits: tuple[Hit, ...] = ()


def find(
    settings: Settings, database: Database, form: Form, sources: Mapping[str, str]
) -> Findings:
    """The page of results that a correct form asks for."""
    return Findings()
