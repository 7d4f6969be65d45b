"""The reference page of metrics, from their declarations: `make docs`."""

from __future__ import annotations

from healtharchive.steward.metrics import DECLARED

HEAD = """# Metrics

`healtharchive serve` answers Prometheus at `/metrics`: clients on its own machine, and others in
`metrics_clients`. The steward writes the same for node_exporter into `textfile_dir`.
Made by `make docs` from the code; what ends in `_total` is a counter, all others are gauges.

| metric | labels | says |
| --- | --- | --- |
"""


def reference() -> str:
    """The page, in Markdown."""
    rows = (
        f"| `{each.name}` | {', '.join(each.labels) or '–'} | {each.help} |\n" for each in DECLARED
    )
    return HEAD + "".join(rows)


if __name__ == "__main__":
    print(reference(), end="")
