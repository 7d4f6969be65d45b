"""The judgement of a crawl: numbers in, a verdict and its reasons out."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from healtharchive.crawl.quality import (
    SITE_KINDS,
    Coverage,
    Culprit,
    Evidence,
    Fate,
    HostReport,
    SeedEnd,
    SegmentFacts,
    SitemapRead,
    Thresholds,
    by_exclusion,
    by_failure,
    by_status,
    exceeds,
    judge,
)
from healtharchive.model.orders import Counts
from healtharchive.model.states import Quality

NUMBERS = st.integers(0, 10_000)
LIMITS = Thresholds()


@st.composite
def counts_that_add_up(draw: st.DrawFn) -> Counts:
    """The counts of a crawl with nothing left to do."""
    captures, revisits, failed, excluded = (draw(NUMBERS) for _ in range(4))
    done = captures + revisits
    found = done + failed + excluded
    return Counts(found, 0, 0, done, failed, excluded, captures, revisits, draw(NUMBERS))


def sound(counts: Counts, reported: Counts | None = None, **more: object) -> Evidence:
    """A crawl that has nothing wrong with it, or `reported` other counts."""
    evidence = Evidence(
        status="indexed",
        finished=True,
        outcome="complete",
        ending="",
        counts=counts,
        reported=reported or counts,
        seeds=(SeedEnd("https://example.org/"),),
        sitemaps=(SitemapRead("https://example.org/sitemap.xml", 3),),
        sitemap=Coverage(3, {Fate.CAPTURED: 3}),
        last_job=1,
        indexed_captures=counts.captures + counts.revisits,
    )
    return replace(evidence, **more)  # type: ignore[arg-type]


COUNTS = Counts(30, 0, 0, 28, 1, 1, 20, 8, 5_000)


@given(counts_that_add_up())
def test_a_sound_crawl_is_complete(counts: Counts) -> None:
    verdict = judge(sound(counts), LIMITS)
    assert (verdict.word, verdict.reasons, verdict.notes) == (Quality.COMPLETE, (), ())


# -- refused ---------------------------------------------------------------------------------

FIELDS = st.sampled_from(["found", "done", "failed", "excluded", "captures", "revisits"])
CHANGES = st.integers(-3, 3).filter(bool)


@given(counts_that_add_up(), FIELDS, CHANGES)
def test_counts_of_which_one_is_wrong_are_refused(counts: Counts, name: str, by: int) -> None:
    changed = replace(counts, **{name: getattr(counts, name) + by})
    verdict = judge(sound(changed, counts), LIMITS)
    assert verdict.word is Quality.REFUSED
    assert "do not add up" in verdict.reasons[0]


@given(counts_that_add_up(), CHANGES)
def test_a_row_that_is_gone_from_the_frontier_is_refused(counts: Counts, by: int) -> None:
    changed = replace(counts, found=counts.found + by, excluded=counts.excluded + by)
    verdict = judge(sound(changed, counts), LIMITS)
    assert verdict.word is Quality.REFUSED
    assert f"{changed.excluded} excluded instead of {counts.excluded}" in verdict.reasons[0]


def test_what_two_books_disagree_on_is_refused_and_nothing_else_is_said() -> None:
    wrong = {"seeds": (SeedEnd("https://example.org/", "it answered 500"),)}
    for refusing in (
        {"astray": 1},
        {"segments": SegmentFacts(mismatches=("a WARC file is unknown to the database",))},
        {"objection": ("bug", "3 URLs are still queued")},
    ):
        verdict = judge(sound(COUNTS, **wrong, **refusing), LIMITS)
        assert verdict.word is Quality.REFUSED
        assert len(verdict.reasons) == 1
    assert judge(sound(COUNTS, **wrong), LIMITS).word is Quality.INCOMPLETE


# -- incomplete ------------------------------------------------------------------------------


def reasons(**more: object) -> tuple[str, ...]:
    verdict = judge(sound(COUNTS, **more), LIMITS)
    assert (verdict.word is Quality.COMPLETE) == (not verdict.reasons)
    return verdict.reasons


def test_each_thing_that_is_missing_has_its_reason() -> None:
    for more, reason in (
        ({"finished": False, "status": "running"}, "the crawl has not ended: the job is running"),
        ({"seeds": (SeedEnd("a", "a: timeout"),)}, "a seed was not captured: a: timeout"),
        (
            {"sitemaps": (SitemapRead("s", 0, "could not be had", fault=True),)},
            "the sitemap s could not be had",
        ),
        ({"segments": SegmentFacts(open=2)}, "2 of its WARC files are not sealed"),
        ({"segments": SegmentFacts(suspect=1)}, "1 of its WARC files are suspect"),
        ({"indexed_captures": 27}, "only 27 of its 28 captures are in the index"),
        ({"objection": ("job", "the source has no seed that is a URL")}, "the source has no seed"),
    ):
        (said,) = reasons(**more)
        assert said.startswith(reason)


def test_a_limit_is_named_with_what_it_left() -> None:
    limit = "the limit of 5 pages is reached"
    queued = replace(COUNTS, found=34, queued=4)
    verdict = judge(sound(queued, outcome="limit", ending=limit), LIMITS)
    assert verdict.reasons == (f"{limit}, with 4 URLs still queued",)


def test_what_is_only_worth_a_look_leaves_it_complete() -> None:
    segments = SegmentFacts(sealed=3, unverified=2, unreadable_records=4)
    last = Coverage(10, {Fate.CAPTURED: 6, Fate.NOT_FOUND: 4})
    sitemaps = (SitemapRead("s", 0, "could not be had (answered 404)"),)
    evidence = sound(COUNTS, segments=segments, last=last, sitemaps=sitemaps)
    verdict = judge(evidence, LIMITS)
    assert verdict.word is Quality.COMPLETE
    assert [note.split(" ", 3)[0] for note in verdict.notes] == ["2", "4", "no", "the", "4"]
    assert "was the site rebuilt?" in verdict.notes[-1]


@given(st.integers(0, 500), st.integers(0, 500), st.sampled_from(list(Fate)))
def test_the_sitemaps_pages_may_be_missing_up_to_their_threshold(
    missing: int, others: int, fate: Fate
) -> None:
    culprit = Culprit.SITE
    fates = {Fate.FAILED: missing}
    fates[fate] = fates.get(fate, 0) + others * (fate is not Fate.FAILED)
    total = sum(fates.values())
    left_out = others * (fate in (Fate.EXCLUDED, Fate.OUT_OF_SCOPE))
    coverage = Coverage(total, fates, {culprit: missing})
    assert coverage.wanted == total - left_out
    said = reasons(sitemap=coverage)
    assert bool(said) == (missing * 100 > 2 * coverage.wanted)
    if said:
        assert f"{missing} of {coverage.wanted} " in said[0]
        assert "by site" in said[0]


@given(st.integers(0, 300), st.integers(0, 300))
def test_pages_of_the_last_edition_may_be_left_unasked_up_to_theirs(
    unasked: int, others: int
) -> None:
    fates = {Fate.NEVER_ASKED: unasked, Fate.CAPTURED: others}
    last = Coverage(unasked + others, fates, {Culprit.US: unasked})
    said = reasons(last=last)
    assert bool(said) == (unasked * 100 > 5 * (unasked + others))


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=5))
def test_failures_are_judged_over_all_hosts_and_by_each(hosts: list[tuple[int, int]]) -> None:
    reports = tuple(
        HostReport(f"https://h{number}", failed + well, {"site": {"timeout": failed}})
        for number, (failed, well) in enumerate(hosts)
    )
    said = reasons(hosts=reports)
    failed, asked = sum(f for f, _ in hosts), sum(f + w for f, w in hosts)
    overall = failed * 100 > 5 * asked
    bad = [each for each in reports if each.asked >= 10 and each.failed * 100 > 50 * each.asked]
    assert len(said) == overall + len(bad)
    for each in bad:
        assert any(each.origin in reason for reason in said)


@given(NUMBERS, NUMBERS, st.floats(0, 100), st.floats(0, 100))
def test_a_milder_threshold_never_finds_more(part: int, whole: int, a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert exceeds(part, whole, low) or not exceeds(part, whole, high)
    assert not exceeds(0, whole, low)


# -- whose fault -----------------------------------------------------------------------------


@given(st.sampled_from(SITE_KINDS), st.text())
def test_a_host_that_gives_no_answer_is_the_sites_fault(kind: str, detail: str) -> None:
    became = by_failure(f"{kind}: {detail}")
    assert (became.fate, became.culprit, became.kind) == (Fate.FAILED, Culprit.SITE, kind)


def test_each_reason_of_the_crawl_has_its_culprit() -> None:
    for reason, fate, culprit, kind in (
        ("answered 503", Fate.FAILED, Culprit.SITE, "answered 503"),
        ("cut short (time)", Fate.FAILED, Culprit.SITE, "cut short (time)"),
        ("render: the tab crashed", Fate.FAILED, Culprit.BROWSER, "render"),
        ("disk: no space left", Fate.FAILED, Culprit.US, "disk"),
        ("something new", Fate.FAILED, Culprit.US, "unexplained"),
        ("", Fate.FAILED, Culprit.US, "unexplained"),
        ("refused_address: a loopback address", Fate.EXCLUDED, Culprit.RULES, "refused address"),
    ):
        became = by_failure(reason)
        assert (became.fate, became.culprit, became.kind) == (fate, culprit, kind), reason
    for reason, fate, culprit, kind in (
        ("robots.txt: Disallow: /private/", Fate.EXCLUDED, Culprit.RULES, "robots"),
        ("robots.txt: robots.txt answered 503", Fate.FAILED, Culprit.SITE, "no robots.txt"),
        ("robots.txt: robots.txt answered nothing", Fate.FAILED, Culprit.SITE, "no robots.txt"),
        ("trap: more than 50 links deep", Fate.EXCLUDED, Culprit.RULES, "trap"),
        ("whatever", Fate.EXCLUDED, Culprit.RULES, "left out"),
    ):
        became = by_exclusion(reason)
        assert (became.fate, became.culprit, became.kind) == (fate, culprit, kind), reason


@given(st.text())
def test_every_reason_is_somebodys(reason: str) -> None:
    assert by_failure(reason).culprit is not None
    assert by_exclusion(reason).culprit is not None


@given(st.none() | st.integers(100, 999))
def test_only_an_error_that_is_not_404_or_410_is_missing(status: int | None) -> None:
    became = by_status(status)
    assert became.missing == (status is None or (status >= 400 and status not in (404, 410)))
