"""Rows as files: Parquet, or CSV in gzip. The same rows give the same bytes."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, BinaryIO, Protocol

from healtharchive.model.errors import INSTALL_PACKAGES, SetupError
from healtharchive.search.dataset.tables import Column, Row

COMPRESSION = "zstd"


class Format(StrEnum):
    """The forms of a data set."""

    PARQUET = "parquet"
    CSV = "csv"

    @property
    def suffix(self) -> str:
        """How its files' names end."""
        return ".parquet" if self is Format.PARQUET else ".csv.gz"


class Writer(Protocol):
    """Writes rows into an open stream. Without `close`, the file has no end."""

    def write(self, rows: list[Row]) -> None:
        """Add rows; Parquet makes a row group of them."""

    def close(self) -> None:
        """End the file; the stream stays open."""


def writer_of(form: Format, stream: BinaryIO, columns: Iterable[Column]) -> Writer:
    """A writer of these columns. SetupError when what Parquet needs is not installed."""
    if form is Format.PARQUET:
        return _Parquet(stream, tuple(columns))
    return _Csv(stream, tuple(columns))


def require(form: Format) -> None:
    """SetupError when what this form needs is not installed."""
    if form is Format.PARQUET:
        _pyarrow()


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise SetupError(
            "Parquet files need the package pyarrow, which is not installed.",
            f"Run: {INSTALL_PACKAGES}, or export with --format csv.",
        ) from None
    return pyarrow, pyarrow.parquet


class _Parquet:
    def __init__(self, stream: BinaryIO, columns: tuple[Column, ...]) -> None:
        self._arrow, parquet = _pyarrow()
        types = {
            "string": self._arrow.string(),
            "integer": self._arrow.int64(),
            "number": self._arrow.float64(),
        }
        self._schema = self._arrow.schema(
            self._arrow.field(
                each.name,
                types[each.type],
                nullable=not each.required,
                metadata={"description": each.description},
            )
            for each in columns
        )
        self._writer = parquet.ParquetWriter(stream, self._schema, compression=COMPRESSION)

    def write(self, rows: list[Row]) -> None:
        arrays = [
            self._arrow.array(values, type=field.type)
            for values, field in zip(zip(*rows, strict=True), self._schema, strict=True)
        ]
        self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


class _Csv:
    """RFC 4180 in UTF-8: a header, CRLF, quotation marks where a value needs them."""

    def __init__(self, stream: BinaryIO, columns: tuple[Column, ...]) -> None:
        # No name and no moment in the gzip header: the same rows are the same bytes.
        self._gzip = gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0)
        self._text = io.TextIOWrapper(self._gzip, encoding="utf-8", newline="")
        self._rows = csv.writer(self._text)
        self._rows.writerow(each.name for each in columns)

    def write(self, rows: list[Row]) -> None:
        self._rows.writerows(rows)

    def close(self) -> None:
        self._text.close()
