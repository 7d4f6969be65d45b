"""Which migrations lie before a database, and whether an older program still runs after them."""

from __future__ import annotations

import ast
from pathlib import Path

from healtharchive.model.schema import MIGRATIONS

ADDING = ("create_table", "create_index", "add_column")
HARMLESS = ("drop_index",)  # the older program only asks more slowly
ASKING = ("get_bind", "get_context", "f")


def pending(current: str, directory: Path = MIGRATIONS / "versions") -> dict[str, str]:
    """The text of each migration that the database does not have yet, by its revision."""
    files = sorted(directory.glob("[0-9]*.py"))
    return {
        path.name.partition("_")[0]: path.read_text(encoding="utf-8")
        for path in files
        if path.name.partition("_")[0] > current
    }


def objections(migration: str) -> list[str]:
    """What a program of the version before might stumble over; none when it only adds things.

    Anything that is not clearly an addition is an objection.
    """
    tree = ast.parse(migration)
    body = [
        each
        for each in tree.body
        if not (isinstance(each, ast.FunctionDef) and each.name == "downgrade")
    ]
    calls = [node for part in body for node in ast.walk(part) if isinstance(node, ast.Call)]
    return [said for call in calls if (said := _objection(call))]


def _objection(call: ast.Call) -> str:
    function = call.func
    if not isinstance(function, ast.Attribute) or not isinstance(function.value, ast.Name):
        return ""
    if function.value.id != "op" or function.attr in (*ASKING, *HARMLESS):
        return ""
    if function.attr not in ADDING:
        return f"it does {function.attr.replace('_', ' ')}"
    if function.attr == "add_column" and not _may_be_left_out(call):
        return "it adds a column that the older program does not fill"
    if function.attr == "create_index" and _true(call, "unique"):
        return "it adds a rule that the older program does not know"
    return ""


def _may_be_left_out(call: ast.Call) -> bool:
    """Whether a row can be written that does not name the new column."""
    column = call.args[1] if len(call.args) > 1 else None
    if not isinstance(column, ast.Call):
        return False
    named = {each.arg for each in column.keywords}
    required = any(
        each.arg == "nullable" and isinstance(each.value, ast.Constant) and not each.value.value
        for each in column.keywords
    )
    return not required or "server_default" in named


def _true(call: ast.Call, name: str) -> bool:
    return any(
        each.arg == name and isinstance(each.value, ast.Constant) and each.value.value is True
        for each in call.keywords
    )
