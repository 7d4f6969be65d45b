"""Results to a terminal as aligned tables, or to programs as JSON."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

Column = tuple[str, Callable[[Any], object]]


def table(records: Sequence[Any], columns: Sequence[Column], *, as_json: bool, empty: str) -> None:
    """Prints records: one line each under the columns' names, or a JSON array of all they hold."""
    if as_json:
        print_json(records)
        return
    if not records:
        print(empty)
        return
    from rich.console import Console
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name, _ in columns:
        grid.add_column(name, overflow="fold")
    for record in records:
        grid.add_row(*(_cell(value(record)) for _, value in columns))
    # A pipe has no width of its own: nothing is folded for `grep`.
    width = None if sys.stdout.isatty() else 10_000
    Console(width=width, highlight=False, markup=False, emoji=False).print(grid)


def facts(record: Any, lines: Iterable[tuple[str, object]], *, as_json: bool) -> None:
    """Prints one record: `name  value` lines, or a JSON object of all it holds."""
    if as_json:
        print_json(record)
        return
    shown = [(name, _cell(value)) for name, value in lines if value not in (None, "")]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        print(f"{name:<{width}}  {value}")


def print_json(value: object) -> None:
    """Prints any result as JSON."""
    print(json.dumps(plain(value), indent=2, ensure_ascii=False))


def print_json_line(value: object) -> None:
    """Prints one record as one line of JSON, for streams."""
    print(json.dumps(plain(value), ensure_ascii=False), flush=True)


def plain(value: Any) -> Any:
    """The value in JSON's own types: records as objects, moments as ISO 8601 in UTC."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return value


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return safe(str(value))


def safe(text: str) -> str:
    """Text for a terminal: control characters of a hostile title or URL do not reach it."""
    return "".join(c if c.isprintable() else "�" for c in text)
