"""When a crawl has stalled: its own profile decides, and a polite or healthy one is left alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from healtharchive.model.container import ContainerOptions
from healtharchive.model.progress_samples import Sample
from healtharchive.model.running_crawls import RunningCrawl
from healtharchive.model.source import Politeness, StallRules
from healtharchive.steward.stalls import StallPolicy, Watched, look, plan, policy_of
from tests.lab.queue import source_named
from tests.lab.workers import settings_for

NOW = datetime(2026, 1, 24, 12, tzinfo=UTC)
POLICY = StallPolicy(
    seconds=1800.0,
    error_share=0.9,
    window_seconds=1800.0,
    pages_per_hour=0.0,
    restarts_per_day=4,
    starts_per_hour=6,
)


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def sample(minutes: float, done: int, failed: int = 0, queued: int = 1000) -> Sample:
    return Sample(0, 7, ago(minutes), 3, queued, done, failed, done * 1000)


def crawl(job_id: int = 7, **columns: object) -> RunningCrawl:
    usual = RunningCrawl(
        job_id=job_id,
        fence=3,
        source=source_named("lab"),
        engine="http",
        started_at=ago(600),
        progress_at=ago(0.2),
        waits_until=None,
        lease_expires_at=NOW + timedelta(minutes=1),
        requested_stop=None,
        sick_target=False,
        starts_in_hour=1,
    )
    return replace(usual, **columns)  # type: ignore[arg-type]


def stalled(**changes: object) -> Watched:
    """A crawl whose counts have not moved for 40 minutes."""
    same = tuple(sample(minutes, done=50) for minutes in (60, 40, 20, 1, 0.5, 0.1))
    watched = Watched(crawl=crawl(progress_at=ago(40)), policy=POLICY, samples=same)
    return replace(watched, **changes)  # type: ignore[arg-type]


def healthy(job_id: int = 8) -> Watched:
    moving = tuple(sample(minutes, done=int(5000 - minutes)) for minutes in (60, 40, 20, 1, 0.1))
    return Watched(crawl=crawl(job_id), policy=POLICY, samples=moving)


def test_a_crawl_that_gets_nowhere_is_started_anew_and_a_healthy_one_beside_it_is_not() -> None:
    (step,) = plan([healthy(8), stalled(), healthy(9)], NOW)
    assert (step.what, step.subject, step.subject_id) == ("restart_stalled", "job", "7")
    assert "no URL was settled for 40 min" in step.why
    assert (step.held, step.evidence["fence"]) == ("", 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"crawl": crawl(progress_at=ago(40), sick_target=True)},
        {"crawl": crawl(progress_at=ago(40), requested_stop="pause")},
        {"crawl": crawl(progress_at=ago(40), lease_expires_at=ago(1))},
        {"crawl": crawl(progress_at=ago(29))},
        {"crawl": crawl(progress_at=ago(40), started_at=ago(29))},
        {"crawl": crawl(progress_at=ago(40), waits_until=ago(-20))},
        {"crawl": crawl(progress_at=ago(90), waits_until=ago(29))},
        {"policy": replace(POLICY, seconds=3600.0)},
        {"samples": ()},
        {"samples": (sample(0.1, 50),)},
        {"samples": (sample(40, 50), sample(20, 50))},
        {"samples": (sample(1, 50), sample(0.1, 51))},
    ],
    ids=[
        "its target is down",
        "an operator's pause is on its way",
        "its lease has run out",
        "not for long enough",
        "the attempt has only begun",
        "it waits politely",
        "its polite wait was over not long ago",
        "its source is patient",
        "nobody has looked",
        "seen once only",
        "not seen lately",
        "it has just got on",
    ],
)
def test_no_false_alarm(changes: dict[str, object]) -> None:
    assert plan([stalled(**changes)], NOW) == []


def test_a_crawl_that_is_silent_after_its_polite_wait_has_stalled_when_its_patience_is_over() -> (
    None
):
    (step,) = plan([stalled(crawl=crawl(progress_at=ago(90), waits_until=ago(31)))], NOW)
    assert "no URL was settled for 31 min" in step.why


def test_after_its_restarts_of_a_day_a_person_is_asked_and_nothing_is_done() -> None:
    (step,) = plan([stalled(restarts_in_day=4)], NOW)
    assert "a person must look" in step.held


def test_a_restart_that_would_have_to_wait_for_the_hour_is_held_back() -> None:
    (step,) = plan([stalled(crawl=crawl(progress_at=ago(40), starts_in_hour=6))], NOW)
    assert "as often as it may be in an hour" in step.held


@pytest.mark.parametrize(
    ("done", "failed", "found"),
    [(10, 190, "190 of 200 URLs failed"), (40, 160, ""), (0, 40, "")],
    ids=["nearly all", "most", "too few to tell"],
)
def test_the_share_of_errors(done: int, failed: int, found: str) -> None:
    samples = (
        sample(40, 0),
        sample(31, 0),
        sample(10, done, failed // 2),
        sample(0.1, done, failed),
    )
    watched = replace(healthy(), samples=samples)
    trouble = look(watched, NOW)
    assert found in (trouble.words if trouble else "")
    assert bool(trouble) == bool(found)


@pytest.mark.parametrize(
    ("least", "queued", "found"),
    [(100.0, 500, True), (0.0, 500, False), (100.0, 20, False)],
    ids=["slow", "its source does not mind", "hardly anything is left"],
)
def test_a_slow_crawl_is_one_where_the_source_says_so(
    least: float, queued: int, found: bool
) -> None:
    samples = tuple(
        sample(minutes, 100 - int(minutes), queued=queued) for minutes in (61, 30, 1, 0.1)
    )
    policy = replace(POLICY, pages_per_hour=least)
    watched = replace(healthy(), samples=samples, policy=policy)
    assert bool(look(watched, NOW)) == found


@pytest.mark.parametrize(("over", "found"), [(-10, False), (50, False), (61, True)])
def test_an_hour_with_a_polite_wait_in_it_says_nothing_of_the_pace(over: int, found: bool) -> None:
    samples = tuple(sample(minutes, 100 - int(minutes), queued=500) for minutes in (61, 30, 1, 0.1))
    policy = replace(POLICY, pages_per_hour=100.0)
    watched = Watched(crawl=crawl(waits_until=ago(over)), policy=policy, samples=samples)
    assert bool(look(watched, NOW)) == found


def test_the_profile_of_the_source_goes_before_the_settings(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, stall_seconds=9000, stall_restarts_per_day=2)
    plain = policy_of(source_named("lab"), "http", settings)
    assert (plain.seconds, plain.restarts_per_day) == (9000.0, 2)
    rules = StallRules(seconds=7200.0, restarts_per_day=9, pages_per_hour=5.0)
    own = policy_of(replace(source_named("lab"), stall=rules), "http", settings)
    assert (own.seconds, own.restarts_per_day, own.pages_per_hour) == (7200.0, 9, 5.0)


def test_how_long_a_host_might_ask_us_to_wait_makes_nobody_more_patient(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, stall_seconds=600)
    assert policy_of(source_named("lab"), "http", settings).seconds == 600.0
    impatient = replace(source_named("lab"), stall=StallRules(seconds=400.0))
    assert policy_of(impatient, "http", settings).seconds == 400.0


def test_a_polite_source_is_given_the_time_that_its_delays_take(tmp_path: Path) -> None:
    slow = replace(source_named("lab"), politeness=Politeness(max_delay_seconds=3600.0))
    assert policy_of(slow, "http", settings_for(tmp_path)).seconds > 3 * 3600.0


def test_a_container_has_its_own_rules_first(tmp_path: Path) -> None:
    source = replace(source_named("lab"), container=ContainerOptions(stall_seconds=4500.0))
    policy = policy_of(source, "container", settings_for(tmp_path))
    assert (policy.seconds, policy.error_share, policy.pages_per_hour) == (13_500.0, 0.0, 0.0)
