"""Settings as facts for people and machines, with every secret masked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from healtharchive.settings.declared import Settings, declarations, variable_of

MASK = "***"
_USER_PASSWORD = re.compile(r"^([A-Za-z0-9+.]+://[^:/@]*):.*@")
_PASSWORD_OPTION = re.compile(r"([?&](?:password|sslpassword|passfile)=)[^&]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ShownSetting:
    """One line of `healtharchive config`."""

    name: str
    variable: str
    value: str | int | float
    unit: str
    origin: str


def shown(settings: Settings) -> list[ShownSetting]:
    """Every setting in the order of the reference page."""
    lines = []
    for name, (_, declaration) in declarations().items():
        value = getattr(settings, name)
        if isinstance(value, Path):
            value = str(value)
        if isinstance(value, str):
            value = MASK if declaration.secret and value else mask_url(value)
        lines.append(
            ShownSetting(name, variable_of(name), value, declaration.unit, settings.origin(name))
        )
    return lines


def mask_url(text: str) -> str:
    """The text, with the passwords of a database URL replaced by ***."""
    text = _USER_PASSWORD.sub(rf"\1:{MASK}@", text)
    return _PASSWORD_OPTION.sub(rf"\1{MASK}", text)
