"""Scrapy as a WARC-writing crawler: its own link extractor, warcio's writer.

`python -m tests.bench.scrapy_peer URL FILE`
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from typing import Any

import scrapy
from scrapy.crawler import CrawlerProcess
from scrapy.linkextractors import LinkExtractor
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

SETTINGS = {
    "LOG_LEVEL": "ERROR",
    "CONCURRENT_REQUESTS": 16,
    "CONCURRENT_REQUESTS_PER_DOMAIN": 8,
    "DOWNLOAD_DELAY": 0,
    "ROBOTSTXT_OBEY": True,
    "COMPRESSION_ENABLED": False,
    "HTTPERROR_ALLOW_ALL": True,
    "TELNETCONSOLE_ENABLED": False,
    "RETRY_ENABLED": False,
}
TAGS = ("a", "area", "link", "img", "script", "iframe")


class Recorder(scrapy.Spider):
    """Follows every link on its host and writes each answer."""

    name = "recorder"

    def __init__(self, url: str, writer: WARCWriter, **more: Any) -> None:
        super().__init__(**more)
        self.start_urls = [url]
        self.allowed_domains = [url.split("/")[2].split(":")[0]]
        self._writer = writer
        self._links = LinkExtractor(
            tags=TAGS, attrs=("href", "src"), deny_extensions=(), unique=True
        )

    def parse(self, response: Any, **_: Any) -> Iterator[Any]:
        lines = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, values in response.headers.items()
            for value in values
        ]
        head = StatusAndHeaders(f"{response.status} OK", lines, protocol="HTTP/1.1")
        record = self._writer.create_warc_record(
            response.url, "response", payload=io.BytesIO(response.body), http_headers=head
        )
        self._writer.write_record(record)
        if hasattr(response, "selector") and b"html" in response.headers.get("Content-Type", b""):
            for link in self._links.extract_links(response):
                yield response.follow(link, callback=self.parse)


def main() -> None:
    """Crawl the site into the file."""
    url, path = sys.argv[1:]
    with open(path, "wb") as stream:
        process = CrawlerProcess(SETTINGS)
        process.crawl(Recorder, url=url, writer=WARCWriter(stream, gzip=True))
        process.start()


if __name__ == "__main__":
    main()
