"""The names of what a job's directory holds, here and on every target."""

from __future__ import annotations

FRONTIER_NAME = "frontier.sqlite"
WARCS_NAME = "warcs"
MANIFEST_NAME = "manifest.jsonl"
CDX_NAME = "cdx"
# Beside the frontier: what the crawl says, and what a container engine's crawler does.
CRAWL_LOG_NAME = "crawl.log"
CRAWLER_LOG_NAME = "crawler.log"


def cdxj_name(segment_name: str) -> str:
    """Under which name a segment's index lies in CDX_NAME."""
    return f"{segment_name.removesuffix('.warc.gz')}.cdxj"
