"""How a setting is declared: its type, default, unit, allowed values and help in one place."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Declaration:
    """What is known of one setting before anybody sets it.

    `default` is the value itself or a function of the data directory; `shown_default` is how the
    reference page prints it. `least` and `most` are inclusive. A `secret` is never shown.
    """

    help: str
    default: Any
    unit: str = ""
    shown_default: str = ""
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    secret: bool = False


def setting(help: str, default: Any, **more: Any) -> Any:
    """A field of a settings class, with its declaration."""
    return field(metadata={"declaration": Declaration(help=help, default=default, **more)})


def seconds(help: str, default: float, *, least: float = 0.1, most: float = 86_400.0) -> Any:
    """A length of time; `least` and `most` are inclusive."""
    return setting(help, default, unit="seconds", least=least, most=most)


def percent(help: str, default: float) -> Any:
    """A share of a disk."""
    return setting(help, default, unit="percent", least=1.0, most=100.0)


def count(help: str, default: int, unit: str, *, least: int = 1, most: int = 10_000) -> Any:
    """A whole number of `unit`."""
    return setting(help, default, unit=unit, least=least, most=most)


def directory(help: str, name: str) -> Any:
    """A directory that lies below data_dir until somebody sets another."""

    def below(data_dir: Path) -> Path:
        return data_dir / name

    return setting(help, below, shown_default=f"data_dir/{name}")
