"""Every setting, declared once: its type, default, unit, allowed values and help."""

# ruff: noqa: RUF009 - setting() is dataclasses.field() with a declaration in it

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from healtharchive import __version__
from healtharchive.settings.declaring import (
    Declaration,
    count,
    directory,
    percent,
    seconds,
    setting,
)
from healtharchive.settings.operation import OperationSettings

PREFIX = "HEALTHARCHIVE_"
ENV_FILE_VARIABLE = "HEALTHARCHIVE_ENV_FILE"
DEFAULT_ENV_FILE = Path("/etc/healtharchive/backend.env")
EMBEDDED_DATABASE = "healtharchive.sqlite"  # in data_dir; what `up` and `crawl` make by themselves
LOG_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True)
class Unknown:
    """A HEALTHARCHIVE_ variable that no setting has: most likely a typing error."""

    variable: str
    origin: str
    suggestion: str  # the closest known variable, or empty


@dataclass(frozen=True, kw_only=True)
class Settings(OperationSettings):
    """The settings of this process. Made by `load`; every value knows where it came from."""

    database_url: str = setting(
        "The archive's database: sqlite:////path/file.sqlite or postgresql://user@host/name. "
        "`up` and `crawl` make a SQLite database in data_dir when it is empty; every other "
        "command uses that one if it is there and refuses to start if it is not.",
        "",
    )
    data_dir: Path = setting(
        "Where everything lives that has no directory of its own; a local disk.",
        lambda _: default_data_dir(),
        shown_default="/var/lib/healtharchive as root, otherwise ~/.local/share/healtharchive",
    )
    jobs_root: Path = directory("One directory a job: its frontier, log and WARC files.", "jobs")
    search_dir: Path = directory("The full-text index; it can be rebuilt from the WARCs.", "search")
    wacz_dir: Path = directory(
        "What is prepared for serving WACZ files: their indexes, page lists and layouts; "
        "always a local disk. It can be made anew.",
        "wacz",
    )
    datasets_dir: Path = directory(
        "Data sets that were exported and are offered on the web; always a local disk.", "datasets"
    )
    sources_dir: Path = directory("Your own source files (TOML), beside those shipped.", "sources")
    state_dir: Path = directory(
        "The frontiers of jobs whose WARC files lie on a mounted target; always a local disk.",
        "state",
    )
    evidence_dir: Path = directory(
        "Bundles of facts that are collected before and after each repair of a target.", "evidence"
    )
    targets_file: Path = setting(
        "The places to keep bytes, as TOML: mounts that jobs write to, and where sealed segments "
        "are shipped.",
        lambda data_dir: data_dir / "targets.toml",
        shown_default="data_dir/targets.toml",
    )
    operator: str = setting(
        "Who runs this archive: a name and an address to write to. It goes into every WARC file.",
        "",
    )
    user_agent: str = setting(
        "What the crawler calls itself to the sites it captures, and in robots.txt.",
        f"HealthArchive/{__version__}",
    )
    live_every_seconds: float = setting(
        "Captures are compared with a site's page of today, fetched for the reader who asks, at "
        "most so often for one site; 0: never.",
        10.0,
        unit="seconds",
        least=0.0,
        most=86_400.0,
    )
    public_url: str = setting("Where people reach the web pages, for links to them.", "")
    bind_host: str = setting("The address the web pages are served on.", "127.0.0.1")
    bind_port: int = setting("The port the web pages are served on.", 8090, least=0, most=65_535)
    replay_port: int = setting(
        "The port archived pages run on, an origin of their own; 0: the one after bind_port.",
        0,
        least=0,
        most=65_535,
    )
    replay_url: str = setting(
        "Where people reach replay_port, such as https://replay.example.org; empty: the host they "
        "reach the web pages by, at replay_port.",
        "",
    )
    requests_per_second: float = setting(
        "How many requests a second one client may go on making; clients on this machine any.",
        20.0,
        unit="requests",
        least=0.1,
        most=100_000.0,
    )
    requests_burst: int = count(
        "How many requests a client may make at once before that counts.",
        300,
        "requests",
        most=1_000_000,
    )
    trusted_proxies: str = setting(
        "Addresses or networks, with commas between them, of proxies whose X-Forwarded-For names "
        "the client, such as 127.0.0.1 for one on this machine.",
        "",
    )
    metrics_clients: str = setting(
        "Addresses or networks, with commas between them, that may read /metrics beside clients on "
        "this machine.",
        "",
    )
    reports_per_day: int = count(
        "How many reports one address may send a day through the form of the web pages.",
        10,
        "reports",
    )
    admin_token: str = setting(
        "The password of the operator's pages, which list the readers' reports. Empty: there are "
        "no such pages. Serve them over HTTPS only.",
        "",
        secret=True,
    )
    log_level: str = setting("How much is logged.", "info", choices=LOG_LEVELS)
    worker_jobs: int = setting("Jobs a worker runs at once.", 2, unit="jobs", least=1, most=64)
    lease_seconds: float = seconds("How long a claim lasts without a heartbeat.", 60.0, least=1.0)
    heartbeat_seconds: float = seconds("How often a worker renews its leases.", 10.0)
    poll_seconds: float = seconds("How often an idle worker looks for a job.", 2.0, least=0.01)
    stop_seconds: float = seconds("How long a stopping crawl may finish what is in flight.", 20.0)
    park_first_seconds: float = seconds("The first wait of a parked job; it doubles.", 30.0)
    park_max_seconds: float = seconds("The longest wait of a parked job.", 600.0)
    park_jitter: float = setting(
        "How far a wait is varied at random, up and down (0.2 is 20 %).", 0.2, least=0.0, most=0.9
    )
    park_forget_seconds: float = seconds(
        "After this long a time without trouble the waits begin at the first again.", 600.0
    )
    starts_per_hour: int = setting(
        "The most starts of one job in any hour.", 6, unit="starts", least=1, most=3600
    )
    retry_budget: int = setting(
        "How often a crawl may fail by its own fault before it is given up.",
        3,
        unit="retries",
        least=0,
        most=1000,
    )
    retry_delay_seconds: float = seconds("The wait before such a retry; it doubles.", 60.0)
    index_retry_budget: int = setting(
        "How often indexing a job may fail before it is given up.",
        3,
        unit="retries",
        least=0,
        most=1000,
    )
    segment_bytes: int = setting(
        "A WARC file that has grown to this size is sealed and the next one begun.",
        1_000_000_000,
        unit="bytes",
        least=10_000,
        most=100_000_000_000,
    )
    commit_seconds: float = seconds(
        "Captures are committed to disk together at least this often.", 0.25, least=0.0, most=60.0
    )
    commit_bytes: int = setting(
        "Captures are committed to disk as soon as they come to this many bytes.",
        8_000_000,
        unit="bytes",
        least=1,
        most=1_000_000_000,
    )
    browser: str = setting("The Chromium that renders pages: a program's name or path.", "chromium")
    browser_memory_bytes: int = setting(
        "A browser with more resident memory than this is replaced by a new one.",
        2_000_000_000,
        unit="bytes",
        least=300_000_000,
        most=1_000_000_000_000,
    )
    spool_warn_percent: float = percent(
        "`status` warns when the disk under jobs_root is so full.", 75.0
    )
    spool_soft_percent: float = percent(
        "No crawl is begun when the disk under jobs_root is this full.", 85.0
    )
    spool_full_percent: float = percent(
        "A crawl stops writing when the disk under jobs_root is this full.", 92.0
    )
    crawler_user: str = setting(
        "The user that crawls run as: probes of targets write as this one. Empty: as their own.",
        "",
    )
    silence_seconds: float = seconds(
        "How long a mount's server may say nothing to requests before the jobs on it are parked.",
        2.0,
        least=0.5,
    )
    probe_every_seconds: float = seconds("How often the steward looks at each target.", 4.0)
    probe_deadline_seconds: float = seconds(
        "How long a look at a target may take before it counts as hung.", 3.0, most=60.0
    )
    breaker_strikes: int = count(
        "How many vague failures (EIO, time-outs) in a row open a target's breaker; "
        "a definite one (107, a wrong mount) opens it at once.",
        3,
        "failures",
    )
    breaker_good_probes: int = count(
        "How many good looks in a row a target needs before a job tries it again.", 3, "looks"
    )
    breaker_good_seconds: float = seconds(
        "How long the looks must have been good; it doubles with each trip that follows soon.",
        4.0,
        least=0.0,
    )
    release_seconds: float = seconds(
        "Between two starts of jobs whose target has just recovered.", 2.0, least=0.0
    )
    recover_first_seconds: float = seconds(
        "The wait between two repairs of a target when the first did not help; it doubles.", 3.0
    )
    recover_max_seconds: float = seconds("The longest wait between two repairs.", 600.0)
    recover_per_hour: int = count("The most repairs of one target in any hour.", 12, "repairs")
    recover_per_day: int = count("The most repairs of one target in any day.", 60, "repairs")
    mount_seconds: float = seconds("How long making a mount may take.", 20.0)
    deploy_lock: Path = setting(
        "While this file is there and not too old, nothing is repaired automatically.",
        lambda data_dir: data_dir / "deploy.lock",
        shown_default="data_dir/deploy.lock",
    )
    deploy_lock_seconds: float = seconds("A deploy lock that is older is ignored.", 3600.0)
    ship_every_seconds: float = seconds("How often the steward looks for segments to ship.", 5.0)
    ship_stall_seconds: float = seconds(
        "Shipping that gets nowhere for so long is ended and tried again later.", 120.0
    )
    copies_before_release: int = count(
        "How many verified copies a segment needs before its local file is removed; 0 keeps it.",
        1,
        "copies",
        least=0,
        most=10,
    )
    release_proof_seconds: float = seconds(
        "How fresh the proof of those copies must be.", 86_400.0, most=864_000.0
    )
    fixity_days: float = setting(
        "Every copy is read back and re-hashed at least this often.",
        90.0,
        unit="days",
        least=0.01,
        most=365.0,
    )
    fixity_new_seconds: float = seconds(
        "A new copy is re-hashed once more within this time.", 86_400.0, most=864_000.0
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
    operation = {item.name for item in dataclasses.fields(OperationSettings)}
    declared = [item for item in dataclasses.fields(Settings) if "declaration" in item.metadata]
    declared.sort(key=lambda item: item.name in operation)  # a base class's fields come first
    return {item.name: (str(item.type), item.metadata["declaration"]) for item in declared}


def default_of(declaration: Declaration, data_dir: Path) -> Any:
    """A setting's value when nobody set it."""
    value: Any = declaration.default
    make: Callable[[Path], Any] | None = value if callable(value) else None
    return make(data_dir) if make else value


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()
