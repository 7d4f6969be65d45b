"""Every setting, declared once: its type, default, unit, allowed values and help."""

# ruff: noqa: RUF009 - _setting() is dataclasses.field() with a declaration in it

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from healtharchive import __version__

PREFIX = "HEALTHARCHIVE_"
ENV_FILE_VARIABLE = "HEALTHARCHIVE_ENV_FILE"
DEFAULT_ENV_FILE = Path("/etc/healtharchive/backend.env")
EMBEDDED_DATABASE = "healtharchive.sqlite"  # in data_dir; what `up` and `crawl` make by themselves
LOG_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True)
class Declaration:
    """What is known of one setting before anybody sets it.

    `default` is the value itself or a function of the data directory; `shown_default` is how the
    reference page prints it. `least` and `most` are inclusive.
    """

    help: str
    default: Any
    unit: str = ""
    shown_default: str = ""
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unknown:
    """A HEALTHARCHIVE_ variable that no setting has: most likely a typing error."""

    variable: str
    origin: str
    suggestion: str  # the closest known variable, or empty


def _setting(help: str, default: Any, **more: Any) -> Any:
    return field(metadata={"declaration": Declaration(help=help, default=default, **more)})


def _seconds(help: str, default: float, *, least: float = 0.1, most: float = 86_400.0) -> Any:
    return _setting(help, default, unit="seconds", least=least, most=most)


def _directory(help: str, name: str) -> Any:
    def below(data_dir: Path) -> Path:
        return data_dir / name

    return _setting(help, below, shown_default=f"data_dir/{name}")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of this process. Made by `load`; every value knows where it came from."""

    database_url: str = _setting(
        "The archive's database: sqlite:////path/file.sqlite or postgresql://user@host/name. "
        "`up`, `crawl` and `demo` make a SQLite database in data_dir when it is empty; every "
        "other command uses that one if it is there and refuses to start if it is not.",
        "",
    )
    data_dir: Path = _setting(
        "Where everything lives that has no directory of its own; a local disk.",
        lambda _: default_data_dir(),
        shown_default="/var/lib/healtharchive as root, otherwise ~/.local/share/healtharchive",
    )
    jobs_root: Path = _directory("One directory a job: its frontier, log and WARC files.", "jobs")
    search_dir: Path = _directory(
        "The full-text index; it can be rebuilt from the WARCs.", "search"
    )
    sources_dir: Path = _directory("Your own source files (TOML), beside those shipped.", "sources")
    operator: str = _setting(
        "Who runs this archive: a name and an address to write to. It goes into every WARC file.",
        "",
    )
    user_agent: str = _setting(
        "What the crawler calls itself to the sites it captures, and in robots.txt.",
        f"HealthArchive/{__version__}",
    )
    public_url: str = _setting("Where people reach the web pages, for links to them.", "")
    bind_host: str = _setting("The address the web pages are served on.", "127.0.0.1")
    bind_port: int = _setting("The port the web pages are served on.", 8090, least=0, most=65_535)
    log_level: str = _setting("How much is logged.", "info", choices=LOG_LEVELS)
    worker_jobs: int = _setting("Jobs a worker runs at once.", 2, unit="jobs", least=1, most=64)
    lease_seconds: float = _seconds("How long a claim lasts without a heartbeat.", 60.0, least=1.0)
    heartbeat_seconds: float = _seconds("How often a worker renews its leases.", 10.0)
    poll_seconds: float = _seconds("How often an idle worker looks for a job.", 2.0, least=0.01)
    stop_seconds: float = _seconds("How long a stopping crawl may finish what is in flight.", 20.0)
    park_first_seconds: float = _seconds("The first wait of a parked job; it doubles.", 30.0)
    park_max_seconds: float = _seconds("The longest wait of a parked job.", 600.0)
    park_jitter: float = _setting(
        "How far a wait is varied at random, up and down (0.2 is 20 %).", 0.2, least=0.0, most=0.9
    )
    park_forget_seconds: float = _seconds(
        "After this long a time without trouble the waits begin at the first again.", 600.0
    )
    starts_per_hour: int = _setting(
        "The most starts of one job in any hour.", 6, unit="starts", least=1, most=3600
    )
    retry_budget: int = _setting(
        "How often a crawl may fail by its own fault before it is given up.",
        3,
        unit="retries",
        least=0,
        most=1000,
    )
    retry_delay_seconds: float = _seconds("The wait before such a retry; it doubles.", 60.0)
    index_retry_budget: int = _setting(
        "How often indexing a job may fail before it is given up.",
        3,
        unit="retries",
        least=0,
        most=1000,
    )
    segment_bytes: int = _setting(
        "A WARC file that has grown to this size is sealed and the next one begun.",
        1_000_000_000,
        unit="bytes",
        least=10_000,
        most=100_000_000_000,
    )
    commit_seconds: float = _seconds(
        "Captures are committed to disk together at least this often.", 0.25, least=0.0, most=60.0
    )
    commit_bytes: int = _setting(
        "Captures are committed to disk as soon as they come to this many bytes.",
        8_000_000,
        unit="bytes",
        least=1,
        most=1_000_000_000,
    )
    spool_full_percent: float = _setting(
        "A crawl stops writing when the disk under jobs_root is this full.",
        92.0,
        unit="percent",
        least=1.0,
        most=100.0,
    )

    origins: Mapping[str, str] = field(default_factory=dict, repr=False)
    unknown: tuple[Unknown, ...] = ()
    env_file: Path | None = None

    def origin(self, name: str) -> str:
        """Where a setting's value was set: a variable's name, a file's line, or `default`."""
        return self.origins.get(name, "default")

    @property
    def embedded_database_url(self) -> str:
        """The SQLite database that `up` and `crawl` make in data_dir when no other is set."""
        return f"sqlite:///{self.data_dir / EMBEDDED_DATABASE}"

    @property
    def uses_embedded_database(self) -> bool:
        """True when nobody set another database than the one in data_dir."""
        return self.database_url in ("", self.embedded_database_url)


def default_data_dir() -> Path:
    """The data directory of whoever runs this: the system's for root, one's own otherwise."""
    if os.geteuid() == 0:
        return Path("/var/lib/healtharchive")
    base = os.environ.get("XDG_DATA_HOME") or ""
    return (Path(base) if base.startswith("/") else Path.home() / ".local/share") / "healtharchive"


def declarations() -> dict[str, tuple[str, Declaration]]:
    """Every setting's type (as written) and declaration, in the order of the reference page."""
    return {
        item.name: (str(item.type), item.metadata["declaration"])
        for item in dataclasses.fields(Settings)
        if "declaration" in item.metadata
    }


def default_of(declaration: Declaration, data_dir: Path) -> Any:
    """A setting's value when nobody set it."""
    value: Any = declaration.default
    make: Callable[[Path], Any] | None = value if callable(value) else None
    return make(data_dir) if make else value


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()
