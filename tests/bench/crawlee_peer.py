"""Crawlee for Python as a WARC-writing crawler: its Parsel crawler, warcio's writer.

`python -m tests.bench.crawlee_peer URL FILE`
"""

from __future__ import annotations

import asyncio
import io
import logging
import sys

from crawlee import ConcurrencySettings
from crawlee.crawlers import ParselCrawler, ParselCrawlingContext
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter


async def crawl(url: str, path: str) -> None:
    """Crawl the site into the file."""
    with open(path, "wb") as stream:
        writer = WARCWriter(stream, gzip=True)
        crawler = ParselCrawler(
            concurrency_settings=ConcurrencySettings(desired_concurrency=8, max_concurrency=8),
            max_request_retries=0,
            configure_logging=False,
        )

        @crawler.router.default_handler
        async def record(context: ParselCrawlingContext) -> None:
            body = await context.http_response.read()
            lines = list(context.http_response.headers.items())
            head = StatusAndHeaders(f"{context.http_response.status_code} OK", lines)
            made = writer.create_warc_record(
                context.request.url, "response", payload=io.BytesIO(body), http_headers=head
            )
            writer.write_record(made)
            await context.enqueue_links(strategy="same-origin")

        await crawler.run([url])


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    asyncio.run(crawl(*sys.argv[1:]))
