"""The first text of /etc/healtharchive/backend.env: the settings that matter, with their help."""

from __future__ import annotations

from collections.abc import Mapping

from healtharchive.cli.machine.templating import render
from healtharchive.settings.declared import declarations, variable_of
from healtharchive.settings.declaring import Declaration

# What a person looks at once; all others are right for nearly everybody.
GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("The archive", ("database_url", "data_dir", "jobs_root", "targets_file", "operator")),
    ("Crawling", ("user_agent", "worker_jobs", "stop_seconds", "browser", "segment_bytes")),
    (
        "The web pages",
        (
            "public_url",
            "replay_url",
            "bind_host",
            "bind_port",
            "replay_port",
            "trusted_proxies",
            "metrics_clients",
            "operations_port",
        ),
    ),
    (
        "The disk and the copies",
        (
            "spool_warn_percent",
            "spool_soft_percent",
            "spool_full_percent",
            "copies_before_release",
            "fixity_days",
        ),
    ),
    (
        "Running it",
        (
            "notify_urls",
            "notify_from",
            "quiet_hours",
            "quiet_zone",
            "heartbeat_url",
            "textfile_dir",
            "backup_dir",
            "certificates",
            "edition_on",
            "log_level",
        ),
    ),
)


def env_text(values: Mapping[str, str]) -> str:
    """The file's text: what is in `values` is set, everything else is there to be uncommented."""
    known = declarations()
    groups = [
        {
            "title": title,
            "lines": [_entry(name, known[name][1], values.get(name)) for name in names],
        }
        for title, names in GROUPS
    ]
    return render("backend.env", groups=groups)


def _entry(name: str, declaration: Declaration, value: str | None) -> dict[str, str]:
    line = f"{variable_of(name)}={_quoted(value)}" if value is not None else ""
    default = "" if callable(declaration.default) else str(declaration.default)
    return {
        "help": declaration.help,
        "line": line or f"#{variable_of(name)}={_quoted(default or declaration.shown_default)}",
    }


def _quoted(value: str) -> str:
    """As systemd reads it: quoted where a blank or a quote would end it."""
    if not any(c in value for c in " \t\"'\\$`#;"):
        return value
    return '"' + "".join(f"\\{c}" if c in '\\"`$' else c for c in value) + '"'
