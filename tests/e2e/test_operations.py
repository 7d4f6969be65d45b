"""The operations pages in a real Chromium: in by a token, live by a stream, readable by all."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import insert, update

from healtharchive.model.states import JobStatus, TargetEvent
from healtharchive.model.tables import archive_jobs
from healtharchive.model.tables_operation import progress_samples
from healtharchive.model.target import TargetDefinition, TargetKind
from healtharchive.model.targets import change_target, declare_targets
from tests.lab.archive import Archive, command, tail
from tests.lab.axe import violations
from tests.lab.processes import kill, running, wait_for
from tests.lab.reader import READY_SECONDS, Reader, Served, reader
from tests.lab.small_archive import ACTOR, SmallArchive, build

WIDER = "() => document.scrollingElement.scrollWidth - window.innerWidth"
PHONE = {"width": 320, "height": 640}
DESK = {"width": 1280, "height": 900}
LIVE_MS = 30_000.0
PLACES = {
    "overview": "",
    "jobs": "/jobs",
    "job": "/job/1",
    "campaigns": "/campaigns",
    "campaign": "/campaign/annual-2026",
    "storage": "/storage",
    "journal": "/journal",
    "reports": "/reports",
}


@dataclass(frozen=True)
class Office:
    """A served archive, its operations pages, and a token for all of it."""

    archive: SmallArchive
    served: Served
    address: str
    token: str
    process: subprocess.Popen[bytes]


@contextmanager
def served_office(directory: Path) -> Iterator[Office]:
    """An archive that has something of everything, with its operations pages on a port."""
    made = build(directory, [])
    furnish(made)
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    (directory / "backend.env").touch()
    archive = Archive(
        directory,
        {
            "DATABASE_URL": made.settings.database_url,
            "OPERATIONS_PORT": str(port),
            "BIND_PORT": "0",
        },
    )
    token = archive.run("token", "create", "keeper", "--scope", "admin").strip()
    log = directory / "serve.log"
    with running(command("serve"), environment=archive.environment, log=log) as process:
        address = f"http://127.0.0.1:{port}"

        def answers() -> bool:
            assert process.poll() is None, tail(log)
            try:
                return httpx.get(f"{address}/en/operations/login", trust_env=False).is_success
            except httpx.TransportError:
                return False

        wait_for(answers, what="the operations pages are served", seconds=READY_SECONDS)
        yield Office(made, Served(address, address), address, token, process)


def furnish(archive: SmallArchive) -> None:
    """A job that waits, samples of it, and a target that was away for a while."""
    database = archive.database
    cold = TargetDefinition("cold", TargetKind.LOCAL, "/nowhere/cold", ship=True)
    with database.begin() as connection:
        now = database.now(connection)
        connection.execute(update(archive_jobs).values(status=JobStatus.QUEUED))
        declare_targets(database, connection, [cold], actor=ACTOR)
        for event, why in (
            (TargetEvent.TRIP, "stat /nowhere/cold: errno 107"),
            (TargetEvent.PROBE_OK, "3 good looks"),
            (TargetEvent.TRIAL_OK, "job 1 got on"),
        ):
            change_target(database, connection, "cold", event, actor=ACTOR, why=why)
        for number in range(60):
            connection.execute(
                insert(progress_samples).values(
                    job_id=1,
                    at=now - timedelta(minutes=60 - number),
                    fence=1,
                    urls_queued=900 - 10 * number,
                    urls_done=int(12.5 * number) + number % 7,
                    urls_failed=number // 9,
                    bytes_written=1_300_000 * number,
                )
            )


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with served_office(tmp_path_factory.mktemp("office")) as made:
        yield made


def come_in(office: Office, page: Page, place: str = "", language: str = "en") -> None:
    """Go to a page, be led to the login, and come back to the page."""
    page.goto(f"{office.address}/{language}/operations{place}")
    page.locator("#token").fill(office.token)
    page.locator("main form button").click()
    page.wait_for_url(f"**/{language}/operations{place}")


@contextmanager
def watched(person: Reader) -> Iterator[None]:
    """The browser refused nothing of these pages, and asked nobody else."""
    said: list[str] = []
    person.page.on("console", lambda message: said.append(message.text))
    person.page.on("pageerror", lambda error: said.append(str(error)))
    yield
    assert [each for each in said if "Security Policy" in each or "Error" in each] == []
    assert person.left == []


def test_a_pause_with_its_reason_is_seen_live_on_another_persons_page(
    office: Office, browser: Browser
) -> None:
    with (
        reader(browser, office.served) as one,
        reader(browser, office.served) as other,
        watched(one),
        watched(other),
    ):
        come_in(office, other.page, "/job/1")
        expect(other.page.locator("#live")).to_have_text("This page is live.")
        assert other.page.evaluate("window.loadedOnce = true")
        come_in(office, one.page)
        one.picture("operations-overview")
        one.page.locator("#waiting a", has_text="Job 1").click()
        why = "the ministry asked for quiet until Monday"
        one.page.locator("#why").fill(why)
        one.page.get_by_role("button", name="Pause", exact=True).click()
        one.page.wait_for_url("**/job/1?event=*")
        assert why in one.page.locator("#done").inner_text()
        assert one.page.locator("h1 .status-paused").count() == 1
        one.picture("operations-job-paused")
        # The other one did nothing, and no new page was loaded.
        expect(other.page.locator("h1 .status-paused")).to_have_count(1, timeout=LIVE_MS)
        expect(other.page.locator("#story li").first).to_contain_text(why)
        expect(other.page.locator("#story li").first).to_contain_text("token keeper")
        assert other.page.evaluate("window.loadedOnce")
        other.picture("operations-job-live")
        # What somebody writes is not taken away by news.
        other.page.locator("#why").fill("I was just about to say")
        one.page.locator("#why").fill("it is Monday")
        one.page.get_by_role("button", name="Resume").click()
        one.page.wait_for_url("**/job/1?event=*")
        expect(other.page.locator("h1 .status-queued")).to_have_count(1, timeout=LIVE_MS)
        assert other.page.locator("#why").input_value() == "I was just about to say"


def test_without_scripts_the_pages_and_their_forms_are_the_same(
    office: Office, browser: Browser
) -> None:
    with reader(browser, office.served, java_script_enabled=False) as person:
        page = person.page
        come_in(office, page)
        page.locator("summary", has_text="Pause or resume").click()
        page.locator("#why-pause").fill("a new disk")
        page.get_by_role("button", name="Pause the workers").click()
        assert "a new disk" in page.locator("#done").inner_text()
        assert "token keeper: a new disk" in page.locator("#services").inner_text()
        page.locator("summary", has_text="Pause or resume").click()
        page.locator("#why-resume").fill("it is in")
        page.get_by_role("button", name="Resume the workers").click()
        assert "it is in" in page.locator("#done").inner_text()
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url("**/login")
        page.goto(f"{office.address}/en/operations")
        assert "/login" in page.url


def test_a_wrong_token_is_told_so(office: Office, browser: Browser, axe: str) -> None:
    with reader(browser, office.served, viewport=PHONE) as person:
        page = person.page
        page.goto(f"{office.address}/fr/operations/storage")
        page.locator("#token").fill("hat_not-this-one")
        page.locator("main form button").click()
        page.locator("#wrong").wait_for()
        assert violations(page, axe) == []
        assert page.evaluate(WIDER) <= 0
        person.picture("operations-login-wrong")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_page_fits_and_can_be_read_by_everybody(
    office: Office, browser: Browser, axe: str, language: str, scheme: str
) -> None:
    for size, viewport in (("phone", PHONE), ("desk", DESK)):
        with reader(browser, office.served, color_scheme=scheme, viewport=viewport) as person:
            page = person.page
            come_in(office, page, language=language)
            for name, place in PLACES.items():
                page.goto(f"{office.address}/{language}/operations{place}")
                page.locator("#live:not([hidden])").wait_for()
                for closed in page.locator("details").all():
                    closed.evaluate("each => { each.open = true }")
                assert page.evaluate(WIDER) <= 0, f"{name} {size}: it scrolls sideways"
                assert violations(page, axe) == [], f"{name} {size}"
                if language == "en" or size == "phone":
                    page.evaluate(
                        "document.querySelectorAll('details').forEach(e => e.open = false)"
                    )
                    person.picture(f"operations-{name}-{language}-{scheme}-{size}")


def test_a_stream_tells_what_is_new_and_ends_with_the_server(tmp_path: Path) -> None:
    with served_office(tmp_path) as office, httpx.Client(trust_env=False, timeout=60.0) as client:
        api = {"Authorization": f"Bearer {office.token}"}
        own = {"Sec-Fetch-Site": "same-origin"}
        login = f"{office.address}/en/operations/login"
        assert client.post(login, data={"token": office.token}, headers=own).status_code == 303
        with client.stream("GET", f"{office.address}/operations/stream") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = stream.iter_lines()
            assert next(lines) == "retry: 3000"
            pause = f"{office.address}/api/admin/v1/jobs/1/pause"
            done = httpx.post(pause, json={"why": "lunch"}, headers=api, trust_env=False)
            assert done.status_code == 200, done.text
            told = next(line for line in lines if line.startswith("data:") and "lunch" in line)
            assert '"by": "token keeper"' in told
            # A stop does not wait for whoever listens.
            kill(office.process.pid, 15)
            assert list(lines)[-1:] != ["retry: 3000"]
        assert office.process.wait(15) == 0


def test_live_pages_are_bounded_and_the_others_are_told(office: Office) -> None:
    with httpx.Client(trust_env=False, timeout=60.0) as client:
        own = {"Sec-Fetch-Site": "same-origin"}
        login = f"{office.address}/en/operations/login"
        client.post(login, data={"token": office.token}, headers=own)
        open_streams: list[httpx.Response] = []
        listening: list[Iterator[str]] = []
        try:
            for _ in range(40):
                request = client.build_request("GET", f"{office.address}/operations/stream")
                answer = client.send(request, stream=True)
                open_streams.append(answer)
                if answer.status_code != 200:
                    break
                lines = answer.iter_lines()
                assert next(lines) == "retry: 3000"
                listening.append(lines)  # who lets go of it hangs up
            assert answer.status_code == 503
            assert len(open_streams) == 17
            assert re.search("16 pages are live", answer.read().decode())
        finally:
            for each in open_streams:
                each.close()

        def free() -> bool:
            with client.stream("GET", f"{office.address}/operations/stream") as again:
                return again.status_code == 200

        wait_for(free, what="a closed page makes room", seconds=20.0, every=0.5)
