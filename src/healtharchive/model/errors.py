"""The one tree of exceptions: each says what happened, to what, and the command that mends it."""

from __future__ import annotations

# What brings back a Python package, in the program's source directory (docs/install.md, step 1).
# Never `pip install healtharchive`: on a public registry that name may be anybody's.
INSTALL_PACKAGES = "pip install --require-hashes -r requirements/run.lock"


class HealthArchiveError(Exception):
    """One clear sentence for a person: what happened, to which thing, and the cure.

    `exit_code` is what the command line ends with when this error reaches it, `playbook` the page
    below docs/playbooks/ that it names (without the ending; empty: none).
    """

    exit_code = 1
    playbook = ""

    def __init__(self, what: str, cure: str = "", *, playbook: str = "") -> None:
        self.what = what
        self.cure = cure
        self.playbook = playbook or type(self).playbook
        super().__init__(f"{what} {cure}".strip())


class BadInput(HealthArchiveError):
    """A person or a file gave us something we cannot use."""

    exit_code = 2


class SetupError(HealthArchiveError):
    """The machine or its settings are not ready: a directory, a binary, an unreadable env file."""

    exit_code = 3


class DatabaseUnavailable(SetupError):
    """The database cannot be reached now."""

    exit_code = 5
    playbook = "databasedown"


class SchemaMissing(SetupError):
    """The database answers but has no schema, or an older or newer one than this program."""

    exit_code = 6
    playbook = "wrong-database"


class NotFound(HealthArchiveError):
    """An id or a name that is not there."""

    exit_code = 4


class IllegalTransition(HealthArchiveError):
    """A state machine was asked for a step its table does not have. Always a bug in the caller."""


class LeaseLost(HealthArchiveError):
    """The fencing token is no longer ours: another attempt has the job. Write nothing more."""
