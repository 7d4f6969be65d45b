"""The title and text of a PDF, within bounds: a hostile file costs some time, never the rest."""

from __future__ import annotations

import io
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from pypdf import PdfReader
from pypdf.errors import PyPdfError

LARGEST_BYTES = 50_000_000
MOST_PAGES = 300
MOST_CHARS = 500_000
MOST_CPU_SECONDS = 30.0

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


class TookTooLong(BaseException):
    """The bound of CPU seconds is reached. No Exception: pypdf would swallow that."""


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
    pieces: list[str] = []
    about = ("", "")
    try:
        with _at_most(MOST_CPU_SECONDS):
            reader = PdfReader(io.BytesIO(data))
            if reader.is_encrypted and not reader.decrypt(""):
                return PdfText("", "", "", "the PDF needs a password")
            title = (reader.metadata.title if reader.metadata else "") or ""
            about = (str(title), str(reader.root_object.get("/Lang", "") or ""))
            problem = _read_pages(reader, pieces)
    except TROUBLES as error:
        problem = f"the PDF cannot be read: {type(error).__name__}: {error}"
    except TookTooLong:
        problem = f"reading the PDF took longer than {MOST_CPU_SECONDS:.0f} s"
    return PdfText(about[0], "\n".join(pieces), about[1], problem)


def _read_pages(reader: PdfReader, pieces: list[str]) -> str:
    """Add each page's text to `pieces`; what is missing of it."""
    room = MOST_CHARS
    problem = ""
    for number in range(len(reader.pages)):
        if number >= MOST_PAGES or room <= 0:
            return f"only the first {number} pages were read"
        try:
            piece = reader.pages[number].extract_text()[:room]
        except TROUBLES as error:
            problem = problem or f"page {number + 1} cannot be read: {type(error).__name__}"
            continue
        pieces.append(piece)
        room -= len(piece)
    return problem


@contextmanager
def _at_most(cpu_seconds: float) -> Iterator[None]:
    """TookTooLong when the body computes for longer. pypdf is Python, so a signal reaches it.

    Only the main thread gets signals; the index child has no other.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_alarm(_: int, __: FrameType | None) -> None:
        raise TookTooLong

    before = signal.signal(signal.SIGVTALRM, on_alarm)
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu_seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        signal.signal(signal.SIGVTALRM, before)
