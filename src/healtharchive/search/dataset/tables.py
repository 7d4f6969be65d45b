"""The tables of data sets: what each column means, and their rows.

A row's values stand in the order of its table's columns. None is "nothing is known"; a text is
never empty. The records of all tables are told by WARC file and offset, which no rebuild changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal

from healtharchive.model.database import Database
from healtharchive.model.datasets import (
    CaptureFacts,
    ChangeFacts,
    Extent,
    captures_in,
    changes_in,
)
from healtharchive.model.errors import SetupError
from healtharchive.search.compare.texts import pages_at
from healtharchive.search.index import SearchIndex

Value = str | int | float | None
Row = tuple[Value, ...]
TEXTS_AT_ONCE = 50


class TableName(StrEnum):
    """The tables there are."""

    CAPTURES = "captures"
    TEXT = "text"
    CHANGES = "changes"


@dataclass(frozen=True, slots=True)
class Column:
    """One line of the data dictionary; a `required` one is never empty."""

    name: str
    type: Literal["string", "integer", "number"]
    description: str
    description_fr: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Origin:
    """Where rows come from."""

    database: Database
    search_dir: Path
    extent: Extent


@dataclass(frozen=True, slots=True)
class Table:
    """What a table holds. `rows` gives them in portions."""

    name: TableName
    title: str
    columns: tuple[Column, ...]
    rows: Callable[[Origin], Iterator[list[Row]]]


KEY = ("segment", "offset")
URL = Column(
    "url",
    "string",
    "The address that was captured, as it was asked for.",
    "L’adresse capturée, telle que demandée.",
    required=True,
)
TIMESTAMP = Column(
    "timestamp",
    "string",
    "When: 14 digits, UTC (YYYYMMDDhhmmss).",
    "Le moment, en 14 chiffres, UTC (AAAAMMJJhhmmss).",
    required=True,
)
LANGUAGE = Column(
    "language",
    "string",
    "Language of the page's text, such as en or fr.",
    "La langue du texte de la page, comme en ou fr.",
)
TITLE = Column(
    "title",
    "string",
    "Title of the page; only of pages with text.",
    "Le titre de la page; seulement pour les pages qui ont un texte.",
)
SEGMENT = Column(
    "segment",
    "string",
    "Name of the WARC file that holds the record.",
    "Le nom du fichier WARC qui contient l’enregistrement.",
    required=True,
)
OFFSET = Column(
    "offset",
    "integer",
    "Where in that file the record begins, in bytes.",
    "L’endroit du fichier où l’enregistrement commence, en octets.",
    required=True,
)
SOURCE = Column(
    "source",
    "string",
    "Code of the source, the site that was captured.",
    "Le code de la source, le site capturé.",
    required=True,
)
CAPTURE_COLUMNS = (
    URL,
    TIMESTAMP,
    Column(
        "digest",
        "string",
        "SHA-256 of the body as it was sent, without chunks.",
        "Le SHA-256 du corps tel qu’envoyé, sans blocs.",
    ),
    Column(
        "mime",
        "string",
        "Media type as the server sent it, without parameters.",
        "Le type de média envoyé par le serveur, sans paramètres.",
    ),
    Column("status", "integer", "HTTP status.", "Le code de réponse HTTP."),
    SOURCE,
    Column(
        "campaign",
        "string",
        "Name of the campaign, such as annual-2026.",
        "Le nom de la campagne, comme annual-2026.",
    ),
    LANGUAGE,
    TITLE,
    SEGMENT,
    OFFSET,
    Column(
        "length",
        "integer",
        "Length of the compressed record, in bytes.",
        "La longueur de l’enregistrement compressé, en octets.",
        required=True,
    ),
    Column(
        "record_type",
        "string",
        "response, or revisit when the body is an earlier record's.",
        "response, ou revisit quand le corps est celui d’un enregistrement antérieur.",
        required=True,
    ),
    Column(
        "truncated",
        "string",
        "Why the body is not whole (WARC-Truncated); nothing for a whole one.",
        "Pourquoi le corps n’est pas entier (WARC-Truncated); rien s’il l’est.",
    ),
)
TEXT_COLUMNS = (
    URL,
    TIMESTAMP,
    LANGUAGE,
    TITLE,
    Column(
        "text",
        "string",
        "The page's text as it is searched, without menus and footers.",
        "Le texte de la page tel qu’il est cherché, sans menus ni pieds de page.",
        required=True,
    ),
    SEGMENT,
    OFFSET,
)
CHANGE_COLUMNS = (
    URL,
    Column(
        "from_timestamp",
        "string",
        "When the earlier capture was made (14 digits, UTC); nothing for a new page.",
        "Le moment de la première capture (14 chiffres, UTC); rien pour une nouvelle page.",
    ),
    Column(
        "to_timestamp",
        "string",
        "When the later capture was made (14 digits, UTC).",
        "Le moment de la seconde capture (14 chiffres, UTC).",
        required=True,
    ),
    Column(
        "kind",
        "string",
        "content, boilerplate (the page's frame only), new, gone, redirect or error.",
        "content, boilerplate (le cadre de la page seulement), new, gone, redirect ou error.",
        required=True,
    ),
    Column(
        "score",
        "number",
        "How much it matters, 0 to 1; from 0.7 on a number, date, negation or advice.",
        "L’importance, de 0 à 1; dès 0,7, un nombre, une date, une négation ou un conseil.",
        required=True,
    ),
    Column(
        "added_words",
        "integer",
        "Words of the content that were added.",
        "Les mots ajoutés au contenu.",
        required=True,
    ),
    Column(
        "removed_words",
        "integer",
        "Words of the content that were removed.",
        "Les mots retirés du contenu.",
        required=True,
    ),
    Column(
        "changed_sentences",
        "integer",
        "Sentences that differ.",
        "Les phrases qui diffèrent.",
        required=True,
    ),
    Column(
        "summary",
        "string",
        "The gravest changes, a line each: − what went, + what came.",
        "Les changements les plus graves, un par ligne\u00a0: − ce qui part, + ce qui vient.",
    ),
    SOURCE,
    LANGUAGE,
    TITLE,
    Column(
        "segment",
        "string",
        "Name of the WARC file that holds the later capture's record.",
        "Le nom du fichier WARC qui contient l’enregistrement de la seconde capture.",
        required=True,
    ),
    OFFSET,
)


def _captures(origin: Origin) -> Iterator[list[Row]]:
    for found in captures_in(origin.database, origin.extent):
        yield [_row(*_capture(each)) for each in found]


def _capture(each: CaptureFacts) -> Row:
    return (
        each.url,
        timestamp14(each.captured_at),
        each.payload_digest,
        each.mime,
        each.status_code,
        each.source,
        each.campaign,
        each.language,
        each.title,
        each.segment,
        each.record_offset,
        each.record_length,
        each.record_type,
        each.truncated,
    )


def _texts(origin: Origin) -> Iterator[list[Row]]:
    index = _index(origin.search_dir)
    for found in captures_in(origin.database, origin.extent):
        pages = [each for each in found if each.text_chars]
        for at in range(0, len(pages), TEXTS_AT_ONCE):
            yield _with_texts(index, pages[at : at + TEXTS_AT_ONCE])


def _with_texts(index: SearchIndex, pages: list[CaptureFacts]) -> list[Row]:
    texts = {each.key: each.text for each in pages_at(index, [page.key for page in pages])}
    lost = [page for page in pages if not texts.get(page.key)]
    if lost:
        raise SetupError(
            f"The search index lacks the text of {lost[0].url} ({lost[0].key}).",
            "If a job is being indexed, wait for its end; otherwise run: healtharchive rebuild",
        )
    return [
        _row(
            page.url,
            timestamp14(page.captured_at),
            page.language,
            page.title,
            texts[page.key],
            page.segment,
            page.record_offset,
        )
        for page in pages
    ]


def _index(directory: Path) -> SearchIndex:
    if not SearchIndex.exists(directory):
        raise SetupError(
            f"There is no search index in {directory}, where the texts are kept.",
            "Run: healtharchive rebuild",
        )
    return SearchIndex(directory)


def _changes(origin: Origin) -> Iterator[list[Row]]:
    for found in changes_in(origin.database, origin.extent):
        yield [_row(*_change(each)) for each in found]


def _change(each: ChangeFacts) -> Row:
    return (
        each.url,
        timestamp14(each.from_at) if each.from_at else None,
        timestamp14(each.at),
        each.kind,
        each.score,
        each.added_words,
        each.removed_words,
        each.changed_sentences,
        _summary(each),
        each.source,
        each.language,
        each.title,
        each.segment,
        each.record_offset,
    )


def _summary(change: ChangeFacts) -> str:
    lines: list[str] = []
    for example in change.examples:
        lines += [f"− {example['old']}"] if example["old"] else []
        lines += [f"+ {example['new']}"] if example["new"] else []
    return "\n".join(lines)


def timestamp14(moment: datetime) -> str:
    """A moment as web archives write it."""
    return moment.astimezone(UTC).strftime("%Y%m%d%H%M%S")


def _row(*values: Value) -> Row:
    return tuple(_plain(each) for each in values)


def _plain(value: Value) -> Value:
    """CSV has one way to say nothing, and most of its readers stop at a NUL."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd") or None
    return value


TABLES = {
    each.name: each
    for each in (
        Table(
            TableName.CAPTURES,
            "Captures: what was fetched, when, and where its record lies",
            CAPTURE_COLUMNS,
            _captures,
        ),
        Table(TableName.TEXT, "Text: what the captured pages say", TEXT_COLUMNS, _texts),
        Table(
            TableName.CHANGES,
            "Changes: what a capture says that the one before it did not",
            CHANGE_COLUMNS,
            _changes,
        ),
    )
}
