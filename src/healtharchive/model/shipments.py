"""What passes between a steward and a shipping child: one order in, reports out (JSON lines)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from healtharchive.model.target import TargetDefinition, Verdict

Plain = dict[str, Any]  # what JSON can hold


@dataclass(frozen=True, slots=True)
class Parcel:
    """A sealed segment to be shipped: the file at `path` becomes `name` on the target.

    `name` is `{source}/{job directory}/warcs/FILE.warc.gz`. `facts` describe the job (source
    definition, campaign, times, counts …); they become `job.json` beside the segments.
    """

    path: str
    name: str
    size_bytes: int
    sha256: str
    records: int = 0
    sealed_at: str = ""  # ISO 8601, UTC
    fence: int = 0
    facts: Plain = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Expected:
    """A file that should be on the target, with these bytes."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file on the target that is to be had again at the local path `destination`.

    Without `make_directory` it is only brought to a directory that is there.
    """

    name: str
    size_bytes: int
    sha256: str
    destination: str
    make_directory: bool = True


@dataclass(frozen=True, slots=True)
class ShipOrder:
    """Ship these, in this order.

    `token` keeps the partial files of two archives apart. It must be the same in every attempt,
    or nothing is ever resumed.
    """

    parcels: tuple[Parcel, ...]
    token: str = ""
    kind: Literal["ship"] = "ship"


@dataclass(frozen=True, slots=True)
class CheckOrder:
    """Read these again and compare."""

    expected: tuple[Expected, ...]
    kind: Literal["check"] = "check"


@dataclass(frozen=True, slots=True)
class FetchOrder:
    """Bring these back."""

    wanted: tuple[Wanted, ...]
    kind: Literal["fetch"] = "fetch"


@dataclass(frozen=True, slots=True)
class ListOrder:
    """Report every job directory with its manifest."""

    kind: Literal["list"] = "list"


@dataclass(frozen=True, slots=True)
class SmallFile:
    """A file of text by its name on the target."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class KeepOrder:
    """Make these files have these contents, each in one step."""

    files: tuple[SmallFile, ...]
    kind: Literal["keep"] = "keep"


@dataclass(frozen=True, slots=True)
class ReadOrder:
    """Report the contents of these small files; those that are not there are left out."""

    names: tuple[str, ...]
    kind: Literal["read"] = "read"


@dataclass(frozen=True, slots=True)
class InspectOrder:
    """See whether the target can be used. With `adopt`, a target without identity gets ours."""

    adopt: bool = False
    kind: Literal["inspect"] = "inspect"


@dataclass(frozen=True, slots=True)
class TargetOrder:
    """One piece of work at one target.

    When `identity` is given, a target that shows another one, or none, is not touched further
    (an inspection with `adopt` gives it to a target that shows none). No single answer of an object
    target is waited for longer than `timeout_seconds` (S3: twice that, for the one request that
    carries 5 MiB; so the line should carry that much in a minute).
    """

    target: TargetDefinition
    work: ShipOrder | CheckOrder | FetchOrder | ListOrder | KeepOrder | ReadOrder | InspectOrder
    identity: str = ""
    timeout_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Receipt:
    """A segment's copy on the target, re-read whole and equal to the local one.

    `already_there` when nothing had to be sent: an earlier attempt had got that far.
    `resumed_at_bytes` is where sending began; `sent_bytes` is what was sent this time.
    """

    name: str
    size_bytes: int
    sha256: str
    already_there: bool = False
    resumed_at_bytes: int = 0
    sent_bytes: int = 0
    elapsed_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Listing:
    """One job's directory on a target: its manifest's lines, its facts, what files lie there."""

    directory: str
    lines: tuple[Plain, ...] = ()
    facts: Plain = field(default_factory=dict)
    sizes_bytes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ObjectInspection:
    """What a look at a target through its own protocol found. Byte counts are 0 when unknown."""

    verdict: Verdict
    step: str = ""
    errno: int | None = None
    detail: str = ""
    identity: str = ""
    disk_bytes: int = 0
    free_bytes: int = 0
    elapsed_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ShipReport:
    """One line from a shipping child.

    kind `shipped` (how far a parcel has got, at most one a second: `step` and `bytes_done`),
    `verified` (`receipt`), `checked` (`finding`), `fetched`, `listed` (`listing`), `kept`, `read`
    (`text`), `inspected`
    (`inspection`), `failed` (this name only; `side` says whose file or file system it was), and
    last `end` with `outcome`: complete, stopped, infra (the target or this host; the rest of the
    order was not tried), failed (a bug).
    """

    kind: Literal[
        "shipped",
        "verified",
        "checked",
        "fetched",
        "listed",
        "kept",
        "read",
        "inspected",
        "failed",
        "end",
    ]
    name: str = ""
    step: str = ""
    bytes_done: int = 0
    receipt: Receipt | None = None
    finding: Literal["", "good", "differs", "gone"] = ""
    listing: Listing | None = None
    text: str = ""
    inspection: ObjectInspection | None = None
    outcome: Literal["", "complete", "stopped", "infra", "failed"] = ""
    side: Literal["", "local", "target"] = ""
    blame: str = ""
    reason: str = ""
    errno: int | None = None
