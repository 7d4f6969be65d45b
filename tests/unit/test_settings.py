"""Settings: where each value comes from, and one sentence for everything that is wrong."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healtharchive import __version__
from healtharchive.model.errors import SetupError
from healtharchive.settings import environment_of, load
from healtharchive.settings.declared import declarations, variable_of
from healtharchive.settings.envfile import parse
from healtharchive.settings.masking import mask_url, shown
from healtharchive.settings.reference import reference

ROOT = Path(__file__).parents[2]


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    return tmp_path / "backend.env"


def test_environment_wins_over_env_file_over_default(env_file: Path) -> None:
    env_file.write_text("HEALTHARCHIVE_BIND_PORT=9000\nHEALTHARCHIVE_WORKER_JOBS=5\n")
    settings = load({"HEALTHARCHIVE_BIND_PORT": "9001"}, env_file=env_file)
    assert (settings.bind_port, settings.worker_jobs, settings.starts_per_hour) == (9001, 5, 6)
    assert settings.origin("bind_port") == "environment variable HEALTHARCHIVE_BIND_PORT"
    assert settings.origin("worker_jobs") == f"{env_file} line 2"
    assert settings.origin("starts_per_hour") == "default"


def test_named_env_file_replaces_the_usual_one(env_file: Path, tmp_path: Path) -> None:
    env_file.write_text("HEALTHARCHIVE_WORKER_JOBS=5\n")
    other = tmp_path / "other.env"
    other.write_text("HEALTHARCHIVE_BIND_PORT=9000\n")
    settings = load({"HEALTHARCHIVE_ENV_FILE": str(other)}, env_file=env_file)
    assert (settings.worker_jobs, settings.bind_port) == (2, 9000)


def test_absent_usual_env_file_is_fine(env_file: Path) -> None:
    assert load({}, env_file=env_file).bind_port == 8090


def test_absent_named_env_file_is_an_error(env_file: Path) -> None:
    with pytest.raises(SetupError, match=r"backend\.env cannot be read: No such file"):
        load({"HEALTHARCHIVE_ENV_FILE": str(env_file)})


def test_env_file_that_is_a_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot be read"):
        load({}, env_file=tmp_path)


def test_env_file_that_is_not_text_names_its_line(env_file: Path) -> None:
    env_file.write_bytes(b"HEALTHARCHIVE_BIND_PORT=1\nX=\xff\n")
    with pytest.raises(SetupError, match=r"not UTF-8 text \(line 2\)"):
        load({}, env_file=env_file)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("A=1\nnonsense\n", "Line 2 of the environment file .* is not NAME=value"),
        ("\n# x\nA='open\nB=2\n", "Line 3 .* never closed"),
        ("1A=2\n", "Line 1 .* no proper name"),
        ("A B=2\n", "Line 1 .* no proper name"),
    ],
)
def test_broken_env_file_names_file_and_line(env_file: Path, text: str, sentence: str) -> None:
    env_file.write_text(text)
    with pytest.raises(SetupError, match=sentence):
        load({}, env_file=env_file)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=plain", "plain"),
        ("A=two words  ", "two words"),
        ("export A=1", "1"),
        ("  A = spaced", "spaced"),
        ("A='single $x \\n'", "single $x \\n"),
        ('A="double \\"q\\" \\$x \\n"', 'double "q" $x \\n'),
        ("A=\"one\" 'two'", "onetwo"),
        ('A=in"side', 'in"side'),
        ("A=back\\\nslash", "backslash"),
        ("A=escaped\\\\\n", "escaped\\"),
        ("A=kept\\ \n", "kept "),
        ('A="escaped\\\\\nbackslash"', "escaped\\\nbackslash"),
        ("A=value # not a comment", "value # not a comment"),
        ("A='two\nlines'", "two\nlines"),
        ("A=", ""),
        ("A=x=y", "x=y"),
        ("A=1\r\n", "1"),
        ("; comment\n# comment \\\n goes on\nA=1", "1"),
    ],
)
def test_env_file_is_read_as_systemd_reads_it(line: str, value: str) -> None:
    assert [item.value for item in parse(line, Path("f"))] == [value]


names = st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True)
values = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="'"))


@given(st.lists(st.tuples(names, values)))
def test_quoted_values_come_back_as_written(pairs: list[tuple[str, str]]) -> None:
    text = "".join(f"{name}='{value}'\n" for name, value in pairs)
    assert [(item.name, item.value) for item in parse(text, Path("f"))] == pairs
    assert [item.line for item in parse(text, Path("f"))] == list(range(1, len(pairs) + 1))


@given(st.text())
def test_any_text_is_parsed_or_refused_in_a_sentence(text: str) -> None:
    with contextlib.suppress(SetupError):
        assert all(item.line >= 1 for item in parse(text, Path("f")))


@pytest.mark.parametrize(
    ("name", "text", "allowed"),
    [
        ("bind_port", "http", "a whole number from 0 to 65,535"),
        ("bind_port", "65536", "a whole number from 0 to 65,535"),
        ("worker_jobs", "2.5", "a whole number of jobs from 1 to 64"),
        ("lease_seconds", "nan", "a number of seconds from 1 to 86,400"),
        ("log_level", "loud", "one of debug, info, warning, error"),
        ("jobs_root", "jobs", "an absolute path"),
    ],
)
def test_wrong_value_names_setting_place_and_what_is_allowed(
    env_file: Path, name: str, text: str, allowed: str
) -> None:
    env_file.write_text(f"\n{variable_of(name)}={text}\n")
    with pytest.raises(SetupError) as refused:
        load({}, env_file=env_file)
    assert variable_of(name) in refused.value.what
    assert f"{env_file} line 2" in refused.value.what
    assert refused.value.what.endswith(f"must be {allowed}.")


def test_heartbeat_must_fit_into_the_lease() -> None:
    with pytest.raises(SetupError, match=r"HEARTBEAT_SECONDS is 10 .*LEASE_SECONDS, which is 5"):
        load({"HEALTHARCHIVE_LEASE_SECONDS": "5", "HEALTHARCHIVE_ENV_FILE": os.devnull})


def test_directories_hang_on_the_data_directory(tmp_path: Path) -> None:
    settings = load({"HEALTHARCHIVE_DATA_DIR": str(tmp_path), "HEALTHARCHIVE_SEARCH_DIR": "/s"})
    assert settings.jobs_root == tmp_path / "jobs"
    assert settings.search_dir == Path("/s")


def test_unset_database_is_the_embedded_one_only_if_it_exists(tmp_path: Path) -> None:
    env = {"HEALTHARCHIVE_DATA_DIR": str(tmp_path), "HEALTHARCHIVE_DATABASE_URL": ""}
    assert load(env).database_url == ""
    (tmp_path / "healtharchive.sqlite").touch()
    assert load(env).database_url == f"sqlite:///{tmp_path}/healtharchive.sqlite"
    assert load(env).origin("database_url") == "the embedded database in data_dir"


def test_unknown_variable_is_reported_with_the_closest_one(env_file: Path) -> None:
    env_file.write_text("HEALTHARCHIVE_DATABSE_URL=x\nOTHER=1\nHEALTHARCHIVE_XQXQXQXQ=1\n")
    first, second = load({}, env_file=env_file).unknown
    assert first.suggestion == "HEALTHARCHIVE_DATABASE_URL"
    assert first.origin == f"{env_file} line 1"
    assert (second.variable, second.suggestion) == ("HEALTHARCHIVE_XQXQXQXQ", "")


def test_a_child_given_the_environment_loads_the_same_settings(tmp_path: Path) -> None:
    env = {"HEALTHARCHIVE_DATA_DIR": str(tmp_path), "HEALTHARCHIVE_COMMIT_SECONDS": "0.125"}
    settings = load(env)
    again = load(environment_of(settings))
    assert all(getattr(again, name) == getattr(settings, name) for name in declarations())


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:top-secret@db/x",
        "postgresql://me:top-secret:@/@db/x",
        "postgresql:///x?host=/run&password=top-secret",
        "postgresql+psycopg://me:p@top-secret@db/x",
    ],
)
def test_database_password_is_never_shown(url: str) -> None:
    assert "top-secret" not in mask_url(url)
    lines = shown(load({"HEALTHARCHIVE_DATABASE_URL": url, "HEALTHARCHIVE_ENV_FILE": os.devnull}))
    assert not any("top-secret" in str(line.value) for line in lines)


def test_url_without_password_is_shown_whole() -> None:
    for url in ("sqlite:////a/b@c:d.sqlite", "postgresql://me@db:5432/x", "https://a.ca/x"):
        assert mask_url(url) == url


def test_every_setting_has_a_type_a_help_and_a_range() -> None:
    for name, (kind, declaration) in declarations().items():
        assert kind in ("str", "int", "float", "Path"), name
        assert declaration.help.endswith("."), name
        if kind in ("int", "float"):
            assert declaration.least is not None, name
            assert declaration.most is not None, name


def test_reference_page_is_up_to_date() -> None:
    assert (ROOT / "docs/reference/settings.md").read_text() == reference(), "run `make docs`"


def test_version_is_said_once() -> None:
    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text()


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Files are opened as a user without rights: root ignores mode bits."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_unreadable_env_file_is_an_error() -> None:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        file = Path(directory) / "backend.env"
        file.write_text("HEALTHARCHIVE_BIND_PORT=1\n")
        file.chmod(0)
        with as_nobody(), pytest.raises(SetupError, match=r"backend\.env cannot be read: Perm"):
            load({}, env_file=file)
        Path(directory).chmod(0o700)
        with as_nobody(), pytest.raises(SetupError, match="cannot even see whether"):
            load({}, env_file=file)
        Path(directory).chmod(0o700)


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ({"quiet_hours": "22-7"}, "HEALTHARCHIVE_QUIET_HOURS is '22-7'"),
        (
            {"quiet_hours": "22:00-07:00", "quiet_zone": "Mars"},
            "HEALTHARCHIVE_QUIET_ZONE is 'Mars'",
        ),
        ({"notify_urls": "json://a/b c3cr3t"}, "Address 2 in HEALTHARCHIVE_NOTIFY_URLS .* is none"),
        ({"heartbeat_url": "c3cr3t"}, "Address 1 in HEALTHARCHIVE_HEARTBEAT_URL .* is none"),
    ],
)
def test_what_would_stop_the_alerts_is_refused_when_it_is_loaded(
    written: dict[str, str], sentence: str, env_file: Path
) -> None:
    with pytest.raises(SetupError, match=sentence) as caught:
        load({variable_of(name): text for name, text in written.items()}, env_file=env_file)
    assert caught.value.cure
    assert "c3cr3t" not in str(caught.value)
