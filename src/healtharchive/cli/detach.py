"""Detached runs: one job in a transient systemd unit that outlives the login it was started from.

Everything is asked before anything starts. The unit runs `run-db-job` with the same settings. They
reach it by a file that only we and systemd can read, and that is removed once the unit has begun:
a unit's own `Environment=` can be read by every user of the machine, a command line too.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from healtharchive.cli import render
from healtharchive.cli.session import Session
from healtharchive.model.errors import BadInput, SetupError
from healtharchive.work.systemd import Manager, is_booted

if TYPE_CHECKING:
    from healtharchive.model.jobs import Job

LINGER = Path("/var/lib/systemd/linger")
START_SECONDS = 60.0
# Beyond `stop_seconds`, for the worker to kill what does not end and to write how it ended.
END_SECONDS = 30.0
# What a run needs of the environment beside its settings and the targets' own variables.
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "XDG_RUNTIME_DIR")
PREFIX = "HEALTHARCHIVE_"


@dataclass(frozen=True, slots=True)
class Detached:
    """A job that was started in a unit, and the commands to look at it and to stop it."""

    job_id: int
    unit: str
    scope: Literal["system", "user"]
    status_command: str
    log_command: str
    stop_command: str


def run_detached(session: Session, job_id: int, *, until_settled: bool, as_json: bool) -> None:
    """Start the job in a unit of its own and tell what that is called; an error when it cannot."""
    detached = detach(session, job_id, until_settled=until_settled)
    if as_json:
        render.print_json(detached)
        return
    print(f"Job {job_id} runs in {detached.unit}, and goes on when you log out.")
    print(f"  how it is      {detached.status_command}")
    print(f"  what it says   {detached.log_command}")
    print(f"  stop it        {detached.stop_command}")
    print("What was captured by then is kept, and the job goes on from there when it runs again.")


def detach(session: Session, job_id: int, *, until_settled: bool) -> Detached:
    """The job, started in a unit. BadInput, NotFound or SetupError before anything has started."""
    from healtharchive.model.jobs import get_job
    from healtharchive.model.journal import this_process
    from healtharchive.work.holder import this_holder
    from healtharchive.work.refusal import objection_to, terms_of

    unit = unit_name(session, job_id)
    command = _command(job_id, until_settled=until_settled)
    terms = terms_of(session.settings, this_holder(), this_process(), job_id)
    with session.database.read() as connection:
        job = get_job(connection, job_id)
        objection = objection_to(
            session.database, connection, job, terms, until_settled=until_settled
        )
    manager, trouble = _manager()
    if manager is not None and manager.runs(unit):
        stop = shlex.join(manager.command("stop", unit))
        raise BadInput(f"Job {job_id} has a detached unit already: {unit}.", f"`{stop}` ends it.")
    if objection is not None:
        raise objection
    if manager is None:
        raise SetupError(
            f"Job {job_id} cannot be detached: {trouble}.", _alternative(session, job_id, command)
        )
    with _settings_file(session) as file:
        _start(manager, unit, _options(session, job, unit, file), command)
    return Detached(
        job_id,
        unit,
        manager.scope,
        shlex.join(manager.command("status", unit)),
        shlex.join(manager.command("-u", unit, program="journalctl")),
        shlex.join(manager.command("stop", unit)),
    )


def unit_name(session: Session, job_id: int) -> str:
    """The unit of a job's detached runs: the same each time, and another one in another archive.

    So systemd itself refuses a second run beside the first, whoever comes between our looks.
    """
    archive = session.database.engine.url.render_as_string(hide_password=True)
    return f"healtharchive-job-{job_id}-{hashlib.sha256(archive.encode()).hexdigest()[:8]}.service"


# -- systemd ---------------------------------------------------------------------------------


def _manager() -> tuple[Manager | None, str]:
    """The systemd to ask; or none, and why."""
    if not is_booted() or shutil.which("systemd-run") is None:
        return None, "this machine is not run by systemd"
    if os.geteuid() == 0:
        return Manager("system"), ""
    user = pwd.getpwuid(os.geteuid()).pw_name
    manager = Manager("user")
    if not manager.answers():
        return None, f"user {user} has no systemd of their own here"
    if not (LINGER / user).exists():
        return None, (
            f"what user {user} runs in systemd ends with their last login, "
            f"until `loginctl enable-linger {user}` allows it to stay"
        )
    return manager, ""


def _options(session: Session, job: Job, unit: str, settings_file: Path) -> list[str]:
    """The unit's own properties, for systemd-run."""
    campaign = f", {job.campaign}" if job.campaign else ""
    # Only the worker is sent the signal: it lets the crawl commit, and then ends it.
    properties = {
        "EnvironmentFile": str(settings_file),
        "KillMode": "mixed",
        "TimeoutStopSec": f"{session.settings.stop_seconds + END_SECONDS:g}",
        # A crawl that the kernel ends for its memory is the worker's to deal with.
        "OOMPolicy": "continue",
        "SyslogIdentifier": unit.removesuffix(".service"),
    }
    return [
        f"--unit={unit}",
        "--collect",
        "--service-type=exec",
        "--working-directory=/",
        f"--description=HealthArchive job {job.id} ({job.source}{campaign})",
        *(f"--property={name}={value}" for name, value in properties.items()),
    ]


def _start(manager: Manager, unit: str, options: list[str], command: list[str]) -> None:
    done = manager.ask(*options, *command, program="systemd-run", seconds=START_SECONDS)
    if done.returncode == 0:
        return
    said = " ".join(done.stderr.split()) or f"systemd-run ended with {done.returncode}"
    if "already" in said:  # somebody else's, since we looked
        raise BadInput(f"The unit {unit} is there already.", f"`systemctl status {unit}` shows it.")
    raise SetupError(
        f"systemd did not start {unit}: {said.rstrip('.')}.", "`journalctl -xe` may tell more."
    )


def _command(job_id: int, *, until_settled: bool) -> list[str]:
    further = ["--until-settled"] if until_settled else []
    program = [sys.executable, "-m", "healtharchive.cli.main"]
    return [*program, "run-db-job", "--id", str(job_id), *further]


def _alternative(session: Session, job_id: int, command: list[str]) -> str:
    log = session.settings.data_dir / f"job-{job_id}.log"
    installed = shutil.which("healtharchive")
    words = [installed, *command[3:]] if installed else command
    run = f"setsid nohup {shlex.join(words)} > {shlex.quote(str(log))} 2>&1 < /dev/null &"
    return f"This outlives the login too: `{run}` Or let a worker run it: `healtharchive worker`."


# -- its settings ----------------------------------------------------------------------------


@contextmanager
def _settings_file(session: Session) -> Iterator[Path]:
    """The environment of the unit as a file, for as long as the block; nobody else can read it."""
    directory = session.settings.state_dir
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix="detached-", suffix=".env", dir=directory)
    except OSError as error:
        raise SetupError(
            f"The settings for the unit cannot be written to {directory}: {error.strerror}.",
            "Make it writable for this user or set HEALTHARCHIVE_STATE_DIR to another directory.",
        ) from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(environment_text(environment_for(session)))
        yield Path(name)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(name)


def environment_for(session: Session) -> dict[str, str]:
    """The environment of the unit: the settings as they are now, and what little else it needs."""
    from healtharchive.settings import environment_of

    wanted: Callable[[str], bool] = {*PASSED_ON, *_named_by_targets(session)}.__contains__
    kept = {
        name: value for name, value in os.environ.items() if name.startswith(PREFIX) or wanted(name)
    }
    return {**kept, **environment_of(session.settings)}


def _named_by_targets(session: Session) -> set[str]:
    """The variables that the options of targets are read from (`env:NAME`)."""
    from healtharchive.model.targets import list_targets

    with session.database.read() as connection:
        targets = list_targets(connection)
    options = (value for each in targets for value in each.definition.options.values())
    return {value.removeprefix("env:") for value in options if value.startswith("env:")}


def environment_text(environment: Mapping[str, str]) -> str:
    """The variables as systemd reads them from a file (systemd.exec(5), EnvironmentFile=)."""
    return "".join(f'{name}="{_escaped(value)}"\n' for name, value in environment.items())


def _escaped(value: str) -> str:
    return "".join(f"\\{c}" if c in '\\"`$' else c for c in value)
