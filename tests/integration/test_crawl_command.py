"""`healtharchive crawl URL`, as a person types it and waits for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.lab.answers import sha256
from tests.lab.archive import IMPATIENT, Archive, CommandFailed, command, tail
from tests.lab.postgres import free_port
from tests.lab.processes import ROOT, kill_tree, spawn, wait_for, without_settings
from tests.lab.site import Site, serving
from tests.lab.small_site import Answer, answering, redirect
from tests.lab.truth import read_captures, warc_files

SENDER = "import os, sys, time; os.kill(int(sys.argv[1]), 15); time.sleep(60)"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with serving(40, nasty=False) as running:
        yield running


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """An archive without a database: `crawl` and `up` make it."""
    made = Archive(tmp_path / "data", {**IMPATIENT, "DATABASE_URL": ""})
    made.data_dir.mkdir()
    (made.data_dir / "backend.env").touch()
    return made


def started(archive: Archive, *words: str) -> subprocess.Popen[bytes]:
    """A command that is left running."""
    return spawn(command(*words), environment=archive.environment, log=archive.worker_log)


def stop_by_a_stranger(process: subprocess.Popen[bytes]) -> int:
    """End the process by a SIGTERM from another one, whose pid is returned."""
    with subprocess.Popen([sys.executable, "-c", SENDER, str(process.pid)]) as sender:
        process.wait(40)
        sender.kill()
    return sender.pid


def journal(archive: Archive, what: str) -> dict[str, Any]:
    """The newest event of this kind."""
    events = [json.loads(line) for line in archive.run("events", "--json").splitlines()]
    found: dict[str, Any] = [each for each in events if each["what"] == what][-1]
    return found


def jobs_there(archive: Archive) -> list[dict[str, Any]]:
    try:
        return archive.jobs()
    except CommandFailed:
        return []  # its database is being made


# -- who ended it --------------------------------------------------------------------------------


def test_up_names_the_sender_of_a_stop_signal(archive: Archive) -> None:
    port = free_port()
    up = Archive(archive.data_dir, {**archive.settings, "BIND_PORT": str(port)})
    process = started(up, "up")
    try:
        wait_for(
            lambda: "the archive is at" in tail(up.worker_log), what="the pages are up", seconds=60
        )
        sender = stop_by_a_stranger(process)
    finally:
        kill_tree(process)
    assert process.returncode == 0, tail(up.worker_log)
    assert journal(up, "stop_signal")["evidence"]["sender_pid"] == sender


def test_crawl_names_the_sender_of_a_stop_signal(site: Site, archive: Archive) -> None:
    process = started(archive, "crawl", site.url, "--allow-private", "--delay", "0.2")
    try:
        wait_for(lambda: jobs_there(archive) and captured(archive), what="it captures", seconds=60)
        sender = stop_by_a_stranger(process)
    finally:
        kill_tree(process)
    assert journal(archive, "stop_signal")["evidence"]["sender_pid"] == sender


def captured(archive: Archive) -> int:
    """How many URLs the only job has captured."""
    done: int = archive.job()["counts"]["done"]
    return done


# -- what cannot be captured ---------------------------------------------------------------------


def refused(archive: Archive, *words: str, **settings: str) -> str:
    """The one sentence with which a command refuses; its exit code is neither 0 nor a bug's."""
    there = Archive(archive.data_dir, {**archive.settings, **settings})
    done = subprocess.run(
        command(*words),
        env={**without_settings(), **there.environment},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode not in (0, 70), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    sentence = done.stderr.splitlines()[-1]
    assert sentence.startswith("healtharchive: ")
    return sentence


def test_a_host_that_does_not_exist_ends_the_crawl_with_its_reason(archive: Archive) -> None:
    sentence = refused(archive, "crawl", "http://nonexistent.invalid/")
    assert "nonexistent.invalid: " in sentence
    assert jobs_there(archive) == []


def test_a_seed_that_refuses_connections_ends_the_crawl_with_its_reason(archive: Archive) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    assert "Connect call failed" in refused(archive, "crawl", url, "--allow-private")


def test_a_private_address_is_refused_with_what_would_allow_it(archive: Archive) -> None:
    sentence = refused(archive, "crawl", f"http://127.0.0.1:{free_port()}/")
    assert "a loopback address" in sentence
    assert "`--allow-private`" in sentence


def test_a_site_without_rules_is_given_up_and_left_alone(archive: Archive) -> None:
    with answering(lambda _host, _path: Answer(status=500)) as site:
        sentence = refused(archive, "crawl", f"{site.url}/", "--allow-private", "--delay", "0")
    assert "its robots.txt answered 500" in sentence
    assert archive.job()["status"] == "cancelled"


@pytest.mark.parametrize("setting", ["JOBS_ROOT", "SEARCH_DIR"])
@pytest.mark.parametrize("place", ["{tmp}/file/below", "/proc/jobs"])
def test_a_directory_that_cannot_be_written_to_ends_the_crawl_at_once(
    archive: Archive, tmp_path: Path, setting: str, place: str
) -> None:
    (tmp_path / "file").touch()
    directory = place.format(tmp=tmp_path)
    sentence = refused(archive, "crawl", "http://127.0.0.1:9/", **{setting: directory})
    assert directory in sentence
    assert f"set HEALTHARCHIVE_{setting}" in sentence


# -- going on ------------------------------------------------------------------------------------


def test_a_killed_crawl_is_continued_by_the_same_command(site: Site, archive: Archive) -> None:
    words = ("crawl", site.url, "--allow-private", "--delay", "0.1")
    process = started(archive, *words)
    try:
        wait_for(lambda: jobs_there(archive) and captured(archive) > 5, what="it captures")
    finally:
        kill_tree(process)
    before = len(site.requests())
    process = started(archive, *words[:-1], "0")
    try:
        assert process.wait(120) == 0, tail(archive.worker_log)
    finally:
        kill_tree(process)
    log = archive.worker_log.read_text()
    assert "Job 1 is continued: " in log
    job = archive.job()
    assert (job["status"], job["rescue_count"]) == ("indexed", 1)
    asked_again = len(site.requests()) - before
    assert asked_again < job["counts"]["done"]
    archive.run(*words[:-1], "0", "--pages", "3")
    archive.run(*words[:-1], "0", "--pages", "3", "--new")
    assert [each["id"] for each in archive.jobs()] == [1, 2, 3]


def test_new_begins_another_job_beside_an_unfinished_one(site: Site, archive: Archive) -> None:
    words = ("crawl", site.url, "--allow-private", "--delay")
    process = started(archive, *words, "5")
    try:
        wait_for(lambda: jobs_there(archive) and captured(archive), what="it captures")
    finally:
        kill_tree(process)
    archive.run(*words, "0", "--new", "--pages", "3")
    first, second = archive.jobs()
    assert (first["id"], second["status"]) == (1, "indexed")
    assert first["status"] != "indexed"


# -- where a seed leads --------------------------------------------------------------------------


HOSTS = "127.0.0.1 localhost example.org www.example.org\n"


def test_a_seed_that_leads_to_www_takes_it_into_the_scope(archive: Archive, tmp_path: Path) -> None:
    def to_www(host: str, path: str) -> Answer:
        if path == "/robots.txt":
            return Answer(status=404)
        if host == "example.org":
            return redirect(f"http://www.example.org:{site.port}{path}")
        return Answer(b"<title>Home</title><p>The home of the examples, at last.</p>")

    (tmp_path / "hosts").write_text(HOSTS)
    with answering(to_www) as site:
        words = command("crawl", f"http://example.org:{site.port}/", "--allow-private")
        script = f'mount --bind {tmp_path / "hosts"} /etc/hosts && exec "$@"'
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, "sh", *words, "--delay", "0"],
            env={**without_settings(), **archive.environment},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "leads to www.example.org, which is captured with it" in done.stderr
    assert archive.ask("search", "home of the examples")["total"] == 1


def test_a_seed_that_leads_to_another_site_fails_and_says_where(archive: Archive) -> None:
    def elsewhere(_host: str, path: str) -> Answer:
        return Answer(status=404) if path == "/robots.txt" else redirect("http://127.0.0.2:9/away")

    with answering(elsewhere) as site:
        url = f"{site.url}/"
        sentence = refused(archive, "crawl", url, "--allow-private", "--delay", "0")
    assert f"{url} leads to http://127.0.0.2:9/away, which is out of scope" in sentence
    assert archive.job()["status"] == "failed"


def test_a_page_is_cut_off_at_the_bytes_asked_for(archive: Archive) -> None:
    def long(_host: str, path: str) -> Answer:
        return Answer(status=404) if path == "/robots.txt" else Answer(b"x" * 50_000)

    with answering(long) as site:
        words = ("crawl", f"{site.url}/", "--allow-private", "--delay", "0")
        archive.run(*words, "--page-bytes", "1000")
    (held,) = [each for each in read_captures(warc_files(archive.job_dir())) if each.status == 200]
    assert held.entity_sha256 == sha256(b"x" * 1000)


def test_what_was_left_out_and_noticed_is_told_of_the_job(archive: Archive) -> None:
    home = Answer(b"<a href='/a;jsessionid=1'>a</a><a href='/calendar/month/1066/01'>b</a>")

    def answer(_host: str, path: str) -> Answer:
        rules = f"Sitemap: {site.url}/sitemap.xml\n".encode()
        return {"/": home, "/robots.txt": Answer(rules)}.get(path, Answer(status=404))

    with answering(answer) as site:
        archive.run("crawl", f"{site.url}/", "--allow-private", "--delay", "0")
    told = {each["what"]: each for each in archive.ask("show-job", "--id", "1")["remarks"]}
    assert told["session id removed"]["number"] == 1
    assert told["sitemap: answered 404"]["kind"] == "noted"
    assert told["trap: a calendar far from today"]["kind"] == "excluded"
    assert "session id removed" in archive.run("show-job", "--id", "1")
    port = free_port()
    with archive.serving(port):
        page = wait_for(
            lambda: read(f"http://127.0.0.1:{port}/fr/job/1"), what="the page", seconds=30
        )
    assert "Laissé de côté et remarqué" in page
    assert "trap: a calendar far from today" in page


def read(url: str) -> str:
    """A page's text; empty when it cannot be had."""
    try:
        with urlopen(url, timeout=5.0) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


# -- long work shows how far it is ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("verify", "--job", "1"), "files verified"),
        (("rebuild",), "captures indexed"),
        (("run-db-job", "--id", "2", "--until-settled"), "job 2 "),
    ],
)
def test_long_work_is_shown_as_lines_in_a_log_and_as_a_bar_on_a_terminal(
    finished: Archive, words: tuple[str, ...], said: str
) -> None:
    script = "import sys, time; from healtharchive.cli import progress; progress.LOOK_SECONDS = 0;"
    script += "from healtharchive.cli.main import main; sys.exit(main(sys.argv[1:]))"
    environment = {**without_settings(), **finished.environment, "TERM": "xterm"}
    plain = subprocess.run(
        [sys.executable, "-c", script, *words],
        env=environment,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert plain.returncode == 0, plain.stderr
    assert said in plain.stderr
    assert "\x1b[" not in plain.stderr
    assert said not in plain.stdout
    assert "\x1b[" in on_a_terminal([sys.executable, "-c", script, *words], environment)


def on_a_terminal(words: list[str], environment: dict[str, str]) -> str:
    """What a command writes to stderr when that is a terminal."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        words, env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    try:
        written = b"".join(iter(lambda: _read_terminal(ours), b""))
        process.wait(60)
    finally:
        kill_tree(process)
        os.close(ours)
    return written.decode(errors="replace")


def _read_terminal(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # its last writer is gone
        return b""


@pytest.fixture(scope="module")
def finished(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """An archive with two finished jobs; another run of them goes on to do nothing."""
    made = Archive(tmp_path_factory.mktemp("finished") / "data", {**IMPATIENT, "DATABASE_URL": ""})
    made.data_dir.mkdir()
    (made.data_dir / "backend.env").touch()
    for _ in range(2):
        made.run("crawl", site.url, "--allow-private", "--delay", "0", "--pages", "3")
    return made
