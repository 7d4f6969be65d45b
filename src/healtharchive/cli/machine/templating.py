"""The texts that are installed, from the templates beside this file."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, **values: Any) -> str:
    """A template's text; a name that nobody gave is an error."""
    environment = Environment(
        loader=PackageLoader("healtharchive.cli.machine"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # none of them is HTML
    )
    return environment.get_template(f"{template}.j2").render(**values)
