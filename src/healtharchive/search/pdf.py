"""The title and text of a PDF, within bounds: a hostile file costs some time, never the rest."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass

from pypdf import PdfReader
from pypdf.errors import PyPdfError

LARGEST_BYTES = 50_000_000
MOST_PAGES = 300
MOST_CHARS = 500_000

# Damaged files make it warn line by line; what could not be read is in our own result.
logging.getLogger("pypdf").setLevel(logging.CRITICAL)

# What parsers of hostile input are known to end with, beside pypdf's own errors.
TROUBLES = (
    PyPdfError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    NotImplementedError,
    RecursionError,
    UnicodeError,
    LookupError,
    MemoryError,
    EOFError,
)


@dataclass(frozen=True, slots=True)
class PdfText:
    """What could be read; `problem` says why it is not all."""

    title: str
    text: str
    language: str
    problem: str


def pdf_text(data: bytes) -> PdfText:
    """The text of the first MOST_PAGES pages. Never raises for what is in the file."""
    if len(data) > LARGEST_BYTES:
        return PdfText("", "", "", f"the PDF is larger than {LARGEST_BYTES} bytes")
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            return PdfText("", "", "", "the PDF needs a password")
        title = str((reader.metadata.title if reader.metadata else "") or "")
        language = str(reader.root_object.get("/Lang", "") or "")
        text, problem = _pages(reader)
    except TROUBLES as error:
        return PdfText("", "", "", f"the PDF cannot be read: {type(error).__name__}: {error}")
    return PdfText(title, text, language, problem)


def _pages(reader: PdfReader) -> tuple[str, str]:
    """The pages' text, and what is missing of it."""
    pieces: list[str] = []
    room = MOST_CHARS
    problem = ""
    for number in range(len(reader.pages)):
        if number >= MOST_PAGES or room <= 0:
            return "\n".join(pieces), f"only the first {number} pages were read"
        try:
            piece = reader.pages[number].extract_text()[:room]
        except TROUBLES as error:
            problem = problem or f"page {number + 1} cannot be read: {type(error).__name__}"
            continue
        pieces.append(piece)
        room -= len(piece)
    return "\n".join(pieces), problem
