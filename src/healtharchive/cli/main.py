"""The command line: every command by name, and how each one ends."""

from __future__ import annotations

import errno
import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence

import typer
from typer.exceptions import TyperException

from healtharchive.cli import (
    alerts,
    archive,
    backup,
    campaigns,
    changes,
    config,
    crawl,
    deploy,
    doctor,
    export,
    incident,
    install,
    jobs,
    journal,
    monitoring,
    quality,
    reports,
    search,
    sources,
    status,
    steward,
    storage,
    suppress,
    tier,
    token,
    work,
)
from healtharchive.model.errors import DatabaseUnavailable, HealthArchiveError, SetupError

EXIT_BUG = 70  # EX_SOFTWARE of sysexits.h
EXIT_INTERRUPTED = 130
# The world's trouble that a command may run into at any file: no bug of ours.
PLAYBOOK_OF_ERRNO = {
    errno.ENOTCONN: "errno-107",
    errno.ESTALE: "errno-107",
    errno.ENOSPC: "errno-28",
    errno.EDQUOT: "errno-28",
    errno.EIO: "errno-5",
}

app = typer.Typer(
    name="healtharchive",
    help="A web archive that finishes its capture campaigns by itself.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for module in (crawl, archive, work, status, journal, jobs, quality, search, changes, config):
    app.add_typer(module.app)
for module in (reports, suppress, install, doctor):
    app.add_typer(module.app)
app.add_typer(reports.report, name="report", help="Settle what readers reported.")
app.add_typer(campaigns.app, name="campaign", help="Editions over several sources.")
app.add_typer(sources.app, name="source", help="The sites to capture, and their scope.")
app.add_typer(storage.app, name="storage", help="Targets: the places that bytes are kept.")
app.add_typer(tier.app, name="tier", help="Hot paths: jobs that write to a mounted target.")
app.add_typer(alerts.app, name="alerts", help="What is wrong, and who was told.")
app.add_typer(steward.app, name="steward", help="Reconcile what is with what should be.")
app.add_typer(deploy.app, name="deploy", help="Bring a new version live, losing nothing.")
app.add_typer(monitoring.app, name="monitoring", help="Files for Prometheus and Grafana.")
app.add_typer(incident.app, name="incident", help="Write down what went wrong.")
app.add_typer(token.app, name="token", help="Who may use the operations pages and the admin API.")
app.add_typer(backup.app, name="backup", help="Copies of the database: made, listed, tried.")
app.add_typer(export.app, name="export", help="What the archive has, as files to take away.")
app.add_typer(config.database_app, name="db", help="The schema of the database.")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; whatever goes wrong is one line on stderr."""
    try:
        result = app(args=list(sys.argv[1:] if argv is None else argv), standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except BrokenPipeError:
        # The reader has seen enough (`| head`). Python would complain again while it shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED
    except TyperException as error:
        return _end(f"{_sentence(error)} Try `healtharchive --help`.", error.exit_code)
    except HealthArchiveError as error:
        return _end(_told(error), error.exit_code)
    except Exception as error:  # the outermost loop of this process
        return _end_unforeseen(error)


def _sentence(error: TyperException) -> str:
    text = " ".join(error.format_message().split())
    return text if text.endswith((".", "?")) else f"{text}."


def _told(error: HealthArchiveError) -> str:
    """The error for whoever typed the command, with the page that helps where there is one."""
    return f"{error} Read docs/playbooks/{error.playbook}.md." if error.playbook else str(error)


def _end(message: str, code: int) -> int:
    print(f"healtharchive: {' '.join(message.split())}", file=sys.stderr)
    return code


def _end_unforeseen(error: Exception) -> int:
    if _is_database_trouble(error):
        original = str(getattr(error, "orig", None) or error).strip().splitlines()
        reason = original[0].rstrip(".") if original else type(error).__name__
        unavailable = DatabaseUnavailable(
            f"The database stopped answering: {reason}.",
            "`healtharchive config` shows which one it is; try again when it is back.",
        )
        return _end(_told(unavailable), unavailable.exit_code)
    if isinstance(error, OSError) and error.errno in PLAYBOOK_OF_ERRNO:
        trouble = _trouble_with_file(error, PLAYBOOK_OF_ERRNO[error.errno])
        return _end(_told(trouble), trouble.exit_code)
    trace = "".join(traceback.format_exception(error))
    if logging.getLogger().isEnabledFor(logging.DEBUG):
        sys.stderr.write(trace)
    return _end(
        f"This is a bug in healtharchive ({type(error).__name__}: {error}); "
        f"please report it with {_keep(trace)}.",
        EXIT_BUG,
    )


def _trouble_with_file(error: OSError, playbook: str) -> SetupError:
    where = f" at {error.filename}" if error.filename else ""
    return SetupError(
        f"{error.strerror} (errno {error.errno}){where}.",
        "`healtharchive status` shows which target or disk that is.",
        playbook=playbook,
    )


def _is_database_trouble(error: Exception) -> bool:
    # By name: importing SQLAlchemy for a command that never used it costs 0.2 s.
    return type(error).__module__.startswith("sqlalchemy.") and any(
        kind.__name__ in ("OperationalError", "InterfaceError") for kind in type(error).__mro__
    )


def _keep(trace: str) -> str:
    try:
        descriptor, path = tempfile.mkstemp(prefix="healtharchive-bug-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(trace)
    except OSError:
        return "HEALTHARCHIVE_LOG_LEVEL=debug, which prints the trace"
    return path


if __name__ == "__main__":
    sys.exit(main())
