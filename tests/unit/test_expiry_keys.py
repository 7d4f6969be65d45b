"""Keys of targets and our own: which are watched, and what is found at each."""

from __future__ import annotations

import base64
import os
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from healtharchive.model.expiries import SEEN, UNSEEN, Expiry
from healtharchive.model.target import TargetDefinition, TargetKind
from healtharchive.model.told import Told
from healtharchive.steward.expiry import plan
from healtharchive.steward.expiry_keys import KeyFile, judged, key_files, look_at_key
from healtharchive.steward.expiry_look import Look
from healtharchive.warc.wacz_signing import signer

NOW = datetime(2026, 1, 24, 6, 17, tzinfo=UTC)
HOME = Path("/home/archive")
STATE = Path("/var/lib/state")
OWN = KeyFile("/var/lib/state/wacz-signing-key.pem", certificate="", may_be_absent=True)
BOX = TargetDefinition(
    "box",
    TargetKind.MOUNT,
    "/srv/box",
    mount_command=(
        *("sshfs", "-o", "reconnect,IdentityFile=/etc/keys/id,userknownhostsfile=/etc/keys/known"),
        *("u1@box.example:/archive", "/srv/box"),
    ),
)
SFTP = TargetDefinition(
    "cold",
    TargetKind.OBJECT,
    "sftp://u1@box.example/archive",
    options={"key_filename": "~/.ssh/id_box"},
)
HOSTS = "known hosts file"


# -- which ------------------------------------------------------------------------------------


def test_the_keys_are_those_that_targets_name_and_our_own() -> None:
    bucket = replace(SFTP, root="s3://cold", options={"key": "k", "secret": "env:S3"})
    assert key_files([BOX, SFTP, bucket, BOX], STATE, HOME) == [
        OWN,
        KeyFile("/etc/keys/id", certificate="/etc/keys/id-cert.pub"),
        KeyFile("/etc/keys/known", HOSTS),
        KeyFile(f"{HOME}/.ssh/id_box", certificate=f"{HOME}/.ssh/id_box-cert.pub"),
        KeyFile(f"{HOME}/.ssh/known_hosts", HOSTS),
    ]


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("IdentityFile=/k,CertificateFile=/c.pub", [KeyFile("/k", certificate="/c.pub")]),
        ("IdentityFile /k", [KeyFile("/k", certificate="/k-cert.pub")]),
        ("UserKnownHostsFile=/dev/null", []),
        ("IdentityFile=id_here", []),
        ("NotIdentityFile=/k", []),
    ],
)
def test_files_are_found_in_the_options_of_a_mount_command(word: str, found: list[KeyFile]) -> None:
    box = replace(BOX, mount_command=("sshfs", "-o", word, "u1@box:/a", "/srv/box"))
    assert key_files([box], STATE, HOME) == [OWN, *found]


# -- what is found at each --------------------------------------------------------------------


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A key as ssh-keygen makes it."""
    path = tmp_path / "id"
    keygen("-N", "", "-f", path)
    return path


def keygen(*words: str | Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", *words], check=True, timeout=30)


def looked(path: Path, days: float = 0.0, now: datetime = NOW) -> list[Look]:
    return look_at_key(KeyFile(str(path), certificate=f"{path}-cert.pub"), days, now)


def test_a_key_that_only_its_owner_reads_is_well_however_old(key: Path) -> None:
    assert looked(key) == [Look(str(key), kind="key")]


def test_a_key_ends_when_it_has_the_age_that_is_set(key: Path) -> None:
    os.utime(key, (NOW.timestamp(), NOW.timestamp()))
    end = NOW + timedelta(days=365)
    assert looked(key, 365.0) == [Look(str(key), end, kind="key", began_at=NOW)]


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o640, 0o602])
def test_a_key_that_others_may_read_is_no_secret(key: Path, mode: int) -> None:
    key.chmod(mode)
    (look,) = looked(key)
    assert look.trouble.startswith(f"others than its owner may read or change it (mode {mode:04o}")


def test_a_key_of_another_owner_may_be_lent_to_our_group(key: Path) -> None:
    answer = {"mode": 0o640, "owner": 0, "user": 998, "modified_at": 0.0, "certificate": ""}
    file = KeyFile(str(key))
    assert judged(file, answer, 0.0, NOW) == [Look(str(key), kind="key")]
    assert judged(file, {**answer, "mode": 0o644}, 0.0, NOW)[0].trouble != ""


def test_a_key_or_known_hosts_that_is_not_there_is_told(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert looked(gone) == [Look(str(gone), trouble="there is no such file", kind="key")]
    known = KeyFile(str(gone), HOSTS)
    assert look_at_key(known, 0.0, NOW) == [
        Look(str(gone), trouble="there is no such file", kind=HOSTS)
    ]
    gone.write_text("box.example ssh-ed25519 AAAA\n")
    assert look_at_key(known, 365.0, NOW) == [Look(str(gone), kind=HOSTS)]


def test_a_key_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (look,) = looked(tmp_path)
    assert look == Look(str(tmp_path), trouble="Is a directory", kind="key")
    denied = judged(KeyFile("/k"), {"trouble": "Permission denied"}, 0.0, NOW)
    assert denied == [Look("/k", trouble="Permission denied", kind="key")]


def test_the_key_that_signs_is_made_so_that_nobody_else_reads_it(tmp_path: Path) -> None:
    (own,) = key_files([], tmp_path, HOME)
    assert look_at_key(own, 0.0, NOW) == []  # it is made when it is needed first
    signer(tmp_path)
    assert look_at_key(own, 0.0, NOW) == [Look(own.path, kind="key")]


# -- ssh certificates -------------------------------------------------------------------------


def certified(key: Path, validity: str) -> Look:
    """The look at the certificate of a key that an authority signed for a span of time."""
    authority = key.with_name("authority")
    if not authority.exists():
        keygen("-N", "", "-f", authority)
    words = ("-s", authority, "-I", "archive", "-n", "u1", "-V", validity, f"{key}.pub")
    environment = {**os.environ, "TZ": "UTC"}
    subprocess.run(["ssh-keygen", "-q", *words], check=True, timeout=30, env=environment)
    _, found = looked(key)
    assert (found.name, found.kind) == (f"{key}-cert.pub", "ssh certificate")
    return found


def test_an_ssh_certificate_tells_when_it_begins_and_ends(key: Path) -> None:
    found = certified(key, "20260101000000:20260301123456")
    assert (found.began_at, found.ends_at, found.trouble) == (
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC),
        "",
    )
    early = certified(key, "20260201000000:20260301000000")
    assert early.trouble == "it is not valid before 2026-02-01 00:00Z"
    forever = certified(key, "always:forever")
    assert (forever.ends_at, forever.trouble) == (None, "")


def test_what_is_no_ssh_certificate_is_said_to_be_none(key: Path) -> None:
    beside = Path(f"{key}-cert.pub")
    beside.write_text("ssh-ed25519-cert-v01@openssh.com rubbish")
    _, found = looked(key)
    assert found.trouble.startswith("it is no certificate")
    beside.write_bytes(Path(f"{key}.pub").read_bytes())
    _, found = looked(key)
    assert found.trouble == "it is no certificate"
    # Of a kind that our library does not read: the round looks at everything else all the same.
    name = b"sk-ssh-ed25519-cert-v01@openssh.com"
    blob = base64.b64encode(len(name).to_bytes(4, "big") + name)
    beside.write_bytes(name + b" " + blob)
    _, found = looked(key)
    assert found.trouble.startswith("it is no certificate that can be read: Unsupported")


def test_a_certificate_may_end_later_than_any_calendar_does(key: Path) -> None:
    found = certified(key, "20260101000000:0x7fffffffffffffff")
    assert (found.ends_at, found.trouble) == (None, "")


# -- what is told -----------------------------------------------------------------------------


def whats(look: Look, **last: object) -> list[str]:
    told = {"key:/k": Told("key:/k", **last)} if last else {}  # type: ignore[arg-type]
    return [each.what for each in plan([look], told, NOW)]


def test_that_a_key_is_well_is_told_once_and_when_it_is_well_again() -> None:
    well = Look("/k", kind="key")
    long_ago = NOW - timedelta(days=90)
    assert whats(well) == [SEEN]
    assert whats(well, what=SEEN, at=long_ago) == []
    assert whats(well, what=UNSEEN, at=long_ago, why="there is no such file") == [SEEN]
    assert whats(well, what=SEEN, at=NOW, evidence={"ends_at": NOW.isoformat()}) == [SEEN]
    assert whats(Look("/k", trouble="gone", kind="key"), what=SEEN, at=NOW) == [UNSEEN]


def test_a_certificate_of_a_day_is_told_of_in_its_second_half_only() -> None:
    end = NOW + timedelta(hours=24)
    assert Expiry("ssh certificate", "/c", end, began_at=NOW).warn_at(21.0) == NOW + timedelta(
        hours=12
    )
