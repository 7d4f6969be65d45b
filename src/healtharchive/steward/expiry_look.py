"""A look at one thing that may end: what is found at its place, by a child with a deadline."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from healtharchive.storage import errand

LOOK_SECONDS = 10.0
CERTIFICATE = "certificate"
MOST_CHARACTERS = 128  # of an event's subject_id


@dataclass(frozen=True, slots=True)
class Look:
    """What was found at one place: the day it ends, if it does, or what is wrong with it."""

    name: str
    ends_at: datetime | None = None
    trouble: str = ""
    kind: str = CERTIFICATE
    began_at: datetime | None = None

    @property
    def subject_id(self) -> str:
        """Under which name it is told."""
        return f"{self.kind}:{self.name}"[:MOST_CHARACTERS]


def ask(script: Path, order: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of a child; `trouble` in it when there is none."""
    done = errand.run_script(script, json.dumps(order), LOOK_SECONDS)
    if not done.in_time:
        return {"trouble": f"a look at it did not end within {LOOK_SECONDS:g} s"}
    try:
        answer = json.loads(done.output)
    except ValueError:
        return {"trouble": f"a look at it ended with status {done.status}"}
    return dict(answer)
