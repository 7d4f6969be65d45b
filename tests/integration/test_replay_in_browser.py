"""A crawl replayed when its site is gone: in the browser, from the WARC files and nothing else."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from healtharchive.crawl.browser.authority import Authority
from healtharchive.crawl.browser.chromium import Browsers, Launch
from healtharchive.crawl.browser.proxy import RecordingProxy
from healtharchive.crawl.browser.recorded import Recorded, SampledPage
from healtharchive.crawl.browser.rendering import PageOptions
from healtharchive.crawl.browser.replay import replay_sample, sample_pages
from healtharchive.crawl.browser.replayed import Replayed, ReplayThresholds, replays_well
from healtharchive.crawl.survey import KeptFrontier
from healtharchive.model.source import BrowserOptions
from tests.lab.archive import Archive
from tests.lab.front_site import CDN_HOST, HOST, FrontSite, front_site
from tests.lab.replaying import OnDisk

CAPTURE_SECONDS = 240.0
REPLAY_SECONDS = 120.0
MEASURED = "/api/measure"  # posted with the time of day: never the same twice
NO_BROWSER, INCOMPLETE = 3, 10
SAMPLE = 5
LIMITS = ReplayThresholds()


@dataclass(frozen=True)
class Gone:
    """A captured job whose site has ended. `listening` is where it was: nobody shall come."""

    archive: Archive
    site: FrontSite
    job_dir: Path
    listening: tuple[socket.socket, ...]

    def assert_nobody_asked(self) -> None:
        """Nobody came to where the site was."""
        for each in self.listening:
            with pytest.raises(BlockingIOError):
                each.accept()


@pytest.fixture(scope="module")
def gone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gone]:
    archive = Archive(tmp_path_factory.mktemp("house") / "data")
    with front_site() as site:
        archive.set_up(site.source_toml(engine="auto"))
        archive.run("create-job", "--source", "front")
        with archive.working() as worker:
            archive.wait_until_settled(seconds=CAPTURE_SECONDS, worker=worker)
    port = urlsplit(site.url).port
    with ExitStack() as stack:
        made = [
            stack.enter_context(socket.create_server((host, port or 0)))
            for host in (HOST, CDN_HOST)
        ]
        for each in made:
            each.setblocking(False)
        yield Gone(archive, site, archive.job_dir(), tuple(made))


def launch(directory: Path, executable: str = "chromium") -> Launch:
    return Launch(directory / "replays", executable, languages=("en", "fr"))


def replayed(
    frontier_path: Path, records: OnDisk, launched: Launch, urls: Sequence[str]
) -> list[Replayed]:
    """These pages, replayed."""

    async def main() -> list[Replayed]:
        with closing(KeptFrontier(frontier_path)) as frontier:
            pages = [each for each in sample_pages(frontier, 1_000, 1) if each.url in urls]
            assert len(pages) == len(urls)
            async with asyncio.timeout(REPLAY_SECONDS):
                return await replay_sample(frontier, records, pages, launched, BrowserOptions())

    return asyncio.run(main())


def test_pages_replay_as_they_were_though_their_site_is_gone(gone: Gone) -> None:
    found = gone.archive.ask("quality", "1", "--replay", str(SAMPLE))
    assert found["verdict"] == "COMPLETE"
    assert f"of {SAMPLE} pages sampled {SAMPLE} replay" in found["notes"]
    assert found["evidence"]["replays"] == {
        "sampled": SAMPLE,
        "well": SAMPLE,
        "skipped": 0,
        "worst": "",
    }
    assert found["stored"] == "COMPLETE"
    rendered = {page.url for page in gone.site.truth.pages}
    for page in found["replayed"]:
        assert page["url"] in rendered
        assert page["similarity"] >= LIMITS.similarity
        assert page["title_kept"]
        assert page["picture_difference"] < 0.02
        assert page["requests"] > 10
        assert {each["url"] for each in page["missing"]} <= {gone.site.url + MEASURED}
    gone.assert_nobody_asked()


def test_what_scrolling_waiting_shadows_and_frames_bring_is_there_again(
    gone: Gone, tmp_path: Path
) -> None:
    deep = {page.url: page for page in gone.site.truth.shells if page.deeper}
    records = OnDisk(gone.job_dir / "warcs")
    authority = Authority.create()
    browsers = Browsers(
        Launch(tmp_path / "replays", languages=("en", "fr"), spki_hash=authority.spki_hash)
    )
    tabs = asyncio.Semaphore(2)

    async def text(frontier: KeptFrontier, page: SampledPage) -> str:
        answerer = Recorded(page, frontier, records, tmp_path)
        proxy = RecordingProxy(authority, answerer)
        async with tabs:
            address = f"http://127.0.0.1:{await proxy.start()}"
            try:
                options = PageOptions(screenshots=False)
                shown = await browsers.render(page.url, address, page=options)
            finally:
                await proxy.close()
        assert answerer.missing == {}
        return shown.text

    async def main() -> dict[str, str]:
        with closing(KeptFrontier(gone.job_dir / "frontier.sqlite")) as frontier:
            pages = [each for each in sample_pages(frontier, 1_000, 1) if each.url in deep]
            try:
                async with asyncio.timeout(REPLAY_SECONDS):
                    texts = await asyncio.gather(*(text(frontier, each) for each in pages))
            finally:
                await browsers.close()
            return {page.url: text for page, text in zip(pages, texts, strict=True)}

    texts = asyncio.run(main())
    assert set(texts) == set(deep)
    for url, page in deep.items():
        for phrase in (page.phrase, *page.deeper):
            assert phrase in texts[url]
    gone.assert_nobody_asked()


def test_a_page_whose_script_is_in_no_capture_does_not_replay_and_says_which(
    gone: Gone, tmp_path: Path
) -> None:
    path = tmp_path / "frontier.sqlite"
    shutil.copy(gone.job_dir / "frontier.sqlite", path)
    chunk = forget_chunk(path)
    urls = [gone.site.seed_url]
    (page,) = replayed(path, OnDisk(gone.job_dir / "warcs"), launch(tmp_path), urls)
    assert not replays_well(page, LIMITS)
    assert (chunk, "script") in {(each.url, each.purpose) for each in page.missing}
    assert page.similarity < LIMITS.similarity
    assert page.picture_difference is not None
    assert page.picture_difference > 0.02
    assert list((tmp_path / "replays").iterdir()) == []
    gone.assert_nobody_asked()


def forget_chunk(path: Path) -> str:
    """Take the app's main script out of a frontier's captures; its URL."""
    with closing(sqlite3.connect(path)) as database:
        ((number, url),) = database.execute(
            "SELECT id, url FROM urls WHERE url LIKE '%/assets/main-%.js'"
        )
        database.execute("DELETE FROM captures WHERE url_id = ?", (number,))
        database.commit()
    return str(url)


def test_a_crawl_whose_script_is_damaged_is_incomplete(gone: Gone) -> None:
    with closing(sqlite3.connect(gone.job_dir / "frontier.sqlite")) as database:
        url, segment, offset, length = database.execute(
            "SELECT url, segment, record_offset, record_length FROM captures"
            " JOIN urls ON urls.id = url_id WHERE url LIKE '%/assets/main-%.js'"
        ).fetchone()
    path = gone.job_dir / "warcs" / segment
    sound = path.read_bytes()
    path.write_bytes(sound[: offset + 300] + bytes(length - 300) + sound[offset + length :])
    try:
        said = gone.archive.run("quality", "1", "--replay", "2", codes=(INCOMPLETE,))
    finally:
        path.write_bytes(sound)
    reason = "2 of 2 (100.0 %) pages of a sample do not replay, the worst http"
    assert f"  - {reason}" in said
    assert f"missing     script GET {url} (its record cannot be used" in said
    assert "counts as INCOMPLETE now" in said
    # It is the job's verdict until another sample says otherwise; to judge it anew changes nothing.
    assert f"INCOMPLETE: {reason}" in gone.archive.run("show-job", "--id", "1")
    assert f"  - {reason}" in gone.archive.run("quality", "1", codes=(INCOMPLETE,))
    assert gone.archive.ask("quality", "1", "--replay", "2")["stored"] == "COMPLETE"
    assert gone.archive.job()["quality"] == "COMPLETE"


def test_pages_whose_warc_files_were_released_are_not_judged(gone: Gone, tmp_path: Path) -> None:
    urls = [gone.site.seed_url, f"{gone.site.url}/news"]
    nothing = launch(tmp_path, executable="no-browser-is-needed")
    for page in replayed(gone.job_dir / "frontier.sqlite", OnDisk(tmp_path), nothing, urls):
        assert "is not here" in page.skipped


def test_the_sample_is_the_same_for_the_same_job_and_another_for_another(gone: Gone) -> None:
    with closing(KeptFrontier(gone.job_dir / "frontier.sqlite")) as frontier:
        samples = [[each.url for each in sample_pages(frontier, 4, seed)] for seed in (1, 1, 2, 3)]
        everything = {each.url for each in sample_pages(frontier, 1_000, 1)}
    assert samples[0] == samples[1]
    assert len(set(map(tuple, samples))) > 1
    assert all(len(set(sample)) == 4 and set(sample) <= everything for sample in samples)
    assert {page.url for page in gone.site.truth.shells} <= everything


def test_without_a_browser_it_is_said_how_to_get_one(gone: Gone) -> None:
    bare = Archive(gone.archive.data_dir, {"BROWSER": "/no/chromium"})
    bare.run("quality", "1", "--replay", "1", codes=(NO_BROWSER,))
