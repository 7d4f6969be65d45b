"""Replaying a sample of a crawl: pages rendered from the job's records alone, and compared with
what stands beside them since they were captured.
"""

from __future__ import annotations

import asyncio
import io
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from healtharchive.crawl.browser import profile, world
from healtharchive.crawl.browser.authority import Authority
from healtharchive.crawl.browser.chromium import Browsers, Launch
from healtharchive.crawl.browser.proxy import HOST, Answerer, Canned, ProxyRequest, RecordingProxy
from healtharchive.crawl.browser.recorded import Recorded, SampledPage
from healtharchive.crawl.browser.rendering import PageOptions, Rendered, RenderFailed
from healtharchive.crawl.browser.replayed import Replayed, similarity
from healtharchive.crawl.exchange import Exchange, SpooledBody
from healtharchive.crawl.survey import KeptFrontier, Records
from healtharchive.model.errors import BadInput, HealthArchiveError
from healtharchive.model.source import BrowserOptions
from healtharchive.warc.companions import SCREENSHOT_PREFIX, TEXT_PREFIX, text_block
from healtharchive.warc.reader import WarcRecord, read_records

LARGEST_PICTURE_BYTES = 30_000_000
COMPARE_URL = "http://compare.invalid/"  # a name that no site has (RFC 6761 §6.4)
COMPARE_PAGE = world.script("compare.html").encode()
COMPARE_SECONDS = 20.0
NUMBER = re.compile(r"[01]\.\d+")


@dataclass(frozen=True, slots=True)
class Kept:
    """What a page said and looked like when it was captured: its text with the title before it."""

    title: str
    text: str
    screenshot: bytes = b""


def sample_pages(frontier: KeptFrontier, number: int, seed: int) -> list[SampledPage]:
    """So many of the pages that were rendered, by chance; the same ones for the same seed."""
    # Beside the request and the response there is something only where a page was rendered.
    rows = frontier.ask(
        "SELECT id FROM captures WHERE url_id IS NOT NULL AND records > 2 ORDER BY id"
    )
    chosen = sorted(random.Random(seed).sample([row[0] for row in rows], min(number, len(rows))))
    return [_sampled(frontier, each) for each in chosen]


def _sampled(frontier: KeptFrontier, capture_id: int) -> SampledPage:
    (row,) = frontier.ask(
        "SELECT urls.url, captures.id, segment, span_offset, record_offset FROM captures"
        " JOIN urls ON urls.id = url_id WHERE captures.id = ?",
        (capture_id,),
    )
    return SampledPage(*row)


async def replay_sample(
    frontier: KeptFrontier,
    records: Records,
    pages: Sequence[SampledPage],
    launch: Launch,
    options: BrowserOptions,
) -> list[Replayed]:
    """Each of the pages, replayed; as many at once as the source has tabs.

    `records` may only read what is at hand: its errors other than BadInput skip the page. It is
    asked in threads, several at once. EngineMissing when there is no browser on this machine.
    """
    launch.parent.mkdir(parents=True, exist_ok=True)
    await asyncio.to_thread(profile.remove_left_profiles, launch.parent)
    authority = Authority.create()
    browsers = Browsers(replace(launch, spki_hash=authority.spki_hash))
    tabs = asyncio.Semaphore(options.tabs)
    replaying = _Replaying(frontier, records, launch, options, authority, browsers, tabs)
    tasks = [asyncio.create_task(replaying.page(each)) for each in pages]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await browsers.close()


@dataclass(frozen=True, slots=True)
class _Replaying:
    frontier: KeptFrontier
    records: Records
    launch: Launch
    options: BrowserOptions
    authority: Authority
    browsers: Browsers
    tabs: asyncio.Semaphore

    async def page(self, page: SampledPage) -> Replayed:
        """One page, once a tab is free."""
        async with self.tabs:
            return await self._page(page)

    async def _page(self, page: SampledPage) -> Replayed:
        try:
            kept = await asyncio.to_thread(kept_of, page, self.records)
        except BadInput as error:
            return Replayed(page.url, failure=f"what it was cannot be read: {error.what}")
        except HealthArchiveError as error:
            return Replayed(page.url, skipped=error.what)
        if kept is None:
            return Replayed(page.url, skipped="no rendered text stands beside its record")
        answerer = Recorded(page, self.frontier, self.records, self.launch.parent)
        limits = PageOptions(
            deadline_seconds=self.options.page_seconds, screenshots=bool(kept.screenshot)
        )
        rendered: Rendered | None = None
        failure = ""
        try:
            rendered = await self._render(page.url, answerer, limits)
        except RenderFailed as failed:
            failure = str(failed)
        found = Replayed(
            page.url,
            requests=answerer.requests,
            missing_count=answerer.missing_count,
            missing=tuple(answerer.missing.values()),
            failure=failure,
            skipped=answerer.out_of_reach,
        )
        return found if rendered is None else await self._compared(found, kept, rendered)

    async def _compared(self, found: Replayed, kept: Kept, rendered: Rendered) -> Replayed:
        # As it would have been recorded: what cannot be encoded is replaced there.
        block = text_block(rendered.title, rendered.text)
        title, text = _title_and_text(block)
        return replace(
            found,
            similarity=similarity(kept.text, text),
            title_kept=title == kept.title,
            picture_difference=await self._difference(kept.screenshot, rendered.screenshot),
        )

    async def _difference(self, recorded: bytes, replayed: bytes) -> float | None:
        """The mean difference of the grey values of two pictures; None when it is not known."""
        if not recorded or not replayed:
            return None
        answerer = _Pictures(recorded, replayed, self.launch)
        limits = PageOptions(
            deadline_seconds=COMPARE_SECONDS,
            quiet_seconds=0.0,
            screenshots=False,
            behaviours=frozenset(),
        )
        try:
            compared = await self._render(COMPARE_URL, answerer, limits)
        except RenderFailed:
            return None
        number = NUMBER.fullmatch(compared.text.strip())
        return float(number[0]) if number else None

    async def _render(self, url: str, answerer: Answerer, limits: PageOptions) -> Rendered:
        proxy = RecordingProxy(self.authority, answerer)
        port = await proxy.start()
        try:
            return await self.browsers.render(url, f"http://{HOST}:{port}", page=limits)
        finally:
            await proxy.close()


@dataclass(frozen=True, slots=True)
class _Pictures:
    """Answers the page that compares two pictures, in the browser that made them."""

    recorded: bytes
    replayed: bytes
    launch: Launch

    async def answer(self, request: ProxyRequest) -> Exchange | Canned:
        """See `Answerer`."""
        answers = {
            COMPARE_URL: (COMPARE_PAGE, "text/html"),
            f"{COMPARE_URL}recorded": (self.recorded, "image/jpeg"),
            f"{COMPARE_URL}replayed": (self.replayed, "image/jpeg"),
        }
        if request.url not in answers:
            return Canned(404)
        content, media_type = answers[request.url]
        body = SpooledBody(self.launch.parent)
        body.write(content)
        fields = (("Content-Type", media_type), ("Content-Length", str(len(content))))
        lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in fields)]
        return Exchange(
            url=request.url,
            request=b"",
            response_head=("\r\n".join(lines) + "\r\n\r\n").encode(),
            body=body,
            status=200,
            headers=fields,
            chunked=False,
            entity_digest="",
            entity_bytes=len(content),
            block_digest="",
            ip="",
            tls="",
            cipher="",
            started_at=datetime.now(UTC),
            elapsed_seconds=0.0,
            truncated="",
        )


def kept_of(page: SampledPage, records: Records) -> Kept | None:
    """What stands beside a page's response; None when no rendered text does.

    BadInput when it is damaged, another HealthArchiveError when it cannot be had.
    """
    raw = records.at(page.segment, page.span_offset, page.record_offset - page.span_offset)
    beside: dict[str, bytes] = {}
    for record in read_records(io.BytesIO(raw)):
        if not isinstance(record, WarcRecord):
            raise BadInput(f"a record beside that of {page.url} is damaged: {record.reason}.")
        if record.block_bytes <= LARGEST_PICTURE_BYTES:
            beside[record.target_uri or ""] = record.block()
    text = beside.get(f"{TEXT_PREFIX}{page.url}")
    if text is None:
        return None
    return Kept(*_title_and_text(text), beside.get(f"{SCREENSHOT_PREFIX}{page.url}", b""))


def _title_and_text(block: bytes) -> tuple[str, str]:
    title, _, text = block.decode("utf-8", "replace").partition("\n\n")
    return title, text
