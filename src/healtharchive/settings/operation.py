"""The settings of running an archive day by day: the steward, alerts, backups, operations."""

# ruff: noqa: RUF009 - setting() is dataclasses.field() with a declaration in it

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from healtharchive.settings.declaring import count, directory, seconds, setting

SEVERITIES = ("info", "warning", "critical")


@dataclass(frozen=True, kw_only=True)
class OperationSettings:
    """The part of `Settings` that a reader or a crawl never asks for."""

    steward_every_seconds: float = seconds(
        "How often the steward compares what is with what should be, where nothing is said else.",
        10.0,
    )
    stall_seconds: float = seconds(
        "A crawl that got no URL done for so long is stalled, unless its source says otherwise.",
        1800.0,
        least=10.0,
        most=604_800.0,
    )
    stall_restarts_per_day: int = count(
        "How often a stalled crawl is started again in a day before a person is asked.",
        4,
        "restarts",
    )
    campaign_jobs_min: int = count(
        "While jobs of a campaign wait, at least so many of them should run at once.",
        1,
        "jobs",
        least=0,
        most=64,
    )
    edition_on: str = setting(
        "The day (MM-DD, UTC) on which the next edition of the annual campaign is created; empty: "
        "a person does it.",
        "",
    )
    repay_seconds: float = seconds(
        "A service that automation stopped is started again this long after it should have been.",
        30.0,
        least=1.0,
        most=60.0,
    )
    wanted_dir: Path = setting(
        "Where a steward that is not root asks systemd to start a service, by a file of its name: "
        "the unit healtharchive-wanted@.path takes it up.",
        lambda _: Path("/run/healtharchive/wanted"),
        shown_default="/run/healtharchive/wanted",
    )
    mounter_socket: Path = setting(
        "Where a steward that is not root asks the unit healtharchive-mounter.socket to mount and "
        "unmount a target.",
        lambda _: Path("/run/healtharchive/mounter"),
        shown_default="/run/healtharchive/mounter",
    )
    spool_days_warn: float = setting(
        "An alert is raised when the disk under jobs_root will be full within so many days.",
        7.0,
        unit="days",
        least=0.1,
        most=365.0,
    )
    index_lag_seconds: float = seconds(
        "An alert is raised when captures wait so long to be searchable.", 7200.0, most=864_000.0
    )
    ship_lag_seconds: float = seconds(
        "An alert is raised when a sealed segment waits so long to be shipped.",
        43_200.0,
        most=8_640_000.0,
    )
    backup_dir: Path = directory("Backups of the database, the newest ones.", "backups")
    backup_every_seconds: float = seconds(
        "How often the database is backed up.", 86_400.0, least=60.0, most=8_640_000.0
    )
    backups_kept: int = count("How many backups are kept.", 14, "backups")
    restore_test_days: float = setting(
        "How often the newest backup is restored beside the archive and compared with it.",
        7.0,
        unit="days",
        least=0.01,
        most=365.0,
    )
    journal_days: float = setting(
        "What the journal has of longer ago than so many days, and nothing asks for any more, is "
        "moved month by month from the database to files below state_dir/retired; so are actions, "
        "ended alerts and processes.",
        730.0,
        unit="days",
        least=30.0,
        most=36_500.0,
    )
    certificates: str = setting(
        "Certificates whose end is watched, with commas between them: files (PEM) or host:port.",
        "",
    )
    certificate_days: float = setting(
        "An alert is raised so many days before a certificate or a token ends.",
        21.0,
        unit="days",
        least=1.0,
        most=365.0,
    )
    key_days: float = setting(
        "An alert is raised when a key that a target is reached with, or the one that signs WACZ "
        "files, gets older than so many days; 0: however old.",
        0.0,
        unit="days",
        least=0.0,
        most=36_500.0,
    )
    textfile_dir: str = setting(
        "The directory of node_exporter's textfile collector; the steward writes "
        "healtharchive.prom there. Empty: it writes none.",
        "",
    )
    notify_urls: str = setting(
        "Where alerts are sent: apprise addresses with spaces between them (mailtos://, ntfy://, "
        "matrix://, slack://, json:// …). Empty: nowhere.",
        "",
        secret=True,
    )
    notify_from: str = setting("The least severity that is sent.", "warning", choices=SEVERITIES)
    notify_group_seconds: float = seconds(
        "Alerts that begin within so long of each other are sent as one message.",
        60.0,
        least=0.0,
    )
    notify_again_seconds: float = seconds(
        "An alert that goes on is sent again after so long.", 86_400.0, most=8_640_000.0
    )
    quiet_hours: str = setting(
        "Hours in which only critical alerts are sent, such as 22:00-07:00; the others follow at "
        "their end. Empty: none.",
        "",
    )
    quiet_zone: str = setting("The time zone of quiet_hours, such as Europe/Berlin.", "UTC")
    heartbeat_url: str = setting(
        "A dead man's switch: the steward asks this address again and again, and whoever is behind "
        "it raises the alarm when that stops. Empty: none.",
        "",
        secret=True,
    )
    heartbeat_every_seconds: float = seconds("How often it asks.", 300.0, least=1.0)
    operations_port: int = setting(
        "The port of the operations pages and the admin API, on operations_host; 0: none.",
        0,
        least=0,
        most=65_535,
    )
    operations_host: str = setting(
        "The address of the operations pages. They are refused over plain HTTP from elsewhere.",
        "127.0.0.1",
    )
