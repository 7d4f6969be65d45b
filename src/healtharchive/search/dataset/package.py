"""What stands beside a data set's files: datapackage.json, README.md and SHA256SUMS.

datapackage.json is a Data Package 2.0 with a Table Schema (datapackage.org): the data dictionary.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from healtharchive.model.collection import CollectionName
from healtharchive.search.dataset.files import Format
from healtharchive.search.dataset.tables import KEY, Table, TableName

PACKAGE_NAME = "datapackage.json"
README_NAME = "README.md"
SUMS_NAME = "SHA256SUMS"
PROFILE = "https://datapackage.org/profiles/2.0/datapackage.json"
MEDIA_TYPES = {Format.PARQUET: "application/vnd.apache.parquet", Format.CSV: "text/csv"}
NAME = re.compile(r"[a-z][a-z0-9._-]*-(?:captures|text|changes)-[0-9]{8}-(?:parquet|csv)")
LICENCE = (
    "The archived pages, their titles and texts belong to who published them, and their own terms "
    "hold for them. This data set adds no licence: whoever runs the archive can say more."
)
SPREADSHEETS = (
    "Texts stand here as they were captured. A spreadsheet takes a cell that begins with "
    "=, +, - or @ for a formula: import such columns as text, and never let it run what is in them."
)


@dataclass(frozen=True, slots=True)
class DataFile:
    """One file with rows."""

    name: str
    rows: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class DataSet:
    """All that is said of a data set. `as_of` is when it was exported, `operator` who did it."""

    name: str
    table: Table
    form: Format
    collection: CollectionName
    collection_title: str
    as_of: datetime
    operator: str
    address: str
    files: tuple[DataFile, ...]

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.table.title.partition(':')[0]} of {self.collection_title}"

    @property
    def day(self) -> str:
        """The UTC day it shows the archive of."""
        return f"{self.as_of:%Y-%m-%d}"

    @property
    def rows(self) -> int:
        """In all files."""
        return sum(each.rows for each in self.files)

    @property
    def citation(self) -> str:
        """How to cite it."""
        of = f" {self.operator}." if self.operator else ""
        at = f" {self.address}/en/data" if self.address else ""
        return f"HealthArchive:{of} {self.title}, as of {self.day}. Data set {self.name}.{at}"


def is_name(text: str) -> bool:
    """Whether `name_of` could have given this name."""
    return NAME.fullmatch(text) is not None


def name_of(table: TableName, form: Format, collection: CollectionName, as_of: datetime) -> str:
    """A data set's name, which is its directory's too: lower case, no slash."""
    told = f"{collection.kind}-{collection.name}-{table}-{as_of:%Y%m%d}-{form}".lower()
    return re.sub(r"[^a-z0-9._-]+", "-", told)


def package(data: DataSet) -> bytes:
    """datapackage.json."""
    described = {
        "$schema": PROFILE,
        "name": data.name,
        "title": data.title,
        "description": f"{data.table.title}. {SPREADSHEETS} {LICENCE}",
        "created": data.as_of.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "resources": [_resource(data, each) for each in data.files],
        "healtharchive": {
            "table": data.table.name,
            "format": data.form,
            "of": {"kind": data.collection.kind, "name": data.collection.name},
            "rows": data.rows,
            "citation": data.citation,
        },
    }
    return json.dumps(described, indent=2, ensure_ascii=False).encode() + b"\n"


def _resource(data: DataSet, file: DataFile) -> dict[str, Any]:
    compressed = {"encoding": "utf-8", "compression": "gz"} if data.form is Format.CSV else {}
    return {
        "name": file.name.partition(".")[0],
        "path": file.name,
        "format": data.form,
        "mediatype": MEDIA_TYPES[data.form],
        **compressed,
        "bytes": file.size_bytes,
        "hash": f"sha256:{file.sha256}",
        "rows": file.rows,
        "schema": {
            "fields": [
                {
                    "name": each.name,
                    "type": each.type,
                    "description": each.description,
                    "description_fr": each.description_fr,
                    **({"constraints": {"required": True}} if each.required else {}),
                }
                for each in data.table.columns
            ],
            "primaryKey": list(KEY),
        },
    }


def readme(data: DataSet) -> bytes:
    """README.md."""
    dictionary = [f"| `{c.name}` | {c.type} | {c.description} |" for c in data.table.columns]
    files = [f"| `{f.name}` | {f.rows} | {f.size_bytes} |" for f in data.files]
    return "\n".join(
        [
            f"# {data.title}",
            "",
            f"{data.table.title}. Of the {data.collection.kind} `{data.collection.name}`, as the "
            f"archive had it on {data.as_of:%Y-%m-%d at %H:%M:%S} UTC: {data.rows} rows.",
            "",
            "| file | rows | bytes |",
            "| --- | --- | --- |",
            *files,
            "",
            "`sha256sum -c SHA256SUMS` checks all of them. `datapackage.json` says the same as "
            "this page for programs.",
            "",
            "## Columns",
            "",
            "| column | type | means |",
            "| --- | --- | --- |",
            *dictionary,
            "",
            "`segment` and `offset` tell a capture in every table of this archive. An empty cell "
            "means that nothing is known. A NUL character is written as U+FFFD.",
            "",
            SPREADSHEETS,
            "",
            "## How to cite",
            "",
            data.citation,
            "",
            "## Rights",
            "",
            LICENCE,
            "",
        ]
    ).encode()


def sums(digests: Iterable[tuple[str, str]]) -> bytes:
    """SHA256SUMS of (name, digest in hex), as `sha256sum -c` reads it."""
    return "".join(f"{digest}  {name}\n" for name, digest in digests).encode()
