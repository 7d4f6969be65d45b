"""The names of what a job's directory holds, here and on every target."""

from __future__ import annotations

FRONTIER_NAME = "frontier.sqlite"
WARCS_NAME = "warcs"
MANIFEST_NAME = "manifest.jsonl"
