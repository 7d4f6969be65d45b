"""The reference page of metrics, from their declarations: `make docs`."""

from __future__ import annotations

from healtharchive.web.metrics import DECLARED

HEAD = """# Metrics

`healtharchive serve` answers Prometheus at `/metrics`: clients on its own machine, and others in
`metrics_clients`.
Made by `make docs` from the code. All are gauges.

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
