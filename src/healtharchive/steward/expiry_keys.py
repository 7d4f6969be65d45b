"""Keys that the archive works with: whether they can be used, who else can, and how old they are.

They are those that the targets' declarations name, for ssh, and the one that signs WACZ files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import SSHCertificate, load_ssh_public_identity

from healtharchive.model.expiries import KEY, KNOWN_HOSTS, SSH_CERTIFICATE
from healtharchive.model.target import TargetDefinition
from healtharchive.steward.expiry_look import Look, ask
from healtharchive.warc.wacz_signing import KEY_NAME

LOOK = Path(__file__).with_name("key_look.py")
# As ssh and sshfs take them: in one word with others, or after -o.
NAMED = re.compile(
    r"(?:^|[,\s])(IdentityFile|CertificateFile|UserKnownHostsFile)[=\s]([^,\s]+)", re.IGNORECASE
)
UNCHECKED = ("/dev/null", "none")
FOREVER = int(datetime.max.replace(tzinfo=UTC).timestamp())  # 2**64 - 1: PROTOCOL.certkeys
OTHERS, GROUP_AND_OTHERS = 0o007, 0o077


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file to look at. `certificate` is where a key's ssh certificate would be."""

    path: str
    kind: Literal["key", "known hosts file"] = KEY
    certificate: str = ""
    may_be_absent: bool = False


def key_files(
    definitions: Iterable[TargetDefinition], state_dir: Path, home: Path
) -> list[KeyFile]:
    """The files that the targets name, and our own key, each once. Pure."""
    found = [KeyFile(str(state_dir / KEY_NAME), may_be_absent=True)]
    for each in definitions:
        if each.root.startswith("sftp://"):
            found += _of_options(each.options, home)
        found += _of_command(each.mount_command, home)
    return list(dict.fromkeys(each for each in found if each.path.startswith("/")))


def _of_options(options: Mapping[str, str], home: Path) -> list[KeyFile]:
    known = options.get("known_hosts") or str(home / ".ssh/known_hosts")
    key = options.get("key_filename", "")
    return [_key(key, home), KeyFile(known, KNOWN_HOSTS)]


def _of_command(words: Iterable[str], home: Path) -> list[KeyFile]:
    named = [(name.lower(), value) for word in words for name, value in NAMED.findall(word)]
    certificate = next((value for name, value in named if name == "certificatefile"), "")
    found = [_key(value, home, certificate) for name, value in named if name == "identityfile"]
    hosts = [value for name, value in named if name == "userknownhostsfile"]
    return found + [
        KeyFile(_at_home(value, home), KNOWN_HOSTS) for value in hosts if value not in UNCHECKED
    ]


def _key(path: str, home: Path, certificate: str = "") -> KeyFile:
    own = _at_home(path, home)
    return KeyFile(own, certificate=_at_home(certificate, home) or f"{own}-cert.pub")


def _at_home(path: str, home: Path) -> str:
    return str(home / path[2:]) if path.startswith("~/") else path


def judged(file: KeyFile, answer: Mapping[str, Any], key_days: float, now: datetime) -> list[Look]:
    """What follows from what is there; `key_days` is how old a key may be, 0: any. Pure."""
    if answer.get("absent"):
        missing = [Look(file.path, trouble="there is no such file", kind=file.kind)]
        return [] if file.may_be_absent else missing
    if "trouble" in answer:
        return [Look(file.path, trouble=str(answer["trouble"]), kind=file.kind)]
    if file.kind != KEY:
        return [Look(file.path, kind=file.kind)]
    made_at = datetime.fromtimestamp(answer["modified_at"], UTC)
    ends_at = made_at + timedelta(days=key_days) if key_days else None
    key = Look(file.path, ends_at, _too_open(answer), KEY, made_at if ends_at else None)
    if not answer["certificate"]:
        return [key]
    return [key, _of_certificate(file.certificate, answer["certificate"], now)]


def _too_open(answer: Mapping[str, Any]) -> str:
    """Who may read it though only its owner should; empty when nobody else may.

    A group's key of another owner is how it is lent on purpose; of our own, ssh refuses it.
    """
    mode = int(answer["mode"])
    forbidden = GROUP_AND_OTHERS if answer["owner"] == answer["user"] else OTHERS
    if not mode & forbidden:
        return ""
    return f"others than its owner may read or change it (mode {mode:04o}; `chmod 600` ends that)"


def _of_certificate(path: str, text: str, now: datetime) -> Look:
    try:
        found = load_ssh_public_identity(text.encode("ascii", "replace"))
    except (ValueError, UnsupportedAlgorithm) as error:
        trouble = f"it is no certificate that can be read: {error}"
        return Look(path, trouble=trouble, kind=SSH_CERTIFICATE)
    if not isinstance(found, SSHCertificate):
        return Look(path, trouble="it is no certificate", kind=SSH_CERTIFICATE)
    began_at = datetime.fromtimestamp(min(found.valid_after, FOREVER), UTC)
    if began_at > now:
        trouble = f"it is not valid before {began_at:%Y-%m-%d %H:%M}Z"
        return Look(path, trouble=trouble, kind=SSH_CERTIFICATE)
    if found.valid_before >= FOREVER:
        return Look(path, kind=SSH_CERTIFICATE)
    ends_at = datetime.fromtimestamp(found.valid_before, UTC)
    return Look(path, ends_at, kind=SSH_CERTIFICATE, began_at=began_at)


def look_at_key(file: KeyFile, key_days: float, now: datetime) -> list[Look]:
    """What is found at a key's file, and at its certificate's."""
    order = {"file": file.path, "certificate": file.certificate}
    return judged(file, ask(LOOK, order), key_days, now)
