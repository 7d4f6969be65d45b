"""Puts the settings together: environment first, then the env file, then defaults."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from healtharchive.model.errors import SetupError
from healtharchive.settings import envfile
from healtharchive.settings.declared import (
    DEFAULT_ENV_FILE,
    EMBEDDED_DATABASE,
    ENV_FILE_VARIABLE,
    PREFIX,
    Settings,
    Unknown,
    declarations,
    default_of,
    variable_of,
)
from healtharchive.settings.declaring import Declaration
from healtharchive.settings.quiet import quiet_hours

EMBEDDED_ORIGIN = "the embedded database in data_dir"
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.")
WEB_ADDRESS = re.compile(r"https?://.", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Found:
    """A value as somebody wrote it, and where."""

    text: str
    origin: str


def load(env: Mapping[str, str] | None = None, *, env_file: Path = DEFAULT_ENV_FILE) -> Settings:
    """The settings of this process; SetupError names the setting, its place, and what is allowed.

    `env` stands for the process's environment. `env_file` is read if it exists and
    HEALTHARCHIVE_ENV_FILE names no other one; a file that is there but unreadable is an error.
    """
    environment = os.environ if env is None else env
    path = _env_file(environment, env_file)
    found = _gather(environment, path)
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    known = declarations()
    # data_dir first: the defaults of other directories hang on it.
    for name in sorted(known, key=lambda name: name != "data_dir"):
        kind, declaration = known[name]
        written = found.get(variable_of(name))
        if written is None:
            values[name] = default_of(declaration, values.get("data_dir", Path("/")))
        else:
            values[name] = _value(name, kind, declaration, written)
            origins[name] = written.origin
    if not values["database_url"] and _exists(values["data_dir"] / EMBEDDED_DATABASE):
        values["database_url"] = f"sqlite:///{values['data_dir'] / EMBEDDED_DATABASE}"
        origins["database_url"] = EMBEDDED_ORIGIN
    settings = Settings(**values, origins=origins, unknown=tuple(_unknown(found)), env_file=path)
    _check_together(settings)
    return settings


def environment_of(settings: Settings) -> dict[str, str]:
    """The settings as environment variables: a child given these loads the very same ones."""
    values = {name: getattr(settings, name) for name in declarations()}
    written = {variable_of(name): str(value) for name, value in values.items() if value != ""}
    return written | {ENV_FILE_VARIABLE: os.devnull}


def _env_file(environment: Mapping[str, str], default: Path) -> Path | None:
    named = environment.get(ENV_FILE_VARIABLE, "")
    if named:
        return Path(named)
    return default if _exists(default) else None


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise SetupError(
            f"This user cannot even see whether {path} exists: {error.strerror}.",
            "Make its directory searchable for this user, or run as the user it belongs to.",
            playbook="wrong-database",
        ) from error
    return True


def _gather(environment: Mapping[str, str], path: Path | None) -> dict[str, Found]:
    found: dict[str, Found] = {}
    if path is not None:
        for item in envfile.read(path):
            if item.name.startswith(PREFIX):
                found[item.name] = Found(item.value, f"{path} line {item.line}")
    for variable, text in environment.items():
        if variable.startswith(PREFIX):
            found[variable] = Found(text, f"environment variable {variable}")
    # An empty value sets nothing, as in a unit that clears what its env file had set.
    return {variable: item for variable, item in found.items() if item.text.strip()}


def _unknown(found: Mapping[str, Found]) -> Iterator[Unknown]:
    known = [variable_of(name) for name in declarations()] + [ENV_FILE_VARIABLE]
    for variable in sorted(set(found) - set(known)):
        close = difflib.get_close_matches(variable, known, n=1, cutoff=0.75)
        yield Unknown(variable, found[variable].origin, close[0] if close else "")


def _value(name: str, kind: str, declaration: Declaration, written: Found) -> Any:
    text = written.text.strip()
    if kind == "Path":
        path = Path(text).expanduser()
        return path if path.is_absolute() else _refuse(name, written, "an absolute path")
    if declaration.choices:
        choice = text.lower()
        allowed = f"one of {', '.join(declaration.choices)}"
        return choice if choice in declaration.choices else _refuse(name, written, allowed)
    if kind == "str":
        return text
    return _number(name, kind, declaration, written)


def _number(name: str, kind: str, declaration: Declaration, written: Found) -> int | float:
    allowed = allowed_numbers(kind, declaration)
    try:
        number = int(written.text) if kind == "int" else float(written.text)
    except ValueError:
        _refuse(name, written, allowed)
    least = -float("inf") if declaration.least is None else declaration.least
    most = float("inf") if declaration.most is None else declaration.most
    if not least <= number <= most:  # NaN fails this too
        _refuse(name, written, allowed)
    return number


def allowed_numbers(kind: str, declaration: Declaration) -> str:
    """What a number may be, in words: for the error and for the reference page."""
    noun = "a whole number" if kind == "int" else "a number"
    unit = f" of {declaration.unit}" if declaration.unit else ""
    return f"{noun}{unit} from {declaration.least:,g} to {declaration.most:,.12g}"


def _refuse(name: str, written: Found, allowed: str) -> NoReturn:
    raise SetupError(
        f"{variable_of(name)} is '{written.text}' ({written.origin}), "
        f"but {name} must be {allowed}.",
        "Correct it there, or take it out to have the default.",
    )


def _check_together(settings: Settings) -> None:
    for smaller, larger in (
        ("heartbeat_seconds", "lease_seconds"),
        ("park_first_seconds", "park_max_seconds"),
        ("recover_first_seconds", "recover_max_seconds"),
        ("spool_soft_percent", "spool_full_percent"),
    ):
        low, high = getattr(settings, smaller), getattr(settings, larger)
        if low >= high:
            raise SetupError(
                f"{variable_of(smaller)} is {low:g} ({settings.origin(smaller)}), but it must be "
                f"less than {variable_of(larger)}, which is {high:g} ({settings.origin(larger)}).",
                "Correct one of the two.",
            )
    quiet_hours(settings.quiet_hours, settings.quiet_zone)
    _check_addresses(settings, "notify_urls", ADDRESS, "addresses such as ntfy://ntfy.sh/TOPIC")
    _check_addresses(settings, "heartbeat_url", WEB_ADDRESS, "an http or https address")


def _check_addresses(settings: Settings, name: str, form: re.Pattern[str], allowed: str) -> None:
    """Only their form; they are secret, so what is wrong is told by its place."""
    for place, address in enumerate(getattr(settings, name).split(), 1):
        if form.match(address) is None:
            raise SetupError(
                f"Address {place} in {variable_of(name)} ({settings.origin(name)}) is none, "
                f"but {name} must be {allowed}.",
                "Correct it there, or take it out; docs/alerts.md has examples.",
            )
