"""How good a crawl is: COMPLETE, INCOMPLETE because …, or REFUSED. Pure judgement over records.

`survey` gathers the evidence; docs/quality.md says what is judged and by which thresholds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from healtharchive.model.orders import Counts
from healtharchive.model.replays import Replays
from healtharchive.model.states import Quality

GONE_STATUSES = (404, 410)
FIRST_REDIRECT_STATUS = 300
FIRST_ERROR_STATUS = 400
# The kinds of failure that a transport names first in its reason (`timeout: no answer in time`).
SITE_KINDS = ("dns", "connect", "tls", "timeout", "protocol", "disconnect")
NO_RULES = "robots.txt answered"  # instead of a rule: everything was left out because of it


class Fate(StrEnum):
    """What became of a URL in a crawl."""

    CAPTURED = "captured"
    REDIRECTED = "redirected"
    NOT_FOUND = "not found"  # 404 and 410: the site says so itself
    ERROR = "error"  # any other answer from 400 on
    FAILED = "failed"
    EXCLUDED = "excluded"
    NEVER_ASKED = "never asked"  # still queued, or not even found
    OUT_OF_SCOPE = "out of scope"


class Culprit(StrEnum):
    """Who kept a URL out. What nobody can explain is ours."""

    SITE = "site"
    BROWSER = "browser"
    US = "us"
    RULES = "rules"  # robots.txt, traps, and the source's own


@dataclass(frozen=True, slots=True)
class Became:
    """What became of one URL. `kind` is the short reason: timeout, answered 503, robots, trap …"""

    fate: Fate
    culprit: Culprit | None = None
    kind: str = ""
    detail: str = ""

    @property
    def missing(self) -> bool:
        """Whether it should be in the archive and is not: no rule of ours or the site's own."""
        return self.culprit in (Culprit.SITE, Culprit.BROWSER, Culprit.US)


CAPTURED = Became(Fate.CAPTURED)
NEVER_FOUND = Became(Fate.NEVER_ASKED, Culprit.US, "never found")
OUTSIDE = Became(Fate.OUT_OF_SCOPE, Culprit.RULES, "out of scope")


def by_status(status: int | None) -> Became:
    """What became of a URL whose answer is in the archive."""
    if status is None or status >= FIRST_ERROR_STATUS:
        if status in GONE_STATUSES:
            return Became(Fate.NOT_FOUND, None, f"answered {status}")
        return Became(Fate.ERROR, Culprit.SITE, f"answered {status}")
    return CAPTURED if status < FIRST_REDIRECT_STATUS else Became(Fate.REDIRECTED)


def by_failure(reason: str) -> Became:
    """What became of a URL that failed for this reason."""
    kind, colon, _ = reason.partition(": ")
    if kind in SITE_KINDS or reason.startswith(("answered ", "cut short")):
        return Became(Fate.FAILED, Culprit.SITE, kind, reason)
    if kind == "render":
        return Became(Fate.FAILED, Culprit.BROWSER, kind, reason)
    if kind == "refused_address":
        return Became(Fate.EXCLUDED, Culprit.RULES, "refused address", reason)
    return Became(Fate.FAILED, Culprit.US, kind if colon else "unexplained", reason)


def by_exclusion(reason: str) -> Became:
    """What became of a URL that was left out for this reason."""
    kind, _, rule = reason.partition(": ")
    if kind == "robots.txt" and rule.startswith(NO_RULES):
        return Became(Fate.FAILED, Culprit.SITE, "no robots.txt", reason)
    named = {"robots.txt": "robots", "trap": "trap"}
    return Became(Fate.EXCLUDED, Culprit.RULES, named.get(kind, "left out"), reason)


# -- evidence --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sample:
    """One URL that is not simply captured."""

    url: str
    fate: Fate
    culprit: Culprit | None
    detail: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """What became of a list of pages. `missing` counts those that should be there, by culprit."""

    listed: int = 0
    fates: Mapping[Fate, int] = field(default_factory=dict)
    missing: Mapping[Culprit, int] = field(default_factory=dict)
    samples: tuple[Sample, ...] = ()

    @property
    def wanted(self) -> int:
        """The pages that no rule leaves out."""
        left_out = self.fates.get(Fate.OUT_OF_SCOPE, 0) + self.fates.get(Fate.EXCLUDED, 0)
        return self.listed - left_out

    @property
    def all_missing(self) -> int:
        return sum(self.missing.values())

    @property
    def never_asked(self) -> int:
        return self.fates.get(Fate.NEVER_ASKED, 0)


@dataclass(frozen=True, slots=True)
class SitemapRead:
    """One sitemap. `problem`: why its list is not known, or not all of it; `fault`: a real one."""

    url: str
    pages: int = 0
    problem: str = ""
    fault: bool = False


@dataclass(frozen=True, slots=True)
class SeedEnd:
    """Where a seed led. `wrong` is empty when that is a captured page."""

    url: str
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class HostReport:
    """One host's pages and what they are made of: asked for, failed by culprit and kind, left out.

    `failures` has errors that the host answered too; `not_found` (404, 410) is no failure.
    """

    origin: str
    asked: int
    failures: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    not_found: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        return sum(sum(kinds.values()) for kinds in self.failures.values())


@dataclass(frozen=True, slots=True)
class SegmentFacts:
    """The job's WARC files. `mismatches` are sentences about those that two books disagree on."""

    sealed: int = 0
    open: int = 0
    suspect: int = 0
    unverified: int = 0  # sealed, without a verified copy on a target
    unreadable_records: int = 0
    mismatches: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that is judged. `reported` are the counts that the crawl reported when it ended.

    `astray` counts the done URLs without a capture and the captures without a done URL.
    `objection` is what the crawl's own ending rule says now: (blame, reason).
    """

    status: str
    finished: bool
    outcome: str
    ending: str
    counts: Counts
    reported: Counts
    astray: int = 0
    objection: tuple[str, str] | None = None
    seeds: tuple[SeedEnd, ...] = ()
    sitemaps: tuple[SitemapRead, ...] = ()
    sitemap: Coverage = field(default_factory=Coverage)
    last_job: int | None = None
    last: Coverage = field(default_factory=Coverage)
    hosts: tuple[HostReport, ...] = ()
    segments: SegmentFacts = field(default_factory=SegmentFacts)
    attempts: Mapping[str, int] = field(default_factory=dict)
    indexed_captures: int | None = None  # None before the job is indexed
    replays: Replays | None = None  # None when none was asked for since the segments changed


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How much may be missing from a complete crawl, in per cent."""

    missing_of_sitemap: float = 2.0
    never_asked_of_last: float = 5.0
    failed: float = 5.0
    failed_of_host: float = 50.0
    least_of_host: int = 10  # URLs asked for before a host is judged by itself
    gone_of_last: float = 30.0  # only remarked upon: sites are rebuilt
    not_replaying: float = 20.0  # of a sample of rendered pages


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement. `reasons` say why it is not COMPLETE; `notes` are worth a look anyway."""

    word: Quality
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def refused(*reasons: str) -> Verdict:
    """The verdict on a crawl that cannot be judged."""
    return Verdict(Quality.REFUSED, reasons)


def judge(evidence: Evidence, thresholds: Thresholds) -> Verdict:
    """The verdict on a crawl. Numbers that do not add up say nothing: then it is refused."""
    if contradictions := tuple(_contradictions(evidence)):
        return refused(*contradictions)
    reasons = (
        *_unfinished(evidence),
        *_unreached(evidence, thresholds),
        *_unkept(evidence),
        *_unreplayed(evidence, thresholds),
    )
    word = Quality.INCOMPLETE if reasons else Quality.COMPLETE
    return Verdict(word, reasons, tuple(_notes(evidence, thresholds)))


# -- the rules -------------------------------------------------------------------------------


def _contradictions(evidence: Evidence) -> Iterator[str]:
    counts = evidence.counts
    if not counts.add_up:
        yield f"the frontier's counts do not add up: {counts}"
    if evidence.astray:
        yield (
            f"{evidence.astray} URLs are done without a capture, or captured without being done, "
            "in the frontier"
        )
    if evidence.finished and counts != evidence.reported:
        yield f"the frontier does not hold what the crawl reported: {_apart(evidence)}"
    yield from evidence.segments.mismatches
    if evidence.objection is not None and evidence.objection[0] == "bug" and counts.add_up:
        yield evidence.objection[1]


def _apart(evidence: Evidence) -> str:
    names = ("found", "queued", "in_flight", "done", "failed", "excluded", "captures", "revisits")
    pairs = (
        (name, getattr(evidence.counts, name), getattr(evidence.reported, name))
        for name in (*names, "bytes_written")
    )
    return ", ".join(f"{now} {name} instead of {then}" for name, now, then in pairs if now != then)


def _unfinished(evidence: Evidence) -> Iterator[str]:
    if not evidence.finished:
        yield f"the crawl has not ended: the job is {evidence.status}"
    elif evidence.outcome != "complete":
        left = evidence.counts.queued + evidence.counts.in_flight
        yield f"{evidence.ending or 'a limit ended it'}, with {left} URLs still queued"
    failed = [each for each in evidence.seeds if each.wrong]
    for seed in failed:
        yield f"a seed was not captured: {seed.wrong}"
    if evidence.finished and evidence.objection is not None and not failed:
        yield evidence.objection[1]


def _unreached(evidence: Evidence, thresholds: Thresholds) -> Iterator[str]:
    for each in evidence.sitemaps:
        if each.fault:
            yield f"the sitemap {each.url} {each.problem}"
    sitemap, last = evidence.sitemap, evidence.last
    if exceeds(sitemap.all_missing, sitemap.wanted, thresholds.missing_of_sitemap):
        share = _share(sitemap.all_missing, sitemap.wanted)
        yield f"{share} pages that its sitemaps list are missing ({_by_culprit(sitemap.missing)})"
    if exceeds(last.never_asked, last.wanted, thresholds.never_asked_of_last):
        share = _share(last.never_asked, last.wanted)
        yield f"{share} pages of the last edition (job {evidence.last_job}) were never asked for"
    failed = sum(host.failed for host in evidence.hosts)
    asked = sum(host.asked for host in evidence.hosts)
    if exceeds(failed, asked, thresholds.failed):
        yield f"{_share(failed, asked)} URLs that were asked for failed"
    for host in evidence.hosts:
        judged = host.asked >= thresholds.least_of_host
        if judged and exceeds(host.failed, host.asked, thresholds.failed_of_host):
            yield f"{_share(host.failed, host.asked)} URLs of {host.origin} failed"


def _unkept(evidence: Evidence) -> Iterator[str]:
    segments = evidence.segments
    if segments.open:
        yield f"{segments.open} of its WARC files are not sealed"
    if segments.suspect:
        yield f"{segments.suspect} of its WARC files are suspect"
    kept = evidence.counts.captures + evidence.counts.revisits
    if evidence.indexed_captures is not None and evidence.indexed_captures < kept:
        yield f"only {evidence.indexed_captures} of its {kept} captures are in the index"


def _unreplayed(evidence: Evidence, thresholds: Thresholds) -> Iterator[str]:
    replays = evidence.replays
    if replays is None:
        return
    ill = replays.judged - replays.well
    if exceeds(ill, replays.judged, thresholds.not_replaying):
        share = _share(ill, replays.judged)
        yield f"{share} pages of a sample do not replay, the worst {replays.worst}"


def _notes(evidence: Evidence, thresholds: Thresholds) -> Iterator[str]:
    segments, last = evidence.segments, evidence.last
    if segments.unverified:
        total = segments.sealed
        yield f"{segments.unverified} of its {total} sealed WARC files have no verified copy"
    if segments.unreadable_records:
        yield f"{segments.unreadable_records} records or pages gave the index nothing to read"
    if not any(each.pages for each in evidence.sitemaps):
        yield "no sitemap was captured, so nothing is known from there"
    for each in evidence.sitemaps:
        if each.problem and not each.fault:
            yield f"the sitemap {each.url} {each.problem}"
    if evidence.last_job is None:
        yield "there is no earlier edition to compare it with"
    gone = last.fates.get(Fate.NOT_FOUND, 0)
    if exceeds(gone, last.wanted, thresholds.gone_of_last):
        share = _share(gone, last.wanted)
        yield f"{share} pages of the last edition are gone: was the site rebuilt?"
    if (replays := evidence.replays) is not None:
        yield from _replay_notes(replays)


def _replay_notes(replays: Replays) -> Iterator[str]:
    if not replays.sampled:
        yield "no page was rendered when it was captured, so none was replayed"
    if replays.judged:
        yield f"of {replays.judged} pages sampled {replays.well} replay"
    if replays.skipped:
        yield f"{replays.skipped} sampled pages were not judged: their records are not at hand"


def exceeds(part: int, whole: int, percent: float) -> bool:
    """Whether a part is more than so many per cent of the whole; nothing of nothing is not."""
    return part * 100.0 > whole * percent


def _share(part: int, whole: int) -> str:
    percent = 100.0 * part / whole if whole else 0.0
    return f"{part} of {whole} ({percent:.1f} %)"


def _by_culprit(missing: Mapping[Culprit, int]) -> str:
    return ", ".join(f"{number} by {culprit}" for culprit, number in missing.items() if number)
