"""Prints docs/reference/settings.md: `python -m healtharchive.settings.reference`."""

from __future__ import annotations

from healtharchive.settings.declared import (
    DEFAULT_ENV_FILE,
    ENV_FILE_VARIABLE,
    declarations,
    variable_of,
)
from healtharchive.settings.declaring import Declaration
from healtharchive.settings.loading import allowed_numbers

HEAD = f"""\
# Settings

Made by `make docs` from `src/healtharchive/settings/declared.py`; do not edit.

A setting is read from the environment, else from the env file, else it has its default. The env
file is the one that `{ENV_FILE_VARIABLE}` names, else `{DEFAULT_ENV_FILE}` if it exists; its
syntax is that of a systemd `EnvironmentFile`. An env file that is there but cannot be read is an
error. An empty value sets nothing. `healtharchive config` shows every value and where it was set.
"""


def reference() -> str:
    """The settings reference in Markdown."""
    parts = [HEAD]
    for name, (kind, declaration) in declarations().items():
        parts.append(
            f"## {name}\n\n{declaration.help}\n\n"
            f"- variable: `{variable_of(name)}`\n"
            f"- default: {_default(declaration)}\n"
            f"- allowed: {_allowed(kind, declaration)}\n"
        )
    return "\n".join(parts)


def _default(declaration: Declaration) -> str:
    if declaration.shown_default:
        return declaration.shown_default
    value = declaration.default
    if value == "":
        return "none"
    if isinstance(value, str):
        return f"`{value}`"
    return f"{value:,}{' ' + declaration.unit if declaration.unit else ''}"


def _allowed(kind: str, declaration: Declaration) -> str:
    if declaration.choices:
        return ", ".join(declaration.choices)
    if kind == "Path":
        return "an absolute path"
    return "text" if kind == "str" else allowed_numbers(kind, declaration)


if __name__ == "__main__":
    print(reference(), end="")
