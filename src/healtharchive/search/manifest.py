"""What a job's directory lists of its sealed segments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from healtharchive.model.layout import MANIFEST_NAME, WARCS_NAME
from healtharchive.model.orders import SealedSegment


def manifest(output_dir: Path) -> Iterator[SealedSegment]:
    """The sealed segments that a job's directory lists; none when it never sealed one."""
    path = output_dir / WARCS_NAME / MANIFEST_NAME
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        facts = json.loads(line)
        yield SealedSegment(path=str(path.parent / facts["name"]), **facts)
